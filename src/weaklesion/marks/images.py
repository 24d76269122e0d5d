"""The pictures that users' marks lie on: PNG, JPG, 16-bit PNG and slices of NIfTI, as levels."""

import zlib
from collections.abc import Sequence
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

from weaklesion.hounsfield import PNG_OFFSET, to_grey
from weaklesion.marks.table import BadMarkError, Mark

UNREADABLE = (OSError, EOFError, ValueError, TypeError, zlib.error)
MM_OF = {"mm": 1.0, "unknown": 1.0, "meter": 1000.0, "micron": 0.001}
NIFTI = (".nii", ".nii.gz")
SAME_SPACING = 0.01  # by which parts of itself a row's spacing may differ from its volume's


Stamp = tuple[int, int]  # of a file: time of its last change, and size


@dataclass(frozen=True)
class Picture:
    """What a mark lies on.

    Attributes:
        levels: (H, W, 3) uint8.
        spacing: mm per px of x and y, or None.
        volume: the NIfTI image that it is a slice of, or None.
        unknown: (H, W) bool, px without a finite value, or None if all have one.
    """

    levels: np.ndarray
    spacing: tuple[float, float] | None
    volume: Any | None
    unknown: np.ndarray | None = None


def read_picture(mark: Mark, window_hu: tuple[float, float]) -> Picture:
    """Read the image of a mark, or the slice of its volume.

    Raises:
        BadMarkError: if there is none, or it cannot be read.
    """
    path, stamp = _found(mark.image, "image")
    if _is_volume(path):
        return _read_slice(mark, path, stamp, window_hu)
    if mark.slice is not None:
        raise BadMarkError(f"a slice is given, and {path.name} is no volume")
    return Picture(_read_levels(path, stamp, window_hu), mark.spacing, None)


def read_mask(mark: Mark, picture: Picture) -> np.ndarray:
    """Read the dense mask of a mark, as large as its picture: (H, W) bool.

    A file of the same kind as the image: a grey or palette image, or a NIfTI image in the volume's
    place, with the level 0 and one other (in the mark's slice).

    Raises:
        BadMarkError: if there is none, it cannot be read, or it does not lie on the picture.
    """
    if mark.mask is None:
        raise BadMarkError("no mask is given")
    path, stamp = _found(mark.mask, "mask")
    if _is_volume(path) != (picture.volume is not None):
        raise BadMarkError(f"{path.name} and its image are not both volumes, or both none")
    if picture.volume is None:
        mask = _read_levels_of_mask(path)
    else:
        volume = _open_volume(path, stamp)
        same = volume.shape == picture.volume.shape
        if not same or not np.allclose(volume.affine, picture.volume.affine, atol=1e-3):
            raise BadMarkError(
                f"{path.name} is not on the voxel grid of its image (shape or affine differs)"
            )
        try:
            part = np.asarray(volume.dataobj[place_of(volume.shape, mark.slice)])
        except UNREADABLE as error:
            raise BadMarkError(f"{path.name} is truncated or damaged ({error})") from error
        mask = _two_levels(part.T, path)
    if mask.shape != picture.levels.shape[:2]:
        sizes = [f"{shape[1]}x{shape[0]}" for shape in (mask.shape, picture.levels.shape)]
        raise BadMarkError(f"{path.name} is {sizes[0]} px, and its image {sizes[1]}")
    return mask


def _read_levels_of_mask(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as image:
            if "A" in image.getbands() or "transparency" in image.info:
                raise BadMarkError(f"{path.name} is transparent: save the mask as a grey image")
            grey = np.asarray(image if image.mode.startswith("I") else image.convert("L"))
    except BadMarkError:
        raise
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BadMarkError(f"{path.name} cannot be read as an image ({error})") from error
    return _two_levels(grey, path)


def _two_levels(levels: np.ndarray, path: Path) -> np.ndarray:
    """Return where a mask is not 0."""
    found = np.unique(levels).tolist()
    if len(found) > 2 or found[0] != 0:
        shown = ", ".join(f"{level:g}" for level in found[:4]) + (", ..." if len(found) > 4 else "")
        raise BadMarkError(f"{path.name} has the levels {shown}: a mask has 0 and one other")
    return levels != 0


def _found(file: Path, what: str) -> tuple[Path, Stamp]:
    """Return where a file really is, and its stamp."""
    try:
        path = file.resolve()
        if not path.is_file():
            raise BadMarkError(f"there is no {what} {file}")
        stat = path.stat()
    except OSError as error:  # no permission, or a name that no file can have
        raise BadMarkError(f"{file} cannot be opened ({error.strerror})") from error
    return path, (stat.st_mtime_ns, stat.st_size)


def _is_volume(path: Path) -> bool:
    return path.name.lower().endswith(NIFTI)


@lru_cache(maxsize=2)
def _read_levels(path: Path, stamp: Stamp, window_hu: tuple[float, float]) -> np.ndarray:
    try:
        with Image.open(path) as image:
            deep = any(";16" in str(tile.args) for tile in image.tile)  # empty once it is read
            if deep and not image.mode.startswith("I"):  # Pillow keeps 8 of the 16 bits
                raise BadMarkError(
                    f"{path.name} has 16 bits a colour: save it with 8, or as 16-bit grey with"
                    " Hounsfield units"
                )
            turned = image.getexif().get(ExifTags.Base.Orientation, 1)
            if turned in range(2, 9):  # other values mean nothing
                raise BadMarkError(
                    f"{path.name} is stored turned (EXIF orientation {turned}), so that it is not"
                    " clear which pixels are meant: save it upright, without the tag"
                )
            if image.mode == "F":
                raise BadMarkError(f"{path.name} has levels of no known scale (32-bit floats)")
            frames = getattr(image, "n_frames", 1)
            if frames > 1:
                raise BadMarkError(f"{path.name} holds {frames} images: save the marked one alone")
            if image.mode.startswith("I"):  # 16 bits a pixel
                return _windowed(np.asarray(image, dtype=np.float32) - PNG_OFFSET, window_hu)
            return np.array(image.convert("RGB"))
    except BadMarkError:
        raise
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BadMarkError(f"{path.name} cannot be read as an image ({error})") from error


@lru_cache(maxsize=2)
def _open_volume(path: Path, stamp: Stamp) -> Any:
    try:
        volume: Any = nibabel.load(path)
    except (*UNREADABLE, ImageFileError, HeaderDataError) as error:
        raise BadMarkError(f"{path.name} cannot be read as NIfTI ({error})") from error
    if len(volume.shape) < 2 or any(length > 1 for length in volume.shape[3:]):
        shape = " x ".join(map(str, volume.shape))
        raise BadMarkError(f"{path.name} has {shape} voxels: two or three dimensions are needed")
    if volume.get_data_dtype().kind not in "iuf":
        raise BadMarkError(f"{path.name} has values of type {volume.get_data_dtype()}, not numbers")
    if not np.isfinite(volume.affine).all() or abs(np.linalg.det(volume.affine[:3, :3])) < 1e-12:
        raise BadMarkError(f"{path.name} has an affine that places no voxel (sform or qform)")
    try:
        volume.header.get_xyzt_units()
    except KeyError as error:
        raise BadMarkError(
            f"{path.name} has a unit of length that NIfTI does not know (xyzt_units"
            f" {error.args[0]})"
        ) from error
    return volume


def place_of(shape: Sequence[int], number: int | None) -> tuple[Any, ...]:
    """Return the index of a slice in a volume of two dimensions or more, all but three of one."""
    return (slice(None), slice(None), *((number or 0, *(0,) * (len(shape) - 3))[: len(shape) - 2]))


def _read_slice(mark: Mark, path: Path, stamp: Stamp, window_hu: tuple[float, float]) -> Picture:
    volume = _open_volume(path, stamp)
    depth = volume.shape[2] if len(volume.shape) > 2 else 1
    number = mark.slice
    if number is None:
        if depth > 1:
            raise BadMarkError(f"{path.name} has {depth} slices, and none is named")
        number = 0
    if number >= depth:
        raise BadMarkError(
            f"slice {number} is none of {path.name}, which has {depth}, the first being 0"
        )
    try:
        part = volume.dataobj[place_of(volume.shape, number)]
        # NIfTI's first axis is x: transposed, rows are y
        hounsfield = np.asarray(part, dtype=np.float32).T
    except UNREADABLE as error:
        raise BadMarkError(f"{path.name} is truncated or damaged ({error})") from error
    unknown = ~np.isfinite(hounsfield)
    spacing = mark.spacing
    if not np.array_equal(volume.affine, np.eye(4)):  # else it has no scale
        # of the affine, in which the mask is written, too: pixdim may say something else
        sizes = voxel_sizes(volume.affine)[:2] * MM_OF[volume.header.get_xyzt_units()[0]]
        if spacing is not None and not np.allclose(spacing, sizes, rtol=SAME_SPACING):
            raise BadMarkError(
                f"spacing_x and spacing_y are {spacing[0]:g} and {spacing[1]:g} mm, and"
                f" {path.name} has {sizes[0]:g} and {sizes[1]:g}: another image's mark?"
            )
        spacing = float(sizes[0]), float(sizes[1])
    levels = _windowed(np.where(unknown, window_hu[0], hounsfield), window_hu)
    return Picture(levels, spacing, volume, unknown if unknown.any() else None)


def check_contrast(around: np.ndarray, window_hu: tuple[float, float]) -> None:
    """Refuse what is one level about the mark: there is nothing to be seen.

    Args:
        around: (h, w, 3) uint8, the picture about the mark.
        window_hu: Hounsfield units that became 0 and 255.

    Raises:
        BadMarkError: if it is.
    """
    if (around == around[0, 0]).all():
        raise BadMarkError(
            "the image is one level about the mark: nothing is to be seen (Hounsfield units"
            f" outside of the window {window_hu[0]:g} to {window_hu[1]:g}?)"
        )


def _windowed(hounsfield: np.ndarray, window_hu: tuple[float, float]) -> np.ndarray:
    grey = to_grey(hounsfield, window_hu).round().astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)
