"""Slices of LiTS for the segmentation of the liver, which is the task of CMU-Net.

Each axial slice of some volumes is a sample, with or without liver, and without a RECIST mark.

Source: Moseley et al., "Context-aware multitasking for medical image segmentation", section 3.
"""

import logging
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np

from weaklesion.data.loaders.lits_files import (
    check_same_shape,
    find_volumes,
    read_hounsfield,
    read_labels,
    tell_of_geometry,
)
from weaklesion.data.patches import (
    BadSampleError,
    LeftOut,
    Limits,
    OnBadSample,
    Sample,
    SidePx,
    WindowHU,
    write_patches,
)
from weaklesion.errors import DataError
from weaklesion.hounsfield import to_grey
from weaklesion.support.limits import CheckedSettings, at_least
from weaklesion.support.parallel import in_parallel

logger = logging.getLogger(__name__)

NO_MARK = np.full((4, 2), np.nan)
VALIDATION_STEP = 5


@dataclass(frozen=True, kw_only=True)
class Settings(CheckedSettings):
    """How slices are taken from LiTS's volumes."""

    side_px: SidePx
    on_bad_sample: OnBadSample
    split_seed: Annotated[
        int, at_least(0), "Seed that decides which volumes are taken, and for which split."
    ]
    window_hu: Annotated[WindowHU, "Hounsfield units that become levels 0 and 255 (C4)."]
    volumes: Annotated[
        dict[str, int],
        "Number of volumes per split (C1). With none for `val`, every fifth slice of the training"
        " volumes validates, which flatters; it is meant for trials with two volumes.",
    ]
    limit: Limits


def make_patches(
    *,
    folders: Sequence[str | Path],
    table_csv: str | Path | None,
    patches_dir: str | Path,
    settings: Settings,
    workers: int = 1,
) -> None:
    """Make the slices of LiTS or of its phantom; each volume is decoded once.

    Args:
        folders: the unpacked archives.
        table_csv: None; LiTS has no table.
        patches_dir: folder for the files of `weaklesion.data.patches`.
        settings: see `Settings`.
        workers: number of processes, each of which holds one volume.

    Raises:
        DataError: if there are fewer volumes than `settings` need, or the data are not as expected;
            nothing is written then.
    """
    pairs = find_volumes(folders)
    chosen = choose_volumes([number for number, _, _ in pairs], settings, folders)
    split_of = {number: split for split, numbers in chosen.items() for number in numbers}
    items = [pair for pair in pairs if pair[0] in split_of]
    logger.info("%d of %d volumes: %s", len(items), len(pairs), chosen)
    by_volume = in_parallel(partial(read_volume, settings=settings), items, workers, "volumes",
                            chunk=1)  # fmt: skip

    def assign(groups: Mapping[str, str]) -> dict[str, list[str]]:
        ids: dict[str, list[str]] = {split: [] for split in settings.volumes}
        for sample, group in groups.items():
            split = split_of[int(group.removeprefix("volume-"))]
            slice_number = int(sample.split("_")[1])
            if split == "train" and not settings.volumes["val"]:
                split = "train" if slice_number % VALIDATION_STEP else "val"
            ids[split].append(sample)
        return ids

    write_patches(
        patches_dir,
        chain.from_iterable(by_volume),
        assign_splits=assign,
        groups_apart=settings.volumes["val"] > 0,
        limit=settings.limit,
        report={"volumes": len(items), "settings": asdict(settings)},
    )


def choose_volumes(
    numbers: Sequence[int], settings: Settings, folders: Sequence[str | Path]
) -> dict[str, list[int]]:
    """Draw the volumes of each split.

    Raises:
        DataError: if there are too few volumes.
    """
    needed = sum(settings.volumes.values())
    if len(numbers) < needed:
        where = ", ".join(str(folder) for folder in folders)
        raise DataError(
            f"{where}: has {len(numbers)} volumes with segmentations, but {needed} are needed "
            f"({settings.volumes}). Add volumes, or lower patches.lits_liver.volumes."
        )
    order = sorted(numbers)
    random.Random(settings.split_seed).shuffle(order)
    chosen, start = {}, 0
    for split, count in settings.volumes.items():
        chosen[split] = sorted(order[start : start + count])
        start += count
    return chosen


def read_volume(item: tuple[int, str, str], *, settings: Settings) -> list[Sample | LeftOut]:
    """Read one volume; return all its slices, or the reason why it is left out."""
    number, volume_path, segmentation_path = item
    name = f"volume-{number}"
    try:
        liver = read_labels(segmentation_path, name) > 0  # tumours are part of the liver
        if not liver.any():
            return [LeftOut(name, "volume without liver")]
        volume, spacing = read_hounsfield(volume_path, name)
        check_same_shape(liver, volume, segmentation_path, name)
        if not np.isfinite(volume).all():
            raise BadSampleError(
                name,
                "volume with values that are not finite",
                f"{volume_path}: has values that are not finite numbers. Get it again, or leave it"
                " out.",
            )
        tell_of_geometry(volume_path, segmentation_path, name)
    except BadSampleError as bad:
        if settings.on_bad_sample == "error":
            raise
        return [LeftOut(bad.sample_id, bad.reason)]
    return [
        cut_slice(number, z, volume[..., z].T, liver[..., z].T, spacing, settings)
        for z in range(liver.shape[2])
    ]


def cut_slice(
    number: int,
    z: int,
    hounsfield: np.ndarray,
    liver: np.ndarray,
    spacing: tuple[float, float] | None,
    settings: Settings,
) -> Sample:
    """Make a sample of a slice, padded to a square with the window's lowest level.

    Args:
        number: the volume's number.
        z: index of the slice.
        hounsfield: (H, W) HU.
        liver: (H, W) bool.
        spacing: mm per pixel of x and y, or None.
        settings: see `Settings`.
    """
    grey = to_grey(hounsfield.astype(np.float32), settings.window_hu)
    height, width = grey.shape
    side, target = max(height, width), settings.side_px
    top, left = (side - height) // 2, (side - width) // 2
    around = (top, side - height - top), (left, side - width - left)
    grey, reference = np.pad(grey, around), np.pad(liver.astype(np.uint8), around)
    smaller = cv2.INTER_AREA if side > target else cv2.INTER_LINEAR
    grey = cv2.resize(grey, (target, target), interpolation=smaller)
    mask = cv2.resize(reference, (target, target), interpolation=cv2.INTER_NEAREST_EXACT)
    scale = side / target
    return Sample(
        id=f"{number:03d}_{z:04d}",
        group=f"volume-{number}",
        image=np.repeat(grey.round().astype(np.uint8)[..., None], 3, axis=2),
        reference=mask.astype(np.uint8),
        recist=NO_MARK,
        source=f"volume-{number}",
        slice=z,
        crop=(-left, -top, side - left, side - top),
        mm_per_px=None if spacing is None else (spacing[0] * scale, spacing[1] * scale),
    )
