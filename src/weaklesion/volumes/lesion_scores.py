"""The scores of a lesion's answers in three dimensions, and the mark that they start from."""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from weaklesion.volumes.frame import voxel_mm3
from weaklesion.volumes.metrics import (
    VolumePair,
    hausdorff95_mm,
    surface_dice_mm,
    surface_distance_mm,
    volume_dice,
    volume_error_percent,
)

TOLERANCE_MM = 2.0


def longest_mark(
    lesion: np.ndarray, frame: np.ndarray, mark_of: Callable[[np.ndarray], np.ndarray]
) -> tuple[np.ndarray, int]:
    """Return the mark of a lesion's slice with the longest diameter, and that slice.

    Args:
        lesion: (x, y, z) bool.
        frame: (3, 3) mm per voxel (`weaklesion.volumes.frame`).
        mark_of: from the mask of a slice, (H, W) bool, to its mark, (4, 2) px; raises ValueError
            where the slice has none.

    Returns:
        (4, 2) px, the long diameter first; and the index of the slice.

    Raises:
        ValueError: if no slice has a mark.
    """
    best: tuple[np.ndarray, int] | None = None
    longest = -1.0
    for index in np.flatnonzero(lesion.any(axis=(0, 1))).tolist():
        try:
            points = mark_of(lesion[:, :, index].T)
        except ValueError:
            continue
        length = max(diameters_mm(points, frame))
        if length > longest:
            best, longest = (points, index), length
    if best is None:
        raise ValueError("no slice of the lesion has a mark")
    return best


def diameters_mm(points: np.ndarray, frame: np.ndarray) -> tuple[float, float]:
    """Return the lengths of a mark's two diameters, mm.

    >>> diameters_mm(np.array([[0, 0], [4, 0], [2, 0], [2, 3]]), np.diag([0.5, 1.0, 5.0]))
    (2.0, 3.0)
    """
    ends = np.asarray(points, dtype=float) @ frame[:2, :2].T
    return math.dist(ends[0], ends[1]), math.dist(ends[2], ends[3])


def rows_of_masks(
    reference: np.ndarray, masks: Mapping[str, np.ndarray], frame: np.ndarray
) -> Iterator[dict[str, Any]]:
    """Yield a row of scores per method, see `scores`, with the name in the column `method`."""
    for method, mask in masks.items():
        yield {"method": method} | scores(reference, mask, frame)


def scores(reference: np.ndarray, mask: np.ndarray, frame: np.ndarray) -> dict[str, float]:
    """Return the scores of a mask, and both volumes.

    Args:
        reference: (x, y, z) bool, not empty.
        mask: (x, y, z) bool.
        frame: (3, 3) mm per voxel. Distances take it for a box: the shear of a tilted gantry is
            left out of them, of volumes it is not.

    Returns:
        `dice` and `nsd_2mm` (surface Dice at 2 mm), percent; `asd_mm` and `hd95_mm`, nan if the
        mask is empty; `volume_error_percent`; `volume_mm3` and `reference_mm3`.
    """
    pair = VolumePair(reference, mask, np.abs(np.diag(frame)).tolist())
    return {
        "dice": 100 * volume_dice(pair),
        "nsd_2mm": 100 * surface_dice_mm(pair, TOLERANCE_MM),
        "asd_mm": surface_distance_mm(pair),
        "hd95_mm": hausdorff95_mm(pair),
        "volume_error_percent": volume_error_percent(pair),
        "volume_mm3": int(mask.sum()) * voxel_mm3(frame),
        "reference_mm3": int(reference.sum()) * voxel_mm3(frame),
    }


def training_free_rows(
    reference: np.ndarray,
    masks: Mapping[str, np.ndarray],
    interval_mm3: tuple[float, float] | None,
    frame: np.ndarray,
) -> list[dict[str, Any]]:
    """Return a row each of the ellipsoid and the levels of a `VolumeAnswer` without a network.

    Args:
        reference: (x, y, z) bool.
        masks: the answer's masks by method.
        interval_mm3: the answer's interval.
        frame: (3, 3) mm per voxel.

    Returns:
        Rows of `rows_of_masks`; that of the levels also has the interval, `low_mm3` and `high_mm3`,
        and `undecided`: whether levels cannot decide, so that the ellipsoid's mask stands for
        theirs.
    """
    low, high = interval_mm3 or (math.nan, math.nan)
    both = {name: masks.get(name, masks["ellipsoid"]) for name in ("ellipsoid", "levels")}
    rows = list(rows_of_masks(reference, both, frame))
    rows[1] |= {"low_mm3": low, "high_mm3": high, "undecided": "levels" not in masks}
    return rows
