"""The effect of each discrepancy alone: one switch flipped, everything else unchanged."""

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from weaklesion.report.pages import write_page, write_table
from weaklesion.report.tables.cells import MAIN_METRICS, difference_cells
from weaklesion.report.tables.run_scores import read_scores
from weaklesion.scoring.catalogue import measure_of
from weaklesion.scoring.chance import LEVEL
from weaklesion.scoring.statistics import compare, compare_unpaired, holm, resolve_undefined
from weaklesion.study.labels import Labels

logger = logging.getLogger(__name__)


def tabulate_attribution(
    *,
    runs: Sequence[Mapping[str, Any]],
    flips: Sequence[Mapping[str, Any]],
    undefined: Mapping[str, str],
    arms: Sequence[str],
    baseline: str,
    title: str,
    labels: Labels | None = None,
    table_csv: str | Path,
    table_html: str | Path,
) -> None:
    """Tabulate the change of Dice, Hausdorff and the second task's gain that each switch makes.

    Where a switch changes which samples are tested, means of different samples are compared, as
    independent ones; `paired` says so. Where a switch does not change an arm's runs, there is no
    test.

    Args:
        runs: dataset, protocol, arm, seed, and the path `scores`.
        flips: dataset, `base` protocol, `switch`, and for each arm the protocol whose runs hold
            when the switch is flipped (the base's own, where it changes nothing for the arm).
        undefined: base protocol to the value that an empty prediction counts as.
        arms: two arms: `baseline`, and the one with the second task.
        baseline: arm without the second task.
        title: the page's title.
        labels: what the page calls datasets and arms, see `weaklesion.study.labels.labels_of`.
        table_csv: written: one row per dataset, base, switch, metric and quantity (either arm, or
            `gain`: the multi-task arm's minus the baseline's). `p_holm` is corrected over all
            tests of a base.
        table_html: written: the same for reading.

    Raises:
        ValueError: if `arms` are not two, or `baseline` is none of them.
    """
    others = [name for name in arms if name != baseline]
    if len(arms) != 2 or len(others) != 1:
        raise ValueError(f"arms: two are needed, {baseline} one of them, not {list(arms)}")
    scores = read_scores([run["scores"] for run in runs], runs, MAIN_METRICS)
    rows: list[dict[str, Any]] = []
    for flip in flips:
        rows += _changes(scores, flip, undefined[flip["base"]], baseline, others[0])
    table = pd.DataFrame(rows)
    for _, of_base in table.groupby("base"):
        table.loc[of_base.index, "p_holm"] = holm(of_base["p_value"].to_list())
    write_table(table_csv, table)
    blocks = [
        {"dataset": dataset, "base": base, "switches": _switches(block)}
        for (dataset, base), block in table.groupby(["dataset", "base"], sort=False)
    ]
    write_page(
        table_html,
        "attribution.html",
        labels,
        title=title,
        blocks=blocks,
        quantities=(baseline, others[0], "gain"),
        metrics={name: measure_of(name) for name in MAIN_METRICS},
        level=LEVEL,
    )
    logger.info("%d switches flipped alone", len(flips))


def _changes(
    scores: pd.DataFrame, flip: Mapping[str, Any], policy: str, baseline: str, multi_task: str
) -> Iterator[dict[str, Any]]:
    """Yield one row per metric and quantity: its values without and with the flip."""
    of_dataset = scores[scores["dataset"] == flip["dataset"]]
    for metric in MAIN_METRICS:
        of_metric = of_dataset[of_dataset["metric"] == metric]
        before, after = (
            _quantities(of_metric, protocols, policy, baseline, multi_task)
            for protocols in ({name: flip["base"] for name in (baseline, multi_task)}, flip)
        )
        for quantity in before:
            unchanged = quantity != "gain" and flip[quantity] == flip["base"]
            yield {
                "dataset": flip["dataset"],
                "base": flip["base"],
                "switch": flip["switch"],
                "metric": metric,
                "quantity": quantity,
                **_change(before[quantity], after[quantity], metric, unchanged=unchanged),
            }


def _quantities(
    scores: pd.DataFrame,
    protocols: Mapping[str, str],
    policy: str,
    baseline: str,
    multi_task: str,
) -> dict[str, pd.DataFrame]:
    """Return the values of both arms, each under its protocol, and of the gain."""
    values = {}
    for arm in (baseline, multi_task):
        of_arm = scores[(scores["protocol"] == protocols[arm]) & (scores["arm"] == arm)]
        values[arm] = resolve_undefined(of_arm, policy)  # type: ignore[arg-type]
    return values | {"gain": _gain(values[multi_task], values[baseline])}


def _gain(multi_task: pd.DataFrame, plain: pd.DataFrame) -> pd.DataFrame:
    """Return the difference of two arms, sample by sample and seed by seed."""
    keys = ["id", "group", "seed"]
    both = multi_task[[*keys, "value"]].merge(plain[[*keys, "value"]], on=keys, validate="1:1")
    return both.assign(value=both["value_x"] - both["value_y"])[[*keys, "value"]]


def _change(
    before: pd.DataFrame, after: pd.DataFrame, metric: str, *, unchanged: bool
) -> dict[str, Any]:
    """Return the cells of a change; without a test if both values come from the same runs."""
    paired = set(before["id"]) == set(after["id"])
    comparison = compare(after, before) if paired else compare_unpaired(after, before)
    if unchanged:
        comparison = replace(comparison, p_value=math.nan, unknown="the same runs")
    scale = measure_of(metric).scale
    return {
        "before": scale * before.groupby("seed")["value"].mean().mean(),
        "after": scale * after.groupby("seed")["value"].mean().mean(),
        **difference_cells(comparison, metric),
        "paired": paired,
        "n_seeds": after["seed"].nunique(),
    }


def _switches(block: pd.DataFrame) -> list[dict[str, Any]]:
    """Return each switch with its cells by metric and quantity."""
    return [
        {
            "name": switch,
            "paired": bool(rows["paired"].all()),
            "cells": {
                (row["metric"], row["quantity"]): {**row, "decided": row["p_holm"] < LEVEL}
                for row in rows.to_dict("records")
            },
        }
        for switch, rows in block.groupby("switch", sort=False)
    ]
