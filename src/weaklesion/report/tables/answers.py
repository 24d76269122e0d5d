"""Does an auxiliary task help? The answers of several papers side by side."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from weaklesion.metrics.catalogue import measure_of
from weaklesion.report.pages import write_page, write_table
from weaklesion.report.tables.scores import direction, read_scores
from weaklesion.scoring.statistics import compare, holm, resolve_undefined, with_shared_seeds
from weaklesion.study.published import printed_gain, read_published

logger = logging.getLogger(__name__)

METRICS = ("dice", "hausdorff")


def tabulate_answers(
    *,
    runs: Sequence[Mapping[str, Any]],
    pairs: Sequence[Mapping[str, Any]],
    undefined: Mapping[str, str],
    published_yaml: str | Path,
    published_datasets: Mapping[str, str],
    title: str,
    table_csv: str | Path,
    table_html: str | Path,
) -> None:
    """Tabulate what each paper's auxiliary task adds, on each dataset.

    Args:
        runs: dataset, protocol, arm, seed, network, and the path `scores`.
        pairs: of each comparison: `paper`, `task` (in words), `arm`, `baseline`, `dataset` and
            `protocol`.
        undefined: protocol to what an empty prediction counts as.
        published_yaml: published numbers.
        published_datasets: our dataset's name to the papers'.
        title: the page's title.
        table_csv: written: a row a comparison and metric; `gain` is the arm's minus the baseline's,
            overlaps in percent, distances in px. `p_value` is uncorrected, `p_holm`
            corrected for the number of comparisons under a metric; `answer` follows the latter.
        table_html: written: the same for reading.
    """
    scores = read_scores([run["scores"] for run in runs], runs, METRICS)
    published = read_published(published_yaml)
    networks = {(run["dataset"], run["protocol"], run["arm"]): run["network"] for run in runs}
    rows = []
    for pair in pairs:
        place = (scores["dataset"] == pair["dataset"]) & (scores["protocol"] == pair["protocol"])
        resolved = resolve_undefined(scores[place], undefined[pair["protocol"]])  # type: ignore[arg-type]
        for metric in METRICS:
            of_metric = resolved[resolved["metric"] == metric]
            ours, theirs = with_shared_seeds(
                *(of_metric[of_metric["arm"] == pair[role]] for role in ("arm", "baseline"))
            )
            found = compare(ours, theirs)
            scale = measure_of(metric).scale
            name = published_datasets.get(pair["dataset"], "")
            rows.append(
                {
                    **pair,
                    **{
                        f"{role}_network": networks[(pair["dataset"], pair["protocol"], pair[role])]
                        for role in ("arm", "baseline")
                    },
                    "metric": metric,
                    "gain": scale * found.difference,
                    "ci_low": scale * found.ci_low,
                    "ci_high": scale * found.ci_high,
                    "p_value": found.p_value,
                    "detectable": scale * found.detectable,
                    "unknown": found.unknown,
                    "n_seeds": found.n_seeds,
                    "n_groups": found.n_groups,
                    "published_gain": printed_gain(
                        published, name, pair["arm"], pair["baseline"], metric
                    ),
                }
            )
    table = pd.DataFrame(rows)
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
    write_page(table_html, "answers.html", title=title, blocks=blocks)
    logger.info("%d comparisons: %s", len(table), table["answer"].value_counts().to_dict())
