"""Table 8: the accuracy of the second task, beside the accuracy of guesses."""

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from weaklesion.report.pages import write_page, write_table
from weaklesion.splits import SPLITS
from weaklesion.study.labels import Labels
from weaklesion.study.published import read_published
from weaklesion.support.files import read_json

logger = logging.getLogger(__name__)


def tabulate_accuracy(
    *,
    runs: Sequence[Mapping[str, Any]],
    published_yaml: str | Path,
    published_datasets: Mapping[str, str],
    title: str,
    labels: Labels | None = None,
    table_csv: str | Path,
    table_html: str | Path,
) -> None:
    """Tabulate the accuracies of several runs, mean and sample deviation over seeds, in percent.

    Args:
        runs: dataset, protocol, arm, seed, network, and the path `accuracy`.
        published_yaml: published numbers; the paper prints those of A1+L.
        published_datasets: our dataset's name to the paper's.
        title: the page's title.
        labels: what the page calls datasets and arms, see `weaklesion.study.labels.labels_of`.
        table_csv: written: one row per dataset, protocol, arm and split.
        table_html: written: the same for reading.
    """
    table = _means_over_seeds(runs)
    table["chance"] = 100 / table["num_classes"]
    paper_values = read_published(published_yaml)["table8_classification_accuracy_percent"]
    table["published"] = [
        float(paper_values.get(published_datasets.get(dataset, ""), {}).get(split, math.nan))
        if arm == "a1l"
        else math.nan
        for dataset, arm, split in table[["dataset", "arm", "split"]].to_numpy()
    ]
    write_table(table_csv, table)
    write_page(table_html, "accuracy.html", labels, title=title, rows=table.to_dict("records"))
    logger.info("accuracy of %d runs", len(runs))


def _means_over_seeds(runs: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return one row per dataset, protocol, arm and split, in percent."""
    rows = []
    for run in runs:
        accuracies = read_json(run["accuracy"])
        for split in SPLITS:
            rows.append(
                {key: run[key] for key in ("dataset", "protocol", "arm", "network")}
                | {"split": split, "num_classes": accuracies["num_classes"]}
                | {key: accuracies[split][key] for key in ("accuracy", "majority", "num_samples")}
            )
    keys = ["dataset", "protocol", "arm", "network", "num_classes", "split", "num_samples"]
    frame = pd.DataFrame(rows)
    frame[["accuracy", "majority"]] *= 100
    return (
        frame.groupby(keys, sort=False)
        .agg(
            n_seeds=("accuracy", "size"),
            accuracy=("accuracy", "mean"),
            std=("accuracy", "std"),
            majority=("majority", "mean"),
        )
        .reset_index()
    )
