"""The stacked volumes of the challenge ULS23, with marks from a table.

A job's input has `images/stacked-3d-ct-lesion-volumes/<name>.mha`, volumes of 128 slices of 256x256
one upon the other, in Hounsfield units, and a JSON file with the spacing of each, mm. The lesion is
in the middle of its volume. The challenge gives no mark; ours come from a table with a row per
volume. Source: the challenge's baseline algorithm.
"""

import json
import logging
import math
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from weaklesion.errors import DataError
from weaklesion.marks.columns import check_once, point_decimals
from weaklesion.marks.files import SEPARATORS, read_table
from weaklesion.marks.npz import nifti_of
from weaklesion.marks.table import check_fields, points_of
from weaklesion.recist import RECIST_COLUMNS
from weaklesion.support.extras import not_installed
from weaklesion.support.own_files import OwnFiles
from weaklesion.support.reading import number_in, refusing
from weaklesion.support.tables import write_rows

try:
    import SimpleITK
except ImportError as error:
    raise not_installed("SimpleITK", "volumes of ULS23") from error

logger = logging.getLogger(__name__)

STACKS = "images/stacked-3d-ct-lesion-volumes"
SPACINGS = "stacked-3d-volumetric-spacings.json"
VOLUME = (128, 256, 256)  # slices, height and width
GIVEN = ("voi", "slice", *RECIST_COLUMNS)
TABLES = ("marks.csv", "refused.csv")
MARKS = ("id", "image", "slice", "group", *RECIST_COLUMNS)


def write_marks_of_stack(
    folder: str | Path, marks_csv: str | Path, out_dir: str | Path
) -> tuple[int, int]:
    """Write `marks.csv`, the marked volumes in `images/`, and `refused.csv`.

    Args:
        folder: the challenge's input.
        marks_csv: `voi`, the number of the volume in the stack, from 0; `slice`, from 0; and the
            four ends of the mark, px of the slice, from the centre of its first pixel. One row per
            volume; its mark is `voi_<number>`. Separators and decimal commas are as in
            `weaklesion.marks.table`.
        out_dir: folder to write to.

    Returns:
        Numbers of marks that were written and of rows that were refused.

    Raises:
        DataError: if the stack, its spacings or the table cannot be read, no mark can be used, or
            the folder has files that this function would write over and did not write, such as the
            table itself.
    """
    _, stack = read_stack(folder)
    spacings = _read_spacings(Path(folder) / SPACINGS, len(stack))
    header, lines = _read_given(Path(marks_csv))
    out = OwnFiles(out_dir)
    out.check_free(TABLES)
    rows: dict[int, dict[str, Any]] = {}
    refused: list[dict[str, Any]] = []
    for number, fields in lines:
        cells = dict(zip_longest(header, fields[: len(header)], fillvalue=""))
        try:
            check_fields(fields, header)
            voi = _whole(cells, "voi", len(stack))
            index = _whole(cells, "slice", VOLUME[0])
            if voi in rows:
                raise DataError(f"voi {voi} has a mark already: give one per volume")
            ends = dict(zip(RECIST_COLUMNS, points_of(cells).ravel().tolist(), strict=True))
            volume = nifti_of(stack[voi], spacings[voi], None)
        except DataError as error:
            refused.append({"line": number, "cause": str(error)})
            continue
        image = f"images/voi_{voi}.nii"
        with out.writing(image) as temporary:
            temporary.write_bytes(volume)
        rows[voi] = {"id": f"voi_{voi}", "image": image, "slice": index, "group": voi} | ends
    with out.writing("marks.csv") as temporary:
        write_rows(temporary, MARKS, rows.values(), float_format="%s")
    with out.writing("refused.csv") as temporary:
        write_rows(temporary, ("line", "cause"), refused)
    for each in refused[:20]:
        logger.warning("%s, line %s: %s", marks_csv, each["line"], each["cause"])
    if not rows:
        raise DataError(f"no mark can be used. {out.folder / 'refused.csv'} has the cause of each.")
    return len(rows), len(refused)


def _read_given(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the header of the user's table, and line and fields of each row, with decimal points.

    Raises:
        DataError: if the table cannot be read, lacks a column or has it twice, or has no row.
    """
    table = read_table(path, GIVEN)
    if missing := [name for name in GIVEN if name not in table.header]:
        raise DataError(
            f"{path}: has no column {', '.join(missing)}; it has {', '.join(table.header)},"
            f" separated by {SEPARATORS[table.separator]}. Add it."
        )
    check_once(path, table.header, GIVEN)
    if not table.rows:
        raise DataError(f"{path}: has no row. Give at least one mark.")
    coordinates = [table.header.index(name) for name in RECIST_COLUMNS]
    others = [table.header.index(name) for name in ("voi", "slice")]
    return table.header, point_decimals(path, table, coordinates, others)


def read_stack(folder: str | Path) -> tuple[Path, np.ndarray]:
    """Return the file of a stack, and its volumes, (N, 128, 256, 256) int16 HU.

    Raises:
        DataError: if the folder has not one stack, or it cannot be read or has another shape.
    """
    found = sorted((Path(folder) / STACKS).glob("*.mha"))
    if len(found) != 1:
        raise DataError(
            f"{Path(folder) / STACKS}: has {len(found)} .mha files, not one. Give one job's input."
        )
    with refusing(lambda cause: DataError(f"{found[0]}: cannot be read: {cause}")):
        values = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(found[0]))
    depth = VOLUME[0]
    if values.ndim != 3 or values.shape[1:] != VOLUME[1:] or len(values) % depth or not len(values):
        raise DataError(
            f"{found[0]}: is {values.shape}, not volumes of {VOLUME} stacked on one another."
            " Was it made for the challenge?"
        )
    rounded = np.rint(values)
    if not (np.abs(rounded) <= np.iinfo(np.int16).max).all():
        raise DataError(f"{found[0]}: has values outside of int16, which are not Hounsfield units.")
    return found[0], rounded.astype(np.int16).reshape(-1, *VOLUME)


def _read_spacings(path: Path, count: int) -> np.ndarray:
    """Return the spacings of all volumes, (N, 3) mm."""
    try:
        spacings = np.array(json.loads(path.read_text(encoding="utf-8")), dtype=float)
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    if spacings.shape != (count, 3):
        raise DataError(
            f"{path}: has spacings of shape {spacings.shape}, but the stack has {count} volumes:"
            " three numbers each are needed."
        )
    return spacings


def _whole(cells: dict[str, str], name: str, end: int) -> int:
    """Return a whole number of a row, at least 0 and below `end`."""
    text = cells[name]
    try:
        value = number_in(text)
    except ValueError:
        value = math.nan
    if not (0 <= value < end and value == int(value)):
        raise DataError(f"{name} is {text!r}: needs a whole number from 0 to {end - 1}")
    return int(value)
