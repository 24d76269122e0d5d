"""The files of LiTS: pairs of volume and segmentation, read from NIfTI and checked."""

import logging
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from weaklesion.data.alike import equal_files
from weaklesion.data.patches import BadSampleError
from weaklesion.errors import DataError
from weaklesion.marks.table import BadMarkError
from weaklesion.marks.volumes import Volume, doubts_about_spacing, open_volume, spacing_of
from weaklesion.support.reading import refusing

logger = logging.getLogger(__name__)

LABELS = (0, 1, 2)
SAME_LABEL = 1e-3  # difference up to which a label is a whole number
SAME_AFFINE = 0.01  # mm
VOLUME = re.compile(r"^(?:volume-|imagesTr/liver_)(\d+)\.nii(?:\.gz)?$")
SEGMENTATION = re.compile(r"^(?:segmentation-|labelsTr/liver_)(\d+)\.nii(?:\.gz)?$")


def find_volumes(folders: Sequence[str | Path]) -> list[tuple[int, str, str]]:
    """Pair volumes and segmentations by their number.

    Args:
        folders: folders, searched at any depth, or files.

    Returns:
        Number, path of the volume, path of the segmentation; sorted by number.

    Raises:
        DataError: if there is no volume, a number occurs twice, or one file of a pair is missing.
    """
    volumes, segmentations = _by_number(folders, VOLUME), _by_number(folders, SEGMENTATION)
    where = ", ".join(str(folder) for folder in folders)
    if not volumes:
        raise DataError(
            f"{where}: contains no volume-N.nii or imagesTr/liver_N.nii.gz. Unpack the archives."
        )
    for present, partners, kind in (
        (volumes, segmentations, "segmentation"),
        (segmentations, volumes, "volume"),
    ):
        missing = sorted(set(present) - set(partners))
        if missing:
            raise DataError(
                f"{where}: no {kind} for {', '.join(map(str, missing[:10]))} ({len(missing)} in "
                "all). Unpack its archive, or remove the other file."
            )
    for alike in equal_files(volumes.values()):
        logger.warning("equal volumes under several numbers: %s", ", ".join(map(str, alike)))
    return [
        (number, str(volumes[number]), str(segmentations[number])) for number in sorted(volumes)
    ]


def _by_number(folders: Sequence[str | Path], pattern: re.Pattern[str]) -> dict[int, Path]:
    by_number: dict[int, Path] = {}
    paths = [Path(folder) for folder in folders]
    inside = [path for folder in paths for path in folder.rglob("*.nii*")]
    for path in sorted([*inside, *(path for path in paths if path.is_file())]):
        match = pattern.match(path.name) or pattern.match(f"{path.parent.name}/{path.name}")
        if match is None or "__MACOSX" in path.parts:
            continue
        number = int(match[1])
        if number in by_number:
            raise DataError(
                f"{path}: case {number} is also at {by_number[number]}. Remove one of them."
            )
        by_number[number] = path
    return by_number


def _open(path: str, name: str) -> Volume:
    file = Path(path)
    with refusing(partial(_unreadable, path, name)):
        stat = file.stat()
    try:
        volume = open_volume(file, (stat.st_mtime_ns, stat.st_size))
    except BadMarkError as error:
        cause = str(error).removeprefix(f"{file.name} ")
        raise BadSampleError(
            name, "file that cannot be read", f"{path}: {cause}. Unpack it again."
        ) from error
    if len(volume.image.shape) != 3:
        raise BadSampleError(
            name,
            "volume without three dimensions",
            f"{path}: has {len(volume.image.shape)} dimensions, not 3.",
        )
    return volume


def _unreadable(path: str, name: str, cause: str) -> BadSampleError:
    return BadSampleError(
        name,
        "file that cannot be read",
        f"{path}: cannot be read as NIfTI ({cause}). Unpack it again.",
    )


def _read_data(volume: Volume, path: str, name: str) -> np.ndarray:
    with refusing(partial(_unreadable, path, name)):
        return np.asanyarray(volume.voxels)


def read_labels(path: str, name: str) -> np.ndarray:
    """Return a segmentation, (X, Y, Z) uint8 of 0, 1 and 2.

    Labels such as 0.9999999 are those that a library's scaling makes of whole numbers.

    Raises:
        BadSampleError: if it cannot be read, or has other labels.
    """
    data = _read_data(_open(path, name), path, name)
    labels = np.empty(data.shape, dtype=np.uint8, order="F")
    for z in range(data.shape[2]):  # slice by slice, which saves memory
        whole = np.rint(data[..., z])
        other = (np.abs(data[..., z] - whole) > SAME_LABEL) | ~np.isin(whole, LABELS)
        if other.any():
            undefined = np.unique(data[..., z][other])[:5].tolist()
            raise BadSampleError(
                name,
                "segmentation with other labels",
                f"{path}: has the labels {undefined} in slice {z}; only 0, 1 and 2 are defined."
                " Check the file.",
            )
        labels[..., z] = whole
    return labels


def read_hounsfield(path: str, name: str) -> tuple[np.ndarray, tuple[float, float] | None]:
    """Return the volume, x first, and mm per pixel of x and y; None if the file has no scale."""
    volume = _open(path, name)
    return _read_data(volume, path, name), spacing_of(volume.image)  # None: cases 28 to 47


def check_same_shape(
    labels: np.ndarray, volume: np.ndarray, segmentation_path: str, name: str
) -> None:
    """Refuse a segmentation whose shape is not that of its volume."""
    if volume.shape != labels.shape:
        raise BadSampleError(
            name,
            "volume and segmentation differ in shape",
            f"{segmentation_path}: has the shape {labels.shape}, but its volume "
            f"{volume.shape}. Get both from the same source.",
        )


def tell_of_geometry(volume_path: str, segmentation_path: str, name: str) -> None:
    """Log what is doubtful in the geometry of a volume that could be read, and its segmentation."""
    images = [_open(path, name).image for path in (volume_path, segmentation_path)]
    for doubt in doubts_about_spacing(images[0]):
        logger.warning("%s: %s", volume_path, doubt)
    known = [spacing_of(image) is not None for image in images]
    affines = [image.affine for image in images]
    if all(known) and not np.allclose(affines[0], affines[1], atol=SAME_AFFINE):
        logger.warning(
            "%s: its affine differs from that of its segmentation, by up to %.3g. Voxels are"
            " paired by index. If one of both is mirrored or shifted, leave the volume out",
            volume_path,
            np.abs(affines[0] - affines[1]).max(),
        )
