"""Folds of a cross-validation: the same samples, split anew."""

import json

import pandas as pd
import pytest

from weaklesion.data.folds import Fold, split_fold
from weaklesion.support.files import file_digest

FILES = ("images.npy", "reference.npy", "samples.csv", "patches.json")


def fold_of(patches, folder, fold, folds=3):
    folder.mkdir()
    stems = [name.replace(".", "_") for name in FILES]
    split_fold(
        **{stem: patches / name for stem, name in zip(stems, FILES, strict=True)},
        **{f"fold_{stem}": folder / name for stem, name in zip(stems, FILES, strict=True)},
        fold=Fold(number=fold, folds=folds, seed=1),
    )
    return pd.read_csv(folder / "samples.csv", dtype=str, keep_default_na=False)


@pytest.fixture(scope="module")
def folds(patches, tmp_path_factory):
    folder = tmp_path_factory.mktemp("folds")
    return folder, {fold: fold_of(patches, folder / str(fold), fold) for fold in (1, 2, 3)}


def test_each_sample_is_tested_once_and_validates_once(folds):
    _, tables = folds
    splits = pd.DataFrame({fold: table.set_index("id")["split"] for fold, table in tables.items()})
    assert set(splits.apply(lambda row: tuple(sorted(row)), axis=1)) == {("test", "train", "val")}
    # who is tested in a fold validated in the one before
    for fold, before in ((1, 3), (2, 1), (3, 2)):
        assert ((splits[fold] == "test") == (splits[before] == "val")).all()


def test_no_group_is_in_two_splits_of_a_fold(folds):
    for table in folds[1].values():
        assert len(table[["group", "split"]].drop_duplicates()) == table["group"].nunique()


def test_nothing_but_the_split_changes(patches, folds):
    folder, tables = folds
    before = pd.read_csv(patches / "samples.csv", dtype=str, keep_default_na=False)
    pd.testing.assert_frame_equal(tables[2].drop(columns="split"), before.drop(columns="split"))
    for name in FILES[:2]:
        assert (folder / "2" / name).read_bytes() == (patches / name).read_bytes()
    account = json.loads((folder / "2/patches.json").read_text())
    assert account["kept"] == tables[2]["split"].value_counts().to_dict()
    assert account["groups"] == tables[2].groupby("split")["group"].nunique().to_dict()
    assert account["fold"] == {"number": 2, "of": 3, "seed": 1}
    for name, digest in account["sha256"].items():
        assert digest == file_digest(folder / "2" / name)


def test_under_the_protocol_itself_all_samples_are_tested(patches, tmp_path):
    table = fold_of(patches, tmp_path / "all", None)
    assert set(table["split"]) == {"test"}
    account = json.loads((tmp_path / "all/patches.json").read_text())
    assert account["kept"] == {"train": 0, "val": 0, "test": len(table)}
