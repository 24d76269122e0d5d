"""Chords within a mask, exactly.

The mask's region is bounded halfway between the centres of neighbouring pixels of lesion and
surroundings: the outline connects these midpoints, and pixels that touch at a corner are connected.
The region has the mask's area, to about half a pixel.

On a lattice line (a row or column of pixel centres) the region consists of the points whose nearest
pixel is lesion, and within a square of four pixel centres it is convex. A chord therefore lies
within the region if it does so wherever it crosses a lattice line. These tests are exact, because
the outline's corners are integers in half pixels.
"""

import numpy as np


def outline_corners(inner: np.ndarray) -> np.ndarray:
    """Return the corners of a mask's outline, in half pixels.

    Args:
        inner: (H, W) bool; the outermost rows and columns are False.

    Returns:
        (V, 2) int64 x and y: twice the midpoints of neighbouring pixels that differ, by x, then y.
    """
    y, x = np.nonzero(inner[:, 1:] != inner[:, :-1])
    beside = np.stack([2 * x + 1, 2 * y], axis=1)
    y, x = np.nonzero(inner[1:] != inner[:-1])
    corners = np.concatenate([beside, np.stack([2 * x, 2 * y + 1], axis=1)])
    return corners[np.lexsort((corners[:, 1], corners[:, 0]))]


def chords_within(inner: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Return which chords lie within a mask.

    Args:
        inner: (H, W) bool; the outermost rows and columns are False.
        starts: (N, 2) integer corners of the outline, half pixels.
        ends: (N, 2) integer corners of the outline, half pixels.

    Returns:
        (N,) bool.
    """
    within = np.ones(len(starts), dtype=bool)
    for along, lattice in ((0, inner), (1, inner.T)):
        low = np.minimum(starts[:, along], ends[:, along])
        high = np.maximum(starts[:, along], ends[:, along])
        step = (ends - starts)[:, along, None].astype(float)
        rise = (ends - starts)[:, 1 - along, None]
        first = (low + 1) // 2
        count = int((high // 2 - first).max()) + 1
        line = first[:, None] + np.arange(count)
        crossed = (2 * line <= high[:, None]) & (step != 0)
        line = np.minimum(line, lattice.shape[1] - 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            at = starts[:, 1 - along, None] + (2 * line - starts[:, along, None]) * rise / step
        good = _nearest(lattice, line, np.where(crossed, at, 0.0))
        within &= (good | ~crossed).all(axis=1)
    return within


def _nearest(lattice: np.ndarray, line: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Return whether the pixel nearest to a point of a lattice line is lesion, or one of both.

    `at` is in half pixels. Integers up to 2 ** 53 divide without error to an odd number exactly
    where the point is a midpoint, so rounding decides correctly.
    """
    last = lattice.shape[0] - 1
    below = np.clip(np.ceil((at - 1) / 2), 0, last).astype(np.intp)
    above = np.clip(np.floor((at + 1) / 2), 0, last).astype(np.intp)
    return np.asarray(lattice[below, line] | lattice[above, line])


def reach_across(
    inner: np.ndarray, start: np.ndarray, direction: np.ndarray, along: np.ndarray
) -> np.ndarray:
    """Return how far the mask reaches to both sides of a chord, at some places of it.

    Args:
        inner: (H, W) bool; the outermost rows and columns are False.
        start: (2,) start of the chord, half pixels.
        direction: (2,) the chord.
        along: (B,) integer places, times the chord's squared length.

    Returns:
        (B, 2): the ends of the perpendicular chords, in lengths of the chord: the first is not
        above 0, the second not below 0.
    """
    dx, dy = direction.astype(float)
    length = dx * dx + dy * dy
    places, goods = [], []
    for axis, lattice, step in ((0, inner, dy), (1, inner.T, dx)):
        if step == 0:
            continue
        lines = np.arange(lattice.shape[1])
        offset = 2.0 * lines - start[axis]
        other = direction[axis] * offset[None, :]
        at = start[1 - axis] + (along[:, None] - other) / step
        goods.append(_nearest(lattice, np.broadcast_to(lines, at.shape), at))
        sign = -1.0 if axis == 0 else 1.0
        places.append(sign * (offset * length - along[:, None] * direction[axis]) / (length * step))
    place, good = np.concatenate(places, axis=1), np.concatenate(goods, axis=1)
    foot = start + along[:, None] / length * direction
    return np.stack(
        [-_exit(inner, foot, (dy, -dx), -place, good), _exit(inner, foot, (-dy, dx), place, good)],
        axis=1,
    )


def _exit(
    inner: np.ndarray,
    foot: np.ndarray,
    heading: tuple[float, float],
    place: np.ndarray,
    good: np.ndarray,
) -> np.ndarray:
    """Return where rays leave a mask, in lengths of `heading`.

    Args:
        inner: (H, W) bool.
        foot: (B, 2) starts within the mask, half pixels.
        heading: of all rays, half pixels.
        place: (B, C) where they cross lattice lines, in lengths of `heading`.
        good: (B, C) whether they are within the mask there.
    """
    bad_at = np.where((place > 0) & ~good, place, np.inf).min(axis=1)
    good_at = np.where((place >= 0) & (place < bad_at[:, None]), place, 0.0).max(axis=1)
    last, beyond = ((foot + at[:, None] * np.array(heading)) / 2 for at in (good_at, bad_at))
    square = np.floor((last + beyond) / 2).astype(np.intp)  # of four pixel centres
    x, y = square.T
    pattern = inner[y, x] + 2 * inner[y, x + 1] + 4 * inner[y + 1, x] + 8 * inner[y + 1, x + 1]
    sides = SIDES[pattern]
    before, after = (
        np.einsum("bkc,bc->bk", sides[:, :, :2], point - square) + sides[:, :, 2]
        for point in (last, beyond)
    )
    left = after < 0
    drop = np.where(left, before - after, 1.0)
    share = np.where(left, np.clip(before / drop, 0.0, 1.0), 1.0).min(axis=1)
    return np.asarray(good_at + share * (bad_at - good_at))


def _sides() -> np.ndarray:
    """Return the half-planes whose intersection is the region, for each pattern of four pixels.

    Returns:
        (16, 2, 3): the region is where a x + b y + c is not below 0. Pixel (x, y) of a square has
        the bit x + 2 y of the pattern.
    """
    sides = np.zeros((16, 2, 3))
    centers = [(0, 0), (1, 0), (0, 1), (1, 1)]
    for pattern in range(1, 15):
        lesion = [bit for bit in range(4) if pattern >> bit & 1]
        around = [bit for bit in range(4) if bit not in lesion]
        if len(lesion) == 1:
            planes = [-np.array(_city_block(centers[lesion[0]]))]
        elif len(around) == 1 or lesion in ([0, 3], [1, 2]):
            planes = [np.array(_city_block(centers[bit])) for bit in around]
        else:  # two pixels side by side
            (x0, y0), (x1, y1) = (centers[bit] for bit in lesion)
            a, b = x0 + x1 - 1.0, y0 + y1 - 1.0
            planes = [np.array([a, b, -(a + b) / 2])]
        sides[pattern, : len(planes)] = planes
    return sides


def _city_block(center: tuple[int, int]) -> tuple[float, float, float]:
    """Return the city-block distance from a corner of the unit square, less half a pixel."""
    x, y = center
    return 1.0 - 2 * x, 1.0 - 2 * y, x + y - 0.5


SIDES = _sides()
