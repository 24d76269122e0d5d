"""Convex hulls of masks, and the ellipse that separates a small mask from its surroundings."""

import math

import cv2
import numpy as np


def convex_hull(foreground: np.ndarray) -> np.ndarray:
    """Return the vertices of the convex hull of a mask's pixel centres.

    Args:
        foreground: (H, W) bool.

    Returns:
        (V, 2) int32, x and y; (0, 2) for an empty mask.

    >>> square = np.ones((3, 3), dtype=bool)
    >>> sorted(convex_hull(square).tolist())
    [[0, 0], [0, 2], [2, 0], [2, 2]]
    """
    rows = np.flatnonzero(foreground.any(axis=1))
    if not len(rows):
        return np.empty((0, 2), dtype=np.int32)
    part = foreground[rows]  # the first and last pixel of each row: no other can be a vertex
    first = part.argmax(axis=1)
    last = foreground.shape[1] - 1 - part[:, ::-1].argmax(axis=1)
    points = np.stack([first, rows, last, rows], axis=1).reshape(-1, 2).astype(np.int32)
    return cv2.convexHull(points)[:, 0]


def separating_axes(
    mask: np.ndarray, hull: np.ndarray
) -> tuple[float, float, float, float, float] | None:
    """Return the ellipse that separates the pixels of a mask from those around it.

    Both conditions are linear in the coefficients of a conic; a linear program finds the
    coefficients with the widest margin.

    Args:
        mask: (H, W), foreground above 0.
        hull: (P, 2) x and y of the vertices of its convex hull.

    Returns:
        Centre x and y, both axes and the angle of the first one, as `weaklesion.Ellipse` takes
        them; None if no ellipse separates the two.
    """
    from scipy.optimize import linprog  # slow to import, and few masks need it

    inside = np.pad(mask > 0, 1).astype(np.uint8)
    around = cv2.dilate(inside, np.ones((3, 3), np.uint8)) - inside
    center = hull.mean(axis=0)
    scale = np.ptp(hull, axis=0).max() / 2
    inner, inner_fixed = _conic_terms((hull - center) / scale)
    outer, outer_fixed = _conic_terms((np.argwhere(around)[:, ::-1] - 1 - center) / scale)
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
    return float(cx), float(cy), float(lengths[0]), float(lengths[1]), angle_deg


def _conic_terms(points_xy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the terms of x^2 + y^2 + k (x^2 - y^2) + b x y + d x + e y + f, and the fixed part."""
    x, y = points_xy.T
    return np.column_stack([x * x - y * y, x * y, x, y, np.ones(len(x))]), x * x + y * y
