"""Diameters of a mark: from lines that are drawn into pixels, and a short one for a long one."""

import math
from collections.abc import Sequence
from itertools import combinations

import cv2
import numpy as np

from weaklesion.errors import DataError
from weaklesion.marks.table import LEAST_ANGLE_DEG, BadMarkError

WIDEST_PX = 8.0  # of a drawn line; more is an area
OFF_THIN_PX, OFF_WIDE_PX = 2.0, 3.5  # distance from which a pixel belongs to another line
SMALL_PX = 16  # sides of a drawing up to which crosses are drawn again and compared
UNLIKE = 0.1  # part of the drawn pixels by which a cross that is drawn again may differ from them
SPREAD_PX = 0.75  # by which the box of one line may be wider than the line's mean width
STEP_PX = 0.5  # between the points of a line that are looked up
ALONE = "only one diameter"
UNCONNECTED = "the drawn pixels are not one line, or two that cross"


def ends_of_drawn(drawn: np.ndarray) -> np.ndarray:
    """Return the ends of the one or two lines that pixels draw, to about a pixel.

    The long line is the longest one that is drawn throughout. The short one is the longest of
    those that begin and end off it, at 45 degrees or more; if both ends are on one side of
    the long line, it begins on it. Small thin crosses, in which everything lies near the long line,
    are drawn again from the corners of the hull and compared.

    Args:
        drawn: (H, W) bool.

    Returns:
        (4, 2) x and y of the ends of both lines, long first, or (2, 2) of the only one; px.

    Raises:
        BadMarkError: if fewer than two pixels, an area, or lines that do not cross are drawn.
    """
    pixels = np.argwhere(drawn)[:, ::-1]
    if len(pixels) < 2:
        raise BadMarkError("fewer than two pixels are drawn")
    corner = pixels.min(0) - 1
    first, last = pixels.min(0), pixels.max(0) + 1
    part = np.pad(drawn[first[1] : last[1], first[0] : last[0]], 1).astype(np.uint8)
    pixels = pixels - corner
    cross = _small_cross(_hull(pixels), part)
    if cross is not None:
        return cross + corner
    long = _longest(_hull(pixels), part)
    if long is None:
        raise BadMarkError(UNCONNECTED)
    along = (long[1] - long[0]) / math.dist(*long)
    inside = cv2.distanceTransform(part, cv2.DIST_C, 3)[part > 0]  # 1 throughout thin lines
    reach = OFF_WIDE_PX if np.percentile(inside, 75) > 1 else OFF_THIN_PX
    normal = np.array([-along[1], along[0]])
    off = pixels[np.abs((pixels - long[0]) @ normal) > reach]
    lines = [long]
    one = _is_one_line(pixels)
    if not len(off) and not one:
        raise BadMarkError(UNCONNECTED)
    if len(off) and not (one and max(part.shape) > SMALL_PX + 2):  # small wide crosses are blobs
        short = _longest(_hull(off), part, along)
        if short is None:
            raise BadMarkError(UNCONNECTED)
        distances = (short - long[0]) @ normal
        if distances.prod() > 0:  # on one side: it ends on the long line
            near, far = np.argsort(np.abs(distances))
            part_of = distances[near] / (distances[far] - distances[near])
            short[near] -= part_of * (short[far] - short[near])
        lines.append(short)
    if len(pixels) > WIDEST_PX * sum(math.dist(*line) + 1 for line in lines):
        raise BadMarkError("an area is drawn, not one or two lines")
    return np.concatenate(lines) + corner


def _hull(pixels: np.ndarray) -> np.ndarray:
    """Return the pixels that are corners of the convex hull, (n, 2) float."""
    return cv2.convexHull(pixels.astype(np.int32))[:, 0].astype(float)


def _is_one_line(pixels: np.ndarray) -> bool:
    """Return whether the box around pixels is no wider than one line of so many pixels."""
    across, along = sorted(cv2.minAreaRect(pixels.astype(np.float32))[1])
    return across <= len(pixels) / (along + 1) + SPREAD_PX


def _small_cross(hull: np.ndarray, part: np.ndarray) -> np.ndarray | None:
    """Return the two lines between corners of the hull that draw the pixels of a small drawing.

    Args:
        hull: (n, 2) corners in their order, px.
        part: (H, W) uint8, 1 where drawn.

    Returns:
        (4, 2) ends, long first; None if the drawing is large, or no thin cross draws it.
    """
    if max(part.shape) > SMALL_PX + 2:  # with a border of one px on each side
        return None
    best, fewest = None, UNLIKE * part.sum()
    for a, b, c, d in combinations(hull, 4):  # in their order: a to c crosses b to d
        ends = np.array(sorted([[a, c], [b, d]], key=lambda line: -math.dist(*line))).reshape(4, 2)
        again = np.zeros_like(part)
        for start, stop in (ends[:2].astype(int), ends[2:].astype(int)):
            cv2.line(again, start.tolist(), stop.tolist(), 1)
        unlike = int((again != part).sum())
        if unlike <= fewest and _angle_deg(ends) >= LEAST_ANGLE_DEG:
            best, fewest = ends, unlike - 0.5
    return best


def _angle_deg(ends: np.ndarray) -> float:
    """Return the angle between two lines, 0 to 90 degrees."""
    first, second = ends[1] - ends[0], ends[3] - ends[2]
    cross = first[0] * second[1] - first[1] * second[0]
    return math.degrees(math.atan2(abs(cross), abs(first @ second)))


def _longest(
    ends: np.ndarray, part: np.ndarray, across: np.ndarray | None = None
) -> np.ndarray | None:
    """Return the longest line between two of some ends that is drawn throughout, or None.

    Args:
        ends: (n, 2) candidates, px.
        part: (H, W) uint8, not 0 where drawn; points of the line may miss it by a pixel.
        across: direction to which the line has 45 degrees or more, of length 1.
    """
    near = cv2.dilate(part, np.ones((3, 3), np.uint8)) > 0
    least_cosine = math.cos(math.radians(LEAST_ANGLE_DEG))
    for start, stop in sorted(combinations(ends, 2), key=lambda pair: -math.dist(*pair)):
        length = math.dist(start, stop)
        if across is not None and abs((stop - start) @ across) > least_cosine * length:
            continue
        x, y = np.linspace(start, stop, math.ceil(length / STEP_PX) + 1).round().astype(int).T
        if near[y, x].all():
            return np.stack([start, stop])
    return None


def check_short_of_long(short_of_long: float | None) -> None:
    """Check the ratio of the short to the long diameter that marks of a long one only get.

    Raises:
        DataError: if it is given and impossible.
    """
    if short_of_long is not None and not 0 < short_of_long <= 1:
        raise DataError(
            f"single diameters: needs a number above 0, at most 1, not {short_of_long}."
        )


def with_short(
    ends: np.ndarray, short_of_long: float | None, spacing_xy: Sequence[float]
) -> np.ndarray:
    """Return a mark that has only a long diameter, with a short one, (4, 2) px.

    The short one crosses the middle of the long one at a right angle in the patient.

    Args:
        ends: (2, 2) long diameter, px.
        short_of_long: length of the short diameter divided by that of the long one, or None.
        spacing_xy: mm per px of x and y.

    Raises:
        BadMarkError: without a ratio.

    >>> with_short(np.array([[0.0, 0.0], [10.0, 0.0]]), 0.5, (1, 2))[2:].tolist()
    [[5.0, -1.25], [5.0, 1.25]]
    """
    if short_of_long is None:
        raise BadMarkError(
            f"{ALONE}: give --single-diameters with the ratio of short to long diameter to use it"
        )
    mm = np.asarray(spacing_xy, dtype=float)
    along = (ends[1] - ends[0]) * mm
    half = np.array([-along[1], along[0]]) * short_of_long / 2
    return np.concatenate([ends, (ends.mean(0) * mm + np.array([-half, half])) / mm])
