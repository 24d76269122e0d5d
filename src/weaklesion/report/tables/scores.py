"""Tables of results, with the published value beside ours."""

import logging
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from weaklesion.errors import DataError
from weaklesion.metrics.catalogue import MEASURES, MM, measure_of
from weaklesion.report.pages import write_page, write_table
from weaklesion.scoring.statistics import (
    UndefinedPolicy,
    compare,
    estimate,
    holm,
    resolve_undefined,
    share_better,
)
from weaklesion.study.published import printed_cells, published_names, read_published

logger = logging.getLogger(__name__)

RUN_KEYS = ["dataset", "protocol", "arm", "seed"]
IN_PX, IN_MM = set(MEASURES), {f"{name}_mm" for name in MM}
LEVEL = 0.05

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
# Shown beside the paper's six; all others are in the file.
SHOWN_TOO = ("hausdorff_95", "surface_dice", "long_diameter_error")


def read_scores(
    paths: Iterable[str | Path],
    expected: Sequence[Mapping[str, Any]],
    metrics: Collection[str] | None = None,
) -> pd.DataFrame:
    """Read the scores of several runs.

    Args:
        paths: files of `weaklesion.scoring.score`, in any order.
        expected: the runs that must be there: dataset, protocol, arm, seed.
        metrics: those that are kept; all by default.

    Raises:
        DataError: if a run is missing, or is there twice, or lacks a metric.
    """
    tables = []
    for path in paths:
        table = pd.read_csv(path, dtype={"id": str, "group": str})
        if set(table["metric"]) not in (IN_PX, IN_PX | IN_MM):
            raise DataError(f"{path}: lacks a metric. Score again.")
        tables.append(table if metrics is None else table[table["metric"].isin(metrics)])
    scores = pd.concat(tables, ignore_index=True)
    have = {tuple(run) for run in scores[RUN_KEYS].drop_duplicates().itertuples(index=False)}
    want = {tuple(run[key] for key in RUN_KEYS) for run in expected}
    if have != want:
        raise DataError(
            f"scores: expected and missing {sorted(want - have)}; there and not "
            f"expected {sorted(have - want)}. Run the missing arms."
        )
    if scores.duplicated([*RUN_KEYS, "id", "metric"]).any():
        raise DataError("scores: a run is given twice.")
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
    table_csv: str | Path,
    table_html: str | Path,
) -> None:
    """Make a table of arms: every arm under every metric, beside what the paper printed.

    Args:
        item: which table of the paper; others have no printed values.
        scores_csvs: scores of all its runs.
        expected: those runs, each with its `network`: encoder and weights.
        published_yaml: published numbers.
        published_datasets: our dataset's name to the paper's; without one, no published value.
        published_arms: our arm's name to the paper's, in Table 1.
        protocols: protocol to `undefined` (see `weaklesion.scoring.statistics.resolve_undefined`)
            and `published_as` (from the paper's column to our metric).
        baseline: arm that the others are compared with.
        columns: the paper's columns that the page shows and that arms are compared under.
        references: dataset to what its predictions are scored against.
        sources: dataset to the label of where its files are from.
        title: the page's title.
        table_csv: written: one row a cell; overlaps in percent, distances in px or mm. `gain` is
            the difference from the baseline, `p_holm` is corrected over all comparisons of a
            protocol, `share_better` is the percentage of samples that are better than there.
        table_html: written: the same for reading.
    """
    scores = read_scores(scores_csvs, expected)
    published = read_published(published_yaml)
    unknown = sorted(set(published_datasets.values()) - published_names(published))
    if unknown:
        raise DataError(
            f"{published_yaml}: has no dataset {', '.join(unknown)}; `published` in the "
            f"configuration is one of {', '.join(sorted(published_names(published)))}."
        )
    printed = printed_cells(published, item, published_arms)
    not_comparable = item in published["not_comparable"]
    networks = {(run["dataset"], run["protocol"], run["arm"]): run["network"] for run in expected}
    rows = []
    for (dataset, protocol), block in scores.groupby(["dataset", "protocol"], sort=False):
        choice = protocols[str(protocol)]
        chosen = {choice["published_as"][column]: column for column in columns}
        name = published_datasets.get(str(dataset), "")
        for cell in block_cells(block, choice["undefined"], baseline, list(chosen)):
            place = name, cell["arm"], chosen.get(cell["metric"], "")
            mean, std = printed.get(place, (math.nan, math.nan))
            rows.append(
                {
                    "dataset": dataset,
                    "protocol": protocol,
                    **cell,
                    "published_mean": mean,
                    "published_std": std,
                    "difference": math.nan if not_comparable else cell["mean"] - mean,
                    "network": networks[(dataset, protocol, cell["arm"])],
                    "reference": references[str(dataset)],
                    "source": sources[str(dataset)],
                }
            )
    table = pd.DataFrame(rows).reindex(columns=TABLE1_COLUMNS)
    for _, of_protocol in table.groupby("protocol"):
        table.loc[of_protocol.index, "p_holm"] = holm(of_protocol["p_holm"].to_list())
    write_table(table_csv, table)
    blocks = _page_blocks(table, protocols, columns)
    measures = {name: measure for block in blocks for name, measure in block["measures"].items()}
    write_page(
        table_html, "scores.html", title=title, blocks=blocks, measures=measures, level=LEVEL
    )
    logger.info("%s: %d cells from %d runs", item, len(table), len(expected))


def block_cells(
    block: pd.DataFrame,
    undefined: UndefinedPolicy,
    baseline: str,
    compared: Sequence[str],
) -> Iterator[dict[str, Any]]:
    """Yield the cells of one dataset and protocol: an arm's metric each.

    Args:
        block: its scores.
        undefined: what an undefined value counts as.
        baseline: arm that the others are compared with.
        compared: metrics under which they are.
    """
    resolved = resolve_undefined(block, undefined)
    cells = {
        (str(arm), str(metric)): cell
        for (arm, metric), cell in resolved.groupby(["arm", "metric"], sort=False)
    }
    raw = dict(iter(block.groupby(["arm", "metric"], sort=False)))
    for (arm, metric), cell in cells.items():
        scale = measure_of(metric).scale
        found = estimate(cell)
        row = {
            "arm": arm,
            "metric": metric,
            **scaled(asdict(found), scale),
            "n_empty": int((raw[(arm, metric)]["status"] != "ok").sum()),
            "n_undefined": int(raw[(arm, metric)]["value"].isna().sum()),
            "undefined_policy": undefined,
        }
        if metric in compared and arm != baseline and (baseline, metric) in cells:
            against = compare(cell, cells[(baseline, metric)])
            row |= {
                "baseline": baseline,
                "gain": scale * against.difference,
                "gain_ci_low": scale * against.ci_low,
                "gain_ci_high": scale * against.ci_high,
                "p_value": against.p_value,
                "p_holm": against.p_value,
                "gain_unknown": against.unknown,
                "detectable": scale * against.detectable,
                "share_better": 100
                * share_better(
                    cell,
                    cells[(baseline, metric)],
                    larger_is_better=measure_of(metric).larger_is_better,
                ),
            }
        yield row


def scaled(estimated: dict[str, Any], scale: float) -> dict[str, Any]:
    """Return an estimate's values times `scale`; its counts as they are."""
    return {
        key: scale * value if isinstance(value, float) else value
        for key, value in estimated.items()
    }


def direction(gain: float, metric: str, p_holm: float) -> str:
    """Say whether a difference from the baseline counts: better, worse, or not decided.

    Undecided where there is no test, as with one seed, or where it is not passed.
    """
    if math.isnan(p_holm) or p_holm >= LEVEL:
        return "undecided"
    return "better" if (gain > 0) == measure_of(metric).larger_is_better else "worse"


def _page_blocks(
    table: pd.DataFrame,
    protocols: Mapping[str, Mapping[str, Any]],
    columns: Sequence[str],
) -> list[dict[Any, Any]]:
    """Return one block per dataset and protocol, with one entry per arm."""
    blocks = []
    for (dataset, protocol), block in table.groupby(["dataset", "protocol"], sort=False):
        names = protocols[str(protocol)]["published_as"]
        shown = [*(names[column] for column in columns), *SHOWN_TOO]
        known = set(block["metric"])
        shown = [f"{name}_mm" if f"{name}_mm" in known and name in SHOWN_TOO else name
                 for name in shown]  # fmt: skip
        arms = []
        for arm, rows in block.groupby("arm", sort=False):
            cells = rows.set_index("metric").to_dict("index")
            for metric, cell in cells.items():
                cell["direction"] = direction(cell["gain"], str(metric), cell["p_holm"])
            arms.append({"name": arm, "cells": cells, **cells["dice"]})
        first = block.iloc[0]
        blocks.append(
            {
                "dataset": dataset,
                "protocol": protocol,
                "measures": {name: measure_of(name) for name in shown},
                "arms": arms,
                "comparisons": int(table.loc[table["protocol"] == protocol, "p_holm"].count()),
                **first[["undefined_policy", "reference", "source", "n_samples"]].to_dict(),
                "n_groups": first["n_groups"],
            }
        )
    return blocks
