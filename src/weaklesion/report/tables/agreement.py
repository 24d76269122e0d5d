"""The page of how far targets agree with dense references."""

import logging
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from weaklesion.report.pages import write_page, write_table

logger = logging.getLogger(__name__)


def tabulate_agreement(
    *,
    agreement_csvs: Sequence[str | Path],
    without_reference: Sequence[str],
    table_csv: str | Path,
    page_html: str | Path,
) -> None:
    """Make the table of all datasets and protocols.

    Args:
        agreement_csvs: files of `measure_agreement`.
        without_reference: datasets that have no dense reference; the page names them.
        table_csv: written: means, and how many values are undefined, by target.
        page_html: written.
    """
    columns = ["dataset", "protocol", "target", "n_samples", "dice", "hd95_px", "area_ratio_median",
               "n_undefined"]  # fmt: skip
    rows = []
    for path in agreement_csvs:
        table = pd.read_csv(path, dtype={"id": str})
        for key, group in table.groupby(["dataset", "protocol", "target"], sort=False):
            defined = group["hd95"].notna()
            rows.append(
                [*key, len(group), 100 * group["dice"].mean(), group["hd95"].mean(),
                 group["area_ratio"].median(), int((~defined).sum())]
            )  # fmt: skip
    table = pd.DataFrame(rows, columns=columns)
    write_table(table_csv, table)
    write_page(
        page_html, "agreement.html", rows=table.to_dict("records"), without=without_reference
    )
    logger.info("agreement of %d targets", len(table))
