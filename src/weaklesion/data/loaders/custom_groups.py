"""Groups and splits of a user's own marks."""

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from scipy.cluster.hierarchy import DisjointSet

from weaklesion.data.alike import equal_files, one_spelling
from weaklesion.errors import DataError
from weaklesion.marks.table import Mark
from weaklesion.splits import SPLITS, grouped_split
from weaklesion.support.spreadsheets import formula_problem, is_computed

logger = logging.getLogger(__name__)

Refusal = tuple[int, str, str]  # line, id and cause


def with_split(marks: Sequence[Mark]) -> tuple[list[Mark], list[Refusal]]:
    """Return the marks whose split can be used, and the refusals of all others."""
    if not any(mark.split for mark in marks):
        return list(marks), []
    allowed = ", ".join(SPLITS)
    return [mark for mark in marks if mark.split in SPLITS], [
        (mark.row, mark.id, f"split is {mark.split!r}, not one of {allowed}")
        for mark in marks
        if mark.split not in SPLITS
    ]


def with_plain_names(marks: Sequence[Mark]) -> tuple[list[Mark], list[Refusal]]:
    """Return the marks whose id and group no spreadsheet computes, and the refusals of others."""
    problems = [formula_problem({"id": mark.id, "group": mark.group}) for mark in marks]
    told = list(zip(marks, problems, strict=True))
    return [mark for mark, problem in told if not problem], [
        (mark.row, mark.id, problem) for mark, problem in told if problem
    ]


def groups_of(marks: Sequence[Mark], folder: Path) -> dict[str, str]:
    """Return the group of each mark by its id: marks that share a named group or an image.

    Names that barely differ (case, blanks, zeros before a number) are one group. Files of equal
    bytes are one image, unless the table has splits of its own. Both are logged. A group has the
    name of its first mark's own group or, without one, of the image's path relative to `folder`.
    """
    named = [mark for mark in marks if mark.group]
    spelt = one_spelling([mark.group for mark in named], "group")
    group_of = {mark.id: group for mark, group in zip(named, spelt, strict=True)}
    together = DisjointSet()
    for mark in marks:
        image = "image", os.path.realpath(mark.image)
        together.add(image)
        if mark.id in group_of:
            together.add(("group", group_of[mark.id]))
            together.merge(image, ("group", group_of[mark.id]))
    own_splits = any(mark.split for mark in marks)
    for alike in equal_files(Path(os.path.realpath(mark.image)) for mark in marks):
        logger.warning("one image under several names: %s", ", ".join(map(str, alike)))
        for other in [] if own_splits else alike[1:]:
            together.merge(("image", str(alike[0])), ("image", str(other)))
    names: dict[tuple[str, str], str] = {}
    groups = {}
    for mark in marks:
        root = together[("image", os.path.realpath(mark.image))]
        groups[mark.id] = names.setdefault(root, mark.group or source_of(mark, folder))
    return groups


def source_of(mark: Mark, folder: Path) -> str:
    """Return the path of a mark's image, relative to the table's folder.

    It begins with `./` where a spreadsheet would compute it otherwise.
    """
    path = os.path.relpath(os.path.realpath(mark.image), os.path.realpath(folder))
    return f"./{path}" if is_computed(path) else path


def split_marks(
    marks: Sequence[Mark], groups: Mapping[str, str], *, seed: int, table_csv: str | Path
) -> dict[str, list[str]]:
    """Split samples by the table's own splits, or by group if it has none.

    Args:
        marks: the usable marks of the table.
        groups: sample id to group, of the samples to split.
        seed: decides the order of the groups.
        table_csv: the table, for messages.

    Raises:
        DataError: if a split is empty.
    """
    split_of = {mark.id: mark.split for mark in marks if mark.split}
    if split_of:
        ids = {split: [name for name in groups if split_of[name] == split] for split in SPLITS}
    else:
        ids = grouped_split(groups, seed=seed)
    empty = [split for split, names in ids.items() if not names]
    if empty:
        raise DataError(
            f"{table_csv}: {len(groups)} marks in {len(set(groups.values()))} groups leave"
            f" nothing for {', '.join(empty)}. At least three groups (patients, or images) are"
            " needed, or marks of every split in the column split."
        )
    return ids
