"""What each defect does alone: one switch flipped, everything else as it was."""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from weaklesion.files import written_whole
from weaklesion.measures import measure_of
from weaklesion.pages import render
from weaklesion.resampling import Resampling
from weaklesion.statistics import Difference, compare, compare_unpaired, resolve_undefined
from weaklesion.tables import read_scores

logger = logging.getLogger(__name__)

METRICS = ("dice", "hausdorff")


def tabulate_attribution(
    *,
    runs: Sequence[Mapping[str, Any]],
    flips: Sequence[Mapping[str, Any]],
    undefined: Mapping[str, str],
    arm: str,
    multi_task_arm: str,
    resampling: Resampling,
    title: str,
    table_csv: str | Path,
    table_html: str | Path,
) -> None:
    """Tabulate the change of Dice and Hausdorff, and of the second task's gain, a switch each.

    Where a switch changes which samples are tested, means of different samples are compared, and
    the interval is that of two independent samples; `paired` says so.

    Args:
        runs: dataset, protocol, arm, seed, and the path `scores`.
        flips: dataset, `base` protocol, `switch`, and for each arm the protocol whose runs hold
            when the switch is flipped (the base's own, where it changes nothing for the arm).
        undefined: base protocol to what an empty prediction counts as.
        arm: arm without the second task.
        multi_task_arm: arm with it.
        resampling: draws of the intervals and tests.
        title: the page's title.
        table_csv: written: a row a dataset, base, switch, metric and quantity (either arm, or
            `gain`: the multi-task arm's minus the other's).
        table_html: written: the same for reading.
    """
    scores = read_scores([run["scores"] for run in runs], runs, METRICS)
    rows = []
    for flip in flips:
        of_dataset = scores[scores["dataset"] == flip["dataset"]]
        for metric in METRICS:
            of_metric = of_dataset[of_dataset["metric"] == metric]
            values = {
                (name, when): _values(of_metric, protocol, name, undefined[flip["base"]])
                for name in (arm, multi_task_arm)
                for when, protocol in (("before", flip["base"]), ("after", flip[name]))
            }
            for when in ("before", "after"):
                values[("gain", when)] = _gain(values[(multi_task_arm, when)], values[(arm, when)])
            for quantity in (arm, multi_task_arm, "gain"):
                before, after = values[(quantity, "before")], values[(quantity, "after")]
                paired = set(before["id"]) == set(after["id"])
                found: Difference
                if paired:
                    found = compare(after, before, resampling).as_difference()
                else:
                    found = compare_unpaired(after, before, resampling)
                scale = 100.0 if measure_of(metric).unit == "%" else 1.0
                rows.append(
                    {
                        "dataset": flip["dataset"],
                        "base": flip["base"],
                        "switch": flip["switch"],
                        "metric": metric,
                        "quantity": quantity,
                        "before": scale * before.groupby("seed")["value"].mean().mean(),
                        "after": scale * after.groupby("seed")["value"].mean().mean(),
                        **{key: scale * value for key, value in asdict(found).items()},
                        "paired": paired,
                        "n_seeds": after["seed"].nunique(),
                    }
                )
    table = pd.DataFrame(rows)
    with written_whole(table_csv) as beside:
        table.to_csv(beside, index=False, float_format="%.6g")
    blocks = [
        {"dataset": dataset, "base": base, "switches": _switches(block)}
        for (dataset, base), block in table.groupby(["dataset", "base"], sort=False)
    ]
    page = render(
        "attribution.html",
        title=title,
        blocks=blocks,
        quantities=[arm, multi_task_arm, "gain"],
        metrics={name: measure_of(name) for name in METRICS},
    )
    with written_whole(table_html) as beside:
        beside.write_text(page, encoding="utf-8")
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
                (row["metric"], row["quantity"]): {**row, "decided": _decided(dict(row))}
                for row in rows.to_dict("records")
            },
        }
        for switch, rows in block.groupby("switch", sort=False)
    ]


def _decided(row: Mapping[Any, Any]) -> bool:
    """Whether the interval over groups leaves out zero, and there is more than one seed."""
    low, high = row["ci_low"], row["ci_high"]
    if math.isnan(low) or row["n_seeds"] < 2:
        return False
    return bool(np.sign(low) == np.sign(high) and low != 0)
