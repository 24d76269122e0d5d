"""What methods that turn marks into masks need of a mark's shape.

Two kinds of shape have it: the ellipse of a mark (`weaklesion.ellipse.Ellipse`), as in the paper,
and the shape through its four ends (`weaklesion.four_ends.FourEnds`).
"""

from collections.abc import Sequence
from typing import ClassVar, Literal, Protocol, Self

import numpy as np

ShapeKind = Literal["ellipse", "ends"]


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
