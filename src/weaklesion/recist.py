"""RECIST marks: the two diameters of a lesion, and the ellipse that they stand for.

A mark is a (4, 2) float array of (x, y) points: both ends of the long diameter, then both ends of
the short one, in pixels with pixel centres at whole numbers.
"""

import math
from typing import Literal

import numpy as np

from weaklesion.ellipse import Ellipse

Center = Literal["midpoint", "intersection"]


def parse_recist(text: str) -> np.ndarray:
    """Parse the eight comma-separated numbers of a RECIST mark.

    Args:
        text: `x11, y11, x12, y12, x21, y21, x22, y22`: long diameter, then short one, px.

    Returns:
        (4, 2) float array: long a, long b, short a, short b; each (x, y).

    Raises:
        ValueError: if there are not exactly eight finite numbers.

    >>> parse_recist("1, 2, 9, 2, 5, 0, 5, 4")[0].tolist()
    [1.0, 2.0]
    """
    fields = text.split(",")
    try:
        values = [float(field) for field in fields]
    except ValueError as error:
        raise ValueError(f"RECIST mark {text!r}: {error}") from error
    if len(values) != 8 or not all(math.isfinite(value) for value in values):
        raise ValueError(f"RECIST mark {text!r}: eight finite numbers are needed")
    return np.array(values).reshape(4, 2)


def recist_from_ellipse(ellipse: Ellipse) -> np.ndarray:
    """Return the mark whose diameters are the axes of an ellipse: (4, 2), px."""
    ellipse = ellipse.canonical()
    theta = math.radians(ellipse.angle_deg)
    along = np.array([math.cos(theta), math.sin(theta)])
    across = np.array([-math.sin(theta), math.cos(theta)])
    center = np.array([ellipse.cx, ellipse.cy])
    long, short = along * ellipse.width / 2, across * ellipse.height / 2
    return np.stack([center - long, center + long, center - short, center + short])


def ellipse_from_recist(points: np.ndarray, *, center: Center = "midpoint") -> Ellipse:
    """Return the ellipse of a RECIST mark.

    Its axes are as long as the diameters. With `midpoint` it is the least-squares ellipse with the
    axes along the diameters: its directions are the orthogonal pair nearest to the two measured
    ones, weighted by their lengths, and its centre the mean of the four end points. With
    `intersection` the width axis lies along the longer diameter and the centre where the two
    diameters, taken as lines, cross (as the released code has it, discrepancy G6).

    Args:
        points: (4, 2) long a, long b, short a, short b; each (x, y), px.
        center: `midpoint` or `intersection`.

    Returns:
        The canonical ellipse: width the major axis, angle in [0, 180), px.

    Raises:
        ValueError: if the shape is not (4, 2), a value is not finite, a diameter has no length, or
            the diameters are parallel.
    """
    points = np.asarray(points, dtype=float)
    if points.shape != (4, 2) or not np.isfinite(points).all():
        raise ValueError(f"points: a (4, 2) array of finite numbers is needed, not {points!r}")
    long, short = points[1] - points[0], points[3] - points[2]
    long_px, short_px = float(np.hypot(*long)), float(np.hypot(*short))
    if long_px == 0 or short_px == 0:
        raise ValueError(f"points: a diameter has no length ({long_px} and {short_px} px)")
    cross = float(long[0] * short[1] - long[1] * short[0])
    if abs(cross) < 1e-6 * long_px * short_px:
        raise ValueError(f"points: the diameters are parallel: {points.tolist()}")
    if center == "midpoint":
        cx, cy = points.mean(axis=0)
        # Turning the short diameter by 90 degrees must give the long one's direction; an axis has
        # no sign, so directions are averaged at twice their angle.
        double_angle = long_px * _double_angle(long) - short_px * _double_angle(short)
        angle = math.degrees(math.atan2(double_angle[1], double_angle[0])) / 2
    elif center == "intersection":
        between = points[2] - points[0]
        fraction = float(between[0] * short[1] - between[1] * short[0]) / cross
        cx, cy = points[0] + fraction * long
        longest = long if long_px >= short_px else short
        angle = math.degrees(math.atan2(longest[1], longest[0]))
    else:
        raise ValueError(f"center: 'midpoint' or 'intersection' is needed, not {center!r}")
    if center == "midpoint" and long_px < short_px:
        angle += 90.0
    width, height = max(long_px, short_px), min(long_px, short_px)
    return Ellipse(float(cx), float(cy), width, height, angle).canonical()


def _double_angle(vector: np.ndarray) -> np.ndarray:
    """Return the unit vector at twice the angle of `vector`, the same for both of its signs."""
    angle = 2 * math.atan2(vector[1], vector[0])
    return np.array([math.cos(angle), math.sin(angle)])
