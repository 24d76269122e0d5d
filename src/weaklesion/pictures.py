"""The pictures that users' marks lie on: PNG, JPG, 16-bit PNG and slices of NIfTI, as levels."""

import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from nibabel.affines import voxel_sizes
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from PIL import ExifTags, Image

from weaklesion.marks import BadMarkError, Mark

UNREADABLE = (OSError, EOFError, ValueError, TypeError, zlib.error)
MM_OF = {"mm": 1.0, "unknown": 1.0, "meter": 1000.0, "micron": 0.001}
NIFTI = (".nii", ".nii.gz")
HU_ZERO = 32768  # of 16-bit PNG, as DeepLesion has it


@dataclass(frozen=True)
class Picture:
    """What a mark lies on.

    Attributes:
        levels: (H, W, 3) uint8.
        spacing: mm per px of x and y, or None.
        volume: the NIfTI image that it is a slice of, or None.
    """

    levels: np.ndarray
    spacing: tuple[float, float] | None
    volume: Any | None


def read_picture(mark: Mark, window_hu: tuple[float, float]) -> Picture:
    """Read the image of a mark, or the slice of its volume.

    Raises:
        BadMarkError: if there is none, or it cannot be read.
    """
    if not mark.image.is_file():
        raise BadMarkError(f"there is no image {mark.image}")
    if mark.image.name.endswith(NIFTI):
        return _read_slice(mark, window_hu)
    if mark.slice is not None:
        raise BadMarkError(f"a slice is given, and {mark.image.name} is no volume")
    return Picture(_read_levels(mark.image, window_hu), mark.spacing, None)


@lru_cache(maxsize=2)
def _read_levels(path: Path, window_hu: tuple[float, float]) -> np.ndarray:
    try:
        with Image.open(path) as image:
            turned = image.getexif().get(ExifTags.Base.Orientation, 1)
            if turned != 1:
                raise BadMarkError(
                    f"{path.name} is stored turned (EXIF orientation {turned}), so that it is not"
                    " clear which pixels are meant: save it upright, without the tag"
                )
            if image.mode == "F":
                raise BadMarkError(f"{path.name} has levels of no known scale (32-bit floats)")
            if image.mode.startswith("I"):  # 16 bits a pixel
                return _windowed(np.asarray(image, dtype=np.float32) - HU_ZERO, window_hu)
            return np.asarray(image.convert("RGB"))
    except BadMarkError:
        raise
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BadMarkError(f"{path.name} cannot be read as an image ({error})") from error


@lru_cache(maxsize=2)
def _open_volume(path: Path) -> Any:
    try:
        volume: Any = nibabel.load(path)
    except (*UNREADABLE, ImageFileError, HeaderDataError) as error:
        raise BadMarkError(f"{path.name} cannot be read as NIfTI ({error})") from error
    if len(volume.shape) not in (2, 3):
        raise BadMarkError(f"{path.name} has {len(volume.shape)} dimensions, not 2 or 3")
    if volume.get_data_dtype().kind not in "iuf":
        raise BadMarkError(f"{path.name} has values of type {volume.get_data_dtype()}, not numbers")
    try:
        volume.header.get_xyzt_units()
    except KeyError as error:
        raise BadMarkError(
            f"{path.name} has a unit of length that NIfTI does not know (xyzt_units {error})"
        ) from error
    return volume


def _read_slice(mark: Mark, window_hu: tuple[float, float]) -> Picture:
    volume = _open_volume(mark.image)
    depth = volume.shape[2] if len(volume.shape) == 3 else 1
    number = mark.slice
    if number is None:
        if depth > 1:
            raise BadMarkError(f"{mark.image.name} has {depth} slices, and none is named")
        number = 0
    if number >= depth:
        raise BadMarkError(f"slice {number} is none of {mark.image.name}, which has {depth}")
    try:
        place = (..., number) if len(volume.shape) == 3 else (...,)
        # NIfTI's first axis is x: transposed, rows are y
        hounsfield = np.asarray(volume.dataobj[place], dtype=np.float32).T
    except UNREADABLE as error:
        raise BadMarkError(f"{mark.image.name} is truncated or damaged ({error})") from error
    if not np.isfinite(hounsfield).all():
        raise BadMarkError(f"slice {number} of {mark.image.name} has values that are not finite")
    spacing = mark.spacing
    if spacing is None and not np.array_equal(volume.affine, np.eye(4)):  # else without a scale
        # of the affine, in which the mask is written, too: pixdim may say something else
        sizes = voxel_sizes(volume.affine) * MM_OF[volume.header.get_xyzt_units()[0]]
        spacing = float(sizes[0]), float(sizes[1])
    return Picture(_windowed(hounsfield, window_hu), spacing, volume)


def _windowed(hounsfield: np.ndarray, window_hu: tuple[float, float]) -> np.ndarray:
    low, high = window_hu
    grey = (np.clip((hounsfield - low) / (high - low), 0, 1) * 255).round().astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)
