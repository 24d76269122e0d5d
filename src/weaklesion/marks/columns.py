"""The columns of a user's table: own names for them, and decimal commas."""

import logging
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

from weaklesion.errors import DataError
from weaklesion.marks.files import SEPARATORS, Lines
from weaklesion.recist import RECIST_COLUMNS
from weaklesion.support.listing import listed

logger = logging.getLogger(__name__)

REQUIRED = ("image", *RECIST_COLUMNS)
OPTIONAL = (
    "id", "slice", "spacing_x", "spacing_y", "group", "split", "mask", "lesion", "lymph_node",
)  # fmt: skip
NUMBERS = (*RECIST_COLUMNS, "slice", "spacing_x", "spacing_y")
KNOWN = (*REQUIRED, *OPTIONAL)
OF_THOUSANDS = re.compile(r"-?[1-9][0-9]{0,2}(,[0-9]{3})+")
MAX_SHOWN = 20  # columns of a table that a message names


def parse_columns(texts: Sequence[str]) -> dict[str, str]:
    """Return the own names of columns from texts such as `long_a_x=X1,long_a_y=Y1`.

    A comma separates two columns only where a known name and `=` follow it, because own names may
    contain commas.

    Raises:
        DataError: if a text does not begin with a known name and `=`, names no column, or names a
            column twice.

    >>> parse_columns(["image=File, name,long_a_x=X1", "slice=Slice"])
    {'image': 'File, name', 'long_a_x': 'X1', 'slice': 'Slice'}
    """
    before_name = re.compile(rf",\s*(?=(?:{'|'.join(KNOWN)})\s*=)")
    columns: dict[str, str] = {}
    for part in (part for text in texts for part in before_name.split(text)):
        ours, equals, theirs = (word.strip() for word in part.partition("="))
        if not equals or not theirs or ours not in KNOWN:
            raise DataError(
                f"columns: {part!r} is not of the form long_a_x=X1,long_a_y=Y1, with one of"
                f" {', '.join(KNOWN)} before the equals sign."
            )
        if ours in columns:
            raise DataError(f"columns: {ours} is given twice, as {columns[ours]} and {theirs}.")
        columns[ours] = theirs
    return columns


def columns_option(columns: Mapping[str, str]) -> str:
    """Return the option of the command line for own names, as a shell reads it.

    >>> columns_option({"image": "File name", "slice": "Slice"})
    "--columns 'image=File name,slice=Slice'"
    """
    return f"--columns {shlex.quote(','.join(f'{ours}={columns[ours]}' for ours in columns))}"


def places_of_columns(path: Path, table: Lines, columns: Mapping[str, str]) -> dict[str, int]:
    """Return the place of each known column in a table's rows.

    Args:
        path: the table, for messages.
        table: its content.
        columns: the table's own names of columns.

    Raises:
        DataError: if a required column, or one with an own name, is missing, or there is only one.
            The message names the separator and columns with a similar name.
    """
    header = table.header
    if len(header) == 1:
        raise DataError(
            f"{path}: its header has only one column, `{header[0]}`. Separate the columns by"
            f" commas, semicolons or tabs. It needs {', '.join(REQUIRED)}."
        )
    absent = [theirs for theirs in columns.values() if theirs not in header]
    if absent:
        raise DataError(
            f"{path}: has no {_columns(absent)}, which --columns names. It has"
            f" {_shown(header)}, separated by {SEPARATORS[table.separator]}."
        )
    named = {name: columns.get(name, name) for name in KNOWN}
    missing = [name for name in REQUIRED if named[name] not in header]
    if missing:
        raise DataError(
            f"{path}: lacks the {_columns(missing)}. It has {_shown(header)}, separated by"
            f" {SEPARATORS[table.separator]}. {_cure(header, columns, missing)} It needs"
            f" {', '.join(REQUIRED)}, separated by commas, semicolons or tabs, and may have"
            f" {', '.join(OPTIONAL)}."
        )
    check_once(path, header, list(named.values()))
    unused = [theirs for theirs in header if theirs and theirs not in named.values()]
    if unused:
        logger.info("%s: not used: %s", path, _shown(unused))
    for name in OPTIONAL:
        if named[name] not in header and (theirs := _similar(name, unused)):
            logger.warning(
                "%s: the column `%s` is not read. If it is %s, give %s, or rename the column",
                path,
                theirs,
                name,
                columns_option({**columns, name: theirs}),
            )
    return {name: header.index(theirs) for name, theirs in named.items() if theirs in header}


def _cure(header: Sequence[str], columns: Mapping[str, str], missing: Sequence[str]) -> str:
    """Return what to do about missing columns, with the option that names them all."""
    named = {name: columns.get(name, name) for name in KNOWN}
    others = [theirs for theirs in header if theirs not in named.values()]
    similar = {name: theirs for name in missing if (theirs := _similar(name, others))}
    if not similar:
        option = columns_option({**columns, **dict.fromkeys(missing, "YOURS")})
        return (
            f"If it has other names for them, rename them, or give {option} to `weaklesion"
            " segment`, with your names for YOURS (a study reads no other names)."
        )
    for name in OPTIONAL:
        same = [theirs for theirs in others if _words(theirs) == name.split("_")]
        if named[name] not in header and same:
            similar[name] = same[0]
    return (
        f"Found {', '.join(f'`{theirs}`' for theirs in similar.values())}; rename, or give"
        f" {columns_option({**columns, **similar})} to `weaklesion segment` (a study reads no"
        " other names)."
    )


def check_once(path: Path, header: Sequence[str], names: Sequence[str]) -> None:
    """Check that a table has no column twice.

    Raises:
        DataError: naming those of `names` that occur more than once.
    """
    twice = [name for name in dict.fromkeys(names) if header.count(name) > 1]
    if twice:
        raise DataError(
            f"{path}: has the {_columns(twice)} more than once. Remove or rename the others."
        )


def _similar(name: str, header: Sequence[str]) -> str:
    """Return the column that a user may mean by a name; "" without one.

    Case, blanks and hyphens may differ (`Spacing X`), words may be added (`pixel_spacing_x`), the
    axis of a spacing may be missing, and a name of one word may be spelt otherwise (`slices`).
    """
    words_of = {one: _words(one) for one in header}
    words = name.split("_")
    needed = words[:1] if name.startswith("spacing") else words
    other_axis = {"spacing_x": "y", "spacing_y": "x"}.get(name)
    ways: list[Callable[[list[str]], bool]] = [
        lambda theirs: theirs == words,
        lambda theirs: len(words) > 1 and set(words) <= set(theirs),
        lambda theirs: len(words) > 1 and set(needed) <= set(theirs) and other_axis not in theirs,
        lambda theirs: (
            len(words) == len(theirs) == 1 and bool(get_close_matches(name, theirs, 1, 0.85))
        ),
    ]
    for way in ways:
        for one, theirs in words_of.items():
            if way(theirs):
                return one
    return ""


def _words(name: str) -> list[str]:
    return [word for word in re.split(r"[\W_]+", name.casefold()) if word]


def _columns(names: Sequence[str]) -> str:
    return f"column{'s' if len(names) > 1 else ''} {', '.join(names)}"


def _shown(header: Sequence[str]) -> str:
    names = listed([f"`{name}`" for name in header], MAX_SHOWN)
    return f"the columns {names}" if len(header) > 1 else f"the one column {names}"


def point_decimals(
    path: Path, table: Lines, coordinates: Sequence[int], others: Sequence[int]
) -> list[tuple[int, list[str]]]:
    """Return a table's rows with decimal points for decimal commas.

    Commas are decimal commas if fields are separated by something else, and no number has a point.
    Otherwise the rows are returned as they are.

    Args:
        path: the table's file.
        table: the table.
        coordinates: places of the columns that are coordinates.
        others: places of the other columns that are numbers.

    Raises:
        DataError: if the commas may separate thousands: three digits follow each, and they stand in
            some coordinates only, or in none above ten.
    """
    places = [*coordinates, *others]
    numbers = [row[place].strip() for _, row in table.rows for place in places if place < len(row)]
    if table.separator == "," or any("." in text for text in numbers):
        return table.rows
    with_comma = [text for text in numbers if "," in text]
    if not with_comma:
        return table.rows
    if all(OF_THOUSANDS.fullmatch(text) for text in with_comma):
        plain = [
            row[place].strip()
            for _, row in table.rows
            for place in coordinates
            if place < len(row) and "," not in row[place]
        ]
        below_ten = all(re.match("-?[0-9],", text) for text in with_comma)
        if any(plain) or below_ten:
            raise DataError(
                f"{path}: {with_comma[0]} may be {with_comma[0].replace(',', '.')} with a decimal"
                f" comma, or {with_comma[0].replace(',', '')} with a comma between thousands. Write"
                " the numbers without commas between thousands, or with decimal points."
            )
    return [
        (line, [text.replace(",", ".") if i in places else text for i, text in enumerate(row)])
        for line, row in table.rows
    ]
