"""Marks out of single lines: two lines that cross almost at right angles are one mark."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from weaklesion.recist import diameter_crossing

PAIR_ANGLE_DEG = 60.0  # between two lines that are the diameters of one mark
PAIR_REACH = 0.1  # fraction of their length by which the two lines may miss each other
SAME_LENGTH = 0.02  # relative difference up to which a stored length is that of the line
CM = 10.0  # mm


@dataclass(frozen=True)
class Line:
    """A line on an image.

    Attributes:
        ends: (2, 2) x and y in px from the centre of the first pixel.
        image_uid: SOP instance of the image.
        frame: index of the frame, from 0.
        tracking_uid: UID that follows the lesion over time, or "".
        stored: length that the file states, in `unit`, or None.
        unit: code of the unit of `stored`.
    """

    ends: np.ndarray
    image_uid: str
    frame: int
    tracking_uid: str = ""
    stored: float | None = None
    unit: str = ""


def ends_of(lines: Sequence[Line]) -> np.ndarray:
    """Return the ends of lines, (n, 2) px."""
    return np.concatenate([line.ends for line in lines])


def crossing(one: np.ndarray, other: np.ndarray, spacing_xy: Sequence[float]) -> bool:
    """Return whether two lines cross almost at right angles in the patient.

    Args:
        one: (2, 2) ends, px.
        other: (2, 2) ends, px.
        spacing_xy: mm per px of x and y; equal numbers if it is unknown.

    >>> one, other = np.array([[0.0, 0], [10, 0]]), np.array([[4.0, -3], [5, 3]])
    >>> crossing(one, other, (1, 1)), crossing(one, other + 20, (1, 1))
    (True, False)
    """
    mm = np.asarray(spacing_xy, dtype=float)
    along, across = (one[1] - one[0]) * mm, (other[1] - other[0]) * mm
    lengths = math.hypot(*along) * math.hypot(*across)
    if lengths == 0 or abs(along @ across) / lengths > math.cos(math.radians(PAIR_ANGLE_DEG)):
        return False
    where = diameter_crossing(np.vstack([one, other]))
    return all(-PAIR_REACH <= part <= 1 + PAIR_REACH for part in where)


def pair_lines(
    lines: Sequence[Line], spacing_xy: Sequence[float]
) -> tuple[list[tuple[Line, Line]], list[Line], list[Line]]:
    """Find the lines of one image that are the two diameters of a mark.

    Args:
        lines: lines of one frame.
        spacing_xy: mm per px of x and y; equal numbers if it is unknown.

    Returns:
        Pairs, long diameter first; lines that cross no other; and lines that cross several others,
        whose partner is therefore unknown.
    """
    partners = {
        i: [
            j
            for j in range(len(lines))
            if i != j
            and crossing(lines[i].ends, lines[j].ends, spacing_xy)
            and not _different(lines[i].tracking_uid, lines[j].tracking_uid)
        ]
        for i in range(len(lines))
    }
    pairs, alone, unclear = [], [], []
    for i, line in enumerate(lines):
        if not partners[i]:
            alone.append(line)
        elif len(partners[i]) > 1 or len(partners[partners[i][0]]) > 1:
            unclear.append(line)
        elif i < partners[i][0]:
            pairs.append(long_first(line, lines[partners[i][0]], spacing_xy))
    return pairs, alone, unclear


def _different(one: str, other: str) -> bool:
    return bool(one) and bool(other) and one != other


def ends_apart_px(one: np.ndarray, other: np.ndarray) -> float:
    """Return by how much the coordinates of two marks differ at most, whichever end is named first.

    Args:
        one: (4, 2) both diameters, or (2, 2) one, px.
        other: the same number of ends, px.

    >>> ends_apart_px(np.array([[0.0, 0], [9, 0]]), np.array([[9.0, 0.25], [0, 0]]))
    0.25
    """
    return max(
        min(float(np.abs(a - b).max()), float(np.abs(a - b[::-1]).max()))
        for a, b in zip(one.reshape(-1, 2, 2), other.reshape(-1, 2, 2), strict=True)
    )


def length_mm(ends: np.ndarray, spacing_xy: Sequence[float]) -> float:
    """Return the length of a line, (2, 2) px, in the unit of the spacing."""
    return math.hypot(*((ends[1] - ends[0]) * np.asarray(spacing_xy, dtype=float)))


def long_first(one: Line, other: Line, spacing_xy: Sequence[float]) -> tuple[Line, Line]:
    """Return two lines, the longer one first."""
    longer = length_mm(one.ends, spacing_xy) >= length_mm(other.ends, spacing_xy)
    return (one, other) if longer else (other, one)


def length_note(line: Line, spacing_xy: Sequence[float] | None) -> str:
    """Return what is to be told of a stored length; "" if it agrees or there is none.

    The coordinates count; a stored length that contradicts them is never used.
    """
    if line.stored is None:
        return ""
    if spacing_xy is None:
        return "the stored length cannot be checked: the spacing is unknown"
    drawn = length_mm(line.ends, spacing_xy)
    if _same(line.stored, drawn):
        return ""
    if _same(line.stored * CM, drawn):
        return (
            ""
            if line.unit == "cm"
            else "the stored length is in cm, although its unit says otherwise"
        )
    if _same(line.stored, length_mm(line.ends, (1, 1))):
        return "the stored length is in px"
    return (
        f"the stored length {line.stored:.4g} contradicts the ends, which are"
        f" {drawn:.4g} mm apart; the ends count"
    )


def _same(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=SAME_LENGTH)
