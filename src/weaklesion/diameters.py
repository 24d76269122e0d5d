"""The RECIST mark of a mask: its longest diameter, and the longest one perpendicular to it.

Both lie within the mask, as a lesion's diameters do by RECIST (Eisenhauer et al. 2009), so a
concave lesion is not measured across its surroundings.
"""

import cv2
import numpy as np

from weaklesion.chords import chords_within, outline_corners, reach_across

PROBES = (1 / 2, 1 / 4, 3 / 4, 1 / 8, 3 / 8, 5 / 8, 7 / 8, 1 / 16, 15 / 16)
COARSE, FINE = 200, 2000  # corners of the outline whose chords give the first bounds
CHUNK = 1 << 19  # pairs of corners at a time
SAME_PX = 1e-9  # difference up to which two chords are equally long


def recist_from_mask(mask: np.ndarray) -> np.ndarray:
    """Return the RECIST mark of a mask, whose pixels are square.

    The long diameter is the longest chord between two corners of the outline that lies within the
    mask. The short one is the longest chord perpendicular to it that lies within the mask and meets
    it; in a convex mask every perpendicular chord does. Equally long ones: the long diameter whose
    first end is leftmost, and the short one nearest to the middle of the long one.

    The ends lie on the outline of `weaklesion.chords`, halfway between pixels of lesion and
    surroundings. A jagged outline lengthens diameters a little: those of drawn ellipses of 12 to
    150 px come out 0.2 to 0.6 px too long, while `measure_recist`, from pixel centre to pixel
    centre on the hull, has them 0.3 to 0.6 px too short.

    Args:
        mask: (H, W) bool, or integer with foreground above 0. Of several parts, the one with the
            longest chord is measured.

    Returns:
        (4, 2) mark, px: long a, long b, short a, short b; each (x, y), pixel centres at whole
        numbers. A single pixel has two diameters of 1 px.

    Raises:
        ValueError: if the mask is empty or not two-dimensional.

    >>> mask = np.zeros((5, 9), dtype=bool)
    >>> mask[2, 1:8] = True  # a row of seven pixels
    >>> recist_from_mask(mask).tolist()
    [[0.5, 2.0], [7.5, 2.0], [4.0, 2.5], [4.0, 1.5]]
    """
    foreground = np.asarray(mask) > 0
    if foreground.ndim != 2 or not foreground.any():
        raise ValueError("mask: needs a two-dimensional mask that is not empty")
    rows, columns = (np.flatnonzero(foreground.any(axis=axis)) for axis in (1, 0))
    top, left = rows[0], columns[0]
    inner = np.pad(foreground[top : rows[-1] + 1, left : columns[-1] + 1], 1)
    corners = outline_corners(inner)
    start, end = longest_chord(inner, corners)
    ends = np.array([start, end, *_longest_across(inner, corners, start, end)], dtype=float)
    return ends / 2 + (left - 1, top - 1)


def longest_chord(inner: np.ndarray, corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of the longest chord between two corners that lies within a mask.

    Args:
        inner: (H, W) bool; the outermost rows and columns are False.
        corners: as `outline_corners` returns them.

    Returns:
        Both ends, (2,) int64 each, half pixels.
    """
    hull = np.sort(cv2.convexHull(corners.astype(np.int32), returnPoints=False)[:, 0])
    first, second = _longest_pairs(corners[hull], 0)
    squared = _squared(corners[hull[first]], corners[hull[second]])
    farthest = squared == squared.max()
    pairs = hull[first[farthest]], hull[second[farthest]]
    chord = _first_within(inner, corners, *pairs)
    if chord is not None:
        return chord
    # No farthest pair will do, so all chords at least as long as one that does must be looked at.
    bound = 0
    steps = {-(-len(corners) // number) for number in (COARSE, FINE, len(corners))}
    for step in sorted(steps, reverse=True):
        some = corners[::step]
        some = some[_farthest(some, corners[hull]) >= bound]
        longer = _best_chord(inner, some, bound) if len(some) else None
        if longer is not None:
            chord, bound = longer, int(_squared(*longer))
    assert chord is not None  # neighbouring corners are connected
    return chord


def _squared(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    difference = end - start
    return np.asarray((difference * difference).sum(axis=-1))


def _farthest(corners: np.ndarray, hull: np.ndarray) -> np.ndarray:
    """Return each corner's squared distance to the corner that is farthest, one of the hull's."""
    farthest = np.zeros(len(corners), dtype=corners.dtype)
    for corner in hull:
        np.maximum(farthest, _squared(corners, corner), out=farthest)
    return farthest


def _longest_pairs(corners: np.ndarray, bound: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the pairs of corners at least as far apart as the root of `bound`."""
    first, second = np.triu_indices(len(corners), 1)
    chosen = _squared(corners[first], corners[second]) >= bound
    return first[chosen], second[chosen]


def _best_chord(
    inner: np.ndarray, corners: np.ndarray, bound: int
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the longest chord within, of a squared length of at least `bound`, if there is one."""
    touched = inner[:-1, :-1] | inner[:-1, 1:] | inner[1:, :-1] | inner[1:, 1:]
    found: list[np.ndarray] = []
    rows = max(1, CHUNK // len(corners))
    for row in range(0, len(corners), rows):
        part = corners[row : row + rows]
        dx, dy = (part[:, None, axis] - corners[None, row:, axis] for axis in (0, 1))
        # only pairs whose second corner comes later
        near, far = np.nonzero(np.triu(dx * dx + dy * dy >= bound, 1))
        pairs = np.stack([near, far]) + row
        for probe in PROBES:
            start, end = corners[pairs[0]], corners[pairs[1]]
            place = ((start + probe * (end - start)) / 2).astype(np.intp)
            pairs = pairs[:, touched[place[:, 1], place[:, 0]]]
        found.append(pairs)
    first, second = np.concatenate(found, axis=1)
    order = np.argsort(-_squared(corners[first], corners[second]), kind="stable")
    return _first_within(inner, corners, first[order], second[order])


def _first_within(
    inner: np.ndarray, corners: np.ndarray, first: np.ndarray, second: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the ends of the first pair whose chord lies within the mask."""
    begin, size = 0, 8
    while begin < len(first):
        starts, ends = (corners[one[begin : begin + size]] for one in (first, second))
        within = np.flatnonzero(chords_within(inner, starts, ends))
        if len(within):
            return starts[within[0]], ends[within[0]]
        begin, size = begin + size, min(2 * size, 512)
    return None


def _longest_across(
    inner: np.ndarray, corners: np.ndarray, start: np.ndarray, end: np.ndarray
) -> np.ndarray:
    """Return the ends of the longest chord across another one, (2, 2), half pixels.

    The length of the chords across changes linearly between corners of the outline, so the longest
    one leads through a corner.
    """
    direction = end - start
    across = np.array([-direction[1], direction[0]])
    length = int(direction @ direction)
    along = np.unique((corners - start) @ direction)
    along = along[(along >= 0) & (along <= length)]
    bound = _hull_width(corners, start, direction, along)
    middle = np.abs(2 * along - length)
    order = np.lexsort((middle, -bound))
    best, ends = 0.0, np.array([[0.0, 0.0], [0.0, 0.0]])
    nearest, begin, size = np.inf, 0, 16
    norm = float(np.sqrt(length))
    while begin < len(order) and bound[order[begin]] >= best - SAME_PX:
        chosen = order[begin : begin + size]
        reach = reach_across(inner, start, direction, along[chosen])
        lengths = (reach[:, 1] - reach[:, 0]) * norm
        for k in np.flatnonzero(lengths >= best - SAME_PX):
            longer, as_long = lengths[k] > best + SAME_PX, lengths[k] >= best - SAME_PX
            if longer or (as_long and middle[chosen[k]] < nearest):
                best, nearest = max(best, float(lengths[k])), middle[chosen[k]]
                foot = start + along[chosen[k]] / length * direction
                ends = foot + reach[k, ::-1, None] * across
        begin, size = begin + size, min(2 * size, 128)
    return ends


def _hull_width(
    corners: np.ndarray, start: np.ndarray, direction: np.ndarray, along: np.ndarray
) -> np.ndarray:
    """Return upper bounds of the lengths of chords across: those across the convex hull."""
    hull = corners[cv2.convexHull(corners.astype(np.int32), returnPoints=False)[:, 0]] - start
    at = hull @ direction
    aside = hull @ np.array([-direction[1], direction[0]])
    first = int(at.argmin())
    at, aside = np.roll(at, -first), np.roll(aside, -first)
    far = int(at.argmax())
    one = np.interp(along, at[: far + 1], aside[: far + 1])
    other = np.interp(along, [at[0], *at[far:][::-1]], [aside[0], *aside[far:][::-1]])
    width = np.abs(one - other) / np.sqrt(float(direction @ direction))
    return np.where((along <= at.min()) | (along >= at.max()), np.inf, width)
