"""Slices with and without liver, for CMU-Net."""

import json

import nibabel
import numpy as np
import pandas as pd
import pytest
from conftest import unpack

from weaklesion.data.loaders import lits_liver
from weaklesion.data.phantoms.lits import make_phantom
from weaklesion.errors import DataError
from weaklesion.flips import FLIPS
from weaklesion.supervision.presence import label_presence

SETTINGS = {
    "side_px": 64,
    "on_bad_sample": "error",
    "split_seed": 1,
    "window_hu": (-160, 240),
    "volumes": {"train": 3, "val": 1, "test": 2},
    "limit": {},
}


@pytest.fixture(scope="module")
def volumes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("liver")
    make_phantom(
        folder=folder / "made", num_volumes=6, num_slices=6, side_px=96, seed=3, empty_slices=2
    )
    return unpack(folder / "made" / "manifest.csv", folder)[0]


def make(folders, folder, **changes):
    lits_liver.make_patches(
        folders=folders,
        table_csv=None,
        patches_dir=folder,
        settings=lits_liver.Settings(**SETTINGS | changes),
    )
    return pd.read_csv(folder / "samples.csv", dtype={"id": str})


def test_every_slice_of_the_volumes_is_a_sample(volumes, tmp_path):
    samples = make(volumes, tmp_path)
    assert len(samples) == 6 * 6
    sizes = samples.groupby("split")["group"].nunique()
    assert sizes.to_dict() == {"train": 3, "val": 1, "test": 2}
    assert samples.groupby("group")["split"].nunique().max() == 1
    references = np.load(tmp_path / "reference.npy")
    present = references.any(axis=(1, 2))
    middle = samples["slice"].isin([2, 3])
    assert np.array_equal(present, middle)
    assert samples["long_a_x"].isna().all()
    label_presence(
        samples_csv=tmp_path / "samples.csv",
        target_npy=tmp_path / "reference.npy",
        labels_csv=tmp_path / "labels.csv",
    )
    labels = pd.read_csv(tmp_path / "labels.csv", dtype={"id": str}).set_index("id")
    assert list(labels.columns) == list(FLIPS)
    for column in FLIPS:  # a flip moves no liver out of a slice
        assert labels.loc[samples["id"], column].tolist() == middle.astype(int).tolist()


def test_other_volumes_with_another_seed_and_the_same_with_the_same(volumes, tmp_path):
    ids = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        samples = make(volumes, tmp_path / name, split_seed=seed)
        ids.append(samples.loc[samples["split"] == "test", "group"].unique().tolist())
    assert ids[0] == ids[1] != ids[2]


def test_too_few_volumes(volumes, tmp_path):
    with pytest.raises(DataError, match=r"has 6 volumes .* 17 are needed"):
        make(volumes, tmp_path, volumes={"train": 10, "val": 2, "test": 5})


def test_two_volumes_validate_on_slices_of_the_training_volume(volumes, tmp_path):
    samples = make(volumes, tmp_path, volumes={"train": 1, "val": 0, "test": 1})
    of_val = samples[samples["split"] == "val"]
    assert set(of_val["slice"]) == {0, 5}
    assert set(of_val["group"]) == set(samples.loc[samples["split"] == "train", "group"])
    assert not set(of_val["group"]) & set(samples.loc[samples["split"] == "test", "group"])


def write(folder, number, hounsfield, labels):
    folder.mkdir(exist_ok=True)
    affine = np.diag([0.7, 0.7, 2.0, 1.0])
    for name, data in (("volume", hounsfield), ("segmentation", labels)):
        image = nibabel.Nifti1Image(data, affine)
        nibabel.save(image, folder / f"{name}-{number}.nii")


def test_a_slice_that_is_not_square_is_padded(tmp_path):
    width, height = 100, 60  # NIfTI's first axis is x
    labels = np.zeros((width, height, 1), np.uint8)
    labels[10:30, 20:40] = 1
    hounsfield = np.where(labels > 0, 240, -160).astype(np.int16)
    sample = lits_liver.cut_slice(
        5, 0, hounsfield[..., 0].T, labels[..., 0].T > 0, (0.7, 0.7),
        lits_liver.Settings(**SETTINGS | {"side_px": 50}),
    )  # fmt: skip
    assert sample.crop == (0, -20, 100, 80)
    assert sample.mm_per_px == (1.4, 1.4)
    rows, columns = np.nonzero(sample.reference)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (20, 29, 5, 14)
    assert np.array_equal(sample.image[..., 0] > 127, sample.reference == 1)
    assert sample.image[:10].max() == 0


def test_a_volume_without_liver_is_left_out_and_counted(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(4):
        labels = np.zeros((32, 32, 3), np.uint8)
        if number != 2:
            labels[8:20, 8:20, 1] = 1
        write(
            tmp_path / "in", number, rng.integers(-100, 100, (32, 32, 3)).astype(np.int16), labels
        )
    for seed in range(20):  # until the volume without liver is not the only one of its split
        chosen = lits_liver.Settings(
            **SETTINGS | {"volumes": {"train": 2, "val": 1, "test": 1}, "split_seed": seed}
        )
        if 2 in lits_liver.choose_volumes(range(4), chosen, [])["train"]:
            break
    samples = make(
        [tmp_path / "in"], tmp_path / "out", volumes=chosen.volumes, split_seed=chosen.split_seed
    )
    assert set(samples["group"]) == {"volume-0", "volume-1", "volume-3"}
    dropped = json.loads((tmp_path / "out" / "patches.json").read_text())["dropped"]
    assert dropped == [{"reason": "volume without liver", "count": 1, "ids": ["volume-2"]}]


def test_differing_shapes_and_values_that_are_not_finite(tmp_path):
    good = np.zeros((32, 32, 3), np.float32)
    labels = np.zeros((32, 32, 3), np.uint8)
    labels[8:20, 8:20, 1] = 1
    for number in range(3):
        write(tmp_path / "in", number, good, labels)
    small = {"volumes": {"train": 1, "val": 1, "test": 1}}
    write(tmp_path / "in", 1, good[:, :, :2], labels)
    with pytest.raises(DataError, match=r"segmentation-1.*\(32, 32, 3\).*\(32, 32, 2\)"):
        make([tmp_path / "in"], tmp_path / "a", **small)
    spoilt = good.copy()
    spoilt[3, 3, 2] = np.nan
    write(tmp_path / "in", 1, spoilt, labels)
    with pytest.raises(DataError, match=r"volume-1.*not finite"):
        make([tmp_path / "in"], tmp_path / "b", **small)
