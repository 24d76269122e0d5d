"""The table of the second task's classes: the class of each sample, unflipped and under every flip.

Its columns are `id` and those of `FLIPS`: `cluster`, `cluster_left_right`, `cluster_upside_down`
and `cluster_both_flips`. A training that flips images reads the column of the drawn flip; all other
stages read `cluster`.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from weaklesion.errors import DataError
from weaklesion.flips import FLIPS
from weaklesion.support.files import written_whole


def write_classes(clusters_csv: str | Path, ids: Sequence[str], labels: np.ndarray) -> None:
    """Write the classes of some samples.

    Args:
        clusters_csv: written: `id` and the columns of `FLIPS`.
        ids: N sample ids.
        labels: (N, 4) integer classes in the order of `FLIPS`, or (N,) classes that do not
            depend on flips.
    """
    columns = labels.T if labels.ndim == 2 else [labels] * len(FLIPS)
    table = pd.DataFrame({"id": ids} | dict(zip(FLIPS, columns, strict=True)))
    with written_whole(clusters_csv) as temporary:
        table.to_csv(temporary, index=False)


def read_clusters(clusters_csv: str | Path) -> pd.Series:
    """Read the cluster of each unflipped sample, indexed by sample id."""
    return read_classes(clusters_csv, ["cluster"])["cluster"]


def read_classes(clusters_csv: str | Path, columns: Sequence[str] = tuple(FLIPS)) -> pd.DataFrame:
    """Read some columns of a table of classes, indexed by sample id.

    Raises:
        DataError: if a column is missing.
    """
    table = pd.read_csv(clusters_csv, dtype={"id": str}).set_index("id")
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise DataError(
            f"{clusters_csv}: has no column {missing[0]}; a training that flips images needs each"
            " sample's class under every flip. Cluster again."
        )
    return table[list(columns)]
