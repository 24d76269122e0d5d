"""The scores of several runs, as tables read them."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from weaklesion.errors import DataError
from weaklesion.metric_names import IN_MM
from weaklesion.scoring.catalogue import MEASURES

RUN_KEYS = ["dataset", "protocol", "arm", "seed"]
WITHOUT_MM = set(MEASURES)
WITH_MM = WITHOUT_MM | {f"{name}_mm" for name in IN_MM}


def read_scores(
    paths: Iterable[str | Path],
    expected: Sequence[Mapping[str, Any]],
    metrics: Collection[str] | None = None,
) -> pd.DataFrame:
    """Read the scores of several runs.

    Args:
        paths: files of `weaklesion.scoring.score`, in any order.
        expected: dataset, protocol, arm and seed of the runs that the files must have.
        metrics: metrics that are kept; all by default.

    Raises:
        DataError: if a run is missing, unexpected or present twice, or lacks a metric.
    """
    tables = []
    for path in paths:
        table = pd.read_csv(path, dtype={"id": str, "group": str})
        if set(table["metric"]) not in (WITHOUT_MM, WITH_MM):
            raise DataError(f"{path}: lacks a metric. Score again.")
        tables.append(table if metrics is None else table[table["metric"].isin(metrics)])
    scores = pd.concat(tables, ignore_index=True)
    present = {tuple(run) for run in scores[RUN_KEYS].drop_duplicates().itertuples(index=False)}
    required = {tuple(run[key] for key in RUN_KEYS) for run in expected}
    if present != required:
        raise DataError(
            f"scores: expected and missing {sorted(required - present)}; present and not "
            f"expected {sorted(present - required)}. Run the missing arms."
        )
    if scores.duplicated([*RUN_KEYS, "id", "metric"]).any():
        raise DataError("scores: a run is present twice.")
    return scores
