"""The files of LiTS: pairs of volume and segmentation, read from NIfTI and checked."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from nibabel.affines import voxel_sizes

from weaklesion.data.patches import BadSampleError
from weaklesion.errors import DataError

LABELS = (0, 1, 2)
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


def _open(path: str, name: str) -> Any:
    try:
        image: Any = nibabel.load(path)
        if len(image.shape) != 3:
            raise BadSampleError(
                name,
                "volume without three dimensions",
                f"{path}: has {len(image.shape)} dimensions, not 3.",
            )
        return image
    except (nibabel.filebasedimages.ImageFileError, OSError, EOFError) as error:
        raise BadSampleError(
            name,
            "file that cannot be read",
            f"{path}: cannot be read as NIfTI ({error}). Unpack it again.",
        ) from error


def _read_data(image: Any, path: str, name: str) -> np.ndarray:
    try:
        return np.asanyarray(image.dataobj)
    except (OSError, EOFError, ValueError) as error:
        raise BadSampleError(
            name, "file that cannot be read", f"{path}: is truncated ({error}). Unpack it again."
        ) from error


def read_labels(path: str, name: str) -> np.ndarray:
    """Return a segmentation, (X, Y, Z) uint8 of 0, 1 and 2.

    Raises:
        BadSampleError: if it cannot be read, or has other labels.
    """
    labels = _read_data(_open(path, name), path, name)
    values = np.unique(labels)
    if not set(values.tolist()) <= set(LABELS):
        undefined = sorted(set(values.tolist()) - set(LABELS))
        raise BadSampleError(
            name,
            "segmentation with other labels",
            f"{path}: has the labels {undefined[:5]}; only 0, 1 and 2 are defined. Check the file.",
        )
    return labels.astype(np.uint8)


def read_hounsfield(path: str, name: str) -> tuple[np.ndarray, tuple[float, float] | None]:
    """Return the volume, x first, and mm per pixel of x and y; None if the file has no scale."""
    image = _open(path, name)
    sizes = voxel_sizes(image.affine)  # pixdim may differ
    unknown = np.array_equal(image.affine, np.eye(4))  # the official cases 28 to 47
    return _read_data(image, path, name), None if unknown else (float(sizes[0]), float(sizes[1]))
