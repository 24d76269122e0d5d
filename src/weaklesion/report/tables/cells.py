"""Cells that several tables have in common."""

import math
from collections.abc import Collection
from typing import Any

from weaklesion.scoring.catalogue import measure_of
from weaklesion.scoring.chance import LEVEL
from weaklesion.scoring.statistics import Comparison

# An overlap and a distance: the metrics of tables that do not have all of them.
MAIN_METRICS = ("dice", "hausdorff")


def scaled(cells: dict[str, Any], scale: float) -> dict[str, Any]:
    """Return cells whose floats are multiplied by `scale`; counts and texts stay.

    >>> scaled({"mean": 0.5, "n_seeds": 3}, 100.0)
    {'mean': 50.0, 'n_seeds': 3}
    """
    return {
        key: scale * value if isinstance(value, float) else value for key, value in cells.items()
    }


def difference_cells(
    comparison: Comparison,
    metric: str,
    *,
    name: str = "difference",
    prefix: str = "",
    omit: Collection[str] = (),
) -> dict[str, Any]:
    """Return the cells of a comparison of two arms: overlaps in percent, distances in px or mm.

    Args:
        comparison: one arm's metric minus another's.
        metric: the metric.
        name: column of the difference.
        prefix: start of the columns of the interval and of the reason why it is unknown.
        omit: columns that the table does not have.

    Returns:
        The difference, `ci_low`, `ci_high`, `p_value`, `detectable` and `unknown`, in this order.
    """
    scale = measure_of(metric).scale
    cells = {
        name: scale * comparison.difference,
        f"{prefix}ci_low": scale * comparison.ci_low,
        f"{prefix}ci_high": scale * comparison.ci_high,
        "p_value": comparison.p_value,
        "detectable": scale * comparison.detectable,
        f"{prefix}unknown": comparison.unknown,
    }
    return {column: cell for column, cell in cells.items() if column not in omit}


def direction(gain: float, metric: str, p_holm: float) -> str:
    """Say whether an arm is better or worse than its baseline, or whether this is undecided.

    Args:
        gain: the arm's mean minus the baseline's.
        metric: the metric.
        p_holm: the corrected p-value; nan without a test, as with one seed, which is undecided.

    Returns:
        `better`, `worse` or `undecided`.
    """
    if math.isnan(p_holm) or p_holm >= LEVEL:
        return "undecided"
    return "better" if (gain > 0) == measure_of(metric).larger_is_better else "worse"
