"""Tables as CSV files without pandas, which what `weaklesion segment` installs lacks."""

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from weaklesion.support.files import written_whole


def write_rows(
    path: str | Path,
    columns: Sequence[str],
    rows: Iterable[Mapping[str, Any]],
    float_format: str = "%.8g",
) -> None:
    """Write rows as CSV, as `pandas.DataFrame.to_csv` writes them.

    Args:
        path: file to write.
        columns: names of the columns, in their order; other values of a row are left out.
        rows: cells by column. What is None, nan or absent is written as an empty cell.
        float_format: form of numbers that are not integers.
    """
    with written_whole(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(columns)
        for row in rows:
            writer.writerow([_cell(row.get(name), float_format) for name in columns])


def _cell(value: Any, float_format: str) -> str:
    """Return the text of a cell.

    >>> [_cell(value, "%.8g") for value in (None, float("nan"), 0.5, 7, True, "a")]
    ['', '', '0.5', '7', 'True', 'a']
    """
    if value is None:
        return ""
    if isinstance(value, float):  # or numpy.float64
        return "" if math.isnan(value) else float_format % value
    return str(value)


def read_column(path: str | Path, name: str) -> list[str]:
    """Return the texts of one column of a CSV file, "" where it is empty."""
    with Path(path).open(encoding="utf-8", newline="") as table:
        return [row[name] for row in csv.DictReader(table)]
