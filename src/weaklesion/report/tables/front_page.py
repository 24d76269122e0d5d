"""The front page of a study: what was run, Table 1, differences, verdicts and examples."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from weaklesion.report.forest import METRIC, forest
from weaklesion.report.images import embedded
from weaklesion.report.pages import devices_in_words, write_page
from weaklesion.report.tables.judgement import RULES
from weaklesion.report.tables.overview import short_commit
from weaklesion.report.tables.verdicts import UNTESTABLE, untestable
from weaklesion.scoring.catalogue import measure_of
from weaklesion.study.labels import Labels
from weaklesion.support.files import read_json

logger = logging.getLogger(__name__)

STRIP_PX = 1200


def write_front_page(
    *,
    study: str,
    titles: Mapping[str, str],
    labels: Labels,
    columns: Mapping[str, Mapping[str, str]],
    runs: Sequence[Mapping[str, Any]],
    strips: Sequence[Mapping[str, str]],
    mark_note: str = "",
    table_csv: str | Path,
    verdicts_csv: str | Path,
    page_html: str | Path,
) -> None:
    """Write the page that a reader opens first.

    Args:
        study: name of the study.
        titles: title of each item.
        labels: what the page calls datasets and arms, see `weaklesion.study.labels.labels_of`.
        columns: protocol to the columns of the main table, each with its metric.
        runs: dataset, protocol, arm, and the path `run` of every training.
        strips: dataset, protocol, and the path `figure` of few test images with contours.
        mark_note: how marks were simulated, if not as in the paper; the page says so.
        table_csv: the main table.
        verdicts_csv: the verdicts.
        page_html: written.
    """
    table = pd.read_csv(table_csv, keep_default_na=False, na_values=[""])
    verdicts = pd.read_csv(verdicts_csv, keep_default_na=False, na_values=[""])
    run_infos = [read_json(run["run"]) for run in runs]
    lines = list(differences(table, verdicts, labels))
    write_page(
        page_html,
        "front_page.html",
        labels,
        study=study,
        mark_note=mark_note,
        titles=titles,
        num_trainings=len(run_infos),
        hours=sum(info["wall_s"] for info in run_infos) / 3600,
        devices=devices_in_words(run_infos),
        commits=sorted({short_commit(info["code"]) for info in run_infos}),
        blocks=list(score_blocks(table, columns, labels)),
        lines=lines,
        drawing=forest(lines),
        verdicts=verdict_counts(verdicts),
        untestable=untestable(verdicts),
        strips=[
            {
                "title": f"{labels['datasets'][row['dataset']]}, protocol {row['protocol']}",
                "image": embedded(row["figure"], STRIP_PX),
            }
            for row in strips
        ],
    )
    logger.info("front page of %d training runs", len(run_infos))


def score_blocks(
    table: pd.DataFrame,
    columns: Mapping[str, Mapping[str, str]],
    labels: Labels,
) -> Iterator[dict[str, Any]]:
    """Yield one block per dataset and protocol: our rows above, the paper's below.

    A row has one cell per column; the best mean of a column among our rows, and among the paper's,
    is marked.
    """
    for (dataset, protocol), block in table.groupby(["dataset", "protocol"], sort=False):
        metrics = columns[str(protocol)]
        ours = _rows(block, metrics, labels["arms"], "mean", "std")
        paper = _rows(block, metrics, labels["arms"], "published_mean", "published_std")
        yield {
            "dataset": labels["datasets"][str(dataset)],
            "protocol": protocol,
            "measures": [measure_of(metric) for metric in metrics.values()],
            "papers_names": _papers_names(metrics),
            "ours": ours,
            "paper": [row for row in paper if any(cell["is_known"] for cell in row["cells"])],
            **{key: block.iloc[0][key] for key in ("n_samples", "n_groups", "unit", "reference")},
        }


def _papers_names(metrics: Mapping[str, str]) -> dict[str, str]:
    """Return our name of each metric that stands for a column of another name, and that name.

    >>> _papers_names({"Dice": "dice", "CenterError": "center_error", "AVD": "hausdorff"})
    {'Hausdorff': 'AVD'}
    """
    labels = {column: measure_of(metric).label for column, metric in metrics.items()}
    return {
        label: column
        for column, label in labels.items()
        if label.replace(" ", "").replace("Centre", "Center").lower() != column.lower()
    }


def _rows(
    block: pd.DataFrame,
    metrics: Mapping[str, str],
    labels: Mapping[str, str],
    mean: str,
    std: str,
) -> list[dict[str, Any]]:
    values = block.pivot_table(index="arm", columns="metric", values=mean, sort=False)
    rows = []
    for arm, of_arm in block.groupby("arm", sort=False):
        by_metric = of_arm.set_index("metric")
        cells = []
        for metric in metrics.values():
            cell = by_metric.loc[metric]
            known = values[metric].dropna() if metric in values else pd.Series(dtype=float)
            best = known.max() if measure_of(metric).larger_is_better else known.min()
            cells.append(
                {
                    "mean": cell[mean],
                    "std": cell[std],
                    "is_known": bool(pd.notna(cell[mean])),
                    "is_best": len(known) > 1 and cell[mean] == best,
                    "ci_low": cell["ci_low"],
                    "ci_high": cell["ci_high"],
                    "unknown": cell["unknown"],
                }
            )
        first = of_arm.iloc[0]
        seeds = int(first["n_seeds"]) if first["network"] != "no network" else 0
        rows.append(
            {
                "arm": arm,
                "label": labels[str(arm)],
                "network": first["network"],
                "n_seeds": seeds,
                "cells": cells,
            }
        )
    return rows


def differences(
    table: pd.DataFrame, verdicts: pd.DataFrame, labels: Labels
) -> Iterator[dict[str, Any]]:
    """Yield each arm's difference from its baseline in Dice, with interval and claimed sizes.

    Claims are sizes in percent of the baseline; here they are in points, as the differences.
    """
    dice = table[table["metric"] == METRIC]
    several = len(set(dice["protocol"])) > 1
    for (dataset, protocol), block in dice.groupby(["dataset", "protocol"], sort=False):
        means = block.set_index("arm")["mean"]
        for row in block[block["gain"].notna()].to_dict("records"):
            about = (
                (verdicts["dataset"] == dataset)
                & (verdicts["protocol"] == protocol)
                & (verdicts["arm"] == row["arm"])
                & (verdicts["baseline"] == row["baseline"])
                & (verdicts["metric"] == METRIC)
            )
            percent = verdicts.loc[about, "claimed_percent"].dropna()
            claimed = percent[percent != 0] / 100 * means[row["baseline"]]  # 0 is not a size
            arm, baseline = (labels["arms"][row[key]] for key in ("arm", "baseline"))
            where = labels["datasets"][str(dataset)]
            yield {
                "name": f"{arm} − {baseline}, {where}" + (f", {protocol}" if several else ""),
                "about": f"{arm} against {baseline}, {where}, protocol {protocol}",
                "low": row["gain_ci_low"],
                "middle": row["gain"],
                "high": row["gain_ci_high"],
                "unknown": row["gain_unknown"],
                "p_holm": row["p_holm"],
                "claimed": sorted(set(claimed.round(6))),
            }


def verdict_counts(verdicts: pd.DataFrame) -> list[dict[str, Any]]:
    """Return for each protocol the number of claims per verdict, without those not testable."""
    counted = []
    for protocol, rows in verdicts.groupby("protocol", sort=False):
        numbers = {name: int((rows["verdict"] == name).sum()) for name in RULES}
        tested = {name: number for name, number in numbers.items() if name != UNTESTABLE}
        counted.append({"protocol": protocol, "numbers": tested, "total": sum(tested.values())})
    return counted
