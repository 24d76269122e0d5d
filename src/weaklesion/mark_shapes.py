"""What methods that turn marks into masks need of a mark's shape.

Two kinds of shape have it: the ellipse of a mark (`weaklesion.ellipse.Ellipse`), as in the paper,
and the shape through its four ends (`weaklesion.four_ends.FourEnds`).
"""

import math
from collections.abc import Sequence
from typing import ClassVar, Literal, Protocol, Self

import cv2
import numpy as np

ShapeKind = Literal["ellipse", "ends"]
SAME_SPACING = 0.001  # relative difference up to which pixels are square
MOST_PX = 4096  # side of the grid of square pixels


class MarkShape(Protocol):
    """The shape of a RECIST mark, in pixels with pixel centres at whole numbers.

    Attributes:
        NUM_DRAWS: number of random numbers that `perturbed` takes.
        LEAST_PX: length below which the shape that is measured on a drawn mark may overlap the mark
            by less than 0.8, because of its pixels.
    """

    NUM_DRAWS: ClassVar[int]
    LEAST_PX: ClassVar[float]

    @property
    def long_px(self) -> float:
        """Length of the longer axis or diameter, px."""

    @property
    def middle(self) -> tuple[float, float]:
        """Middle of the parallelogram around both axes or diameters, (x, y) px."""

    def outline(self) -> np.ndarray:
        """Return the outline as a polygon, (N, 2) x and y, px."""

    def arms(self) -> tuple[np.ndarray, np.ndarray]:
        """Return where the diameters cross, (2,) x and y, and the (4, 2) vectors to their ends.

        The ends of the long diameter or axis come first. No vector is zero.
        """

    def drawn(self, shape_hw: tuple[int, int]) -> np.ndarray:
        """Return the filled shape, (H, W) bool."""

    def radius(self, shape_hw: tuple[int, int]) -> np.ndarray:
        """Return each pixel's radius, (H, W) float32: 0 in the middle, 1 on the outline."""

    def measured(self, mask: np.ndarray) -> Self:
        """Return the shape of the same kind that a mask has.

        Args:
            mask: (H, W) bool.

        Raises:
            ValueError: if it has none.
        """

    def iou(self, other: Self, shape_hw: tuple[int, int] | None = None) -> float:
        """Return the intersection over union of two shapes, 0 to 1.

        Args:
            other: of the same kind.
            shape_hw: height and width of an image, px: only what lies in it counts. None: all.
        """

    def perturbed(self, draws: Sequence[float], size: float) -> Self:
        """Return the shape of a less exact mark of the same lesion.

        Args:
            draws: `NUM_DRAWS` standard normal numbers.
            size: of the perturbation.
        """

    def moved(self, dx: float, dy: float) -> Self:
        """Return the same shape, moved by (dx, dy) px."""

    def resized(self, from_hw: tuple[int, int], to_hw: tuple[int, int]) -> Self:
        """Return the shape as it appears when its image is resized, aspect ratio kept or not.

        Pixel areas are mapped onto each other, as in `cv2.resize`.
        """

    def carry(self, scores: np.ndarray, source: Self) -> np.ndarray:
        """Move scores, (H, W) float32, so that the shape `source` of them comes to lie on this."""


def measured_in_mm(
    mark: MarkShape, mask: np.ndarray, spacing: tuple[float, float] | None
) -> MarkShape:
    """Return the shape of a mark's kind that a mask has in the patient, px of the mask.

    Diameters that are perpendicular in mm are oblique in pixels that are not square. Such a mask is
    therefore measured on a grid of square pixels, as fine as its own finer side.

    Args:
        mark: the mark's shape, whose kind is measured.
        mask: (H, W) bool.
        spacing: mm per pixel of rows and columns; None if it is unknown, as of square pixels.

    Raises:
        ValueError: if the mask has no shape of this kind.

    >>> from weaklesion.four_ends import FourEnds
    >>> mark = FourEnds(np.array([[0.0, 2.0], [8.0, 2.0], [4.0, 0.0], [4.0, 4.0]]))
    >>> mask = np.ones((3, 5), dtype=bool)  # 9 mm by 5 mm, in pixels of 3 mm by 1 mm
    >>> measured_in_mm(mark, mask, (3.0, 1.0)).points[:2].round(2).tolist()
    [[0.0, -0.5], [4.0, 2.5]]
    """
    if spacing is None or math.isclose(*spacing, rel_tol=SAME_SPACING):
        return mark.measured(mask)
    hw = (mask.shape[0], mask.shape[1])
    sizes_mm = hw[0] * spacing[0], hw[1] * spacing[1]
    side_mm = max(min(spacing), max(sizes_mm) / MOST_PX)
    square_hw = max(1, round(sizes_mm[0] / side_mm)), max(1, round(sizes_mm[1] / side_mm))
    square = cv2.resize(
        mask.astype(np.uint8), square_hw[::-1], interpolation=cv2.INTER_NEAREST_EXACT
    )
    return mark.measured(square > 0).resized(square_hw, hw)
