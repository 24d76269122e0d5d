"""The table of the second task's classes: each sample's class as it is and under every flip.

Its columns are `id` and those of `FLIPS`: `cluster`, `cluster_left_right`, `cluster_upside_down`
and `cluster_both_flips`. A training that flips images takes each sample's class from the column of
the flip that was drawn; everything else reads `cluster`.
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
        labels: (N, 4) integer classes in the order of `FLIPS`, or (N,) classes that no flip
            changes.
    """
    columns = labels.T if labels.ndim == 2 else [labels] * len(FLIPS)
    table = pd.DataFrame({"id": ids} | dict(zip(FLIPS, columns, strict=True)))
    with written_whole(clusters_csv) as beside:
        table.to_csv(beside, index=False)


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
