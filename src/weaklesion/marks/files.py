"""The file of a table of marks: its lines, and the state of the files that it names.

Uses only the standard library, because it is read wherever Snakemake itself runs.
"""

import csv
import hashlib
import io
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from weaklesion.errors import DataError
from weaklesion.support.listing import listed

MAX_LISTED = 10  # missing files that a message names


SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
OF_MARKS = ("image", "long_a_x")  # columns by which the header of a table of marks is known
MOST_TITLES = 10  # lines before a header


@dataclass(frozen=True)
class Lines:
    """The content of a CSV file.

    Attributes:
        header: names of the columns.
        rows: number of the line and fields of each row that is not blank.
        separator: what separates the fields: a key of `SEPARATORS`.
    """

    header: list[str]
    rows: list[tuple[int, list[str]]]
    separator: str


def read_table(path: Path, columns: Sequence[str] = ()) -> Lines:
    """Read a CSV file in UTF-8.

    Fields are separated by commas, semicolons or tabs: by the one that occurs most often in the
    header, or the one that a first line `sep=;` names, as spreadsheets write it.

    Args:
        path: the file.
        columns: names by which the header is known, so that lines with a title before it are
            skipped. If no line has them, the first line with more than one name is the header.

    Raises:
        DataError: if the file cannot be read or is empty.
    """
    table = _read_whole(path, columns)
    rows = [(line, row) for line, row in table.rows if any(field.strip() for field in row)]
    return Lines(table.header, rows, table.separator)


def _read_whole(path: Path, columns: Sequence[str]) -> Lines:
    """Return the same with rows whose fields are all blank, but not those without a separator."""
    try:
        text = io.StringIO(path.read_bytes().decode("utf-8-sig"), newline=None).read()
        named = re.match("sep=([,;\t])\n", text, re.IGNORECASE)
        before = 1 if named else 0
        text = text[named.end() :] if named else text
        titles = _lines_before_header(text, columns)
        before, text = before + titles, text.split("\n", titles)[titles]
        first = text.partition("\n")[0]
        separator = named[1] if named else max(SEPARATORS, key=first.count)
        reader = csv.reader(
            io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True
        )
        header = [name.strip() for name in next(reader)]
        rows = [(before + reader.line_num, fields) for fields in reader]
    except StopIteration as error:
        raise DataError(f"{path}: is empty. Give a CSV file with a header.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not in UTF-8 ({error}). Save it as `CSV UTF-8`.") from error
    except (OSError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as a table ({error}). Give a CSV file.") from error
    return Lines(header, [(line, row) for line, row in rows if row], separator)


def _lines_before_header(text: str, columns: Sequence[str]) -> int:
    first = None  # line with more than one name
    for number, line in enumerate(text.split("\n", MOST_TITLES)[:MOST_TITLES] if columns else []):
        separator = max(SEPARATORS, key=line.count)
        names = {name.strip().strip('"') for name in line.split(separator)}
        if names.issuperset(columns):
            return number
        if first is None and len(names - {""}) > 1:
            first = number
    return first or 0


def read_records(
    path: Path, columns: Sequence[str], cure: str
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the rows of a table that a publisher gives, with their lines; missing fields are "".

    Args:
        path: the table.
        columns: columns that it needs.
        cure: what to do about a table that is another one.

    Raises:
        DataError: if the file cannot be read or is empty, a column is missing or occurs twice, or
            a row has more fields than the header.
    """
    table = _read_whole(path, ())
    missing = [name for name in columns if name not in table.header]
    if missing:
        raise DataError(f"{path}: column {', '.join(missing)} is missing. {cure}")
    twice = [name for name in columns if table.header.count(name) > 1]
    if twice:
        raise DataError(f"{path}: column {', '.join(twice)} occurs twice. {cure}")
    for line, fields in table.rows:
        if any(field.strip() for field in fields[len(table.header) :]):
            raise DataError(
                f"{path}, line {line}: has {len(fields)} fields, but the header has"
                f" {len(table.header)}. {cure}"
            )
        yield line, dict(zip_longest(table.header, fields[: len(table.header)], fillvalue=""))


def read_lines(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the header of a table of marks, and its rows that are not blank.

    Returns:
        Names of the columns; and the number of the line and the fields of each row.

    Raises:
        DataError: if the file cannot be read or is empty.
    """
    lines = read_table(path, OF_MARKS)
    return lines.header, lines.rows


def state_of_files(marks_csv: str | Path, *columns: str, all_needed: bool) -> str:
    """Return a digest of the sizes and times of the files that a table names.

    The digest changes when one of the files does. Paths are relative to the table's folder.

    Args:
        marks_csv: the table.
        columns: columns whose values are files.
        all_needed: whether a missing file is an error. If all files are missing, this always is an
            error: a disk is then probably missing, and the results made from it must not be lost.

    Raises:
        DataError: naming the first missing files.
    """
    path = Path(marks_csv)
    header, lines = read_lines(path)
    states: dict[str, str] = {}
    missing: dict[str, int] = {}
    for line, fields in lines:
        row = dict(zip(header, fields, strict=False))
        for name in (row.get(column, "").strip() for column in columns):
            if not name or name in states or name in missing:
                continue
            if os.path.isfile(path.parent / name):  # never raises, unlike Path.is_file
                stat = (path.parent / name).stat()
                states[name] = f"{stat.st_size} {stat.st_mtime_ns}"
            else:
                missing[name] = line
    if missing and (all_needed or not states):
        lines_of = [f"line {line}: {name}" for name, line in missing.items()]
        named = listed(lines_of, MAX_LISTED, separator="; ")
        otherwise = (
            " To go on without the marks of these files, give the protocol's `patches`"
            " `on_bad_sample: drop`."
            if states
            else ""
        )
        raise DataError(
            f"{path}: {len(missing)} of the {len(missing) + len(states)} files that it names do"
            f" not exist: {named}. Check that their disk is mounted; paths are"
            f" relative to the table's folder.{otherwise}"
        )
    text = "\n".join(f"{name} {state}" for name, state in sorted(states.items()))
    return hashlib.sha256(text.encode()).hexdigest()
