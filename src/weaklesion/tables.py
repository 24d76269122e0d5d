"""Tables of results, with the published value beside ours."""

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from weaklesion.errors import DataError
from weaklesion.files import written_whole
from weaklesion.pages import render
from weaklesion.scoring import METRICS
from weaklesion.statistics import OVERLAPS, estimate, resolve_undefined

logger = logging.getLogger(__name__)

RUN_KEYS = ["dataset", "protocol", "arm", "seed"]
TABLE1_COLUMNS = [
    "dataset",
    "protocol",
    "arm",
    "metric",
    "mean",
    "std",
    "ci_low",
    "ci_high",
    "n_seeds",
    "n_samples",
    "published_mean",
    "published_std",
    "difference",
    "n_empty",
    "n_undefined",
    "undefined_policy",
    "reference",
    "source",
]
DEFINITIONS = {
    "iou": ("IoU", "%", "|R∩P| / |R∪P|"),
    "dice": ("Dice", "%", "2 |R∩P| / (|R| + |P|)"),
    "volumetric_similarity": ("VS", "%", "1 − |FN − FP| / (2 TP + FP + FN)"),
    "center_error": ("Centre error", "px", "distance of the bounding boxes' centres"),
    "perimeter_error": ("Perimeter error", "px", "difference of the numbers of border pixels"),
    "perimeter_error_canny_half": (
        "½ Canny difference",
        "px",
        "half the difference of Canny pixels, as released (M2)",
    ),
    "hausdorff": (
        "Hausdorff",
        "px",
        "maximum, both ways, of the 4-connected borders; what the released code prints as AVD (M1)",
    ),
    "average_hausdorff": (
        "Average Hausdorff",
        "px",
        "larger of the two directed means over all foreground pixels; the paper's formula for AVD",
    ),
}


def read_scores(paths: Iterable[str | Path], expected: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Read the scores of several runs.

    Args:
        paths: files of `weaklesion.scoring`, in any order.
        expected: the runs that must be there: dataset, protocol, arm, seed.

    Raises:
        DataError: if a run is missing, or is there twice, or lacks a metric.
    """
    scores = pd.concat(
        [pd.read_csv(path, dtype={"id": str, "group": str}) for path in paths], ignore_index=True
    )
    have = {tuple(run) for run in scores[RUN_KEYS].drop_duplicates().itertuples(index=False)}
    want = {tuple(run[key] for key in RUN_KEYS) for run in expected}
    if have != want:
        raise DataError(
            f"scores: expected and missing {sorted(want - have)}; there and not "
            f"expected {sorted(have - want)}. Run the missing arms."
        )
    if scores.duplicated([*RUN_KEYS, "id", "metric"]).any():
        raise DataError("scores: a run is given twice.")
    per_run = scores.groupby(RUN_KEYS)["metric"].agg(set)
    if (per_run != set(METRICS)).any():
        raise DataError(
            f"scores: {per_run[per_run != set(METRICS)].index[0]} lacks a metric. Score again."
        )
    return scores


def published_cell(
    published: Mapping[str, Any], dataset: str, arm: str, column: str
) -> tuple[float, float]:
    """Return mean and std of a cell of the paper's Table 1; nan where it has none."""
    cell = published.get(dataset, {}).get(arm, {}).get(column, {})
    return float(cell.get("mean", math.nan)), float(cell.get("std", math.nan))


def tabulate_table1(
    *,
    scores_csvs: Sequence[str | Path],
    expected: Sequence[Mapping[str, Any]],
    published_yaml: str | Path,
    published_datasets: Mapping[str, str],
    published_arms: Mapping[str, str],
    protocols: Mapping[str, Mapping[str, Any]],
    references: Mapping[str, str],
    sources: Mapping[str, str],
    draws: int,
    bootstrap_seed: int,
    table_csv: str | Path,
    table_html: str | Path,
) -> None:
    """Make Table 1: every arm under every metric, beside what the paper printed.

    Args:
        scores_csvs: scores of all its runs.
        expected: those runs.
        published_yaml: published numbers.
        published_datasets: our dataset's name to the paper's; without one, no published value.
        published_arms: our arm's name to the paper's.
        protocols: protocol to `undefined` (see `weaklesion.statistics.resolve_undefined`),
            `published_as` (from the paper's column to our metric) and `side_px` of a patch.
        references: dataset to what its predictions are scored against.
        sources: dataset to the label of where its files are from.
        draws: bootstrap draws.
        bootstrap_seed: their seed.
        table_csv: written: one row a cell; overlaps in percent, distances in px.
        table_html: written: the same for reading.
    """
    scores = read_scores(scores_csvs, expected)
    published = yaml.safe_load(Path(published_yaml).read_text())["table1"]
    unknown = sorted(set(published_datasets.values()) - set(published))
    if unknown:
        raise DataError(
            f"{published_yaml}: has no dataset {', '.join(unknown)}; `published` in the "
            f"configuration is one of {', '.join(published)}."
        )
    rows = []
    for (dataset, protocol), block in scores.groupby(["dataset", "protocol"], sort=False):
        choice = protocols[str(protocol)]
        columns = {metric: column for column, metric in choice["published_as"].items()}
        resolved = resolve_undefined(
            block, choice["undefined"], diagonal_px=choice["side_px"] * 2**0.5
        )
        for (arm, metric), cell in resolved.groupby(["arm", "metric"], sort=False):
            scale = 100.0 if metric in OVERLAPS else 1.0
            ours = asdict(estimate(cell, draws=draws, seed=bootstrap_seed))
            for key in ("mean", "std", "ci_low", "ci_high"):
                ours[key] *= scale
            mean, std = published_cell(
                published,
                published_datasets.get(str(dataset), ""),
                published_arms.get(str(arm), ""),
                columns.get(str(metric), ""),
            )
            raw = block[(block["arm"] == arm) & (block["metric"] == metric)]
            rows.append(
                {
                    "dataset": dataset,
                    "protocol": protocol,
                    "arm": arm,
                    "metric": metric,
                    **ours,
                    "published_mean": mean,
                    "published_std": std,
                    "difference": ours["mean"] - mean,
                    "n_empty": int((raw["status"] != "ok").sum()),
                    "n_undefined": int(raw["value"].isna().sum()),
                    "undefined_policy": choice["undefined"],
                    "reference": references[str(dataset)],
                    "source": sources[str(dataset)],
                }
            )
    table = pd.DataFrame(rows)[TABLE1_COLUMNS]
    with written_whole(table_csv) as beside:
        table.to_csv(beside, index=False, float_format="%.6g")
    with written_whole(table_html) as beside:
        beside.write_text(render_table1(table), encoding="utf-8")
    logger.info("table of %d cells from %d runs", len(table), len(expected))


def render_table1(table: pd.DataFrame) -> str:
    """Return Table 1 as one HTML page: a block a dataset and protocol, a row an arm."""
    blocks = []
    for (dataset, protocol), block in table.groupby(["dataset", "protocol"], sort=False):
        arms = [
            {"name": arm, "cells": rows.set_index("metric").to_dict("index")}
            for arm, rows in block.groupby("arm", sort=False)
        ]
        blocks.append(
            {
                "dataset": dataset,
                "protocol": protocol,
                "arms": arms,
                "policy": block["undefined_policy"].iloc[0],
                "reference": block["reference"].iloc[0],
                "source": block["source"].iloc[0],
            }
        )
    return render("table1.html", blocks=blocks, definitions=DEFINITIONS)
