import dataclasses
import math

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import OptimizeResult

from weaklesion.ellipse import (
    Ellipse,
    draw_ellipse,
    ellipse_iou,
    ellipse_mask_iou,
    fit_ellipse,
)
from weaklesion.hull import convex_hull, separating_axes
from weaklesion.metrics import dice
from weaklesion.supervision.ellipses import draw_soft_ellipse

SHAPE = (120, 120)
ellipses = st.builds(
    Ellipse,
    cx=st.floats(45, 75),
    cy=st.floats(45, 75),
    width=st.floats(10, 70),
    height=st.floats(10, 70),
    angle_deg=st.floats(-360, 360),
)


@given(ellipses)
def test_area_is_that_of_the_ellipse(ellipse):
    area = math.pi * ellipse.width * ellipse.height / 4
    # the number of lattice points is off by a part of the boundary's length
    assert abs(draw_ellipse(ellipse, SHAPE).sum() - area) < 0.5 * (ellipse.width + ellipse.height)


def test_a_mask_may_be_given_as_lists():
    mask = draw_ellipse(Ellipse(60.0, 50.0, 40.0, 24.0, 20.0), SHAPE)
    assert fit_ellipse(mask.astype(int).tolist()) == fit_ellipse(mask)


def random_ellipses(low, high, count, seed=0):
    rng = np.random.default_rng(seed)
    for _ in range(count):
        width, height = rng.uniform(low, high, 2)
        yield Ellipse(*rng.uniform(45, 75, 2), width, height, rng.uniform(0, 180))


@pytest.mark.parametrize(("low", "high", "worst"), [(10, 24, 0.98), (24, 70, 0.99)])
def test_fitting_a_drawn_ellipse_returns_it(low, high, worst):
    scores = []
    for ellipse in random_ellipses(low, high, 600):
        mask = draw_ellipse(ellipse, SHAPE)
        scores.append(dice(mask, draw_ellipse(fit_ellipse(mask), SHAPE)))
    assert min(scores) > worst
    assert np.mean(scores) > 0.997


def test_a_small_drawn_ellipse_is_found_exactly():
    axis_errors = []
    for ellipse in random_ellipses(6, 14, 400):
        mask = draw_ellipse(ellipse, SHAPE)
        fitted = fit_ellipse(mask)
        np.testing.assert_array_equal(draw_ellipse(fitted, SHAPE), mask)
        axis_errors.append(fitted.width - max(ellipse.width, ellipse.height))
    assert abs(np.mean(axis_errors)) < 0.1


def test_a_small_mask_that_is_no_ellipse_is_fitted_by_least_squares():
    mask = draw_ellipse(Ellipse(60, 60, 12, 9, 30), SHAPE)
    mask[:, 64:] = False
    assert separating_axes(mask, convex_hull(mask)) is None
    assert 0.8 < dice(mask, draw_ellipse(fit_ellipse(mask), SHAPE)) < 1


@pytest.mark.parametrize(
    "solution",
    [
        OptimizeResult(success=False, x=None),
        OptimizeResult(success=True, x=np.array([2.0, 0, 0, 0, -1, 1])),  # 3 x^2 - y^2 = 1
        OptimizeResult(success=True, x=np.array([0.0, 0, 0, 0, -1, 0])),
    ],
    ids=["no solution", "a hyperbola", "no margin"],
)
def test_where_the_program_finds_no_ellipse_there_is_none(monkeypatch, solution):
    monkeypatch.setattr("scipy.optimize.linprog", lambda *_, **__: solution)
    mask = draw_ellipse(Ellipse(60, 60, 12, 9, 30), SHAPE)
    assert separating_axes(mask, convex_hull(mask)) is None


@pytest.mark.parametrize("axes", [(8, 8), (10, 8), (30, 12), (60, 50)])
def test_area_is_exact_on_average_over_the_pixel_grid(axes):
    rng = np.random.default_rng(0)
    areas = [
        draw_ellipse(Ellipse(*rng.uniform(59, 61, 2), *axes, rng.uniform(0, 180)), SHAPE).sum()
        for _ in range(600)
    ]
    assert np.mean(areas) == pytest.approx(math.pi * axes[0] * axes[1] / 4, rel=0.01)


def test_outline_enlarges_every_side():
    ellipse = Ellipse(60, 60, 20, 16, 30)
    wider = Ellipse(60, 60, 24.2, 20.2, 30)
    np.testing.assert_array_equal(
        draw_ellipse(ellipse, SHAPE, outline_px=2.1), draw_ellipse(wider, SHAPE)
    )


@given(ellipses)
def test_canonical_form_is_the_same_ellipse(ellipse):
    canonical = ellipse.canonical()
    assert canonical.width >= canonical.height
    assert 0 <= canonical.angle_deg < 180
    np.testing.assert_allclose(canonical.shape_matrix(), ellipse.shape_matrix(), atol=1e-6)


@given(ellipses)
def test_resizing_is_resizing_the_image(ellipse):
    big = draw_ellipse(ellipse.resized((120, 120), (960, 480)), (960, 480))
    # every pixel of the small image is a block of 8 x 4 pixels of the big one
    shrunk = big.reshape(120, 8, 120, 4).mean(axis=(1, 3)) >= 0.5
    assert dice(draw_ellipse(ellipse, SHAPE), shrunk) > 0.9


def test_drawing_by_hand():
    # width 4, height 2 about (3, 2): row 2 has x = 1..5, rows 1 and 3 only x = 3
    mask = draw_ellipse(Ellipse(3, 2, 4, 2, 0), (5, 7))
    assert np.argwhere(mask).tolist() == [[1, 3], [2, 1], [2, 2], [2, 3], [2, 4], [2, 5], [3, 3]]


def test_angle_turns_x_towards_y():
    mask = draw_ellipse(Ellipse(20, 20, 30, 6, 45), (41, 41))
    assert mask[28, 28]
    assert not mask[12, 28]


@pytest.mark.parametrize("center", [(500, 500), (60, -20), (60, 500), (-20, 60), (500, 60)])
def test_ellipse_outside_the_patch_is_empty(center):
    assert not draw_ellipse(Ellipse(*center, 10, 10, 0), SHAPE).any()


def test_ellipse_that_leaves_the_patch_is_cut():
    mask = draw_ellipse(Ellipse(0, 60, 40, 40, 0), SHAPE)
    assert mask[60, 0]
    assert mask[:, 21:].sum() == 0


@pytest.mark.parametrize(
    "mask",
    [np.zeros((9, 9), bool), np.eye(9, dtype=bool), np.ones((9, 9), bool)],
    ids=["empty", "line", "square"],
)
def test_hull_with_fewer_than_five_vertices(mask):
    with pytest.raises(ValueError, match="vertices"):
        fit_ellipse(mask)


def test_one_pixel_has_no_ellipse():
    mask = np.zeros((9, 9), np.uint8)
    mask[4, 4] = 1
    with pytest.raises(ValueError, match="1 vertices"):
        fit_ellipse(mask)


@pytest.mark.parametrize("values", [(0, 0, 0, 1, 0), (0, 0, 1, -1, 0), (math.nan, 0, 1, 1, 0)])
def test_impossible_ellipses(values):
    with pytest.raises(ValueError, match="ellipse needs"):
        Ellipse(*values)


def test_soft_edges_cover_what_the_ellipse_covers():
    ellipse = Ellipse(30.3, 29.8, 21.5, 13.2, 35)
    soft = draw_soft_ellipse(ellipse, (60, 60))
    assert soft.dtype == np.uint8
    assert soft.sum() / 255 == pytest.approx(math.pi * 21.5 * 13.2 / 4, rel=0.005)
    hard = draw_ellipse(ellipse, (60, 60))
    assert (soft[hard] > 0).all()
    assert (soft[~hard] < 255).all()


def test_the_hull_of_each_rows_ends_is_that_of_all_pixels():
    rng = np.random.default_rng(0)
    for density in (0.01, 0.1, 0.6, 1.0):
        for height, width in ((1, 1), (1, 9), (9, 1), (7, 12), (40, 31)):
            mask = rng.random((height, width)) < density
            mask[height // 2, width // 2] = True
            expected = cv2.convexHull(cv2.findNonZero(mask.astype(np.uint8)))[:, 0]
            np.testing.assert_array_equal(convex_hull(mask), expected)
    assert convex_hull(np.zeros((4, 4), bool)).shape == (0, 2)


@pytest.mark.parametrize(
    ("upside_down", "left_right"), [(False, False), (True, False), (False, True), (True, True)]
)
def test_a_flipped_ellipse_is_that_of_the_flipped_mask(upside_down, left_right):
    shape_hw = (110, 130)  # about which the ellipses do not lie in the middle
    steps = (-1 if upside_down else 1, -1 if left_right else 1)
    for ellipse in random_ellipses(10, 70, 100):
        flipped = ellipse.flipped(shape_hw, upside_down=upside_down, left_right=left_right)
        mask = draw_ellipse(ellipse, shape_hw)
        mask = mask[:: steps[0], :: steps[1]]
        # pixels whose centres lie on the outline, as far as floating point knows
        assert (draw_ellipse(flipped, shape_hw) != mask).sum() <= 2
        fitted = fit_ellipse(mask)
        shapes = flipped.shape_matrix(), fitted.shape_matrix()
        assert np.allclose(*shapes, atol=0.04 * flipped.width**2 / 4)
        assert (fitted.cx, fitted.cy) == pytest.approx((flipped.cx, flipped.cy), abs=0.5)
        assert 0 <= flipped.angle_deg < 180
        assert flipped.width >= flipped.height


@pytest.mark.parametrize("angle_deg", [0.0, 1e-20, 90.0, 180 - 1e-13])
def test_flipped_angles_stay_below_180_degrees(angle_deg):
    flipped = Ellipse(5, 5, 4, 2, angle_deg).flipped((10, 10), upside_down=True, left_right=False)
    assert 0 <= flipped.angle_deg < 180


def test_the_overlap_of_an_ellipse_with_a_mask_is_that_of_its_pixels():
    """Of 5x3 px the ellipse covers the middle row and one px above and below: 7 px."""
    ellipse = Ellipse(2.0, 1.0, 4.2, 2.2, 0.0)
    row = np.zeros((3, 5), dtype=bool)
    row[1] = True
    assert ellipse_mask_iou(ellipse, row) == 5 / 7
    assert ellipse_mask_iou(ellipse, np.zeros_like(row)) == 0
    outside = Ellipse(50.0, 50.0, 2.0, 2.0, 0.0)
    assert ellipse_mask_iou(outside, row) == 0
    assert np.isnan(ellipse_mask_iou(outside, np.zeros_like(row)))


@pytest.mark.parametrize("direction_deg", [0, 70, 200])
def test_the_overlap_of_two_ellipses_is_that_of_their_areas(direction_deg):
    """Circles of radius 2 whose centres are 2 apart share a lens; one ellipse is within another."""
    theta = math.radians(direction_deg)
    circle = Ellipse(100, -3, 4, 4, 0)
    lens = 8 * math.acos(1 / 2) - math.sqrt(12)
    iou = ellipse_iou(circle, circle.moved(2 * math.cos(theta), 2 * math.sin(theta)))
    assert iou == pytest.approx(lens / (8 * math.pi - lens), abs=0.005)
    whole, part = (Ellipse(5, 9, 2 * side, side, direction_deg) for side in (40, 20))
    assert ellipse_iou(whole, part) == pytest.approx(1 / 4, abs=0.005)


def test_the_outline_of_an_ellipse_has_radius_one():
    ellipse = Ellipse(10, 20, 8, 4, 30)
    apart = ellipse.outline() - ellipse.middle
    squared = ((apart @ np.linalg.inv(ellipse.shape_matrix())) * apart).sum(axis=1)
    np.testing.assert_allclose(squared, 1)
    np.testing.assert_allclose(apart.min(axis=0), -apart.max(axis=0), atol=0.02)


def test_a_perturbed_ellipse_by_hand():
    ellipse = Ellipse(10, 20, 8, 4, 30)
    moved = ellipse.perturbed([1, -2, 0.5, -1, 1], 0.1)  # a step is a tenth of half of 8 px
    expected = Ellipse(10.4, 19.2, 8 * 1.05, 4 * 0.9, 30 + math.degrees(0.1))
    np.testing.assert_allclose(dataclasses.astuple(moved), dataclasses.astuple(expected))
    thin = ellipse.perturbed([0, 0, 0, -9, 0], 0.1)
    assert (thin.width, thin.height) == pytest.approx((8, 4 * 0.2))


@pytest.mark.parametrize("far", [30.0, 1e9, 1e300])
def test_ellipses_that_lie_apart_have_no_overlap(far):
    small, large = Ellipse(5.0, 5.0, 10.0, 6.0, 30.0), Ellipse(5.0, 5.0 - far, 20.0, 6.0, 80.0)
    assert ellipse_iou(small, large) == ellipse_iou(large, small) == 0.0
