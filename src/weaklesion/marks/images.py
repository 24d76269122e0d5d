"""The images of users' marks, as levels: PNG, JPG, 16-bit PNG and slices of NIfTI."""

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
from weaklesion.support.pictures import open_picture

UNREADABLE = (OSError, EOFError, ValueError, TypeError, zlib.error)
MM_OF = {"mm": 1.0, "unknown": 1.0, "meter": 1000.0, "micron": 0.001}
NIFTI = (".nii", ".nii.gz")
SAME_SPACING = 0.01  # relative difference up to which two spacings are equal

Stamp = tuple[int, ...]  # times of a file's last changes, its size and its number


@dataclass(frozen=True)
class Picture:
    """The image, or the slice of a volume, of a mark.

    Attributes:
        levels: (H, W, 3) uint8.
        spacing: mm per px of x and y, or None.
        volume: the NIfTI image of which it is a slice, or None.
        unknown: (H, W) bool, px without a finite value; None if all values are finite.
    """

    levels: np.ndarray
    spacing: tuple[float, float] | None
    volume: Any | None
    unknown: np.ndarray | None = None


def read_picture(mark: Mark, window_hu: tuple[float, float]) -> Picture:
    """Read the image of a mark, or the slice of its volume.

    Raises:
        BadMarkError: if it does not exist, or cannot be read.
    """
    path, stamp = _existing_file(mark.image, "image")
    if _is_volume(path):
        return _read_slice(mark, path, stamp, window_hu)
    if mark.slice is not None:
        raise BadMarkError(f"the row has a slice, but {path.name} is not a volume")
    return Picture(_read_levels(path, stamp, window_hu), mark.spacing, None)


def read_mask(mark: Mark, picture: Picture) -> np.ndarray:
    """Read the dense mask of a mark, as large as its picture: (H, W) bool.

    The file is of the same kind as the image: a grey or palette image, or a NIfTI image on the
    volume's voxel grid. It has two levels (NIfTI: in the mark's slice), one of which is 0.

    Raises:
        BadMarkError: if the row names no mask, or the mask cannot be read or does not fit the
            picture.
    """
    if mark.mask is None:
        raise BadMarkError("the row names no mask")
    path, stamp = _existing_file(mark.mask, "mask")
    if _is_volume(path) != (picture.volume is not None):
        raise BadMarkError(f"one of {path.name} and its image is a volume, the other is not")
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
            part = np.asarray(volume.dataobj[slice_index(volume.shape, mark.slice)])
        except UNREADABLE as error:
            raise BadMarkError(f"{path.name} is truncated or damaged ({error})") from error
        mask = _two_levels(part.T, path)
    if mask.shape != picture.levels.shape[:2]:
        sizes = [f"{shape[1]}x{shape[0]}" for shape in (mask.shape, picture.levels.shape)]
        raise BadMarkError(f"{path.name} has {sizes[0]} px, but its image {sizes[1]}")
    return mask


def _read_levels_of_mask(path: Path) -> np.ndarray:
    try:
        with open_picture(path) as image:
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
    values = np.unique(levels).tolist()
    if len(values) > 2 or values[0] != 0:
        shown = ", ".join(f"{value:g}" for value in values[:4])
        shown += ", ..." if len(values) > 4 else ""
        raise BadMarkError(f"{path.name} has the levels {shown}: a mask has 0 and one other level")
    return levels != 0


def _existing_file(file: Path, kind: str) -> tuple[Path, Stamp]:
    """Return the resolved path of a file, and its stamp."""
    try:
        path = file.resolve()
        if not path.is_file():
            raise BadMarkError(f"the {kind} {file} does not exist")
        stat = path.stat()
    except OSError as error:  # no permission, or an impossible name
        raise BadMarkError(f"{file} cannot be opened ({error.strerror})") from error
    return path, (stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino)


def _is_volume(path: Path) -> bool:
    return path.name.lower().endswith(NIFTI)


@lru_cache(maxsize=2)
def _read_levels(path: Path, stamp: Stamp, window_hu: tuple[float, float]) -> np.ndarray:
    try:
        with open_picture(path) as image:
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
            if frames > 1:
                raise BadMarkError(
                    f"{path.name} contains {frames} images: save the marked image alone"
                )
            if image.mode.startswith("I"):  # 16 bits per pixel
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
        raise BadMarkError(f"{path.name} has {shape} voxels: it needs two or three dimensions")
    if volume.get_data_dtype().kind not in "iuf":
        raise BadMarkError(f"{path.name} has values of type {volume.get_data_dtype()}, not numbers")
    if not np.isfinite(volume.affine).all() or abs(np.linalg.det(volume.affine[:3, :3])) < 1e-12:
        raise BadMarkError(f"{path.name} has an affine that is not invertible (sform or qform)")
    try:
        volume.header.get_xyzt_units()
    except KeyError as error:
        raise BadMarkError(
            f"{path.name} has a unit of length that NIfTI does not define (xyzt_units"
            f" {error.args[0]})"
        ) from error
    return volume


def slice_index(shape: Sequence[int], number: int | None) -> tuple[Any, ...]:
    """Return the index of a slice in an array of a volume.

    Args:
        shape: shape of the volume; all dimensions after the third have length 1.
        number: index of the slice along the third axis; None for the first.

    >>> slice_index((8, 9, 5, 1), 2)
    (slice(None, None, None), slice(None, None, None), 2, 0)
    """
    return (slice(None), slice(None), *((number or 0, *(0,) * (len(shape) - 3))[: len(shape) - 2]))


def _read_slice(mark: Mark, path: Path, stamp: Stamp, window_hu: tuple[float, float]) -> Picture:
    volume = _open_volume(path, stamp)
    depth = volume.shape[2] if len(volume.shape) > 2 else 1
    number = mark.slice
    if number is None:
        if depth > 1:
            raise BadMarkError(f"{path.name} has {depth} slices, but the row has no slice")
        number = 0
    if number >= depth:
        raise BadMarkError(
            f"slice {number} is not in {path.name}, which has slices 0 to {depth - 1}"
        )
    try:
        part = volume.dataobj[slice_index(volume.shape, number)]
        # NIfTI's first axis is x: transposed, rows are y
        hounsfield = np.asarray(part, dtype=np.float32).T
    except UNREADABLE as error:
        raise BadMarkError(f"{path.name} is truncated or damaged ({error})") from error
    unknown = ~np.isfinite(hounsfield)
    spacing = mark.spacing
    if not np.array_equal(volume.affine, np.eye(4)):  # the identity means an unknown scale
        # The affine counts, because the mask is written with it; pixdim may differ.
        sizes = voxel_sizes(volume.affine)[:2] * MM_OF[volume.header.get_xyzt_units()[0]]
        if spacing is not None and not np.allclose(spacing, sizes, rtol=SAME_SPACING):
            raise BadMarkError(
                f"spacing_x and spacing_y are {spacing[0]:g} and {spacing[1]:g} mm, but"
                f" {path.name} has {sizes[0]:g} and {sizes[1]:g}: does the mark belong to another"
                " image?"
            )
        spacing = float(sizes[0]), float(sizes[1])
    levels = _windowed(np.where(unknown, window_hu[0], hounsfield), window_hu)
    return Picture(levels, spacing, volume, unknown if unknown.any() else None)


def check_contrast(around: np.ndarray, window_hu: tuple[float, float]) -> None:
    """Refuse an image that has a single level near the mark, and therefore shows nothing.

    Args:
        around: (h, w, 3) uint8, the picture near the mark.
        window_hu: Hounsfield units that became 0 and 255.

    Raises:
        BadMarkError: if all pixels are equal.
    """
    if (around == around[0, 0]).all():
        raise BadMarkError(
            "the image has a single level near the mark (are its Hounsfield units outside the"
            f" window {window_hu[0]:g} to {window_hu[1]:g}?)"
        )


def _windowed(hounsfield: np.ndarray, window_hu: tuple[float, float]) -> np.ndarray:
    grey = to_grey(hounsfield, window_hu).round().astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)
