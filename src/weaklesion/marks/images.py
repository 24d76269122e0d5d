"""The images of users' marks, as levels: PNG, JPG, 16-bit PNG and slices of NIfTI."""

from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags

from weaklesion.hounsfield import PNG_OFFSET, to_grey
from weaklesion.marks.image_files import damaged, existing_file, no_image, refuse_other_scans
from weaklesion.marks.table import BadMarkError, Mark
from weaklesion.marks.volumes import (
    SAME_SPACING,
    Stamp,
    Volume,
    doubts_about_spacing,
    is_volume,
    open_volume,
    slice_index,
    spacing_of,
)
from weaklesion.support.pictures import open_picture
from weaklesion.support.reading import refusing

BLOCK_PX = 1 << 24  # px of a slice that are converted at a time
LOWEST_HU, HIGHEST_HU = -4000.0, 10000.0  # padding is above; metal is below, or covers little


@dataclass(frozen=True)
class Picture:
    """The image, or the slice of a volume, of a mark.

    Attributes:
        levels: (H, W, 3) uint8.
        spacing: mm per px of x and y, or None.
        volume: the NIfTI image of which it is a slice, or None.
        unknown: (H, W) bool, px without a finite value; None if all values are finite.
        doubts: what makes the spacing doubtful, in words.
        beyond: (H, W) bool, px of a 16-bit PNG that are not HU + 32768; None if all may be.
    """

    levels: np.ndarray
    spacing: tuple[float, float] | None
    volume: Any | None
    unknown: np.ndarray | None = None
    doubts: tuple[str, ...] = ()
    beyond: np.ndarray | None = None


def read_picture(mark: Mark, window_hu: tuple[float, float]) -> Picture:
    """Read the image of a mark, or the slice of its volume.

    Raises:
        UnreadableError: if it does not exist, or cannot be read.
        BadMarkError: if the mark is on none of its slices, or the image is of no usable kind.
    """
    path, stamp = existing_file(mark.image, "image")
    if is_volume(path):
        return _read_slice(mark, path, stamp, window_hu)
    refuse_other_scans(path)
    if mark.slice is not None:
        raise BadMarkError(f"the row has a slice, but {path.name} is not a volume")
    levels, beyond = _read_levels(path, stamp, window_hu)
    return Picture(levels, mark.spacing, None, beyond=beyond)


def open_volume_of(mark: Mark) -> Volume:
    """Open the volume of a mark, of which any part can then be read.

    Raises:
        BadMarkError: if it does not exist, or cannot be read.
    """
    return open_volume(*existing_file(mark.image, "image"))


@lru_cache(maxsize=2)
def _read_levels(
    path: Path, stamp: Stamp, window_hu: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the levels of a picture, (H, W, 3) uint8, and `Picture.beyond`."""
    with open_picture(path, partial(no_image, path)) as image:
        deep = any(";16" in str(tile.args) for tile in image.tile)  # empty after reading
        if deep and not image.mode.startswith("I"):  # Pillow keeps 8 of the 16 bits
            raise BadMarkError(
                f"{path.name} has 16 bits per colour: save it with 8 bits, or as 16-bit grey"
                " with Hounsfield units"
            )
        turned = image.getexif().get(ExifTags.Base.Orientation, 1)
        if turned in range(2, 9):  # other values are undefined
            raise BadMarkError(
                f"{path.name} is stored rotated (EXIF orientation {turned}), so the mark's"
                " pixels are ambiguous: save it upright, without the tag"
            )
        if image.mode == "F":
            raise BadMarkError(f"{path.name} has 32-bit float levels, whose scale is unknown")
        frames = getattr(image, "n_frames", 1)
        if frames > 1 and image.format != "MPO":  # a phone's JPG: the first is the photograph
            raise BadMarkError(f"{path.name} contains {frames} images: save the marked image alone")
        if image.mode.startswith("I"):  # 16 bits per pixel
            hounsfield = np.asarray(image, dtype=np.float32) - PNG_OFFSET
            _check_offset(hounsfield, path, window_hu)
            # what has no common scale, as MR, may have high values, and then has a high window
            highest = max(HIGHEST_HU, 4 * window_hu[1])
            beyond = (hounsfield < LOWEST_HU) | (hounsfield > highest)
            return _windowed(hounsfield, window_hu), beyond if beyond.any() else None
        return np.array(image.convert("RGB")), None


def _check_offset(hounsfield: np.ndarray, path: Path, window_hu: tuple[float, float]) -> None:
    """Refuse a 16-bit image that is wholly below the window: it has another offset."""
    low, high = float(hounsfield.min()), float(hounsfield.max())
    if high <= window_hu[0]:
        raise BadMarkError(
            f"{path.name} has levels from {low + PNG_OFFSET:.0f} to {high + PNG_OFFSET:.0f}, which"
            f" are {low:,.0f} to {high:,.0f} HU, below the window {window_hu[0]:g} to"
            f" {window_hu[1]:g}: 16-bit images hold HU + {PNG_OFFSET}. Does this one hold HU,"
            " HU + 1024, or no HU at all?"
        )


def open_slices(path: Path, stamp: Stamp) -> Volume:
    """Open an image or mask of slices.

    Raises:
        BadMarkError: if it has more than three dimensions, or cannot be read.
    """
    volume = open_volume(path, stamp)
    if any(length > 1 for length in volume.image.shape[3:]):
        shape = " x ".join(map(str, volume.image.shape))
        raise BadMarkError(f"{path.name} has {shape} voxels: it needs two or three dimensions")
    return volume


def _read_slice(mark: Mark, path: Path, stamp: Stamp, window_hu: tuple[float, float]) -> Picture:
    volume = open_slices(path, stamp)
    shape = volume.image.shape
    depth = shape[2] if len(shape) > 2 else 1
    number = mark.slice
    if number is None:
        if depth > 1:
            raise BadMarkError(f"{path.name} has {depth} slices, but the row has no slice")
        number = 0
    if number >= depth:
        first = mark.first_slice
        raise BadMarkError(
            f"slice {number + first} is not in {path.name}, which has slices {first} to"
            f" {depth - 1 + first}"
        )
    levels, unknown = _read_voxels(volume, number, path, window_hu)
    spacing, sizes = mark.spacing, spacing_of(volume.image)
    if sizes is not None:
        if spacing is not None and not np.allclose(spacing, sizes, rtol=SAME_SPACING):
            raise BadMarkError(
                f"spacing_x and spacing_y are {spacing[0]:g} and {spacing[1]:g} mm, but"
                f" {path.name} has {sizes[0]:g} and {sizes[1]:g}: does the mark belong to another"
                " image?"
            )
        spacing = sizes
    doubts = tuple(f"{path.name} {doubt}" for doubt in doubts_about_spacing(volume.image))
    return Picture(levels, spacing, volume.image, unknown if unknown.any() else None, doubts)


def _read_voxels(
    volume: Volume, number: int, path: Path, window_hu: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the levels of a slice, (H, W, 3) uint8, and where they are unknown, (H, W) bool.

    A large slice is converted in blocks of rows, which saves memory.
    """
    index = slice_index(volume.image.shape, number)
    width, height = volume.image.shape[:2]
    levels = np.empty((height, width, 3), dtype=np.uint8)
    unknown = np.empty((height, width), dtype=bool)
    rows = max(1, BLOCK_PX // width)
    for start in range(0, height, rows):
        block = slice(start, min(height, start + rows))
        with refusing(lambda cause: damaged(path, cause)):
            part = volume.voxels[(index[0], block, *index[2:])]
        # NIfTI's first axis is x: transposed, rows are y
        hounsfield = np.asarray(part, dtype=np.float32).T
        unknown[block] = ~np.isfinite(hounsfield)
        levels[block] = _windowed(np.where(unknown[block], window_hu[0], hounsfield), window_hu)
    return levels, unknown


def _windowed(hounsfield: np.ndarray, window_hu: tuple[float, float]) -> np.ndarray:
    grey = to_grey(hounsfield, window_hu).round().astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)
