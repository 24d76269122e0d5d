"""Tables of arms under all metrics, with the published value beside ours."""

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from weaklesion.report.forest import forest, score_lines
from weaklesion.report.pages import write_page, write_table
from weaklesion.report.tables.epochs import epochs_by_block, epochs_in_words
from weaklesion.report.tables.run_scores import read_scores
from weaklesion.report.tables.score_blocks import page_values
from weaklesion.report.tables.score_cells import (
    DIFFERENCE,
    score_rows,
    without_incomparable,
)
from weaklesion.scoring.chance import LEVEL
from weaklesion.scoring.pairs import Unit
from weaklesion.scoring.statistics import holm
from weaklesion.study.labels import Labels
from weaklesion.study.published import printed_cells, read_published

logger = logging.getLogger(__name__)

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
    *DIFFERENCE,
    "unknown",
    "gain_unknown",
    "network",
    "reference",
    "source",
]


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
    published = read_published(published_yaml)
    paper_cells = printed_cells(published, item, published_arms)
    comparable = item not in published["not_comparable"]
    networks = {(run["dataset"], run["protocol"], run["arm"]): run["network"] for run in expected}
    rows = []
    for row in score_rows(scores, protocols, baseline, columns, unit):
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
    page = page_values(table, protocols, columns, limits)
    for block in page["blocks"]:
        of_block = epochs.get((block["dataset"], block["protocol"]), {})
        block["epochs"] = epochs_in_words(of_block, baseline, labels)
        in_dataset = table[table["dataset"] == block["dataset"]]
        rows_of_block = in_dataset[in_dataset["protocol"] == block["protocol"]]
        block["lines"] = list(score_lines(rows_of_block, (labels or {}).get("arms")))
        block["drawing"] = forest(block["lines"], numbers=True)
    write_page(table_html, "scores.html", labels, title=title, level=LEVEL, unit=unit, **page)
    logger.info("%s: %d cells from %d runs", item, len(table), len(expected))
