"""The table of samples, and rows of arrays by sample id."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from weaklesion.errors import DataError
from weaklesion.splits import SPLITS
from weaklesion.support.files import read_array


def read_samples(samples_csv: str | Path) -> pd.DataFrame:
    """Read `samples.csv`, indexed by sample id; the column `row` is the index in the arrays.

    Raises:
        DataError: if an id occurs twice or a split is unknown.
    """
    samples = pd.read_csv(samples_csv, dtype={"id": str, "group": str})
    if samples["id"].duplicated().any():
        doubled = samples.loc[samples["id"].duplicated(), "id"].iloc[0]
        raise DataError(f"{samples_csv}: sample {doubled} occurs twice. Make the patches again.")
    if not samples["split"].isin(SPLITS).all():
        raise DataError(
            f"{samples_csv}: splits are {', '.join(SPLITS)}, not "
            f"{samples['split'].unique().tolist()}. Make the patches again."
        )
    return samples.assign(row=np.arange(len(samples))).set_index("id")


def split_ids(samples_csv: str | Path, split: str) -> list[str]:
    """Return the ids of one split's samples, in the table's order."""
    samples = read_samples(samples_csv)
    return list(samples.index[samples["split"] == split])


def read_rows(array_npy: str | Path, ids_csv: str | Path, sample_ids: Sequence[str]) -> np.ndarray:
    """Return the rows of an array that belong to some samples.

    Args:
        array_npy: array with one row per sample.
        ids_csv: table with the column `id`, in the order of the array's rows.
        sample_ids: ids, in the order of the returned rows.

    Raises:
        DataError: if array and table differ in length, an id occurs twice, or an id is missing.
    """
    array = read_array(array_npy)
    ids = pd.Index(pd.read_csv(ids_csv, usecols=["id"], dtype=str)["id"])
    if len(ids) != len(array):
        raise DataError(
            f"{array_npy}: has {len(array)} rows, but {ids_csv} has {len(ids)}. They are from"
            " different runs; delete both and run again."
        )
    if not ids.is_unique:
        raise DataError(
            f"{ids_csv}: {ids[ids.duplicated()][0]} occurs twice. Delete it and run again."
        )
    rows = ids.get_indexer(pd.Index(sample_ids))
    if (rows < 0).any():
        missing = sample_ids[int(np.flatnonzero(rows < 0)[0])]
        raise DataError(
            f"{ids_csv}: sample {missing} is not in it. Repeat the stage that writes it."
        )
    return np.asarray(array[rows])
