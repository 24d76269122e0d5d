"""Ellipses: fitting one to a mask, and drawing one as a mask.

Pixel centres lie at whole numbers, x to the right and y down; axes are full lengths in pixels;
`angle_deg` turns the width axis from the x axis towards the y axis (clockwise as displayed), as
OpenCV does.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from scipy.optimize import linprog

# How far the vertices of a drawn ellipse's hull lie inside it, on average: measured on random
# ellipses of 10 to 70 px (tests/library/test_ellipse.py).
HULL_INSET_PX = 0.15

# Short axes below which whole pixels decide: there the hull's vertices alone can miss a drawn
# ellipse by more than a hundredth of Dice.
SMALL_PX = 16.0

SUBPIXELS = 4  # in each direction, for soft edges


@dataclass(frozen=True)
class Ellipse:
    """An ellipse in pixels of some image.

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

    def __post_init__(self) -> None:
        values = (self.cx, self.cy, self.width, self.height, self.angle_deg)
        if not all(math.isfinite(value) for value in values):
            raise ValueError(f"an ellipse needs finite numbers, not {self}")
        if self.width <= 0 or self.height <= 0:
            raise ValueError(f"an ellipse needs axes longer than 0 px, not {self}")

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
        """Return the (2, 2) matrix M of the ellipse {c + d : d' inv(M) d <= 1}, px squared."""
        theta = math.radians(self.angle_deg)
        axes = np.array([[math.cos(theta), -math.sin(theta)], [math.sin(theta), math.cos(theta)]])
        half = axes @ np.diag([self.width / 2, self.height / 2])
        return half @ half.T

    def perturbed(self, draws: Sequence[float], size: float) -> "Ellipse":
        """Return the ellipse of the same lesion, marked less exactly.

        Args:
            draws: five standard normal numbers: centre's x and y, axes, angle.
            size: standard deviation of the centre in half major axes, of the axes in parts of
                themselves (they keep a fifth at least), and of the angle in radians.
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
            from_hw: height and width of the image that the ellipse lies in, px.
            to_hw: height and width of the resized image, px.
        """
        scale_y, scale_x = to_hw[0] / from_hw[0], to_hw[1] / from_hw[1]
        from_corner = replace(self, cx=self.cx + 0.5, cy=self.cy + 0.5).scaled(scale_x, scale_y)
        return replace(from_corner, cx=from_corner.cx - 0.5, cy=from_corner.cy - 0.5)

    def scaled(self, scale_x: float, scale_y: float) -> "Ellipse":
        """Return the ellipse in coordinates that are so many times as large, such as mm."""
        scale = np.diag([scale_x, scale_y])
        variances, axes = np.linalg.eigh(scale @ self.shape_matrix() @ scale)
        return Ellipse(
            cx=self.cx * scale_x,
            cy=self.cy * scale_y,
            width=2 * math.sqrt(variances[1]),
            height=2 * math.sqrt(variances[0]),
            angle_deg=math.degrees(math.atan2(axes[1, 1], axes[0, 1])),
        ).canonical()


def fit_ellipse(mask: np.ndarray) -> Ellipse:
    """Fit an ellipse to a mask, by least squares on the vertices of its convex hull.

    Args:
        mask: (H, W) bool, or integer with foreground above 0.

    The hull's vertices are pixel centres, and lie inside the outline by about 0.15 px; both axes
    are lengthened by twice that, without which small ellipses come out too small. A small mask
    (short axis below 16 px) that is exactly some drawn ellipse gives an ellipse that draws it
    again, pixel for pixel.

    Returns:
        The canonical ellipse (width the major axis, angle in [0, 180)), px.

    Raises:
        ValueError: if the mask is not two-dimensional, or its hull has fewer than five vertices,
            as that of an empty mask, of a line or of a rectangle has.

    Source: Chu et al. 2021, section 4; how it is done is the released code's (discrepancy G22).
    """
    if mask.ndim != 2:
        raise ValueError(f"mask: two dimensions are needed, not shape {mask.shape}")
    hull = convex_hull(mask > 0)
    if len(hull) < 5:
        raise ValueError(f"mask: its convex hull has {len(hull)} vertices; an ellipse needs five")
    (cx, cy), (width, height), angle_deg = cv2.fitEllipse(hull)
    longer = 2 * HULL_INSET_PX
    fitted = Ellipse(cx, cy, width + longer, height + longer, angle_deg).canonical()
    if fitted.height < SMALL_PX:
        return _separating_ellipse(mask, hull) or fitted
    return fitted


def convex_hull(foreground: np.ndarray) -> np.ndarray:
    """Return the vertices of the convex hull of a mask's pixel centres.

    Args:
        foreground: (H, W) bool.

    Returns:
        (V, 2) int32, x and y; none of an empty mask.
    """
    rows = np.flatnonzero(foreground.any(axis=1))
    if not len(rows):
        return np.empty((0, 2), dtype=np.int32)
    part = foreground[rows]  # of each row its first and last pixel: no other can be a vertex
    first = part.argmax(axis=1)
    last = foreground.shape[1] - 1 - part[:, ::-1].argmax(axis=1)
    points = np.stack([first, rows, last, rows], axis=1).reshape(-1, 2).astype(np.int32)
    return cv2.convexHull(points)[:, 0]


def ellipse_iou(first: Ellipse, second: Ellipse) -> float:
    """Return the overlap of two ellipses as areas: intersection over union, 0 to 1.

    Measured on a lattice of about 100 pixels across the larger one. Of two that are so thin that
    they cover none of its pixels it is 0.
    """
    reach = max(first.width, first.height, second.width, second.height)
    scale = 100 / reach
    side = 100 + math.ceil(scale * math.dist((first.cx, first.cy), (second.cx, second.cy)))
    middle = (first.cx + second.cx) / 2, (first.cy + second.cy) / 2
    a, b = (
        draw_ellipse(
            Ellipse(
                (e.cx - middle[0]) * scale + side / 2,
                (e.cy - middle[1]) * scale + side / 2,
                e.width * scale,
                e.height * scale,
                e.angle_deg,
            ),
            (side + 2, side + 2),
        )
        for e in (first, second)
    )
    union = (a | b).sum()
    return float((a & b).sum() / union) if union else 0.0


def _separating_ellipse(mask: np.ndarray, hull: np.ndarray) -> Ellipse | None:
    """Return the ellipse that parts the pixels of a mask from those around it, if there is one.

    In the coefficients of a conic both conditions are linear; a linear program finds those with
    the widest margin.

    Args:
        mask: (H, W), foreground above 0.
        hull: (P, 2) x and y of the vertices of its convex hull.
    """
    inside = np.pad(mask > 0, 1).astype(np.uint8)
    around = cv2.dilate(inside, np.ones((3, 3), np.uint8)) - inside
    center = hull.mean(axis=0)
    scale = np.ptp(hull, axis=0).max() / 2

    def conic(points_xy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The terms of x^2 + y^2 + k (x^2 - y^2) + b x y + d x + e y + f, and the fixed part."""
        x, y = ((points_xy - center) / scale).T
        return np.column_stack([x * x - y * y, x * y, x, y, np.ones(len(x))]), x * x + y * y

    inner, inner_fixed = conic(hull)
    outer, outer_fixed = conic(np.argwhere(around)[:, ::-1] - 1)
    margin = np.ones((len(inner) + len(outer), 1))
    solution = linprog(
        [0, 0, 0, 0, 0, -1],
        A_ub=np.hstack([np.vstack([inner, -outer]), margin]),
        b_ub=np.concatenate([-inner_fixed, outer_fixed]),
        bounds=(None, None),
    )
    if not solution.success or solution.x[5] <= 0:
        return None
    k, b, d, e, f, _ = solution.x
    quadratic = np.array([[1 + k, b / 2], [b / 2, 1 - k]])
    curvatures, axes = np.linalg.eigh(quadratic)
    if curvatures[0] <= 0:  # a parabola or a hyperbola
        return None
    offset = -np.linalg.solve(quadratic, [d, e]) / 2
    lengths = 2 * scale * np.sqrt((offset @ quadratic @ offset - f) / curvatures)
    cx, cy = offset * scale + center
    angle_deg = math.degrees(math.atan2(axes[1, 0], axes[0, 0]))
    values = (cx, cy, lengths[0], lengths[1], angle_deg)
    return Ellipse(*map(float, values)).canonical()


def draw_ellipse(
    ellipse: Ellipse, shape_hw: tuple[int, int], *, outline_px: float = 0.0
) -> np.ndarray:
    """Draw a filled ellipse: every pixel whose centre lies in it.

    The number of pixels is the ellipse's area, on average over its sub-pixel positions.

    Args:
        ellipse: in pixels of the mask; it may leave the mask partly or wholly.
        shape_hw: height and width of the mask, px.
        outline_px: width by which an outline enlarges it on every side, px; about 2.1 in the
            released code for DeepLesion (discrepancy G5).

    Returns:
        (H, W) bool.
    """
    # Plain numbers, for a few thousand small ellipses a second cost more in calls than in pixels.
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


def draw_soft_ellipse(ellipse: Ellipse, shape_hw: tuple[int, int]) -> np.ndarray:
    """Draw a filled ellipse with the grey edge of anti-aliasing.

    The released code keeps such edges in LiTS's targets (discrepancy G14).

    Returns:
        (H, W) uint8: 255 times the part of each pixel that the ellipse covers, in steps of 1/16.
    """
    height, width = shape_hw
    fine_hw = height * SUBPIXELS, width * SUBPIXELS
    fine = draw_ellipse(ellipse.resized(shape_hw, fine_hw), fine_hw)
    covered = fine.reshape(height, SUBPIXELS, width, SUBPIXELS).mean(axis=(1, 3))
    return (covered * 255).round().astype(np.uint8)
