"""The answers of several papers, side by side, to the question whether an auxiliary task helps."""

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from weaklesion.report.pages import write_page, write_table
from weaklesion.report.tables.cells import MAIN_METRICS, difference_cells, direction
from weaklesion.report.tables.epochs import comparable, epochs_by_block
from weaklesion.report.tables.run_scores import read_scores
from weaklesion.report.tables.score_cells import UNEQUAL
from weaklesion.scoring.catalogue import measure_of
from weaklesion.scoring.pairs import Unit
from weaklesion.scoring.statistics import compare, holm, resolve_undefined, with_shared_seeds
from weaklesion.study.labels import Labels
from weaklesion.study.published import printed_gain, read_published

logger = logging.getLogger(__name__)

GAIN = ("gain", "ci_low", "ci_high", "p_value", "detectable")


def tabulate_answers(
    *,
    runs: Sequence[Mapping[str, Any]],
    trained: Sequence[Mapping[str, Any]],
    pairs: Sequence[Mapping[str, Any]],
    undefined: Mapping[str, str],
    published_yaml: str | Path,
    published_datasets: Mapping[str, str],
    title: str,
    unit: Unit = "sample",
    labels: Labels | None = None,
    table_csv: str | Path,
    table_html: str | Path,
) -> None:
    """Tabulate how much each paper's auxiliary task adds, on each dataset.

    Args:
        runs: dataset, protocol, arm, seed, network, and the path `scores`.
        trained: dataset, protocol, arm, and the path `run` of each training; two networks that were
            not to be trained equally long have no gain.
        pairs: `paper`, `task` (in words), `arm`, `baseline`, `dataset` and `protocol` of each
            comparison.
        undefined: protocol to the value that an empty prediction counts as.
        published_yaml: published numbers.
        published_datasets: our dataset's name to the papers'.
        title: the page's title.
        unit: what counts once in means and differences: each `sample`, or each `group` (patient,
            volume or lesion) with the mean over its samples.
        labels: what the page calls datasets and arms, see `weaklesion.study.labels.labels_of`.
        table_csv: written: one row per comparison and metric; `gain` is the arm's mean minus the
            baseline's, overlaps in percent, distances in px. `p_value` is uncorrected, `p_holm`
            corrected for the number of comparisons under a metric; `answer` follows the latter.
        table_html: written: the same for reading.
    """
    scores = read_scores([run["scores"] for run in runs], runs, MAIN_METRICS)
    published = read_published(published_yaml)
    networks = {(run["dataset"], run["protocol"], run["arm"]): run["network"] for run in runs}
    epochs = epochs_by_block(trained)
    rows = []
    for pair in pairs:
        key = pair["dataset"], pair["protocol"]
        paper_dataset = published_datasets.get(pair["dataset"], "")
        used = {f"{role}_network": networks[(*key, pair[role])] for role in ("arm", "baseline")}
        equal = comparable(*(epochs.get(key, {}).get(pair[role]) for role in ("arm", "baseline")))
        for cells in _comparisons(scores, pair, undefined[pair["protocol"]], unit):
            if not equal:
                cells |= dict.fromkeys(GAIN, math.nan) | {"unknown": UNEQUAL}
            arms = pair["arm"], pair["baseline"]
            paper_gain = printed_gain(published, paper_dataset, *arms, cells["metric"])
            rows.append({**pair, **used, **cells, "published_gain": paper_gain})
    table = pd.DataFrame(rows).assign(unit=unit)
    for _, of_metric in table.groupby("metric"):
        table.loc[of_metric.index, "p_holm"] = holm(of_metric["p_value"].to_list())
    table["answer"] = [
        direction(row["gain"], row["metric"], row["p_holm"]) for row in table.to_dict("records")
    ]
    write_table(table_csv, table)
    blocks = [
        {"metric": measure_of(str(metric)), "rows": block.to_dict("records")}
        for metric, block in table.groupby("metric", sort=False)
    ]
    write_page(table_html, "answers.html", labels, title=title, unit=unit, blocks=blocks)
    logger.info("%d comparisons: %s", len(table), table["answer"].value_counts().to_dict())


def _comparisons(
    scores: pd.DataFrame, pair: Mapping[str, Any], policy: str, unit: Unit
) -> Iterator[dict[str, Any]]:
    """Compare the two arms of a pair under each metric, over the seeds that both have."""
    in_block = (scores["dataset"] == pair["dataset"]) & (scores["protocol"] == pair["protocol"])
    resolved = resolve_undefined(scores[in_block], policy)  # type: ignore[arg-type]
    for metric in MAIN_METRICS:
        of_metric = resolved[resolved["metric"] == metric]
        ours, theirs = with_shared_seeds(
            *(of_metric[of_metric["arm"] == pair[role]] for role in ("arm", "baseline"))
        )
        comparison = compare(ours, theirs, unit)
        yield {
            "metric": metric,
            **difference_cells(comparison, metric, name="gain"),
            "n_seeds": comparison.n_seeds,
            "n_groups": comparison.n_groups,
        }
