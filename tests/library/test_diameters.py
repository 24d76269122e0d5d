"""The marks of masks, against a slow and independent implementation in fractions."""

from fractions import Fraction
from itertools import combinations, pairwise
from math import ceil, hypot, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from test_quadrants import lesions

from weaklesion import diameters
from weaklesion.chords import chords_within, outline_corners
from weaklesion.diameters import recist_from_mask
from weaklesion.ellipse import Ellipse, draw_ellipse
from weaklesion.quadrants import quadrant_outline, quadrant_shape
from weaklesion.recist import measure_recist

HALF = Fraction(1, 2)


def contains(mask, x, y):
    """Whether a point lies in the region of a mask, by the four pixels around it."""
    column, row = x.numerator // x.denominator, y.numerator // y.denominator
    at = x - column, y - row
    height, width = mask.shape
    lesion, around = [], []
    for corner in [(0, 0), (1, 0), (0, 1), (1, 1)]:
        i, j = row + corner[1], column + corner[0]
        inside = 0 <= i < height and 0 <= j < width and mask[i, j]
        (lesion if inside else around).append(corner)

    def distance(corner):
        return abs(at[0] - corner[0]) + abs(at[1] - corner[1])

    if not lesion or not around:
        return bool(lesion)
    if len(lesion) == 1:
        return distance(lesion[0]) <= HALF
    (x0, y0), (x1, y1) = lesion[:2]
    if len(around) == 1 or (x0 != x1 and y0 != y1):
        return all(distance(corner) >= HALF for corner in around)
    return abs(at[0] - x0) <= HALF if x0 == x1 else abs(at[1] - y0) <= HALF


def stops(start, end):
    """Places of a chord between which it cannot enter or leave a region: every half pixel."""
    found = {Fraction(0), Fraction(1)}
    for lines in (lambda p: p[0], lambda p: p[1], lambda p: p[0] + p[1], lambda p: p[0] - p[1]):
        a, b = lines(start), lines(end)
        if a != b:
            first, last = ceil(2 * min(a, b)), int(2 * max(a, b) // 1)
            found |= {(Fraction(k, 2) - a) / (b - a) for k in range(first, last + 1)}
    return sorted(found)


def place(start, end, share):
    return tuple(a + share * (b - a) for a, b in zip(start, end, strict=True))


def reach(mask, start, end):
    """Largest share of a chord up to which it lies within a mask."""
    ends = stops(start, end)
    for a, b in pairwise(ends):
        if not all(contains(mask, *place(start, end, share)) for share in ((a + b) / 2, b)):
            return a
    return Fraction(1)


def corners(mask):
    padded = np.pad(mask, 1)
    for row, column in np.ndindex(padded.shape):
        for dx, dy in ((1, 0), (0, 1)):
            neighbour = padded[row + dy : row + dy + 1, column + dx : column + dx + 1]
            if (neighbour != padded[row, column]).any():
                yield column - 1 + dx * HALF, row - 1 + dy * HALF


def squared(start, end):
    return (start[0] - end[0]) ** 2 + (start[1] - end[1]) ** 2


def longest(mask):
    """Squared length of the longest chord between corners that lies within a mask."""
    pairs = sorted(combinations(corners(mask), 2), key=lambda pair: -squared(*pair))
    return next(squared(*pair) for pair in pairs if reach(mask, *pair) == 1)


def longest_across(mask, start, end):
    """Length of the longest chord perpendicular to another one, and meeting it."""
    start, end = (tuple(Fraction(value) for value in point) for point in (start, end))
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = dx * dx + dy * dy
    far = Fraction(sum(mask.shape) + 4) / (abs(dx) + abs(dy))
    best = 0
    for x, y in corners(mask):
        along = ((x - start[0]) * dx + (y - start[1]) * dy) / length
        if 0 <= along <= 1:
            foot = place(start, end, along)
            sides = [(foot[0] - s * far * dy, foot[1] + s * far * dx) for s in (1, -1)]
            best = max(best, sum(reach(mask, foot, side) for side in sides) * far)
    return float(best) * sqrt(length)


def random_mask(rng, size):
    """A mask of up to `size` px each way: scattered pixels, or a smooth shape, mostly concave."""
    shape = rng.integers(1, size + 1, 2)
    if rng.random() < 0.3:
        return rng.random(shape) < rng.uniform(0.2, 0.9)
    smooth = gaussian_filter(rng.normal(size=shape), rng.uniform(0.5, 2))
    return smooth > 0.1 * rng.normal()


@pytest.mark.parametrize(("seed", "number", "size"), [(0, 50, 8), (1, 50, 8), (2, 10, 12)])
@pytest.mark.workflow
def test_diameters_of_random_masks_are_those_of_a_slow_search(seed, number, size):
    rng = np.random.default_rng(seed)
    masks = [mask for mask in (random_mask(rng, size) for _ in range(number)) if mask.any()]
    concave = 0
    for mask in masks:
        points = recist_from_mask(mask)
        long, short = points[1] - points[0], points[3] - points[2]
        assert long @ long == float(longest(mask)), mask
        assert hypot(*short) == pytest.approx(longest_across(mask, *points[:2]), abs=1e-9), mask
        assert long @ short == pytest.approx(0, abs=1e-9)
        across = (points[2:] - points[0]) @ [-long[1], long[0]]
        assert across.min() <= 1e-9 <= across.max() + 2e-9  # they meet
        centres = np.argwhere(mask)
        apart = np.hypot(*(centres[:, None] - centres).transpose(2, 0, 1)).max()
        concave += hypot(*long) < apart  # also of several parts
    assert concave > number / 10


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.workflow
def test_bounds_and_parts_of_the_search_change_nothing(seed, monkeypatch):
    """On masks of 40 px with some 300 corners, against all chords in turn."""
    rng = np.random.default_rng(seed)
    mask = gaussian_filter(rng.normal(size=(40, 36)), 3 + seed) > 0.01
    inner = np.pad(mask, 1)
    corners = outline_corners(inner)
    first, second = np.triu_indices(len(corners), 1)
    squared = ((corners[first] - corners[second]) ** 2).sum(axis=1)
    within = np.concatenate(
        [
            chords_within(inner, corners[a], corners[b])
            for a, b in zip(np.array_split(first, 40), np.array_split(second, 40), strict=True)
        ]
    )
    points = recist_from_mask(mask)
    long = points[1] - points[0]
    assert 4 * long @ long == pytest.approx(squared[within].max())
    assert hypot(*(points[3] - points[2])) == pytest.approx(
        longest_across(mask, *points[:2]), abs=1e-9
    )
    monkeypatch.setattr(diameters, "COARSE", 15)
    monkeypatch.setattr(diameters, "CHUNK", 2000)
    np.testing.assert_array_equal(recist_from_mask(mask), points)


def test_by_hand():
    # . # # # # # .   a bar of 5 x 3: the outline is 5 by 3 px, its corners cut,
    # . # # # # # .   so that the longest chords lead from (0.5, 1) to (5.5, 3)
    # . # # # # # .   and from (0.5, 3) to (5.5, 1), which begin equally far left
    mask = np.zeros((5, 7), bool)
    mask[1:4, 1:6] = True
    points = recist_from_mask(mask)
    assert points[:2].tolist() == [[0.5, 1], [5.5, 3]]
    # across it, in direction (-2, 5), from the lower edge to the upper one
    assert np.hypot(*(points[3] - points[2])) == pytest.approx(3 * sqrt(29) / 5)
    assert (points[1] - points[0]) @ (points[3] - points[2]) == pytest.approx(0)
    moved = np.pad(mask, ((4, 0), (2, 9)))
    np.testing.assert_allclose(recist_from_mask(moved), points + np.array([2, 4]))


def test_a_crescent_is_measured_within_itself():
    crescent = draw_ellipse(Ellipse(40, 40, 60, 60, 0), (80, 80))
    crescent &= ~draw_ellipse(Ellipse(40, 25, 44, 56, 0), (80, 80))
    points = recist_from_mask(crescent)
    # the hull's diameter, from tip to tip, leaves it
    assert measure_recist(crescent).long_px == 60
    assert 50 < hypot(*(points[1] - points[0])) < 56
    for a, b in (points[:2], points[2:]):
        for share in np.linspace(0.02, 0.98, 40):
            x, y = np.round(a + share * (b - a)).astype(int)
            assert crescent[y - 1 : y + 2, x - 1 : x + 2].any()


def test_a_hole_is_not_crossed():
    ring = draw_ellipse(Ellipse(30, 30, 50, 50, 0), (61, 61))
    ring &= ~draw_ellipse(Ellipse(30, 30, 34, 34, 0), (61, 61))
    points = recist_from_mask(ring)
    assert hypot(*(points[1] - points[0])) == pytest.approx(2 * sqrt(25**2 - 17**2), abs=1.5)
    # across its end, where it leads around the hole at the same distance
    assert hypot(*(points[3] - points[2])) == pytest.approx(2 * sqrt(25**2 - 17**2), abs=1.5)


def test_both_diameters_belong_to_one_part_of_a_mask():
    mask = np.zeros((30, 40), bool)
    mask[2:5, 2:38] = True  # long and thin
    mask[10:28, 10:30] = True  # shorter and thick
    points = recist_from_mask(mask)
    assert points[:, 1].max() < 6
    mask[2:5] = False
    assert recist_from_mask(mask)[:, 1].min() > 9


def test_degenerate_masks():
    mask = np.zeros((9, 9), bool)
    with pytest.raises(ValueError, match="mask: needs a two-dimensional mask that is not empty"):
        recist_from_mask(mask)
    with pytest.raises(ValueError, match="two-dimensional"):
        recist_from_mask(np.ones((2, 2, 2), bool))
    mask[4, 4] = True
    assert recist_from_mask(mask).tolist() == [[3.5, 4], [4.5, 4], [4, 4.5], [4, 3.5]]
    mask[4, 2:8] = True
    line = recist_from_mask(mask)
    assert line[:2].tolist() == [[1.5, 4], [7.5, 4]]
    assert abs(line[2, 1] - line[3, 1]) == 1
    mask[:] = False
    mask[[2, 3], [2, 3]] = True  # two pixels that touch at a corner are connected
    diagonal = recist_from_mask(mask)
    assert hypot(*(diagonal[1] - diagonal[0])) == pytest.approx(hypot(2, 1))


def test_a_mask_at_the_images_border_ends_with_its_pixels():
    points = recist_from_mask(np.ones((4, 20), np.uint8))
    assert points[:2, 0].tolist() == [-0.5, 19.5]
    assert points[:, 1].min() >= -0.5
    assert points[:, 1].max() <= 3.5


@given(st.floats(20, 60), st.floats(0.4, 0.9), st.floats(0, 180))
def test_diameters_of_a_drawn_ellipse_are_its_axes(width, ratio, angle):
    mask = draw_ellipse(Ellipse(40, 40, width, width * ratio, angle), (80, 80))
    points = recist_from_mask(mask)
    assert hypot(*(points[1] - points[0])) == pytest.approx(width, abs=1.0)
    assert hypot(*(points[3] - points[2])) == pytest.approx(width * ratio, abs=1.5)
    for turned in (np.rot90(mask, 2), mask[:, ::-1], mask.T):
        other = recist_from_mask(turned)
        long, turned_long = (hypot(*(ends[1] - ends[0])) for ends in (points, other))
        assert turned_long == long


def ends_of_outline(outline):
    """The ends of both diameters of a convex polygon with many corners."""
    apart = np.hypot(*(outline[:, None] - outline).transpose(2, 0, 1))
    i, j = np.unravel_index(apart.argmax(), apart.shape)
    along = (outline[j] - outline[i]) / apart[i, j]
    turned = (outline - outline[i]) @ np.column_stack([along, [-along[1], along[0]]])
    above, below = (turned[sign * turned[:, 1] >= -1e-9] for sign in (1, -1))
    sides = [np.interp(turned[:, 0], *side[side[:, 0].argsort()].T) for side in (above, below)]
    k = np.argmax(sides[0] - sides[1])
    across = [outline[i] + turned[k, 0] * along + s[k] * np.array([-along[1], along[0]])
              for s in sides]  # fmt: skip
    return [outline[i], outline[j]], across


def farthest(found, true):
    """Distance between two diameters' ends, whichever is first."""
    found, true = np.array(found), np.array(true)
    return min(np.hypot(*(found[order] - true).T).max() for order in ([0, 1], [1, 0]))


@given(lesions, st.sampled_from([1.6, 1.8, 2.0]))  # larger ones are flat at their ends
def test_the_four_ends_of_a_quadrant_shape_are_found_again_on_its_outline(mark, exponent):
    long, short = ends_of_outline(quadrant_outline(mark, exponent=exponent, arc_points=64))
    assert farthest(long, mark[:2]) < 0.5
    assert farthest(short, mark[2:]) < 0.5


@given(lesions, st.sampled_from([1.6, 1.8, 2.0, 2.2]))
def test_the_diameters_of_a_drawn_quadrant_shape_are_found_again(mark, exponent):
    """Lengths are; ends slide along the outline, which is nearly as far away beside them."""
    points = recist_from_mask(quadrant_shape(mark, (140, 140), exponent=exponent))
    for k in (0, 2):
        found, true = (hypot(*(ends[k + 1] - ends[k])) for ends in (points, mark))
        assert found == pytest.approx(true, abs=1.2)
    outline = quadrant_outline(mark, exponent=exponent)
    for end in points:
        assert np.hypot(*(outline - end).T).min() < 1.0


def test_chords_of_few_corners_exclude_most_others_where_a_mask_has_holes(monkeypatch):
    looked_at = []
    best_chord = diameters._best_chord

    def counted(inner, corners, bound):
        looked_at.append(len(corners))
        return best_chord(inner, corners, bound)

    monkeypatch.setattr(diameters, "_best_chord", counted)
    y, x = np.mgrid[:300, :300]
    rng = np.random.default_rng(0)
    mask = (np.hypot(y - 150, x - 150) < 135) & (rng.random((300, 300)) > 0.02)
    found = recist_from_mask(mask)
    assert found[:2].tolist() == [[17.5, 178.0], [282.5, 122.0]]  # as when all pairs are compared
    assert looked_at[-1] < len(outline_corners(np.pad(mask, 1))) / 2
