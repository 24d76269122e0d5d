"""Tables of arms under all metrics, with the published value beside ours."""

import logging
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from weaklesion.errors import DataError
from weaklesion.report.forest import forest, score_lines
from weaklesion.report.pages import write_page, write_table
from weaklesion.report.tables.cells import difference_cells, direction, scaled
from weaklesion.report.tables.epochs import (
    Block,
    Epochs,
    comparable,
    epochs_by_block,
    epochs_in_words,
)
from weaklesion.scoring.catalogue import MEASURES, MM, measure_of
from weaklesion.scoring.chance import LEVEL
from weaklesion.scoring.statistics import (
    UndefinedPolicy,
    compare,
    estimate,
    group_means,
    holm,
    resolve_undefined,
    share_better,
)
from weaklesion.study.labels import Labels
from weaklesion.study.published import printed_cells, published_names, read_published

logger = logging.getLogger(__name__)

RUN_KEYS = ["dataset", "protocol", "arm", "seed"]
Unit = Literal["sample", "group"]  # what counts once in a mean
IN_PX, IN_MM = set(MEASURES), {f"{name}_mm" for name in MM}

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
    "std_population",
    "n_groups",
    "n_empty",
    "n_undefined",
    "undefined_policy",
    "unit",
    "baseline",
    "gain",
    "gain_ci_low",
    "gain_ci_high",
    "p_value",
    "p_holm",
    "detectable",
    "share_better",
    "unknown",
    "gain_unknown",
    "network",
    "reference",
    "source",
]
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
# Metrics that the page shows beside the paper's six; the file has all others.
EXTRA_METRICS = ("hausdorff_95", "surface_dice", "long_diameter_error")


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
        if set(table["metric"]) not in (IN_PX, IN_PX | IN_MM):
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


def tabulate_scores(
    *,
    item: str,
    scores_csvs: Sequence[str | Path],
    expected: Sequence[Mapping[str, Any]],
    published_yaml: str | Path,
    published_datasets: Mapping[str, str],
    published_arms: Mapping[str, str],
    protocols: Mapping[str, Mapping[str, Any]],
    baseline: str,
    columns: Sequence[str],
    references: Mapping[str, str],
    sources: Mapping[str, str],
    title: str,
    labels: Labels | None = None,
    trained: Sequence[Mapping[str, Any]] = (),
    unit: Unit = "sample",
    table_csv: str | Path,
    table_html: str | Path,
) -> None:
    """Make a table of every arm under every metric, beside the printed values.

    Args:
        item: name of the table; printed values exist for those of the paper.
        scores_csvs: scores of all runs of the table.
        expected: dataset, protocol, arm, seed, and `network` (encoder and weights) of these runs.
        published_yaml: published numbers.
        published_datasets: our dataset's name to the paper's, if the paper has the dataset.
        published_arms: our arm's name to the paper's, in Table 1.
        protocols: protocol to `undefined` (see `weaklesion.scoring.statistics.resolve_undefined`)
            and `published_as` (from the paper's column to our metric).
        baseline: arm that the others are compared with.
        columns: the paper's columns that the page shows and that arms are compared under.
        references: dataset to the reference that its predictions are scored against, in words.
        sources: dataset to the label of the source of its files.
        title: the page's title.
        labels: what the page calls datasets and arms, see `weaklesion.study.labels.labels_of`.
        trained: dataset, protocol, arm, and the path `run` of its network's training, of the runs
            with a network. Arms whose networks were not to be trained equally long have no
            difference.
        unit: what counts once in means and differences: each `sample`, or each `group` (patient,
            volume, lesion) with the mean over its samples.
        table_csv: written: one row per dataset, protocol, arm and metric; overlaps in percent,
            distances in px or mm. `gain` is the difference from the baseline, `share_better` the
            percentage of better samples or groups; `p_holm` is corrected over the comparisons of a
            protocol.
        table_html: written: the same for reading.
    """
    scores = read_scores(scores_csvs, expected)
    published = _read_published(published_yaml, published_datasets)
    paper_cells = printed_cells(published, item, published_arms)
    comparable = item not in published["not_comparable"]
    networks = {(run["dataset"], run["protocol"], run["arm"]): run["network"] for run in expected}
    rows = []
    for row in _rows(scores, protocols, baseline, columns, unit):
        dataset, arm = row["dataset"], row["arm"]
        key = published_datasets.get(dataset, ""), arm, row["column"]
        mean, std = paper_cells.get(key, (math.nan, math.nan))
        difference = row["mean"] - mean if comparable else math.nan
        row |= {"published_mean": mean, "published_std": std, "difference": difference}
        row |= {"reference": references[dataset], "source": sources[dataset]}
        rows.append(row | {"network": networks[(dataset, row["protocol"], arm)]})
    epochs = epochs_by_block(trained)
    table = pd.DataFrame(rows).assign(unit=unit).reindex(columns=TABLE1_COLUMNS)
    table = without_incomparable(table, epochs)
    for _, of_protocol in table.groupby("protocol"):
        table.loc[of_protocol.index, "p_holm"] = holm(of_protocol["p_holm"].to_list())
    write_table(table_csv, table)
    worst = scores["worst"].groupby(scores["metric"]).max()
    limits = {str(metric): float(value) for metric, value in worst.items()}
    page = _page_values(table, protocols, columns, limits)
    for block in page["blocks"]:
        of_block = epochs.get((block["dataset"], block["protocol"]), {})
        block["epochs"] = epochs_in_words(of_block, baseline, labels)
        in_dataset = table[table["dataset"] == block["dataset"]]
        rows_of_block = in_dataset[in_dataset["protocol"] == block["protocol"]]
        block["lines"] = list(score_lines(rows_of_block, (labels or {}).get("arms")))
        block["drawing"] = forest(block["lines"], numbers=True)
    write_page(table_html, "scores.html", labels, title=title, level=LEVEL, unit=unit, **page)
    logger.info("%s: %d cells from %d runs", item, len(table), len(expected))


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


def _read_published(path: str | Path, published_datasets: Mapping[str, str]) -> dict[str, Any]:
    """Read the published numbers, which must have every dataset that the configuration names."""
    published = read_published(path)
    names = published_names(published)
    unknown = sorted(set(published_datasets.values()) - names)
    if unknown:
        raise DataError(
            f"{path}: has no dataset {', '.join(unknown)}; `published` in the configuration is one"
            f" of {', '.join(sorted(names))}."
        )
    return published


def _rows(
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
    if unit == "group":
        resolved = group_means(resolved)
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
            **scaled(asdict(estimate(cell, measure.within)), measure.scale),
            "n_empty": int((raw[(arm, metric)]["status"] != "ok").sum()),
            "n_undefined": int(raw[(arm, metric)]["value"].isna().sum()),
            "undefined_policy": undefined,
        }
        if metric in compared and arm != baseline and (baseline, metric) in cells:
            of_baseline = cells[(baseline, metric)]
            comparison = compare(cell, of_baseline)
            share = share_better(cell, of_baseline, larger_is_better=measure.larger_is_better)
            row |= {
                "baseline": baseline,
                **difference_cells(comparison, metric, name="gain", prefix="gain_"),
                "p_holm": comparison.p_value,  # the caller corrects it
                "share_better": 100 * share,
            }
        yield row


def _page_values(
    table: pd.DataFrame,
    protocols: Mapping[str, Mapping[str, Any]],
    columns: Sequence[str],
    limits: Mapping[str, float],
) -> dict[str, Any]:
    """Return the blocks of the page, and all metrics that these show."""
    blocks = _page_blocks(table, protocols, columns, limits)
    measures = {name: measure for block in blocks for name, measure in block["measures"].items()}
    return {"blocks": blocks, "measures": measures}


def _page_blocks(
    table: pd.DataFrame,
    protocols: Mapping[str, Mapping[str, Any]],
    columns: Sequence[str],
    limits: Mapping[str, float],
) -> list[dict[Any, Any]]:
    """Return one block per dataset and protocol, with one entry per arm.

    A detectable difference that exceeds what the metric can reach becomes nan.
    """
    blocks = []
    for (dataset, protocol), block in table.groupby(["dataset", "protocol"], sort=False):
        names = protocols[str(protocol)]["published_as"]
        scored = set(block["metric"])
        extra = [f"{name}_mm" if f"{name}_mm" in scored else name for name in EXTRA_METRICS]
        shown = [*(names[column] for column in columns), *extra]
        arms = []
        for arm, rows in block.groupby("arm", sort=False):
            cells = rows.set_index("metric").to_dict("index")
            for metric, cell in cells.items():
                most = _largest_difference(str(metric), limits)
                if cell["detectable"] > most:
                    cell["detectable"] = math.nan
                cell["direction"] = direction(cell["gain"], str(metric), cell["p_holm"])
            arms.append({"name": arm, "cells": cells, **cells["dice"]})
        first = block.iloc[0]
        n_samples, n_groups = int(block["n_samples"].max()), int(block["n_groups"].max())
        fewer = block[block["metric"].isin(shown) & (block["n_samples"] < n_samples)]
        blocks.append(
            {
                "dataset": dataset,
                "protocol": protocol,
                "measures": {name: measure_of(name) for name in shown},
                "arms": arms,
                "comparisons": int(table.loc[table["protocol"] == protocol, "p_holm"].count()),
                **first[["undefined_policy", "reference", "source"]].to_dict(),
                "n_samples": n_samples,
                "n_groups": n_groups,
                "fewer": fewer.drop_duplicates("metric").to_dict("records"),
            }
        )
    return blocks


def _largest_difference(metric: str, limits: Mapping[str, float]) -> float:
    """Return the largest difference of two means that a metric can have, in the table's unit."""
    measure = measure_of(metric)
    return measure.scale * (1.0 if measure.scale == 100 else limits[metric])
