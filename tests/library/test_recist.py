import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import ndimage
from scipy.spatial import ConvexHull

from weaklesion.ellipse import Ellipse, draw_ellipse
from weaklesion.recist import (
    clicked_angle_deg,
    diameter_crossing,
    ellipse_from_recist,
    flipped_clicked_angle_deg,
    measure_recist,
    parse_recist,
    recist_from_ellipse,
)

# long diameter along x through (10, 20), short one along y
CROSS = np.array([[0.0, 20], [20, 20], [10, 15], [10, 25]])
marks = st.lists(st.floats(-100, 100), min_size=8, max_size=8).map(
    lambda values: np.array(values).reshape(4, 2)
)


def shape(ellipse):
    return np.array([ellipse.cx, ellipse.cy, *ellipse.shape_matrix().ravel()])


def usable(points):
    a, b = points[1] - points[0], points[3] - points[2]
    lengths = np.hypot(*a), np.hypot(*b)
    assume(min(lengths) > 1)
    assume(abs(a[0] * b[1] - a[1] * b[0]) > 0.2 * lengths[0] * lengths[1])
    return points


@pytest.mark.parametrize("center", ["midpoint", "intersection"])
def test_by_hand(center):
    assert ellipse_from_recist(CROSS, center=center) == Ellipse(10, 20, 20, 10, 0)


def test_centres_differ_where_the_diameters_do_not_halve_each_other():
    points = CROSS + np.array([[0, 0], [0, 0], [6, 0], [6, 0]])
    assert ellipse_from_recist(points).cx == 13
    assert ellipse_from_recist(points, center="intersection").cx == 16
    # y = x / 2 and y = 17 - 3 x
    oblique = np.array([[0.0, 0], [8, 4], [4, 5], [6, -1]])
    assert diameter_crossing(oblique) == pytest.approx((17 / 28, 3 / 7))
    ellipse = ellipse_from_recist(oblique, center="intersection")
    assert (ellipse.cx, ellipse.cy) == pytest.approx((34 / 7, 17 / 7))
    # the short diameter, (2, -6), has the direction of -71.57 degrees, the long one of 26.57
    assert (ellipse.width, ellipse.height) == pytest.approx((80**0.5, 40**0.5))
    assert ellipse.angle_deg == pytest.approx(18.4349, abs=1e-4)
    turned = ellipse_from_recist(oblique[[2, 3, 0, 1]], center="intersection")
    assert turned.angle_deg == pytest.approx(26.5651, abs=1e-4)


@given(marks)
def test_click_order_changes_nothing(points):
    points = usable(points)
    expected = shape(ellipse_from_recist(points))
    for order in ([1, 0, 2, 3], [0, 1, 3, 2], [2, 3, 0, 1], [3, 2, 1, 0]):
        np.testing.assert_allclose(shape(ellipse_from_recist(points[order])), expected, atol=1e-6)


@given(marks)
def test_turning_and_mirroring_the_mark_turns_and_mirrors_the_ellipse(points):
    points = usable(points)
    ellipse = ellipse_from_recist(points)
    for matrix in (np.array([[0.0, -1], [1, 0]]), np.array([[-1.0, 0], [0, 1]])):
        moved = ellipse_from_recist(points @ matrix.T)
        np.testing.assert_allclose(
            [moved.cx, moved.cy], matrix @ [ellipse.cx, ellipse.cy], atol=1e-6
        )
        np.testing.assert_allclose(
            moved.shape_matrix(), matrix @ ellipse.shape_matrix() @ matrix.T, atol=1e-5
        )


@given(marks)
def test_turning_and_mirroring_the_mark_turns_and_mirrors_the_mask(points):
    points = usable(points) / 4 + 60  # within a patch of 121 px
    mask = draw_ellipse(ellipse_from_recist(points), (121, 121))
    mirrored = np.column_stack([120 - points[:, 0], points[:, 1]])
    turned = np.column_stack([points[:, 1], 120 - points[:, 0]])
    for moved, expected in ((mirrored, mask[:, ::-1]), (turned, np.rot90(mask))):
        drawn = draw_ellipse(ellipse_from_recist(moved), (121, 121))
        # a pixel centre on the very outline may fall to either side
        assert (drawn ^ expected).sum() <= 4


@given(marks)
def test_midpoint_is_the_least_squares_ellipse(points):
    """No small change of centre, axes or direction brings the end points nearer."""
    points = usable(points)

    def distance(cx, cy, width, height, theta):
        along = np.array([np.cos(theta), np.sin(theta)])
        across = np.array([-np.sin(theta), np.cos(theta)])
        ends = [along * width / 2, -along * width / 2, across * height / 2, -across * height / 2]
        ends = np.array(ends) + np.array([cx, cy])
        best = np.inf
        for order in ([0, 1, 2, 3], [1, 0, 2, 3], [0, 1, 3, 2], [1, 0, 3, 2]):
            for swap in (order, order[2:] + order[:2]):
                best = min(best, ((ends - points[swap]) ** 2).sum())
        return best

    e = ellipse_from_recist(points)
    found = np.array([e.cx, e.cy, e.width, e.height, np.deg2rad(e.angle_deg)])
    least = distance(*found)
    for index, step in enumerate((0.1, 0.1, 0.1, 0.1, 0.01)):
        for sign in (-1, 1):
            moved = found.copy()
            moved[index] += sign * step
            assert distance(*moved) >= least - 1e-6


@given(st.floats(-50, 50), st.floats(5, 90), st.floats(0.1, 0.9), st.floats(0, 179))
def test_mark_of_an_ellipse_gives_it_back(cx, width, ratio, angle):
    ellipse = Ellipse(cx, 7, width, width * ratio, angle)
    np.testing.assert_allclose(
        shape(ellipse_from_recist(recist_from_ellipse(ellipse))), shape(ellipse), atol=1e-6
    )


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (np.zeros((4, 2)), "no length"),
        (np.array([[0, 0], [4, 0], [1, 1], [3, 1.0]]), "parallel"),
        (np.full((4, 2), np.nan), "finite"),
        (np.zeros((3, 2)), "finite"),
    ],
)
def test_degenerate_marks(points, message):
    with pytest.raises(ValueError, match=message):
        ellipse_from_recist(points)


def test_unknown_center():
    with pytest.raises(ValueError, match="center"):
        ellipse_from_recist(CROSS, center="middle")


def test_parse():
    assert parse_recist("0, 20, 20, 20, 10, 15, 10, 25").tolist() == CROSS.tolist()


@pytest.mark.parametrize("text", ["1,2,3,4,5,6,7", "1,2,3,4,5,6,7,nan", "1,2,3,4,5,6,7,x", ""])
def test_parse_refuses(text):
    with pytest.raises(ValueError, match="RECIST mark"):
        parse_recist(text)


def test_clicked_angle_knows_the_order_of_the_clicks():
    assert clicked_angle_deg(CROSS) == 90
    assert clicked_angle_deg(CROSS[[0, 1, 3, 2]]) == -90
    for degrees in range(-90, 270, 15):
        end = [np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))]
        mark = np.array([[0, 0], [1, 1], [0, 0], end])
        assert clicked_angle_deg(mark) == pytest.approx(degrees)


@pytest.mark.parametrize(
    ("upside_down", "left_right"), [(False, False), (True, False), (False, True), (True, True)]
)
def test_clicked_angle_in_a_flipped_image_is_that_of_the_flipped_mark(upside_down, left_right):
    signs = np.array([-1 if left_right else 1, -1 if upside_down else 1])
    for degrees in range(-90, 270, 15):
        end = [np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))]
        mark = np.array([[0, 0], [1, 1], [0, 0], np.round(end, 12)])
        flipped = flipped_clicked_angle_deg(
            clicked_angle_deg(mark), upside_down=upside_down, left_right=left_right
        )
        assert flipped == pytest.approx(clicked_angle_deg(mark * signs + 0.0))
        assert -90 <= flipped < 270


def test_measuring_by_hand():
    # ######   6 x 3: the longest diameter is the diagonal, (0, 0) to (5, 2)
    # ######   with rows of 2 mm: 5 mm and 4 mm, so sqrt(41)
    # ######
    mask = np.zeros((7, 9), bool)
    mask[2:5, 1:7] = True
    measured = measure_recist(mask)
    assert measured.long_px == pytest.approx(np.sqrt(29))
    assert measure_recist(mask, (2.0, 1.0)).long_mm == pytest.approx(np.sqrt(41))
    assert measure_recist(mask, (2.0, 1.0)).long_px == pytest.approx(np.sqrt(29))
    (a, b), (c, d) = measured.points[:2], measured.points[2:]
    assert (b - a) @ (d - c) == pytest.approx(0, abs=1e-9)
    assert measured.short_px == pytest.approx(np.hypot(*(d - c)))


@given(st.floats(20, 60), st.floats(0.4, 0.9), st.floats(0, 180))
def test_measuring_an_ellipse_gives_its_axes(width, ratio, angle):
    ellipse = Ellipse(40, 40, width, width * ratio, angle)
    measured = measure_recist(draw_ellipse(ellipse, (80, 80)))
    assert measured.long_px == pytest.approx(width, abs=2.0)
    assert measured.short_px == pytest.approx(width * ratio, abs=2.0)


def test_two_measurements_of_one_mask_are_equal():
    mask = draw_ellipse(Ellipse(40, 40, 30, 20, 10), (80, 80))
    assert measure_recist(mask) == measure_recist(mask.copy())
    assert measure_recist(mask) not in (measure_recist(mask, (2.0, 1.0)), "text")


def test_measuring_degenerate_masks():
    mask = np.zeros((9, 9), bool)
    with pytest.raises(ValueError, match="mask"):
        measure_recist(mask)
    mask[4, 4] = True
    one = measure_recist(mask)
    assert (one.long_px, one.short_px) == (0, 0)
    np.testing.assert_array_equal(one.points, np.full((4, 2), 4))
    mask[4, 2:8] = True
    line = measure_recist(mask)
    assert (line.long_px, line.short_px) == (5, 0)
    for spacing in ((0, 1), (1, 1, 1), (1,), 0.5, None):
        with pytest.raises(ValueError, match=r"^spacing: needs two positive numbers, not "):
            measure_recist(mask, spacing)


def test_of_several_parts_the_one_with_the_longest_diameter_is_measured():
    mask = np.zeros((60, 80), bool)
    mask[5:15, 5:25] = True  # 19 by 9 px between centres
    mask[40:58, 60:70] = True  # 9 by 17
    measured = measure_recist(mask)
    assert measured.long_px == pytest.approx(np.hypot(19, 9))
    assert measured.points[:, 0].max() <= 24
    tall = measure_recist(mask, (2.0, 1.0))  # rows of 2 mm: the other part is longer
    assert tall.long_mm == pytest.approx(np.hypot(9, 34))
    assert tall.points[:, 0].min() >= 60


@given(st.integers(0, 10_000), st.sampled_from([(1.0, 1.0), (2.5, 0.75)]))
def test_the_longest_diameter_of_random_parts_is_that_of_a_slow_search(seed, spacing):
    rng = np.random.default_rng(seed)
    mask = rng.random((12, 15)) < rng.uniform(0.05, 0.5)
    assume(mask.any())
    parts, count = ndimage.label(mask, np.ones((3, 3)))
    centres = (np.argwhere(parts == part) * spacing for part in range(1, count + 1))
    longest = max(
        np.hypot(*(points[:, None] - points).transpose(2, 0, 1)).max() for points in centres
    )
    measured = measure_recist(mask, spacing)
    assert measured.long_mm == pytest.approx(longest)
    ends = measured.points[:2].round().astype(int)
    assert len({parts[y, x] for x, y in ends}) == 1
    assert measured.short_mm == pytest.approx(widest_across(measured, parts, spacing), abs=1e-9)


def widest_across(measured, parts, spacing):
    """Longest chord of the measured part's hull perpendicular to the long diameter, mm.

    The hull is the intersection of half-planes; chords change linearly between its vertices.
    """
    start, end = measured.points[:2] * spacing[::-1]
    x, y = measured.points[0].round().astype(int)
    points = (np.argwhere(parts == parts[y, x]) * spacing)[:, ::-1] - start
    along = (end - start) / max(math.dist(start, end), 1e-9)
    at, aside = points @ along, points @ [-along[1], along[0]]
    if np.ptp(aside) < 1e-9:
        return 0.0
    normals = ConvexHull(np.column_stack([at, aside])).equations
    sides = normals[np.abs(normals[:, 1]) > 1e-9]
    bounds = -(sides[:, :1] * at + sides[:, 2:]) / sides[:, 1:2]
    above = sides[:, 1] > 0
    return (bounds[above].min(axis=0) - bounds[~above].max(axis=0)).max()
