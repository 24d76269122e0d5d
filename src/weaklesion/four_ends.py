"""A RECIST mark as the shape through its four ends, with what the ellipse of a mark can do as well.

Methods that turn marks into masks read a mark through the interface `weaklesion.mark_shapes`, which
`weaklesion.ellipse.Ellipse` has too: its mask, each pixel's radius, the same kind of shape of
another mask, and the map from one shape to another.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np

from weaklesion.diameters import recist_from_mask
from weaklesion.ellipse import mask_iou
from weaklesion.quadrants import quadrant_arms, quadrant_outline, quadrant_shape

LATTICE = 100  # pixels across the larger shape when two are compared
APART = 10  # longer diameters between ends beyond which shapes cannot meet, however oblique
LEAST_ARM = 0.02  # of its diameter: where a diameter ends at the crossing, coordinates stay finite
HALVINGS = 30  # of a perturbation after which a mark is left as it is


@dataclass(frozen=True, eq=False)
class FourEnds:
    """The shape through the four ends of a RECIST mark (`weaklesion.quadrants.quadrant_shape`).

    Attributes:
        points: (4, 2) array of floats: long a, long b, short a, short b; each (x, y), px. Nested
            lists and whole numbers are converted. It is a copy of what was given, and read-only.
        exponent: of the superellipse of each quarter.

    Raises:
        ValueError: if the ends define no shape, see `quadrant_shape`.
    """

    points: np.ndarray
    exponent: float = 2.0
    NUM_DRAWS: ClassVar[int] = 8
    # below 0.8: 60 of 60 random marks at 2 px, 40 at 4, 10 at 6, 1 at 8, and none at 10 and 12
    LEAST_PX: ClassVar[float] = 10.0

    def __post_init__(self) -> None:
        quadrant_arms(self.points, self.exponent)
        points = np.array(self.points)
        if not np.issubdtype(points.dtype, np.floating):
            points = points.astype(float)
        points.flags.writeable = False  # what was checked stays true
        object.__setattr__(self, "points", points)

    def __eq__(self, other: object) -> bool:
        """Return whether the other shape has the same ends, in the same order, and exponent."""
        if not isinstance(other, FourEnds):
            return NotImplemented
        return self.exponent == other.exponent and np.array_equal(self.points, other.points)

    def __hash__(self) -> int:
        """Return the same number for equal shapes."""
        return hash((self.exponent, *self.points.ravel().tolist()))

    @property
    def long_px(self) -> float:
        """Length of the longer diameter, px."""
        return max(math.dist(*self.points[:2]), math.dist(*self.points[2:]))

    @property
    def middle(self) -> tuple[float, float]:
        """Middle of the parallelogram around the diameters, (x, y) px."""
        crossing, arms = self.arms()
        x, y = (crossing + arms.sum(axis=0) / 2).tolist()
        return x, y

    def outline(self) -> np.ndarray:
        """Return the outline as a polygon, (256, 2) x and y, px."""
        return quadrant_outline(self.points, exponent=self.exponent)

    def arms(self) -> tuple[np.ndarray, np.ndarray]:
        """Return where the diameters cross, and the vectors to their ends.

        Where a diameter ends at the crossing, this end is moved beyond it by a fiftieth of the
        diameter, so that no quarter is flat.
        """
        crossing, arms = quadrant_arms(self.points, self.exponent)
        for pair, other in ((arms[:2], arms[1::-1]), (arms[2:], arms[:1:-1])):
            flat = np.hypot(*pair.T) < LEAST_ARM * np.hypot(*(pair[1] - pair[0]))
            pair[flat] = -LEAST_ARM * other[flat]
        return crossing, arms

    def drawn(self, shape_hw: tuple[int, int]) -> np.ndarray:
        """Return the filled shape, (H, W) bool."""
        return quadrant_shape(self.points, shape_hw, exponent=self.exponent)

    def radius(self, shape_hw: tuple[int, int]) -> np.ndarray:
        """Return each pixel's radius, (H, W) float32: 0 at the crossing, 1 on the shape's outline.

        >>> mark = np.array([[0.0, 2.0], [4.0, 2.0], [1.0, 1.0], [1.0, 4.0]])
        >>> FourEnds(mark).radius((5, 5))[2].astype(float).round(3).tolist()
        [1.0, 0.0, 0.333, 0.667, 1.0]
        """
        along, across = self._quarter_coordinates(shape_hw)
        terms = np.abs(along) ** self.exponent + np.abs(across) ** self.exponent
        return np.asarray(terms ** (1 / self.exponent)).astype(np.float32)

    def measured(self, mask: np.ndarray) -> "FourEnds":
        """Return the shape through the ends of a mask's own RECIST mark.

        Raises:
            ValueError: if the mask is empty.
        """
        return FourEnds(recist_from_mask(mask), self.exponent)

    def iou(self, other: "FourEnds", shape_hw: tuple[int, int] | None = None) -> float:
        """Return the intersection over union of the areas of two shapes, 0 to 1.

        Args:
            other: the other shape.
            shape_hw: height and width of an image, px: only what lies in it counts.

        >>> mark = np.array([[0.0, 2.0], [4.0, 2.0], [1.0, 1.0], [1.0, 4.0]])
        >>> FourEnds(mark).iou(FourEnds(mark + 50.0))
        0.0
        """
        longest = max(self.long_px, other.long_px)
        if math.dist(self.points[0], other.points[0]) > APART * longest:
            return 0.0  # a lattice around both could need more memory than there is
        ends = np.concatenate([self.points, other.points])
        low, high = ends.min(axis=0), ends.max(axis=0)
        scale = LATTICE / longest
        # superellipses may bulge beyond their ends where diameters are oblique
        low, high = low - 0.1 * (high - low), high + 0.1 * (high - low)
        if shape_hw is not None:
            low = np.maximum(low, -0.5)
            high = np.minimum(high, (shape_hw[1] - 0.5, shape_hw[0] - 0.5))
        width, height = np.maximum(np.ceil((high - low) * scale), 0).astype(int).tolist()
        masks = [
            quadrant_shape((one.points - low) * scale, (height, width), exponent=one.exponent)
            for one in (self, other)
        ]
        return mask_iou(*masks)

    def perturbed(self, draws: Sequence[float], size: float) -> "FourEnds":
        """Return the mark of a less exact reader of the same lesion.

        Each end moves along and across its diameter, by `size` times the diameter's length over the
        root of two. So the standard deviations are those of `Ellipse.perturbed`: of a length `size`
        times the length, of a direction `size` radians, of a middle `size` half diameters.

        Args:
            draws: eight standard normal numbers: along and across, of each of the four ends.
            size: standard deviation, see above. Draws that leave no shape are halved until one is
                left.
        """
        moves = np.asarray(draws, dtype=float).reshape(2, 2, 2) * size / math.sqrt(2)
        diameters = self.points.reshape(2, 2, 2)
        along = diameters[:, 1] - diameters[:, 0]
        across = np.stack([-along[:, 1], along[:, 0]], axis=1)
        shift = moves[..., :1] * along[:, None] + moves[..., 1:] * across[:, None]
        for _ in range(HALVINGS):
            try:
                return FourEnds((diameters + shift).reshape(4, 2), self.exponent)
            except ValueError:
                shift = shift / 2
        return self

    def moved(self, dx: float, dy: float) -> "FourEnds":
        """Return the same shape, moved by (dx, dy) px."""
        return FourEnds(self.points + np.array([dx, dy]), self.exponent)

    def resized(self, from_hw: tuple[int, int], to_hw: tuple[int, int]) -> "FourEnds":
        """Return the shape as it appears when its image is resized, aspect ratio kept or not.

        Pixel areas are mapped onto each other, as in `cv2.resize`.
        """
        scale = np.array([to_hw[1] / from_hw[1], to_hw[0] / from_hw[0]])
        return FourEnds((self.points + 0.5) * scale - 0.5, self.exponent)

    def carry(self, scores: np.ndarray, source: "FourEnds") -> np.ndarray:
        """Move scores so that another shape of them comes to lie on this one.

        Each quarter is mapped affinely, so that the other shape's ends go to this shape's ends.

        Args:
            scores: (H, W) float32.
            source: where the shape lies in `scores`.

        Returns:
            (H, W) float32; -1 where the source lies outside of the scores.
        """
        along, across = self._quarter_coordinates(scores.shape)
        ordered = FourEnds(_in_order_of(source.points, self.points), self.exponent)
        crossing, arms = ordered.arms()
        quarter = [np.maximum(-along, 0), np.maximum(along, 0)]
        quarter += [np.maximum(-across, 0), np.maximum(across, 0)]
        x, y = (
            crossing[axis] + sum(part * arm[axis] for part, arm in zip(quarter, arms, strict=True))
            for axis in (0, 1)
        )
        return cv2.remap(
            scores,
            x.astype(np.float32),
            y.astype(np.float32),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=-1.0,
        )

    def _quarter_coordinates(self, shape_hw: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Return each pixel's coordinates along both diameters: -1 and 1 at the ends, (H, W)."""
        crossing, arms = self.arms()
        long, short = arms[1] - arms[0], arms[3] - arms[2]
        cross = long[0] * short[1] - long[1] * short[0]
        y, x = np.mgrid[: shape_hw[0], : shape_hw[1]].astype(float)
        x, y = x - crossing[0], y - crossing[1]
        parts = ((x * short[1] - y * short[0]) / cross, (y * long[0] - x * long[1]) / cross)
        lengths = np.hypot(*arms.T).reshape(2, 2)
        along, across = (
            np.where(part < 0, part / minus, part / plus)
            for part, (minus, plus) in zip(
                parts, lengths / lengths.sum(axis=1, keepdims=True), strict=True
            )
        )
        return along, across


def _in_order_of(points: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Return the ends of a mark in the order in which they are nearest to those of another.

    Which end of a diameter comes first has no meaning, and neither has the order of two diameters
    that are equally long.
    """
    orders = [
        list(first + second)
        for one, other in (((0, 1), (2, 3)), ((2, 3), (0, 1)))
        for first, second in itertools.product((one, one[::-1]), (other, other[::-1]))
    ]
    return min((points[order] for order in orders), key=lambda each: ((each - like) ** 2).sum())
