from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.measure import grid_points_in_poly

from weaklesion.ellipse import Ellipse, draw_ellipse
from weaklesion.quadrants import quadrant_outline, quadrant_shape
from weaklesion.recist import recist_from_ellipse

# The long diameter lies along y = 10 from 4 to 20, the short one along x = 8 from 4 to 14.
OFF_CENTER = np.array([[4.0, 10], [20, 10], [8, 4], [8, 14]])
SHAPE = (26, 30)
lesions = st.builds(
    lambda length, ratio, at, angle: mark_of(length, ratio * length, *at, angle),
    st.floats(20, 60),
    st.floats(0.45, 0.8),
    st.tuples(st.floats(0.35, 0.65), st.floats(0.35, 0.65)),
    st.floats(0, 180),
)


def mark_of(long, short, at_long, at_short, angle_deg):
    """A perpendicular mark whose diameters cross in (50, 50), at these fractions of each."""
    theta = np.deg2rad(angle_deg)
    along = np.array([np.cos(theta), np.sin(theta)])
    across = np.array([-along[1], along[0]])
    ends = [-at_long * long * along, (1 - at_long) * long * along]
    ends += [-at_short * short * across, (1 - at_short) * short * across]
    return np.array(ends) + 50


def term(point, mark, exponent):
    """The left side of the shape's inequality, by solving for oblique coordinates."""
    (a, b), (c, d) = mark[:2], mark[2:]
    at, _ = np.linalg.solve(np.column_stack([b - a, c - d]), c - a)
    crossing = a + at * (b - a)
    along, across = np.linalg.solve(np.column_stack([b - a, d - c]), point - crossing)
    _, other = np.linalg.solve(np.column_stack([b - a, d - c]), d - crossing)
    long = along / (1 - at) if along > 0 else -along / at
    short = across / other if across > 0 else -across / (1 - other)
    return long**exponent + short**exponent


@pytest.mark.parametrize("exponent", [1.0, 1.6, 2.0, 3.0])
@pytest.mark.parametrize("slant", [0.0, 4.0])
def test_every_pixel_is_decided_by_the_inequality_of_its_quarter(exponent, slant):
    mark = OFF_CENTER + np.array([[0, 0], [0, 0], [slant, 0], [-slant, 0]]) * 0.9
    mask = quadrant_shape(mark, SHAPE, exponent=exponent)
    for y in range(SHAPE[0]):
        for x in range(SHAPE[1]):
            value = term(np.array([x, y]), mark, exponent)
            assert mask[y, x] == (value <= 1) or abs(value - 1) < 1e-8


@given(st.floats(-5, 95), st.floats(5, 90), st.floats(0.1, 1), st.floats(0, 180))
def test_the_shape_of_an_ellipses_mark_is_the_ellipse(cx, width, ratio, angle):
    ellipse = Ellipse(cx, 40.3, width, width * ratio, angle)
    mark = recist_from_ellipse(ellipse)
    differs = quadrant_shape(mark, (80, 90)) ^ draw_ellipse(ellipse, (80, 90))
    assert differs.sum() <= 2  # pixel centres on the very outline
    outline = quadrant_outline(mark) - (ellipse.cx, ellipse.cy)
    on_it = np.einsum("ni,ij,nj->n", outline, np.linalg.inv(ellipse.shape_matrix()), outline)
    np.testing.assert_allclose(on_it, 1, atol=1e-8)


@given(lesions, st.sampled_from([1.0, 1.8, 2.0, 2.2]), st.floats(-0.5, 0.5))
def test_all_four_ends_lie_on_the_outline_also_if_the_diameters_are_not_perpendicular(
    mark, exponent, shear
):
    mark = mark @ np.array([[1, shear], [0, 1]])
    outline = quadrant_outline(mark, exponent=exponent)
    for end in mark:
        assert np.hypot(*(outline - end).T).min() < 1e-9
    for point in outline[::5]:
        assert term(point, mark, exponent) == pytest.approx(1, abs=1e-6)


@given(lesions)
def test_the_shape_of_resized_ends_is_the_resized_shape(mark):
    """An aspect ratio that is not kept makes the diameters oblique and the shape sheared."""
    scale = np.array([1.3, 0.7])
    np.testing.assert_allclose(
        quadrant_outline(mark * scale), quadrant_outline(mark) * scale, atol=1e-9
    )


@given(lesions)
def test_click_order_changes_nothing(mark):
    drawn = quadrant_shape(mark, (120, 120), exponent=1.8)
    for order in ([1, 0, 2, 3], [0, 1, 3, 2], [2, 3, 0, 1], [3, 2, 1, 0]):
        other = quadrant_shape(mark[order], (120, 120), exponent=1.8)
        assert (drawn ^ other).sum() <= 4


@given(lesions, st.sampled_from([1.6, 2.0, 2.2]))
def test_the_mask_is_the_filled_outline(mark, exponent):
    mask = quadrant_shape(mark, (120, 120), exponent=exponent)
    outline = quadrant_outline(mark, exponent=exponent)
    filled = grid_points_in_poly(mask.shape, outline[:, ::-1])
    assert (mask ^ filled).sum() <= 6  # pixel centres on the very outline


@given(lesions)
def test_a_larger_exponent_adds_pixels_and_takes_none(mark):
    masks = [quadrant_shape(mark, (120, 120), exponent=value) for value in (1, 1.6, 2, 2.2, 8)]
    for smaller, larger in pairwise(masks):
        assert not (smaller & ~larger).any()


def test_a_mark_without_one_end_gives_half_a_shape():
    """The long diameter begins where it meets the short one."""
    mark = np.array([[8.0, 10], [20, 10], [8, 4], [8, 14]])
    mask, whole = quadrant_shape(mark, SHAPE), quadrant_shape(OFF_CENTER, SHAPE)
    assert (mask[:, 8:] == whole[:, 8:]).all()
    assert not mask[:, :8].any()
    assert all(mask[round(y), round(x)] for x, y in mark)


def test_a_mark_with_two_ends_at_the_crossing_gives_a_quarter():
    mark = np.array([[8.0, 10], [20, 10], [8, 10], [8, 14]])
    mask, whole = quadrant_shape(mark, SHAPE), quadrant_shape(OFF_CENTER, SHAPE)
    assert (mask[10:, 8:] == whole[10:, 8:]).all()
    assert mask.sum() == mask[10:, 8:].sum()


@pytest.mark.parametrize("gap", [0.0, 1.0, 3.0])
def test_a_diameter_that_ends_before_the_other_one_is_extended_to_it(gap):
    mark = np.array([[8.0 + gap, 10], [20, 10], [8, 4], [8, 14]])
    met = np.array([[8.0, 10], [20, 10], [8, 4], [8, 14]])
    np.testing.assert_array_equal(quadrant_shape(mark, SHAPE), quadrant_shape(met, SHAPE))
    both = np.array([[8.0 + gap, 10], [20, 10], [8, 10 + gap / 4], [8, 14]])
    assert quadrant_shape(both, SHAPE).sum() == quadrant_shape(met, SHAPE)[10:].sum()


def test_ends_outside_the_image_are_cut_off():
    whole = quadrant_shape(OFF_CENTER, SHAPE)
    for dx, dy in [(6, 0), (0, 7), (15, 12)]:
        part = quadrant_shape(OFF_CENTER - (dx, dy), SHAPE)
        np.testing.assert_array_equal(part[: 26 - dy, : 30 - dx], whole[dy:, dx:])
    assert not quadrant_shape(OFF_CENTER + 100, SHAPE).any()
    assert not quadrant_shape(OFF_CENTER - 100, SHAPE).any()


def test_a_mark_between_pixel_centres_has_an_empty_mask():
    mark = np.array([[3.3, 3.5], [3.7, 3.5], [3.5, 3.4], [3.5, 3.6]])
    assert not quadrant_shape(mark, (8, 8)).any()


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (np.zeros((4, 2)), "no length"),
        (np.array([[0, 0], [4, 0], [2, 2], [2, 2.0]]), "no length"),
        (np.array([[0, 0], [4, 0], [1, 1], [3, 1.0]]), "nearly parallel, 0 degrees"),
        (np.array([[0, 0], [10, 0], [0, -1.5], [10, 1.5]]), "nearly parallel, 17 degrees"),
        (np.array([[0, 0], [10, 0], [16, -2], [16, 2.0]]), "do not cross.* 0.6 times"),
        (np.array([[0, 0], [10, 0], [5, 3], [5, 7.0]]), "do not cross.* 0.8 times"),
        (np.full((4, 2), np.nan), "finite"),
        (np.zeros((3, 2)), "finite"),
    ],
)
def test_marks_that_define_no_shape(points, message):
    for draw in (lambda mark: quadrant_shape(mark, SHAPE), quadrant_outline):
        with pytest.raises(ValueError, match=f"points: .*{message}"):
            draw(points)


@pytest.mark.parametrize("exponent", [0.5, 0.0, -2.0, np.nan, np.inf])
def test_exponents_that_define_no_shape(exponent):
    with pytest.raises(ValueError, match="exponent: needs a number of at least 1"):
        quadrant_shape(OFF_CENTER, SHAPE, exponent=exponent)
    with pytest.raises(ValueError, match="arc_points"):
        quadrant_outline(OFF_CENTER, arc_points=0)
