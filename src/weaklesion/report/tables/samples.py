"""The account of a dataset: files, samples kept by split, and every reason to leave one out."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from weaklesion.report.pages import write_page
from weaklesion.study.labels import Labels
from weaklesion.support.files import read_json

logger = logging.getLogger(__name__)


def tabulate_samples(
    *, blocks: Sequence[Mapping[str, Any]], labels: Labels | None = None, page_html: str | Path
) -> None:
    """Write a page with the accounts of some datasets and protocols.

    Args:
        blocks: `dataset`, `protocol`, `source` and `patches` (path of patches.json) of each.
        labels: what the page calls datasets, see `weaklesion.study.labels.labels_of`.
        page_html: written.
    """
    accounts = [{**block, **read_json(block["patches"])} for block in blocks]
    write_page(page_html, "samples.html", labels, accounts=accounts)
    logger.info("accounts of %d datasets and protocols", len(accounts))
