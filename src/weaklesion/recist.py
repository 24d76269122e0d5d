"""RECIST marks: the two diameters of a lesion, and the ellipse that they define.

A mark is a (4, 2) float array of (x, y) points: both ends of the long diameter, then both ends of
the short one, in pixels with pixel centres at whole numbers.
"""

import math
from dataclasses import dataclass, fields
from typing import Literal

import cv2
import numpy as np

from weaklesion.ellipse import Ellipse
from weaklesion.hull import convex_hull
from weaklesion.recist_columns import RECIST_COLUMNS as RECIST_COLUMNS
from weaklesion.support.reading import number_in

Center = Literal["midpoint", "intersection"]


def parse_recist(text: str) -> np.ndarray:
    """Parse the eight comma-separated numbers of a RECIST mark.

    Args:
        text: `x11, y11, x12, y12, x21, y21, x22, y22`: long diameter, then short one, px.

    Returns:
        (4, 2) float array: long a, long b, short a, short b; each (x, y).

    Raises:
        ValueError: if the text is not exactly eight finite numbers.

    >>> parse_recist("1, 2, 9, 2, 5, 0, 5, 4")[0].tolist()
    [1.0, 2.0]
    """
    fields = text.split(",")
    try:
        values = [number_in(field) for field in fields]
    except ValueError as error:
        raise ValueError(f"RECIST mark {text!r}: {error}") from error
    if len(values) != 8 or not all(math.isfinite(value) for value in values):
        raise ValueError(f"RECIST mark {text!r}: needs eight finite numbers")
    return np.array(values).reshape(4, 2)


def recist_from_ellipse(ellipse: Ellipse) -> np.ndarray:
    """Return the mark whose diameters are the axes of an ellipse: (4, 2), px.

    >>> recist_from_ellipse(Ellipse(5.0, 2.0, 8.0, 4.0, 0.0)).tolist()
    [[1.0, 2.0], [9.0, 2.0], [5.0, 0.0], [5.0, 4.0]]
    """
    center, arms = ellipse.arms()
    return center + arms


def ellipse_from_recist(points: np.ndarray, *, center: Center = "midpoint") -> Ellipse:
    """Return the ellipse of a RECIST mark.

    `midpoint` gives the least-squares ellipse, whose axes' ends have the least squared distance
    from the four marked points. Its centre is their mean; its axes are orthogonal and lie between
    the two measured directions, nearer to that of the longer diameter. `intersection` gives axes as
    long as the diameters, the one of the short diameter along it, and as centre the point where the
    lines through both diameters cross (released code, discrepancy G6).

    Args:
        points: (4, 2) long a, long b, short a, short b; each (x, y), px.
        center: `midpoint` or `intersection`.

    Returns:
        The canonical ellipse: width the major axis, angle in [0, 180), px.

    Raises:
        ValueError: if the shape is not (4, 2), a value is not finite, a diameter has no length, or
            the diameters are parallel.

    >>> ellipse_from_recist(parse_recist("1, 2, 9, 2, 5, 0, 5, 4"))
    Ellipse(cx=5.0, cy=2.0, width=8.0, height=4.0, angle_deg=0.0)
    """
    points = np.asarray(points, dtype=float)
    if points.shape != (4, 2) or not np.isfinite(points).all():
        raise ValueError(f"points: needs a (4, 2) array of finite numbers, not {points!r}")
    long, short = points[1] - points[0], points[3] - points[2]
    long_px, short_px = float(np.hypot(*long)), float(np.hypot(*short))
    if long_px == 0 or short_px == 0:
        raise ValueError(f"points: a diameter has no length ({long_px} and {short_px} px)")
    cross = float(long[0] * short[1] - long[1] * short[0])
    if abs(cross) < 1e-6 * long_px * short_px:
        raise ValueError(f"points: the diameters are parallel: {points.tolist()}")
    if center == "midpoint":
        cx, cy = points.mean(axis=0)
        # An axis has no sign, so directions are averaged at twice their angle, where the short
        # diameter's direction, turned by 90 degrees, has the opposite sign. The least-squares
        # solution weighs by squared length; its axes are the diameters' projections.
        double = long_px**2 * _double_angle(long) - short_px**2 * _double_angle(short)
        theta = math.atan2(double[1], double[0]) / 2
        along = np.array([math.cos(theta), math.sin(theta)])
        across = np.array([-along[1], along[0]])
        axes = abs(float(long @ along)), abs(float(short @ across))
        return Ellipse(float(cx), float(cy), *axes, math.degrees(theta)).canonical()
    if center == "intersection":
        cx, cy = points[0] + diameter_crossing(points)[0] * long
        angle = clicked_angle_deg(points)
        return Ellipse(float(cx), float(cy), short_px, long_px, angle).canonical()
    raise ValueError(f"center: needs 'midpoint' or 'intersection', not {center!r}")


def diameter_crossing(points: np.ndarray) -> tuple[float, float]:
    """Return where the lines through both diameters cross, in parts of each from its first end.

    Both are within 0 and 1 where the diameters themselves cross. They are the same in px and in mm.

    Args:
        points: (4, 2) mark, whose diameters are not parallel.

    >>> diameter_crossing(np.array([[0.0, 0], [10, 0], [12, -3], [12, 3]]))
    (1.2, 0.5)
    """
    long, short = points[1] - points[0], points[3] - points[2]
    between = points[2] - points[0]
    cross = float(long[0] * short[1] - long[1] * short[0])
    along_long, along_short = (
        float(between[0] * other[1] - between[1] * other[0]) / cross for other in (short, long)
    )
    return along_long, along_short


def _double_angle(vector: np.ndarray) -> np.ndarray:
    """Return the unit vector at twice the angle of `vector`: the same for v and -v."""
    angle = 2 * math.atan2(vector[1], vector[0])
    return np.array([math.cos(angle), math.sin(angle)])


def clicked_angle_deg(points: np.ndarray) -> float:
    """Return the direction from the first to the second end of the short diameter.

    The result, in degrees in [-90, 270), depends on the order of the two clicks. The released code
    clusters DeepLesion by this angle (discrepancy K1).

    >>> clicked_angle_deg(parse_recist("1, 2, 9, 2, 5, 0, 5, 4"))
    90.0
    """
    dx, dy = points[3] - points[2]
    angle = math.degrees(math.atan2(dy, dx))
    return angle + 360.0 if angle < -90.0 else angle


def flipped_clicked_angle_deg(angle_deg: float, *, upside_down: bool, left_right: bool) -> float:
    """Return the clicked direction of the same mark in a flipped image, degrees in [-90, 270).

    A clicked direction leads from the first click to the second, so both flips together turn it by
    180 degrees.

    >>> flipped_clicked_angle_deg(30.0, upside_down=True, left_right=True)
    210.0
    """
    if left_right:
        angle_deg = 180.0 - angle_deg
    if upside_down:
        angle_deg = -angle_deg
    if angle_deg < -90.0:
        return angle_deg + 360.0
    return angle_deg - 360.0 if angle_deg >= 270.0 else angle_deg


@dataclass(frozen=True)
class Measurement:
    """RECIST diameters measured on a mask.

    Attributes:
        points: (4, 2) mark, px: long a, long b, short a, short b; each (x, y).
        long_px: length of the long diameter, px.
        short_px: length of the short diameter, px.
        long_mm: length of the long diameter, mm; equal to `long_px` for a spacing of 1.
        short_mm: length of the short diameter, mm.
    """

    points: np.ndarray
    long_px: float
    short_px: float
    long_mm: float
    short_mm: float

    def __eq__(self, other: object) -> bool:
        """Return whether the other measurement has the same ends and lengths."""
        if not isinstance(other, Measurement):
            return NotImplemented
        names = [field.name for field in fields(self)]
        return all(np.array_equal(getattr(self, name), getattr(other, name)) for name in names)


def measure_recist(mask: np.ndarray, spacing: tuple[float, float] = (1.0, 1.0)) -> Measurement:
    """Measure a mask's longest diameter, and the longest diameter perpendicular to it.

    Both are measured in mm on the convex hull of the pixel centres, so they are longest and
    perpendicular in the patient rather than in the image. A single pixel has diameters of 0.
    `weaklesion.diameters.recist_from_mask` measures within the outline of the mask instead.

    Args:
        mask: (H, W) bool, or integer with foreground above 0. Of several parts (8-connected), the
            one with the longest diameter is measured.
        spacing: mm per pixel of rows and columns.

    Raises:
        ValueError: if the mask is empty or not two-dimensional, or the spacing is not two positive
            numbers.

    >>> mask = np.ones((3, 5), dtype=bool)  # 4 px from first to last column, 2 px between rows
    >>> round(measure_recist(mask, (2.0, 1.0)).long_mm, 3)
    5.657
    """
    foreground = np.asarray(mask) > 0
    if foreground.ndim != 2 or not foreground.any():
        raise ValueError("mask: needs a two-dimensional mask that is not empty")
    if np.shape(spacing) != (2,) or not all(math.isfinite(step) and step > 0 for step in spacing):
        raise ValueError(f"spacing: needs two positive numbers, not {spacing!r}")
    ends_mm = longest_diameters(foreground, spacing)
    points = ends_mm / (spacing[1], spacing[0])
    return Measurement(
        points=points,
        long_px=math.dist(points[0], points[1]),
        short_px=math.dist(points[2], points[3]),
        long_mm=math.dist(ends_mm[0], ends_mm[1]),
        short_mm=math.dist(ends_mm[2], ends_mm[3]),
    )


def compare_diameters(
    points: np.ndarray, mask: np.ndarray, spacing: tuple[float, float] | None = None
) -> dict[str, float]:
    """Compare the diameters of a mark with those of a mask.

    The long diameter of each is the one that is longer in the patient, if the spacing is known.

    Args:
        points: (4, 2) mark, px: long a, long b, short a, short b; each (x, y).
        mask: (H, W) bool, or integer with foreground above 0.
        spacing: mm per pixel of rows and columns, or None.

    Returns:
        `given_long_px` and `given_short_px` of the mark. If the mask is not empty: `long_px`,
        `short_px` of the mask, and the differences from the mark, `long_difference_px` and
        `short_difference_px` (positive where the mask is longer). With a spacing, the same in mm.
    """
    rows_mm, columns_mm = spacing or (1.0, 1.0)
    mm = np.array([columns_mm, rows_mm])
    marked = sorted((math.dist(*(e * mm)), math.dist(*e)) for e in (points[:2], points[2:]))
    measured = measure_recist(mask, (rows_mm, columns_mm)) if np.any(mask) else None
    compared: dict[str, float] = {}
    for which, (length_mm, length_px) in zip(("short", "long"), marked, strict=True):
        units = {"px": length_px} if spacing is None else {"px": length_px, "mm": length_mm}
        for unit, length in units.items():
            compared[f"given_{which}_{unit}"] = length
            if measured is not None:
                mask_length = getattr(measured, f"{which}_{unit}")
                compared[f"{which}_{unit}"] = mask_length
                compared[f"{which}_difference_{unit}"] = mask_length - length
    return compared


def longest_diameters(foreground: np.ndarray, spacing: tuple[float, float]) -> np.ndarray:
    """Return the ends of the longest diameter and of the longest diameter perpendicular to it.

    Args:
        foreground: (H, W) bool, not empty. Of several parts, the one with the longest diameter is
            measured.
        spacing: mm per pixel of rows and columns.

    Returns:
        (4, 2) long a, long b, short a, short b; x and y in mm.
    """
    hull, i, j = _longest_part(foreground, spacing)
    long_mm = math.dist(hull[i], hull[j])
    cos, sin = (hull[j] - hull[i]) / long_mm if long_mm > 0 else (1.0, 0.0)
    # The ends of the longest diameter are the only outermost vertices along it, so two chains of
    # vertices lead from one to the other. Chords across change linearly between vertices, so the
    # longest one is at a vertex.
    turned = np.concatenate([hull[i:], hull[: i + 1]]) @ np.array([[cos, -sin], [sin, cos]])
    at, across = turned[:, 0], turned[:, 1]
    far = (j - i) % len(hull)
    one = np.interp(at, at[: far + 1], across[: far + 1])
    other = np.interp(at, at[far:][::-1], across[far:][::-1])
    k = int(np.abs(one - other).argmax())
    short = [(at[k] * cos - side * sin, at[k] * sin + side * cos) for side in (one[k], other[k])]
    return np.array([hull[i], hull[j], *short])


def _longest_part(
    foreground: np.ndarray, spacing: tuple[float, float]
) -> tuple[np.ndarray, int, int]:
    """Return the hull of the part with the longest diameter, (V, 2) mm, and that diameter's ends.

    The ends are indices of the hull's vertices. Of equally long diameters, the first is returned.
    """
    _, labels, stats, _ = cv2.connectedComponentsWithStats(foreground.astype(np.uint8))
    boxes = stats[1:, :4]  # left, top, width, height; the first label is the background
    reach = ((boxes[:, 2:] - 1) * (spacing[1], spacing[0])) ** 2
    bounds = reach.sum(axis=1)  # of the squared diameter
    best, longest = None, -1.0
    for part in np.argsort(-bounds, kind="stable"):
        if bounds[part] < longest:
            break
        left, top, width, height = boxes[part].tolist()
        box = labels[top : top + height, left : left + width] == part + 1
        hull = (convex_hull(box) + np.array([left, top])) * (spacing[1], spacing[0])
        dx, dy = (hull[:, None, axis] - hull[:, axis] for axis in (0, 1))
        squared = dx * dx + dy * dy
        i, j = divmod(int(squared.argmax()), len(hull))
        if squared[i, j] > longest:
            best, longest = (hull, i, j), float(squared[i, j])
    assert best is not None
    return best
