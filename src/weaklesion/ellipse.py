"""Ellipses: fitting one to a mask, and drawing one as a mask.

Pixel centres lie at whole numbers, x to the right and y down; axes are full lengths in pixels;
`angle_deg` turns the width axis from the x axis towards the y axis (clockwise as displayed), as
OpenCV does.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import cv2
import numpy as np

from weaklesion.ellipse_maps import carry_ellipse, elliptic_radius
from weaklesion.hull import convex_hull, separating_axes

# Mean distance by which the vertices of a drawn ellipse's hull lie inside it: measured on random
# ellipses of 10 to 70 px (tests/library/test_ellipse.py).
HULL_INSET_PX = 0.15

# Short axis below which whole pixels decide, because there the hull's vertices alone can miss a
# drawn ellipse by more than a hundredth of Dice.
SMALL_PX = 16.0
LEAST_FIT = 0.5  # overlap with its mask below which a fitted ellipse is none of it


@dataclass(frozen=True)
class Ellipse:
    """An ellipse, in pixels of its image.

    Attributes:
        cx: x of the centre, px.
        cy: y of the centre, px.
        width: full length of the axis that `angle_deg` turns, px, positive.
        height: full length of the other axis, px, positive.
        angle_deg: direction of the width axis, degrees, from x towards y.

    Raises:
        ValueError: if a value is not finite or an axis is not positive.
    """

    cx: float
    cy: float
    width: float
    height: float
    angle_deg: float
    NUM_DRAWS: ClassVar[int] = 5
    # below 0.8: 60 of 60 random marks at 2 px, 37 at 3, 23 at 4, 3 at 5, and none at 6 and 8
    LEAST_PX: ClassVar[float] = 6.0

    def __post_init__(self) -> None:
        values = (self.cx, self.cy, self.width, self.height, self.angle_deg)
        if not all(math.isfinite(value) for value in values):
            raise ValueError(f"an ellipse needs finite numbers, not {self}")
        if self.width <= 0 or self.height <= 0:
            raise ValueError(f"an ellipse needs axes longer than 0 px, not {self}")

    @property
    def long_px(self) -> float:
        """Length of the major axis, px."""
        return max(self.width, self.height)

    @property
    def middle(self) -> tuple[float, float]:
        """The centre, (x, y) px."""
        return self.cx, self.cy

    def canonical(self) -> "Ellipse":
        """Return the same ellipse with width the major axis and angle in [0, 180).

        >>> Ellipse(5.0, 5.0, 2.0, 4.0, 100.0).canonical()
        Ellipse(cx=5.0, cy=5.0, width=4.0, height=2.0, angle_deg=10.0)
        """
        width, height, angle = self.width, self.height, self.angle_deg
        if width < height:
            width, height, angle = height, width, angle + 90.0
        angle %= 180.0
        # a tiny negative angle gives exactly 180.0 in floating point
        return Ellipse(self.cx, self.cy, width, height, 0.0 if angle == 180.0 else angle)

    def shape_matrix(self) -> np.ndarray:
        """Return the (2, 2) matrix M of the ellipse `{c + d : d' inv(M) d <= 1}`, px squared."""
        theta = math.radians(self.angle_deg)
        axes = np.array([[math.cos(theta), -math.sin(theta)], [math.sin(theta), math.cos(theta)]])
        half = axes @ np.diag([self.width / 2, self.height / 2])
        return half @ half.T

    @classmethod
    def from_shape_matrix(cls, cx: float, cy: float, matrix: np.ndarray) -> "Ellipse":
        """Return the canonical ellipse with a centre and a (2, 2) matrix as `shape_matrix` has it.

        >>> Ellipse.from_shape_matrix(1.0, 2.0, np.diag([4.0, 1.0]))
        Ellipse(cx=1.0, cy=2.0, width=4.0, height=2.0, angle_deg=0.0)
        """
        variances, axes = np.linalg.eigh(matrix)
        return cls(
            cx=cx,
            cy=cy,
            width=2 * math.sqrt(variances[1]),
            height=2 * math.sqrt(variances[0]),
            angle_deg=math.degrees(math.atan2(axes[1, 1], axes[0, 1])),
        ).canonical()

    def moved(self, dx: float, dy: float) -> "Ellipse":
        """Return the same ellipse with its centre moved by (dx, dy) px.

        >>> Ellipse(5.0, 5.0, 4.0, 2.0, 10.0).moved(-1.0, 2.0)
        Ellipse(cx=4.0, cy=7.0, width=4.0, height=2.0, angle_deg=10.0)
        """
        return replace(self, cx=self.cx + dx, cy=self.cy + dy)

    def perturbed(self, draws: Sequence[float], size: float) -> "Ellipse":
        """Return the ellipse of a less exact mark of the same lesion.

        Args:
            draws: five standard normal numbers: centre x, centre y, width, height, angle.
            size: standard deviation of the centre in half major axes, of each axis as a fraction
                of its length (an axis keeps at least a fifth), and of the angle in radians.
        """
        step = size * max(self.width, self.height) / 2
        return Ellipse(
            cx=self.cx + step * draws[0],
            cy=self.cy + step * draws[1],
            width=self.width * max(0.2, 1 + size * draws[2]),
            height=self.height * max(0.2, 1 + size * draws[3]),
            angle_deg=self.angle_deg + math.degrees(size * draws[4]),
        ).canonical()

    def flipped(
        self, shape_hw: tuple[int, int], *, upside_down: bool, left_right: bool
    ) -> "Ellipse":
        """Return the ellipse as it appears when its image is flipped; canonical.

        Args:
            shape_hw: height and width of the image, px.
            upside_down: whether y becomes height - 1 - y.
            left_right: whether x becomes width - 1 - x.

        >>> Ellipse(2.0, 3.0, 6.0, 4.0, 30.0).flipped((10, 20), upside_down=False, left_right=True)
        Ellipse(cx=17.0, cy=3.0, width=6.0, height=4.0, angle_deg=150.0)
        """
        height, width = shape_hw
        return Ellipse(
            cx=width - 1 - self.cx if left_right else self.cx,
            cy=height - 1 - self.cy if upside_down else self.cy,
            width=self.width,
            height=self.height,
            angle_deg=self.angle_deg if upside_down == left_right else -self.angle_deg,
        ).canonical()

    def resized(self, from_hw: tuple[int, int], to_hw: tuple[int, int]) -> "Ellipse":
        """Return the ellipse as it appears when its image is resized, aspect ratio kept or not.

        An ellipse stays an ellipse under any affine map. Pixel areas are mapped onto each other, so
        the centre of pixel 0 goes to `scale / 2 - 1 / 2`, as in `cv2.resize`.

        Args:
            from_hw: height and width of the ellipse's image, px.
            to_hw: height and width of the resized image, px.

        >>> Ellipse(4.5, 4.5, 6.0, 4.0, 0.0).resized((10, 10), (20, 20))
        Ellipse(cx=9.5, cy=9.5, width=12.0, height=8.0, angle_deg=0.0)
        """
        scale_y, scale_x = to_hw[0] / from_hw[0], to_hw[1] / from_hw[1]
        return self.moved(0.5, 0.5).scaled(scale_x, scale_y).moved(-0.5, -0.5)

    def scaled(self, scale_x: float, scale_y: float) -> "Ellipse":
        """Return the ellipse in coordinates scaled by these factors, such as mm per pixel."""
        scale = np.diag([scale_x, scale_y])
        matrix = scale @ self.shape_matrix() @ scale
        return Ellipse.from_shape_matrix(self.cx * scale_x, self.cy * scale_y, matrix)

    # What follows is the interface `weaklesion.mark_shapes.MarkShape`, with `perturbed`.

    def arms(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the centre and the vectors to the ends of both axes, the major one first."""
        ellipse = self.canonical()
        theta = math.radians(ellipse.angle_deg)
        along, across = (
            np.array([math.cos(theta), math.sin(theta)]) * ellipse.width / 2,
            np.array([-math.sin(theta), math.cos(theta)]) * ellipse.height / 2,
        )
        return np.array([self.cx, self.cy]), np.array([-along, along, -across, across])

    def outline(self) -> np.ndarray:
        """Return the outline as a polygon, (120, 2) x and y, px."""
        center, (_, along, _, across) = self.arms()
        angle = np.linspace(0, 2 * np.pi, 120)[:, None]
        return np.asarray(center + np.cos(angle) * along + np.sin(angle) * across)

    def drawn(self, shape_hw: tuple[int, int]) -> np.ndarray:
        """Return the filled ellipse, see `draw_ellipse`."""
        return draw_ellipse(self, shape_hw)

    def radius(self, shape_hw: tuple[int, int]) -> np.ndarray:
        """Return each pixel's elliptic radius, see `weaklesion.ellipse_maps.elliptic_radius`."""
        return elliptic_radius(self, shape_hw)

    def measured(self, mask: np.ndarray) -> "Ellipse":
        """Return the ellipse of a mask, see `fit_ellipse`.

        Raises:
            ValueError: if there is none, or if it overlaps the mask by less than `LEAST_FIT`. The
                image may cut a lesion off so that its fit lies elsewhere.
        """
        fit = fit_ellipse(mask)
        overlap = mask_iou(draw_ellipse(fit, mask.shape[:2]), mask > 0)
        if overlap < LEAST_FIT:
            raise ValueError(f"the mask's fitted ellipse overlaps it by {overlap:.2f} only")
        return fit

    def iou(self, other: "Ellipse", shape_hw: tuple[int, int] | None = None) -> float:
        """Return the overlap of two ellipses, see `ellipse_iou`; of all of them, in any image."""
        return ellipse_iou(self, other)

    def carry(self, scores: np.ndarray, source: "Ellipse") -> np.ndarray:
        """Move scores from an ellipse to this one, see `weaklesion.ellipse_maps.carry_ellipse`."""
        return carry_ellipse(scores, source, self)


def fit_ellipse(mask: np.ndarray) -> Ellipse:
    """Fit an ellipse to a mask, by least squares on the vertices of its convex hull.

    The hull's vertices are pixel centres, which lie about 0.15 px inside the outline. Both axes are
    lengthened by twice that distance; otherwise small ellipses come out too small. If a small mask
    (short axis below 16 px) is exactly a drawn ellipse, the result draws the same mask again. If a
    lesion is cut off or no oval, the result may be far larger than the mask, or lie beside it:
    `Ellipse.measured` refuses such a fit.

    Args:
        mask: (H, W) bool, or integer with foreground above 0.

    Returns:
        The canonical ellipse (width the major axis, angle in [0, 180)), px.

    Raises:
        ValueError: if the mask is not two-dimensional, or its hull has fewer than five vertices
            (an empty mask, a line, a rectangle).

    Source: Chu et al. 2021, section 4; the method is that of the released code (discrepancy G22).

    >>> mask = draw_ellipse(Ellipse(20.0, 15.0, 12.0, 8.0, 30.0), (32, 40))
    >>> ellipse = fit_ellipse(mask)
    >>> bool((draw_ellipse(ellipse, mask.shape) == mask).all())
    True
    """
    mask = np.asarray(mask)
    if mask.ndim != 2:
        raise ValueError(f"mask: needs two dimensions, not shape {mask.shape}")
    hull = convex_hull(mask > 0)
    if len(hull) < 5:
        raise ValueError(f"mask: its convex hull has {len(hull)} vertices; an ellipse needs five")
    (cx, cy), (width, height), angle_deg = cv2.fitEllipse(hull)
    longer = 2 * HULL_INSET_PX
    fitted = Ellipse(cx, cy, width + longer, height + longer, angle_deg).canonical()
    if fitted.height < SMALL_PX:
        exact = separating_axes(mask, hull)
        return fitted if exact is None else Ellipse(*exact).canonical()
    return fitted


def ellipse_iou(first: Ellipse, second: Ellipse) -> float:
    """Return the intersection over union of the areas of two ellipses, 0 to 1.

    Both are drawn on a lattice of about 100 pixels across the larger one. The result is 0 if they
    lie apart, or if both are so thin that they cover no pixel of the lattice.

    >>> ellipse_iou(Ellipse(0.0, 0.0, 4.0, 2.0, 0.0), Ellipse(9.0, 0.0, 4.0, 2.0, 0.0))
    0.0
    """
    reach = max(first.width, first.height, second.width, second.height)
    apart = math.dist((first.cx, first.cy), (second.cx, second.cy))
    if apart > 1.01 * reach:  # a lattice around both could need more memory than there is
        return 0.0
    scale = 100 / reach
    side = 100 + math.ceil(scale * apart)
    middle = (first.cx + second.cx) / 2, (first.cy + second.cy) / 2
    masks = [
        draw_ellipse(
            Ellipse(
                (one.cx - middle[0]) * scale + side / 2,
                (one.cy - middle[1]) * scale + side / 2,
                one.width * scale,
                one.height * scale,
                one.angle_deg,
            ),
            (side + 2, side + 2),
        )
        for one in (first, second)
    ]
    return mask_iou(*masks)


def ellipse_mask_iou(ellipse: Ellipse, mask: np.ndarray) -> float:
    """Return the intersection over union of a drawn ellipse and a mask; nan if both are empty."""
    drawn = draw_ellipse(ellipse, mask.shape)
    return mask_iou(drawn, mask) if drawn.any() or mask.any() else math.nan


def mask_iou(first: np.ndarray, second: np.ndarray) -> float:
    """Return the intersection over union of two masks, bool; 0 if both are empty."""
    union = (first | second).sum()
    return float((first & second).sum() / union) if union else 0.0


def draw_ellipse(
    ellipse: Ellipse, shape_hw: tuple[int, int], *, outline_px: float = 0.0
) -> np.ndarray:
    """Draw a filled ellipse: every pixel whose centre lies in it.

    The number of pixels is the ellipse's area, on average over its sub-pixel positions.

    Args:
        ellipse: in pixels of the mask; it may lie partly or wholly outside.
        shape_hw: height and width of the mask, px.
        outline_px: width by which an outline enlarges the ellipse on every side, px; about 2.1 in
            the released code for DeepLesion (discrepancy G5).

    Returns:
        (H, W) bool; all False if the ellipse lies outside or contains no pixel centre.

    >>> draw_ellipse(Ellipse(2.0, 1.0, 4.2, 2.2, 0.0), (3, 5)).astype(int)
    array([[0, 0, 1, 0, 0],
           [1, 1, 1, 1, 1],
           [0, 0, 1, 0, 0]])
    """
    # Plain numbers, because small ellipses cost more in numpy's calls than in pixels.
    height, width = shape_hw
    half_w, half_h = ellipse.width / 2 + outline_px, ellipse.height / 2 + outline_px
    theta = math.radians(ellipse.angle_deg)
    cos, sin = math.cos(theta), math.sin(theta)
    reach_x, reach_y = (
        math.hypot(half_w * cos, half_h * sin),
        math.hypot(half_w * sin, half_h * cos),
    )
    x0, x1 = max(0, math.ceil(ellipse.cx - reach_x)), min(width, int(ellipse.cx + reach_x) + 1)
    y0, y1 = max(0, math.ceil(ellipse.cy - reach_y)), min(height, int(ellipse.cy + reach_y) + 1)
    mask = np.zeros(shape_hw, dtype=bool)
    if x0 < x1 and y0 < y1:
        dx = np.arange(x0, x1) - ellipse.cx
        dy = (np.arange(y0, y1) - ellipse.cy)[:, None]
        along = dx * (cos / half_w) + dy * (sin / half_w)
        across = dy * (cos / half_h) - dx * (sin / half_h)
        along *= along
        across *= across
        along += across
        np.less_equal(along, 1.0, out=mask[y0:y1, x0:x1])
    return mask
