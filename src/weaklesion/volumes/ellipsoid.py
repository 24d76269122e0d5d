"""The ellipsoid of a mark: its ellipse in the slice, and an extent across slices that is assumed.

A mark says nothing about the third direction. The ellipsoid's third axis is perpendicular to the
slice and as long as the mean of the other two, times a factor.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from weaklesion.ellipse import Ellipse
from weaklesion.recist import ellipse_from_recist

Box = tuple[slice, slice, slice]  # of voxels along x, y, z


@dataclass(frozen=True)
class Ellipsoid:
    """An ellipsoid, in mm of the frame of its slice (`weaklesion.volumes.frame`).

    Attributes:
        ellipse: its cut with the marked slice, mm from the centre of the slice's first voxel.
        across_mm: full length of the axis perpendicular to the slice.
        index: the marked slice.

    Raises:
        ValueError: if the axis across is not a positive number.
    """

    ellipse: Ellipse
    across_mm: float
    index: int

    def __post_init__(self) -> None:
        if not (math.isfinite(self.across_mm) and self.across_mm > 0):
            raise ValueError(f"across_mm: needs a positive number, not {self.across_mm}")

    @property
    def mean_mm(self) -> float:
        """Mean of the two axes in the slice, mm."""
        return (self.ellipse.width + self.ellipse.height) / 2

    @property
    def volume_mm3(self) -> float:
        """Volume of the ellipsoid itself rather than of voxels, mm3.

        >>> round(Ellipsoid(Ellipse(0.0, 0.0, 2.0, 2.0, 0.0), 2.0, 0).volume_mm3, 3)
        4.189
        """
        return math.pi / 6 * self.ellipse.width * self.ellipse.height * self.across_mm

    def perturbed(self, draws: Sequence[float], size: float, across: float) -> "Ellipsoid":
        """Return the ellipsoid of a less exact mark of the same lesion.

        Args:
            draws: six standard normal numbers: five of `Ellipse.perturbed`, and one for the axis
                across, whose logarithm it changes.
            size: of the perturbation of the mark, see `Ellipse.perturbed`.
            across: standard deviation of the logarithm of the axis across.
        """
        ellipse = self.ellipse.perturbed(draws[:5], size)
        longer = (ellipse.width + ellipse.height) / 2 / self.mean_mm * math.exp(across * draws[5])
        return replace(self, ellipse=ellipse, across_mm=self.across_mm * longer)


def ellipsoid_of_mark(
    points: np.ndarray, index: int, frame: np.ndarray, *, across_of_mean: float = 1.0
) -> Ellipsoid:
    """Return the ellipsoid of a mark.

    Args:
        points: (4, 2) ends of the long and the short diameter, (x, y) px of the slice.
        index: the marked slice.
        frame: (3, 3) mm per voxel (`weaklesion.volumes.frame`).
        across_of_mean: length of the axis across, divided by the mean of the two others.

    Raises:
        ValueError: if the mark has no ellipse (`weaklesion.recist.ellipse_from_recist`).

    >>> mark = np.array([[1.0, 2.0], [9.0, 2.0], [5.0, 0.0], [5.0, 4.0]])
    >>> ellipsoid_of_mark(mark, 3, np.diag([0.5, 0.5, 4.0])).across_mm
    3.0
    """
    ellipse = ellipse_from_recist(np.asarray(points, dtype=float) @ frame[:2, :2].T)
    mean = (ellipse.width + ellipse.height) / 2
    return Ellipsoid(ellipse, across_of_mean * mean, index)


def box_around(
    ellipsoid: Ellipsoid,
    frame: np.ndarray,
    shape: Sequence[int],
    *,
    reach: float = 1.0,
    across_reach: float | None = None,
) -> Box:
    """Return the voxels of a volume that an enlarged ellipsoid may contain.

    The marked slice is always among them.

    Args:
        ellipsoid: the ellipsoid.
        frame: (3, 3) mm per voxel.
        shape: of the volume, (x, y, z).
        reach: factor by which the ellipsoid is enlarged in the slice.
        across_reach: factor across slices; None for `reach`.
    """
    around = reach if across_reach is None else across_reach
    form = np.zeros((3, 3))
    form[:2, :2] = reach**2 * ellipsoid.ellipse.shape_matrix()
    form[2, 2] = (around * ellipsoid.across_mm / 2) ** 2
    inverse = np.linalg.inv(frame)
    half = np.sqrt(np.diag(inverse @ form @ inverse.T))
    x, y = inverse[:2, :2] @ np.array(ellipsoid.ellipse.middle)
    center = np.array([x, y, ellipsoid.index])
    low = np.maximum(np.ceil(center - half), 0).astype(int)
    high = np.minimum(np.floor(center + half) + 1, shape).astype(int)
    low[2], high[2] = min(low[2], ellipsoid.index), max(high[2], ellipsoid.index + 1)
    return tuple(slice(*ends) for ends in zip(low.tolist(), high.tolist(), strict=True))  # type: ignore[return-value]


def radii_in_slices(
    ellipsoid: Ellipsoid, frame: np.ndarray, x: np.ndarray, y: np.ndarray, z: np.ndarray
) -> np.ndarray:
    """Return the elliptic radius of voxels: 0 in the centre, 1 on the ellipsoid.

    Args:
        ellipsoid: the ellipsoid.
        frame: (3, 3) mm per voxel.
        x: (X,) voxel coordinates along the first axis, which need not be whole.
        y: (Y,) along the second.
        z: (Z,) along the third, from the volume's first slice.

    Returns:
        (X, Y, Z) float32.
    """
    steps = np.asarray(z, dtype=float) - ellipsoid.index
    # with a tilted gantry, the perpendicular through the centre moves from slice to slice; else all
    # slices are alike
    shifts = steps if frame[:2, 2].any() else np.zeros(1)
    east = frame[0, 0] * x[:, None, None] + frame[0, 1] * y[None, :, None] + frame[0, 2] * shifts
    south = frame[1, 1] * y[None, :, None] + frame[1, 2] * shifts
    dx, dy = east - ellipsoid.ellipse.cx, south - ellipsoid.ellipse.cy
    up = frame[2, 2] * steps / (ellipsoid.across_mm / 2)
    inverse = np.linalg.inv(ellipsoid.ellipse.shape_matrix())
    squared = inverse[0, 0] * dx * dx + 2 * inverse[0, 1] * dx * dy + inverse[1, 1] * dy * dy
    squared = squared.astype(np.float32) + (up * up).astype(np.float32)
    return np.sqrt(np.maximum(squared, 0, out=squared), out=squared)


def ellipsoid_mask(ellipsoid: Ellipsoid, frame: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Draw an ellipsoid: every voxel whose centre lies in it.

    Args:
        ellipsoid: the ellipsoid; it may lie partly outside.
        frame: (3, 3) mm per voxel.
        shape: of the mask, (x, y, z).

    Returns:
        (x, y, z) bool.
    """
    mask = np.zeros(shape, dtype=bool, order="F")
    box = box_around(ellipsoid, frame, shape)
    axes = [np.arange(part.start, part.stop) for part in box]
    mask[box] = radii_in_slices(ellipsoid, frame, *axes) <= 1
    return mask
