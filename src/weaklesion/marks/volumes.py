"""NIfTI volumes: checked before anything is allocated, verified, and read slice by slice."""

import gzip
import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from nibabel.affines import voxel_sizes
from nibabel.fileholders import FileHolder

from weaklesion.errors import DataError
from weaklesion.marks.table import LARGEST_MM, SMALLEST_MM, BadMarkError, UnreadableError
from weaklesion.support.reading import PIXELS, VOLUME_BYTES, limit_of, refusing

NIFTI = (".nii", ".nii.gz")
MM_OF = {"mm": 1.0, "unknown": 1.0, "meter": 1000.0, "micron": 0.001}
SAME_SPACING = 0.01  # relative difference up to which two spacings are equal
BLOCK = 1 << 20  # bytes that are decompressed at a time
MOST_PER_BYTE = 1032  # bytes that one byte of a deflate stream can hold at most
USUAL_PER_BYTE = 20  # up to which a large file is large because it holds much

Stamp = tuple[int, ...]  # time of a file's last change, its size, and what else tells a change


@dataclass(frozen=True)
class Volume:
    """A NIfTI volume.

    Attributes:
        image: the nibabel image with its header and geometry.
        voxels: sliceable, of the image's shape; reads what is sliced. If the file is compressed,
            from an uncompressed copy in the folder for temporary files, which nobody else sees.
    """

    image: Any
    voxels: Any


def is_volume(path: Path) -> bool:
    """Return whether a file is a NIfTI volume by its name, as the user gave it."""
    return path.name.lower().endswith(NIFTI)


def open_volume(path: Path, stamp: Stamp) -> Volume:
    """Open a NIfTI file; a compressed one is read once, to its end, so that its checksum counts.

    The last two volumes stay open.

    Args:
        path: the file.
        stamp: its time of change and size, so that a file that changes is opened again.

    Raises:
        UnreadableError: if the file is damaged, truncated or no NIfTI file, its header is absurd,
            or it is larger than the limits of `weaklesion.support.reading`.
    """
    opened = _opened(path, stamp, limit_of(PIXELS), limit_of(VOLUME_BYTES))
    if isinstance(opened, str):
        raise UnreadableError(opened)
    return opened


@lru_cache(maxsize=2)
def _opened(path: Path, stamp: Stamp, max_pixels: int, max_bytes: int) -> Volume | str:
    """Return an open volume, or the cause for which it cannot be used, which is kept as well."""
    try:
        with refusing(lambda cause: BadMarkError(f"{path.name} cannot be read as NIfTI ({cause})")):
            image: Any = nibabel.load(path)
            _check_kind(image, path)
            num_bytes = _check_sizes(image, path, stamp[1], max_pixels, max_bytes)
        _check_geometry(image, path)
        with refusing(lambda cause: BadMarkError(f"{path.name} is truncated or damaged ({cause})")):
            if not path.name.lower().endswith(".gz"):
                return Volume(image, image.dataobj)
            holder = FileHolder(fileobj=_uncompressed(path, stamp[1], num_bytes, max_bytes))
            return Volume(image, type(image).from_file_map({"image": holder}).dataobj)
    except BadMarkError as error:
        return str(error)


def _check_kind(image: Any, path: Path) -> None:
    if type(image) not in (nibabel.Nifti1Image, nibabel.Nifti2Image):
        raise BadMarkError(f"{path.name} is a {type(image).__name__}, not a plain NIfTI volume")
    if image.get_data_dtype().kind not in "iuf":
        raise BadMarkError(f"{path.name} has values of type {image.get_data_dtype()}, not numbers")
    try:
        image.header.get_xyzt_units()
    except KeyError as error:
        raise BadMarkError(
            f"{path.name} has a unit of length that NIfTI does not define (xyzt_units"
            f" {error.args[0]})"
        ) from error


def _check_sizes(image: Any, path: Path, size: int, max_pixels: int, max_bytes: int) -> int:
    """Compare what a header says with the file and the limits; return the bytes up to its end."""
    shape, offset = image.shape, image.dataobj.offset
    if len(shape) < 2 or min(shape) < 1:
        raise BadMarkError(f"{path.name} has {' x '.join(map(str, shape))} voxels")
    if offset < image.header.single_vox_offset:
        raise BadMarkError(
            f"{path.name} says that its voxels begin at byte {offset}, inside its header: save it"
            " again"
        )
    if shape[0] * shape[1] > max_pixels:
        raise BadMarkError(
            f"{path.name} has slices of {shape[0]}x{shape[1]} px, more than {max_pixels} px: if"
            f" that is right, set the environment variable {PIXELS[0]}"
        )
    num_bytes = offset + math.prod(shape) * int(image.get_data_dtype().itemsize)
    compressed = path.name.lower().endswith(".gz")
    if num_bytes > (size * MOST_PER_BYTE if compressed else size):
        raise BadMarkError(
            f"{path.name} is truncated or damaged: its header says {num_bytes} bytes, but it has"
            f" {size}"
        )
    if compressed and num_bytes > _most_bytes(size, max_bytes):
        raise BadMarkError(_too_large(path, max_bytes))
    return num_bytes


def _most_bytes(size: int, max_bytes: int) -> int:
    return max(max_bytes, USUAL_PER_BYTE * size)


def _too_large(path: Path, max_bytes: int) -> str:
    return (
        f"{path.name} has more than {max_bytes} bytes uncompressed: if that is right, set the"
        f" environment variable {VOLUME_BYTES[0]}"
    )


def _check_geometry(image: Any, path: Path) -> None:
    if not np.isfinite(image.affine).all() or abs(np.linalg.det(image.affine[:3, :3])) < 1e-12:
        raise BadMarkError(f"{path.name} has an affine that is not invertible (sform or qform)")
    sizes = _sizes_mm(image)
    if not all(SMALLEST_MM <= value <= LARGEST_MM for value in sizes):
        raise BadMarkError(
            f"{path.name} has pixels of {sizes[0]:g} by {sizes[1]:g} mm (sform or qform)"
        )


def _uncompressed(path: Path, size: int, num_bytes: int, max_bytes: int) -> Any:
    """Return the first bytes of a compressed file, having read all to verify its checksum.

    Raises:
        DataError: if the folder for temporary files is full.
    """
    copy: Any = tempfile.TemporaryFile(prefix="weaklesion-")  # noqa: SIM115 - read later
    length = 0
    with gzip.open(path) as source:
        while block := source.read(BLOCK):
            try:
                copy.write(block[: max(0, num_bytes - length)])
                copy.flush()
            except OSError as error:
                raise DataError(
                    f"{tempfile.gettempdir()}: a copy of {path} of {num_bytes} bytes cannot be"
                    f" written ({error.strerror}). Free some space, or set TMPDIR."
                ) from error
            length += len(block)
            if length > _most_bytes(size, max_bytes):
                raise BadMarkError(_too_large(path, max_bytes))
    if length < num_bytes:
        raise EOFError(f"its header says {num_bytes} bytes, but it has {length}")
    return copy


def nifti_bytes(
    voxels: np.ndarray, affine: np.ndarray, window_hu: tuple[float, float] | None = None
) -> bytes:
    """Return a NIfTI file in mm.

    Args:
        voxels: (X, Y, Z).
        affine: RAS.
        window_hu: values that the levels 0 and 255 become; None for voxels of values.
    """
    volume = nibabel.Nifti1Image(voxels, affine)
    volume.header.set_xyzt_units("mm")
    if window_hu is not None:
        volume.header.set_slope_inter((window_hu[1] - window_hu[0]) / 255, window_hu[0])
    return bytes(volume.to_bytes())


def slice_index(shape: Sequence[int], number: int | None) -> tuple[Any, ...]:
    """Return the index of a slice in an array of a volume.

    Args:
        shape: shape of the volume; all dimensions after the third have length 1.
        number: index of the slice along the third axis; None for the first.

    >>> slice_index((8, 9, 5, 1), 2)
    (slice(None, None, None), slice(None, None, None), 2, 0)
    """
    return (slice(None), slice(None), *((number or 0, *(0,) * (len(shape) - 3))[: len(shape) - 2]))


def spacing_of(image: Any) -> tuple[float, float] | None:
    """Return mm per voxel along the first two axes of a NIfTI image.

    The affine counts, because masks are written with it; pixdim may differ.

    Returns:
        None if the header has only what libraries write where nobody gave a geometry: voxels of 1
        without qform and sform, or along the axes from the origin.
    """
    linear, origin = image.affine[:3, :3], image.affine[:3, 3]
    codes = int(image.header["qform_code"]), int(image.header["sform_code"])
    nobodys = np.array_equal(np.abs(linear), np.eye(3)) and not (any(codes) and origin.any())
    in_mm = MM_OF[image.header.get_xyzt_units()[0]] == 1
    if nobodys and (in_mm or np.array_equal(image.affine, np.eye(4))):
        return None
    return _sizes_mm(image)


def _sizes_mm(image: Any) -> tuple[float, float]:
    sizes = voxel_sizes(image.affine)[:2] * MM_OF[image.header.get_xyzt_units()[0]]
    return float(sizes[0]), float(sizes[1])


def doubts_about_spacing(image: Any) -> list[str]:
    """Return what makes the spacing of a NIfTI image doubtful, in words that follow its name."""
    doubts = []
    try:
        qform, sform = image.get_qform(coded=True)[0], image.get_sform(coded=True)[0]
    except ValueError:  # a qform that is not a rotation, where there is an sform
        return ["has a qform that is not a rotation; its sform is used"]
    if qform is not None and sform is not None:
        of_q, of_s = voxel_sizes(qform)[:2], voxel_sizes(sform)[:2]
        if not np.allclose(of_q, of_s, rtol=SAME_SPACING):
            doubts.append(
                f"has pixels of {of_s[0]:g} by {of_s[1]:g} by its sform, which is used, but of"
                f" {of_q[0]:g} by {of_q[1]:g} by its qform, which other programs may use"
            )
    unit = image.header.get_xyzt_units()[0]
    if MM_OF[unit] != 1 and spacing_of(image) is not None:
        doubts.append(f"gives its geometry in {unit}s, not in mm")
    return doubts
