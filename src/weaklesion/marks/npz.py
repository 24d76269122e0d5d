"""Volumes with drawn marks, `.npz` as in FLARE and MedSAM2, as a table of marks with its images.

`imgs` is (D, H, W): uint8 of levels, or signed whole numbers of Hounsfield units. `recist` has the
same shape; its value k, from 1 to 65535, draws the one or two lines of lesion k in one slice; where
it is bool, there is one lesion, 1. `spacing` has three numbers, mm. All else in a file, such as
`gts`, is not read.
"""

import logging
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from weaklesion.errors import DataError
from weaklesion.hounsfield import PNG_OFFSET
from weaklesion.marks.drawn_lines import check_short_of_long, ends_of_drawn, with_short
from weaklesion.marks.table import BadMarkError
from weaklesion.marks.volumes import nifti_bytes
from weaklesion.recist import RECIST_COLUMNS
from weaklesion.support.own_files import OwnFiles
from weaklesion.support.reading import VOLUME_BYTES, limit_of, refusing
from weaklesion.support.tables import write_rows

logger = logging.getLogger(__name__)

NEEDED = ("imgs", "recist", "spacing")
MOST_HU = 32767
MOST_LESIONS = 65535  # as `segs` can number them, uint16
SAME_SPACING = 0.001  # relative
TABLES = ("marks.csv", "refused.csv")
MARKS = ("id", "image", "slice", "group", *RECIST_COLUMNS, "spacing_x", "spacing_y")


def write_marks_of_npz(
    files: Sequence[str | Path],
    out_dir: str | Path,
    *,
    short_of_long: float | None = None,
    volume: bool = False,
    window_hu: tuple[float, float] | None = None,
) -> tuple[int, int]:
    """Write `marks.csv`, `images/` with the marked slices or the volumes, and `refused.csv`.

    Args:
        files: the files; their names without `.npz` name the marks, with the lesion's number.
        out_dir: folder to write to.
        short_of_long: length of the short diameter divided by that of the long one, for lesions
            with one line; None refuses them.
        volume: whether to write whole volumes, as NIfTI, for masks in three dimensions.
        window_hu: Hounsfield units that became the levels 0 and 255; needed for volumes of levels.

    Returns:
        Numbers of marks that were written and of lesions or files that were refused.

    Raises:
        DataError: if the ratio is impossible, two files have one name, no mark can be used, or the
            folder has files that this function would write over and did not write.
    """
    check_short_of_long(short_of_long)
    if window_hu is not None and not window_hu[0] < window_hu[1]:
        raise DataError(f"window: needs two numbers, the lower first, not {window_hu}.")
    paths = [Path(file) for file in files]
    check_names(paths)
    out = OwnFiles(out_dir)
    out.check_free(TABLES)
    rows: list[dict[str, Any]] = []
    refused: list[dict[str, Any]] = []
    for path in paths:
        try:
            found, left = _marks_of_file(path, out, short_of_long, volume, window_hu)
        except DataError as error:
            found, left = [], [{"lesion": None, "cause": str(error)}]
        rows += found
        refused += [{"file": path.name} | each for each in left]
    for name, table, columns in (
        ("marks.csv", rows, MARKS),
        ("refused.csv", refused, ("file", "lesion", "cause")),
    ):
        with out.writing(name) as temporary:
            write_rows(temporary, columns, table, float_format="%s")
    for each in refused[:20]:
        lesion = "" if each["lesion"] is None else f", lesion {each['lesion']}"
        logger.warning("%s%s: %s", each["file"], lesion, each["cause"])
    if not rows:
        raise DataError(f"no mark can be used. {out.folder / 'refused.csv'} has the cause of each.")
    return len(rows), len(refused)


def check_names(paths: Sequence[Path]) -> None:
    """Check that the marks and masks of different files have different names.

    Raises:
        DataError: naming two files of one name, in which capitals do not count.
    """
    stems = [path.stem.casefold() for path in paths]
    if twice := [path for path in paths if stems.count(path.stem.casefold()) > 1]:
        raise DataError(f"{twice[0]}, {twice[1]}: two files have the same name. Rename one.")


def lesions_in(drawn: np.ndarray) -> list[int]:
    """Return the numbers of the lesions that an array `recist` draws, in their order.

    >>> lesions_in(np.array([0, 7, 3, 7])), lesions_in(np.array([False, True]))
    ([3, 7], [1])
    """
    numbers = drawn.astype(np.uint8) if drawn.dtype == bool else drawn
    return [number for number in np.unique(numbers).tolist() if number != 0]


def _marks_of_file(
    path: Path,
    out: OwnFiles,
    short_of_long: float | None,
    volume: bool,
    window_hu: tuple[float, float] | None,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the rows of a file's marks, and number and cause of each refused lesion."""
    images, drawn, spacing = _read(path)
    levels = _levels(images)
    side_mm = _side_of_pixel(spacing)
    rows, refused = [], []
    if volume:
        whole = nifti_of(images, spacing, window_hu)
    for lesion in lesions_in(drawn):
        try:
            if not 0 < lesion <= MOST_LESIONS:
                raise BadMarkError(
                    f"recist has the value {lesion}: number lesions from 1 to {MOST_LESIONS}, with"
                    " 0 for the background"
                )
            here = drawn == lesion
            slices = np.flatnonzero(here.any(axis=(1, 2)))
            if len(slices) > 1:
                raise BadMarkError(f"is drawn in {len(slices)} slices: draw it in one")
            ends = ends_of_drawn(here[slices[0]])
            if len(ends) == 2:
                ends = with_short(ends, short_of_long, (1.0, 1.0))
        except BadMarkError as error:
            refused.append({"lesion": lesion, "cause": str(error)})
            continue
        place = {"image": f"images/{path.stem}.nii", "slice": slices[0]}
        if not volume:
            place = {"image": f"images/{path.stem}_{slices[0]:04d}.png"}
            place |= {"spacing_x": side_mm, "spacing_y": side_mm}
            with out.writing(place["image"]) as temporary:
                temporary.write_bytes(cv2.imencode(".png", levels[slices[0]])[1].tobytes())
        ends_px = dict(zip(RECIST_COLUMNS, ends.ravel().round(3).tolist(), strict=True))
        rows.append({"id": f"{path.stem}_{lesion}", "group": path.stem} | place | ends_px)
    if volume and rows:
        with out.writing(rows[0]["image"]) as temporary:
            temporary.write_bytes(whole)
    return rows, refused


def _read(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return images, drawn lesions and spacing of a file."""
    with refusing(lambda cause: DataError(f"cannot be read: {cause}")):
        with zipfile.ZipFile(path) as archive:
            size = sum(info.file_size for info in archive.infolist())
        if size > limit_of(VOLUME_BYTES):
            raise DataError(
                f"has {size} bytes uncompressed, more than {VOLUME_BYTES[0]} allows: raise it if"
                " the file is right"
            )
        with np.load(path, allow_pickle=False) as arrays:
            if missing := [name for name in NEEDED if name not in arrays]:
                raise DataError(
                    f"has no {', '.join(missing)}: needs {', '.join(NEEDED)}, has"
                    f" {', '.join(arrays)}"
                )
            images, drawn, spacing = (arrays[name] for name in NEEDED)
    if images.ndim != 3 or images.shape != drawn.shape or 0 in images.shape:
        raise DataError(f"imgs {images.shape} and recist {drawn.shape} need one shape, (D, H, W)")
    if drawn.dtype.kind not in "biu":
        raise DataError(f"recist is {drawn.dtype}, but needs whole numbers, one per lesion")
    return images, drawn, spacing


def _levels(images: np.ndarray) -> np.ndarray:
    """Return levels as a PNG has them."""
    if images.dtype == np.uint8:
        return images
    found = f"imgs is {images.dtype} from {images.min():g} to {images.max():g}"
    if images.dtype.kind != "i" or images.min() < -PNG_OFFSET or images.max() > MOST_HU:
        raise DataError(f"{found}: give levels as uint8, or Hounsfield units as int16")
    if images.min() >= 0:
        raise DataError(
            f"{found}: without a value below 0, Hounsfield units cannot be told from levels. Give"
            " levels as uint8, or the whole slices, with the air around the patient"
        )
    return (images.astype(np.int32) + PNG_OFFSET).astype(np.uint16)


def _side_of_pixel(spacing: np.ndarray) -> float:
    """Return mm per px in the slice, by the equal neighbours of the three spacings.

    Programs write them as (x, y, z) or (z, y, x).

    >>> _side_of_pixel(np.array([0.7, 0.7, 5.0])), _side_of_pixel(np.array([5.0, 0.7, 0.7]))
    (0.7, 0.7)
    """
    if spacing.shape != (3,) or spacing.dtype.kind not in "iuf":
        raise DataError("spacing is not three numbers in mm")
    if not (np.isfinite(spacing).all() and (spacing > 0).all()):
        raise DataError(f"spacing {spacing.tolist()} is not three numbers above 0")
    first, middle, last = spacing.tolist()
    if not any(np.isclose(middle, other, rtol=SAME_SPACING, atol=0) for other in (first, last)):
        raise DataError(
            f"spacing {spacing.tolist()}: the pixels of a slice are not square, so which number is"
            " which is unknown. Resample the slices to square pixels"
        )
    return float(middle)


def nifti_of(
    images: np.ndarray, spacing: np.ndarray, window_hu: tuple[float, float] | None
) -> bytes:
    """Return a NIfTI file of images, whose values are Hounsfield units.

    It has no place in the patient: slices are assumed to be perpendicular to their direction.

    Args:
        images: (D, H, W): levels (uint8), or Hounsfield units in whole numbers.
        spacing: (3,) mm: two equal numbers of the pixels, and the slices' distance.
        window_hu: Hounsfield units that became the levels 0 and 255; needed for levels.

    Raises:
        DataError: if the window is missing, or the spacing is not that of square pixels.
    """
    levels = images.dtype == np.uint8
    if levels and window_hu is None:
        raise DataError(
            "imgs has levels: give --window with the Hounsfield units that became 0 and 255, those"
            " of the network (window_hu in its run.json)"
        )
    sizes = np.array([_side_of_pixel(spacing)] * 2 + [_distance_of_slices(spacing)])
    affine = np.diag([*sizes, 1.0])
    affine[:3, 3] = -sizes * (np.array(images.shape[::-1]) - 1) / 2 - sizes / 4  # nowhere 0
    if levels:
        return nifti_bytes(images.T, affine, window_hu)
    return nifti_bytes(images.T.astype(np.int16), affine)


def _distance_of_slices(spacing: np.ndarray) -> float:
    """Return mm from slice to slice: the number that is not one of the pixel's two.

    >>> _distance_of_slices(np.array([0.7, 0.7, 5.0])), _distance_of_slices(np.array([5, 0.7, 0.7]))
    (5.0, 5.0)
    """
    first, middle, last = spacing.tolist()
    return float(last if np.isclose(first, middle, rtol=SAME_SPACING, atol=0) else first)
