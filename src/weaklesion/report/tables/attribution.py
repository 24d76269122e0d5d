"""What each defect does alone: one switch flipped, everything else as it was."""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from weaklesion.metrics.catalogue import measure_of
from weaklesion.report.pages import write_page, write_table
from weaklesion.report.tables.scores import LEVEL, read_scores
from weaklesion.scoring.statistics import compare, compare_unpaired, holm, resolve_undefined

logger = logging.getLogger(__name__)

METRICS = ("dice", "hausdorff")


def tabulate_attribution(
    *,
    runs: Sequence[Mapping[str, Any]],
    flips: Sequence[Mapping[str, Any]],
    undefined: Mapping[str, str],
    arms: Sequence[str],
    baseline: str,
    title: str,
    table_csv: str | Path,
    table_html: str | Path,
) -> None:
    """Tabulate the change of Dice and Hausdorff, and of the second task's gain, a switch each.

    Where a switch changes which samples are tested, means of different samples are compared, as
    independent ones; `paired` says so. Where it changes nothing for an arm, there is no test.

    Args:
        runs: dataset, protocol, arm, seed, and the path `scores`.
        flips: dataset, `base` protocol, `switch`, and for each arm the protocol whose runs hold
            when the switch is flipped (the base's own, where it changes nothing for the arm).
        undefined: base protocol to what an empty prediction counts as.
        arms: two arms: `baseline`, and the one with the second task.
        baseline: arm without the second task.
        title: the page's title.
        table_csv: written: a row per dataset, base, switch, metric and quantity (either arm, or
            `gain`: the multi-task arm's minus the baseline's). `p_holm` is corrected over all
            tests of a base.
        table_html: written: the same for reading.

    Raises:
        ValueError: if `arms` are not two, or `baseline` is none of them.
    """
    others = [name for name in arms if name != baseline]
    if len(arms) != 2 or len(others) != 1:
        raise ValueError(f"arms: two are needed, {baseline} one of them, not {list(arms)}")
    quantities = (baseline, others[0], "gain")
    scores = read_scores([run["scores"] for run in runs], runs, METRICS)
    rows = []
    for flip in flips:
        of_dataset = scores[scores["dataset"] == flip["dataset"]]
        for metric in METRICS:
            of_metric = of_dataset[of_dataset["metric"] == metric]
            values = {
                (name, when): _values(of_metric, protocol, name, undefined[flip["base"]])
                for name in arms
                for when, protocol in (("before", flip["base"]), ("after", flip[name]))
            }
            for when in ("before", "after"):
                values[("gain", when)] = _gain(values[(others[0], when)], values[(baseline, when)])
            for quantity in quantities:
                before, after = values[(quantity, "before")], values[(quantity, "after")]
                paired = set(before["id"]) == set(after["id"])
                found = compare(after, before) if paired else compare_unpaired(after, before)
                if quantity != "gain" and flip[quantity] == flip["base"]:
                    found = replace(found, p_value=math.nan, unknown="the same runs")
                scale = measure_of(metric).scale
                rows.append(
                    {
                        "dataset": flip["dataset"],
                        "base": flip["base"],
                        "switch": flip["switch"],
                        "metric": metric,
                        "quantity": quantity,
                        "before": scale * before.groupby("seed")["value"].mean().mean(),
                        "after": scale * after.groupby("seed")["value"].mean().mean(),
                        "difference": scale * found.difference,
                        "ci_low": scale * found.ci_low,
                        "ci_high": scale * found.ci_high,
                        "p_value": found.p_value,
                        "detectable": scale * found.detectable,
                        "unknown": found.unknown,
                        "paired": paired,
                        "n_seeds": after["seed"].nunique(),
                    }
                )
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
        title=title,
        blocks=blocks,
        quantities=quantities,
        metrics={name: measure_of(name) for name in METRICS},
        level=LEVEL,
    )
    logger.info("%d switches flipped alone", len(flips))


def _values(scores: pd.DataFrame, protocol: str, arm: str, policy: str) -> pd.DataFrame:
    here = scores[(scores["protocol"] == protocol) & (scores["arm"] == arm)]
    return resolve_undefined(here, policy)  # type: ignore[arg-type]


def _gain(multi_task: pd.DataFrame, plain: pd.DataFrame) -> pd.DataFrame:
    """Return the difference of two arms, sample by sample and seed by seed."""
    keys = ["id", "group", "seed"]
    both = multi_task[[*keys, "value"]].merge(plain[[*keys, "value"]], on=keys, validate="1:1")
    return both.assign(value=both["value_x"] - both["value_y"])[[*keys, "value"]]


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
