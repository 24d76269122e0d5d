"""Figures 2 and 5: Dice against the number of clusters, and against the weight of the loss."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from weaklesion.files import written_whole
from weaklesion.statistics import estimate, resolve_undefined
from weaklesion.tables import read_scores

logger = logging.getLogger(__name__)


def tabulate_sweep(
    *,
    runs: Sequence[Mapping[str, Any]],
    points: Sequence[Mapping[str, Any]],
    over: str,
    undefined: Mapping[str, str],
    table_csv: str | Path,
) -> None:
    """Tabulate the test Dice against a setting that was swept, with intervals.

    The paper prints no numbers for these figures.

    Args:
        runs: dataset, protocol, arm, seed, and the path `scores`.
        points: dataset, protocol, arm and `value` of the setting.
        over: `k`, `alpha` or `samples`.
        undefined: protocol to what an empty prediction counts as.
        table_csv: written: a row a point, Dice in percent.
    """
    scores = read_scores([run["scores"] for run in runs], runs, ["dice"])
    rows = []
    for point in points:
        place = {key: point[key] for key in ("dataset", "protocol", "arm")}
        here = scores[(scores[list(place)] == pd.Series(place)).all(axis=1)]
        cell = resolve_undefined(
            here[here["metric"] == "dice"],
            undefined[point["protocol"]],  # type: ignore[arg-type]
        )
        rows.append({**place, over: point["value"], **asdict(estimate(cell))})
    table = pd.DataFrame(rows).sort_values(["dataset", "protocol", over], kind="stable")
    table[["mean", "std", "std_population", "ci_low", "ci_high"]] *= 100
    with written_whole(table_csv) as beside:
        table.to_csv(beside, index=False, float_format="%.6g")
    logger.info("%d points of a sweep over %s", len(points), over)
