"""DL_info.csv, DeepLesion's table of RECIST marks, and the slices that the marks need."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from weaklesion.data.patches import BadSampleError
from weaklesion.marks.files import read_records
from weaklesion.recist import ellipse_from_recist, parse_recist
from weaklesion.support.reading import index_in, number_in

SPACINGS_MM = 1e-3, 100.0  # smallest and largest spacing of pixels, and interval of slices
OFFSETS_MM = (-2.0, 0.0, 2.0)  # the three channels of a patch, along the patient
SPLIT_OF_CODE = {1: "train", 2: "val", 3: "test"}
COLUMNS = (
    "File_name",
    "Patient_index",
    "Measurement_coordinates",
    "Bounding_boxes",
    "Spacing_mm_px_",
    "DICOM_windows",
    "Train_Val_Test",
)


@dataclass(frozen=True, kw_only=True)
class Lesion:
    """One row of the table, parsed.

    Attributes:
        id: name of the key slice, and the lesion's number on it.
        row: index of the row in the table, from 0.
        patient: index of the patient.
        split: official split.
        series: folder of the slices.
        key_slice: index of the key slice.
        recist: (4, 2) mark, px from 0 of the full image.
        box: x0, y0, x1, y1, px from 0.
        spacing_mm: mm per px of x and y, and between slices (nan if unknown).
        window_hu: DICOM window, HU.
    """

    id: str
    row: int
    patient: str
    split: str
    series: str
    key_slice: int
    recist: np.ndarray
    box: tuple[float, float, float, float]
    spacing_mm: tuple[float, float, float]
    window_hu: tuple[float, float]


def read_table(table_csv: str | Path) -> list[dict[str, Any]]:
    """Read DL_info.csv as text; add `row` (from 0), `line` and `id` to each row.

    Raises:
        DataError: if the file cannot be read as a table, or a column is missing or occurs twice.
    """
    rows: list[dict[str, Any]] = []
    counts: Counter[str] = Counter()
    records = read_records(Path(table_csv), COLUMNS, "Use DL_info.csv as published.")
    for index, (line, row) in enumerate(records):
        name = row["File_name"]
        counts[name] += 1
        rows.append(
            row | {"id": f"{name.removesuffix('.png')}-{counts[name]}", "row": index, "line": line}
        )
    return rows


def parse_row(row: Mapping[str, Any], table_csv: str | Path) -> Lesion:
    """Parse one row of the table.

    Raises:
        BadSampleError: naming the file, the line, the cause and the cure.
    """
    name = row["id"]

    def bad(reason: str, detail: object) -> BadSampleError:
        return BadSampleError(
            name,
            reason,
            f"{table_csv}, line {row.get('line', row['row'] + 2)} ({name}): {reason}: "
            f"{detail}. Correct the row, or set on_bad_sample to drop.",
        )

    series, _, slice_name = row["File_name"].removesuffix(".png").rpartition("_")
    key_slice = index_in(slice_name)
    if not series or key_slice is None:
        raise bad("File_name that names no slice", row["File_name"])
    try:
        recist = parse_recist(row["Measurement_coordinates"]) - 1
        ellipse_from_recist(recist)
    except ValueError as error:
        raise bad("RECIST mark that is not an ellipse", error) from error
    box = _numbers(row["Bounding_boxes"], 4)
    if box is None or not (box[0] < box[2] and box[1] < box[3]):
        raise bad("invalid bounding box", row["Bounding_boxes"])
    if (recist + 1 < box[:2]).any() or (recist + 1 > box[2:]).any():  # boxes have a margin of 5 px
        raise bad("RECIST mark outside its bounding box", row["Measurement_coordinates"])
    spacing = _numbers(row["Spacing_mm_px_"], 3, allow_nan=True)
    smallest, largest = SPACINGS_MM
    if spacing is None or not all(smallest <= value <= largest for value in spacing[:2]):
        raise bad("invalid pixel spacing", row["Spacing_mm_px_"])
    if 0 < spacing[2] < smallest or spacing[2] > largest:
        raise bad("slice interval that no scanner has", row["Spacing_mm_px_"])
    window = _numbers(row["DICOM_windows"], 2)
    if window is None or not window[0] < window[1]:
        raise bad("invalid DICOM window", row["DICOM_windows"])
    code = row["Train_Val_Test"]
    if code not in {str(key) for key in SPLIT_OF_CODE}:
        raise bad("Train_Val_Test other than 1, 2 and 3", code)
    return Lesion(
        id=name,
        row=row["row"],
        patient=str(row["Patient_index"]),
        split=SPLIT_OF_CODE[int(code)],
        series=series,
        key_slice=key_slice,
        recist=recist,
        box=(box[0] - 1, box[1] - 1, box[2] - 1, box[3] - 1),
        spacing_mm=(spacing[0], spacing[1], spacing[2]),
        window_hu=(window[0], window[1]),
    )


def _numbers(text: str, count: int, *, allow_nan: bool = False) -> list[float] | None:
    try:
        values = [number_in(field) for field in text.split(",")]
    except ValueError:
        return None
    finite = [value for value in values if math.isfinite(value) or allow_nan]
    return values if len(values) == count == len(finite) else None


def needed_members(names: Iterable[str], table_csv: str | Path) -> list[str]:
    """Return the entries of an archive that the lesions of the table need.

    These are key slices, and their neighbours up to 2 mm to either side. Rows that cannot be used
    need none: the loader refuses them, or leaves them out.

    Args:
        names: entries, such as `Images_png/000001_01_01/109.png`.
        table_csv: DL_info.csv.
    """
    needed = set()
    for row in read_table(table_csv):
        series, _, slice_name = row["File_name"].removesuffix(".png").rpartition("_")
        key_slice = index_in(slice_name)
        if key_slice is None:
            continue
        spacing = _numbers(row["Spacing_mm_px_"], 3, allow_nan=True)
        interval = spacing[2] if spacing else math.nan
        for offset in OFFSETS_MM:
            for index, _ in slice_weights(key_slice, interval, offset):
                needed.add((series, index))
    chosen = []
    for name in names:
        folder, _, slice_name = name.removesuffix(".png").rpartition("/")
        if (folder.rpartition("/")[2], index_in(slice_name)) in needed:
            chosen.append(name)
    return chosen


def slice_weights(key: int, interval_mm: float, offset_mm: float) -> list[tuple[int, float]]:
    """Return the slices, with weights, that interpolate the image at an offset from a key slice.

    If the interval is unknown, or none that a scanner has, the key slice alone.

    >>> slice_weights(10, 5.0, 2.0)
    [(10, 0.6), (11, 0.4)]
    >>> slice_weights(10, 1.0, -2.0)
    [(8, 1.0)]
    """
    if not SPACINGS_MM[0] <= interval_mm <= SPACINGS_MM[1]:
        return [(key, 1.0)]
    position = round(offset_mm / interval_mm, 6)
    below = math.floor(position)
    part = round(position - below, 6)
    if part == 0:
        return [(key + below, 1.0)]
    return [(key + below, 1.0 - part), (key + below + 1, part)]
