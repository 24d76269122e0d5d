"""Patches of a cross-validated protocol, and of each of its folds.

The samples are divided into parts. In a fold the samples of one part are tested, those of the next
part validate, and all others are trained on. Under the protocol itself every sample is tested.
"""

import logging
import shutil
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from weaklesion.data.samples import read_samples
from weaklesion.splits import SPLITS, fold_split
from weaklesion.support.files import file_digest, read_json, write_json, written_whole

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Fold:
    """A fold of a cross-validation.

    Attributes:
        number: 1 to `folds`; None for the cross-validated protocol itself.
        folds: number of folds.
        seed: see `weaklesion.splits.fold_split`.
    """

    number: int | None
    folds: int
    seed: int


def split_fold(
    *,
    images_npy: str | Path,
    reference_npy: str | Path,
    samples_csv: str | Path,
    patches_json: str | Path,
    fold: Fold,
    fold_images_npy: str | Path,
    fold_reference_npy: str | Path,
    fold_samples_csv: str | Path,
    fold_patches_json: str | Path,
) -> None:
    """Write the same samples as a fold splits them, or with all of them tested.

    Args:
        images_npy: patches of all samples.
        reference_npy: their reference masks.
        samples_csv: their table.
        patches_json: their account.
        fold: the fold.
        fold_images_npy: written.
        fold_reference_npy: written.
        fold_samples_csv: written.
        fold_patches_json: written, with the entry `fold`: its number, the folds and the seed.

    Raises:
        DataError: if there are fewer groups than folds.
    """
    groups = read_samples(samples_csv)["group"]
    of_sample = dict(zip(groups.index, groups, strict=True))
    part_of = fold_split(of_sample, folds=fold.folds, seed=fold.seed)
    shutil.copyfile(images_npy, fold_images_npy)
    shutil.copyfile(reference_npy, fold_reference_npy)
    # all columns stay as text, so that they come back byte for byte
    table = pd.read_csv(samples_csv, dtype=str, keep_default_na=False)
    table["split"] = [_split(part_of[name], fold.number, fold.folds) for name in table["id"]]
    with written_whole(fold_samples_csv) as temporary:
        table.to_csv(temporary, index=False)
    by_split = table.groupby("split")["group"]
    account = read_json(patches_json)
    account["kept"] = {name: int(by_split.size().get(name, 0)) for name in SPLITS}
    account["groups"] = {name: int(by_split.nunique().get(name, 0)) for name in SPLITS}
    account["sha256"]["samples.csv"] = file_digest(fold_samples_csv)
    entry = {"number": fold.number, "of": fold.folds, "seed": fold.seed}
    write_json(fold_patches_json, account | {"fold": entry})
    logger.info("%s of %d folds: %s", fold.number or "all", fold.folds, account["kept"])


def _split(part: int, fold: int | None, folds: int) -> str:
    """Return the split of a part's samples in a fold.

    >>> [_split(part, 3, 3) for part in (1, 2, 3)]
    ['val', 'train', 'test']
    """
    if fold is None or part == fold:
        return "test"
    return "val" if part == fold % folds + 1 else "train"
