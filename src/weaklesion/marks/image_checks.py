"""What makes an image, or its scale, doubtful or useless where its mark lies."""

from functools import partial
from pathlib import Path

import numpy as np

from weaklesion.hounsfield import PNG_OFFSET
from weaklesion.marks.image_files import no_image
from weaklesion.marks.images import HIGHEST_HU, LOWEST_HU, Picture
from weaklesion.marks.table import BadMarkError, miss_of_diameters
from weaklesion.marks.volumes import is_volume
from weaklesion.support.pictures import open_picture

MOST_BEYOND = 0.25  # of the pixels near a mark
SMALLEST_LESION_MM, LARGEST_LESION_MM = 0.1, 1000.0
LARGEST_MISS = 0.1  # of a diameter's length, by which it may miss the other without a word


def doubts_about_mark(points: np.ndarray, picture: Picture) -> list[str]:
    """Return what makes a mark doubtful, in words: its picture's spacing, its size, its crossing.

    Args:
        points: (4, 2) ends of the diameters, px.
        picture: the mark's picture.
    """
    doubts = list(picture.doubts) if picture.spacing is not None else []
    if picture.spacing is not None:
        long_mm = float(np.hypot(*((points[1] - points[0]) * np.array(picture.spacing))))
        if not SMALLEST_LESION_MM <= long_mm <= LARGEST_LESION_MM:
            doubts.append(
                f"its long diameter is {long_mm:.3g} mm, which no lesion has: is the spacing right?"
            )
    if (miss := miss_of_diameters(points)) > LARGEST_MISS:
        doubts.append(
            f"its diameters do not cross: one misses the other by {miss:.2g} of its length. Are"
            " their ends right?"
        )
    return doubts


def check_scale(picture: Picture, near: tuple[slice, slice], path: Path) -> None:
    """Refuse a 16-bit image whose grey is not HU + 32768 near a mark, such as MR from 0 to 65535.

    Args:
        picture: the mark's picture.
        near: its rows and columns near the mark.
        path: its file.

    Raises:
        BadMarkError: if many pixels there have values that no scan has.
    """
    share = 0.0 if picture.beyond is None else float(picture.beyond[near].mean())
    if share > MOST_BEYOND:
        raise BadMarkError(
            f"{path.name} has 16 bits, read as HU + {PNG_OFFSET}, but {100 * share:.0f} % of its"
            f" pixels near the mark are then below {LOWEST_HU:,.0f} HU or far above"
            f" {HIGHEST_HU:,.0f}: does its grey fill the whole range from 0 to 65535, as"
            " programs export MR and photographs? Save it with 8 bits (level / 257), or its scan"
            " as .nii.gz"
        )


def check_contrast(around: np.ndarray, path: Path, window_hu: tuple[float, float]) -> None:
    """Refuse an image that has a single level near the mark, and therefore shows nothing.

    Args:
        around: (h, w, 3) uint8, the picture near the mark.
        path: its file, which was read.
        window_hu: Hounsfield units that became 0 and 255.

    Raises:
        BadMarkError: if all pixels are equal.
    """
    if (around == around[0, 0]).all():
        question = (
            f"are its Hounsfield units outside the window {window_hu[0]:g} to {window_hu[1]:g}?"
            if _holds_hounsfield(path)
            else "does the mark belong to another image?"
        )
        raise BadMarkError(f"the image has a single level near the mark: {question}")


def _holds_hounsfield(path: Path) -> bool:
    """Return whether a file that was read holds Hounsfield units, and not levels."""
    if is_volume(path):
        return True
    with open_picture(path, partial(no_image, path)) as image:
        return image.mode.startswith("I")
