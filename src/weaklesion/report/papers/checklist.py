"""The checklists of MIDL, MICCAI, CLAIM and TRIPOD+AI, each item with what shows it."""

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from weaklesion.report.pages import write_page, write_table
from weaklesion.report.papers.evidence import REPOSITORY, check_item
from weaklesion.report.papers.facts import facts_of
from weaklesion.report.papers.study_files import StudyFiles
from weaklesion.study.labels import Labels
from weaklesion.support.yaml_files import read_yaml

logger = logging.getLogger(__name__)

COLUMNS = ["checklist", "number", "item", "state", "evidence", "lacking"]
SHOWN, MISSING = "shown", "missing"


def write_checklist(
    *,
    study: str,
    results: str | Path,
    citation_cff: str | Path,
    main_table: str,
    items_by_kind: Mapping[str, Sequence[str]],
    blocks: Sequence[Mapping[str, str]],
    runs: Sequence[Mapping[str, Any]],
    origins: Mapping[str, Mapping[str, str]],
    datasets_yaml: str | Path,
    checklists_yaml: str | Path,
    statements: Mapping[str, str],
    labels: Labels | None = None,
    checklist_csv: str | Path,
    checklist_html: str | Path,
) -> None:
    """Check every item of four checklists against a study's files, and write what was found.

    Args:
        study: name of the study.
        results: folder of the study.
        citation_cff: `CITATION.cff` of the repository, whose folder is the repository's.
        main_table: name of the study's main table, or "".
        items_by_kind: kind to the study's items of this kind.
        blocks: dataset, protocol, and the paths `samples` and `patches`.
        runs: dataset, protocol, arm, seed, the path `run`, and the paths `weights`, one per fold,
            of each training of the model card.
        origins: dataset to its key in `datasets_yaml`, see `facts_of`.
        datasets_yaml: what is known of each dataset's origin.
        checklists_yaml: items, and the rules that show each.
        statements: what the authors say, by topic.
        labels: which datasets are phantoms, see `weaklesion.study.labels.labels_of`.
        checklist_csv: written: one row per item.
        checklist_html: written: the same for reading, with links.

    Raises:
        ValueError: if an item has a rule of an unknown kind.
    """
    clone = Path(citation_cff).parent
    files = StudyFiles(
        results=Path(results),
        clone=clone,
        main_table=main_table,
        items=items_by_kind,
        blocks=blocks,
        runs=runs,
        facts=facts_of(datasets_yaml, origins, [block["dataset"] for block in blocks]),
        statements=statements,
    )
    checklists = read_yaml(checklists_yaml)
    rows = [
        _row(name, number, text, rules, files)
        for name, checklist in checklists.items()
        for number, text, rules in checklist["items"]
    ]
    table = pd.DataFrame(rows, columns=COLUMNS)
    write_table(checklist_csv, table)
    clone_from_page = os.path.relpath(clone, Path(checklist_html).parent)
    write_checklist_page(table, checklists, checklist_html, study, clone_from_page, labels)
    logger.info("%d of %d items are shown", (table["state"] == SHOWN).sum(), len(table))


def _row(
    name: str, number: object, text: str, rules: Sequence[Mapping[str, Any]], files: StudyFiles
) -> list[str]:
    found = check_item(rules, files)
    state = MISSING if found.lacking else SHOWN
    return [name, str(number), text, state, " ".join(found.evidence), found.lacking]


def write_checklist_page(
    table: pd.DataFrame,
    checklists: Mapping[str, Mapping[str, Any]],
    checklist_html: str | Path,
    study: str,
    clone_from_page: str,
    labels: Labels | None = None,
) -> None:
    """Write the page of a checked table.

    Args:
        table: columns `COLUMNS`; `evidence` has paths, separated by blanks.
        checklists: key to title and source.
        checklist_html: written.
        study: name of the study.
        clone_from_page: the repository's folder, relative to the page's folder.
        labels: see `write_checklist`.
    """
    shown = []
    for name, of_list in table.groupby("checklist", sort=False):
        rows = [
            {**row, "links": [_link(path, clone_from_page) for path in row["evidence"].split()]}
            for row in of_list.fillna("").to_dict("records")
        ]
        checklist = checklists[str(name)]
        shown.append(
            {"name": name, "title": checklist["title"], "source": checklist["source"]}
            | {"rows": rows, "shown": int((of_list["state"] == SHOWN).sum())}
        )
    write_page(checklist_html, "checklist.html", labels, study=study, checklists=shown)


def _link(path: str, clone_from_page: str) -> dict[str, str]:
    """Return address and text of a piece of evidence, for a page in `papers/`."""
    if path.startswith(REPOSITORY):
        inside = path.removeprefix(REPOSITORY)
        return {"href": f"{clone_from_page}/{inside}", "text": inside}
    return {"href": f"../{path}", "text": path}
