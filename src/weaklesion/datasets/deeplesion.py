"""DeepLesion: axial CT slices as 16-bit PNG, and a table of RECIST marks, `DL_info.csv`.

As published by the NIH. A PNG holds Hounsfield units plus 32768; coordinates in the table start at
1. There is no dense reference.
"""

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from PIL import Image

from weaklesion.errors import DataError
from weaklesion.patches import (
    BadSampleError,
    LeftOut,
    OnBadSample,
    Sample,
    in_parallel,
    write_patches,
)
from weaklesion.recist import ellipse_from_recist, parse_recist

logger = logging.getLogger(__name__)

HU_OFFSET = 32768
OFFSETS_MM = (-2.0, 0.0, 2.0)  # the three channels of a patch, along the patient
STANDARD_PX = 512  # images of another size are scaled to this
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
OFFICIAL_ROWS = 32735


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How patches are made from DeepLesion's slices.

    Attributes:
        side_px: height and width of a patch, px.
        on_bad_sample: `error`, or `drop` to leave bad samples out and count them.
        scale_marks: whether marks are scaled with an image that is not 512 px wide, and moved with
            a patch that leaves it; not so in the released code (discrepancy G7).
        dropped_rows: rows of the official table that are left out, counted from 0 (G8).
        complete: whether a key slice that is not there is bad; if not, its archive was not asked
            for.
        limit: at most so many samples of a split, the first in the table's order.
    """

    side_px: int
    on_bad_sample: OnBadSample
    scale_marks: bool
    dropped_rows: tuple[int, ...]
    complete: bool
    limit: dict[str, int]

    def __post_init__(self) -> None:
        object.__setattr__(self, "dropped_rows", tuple(self.dropped_rows))


@dataclass(frozen=True, kw_only=True)
class Lesion:
    """One row of the table, parsed.

    Attributes:
        id: name of the key slice, and the lesion's number on it.
        row: its place in the table, from 0.
        patient: patient's index.
        split: official split.
        series: folder of the slices.
        key_slice: index of the key slice.
        recist: (4, 2) mark, px from 0 of the full image.
        box: x0, y0, x1, y1, px from 0.
        spacing_mm: mm per px of x and y, and between slices (nan where unknown).
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


def make_patches(
    *,
    folders: Sequence[str | Path],
    table_csv: str | Path,
    patches_dir: str | Path,
    settings: Settings,
    workers: int = 1,
) -> None:
    """Make the patches of DeepLesion or of its phantom, with the official split (S3).

    Args:
        folders: each with `Images_png/<series>/<slice>.png`.
        table_csv: DL_info.csv.
        patches_dir: where the files of `weaklesion.patches` are written.
        settings: see `Settings`.
        workers: number of processes.

    Raises:
        DataError: if the data are not as they must be; nothing is written then.
    """
    rows = read_table(table_csv)
    lesions: list[Lesion] = []
    left_out: list[LeftOut] = []
    official = len(rows) == OFFICIAL_ROWS
    if settings.dropped_rows and not official:
        logger.info(
            "the table has %d rows, not %d: no row is dropped by its number (G8)",
            len(rows),
            OFFICIAL_ROWS,
        )
    for row in rows:
        if official and row["row"] in settings.dropped_rows:
            left_out.append(LeftOut(row["id"], "dropped by the released code (G8)"))
            continue
        try:
            lesions.append(parse_row(row, table_csv))
        except BadSampleError as bad:
            if settings.on_bad_sample == "error":
                raise
            left_out.append(LeftOut(bad.sample_id, bad.reason))
    series = find_series(folders)
    logger.info("%d lesions, %d series with slices", len(lesions), len(series))
    by_slice: dict[tuple[str, int], list[Lesion]] = {}
    for lesion in lesions:
        by_slice.setdefault((lesion.series, lesion.key_slice), []).append(lesion)
    work = partial(read_key_slice, settings=settings)
    items = [(group, series.get(name, {})) for (name, _), group in by_slice.items()]
    found = in_parallel(work, items, workers, "key slices")
    split_of = {lesion.id: lesion.split for lesion in lesions}

    def official_split(groups: Mapping[str, str]) -> dict[str, list[str]]:
        ids: dict[str, list[str]] = {split: [] for split in SPLIT_OF_CODE.values()}
        for sample_id in groups:
            ids[split_of[sample_id]].append(sample_id)
        return ids

    write_patches(
        patches_dir,
        chain(left_out, chain.from_iterable(found)),
        side_px=settings.side_px,
        assign_splits=official_split,
        groups_apart=True,
        limit=settings.limit,
        report={"rows": len(rows), "settings": asdict(settings)},
    )


def read_table(table_csv: str | Path) -> list[dict[str, Any]]:
    """Read DL_info.csv as text; add `row` (from 0) and `id` to each row.

    Raises:
        DataError: if a column is missing.
    """
    table = pd.read_csv(table_csv, dtype=str, keep_default_na=False)
    missing = [column for column in COLUMNS if column not in table]
    if missing:
        raise DataError(
            f"{table_csv}: column {', '.join(missing)} is missing. Use DL_info.csv as published."
        )
    stem = table["File_name"].str.removesuffix(".png")
    table["id"] = stem + "-" + (table.groupby("File_name").cumcount() + 1).astype(str)
    table["row"] = range(len(table))
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]


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
            f"{table_csv}, line {row['row'] + 2} ({name}): {reason}: "
            f"{detail}. Correct the row, or set on_bad_sample to drop.",
        )

    series, _, slice_name = row["File_name"].removesuffix(".png").rpartition("_")
    if not series or not slice_name.isdigit():
        raise bad("File_name that names no slice", row["File_name"])
    try:
        recist = parse_recist(row["Measurement_coordinates"]) - 1
        ellipse_from_recist(recist)
    except ValueError as error:
        raise bad("RECIST mark that is no ellipse", error) from error
    box = _numbers(row["Bounding_boxes"], 4)
    if box is None or not (box[0] < box[2] and box[1] < box[3]):
        raise bad("bounding box that is none", row["Bounding_boxes"])
    spacing = _numbers(row["Spacing_mm_px_"], 3, allow_nan=True)
    if spacing is None or not (spacing[0] > 0 and spacing[1] > 0):
        raise bad("pixel spacing that is none", row["Spacing_mm_px_"])
    window = _numbers(row["DICOM_windows"], 2)
    if window is None or not window[0] < window[1]:
        raise bad("DICOM window that is none", row["DICOM_windows"])
    code = row["Train_Val_Test"]
    if code not in {str(key) for key in SPLIT_OF_CODE}:
        raise bad("Train_Val_Test other than 1, 2 and 3", code)
    return Lesion(
        id=name,
        row=row["row"],
        patient=str(row["Patient_index"]),
        split=SPLIT_OF_CODE[int(code)],
        series=series,
        key_slice=int(slice_name),
        recist=recist,
        box=(box[0] - 1, box[1] - 1, box[2] - 1, box[3] - 1),
        spacing_mm=(spacing[0], spacing[1], spacing[2]),
        window_hu=(window[0], window[1]),
    )


def _numbers(text: str, count: int, *, allow_nan: bool = False) -> list[float] | None:
    try:
        values = [float(field) for field in text.split(",")]
    except ValueError:
        return None
    finite = [value for value in values if math.isfinite(value) or allow_nan]
    return values if len(values) == count == len(finite) else None


def find_series(folders: Sequence[str | Path]) -> dict[str, dict[int, str]]:
    """Return, by series, the paths of its slices by index.

    Raises:
        DataError: if a slice is in two places.
    """
    series: dict[str, dict[int, str]] = {}
    for path in sorted(path for folder in folders for path in Path(folder).rglob("*.png")):
        if "__MACOSX" in path.parts or not path.stem.isdigit():
            continue
        slices = series.setdefault(path.parent.name, {})
        index = int(path.stem)
        if index in slices:
            raise DataError(f"{path}: this slice is also at {slices[index]}. Remove one of them.")
        slices[index] = str(path)
    return series


def needed_members(names: Iterable[str], table_csv: str | Path) -> list[str]:
    """Return the entries of an archive that the lesions of the table need.

    These are key slices and the neighbours that reach 2 mm to either side.

    Args:
        names: entries, such as `Images_png/000001_01_01/109.png`.
        table_csv: DL_info.csv.
    """
    needed = set()
    for row in read_table(table_csv):
        series, _, slice_name = row["File_name"].removesuffix(".png").rpartition("_")
        spacing = _numbers(row["Spacing_mm_px_"], 3, allow_nan=True)
        interval = spacing[2] if spacing else math.nan
        for offset in OFFSETS_MM:
            for index, _ in slice_weights(int(slice_name), interval, offset):
                needed.add((series, index))
    chosen = []
    for name in names:
        folder, _, slice_name = name.removesuffix(".png").rpartition("/")
        key = (folder.rpartition("/")[2], int(slice_name)) if slice_name.isdigit() else None
        if key in needed:
            chosen.append(name)
    return chosen


def slice_weights(key: int, interval_mm: float, offset_mm: float) -> list[tuple[int, float]]:
    """Return the slices, with their weights, that make the image at an offset from a key slice.

    The key slice alone where the interval is unknown.

    >>> slice_weights(10, 5.0, 2.0)
    [(10, 0.6), (11, 0.4)]
    >>> slice_weights(10, 1.0, -2.0)
    [(8, 1.0)]
    """
    if not (math.isfinite(interval_mm) and interval_mm > 0):
        return [(key, 1.0)]
    position = round(offset_mm / interval_mm, 6)
    below = math.floor(position)
    part = round(position - below, 6)
    if part == 0:
        return [(key + below, 1.0)]
    return [(key + below, 1.0 - part), (key + below + 1, part)]


def read_key_slice(
    item: tuple[list[Lesion], Mapping[int, str]], *, settings: Settings
) -> list[Sample | LeftOut]:
    """Read the lesions of one key slice; each PNG is decoded once for all of them."""
    lesions, paths = item
    decoded: dict[int, np.ndarray] = {}
    found: list[Sample | LeftOut] = []
    for lesion in lesions:
        try:
            found.append(read_lesion(lesion, paths, decoded, settings))
        except BadSampleError as bad:
            missing = bad.reason == MISSING_KEY_SLICE
            if missing and not settings.complete:
                found.append(LeftOut(lesion.id, "in an archive that the study does not ask for"))
            elif settings.on_bad_sample == "error":
                raise
            else:
                logger.warning("left out: %s", bad)
                found.append(LeftOut(bad.sample_id, bad.reason))
    return found


MISSING_KEY_SLICE = "key slice that is not there"


def read_lesion(
    lesion: Lesion,
    paths: Mapping[int, str],
    decoded: dict[int, np.ndarray],
    settings: Settings,
) -> Sample:
    """Cut the patch of one lesion.

    Args:
        lesion: the lesion.
        paths: the slices of its series that are there.
        decoded: slices that were decoded already, by index; added to.
        settings: see `Settings`.

    Raises:
        BadSampleError: if the key slice is missing, a slice cannot be used, or the box is outside.
    """
    if lesion.key_slice not in paths:
        raise BadSampleError(
            lesion.id,
            MISSING_KEY_SLICE,
            f"{lesion.series}/{lesion.key_slice:03d}.png: the key slice of {lesion.id} is not "
            "there. Fetch and unpack the archive that holds it.",
        )
    key = _decode(lesion.key_slice, paths, decoded, lesion.id)
    scale = STANDARD_PX / max(key.shape)
    height, width = round(key.shape[0] * scale), round(key.shape[1] * scale)
    box = [(value + 0.5) * scale - 0.5 for value in lesion.box]
    center_x, center_y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    if not (0 <= center_x < width and 0 <= center_y < height):
        raise BadSampleError(
            lesion.id,
            "bounding box outside the image",
            f"{paths[lesion.key_slice]}: the box {lesion.box} of {lesion.id} lies outside the "
            f"image of {key.shape[1]}x{key.shape[0]} px. Correct its row.",
        )
    side = settings.side_px
    x0, y0 = round(center_x) - side // 2, round(center_y) - side // 2
    channels, replaced = [], 0
    for offset in OFFSETS_MM:
        mixed = np.zeros((side, side), dtype=np.float32)
        for wanted, weight in slice_weights(lesion.key_slice, lesion.spacing_mm[2], offset):
            index = nearest_slice(wanted, lesion.key_slice, paths)
            replaced += index != wanted
            image = _decode(index, paths, decoded, lesion.id)
            if image.shape != key.shape:
                raise BadSampleError(
                    lesion.id,
                    "slices of different sizes",
                    f"{paths[index]}: is not as large as the key slice "
                    f"{paths[lesion.key_slice]}. Unpack the archive again.",
                )
            mixed += weight * cut(image, (x0, y0), side, (height, width))
        channels.append(mixed - HU_OFFSET)
    low, high = lesion.window_hu
    grey = np.clip((np.stack(channels, axis=2) - low) / (high - low), 0, 1) * 255
    if settings.scale_marks:
        recist = (lesion.recist + 0.5) * scale - 0.5 - (x0, y0)
    else:
        recist = lesion.recist - (max(0, x0), max(0, y0))
    notes = []
    if replaced:
        notes.append("neighbour slices missing: the nearest one taken")
    if scale != 1:
        notes.append(f"image scaled to {STANDARD_PX} px")
    return Sample(
        id=lesion.id,
        group=f"patient-{lesion.patient}",
        image=grey.round().astype(np.uint8),
        reference=None,
        recist=recist,
        source=f"{lesion.series}/{lesion.key_slice:03d}.png",
        slice=lesion.key_slice,
        crop=(x0 / scale, y0 / scale, (x0 + side) / scale, (y0 + side) / scale),
        mm_per_px=(lesion.spacing_mm[0] / scale, lesion.spacing_mm[1] / scale),
        note="; ".join(notes),
    )


def nearest_slice(wanted: int, key: int, paths: Mapping[int, str]) -> int:
    """Return the slice nearest to the wanted one that is there, between it and the key slice."""
    step = 1 if key > wanted else -1
    while wanted not in paths and wanted != key:
        wanted += step
    return wanted


def cut(
    image: np.ndarray, origin: tuple[int, int], side: int, scaled_hw: tuple[int, int]
) -> np.ndarray:
    """Cut a patch whose upper left pixel is `origin` (x, y); the border is replicated."""
    if image.shape != scaled_hw:
        image = cv2.resize(image.astype(np.float32), scaled_hw[::-1], interpolation=cv2.INTER_AREA)
    rows = np.clip(np.arange(origin[1], origin[1] + side), 0, scaled_hw[0] - 1)
    columns = np.clip(np.arange(origin[0], origin[0] + side), 0, scaled_hw[1] - 1)
    return image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1][
        np.ix_(rows - rows[0], columns - columns[0])
    ].astype(np.float32)


def _decode(
    index: int, paths: Mapping[int, str], decoded: dict[int, np.ndarray], lesion_id: str
) -> np.ndarray:
    if index not in decoded:
        try:  # Pillow refuses a truncated file where OpenCV fills it up
            with Image.open(paths[index]) as opened:
                image = np.asarray(opened)
        except (OSError, SyntaxError, ValueError) as error:
            raise BadSampleError(
                lesion_id,
                "slice that cannot be read",
                f"{paths[index]}: cannot be read as PNG ({error}). Unpack its archive again.",
            ) from error
        if image.dtype != np.uint16 or image.ndim != 2:
            raise BadSampleError(
                lesion_id,
                "slice that is no 16-bit grey image",
                f"{paths[index]}: has {image.dtype} values and {image.ndim} "
                "dimensions; 16-bit grey is needed. Unpack its archive again.",
            )
        decoded[index] = image
    return decoded[index]
