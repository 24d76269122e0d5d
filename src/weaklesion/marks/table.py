"""A user's table of RECIST marks on images of any kind.

One row per mark, fields separated by commas, semicolons or tabs. Required columns: `image`, a path
relative to the table's folder; and the ends of both diameters, `long_a_x, long_a_y, long_b_x, ...
short_b_y`, in px, where the centre of the first pixel is (0, 0) (NIfTI: voxels along the first two
axes). Optional columns: `id`; `slice` (NIfTI: index along the third axis, from 0); `spacing_x` and
`spacing_y` (mm per px). Only training uses `group`, `split` and `mask`: see
`weaklesion.data.loaders.custom`. Only DICOM exports use `lesion` and `lymph_node` (`yes` or `no`):
see `weaklesion.dicom.table_lesions`.
"""

import logging
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from weaklesion.ellipse import Ellipse, draw_ellipse
from weaklesion.errors import DataError
from weaklesion.marks.columns import NUMBERS, places_of_columns, point_decimals
from weaklesion.marks.files import OF_MARKS, SEPARATORS, read_table
from weaklesion.recist import RECIST_COLUMNS, diameter_crossing, ellipse_from_recist
from weaklesion.support.reading import number_in

logger = logging.getLogger(__name__)

REACH = 0.5  # fraction of their length by which diameters may miss each other; real marks do
UNSAFE = {*'/\\:*?"<>|', *map(chr, range(32))}
LONGEST_ID = 200  # bytes: file systems allow 255, with the ending
SMALLEST_MM, LARGEST_MM = 1e-6, 1e4  # mm per px: from electron microscopes to maps
LEAST_PX = 0.5  # shortest diameter
ROUNDING_PX = 0.001  # by which coordinates may be off that were computed, or written with decimals
ENDS = ("long a", "long b", "short a", "short b")
LEAST_ANGLE_DEG = 45.0  # between the diameters; one of 9,921 real marks is below it

# Words that pandas.read_csv reads back as a missing value
NO_NAME = {
    "NA", "N/A", "n/a", "<NA>", "#NA", "#N/A", "#N/A N/A", "NaN", "nan", "-NaN", "-nan",
    "NULL", "null", "None", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN",
}  # fmt: skip


class BadMarkError(DataError):
    """A mark that cannot be used; the message is its cause."""


class UnreadableError(BadMarkError):
    """A mark whose image, or other file, cannot be found or opened; it may be found again."""


@dataclass(frozen=True)
class Mark:
    """One row of the table.

    Attributes:
        row: number of the line in the file; the header is line 1.
        id: name of the mark's files.
        image: path of the image.
        slice: index along a volume's third axis, or None.
        points: (4, 2) x and y of the ends, px.
        spacing: mm per px of x and y, or None.
        group: name of the patient or lesion, or "".
        split: name of the split, or "".
        mask: path of the lesion's dense mask, or None.
        lesion: name of the lesion over studies, or "".
        lymph_node: whether the lesion is one, or None if the row does not say.
        first_slice: number that the table gives to the first slice, in which messages count.
    """

    row: int
    id: str
    image: Path
    slice: int | None
    points: np.ndarray
    spacing: tuple[float, float] | None
    group: str = ""
    split: str = ""
    mask: Path | None = None
    lesion: str = ""
    lymph_node: bool | None = None
    first_slice: int = 0


def read_marks(
    marks_csv: str | Path, *, columns: Mapping[str, str] | None = None, first_slice: int = 0
) -> tuple[list[Mark], list[tuple[int, str, str]]]:
    """Read a table of marks.

    Args:
        marks_csv: the table. Fields are separated by commas, semicolons or tabs, as its header is.
            Where they are not separated by commas, numbers may have decimal commas.
        columns: the table's own name of each column that it names otherwise.
        first_slice: number that the table gives to the first slice of a volume.

    Returns:
        The marks; and line, id and cause of each refused row.

    Raises:
        DataError: if the file cannot be read, is empty or lacks a column, or its commas may be
            those between thousands.
    """
    path = Path(marks_csv)
    own = columns or {}
    table = read_table(path, [own.get(name, name) for name in OF_MARKS])
    places = places_of_columns(path, table, own)
    if not table.rows:
        raise DataError(f"{path}: has no row. Give at least one mark.")
    coordinates = [places[name] for name in RECIST_COLUMNS]
    others = [places[name] for name in NUMBERS[len(RECIST_COLUMNS) :] if name in places]
    lines = point_decimals(path, table, coordinates, others)
    if table.separator != ",":
        commas = "" if lines is table.rows else " and decimal commas"
        logger.info("%s: read with %s%s", path, SEPARATORS[table.separator], commas)
    marks: list[Mark] = []
    refused: list[tuple[int, str, str]] = []
    line_of_id: dict[str, int] = {}
    for line, fields in lines:
        row = {name: fields[place] if place < len(fields) else "" for name, place in places.items()}
        name = row.get("id", "").strip() or f"mark-{line - 1:05d}"
        try:
            check_fields(fields, table.header)
            if name.casefold() in line_of_id:  # some file systems treat A and a as equal
                raise BadMarkError(
                    f"the id {name} is also that of line {line_of_id[name.casefold()]}"
                )
            if UNSAFE & set(name) or name.startswith(".") or len(name.encode()) > LONGEST_ID:
                raise BadMarkError(f"the id {name} cannot name a file")
            if name in NO_NAME:
                raise BadMarkError(f"the id {name} would be read back as a missing value")
            group, lesion = (row.get(column, "").strip() for column in ("group", "lesion"))
            marks.append(
                Mark(
                    row=line,
                    id=name,
                    image=path.parent / _file_name(row["image"], "image"),
                    slice=_slice(row.get("slice", ""), first_slice),
                    points=points_of(row),
                    spacing=_spacing(row.get("spacing_x", ""), row.get("spacing_y", "")),
                    group="" if group in NO_NAME else group,
                    split=row.get("split", "").strip().casefold(),
                    mask=path.parent / _file_name(row["mask"], "mask")
                    if row.get("mask", "").strip()
                    else None,
                    lesion="" if lesion in NO_NAME else lesion,
                    lymph_node=_yes_or_no(row.get("lymph_node", ""), "lymph_node"),
                    first_slice=first_slice,
                )
            )
            line_of_id[name.casefold()] = line
        except BadMarkError as error:
            refused.append((line, name, str(error)))
    return marks, refused


def grouped_by_image(marks: Sequence[Mark]) -> list[Mark]:
    """Return marks with those of one image together, so that each volume is read in one pass."""
    first: dict[Path, int] = {}
    for index, mark in enumerate(marks):
        first.setdefault(mark.image, index)
    return sorted(marks, key=lambda mark: first[mark.image])


def _number(text: str, column: str) -> float:
    try:
        value = number_in(text)
    except ValueError as error:
        comma = re.fullmatch(r"\s*[+-]?\d+,\d+\s*", text)
        cure = (
            ": write decimal points in the whole table, or decimal commas in the whole table and"
            " semicolons between its columns"
            if comma
            else ""
        )
        raise BadMarkError(f"{column} is {text!r}, which is not a number{cure}") from error
    if not math.isfinite(value):
        raise BadMarkError(f"{column} is {text!r}, which is not finite")
    return value


def _file_name(text: str, column: str) -> str:
    name = text.strip()
    if not name:
        raise BadMarkError(f"{column} is empty")
    if "\0" in name:
        raise BadMarkError(f"{column} contains a zero byte")
    return name


def _yes_or_no(text: str, column: str) -> bool | None:
    word = text.strip().casefold()
    if not word:
        return None
    if word not in ("yes", "no"):
        raise BadMarkError(f"{column} is {text!r}: write yes, no, or nothing")
    return word == "yes"


def _slice(text: str, first: int) -> int | None:
    if not text.strip():
        return None
    value = _number(text, "slice")
    if value != int(value) or value < first:
        raise BadMarkError(f"slice is {text!r}, which is not an index from {first}")
    return int(value) - first


def _spacing(x: str, y: str) -> tuple[float, float] | None:
    if not x.strip() and not y.strip():
        return None
    if not x.strip() or not y.strip():
        raise BadMarkError("spacing_x and spacing_y: one of them is empty")
    values = _number(x, "spacing_x"), _number(y, "spacing_y")
    if min(values) <= 0:
        raise BadMarkError(f"spacing is {values}, but mm per px must be above 0")
    if not SMALLEST_MM <= min(values) <= max(values) <= LARGEST_MM:
        raise BadMarkError(
            f"spacing is {values} mm per px, not within {SMALLEST_MM:g} and {LARGEST_MM:g}"
        )
    return values


def check_fields(fields: Sequence[str], header: Sequence[str]) -> None:
    """Check that a row has no more fields than the header.

    Raises:
        BadMarkError: if it has.
    """
    if any(field.strip() for field in fields[len(header) :]):
        raise BadMarkError(
            f"{len(fields)} fields, but the header has {len(header)}: decimal commas? Separate the"
            " columns by semicolons then"
        )


def points_of(row: Mapping[str, str]) -> np.ndarray:
    """Return the ends of a row's diameters, (4, 2) x and y, px.

    Args:
        row: texts by name of the column; all of `RECIST_COLUMNS` are there.

    Raises:
        BadMarkError: if one is empty, or not a finite number.
    """
    empty = [name for name in RECIST_COLUMNS if not row[name].strip()]
    if len(empty) == len(RECIST_COLUMNS):
        raise BadMarkError("both diameters are empty")
    for which in ("long", "short"):
        if {name for name in RECIST_COLUMNS if name.startswith(which)} == set(empty):
            raise BadMarkError(f"the {which} diameter is empty")
    if empty:
        raise BadMarkError(f"{', '.join(empty)}: empty")
    values = [_number(row[name], name) for name in RECIST_COLUMNS]
    return np.array(values).reshape(4, 2)


def outside(points: np.ndarray, shape_hw: Sequence[int]) -> np.ndarray:
    """Return which points lie outside an image, (N,) bool.

    The image ends at the edges of its outer pixels, where RECIST marks of masks may end.

    Args:
        points: (N, 2) x and y, px; the centre of the first pixel is (0, 0).
        shape_hw: height and width of the image, px.

    >>> outside(np.array([[-0.5, 0.0], [0.0, -0.6], [9.5, 4.5], [9.6, 0.0]]), (5, 10)).tolist()
    [False, True, False, True]
    """
    last = np.array([shape_hw[1], shape_hw[0]]) - 0.5
    beyond = (points < -0.5 - ROUNDING_PX) | (points > last + ROUNDING_PX)
    return np.asarray(beyond.any(axis=1))


def miss_of_diameters(points: np.ndarray) -> float:
    """Return how far beyond a diameter's end the other one's line meets it, in its own lengths.

    Of both diameters, the larger figure; 0 where they cross. It is the same in px and in mm.

    Args:
        points: (4, 2) ends of the diameters, which are not parallel: long a, long b, short a,
            short b.

    >>> ends = [[0, 0], [10, 0], [12, -3], [12, 3]]
    >>> round(miss_of_diameters(np.array(ends)), 3)
    0.2
    """
    return max(0.0, *(max(-part, part - 1) for part in diameter_crossing(points)))


def mark_ellipse(
    points: np.ndarray, shape_hw: Sequence[int], spacing: tuple[float, float] | None = None
) -> Ellipse:
    """Return the ellipse of a mark on an image, px.

    Its axes are perpendicular in the patient rather than in the image, if the spacing is known.

    Args:
        points: (4, 2) ends of the diameters, px.
        shape_hw: height and width of the image, px.
        spacing: mm per px of x and y, if known.

    Raises:
        BadMarkError: if an end is outside the image, a diameter has no length, the diameters do not
            cross or are nearly parallel, or the ellipse covers no pixel.
    """
    height, width = shape_hw
    beyond = outside(points, shape_hw)
    if beyond.any():
        first = int(np.flatnonzero(beyond)[0])
        cure = (
            "does the mark belong to another image?"
            if outside(points.mean(axis=0, keepdims=True), shape_hw).any()
            else "where the image cuts the lesion, end the diameters at its border"
        )
        if not outside(points[:, ::-1], shape_hw).any():
            cure = f"are x and y exchanged? If not, {cure}"
        x, y = points[first]
        raise BadMarkError(
            f"the end {ENDS[first]} at ({x:g}, {y:g}) is outside the image of {width}x{height} px:"
            f" {cure}"
        )
    for which, (start, end) in zip(("long", "short"), (points[:2], points[2:]), strict=True):
        if np.array_equal(start, end):
            raise BadMarkError(f"the {which} diameter has no length")
    mm = np.array(spacing or (1.0, 1.0))
    try:
        ellipse = ellipse_from_recist(points * mm)
    except ValueError as error:
        raise BadMarkError(str(error).removeprefix("points: ")) from error
    if spacing is not None:
        ellipse = ellipse.scaled(*(1 / mm).tolist())
    if not draw_ellipse(ellipse, (height, width)).any():
        raise BadMarkError("its ellipse covers no pixel: are its coordinates px?")
    for which, (start, end) in zip(("long", "short"), (points[:2], points[2:]), strict=True):
        if math.dist(start, end) < LEAST_PX:
            raise BadMarkError(f"the {which} diameter is only {math.dist(start, end):g} px long")
    long, short = (points[1] - points[0]) * mm, (points[3] - points[2]) * mm
    if miss_of_diameters(points) > REACH:
        raise BadMarkError("the two diameters do not cross: are their ends mixed up?")
    cosine = abs(long @ short) / math.hypot(*long) / math.hypot(*short)
    if cosine > math.cos(math.radians(LEAST_ANGLE_DEG)):
        raise BadMarkError(
            f"the diameters are {math.degrees(math.acos(cosine)):.0f} degrees apart, not about 90:"
            " are their ends mixed up?"
        )
    return ellipse
