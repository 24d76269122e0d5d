"""The cells of a table of scores: of each arm and metric, with the difference from a baseline."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd

from weaklesion.report.tables.cells import difference_cells, scaled
from weaklesion.report.tables.epochs import Block, Epochs, comparable
from weaklesion.scoring.catalogue import measure_of
from weaklesion.scoring.pairs import Unit
from weaklesion.scoring.statistics import (
    UndefinedPolicy,
    by_unit,
    compare,
    estimate,
    resolve_undefined,
    share_better,
)

DIFFERENCE = [
    "gain",
    "gain_ci_low",
    "gain_ci_high",
    "p_value",
    "p_holm",
    "detectable",
    "share_better",
]
UNEQUAL = "not trained equally long"


def without_incomparable(
    table: pd.DataFrame, epochs: Mapping[Block, Mapping[str, Epochs]]
) -> pd.DataFrame:
    """Return a table without the differences between arms that were not to be trained equally."""
    unequal = [
        not comparable(
            epochs.get((row["dataset"], row["protocol"]), {}).get(row["arm"]),
            epochs.get((row["dataset"], row["protocol"]), {}).get(row["baseline"]),
        )
        for row in table.to_dict("records")
    ]
    cleared = table.copy()
    cleared.loc[unequal, DIFFERENCE] = math.nan
    cleared.loc[unequal, "gain_unknown"] = UNEQUAL
    return cleared


def score_rows(
    scores: pd.DataFrame,
    protocols: Mapping[str, Mapping[str, Any]],
    baseline: str,
    columns: Sequence[str],
    unit: Unit,
) -> Iterator[dict[str, Any]]:
    """Yield one row per dataset, protocol, arm and metric, with the paper's column for it."""
    for (dataset, protocol), block in scores.groupby(["dataset", "protocol"], sort=False):
        choice = protocols[str(protocol)]
        column_of = {choice["published_as"][column]: column for column in columns}
        for cells in block_cells(block, choice["undefined"], baseline, list(column_of), unit):
            column = column_of.get(cells["metric"], "")
            yield {"dataset": str(dataset), "protocol": str(protocol), "column": column, **cells}


def block_cells(
    block: pd.DataFrame,
    undefined: UndefinedPolicy,
    baseline: str,
    compared: Sequence[str],
    unit: Unit = "sample",
) -> Iterator[dict[str, Any]]:
    """Yield one row per arm and metric of one dataset and protocol.

    Args:
        block: the scores of the dataset and protocol.
        undefined: the value that an undefined one counts as.
        baseline: arm that the others are compared with.
        compared: metrics under which arms are compared.
        unit: what counts once, see `tabulate_scores`.
    """
    resolved = resolve_undefined(block, undefined)
    cells = {
        (str(arm), str(metric)): cell
        for (arm, metric), cell in resolved.groupby(["arm", "metric"], sort=False)
    }
    raw = dict(iter(block.groupby(["arm", "metric"], sort=False)))
    for (arm, metric), cell in cells.items():
        measure = measure_of(metric)
        row = {
            "arm": arm,
            "metric": metric,
            **scaled(asdict(estimate(by_unit(cell, unit), measure.within)), measure.scale),
            "n_empty": int((raw[(arm, metric)]["status"] != "ok").sum()),
            "n_undefined": int(raw[(arm, metric)]["value"].isna().sum()),
            "undefined_policy": undefined,
        }
        if metric in compared and arm != baseline and (baseline, metric) in cells:
            of_baseline = cells[(baseline, metric)]
            comparison = compare(cell, of_baseline, unit)
            share = share_better(cell, of_baseline, unit, larger_is_better=measure.larger_is_better)
            row |= {
                "baseline": baseline,
                **difference_cells(comparison, metric, name="gain", prefix="gain_"),
                "p_holm": comparison.p_value,  # the caller corrects it
                "share_better": 100 * share,
            }
        yield row
