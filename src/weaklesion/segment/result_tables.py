"""The tables of segmented and of refused marks."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from weaklesion.segment.outputs import MEASURED, MEASURED_IN_3D
from weaklesion.segment.visibility import not_visible
from weaklesion.support.spreadsheets import plain_rows
from weaklesion.support.tables import write_rows

logger = logging.getLogger(__name__)

MAX_WARNED = 20  # marks of a kind that the log names
REFUSED = ("line", "id", "cause")
SLICES = ("slice", "first_slice", "last_slice")  # columns of `measurements.csv`

Refusal = tuple[int, str, str]  # line (0 for a mark of a document), id, cause


def noted(row: dict[str, Any], cut_out: Mapping[str, str]) -> dict[str, Any]:
    """Return a row that also says why its volume is not larger."""
    reasons = [cut_out.get(row["id"]), row.get("volume_reason")]
    return row | {"volume_reason": "; ".join(filter(None, reasons))}


def as_counted(row: dict[str, Any], first: int) -> dict[str, Any]:
    """Return a row whose slices are numbered as in the user's table; until then they are indices.

    Args:
        row: of the journal.
        first: number that the table gives to the first slice.

    >>> as_counted({"slice": 4, "last_slice": None}, 1)
    {'slice': 5, 'last_slice': None}
    """
    return row | {name: row[name] + first for name in SLICES if row.get(name) is not None}


def without_short(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row without what it says of the mark's short diameter.

    >>> without_short({"given_long_px": 9.0, "given_short_px": 6.0, "short_difference_px": 0.5})
    {'given_long_px': 9.0, 'given_short_px': None, 'short_difference_px': None}
    """
    about = ("given_short_", "short_difference_")
    return row | {name: None for name in row if name.startswith(about)}


def write_tables(
    out: Path, rows: list[dict[str, Any]], refused: list[Refusal], volume: bool
) -> dict[str, int]:
    """Write `measurements.csv` and `refused.csv`; return the numbers of marks by kind of result."""
    columns = [*MEASURED, *(MEASURED_IN_3D if volume else ())]
    write_rows(out / "measurements.csv", columns, plain_rows(rows))
    refused.sort()
    for line, name, cause in refused:
        logger.warning("%srefused: %s", f"line {line}, {name}: " if line else "", cause)
    causes = plain_rows(
        [{"line": line or None, "id": name, "cause": cause} for line, name, cause in refused]
    )
    write_rows(out / "refused.csv", REFUSED, causes)
    unseen = not_visible(rows)
    _warn_of(unseen, "less contrast in its image than is usual (%.2f)", "contrast", "visible")
    outside = [row for row in rows if row["outside_training"]]
    what = "outside_training"
    _warn_of(outside, "outside what the network was trained on: %s", what, what)
    answers = Counter(row["answer"] for row in rows)
    kinds = ("network", "ellipse", "ends", "empty")
    return {kind: answers[kind] for kind in kinds} | {"refused": len(refused)}


def _warn_of(rows: Sequence[dict[str, Any]], text: str, value: str, column: str) -> None:
    """Log marks that the user should look at, each with a value; `column` tells all of them."""
    for row in rows[:MAX_WARNED]:
        logger.warning(f"line %d, %s: {text}", row["line"], row["id"], row[value])
    if len(rows) > MAX_WARNED:
        more = len(rows) - MAX_WARNED
        logger.warning("and %d more: see %s in measurements.csv", more, column)
