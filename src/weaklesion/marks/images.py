"""The images of users' marks, as levels: PNG, JPG, 16-bit PNG and slices of NIfTI."""

import os
import unicodedata
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags

from weaklesion.hounsfield import PNG_OFFSET, to_grey
from weaklesion.marks.table import BadMarkError, Mark, UnreadableError
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
SAME_LABEL = 1e-3  # difference up to which the level of a mask is a whole number
LOWEST_HU, HIGHEST_HU = -4000.0, 10000.0  # padding is above; metal is below, or covers little
MOST_BEYOND = 0.25  # of the pixels near a mark
SMALLEST_LESION_MM, LARGEST_LESION_MM = 0.1, 1000.0


@dataclass(frozen=True)
class Picture:
    """The image, or the slice of a volume, of a mark.

    Attributes:
        levels: (H, W, 3) uint8.
        spacing: mm per px of x and y, or None.
        volume: the NIfTI image of which it is a slice, or None.
        unknown: (H, W) bool, px without a finite value; None if all values are finite.
        doubts: what makes the spacing doubtful, in words.
        beyond: (H, W) bool, px of a 16-bit PNG that are no HU + 32768; None if all may be.
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
    path, stamp = _existing_file(mark.image, "image")
    if is_volume(path):
        return _read_slice(mark, path, stamp, window_hu)
    _refuse_other_scans(path)
    if mark.slice is not None:
        raise BadMarkError(f"the row has a slice, but {path.name} is not a volume")
    levels, beyond = _read_levels(path, stamp, window_hu)
    return Picture(levels, mark.spacing, None, beyond=beyond)


def open_volume_of(mark: Mark) -> Volume:
    """Open the volume of a mark, of which any part can then be read.

    Raises:
        BadMarkError: if it does not exist, or cannot be read.
    """
    return open_volume(*_existing_file(mark.image, "image"))


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
    if is_volume(path) != (picture.volume is not None):
        raise BadMarkError(f"one of {path.name} and its image is a volume, the other is not")
    if picture.volume is None:
        _refuse_other_scans(path)
        mask = _read_levels_of_mask(path)
    else:
        volume = _open_slices(path, stamp)
        image = volume.image
        same = image.shape == picture.volume.shape
        if not same or not np.allclose(image.affine, picture.volume.affine, atol=1e-3):
            raise BadMarkError(
                f"{path.name} is not on the voxel grid of its image (shape or affine differs)"
            )
        with refusing(lambda cause: _damaged(path, cause)):
            part = np.asarray(volume.voxels[slice_index(image.shape, mark.slice)])
        mask = _two_levels(part.T, path)
    if mask.shape != picture.levels.shape[:2]:
        sizes = [f"{shape[1]}x{shape[0]}" for shape in (mask.shape, picture.levels.shape)]
        raise BadMarkError(f"{path.name} has {sizes[0]} px, but its image {sizes[1]}")
    return mask


def _read_levels_of_mask(path: Path) -> np.ndarray:
    with open_picture(path, partial(_no_image, path)) as image:
        if "A" in image.getbands() or "transparency" in image.info:
            raise BadMarkError(f"{path.name} is transparent: save the mask as a grey image")
        grey = np.asarray(image if image.mode.startswith("I") else image.convert("L"))
    return _two_levels(grey, path)


def _two_levels(levels: np.ndarray, path: Path) -> np.ndarray:
    """Return where a mask is not 0. Levels such as 0.9999999 are those of a library's scaling."""
    if levels.dtype.kind == "f":
        whole = np.rint(levels)
        levels = np.where(np.abs(levels - whole) <= SAME_LABEL, whole, levels)
    values = np.unique(levels).tolist()
    if len(values) > 2 or values[0] != 0:
        shown = ", ".join(f"{value:g}" for value in values[:4])
        shown += ", ..." if len(values) > 4 else ""
        raise BadMarkError(f"{path.name} has the levels {shown}: a mask has 0 and one other level")
    return levels != 0


def _existing_file(file: Path, kind: str) -> tuple[Path, Stamp]:
    """Return the path of a file, whose name tells its kind even if it is a link, and its stamp."""
    try:
        if not file.is_file():
            stat = file.stat()  # names what is wrong with a link or a folder
            raise UnreadableError(
                f"the {kind} {file} is a folder: name one file; DICOM is not read, convert the"
                " series to .nii.gz with dcm2niix"
                if file.is_dir()
                else f"the {kind} {file} is not a file but a device or pipe (mode {stat.st_mode:o})"
            )
        stat = file.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UnreadableError(f"the {kind} {file} does not exist{other_spelling(file)}") from error
    except (OSError, RuntimeError) as error:  # no permission, an impossible name, a loop of links
        cause = getattr(error, "strerror", None) or error
        raise UnreadableError(f"{file} cannot be opened ({cause})") from error
    return file, (stat.st_mtime_ns, stat.st_size, stat.st_ctime_ns, stat.st_ino)


def other_spelling(file: Path) -> str:
    """Return the hint that a file exists under a name that looks alike; "" if none does.

    Names of files are not in it, because those of an export may name a patient.
    """
    if "\\" in str(file) and os.path.exists(str(file).replace("\\", "/")):
        return ": write its path with / instead of \\"
    try:
        names = os.listdir(file.parent)
    except OSError:
        return ""
    for name in set(names) - {file.name}:
        if unicodedata.normalize("NFC", name) == unicodedata.normalize("NFC", file.name):
            return (
                ": its folder has a file of this name in another form of Unicode (é as one"
                " character, or as e with an accent); rename the file, or copy its name"
            )
        if name.casefold() == file.name.casefold():
            return ": its folder has a file of this name with other capital letters"
    return ""


def _refuse_other_scans(path: Path) -> None:
    """Refuse the kinds of scans that are not read, with the way to convert them."""
    if path.suffix.lower() in (".hdr", ".img"):
        raise BadMarkError(
            f"{path.name} is one of a pair of files (Analyze, or NIfTI .hdr and .img), which are"
            " not read: convert them to one .nii.gz, for example with nibabel or dcm2niix"
        )
    with (
        refusing(lambda cause: UnreadableError(f"{path.name} cannot be opened ({cause})")),
        path.open("rb") as stream,
    ):
        start = stream.read(132)
    if path.suffix.lower() in (".dcm", ".ima") or start[128:] == b"DICM":
        raise BadMarkError(
            f"{path.name} is DICOM, which is not read: convert the series to .nii.gz with dcm2niix"
        )


@lru_cache(maxsize=2)
def _read_levels(
    path: Path, stamp: Stamp, window_hu: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the levels of a picture, (H, W, 3) uint8, and `Picture.beyond`."""
    with open_picture(path, partial(_no_image, path)) as image:
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


def _no_image(path: Path, cause: str) -> BadMarkError:
    return UnreadableError(f"{path.name} cannot be read as an image ({cause})")


def _damaged(path: Path, cause: str) -> BadMarkError:
    return UnreadableError(f"{path.name} is truncated or damaged ({cause})")


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


def _open_slices(path: Path, stamp: Stamp) -> Volume:
    volume = open_volume(path, stamp)
    if any(length > 1 for length in volume.image.shape[3:]):
        shape = " x ".join(map(str, volume.image.shape))
        raise BadMarkError(f"{path.name} has {shape} voxels: it needs two or three dimensions")
    return volume


def _read_slice(mark: Mark, path: Path, stamp: Stamp, window_hu: tuple[float, float]) -> Picture:
    volume = _open_slices(path, stamp)
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
        with refusing(lambda cause: _damaged(path, cause)):
            part = volume.voxels[(index[0], block, *index[2:])]
        # NIfTI's first axis is x: transposed, rows are y
        hounsfield = np.asarray(part, dtype=np.float32).T
        unknown[block] = ~np.isfinite(hounsfield)
        levels[block] = _windowed(np.where(unknown[block], window_hu[0], hounsfield), window_hu)
    return levels, unknown


def doubts_about_size(points: np.ndarray, picture: Picture) -> list[str]:
    """Return what makes the mm of a mark doubtful, in words: its picture's spacing, or its size.

    Args:
        points: (4, 2) ends of the diameters, px.
        picture: the mark's picture.
    """
    if picture.spacing is None:
        return []
    long_mm = float(np.hypot(*((points[1] - points[0]) * np.array(picture.spacing))))
    if SMALLEST_LESION_MM <= long_mm <= LARGEST_LESION_MM:
        return list(picture.doubts)
    size = f"its long diameter is {long_mm:.3g} mm, which no lesion has: is the spacing right?"
    return [*picture.doubts, size]


def check_scale(picture: Picture, near: tuple[slice, slice], path: Path) -> None:
    """Refuse a 16-bit image whose grey is no HU + 32768 near a mark, such as MR from 0 to 65535.

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
    with open_picture(path, partial(_no_image, path)) as image:
        return image.mode.startswith("I")


def _windowed(hounsfield: np.ndarray, window_hu: tuple[float, float]) -> np.ndarray:
    grey = to_grey(hounsfield, window_hu).round().astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)
