"""Section 7.6: how many parameters each network has."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from weaklesion.errors import DataError
from weaklesion.report.pages import write_page, write_table
from weaklesion.study.labels import Labels
from weaklesion.study.published import printed_parameters, read_published
from weaklesion.support.files import read_json

logger = logging.getLogger(__name__)


def tabulate_parameters(
    *,
    runs: Sequence[Mapping[str, Any]],
    published_yaml: str | Path,
    published_datasets: Mapping[str, str],
    title: str,
    labels: Labels | None = None,
    table_csv: str | Path,
    table_html: str | Path,
) -> None:
    """Tabulate the numbers of parameters that training runs counted in their networks.

    Args:
        runs: dataset, protocol, arm, seed, network, and the path `run`.
        published_yaml: published numbers.
        published_datasets: our dataset's name to the paper's.
        title: the page's title.
        labels: what the page calls datasets and arms, see `weaklesion.study.labels.labels_of`.
        table_csv: written: one row per dataset, protocol and arm; `num_classes` is empty without a
            second task.
        table_html: written: the same for reading.

    Raises:
        DataError: if two seeds of an arm have different numbers.
    """
    rows = []
    for run in runs:
        run_info = read_json(run["run"])
        rows.append(
            {key: run[key] for key in ("dataset", "protocol", "arm", "network")}
            | {"num_classes": run_info["settings"]["num_classes"]}
            | {"parameters": run_info["num_parameters"]}
        )
    table = pd.DataFrame(rows).astype({"num_classes": "Int64"}).drop_duplicates()
    twice = table.duplicated(["dataset", "protocol", "arm"])
    if twice.any():
        arm = table.loc[twice, "arm"].iloc[0]
        raise DataError(f"{arm}: its seeds have networks of different sizes. Train it again.")
    published = read_published(published_yaml)
    table["published"] = pd.array(
        [
            printed_parameters(published, arm, published_datasets[dataset])
            if dataset in published_datasets
            else None
            for dataset, arm in table[["dataset", "arm"]].to_numpy()
        ],
        dtype="Int64",
    )
    table["difference"] = table["parameters"] - table["published"]
    write_table(table_csv, table)
    page_rows = table.astype(object).where(table.notna(), None).to_dict("records")
    write_page(table_html, "parameters.html", labels, title=title, rows=page_rows)
    logger.info("parameters of %d networks", len(table))
