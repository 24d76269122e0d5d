"""What a lesion's three-dimensional mask measures: its volume with an interval, and two axes."""

import math

import numpy as np
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.distance import cdist

from weaklesion.hull import convex_hull
from weaklesion.volumes.ellipsoid import Ellipsoid
from weaklesion.volumes.frame import voxel_mm3
from weaklesion.volumes.levels import Levels, LevelsSettings, levels_scores, thinned

DRAWS = 12  # perturbed marks
MARK_NOISE = 0.05  # of a perturbed mark, as networks for hand-drawn marks are trained with
ACROSS_NOISE = 0.3  # of the logarithm of the extent across that is assumed
# Of the logarithm of the volume: error of the model itself, in which all perturbed marks share;
# chosen by coverage (docs/results/volumes.md)
MODEL_NOISE = 0.2
LEAST_DRAWS = 8  # answers without which there is no interval
Z95 = 1.96


def volume_mm3(mask: np.ndarray, frame: np.ndarray) -> float:
    """Return the volume of a mask, mm3.

    Args:
        mask: (x, y, z) bool.
        frame: (3, 3) mm per voxel (`weaklesion.volumes.frame`).
    """
    return int(np.count_nonzero(mask)) * voxel_mm3(frame)


def axes_mm(mask: np.ndarray, frame: np.ndarray) -> tuple[float, float]:
    """Return the longest distance in a mask, and the longest one perpendicular to it, mm.

    Both are measured between voxel centres on the convex hull, as `measure_recist` does in a slice,
    so a single voxel has axes of 0.

    Args:
        mask: (x, y, z) bool, not empty.
        frame: (3, 3) mm per voxel.

    Raises:
        ValueError: if the mask is empty.

    >>> mask = np.zeros((5, 4, 3), dtype=bool)
    >>> mask[:, 1:3, 1] = True
    >>> [round(axis, 3) for axis in axes_mm(mask, np.diag([1.0, 1.0, 5.0]))]
    [4.123, 1.94]
    """
    planes = np.flatnonzero(mask.any(axis=(0, 1))).tolist()
    if not planes:
        raise ValueError("mask: is empty")
    corners = []
    for index in planes:
        yx = convex_hull(mask[:, :, index])  # its x is the second axis
        corners.append(np.column_stack([yx[:, 1], yx[:, 0], np.full(len(yx), index)]))
    points = np.concatenate(corners) @ frame.T
    points = _outer(points)
    apart = cdist(points, points)
    start, end = np.unravel_index(int(apart.argmax()), apart.shape)
    long = float(apart[start, end])
    if long == 0:
        return 0.0, 0.0
    along = (points[end] - points[start]) / long
    flat = points - np.outer(points @ along, along)
    return long, float(cdist(flat, flat).max())


def _outer(points: np.ndarray) -> np.ndarray:
    """Return the vertices of the convex hull; all points where they lie in a plane."""
    if len(points) < 5:
        return points
    try:
        return np.asarray(points[ConvexHull(points).vertices])
    except QhullError:
        return points


def volume_interval(
    volume: float, levels: Levels, ellipsoid: Ellipsoid, settings: LevelsSettings
) -> tuple[float, float] | None:
    """Return a 95 % interval of a volume, from how far the mark's own noise moves the answer.

    The training-free model answers `DRAWS` perturbed marks of the same lesion, whose extent across
    is perturbed too. What all their answers have in common, such as levels that do not quite tell a
    lesion from its neighbour, no perturbed mark shows: `MODEL_NOISE` stands for it. The interval is
    1.96 standard deviations wide on either side of the logarithm of the volume, of both together.

    Args:
        volume: mm3.
        levels: of `weaklesion.volumes.levels.prepare`.
        ellipsoid: of the mark.
        settings: of the model.

    Returns:
        Two volumes, mm3; None where too few of the perturbed marks have an answer.
    """
    rng = np.random.default_rng(0)
    levels = thinned(levels, ellipsoid)
    logs = []
    for draws in rng.standard_normal((DRAWS, 6)):
        moved = ellipsoid.perturbed(draws.tolist(), MARK_NOISE, ACROSS_NOISE)
        found = levels_scores(levels, moved, settings)
        if found is not None:
            logs.append(math.log(np.count_nonzero(found[0] > 0)))
    if len(logs) < LEAST_DRAWS or volume <= 0:
        return None
    factor = math.exp(Z95 * math.hypot(float(np.std(logs, ddof=1)), MODEL_NOISE))
    return volume / factor, volume * factor
