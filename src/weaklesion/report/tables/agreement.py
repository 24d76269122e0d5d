"""The page that says how well targets agree with dense references."""

import logging
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from weaklesion.report.pages import write_page, write_table
from weaklesion.study.labels import Labels

logger = logging.getLogger(__name__)

TARGETS = {
    "ellipse": "RECIST ellipse",
    "grabcut_rect": "GrabCut from a rectangle",
    "grabcut_trimap": "GrabCut from a trimap",
}
COLUMNS = ["dataset", "protocol", "target", "n_samples", "dice", "hd95_px", "area_ratio_median",
           "n_undefined"]  # fmt: skip


def tabulate_agreement(
    *,
    agreement_csvs: Sequence[str | Path],
    without_reference: Sequence[str],
    labels: Labels | None = None,
    mark_note: str = "",
    table_csv: str | Path,
    page_html: str | Path,
) -> None:
    """Make the table of all datasets and protocols.

    Args:
        agreement_csvs: files of `measure_agreement`.
        without_reference: datasets without a dense reference; the page names them.
        labels: what the page calls datasets and arms, see `weaklesion.study.labels.labels_of`.
        mark_note: how marks were simulated, if not as in the paper; the page says so.
        table_csv: written: one row per target, with means and the number of undefined values.
        page_html: written.
    """
    rows = []
    for path in agreement_csvs:
        samples = pd.read_csv(path, dtype={"id": str})
        for key, group in samples.groupby(["dataset", "protocol", "target"], sort=False):
            undefined = group["hd95"].isna()
            rows.append(
                [*key, len(group), 100 * group["dice"].mean(), group["hd95"].mean(),
                 group["area_ratio"].median(), int(undefined.sum())]
            )  # fmt: skip
    table = pd.DataFrame(rows, columns=COLUMNS)
    write_table(table_csv, table)
    write_page(
        page_html,
        "agreement.html",
        labels,
        targets=TARGETS,
        rows=table.to_dict("records"),
        without=without_reference,
        mark_note=mark_note,
    )
    logger.info("agreement of %d targets", len(table))
