"""The shape through a mark's four ends: measured, compared, perturbed, and carried onto another."""

import numpy as np
import pytest

from weaklesion.diameters import recist_from_mask
from weaklesion.ellipse import Ellipse
from weaklesion.four_ends import FourEnds
from weaklesion.metrics import dice
from weaklesion.pseudo_masks import make_consistent
from weaklesion.recist import recist_from_ellipse

SHAPE = (160, 200)
MARK = np.array([[40.0, 60.0], [150.0, 90.0], [100.0, 40.0], [80.0, 110.0]])
ONE_SIDED = np.array([[40.0, 80.0], [140.0, 80.0], [80.0, 80.0], [80.0, 130.0]])


def signed(mask):
    return np.where(mask, 1.0, -1.0).astype(np.float32)


@pytest.mark.parametrize("mark", [MARK, ONE_SIDED], ids=["oblique", "one-sided"])
@pytest.mark.parametrize("exponent", [1.0, 1.6, 2.0, 4.0])
def test_the_radius_is_1_on_the_outline(mark, exponent):
    shape = FourEnds(mark, exponent)
    drawn, radius = shape.drawn(SHAPE), shape.radius(SHAPE)
    assert np.isfinite(radius).all()
    # where a diameter ends at the crossing, coordinates go on for a fiftieth of it
    assert dice(drawn, radius <= 1) > 0.98
    assert radius.min() < 0.05


def test_the_shape_of_an_ellipse_is_that_ellipse():
    ellipse = Ellipse(100.0, 80.0, 90.0, 50.0, 25.0)
    shape = FourEnds(recist_from_ellipse(ellipse))
    assert shape.middle == pytest.approx(ellipse.middle)
    assert shape.long_px == pytest.approx(ellipse.long_px)
    assert shape.radius(SHAPE) == pytest.approx(ellipse.radius(SHAPE), abs=1e-4)
    for one, other in zip(shape.arms(), ellipse.arms(), strict=True):
        assert one == pytest.approx(other)
    assert dice(shape.drawn(SHAPE), ellipse.drawn(SHAPE)) == 1.0


@pytest.mark.parametrize("kind", [list, np.int64], ids=["lists", "whole numbers"])
def test_ends_of_another_kind_are_the_same_ends(kind):
    points = MARK.tolist() if kind is list else MARK.astype(kind)
    shape, expected = FourEnds(points), FourEnds(MARK)
    draws = [0.3, -0.2, 0.1, 0.4, -0.5, 0.2, 0.1, 0.3]
    for one, other in (
        (shape, expected),
        (shape.perturbed(draws, 0.05), expected.perturbed(draws, 0.05)),
        (shape.resized(SHAPE, (80, 100)), expected.resized(SHAPE, (80, 100))),
        (shape.moved(3, 4), expected.moved(3, 4)),
    ):
        assert one.points.dtype == float
        assert (one.points == other.points).all()
    assert shape.iou(expected) == 1.0


def test_a_shape_keeps_its_ends_when_the_given_array_changes():
    given = MARK.copy()
    shape = FourEnds(given)
    given[0] = given[1]
    assert (shape.points == MARK).all()
    with pytest.raises(ValueError, match="read-only"):
        shape.points[0] = 0.0


def test_shapes_with_the_same_ends_and_exponent_are_equal():
    one, same = FourEnds(MARK, 1.6), FourEnds(MARK.tolist(), 1.6)
    assert one == same
    assert len({one, same}) == 1
    assert one not in (FourEnds(MARK, 2.0), one.moved(1, 0), "text")


def test_the_overlap_of_shapes():
    shape = FourEnds(MARK)
    assert shape.iou(shape) == 1.0
    assert shape.iou(FourEnds(MARK[[1, 0, 3, 2]])) == 1.0  # ends have no order
    for far in (500, 5_000, 1e9):
        assert shape.iou(FourEnds(MARK + far)) == 0.0
        assert shape.iou(FourEnds(MARK + np.array([0.0, far])), SHAPE) == 0.0
    grown = FourEnds((MARK - MARK.mean(axis=0)) * 1.2 + MARK.mean(axis=0))
    assert grown.iou(shape) == pytest.approx(shape.iou(grown), abs=1e-3)
    inside, both = shape.drawn(SHAPE), shape.drawn(SHAPE) & grown.drawn(SHAPE)
    expected = both.sum() / (inside | grown.drawn(SHAPE)).sum()
    assert shape.iou(grown) == pytest.approx(expected, abs=0.01)


def test_only_what_lies_in_the_image_counts_where_one_is_given():
    left, cut = FourEnds(ONE_SIDED - (90.0, 0.0)), (160, 60)
    beyond = ONE_SIDED.copy()
    beyond[0] = -60.0, 80.0  # the long diameter leads further out of the image
    beyond = FourEnds(beyond - (90.0, 0.0))
    assert left.iou(beyond, cut) > left.iou(beyond) + 0.1
    assert FourEnds(ONE_SIDED + 500).iou(FourEnds(ONE_SIDED + 500), SHAPE) == 0.0


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("edge", [-0.5, 79.5])
def test_the_image_ends_at_the_edges_of_its_outer_pixels(axis, edge):
    """Half of each shape is outside; inside, one reaches half as far as the other."""
    inwards = 1 if edge < 0 else -1
    whole = np.array([[-20.0, 0.0], [20.0, 0.0], [0.0, -20.0], [0.0, 20.0]]) * inwards
    short = whole * [[1.0], [0.5], [1.0], [1.0]]
    middle = (edge, 40.0)
    one, other = (FourEnds((ends + middle)[:, :: 1 - 2 * axis]) for ends in (whole, short))
    shape_hw = (100, 80) if axis == 0 else (80, 100)
    assert one.iou(other, shape_hw) == pytest.approx(0.5, abs=0.01)


def test_a_perturbation_has_the_standard_deviations_that_it_says():
    """Lengths by `size`, directions by `size` radians, middles by `size` half diameters."""
    mark = FourEnds(recist_from_ellipse(Ellipse(0.0, 0.0, 80.0, 40.0, 0.0)))
    rng, size = np.random.default_rng(0), 0.05
    ends = np.array([mark.perturbed(rng.normal(size=8), size).points for _ in range(4000)])
    for first, second, length in ((0, 1, 80.0), (2, 3, 40.0)):
        vector, middle = ends[:, second] - ends[:, first], (ends[:, first] + ends[:, second]) / 2
        assert np.hypot(*vector.T).std() == pytest.approx(size * length, rel=0.06)
        assert middle.std(axis=0) == pytest.approx([size * length / 2] * 2, rel=0.06)
        along = 0 if length == 80.0 else 1
        turned = vector[:, 1 - along] / vector[:, along]
        assert turned.std() == pytest.approx(size, rel=0.06)
    # as the ellipse's own perturbation
    ellipse = Ellipse(0.0, 0.0, 80.0, 40.0, 0.0)
    others = [ellipse.perturbed(rng.normal(size=5), size) for _ in range(4000)]
    assert np.std([other.width for other in others]) == pytest.approx(size * 80.0, rel=0.06)
    assert np.std([other.cx for other in others]) == pytest.approx(size * 40.0, rel=0.06)


UPRIGHT = np.array([[0.0, 0.0], [20.0, 0.0], [10.0, -5.0], [10.0, 5.0]])


def test_a_perturbation_by_hand():
    """Draws of 1 to 8 hundredths: along (20, 0) and across (0, 20); (0, 10) and (-10, 0)."""
    moved = FourEnds(UPRIGHT).perturbed(np.arange(1, 9), 0.01 * np.sqrt(2))
    by_hand = [[0.2, 0.4], [20.6, 0.8], [9.4, -4.5], [9.2, 5.7]]
    assert moved.points == pytest.approx(np.array(by_hand))


def test_draws_that_leave_no_shape_are_halved():
    """The second end moves onto the first one, or half of the way."""
    moved = FourEnds(UPRIGHT).perturbed([0, 0, -1, 0, 0, 0, 0, 0], np.sqrt(2))
    assert moved.points[:2] == pytest.approx(np.array([[0.0, 0.0], [10.0, 0.0]]))


def test_a_perturbation_always_leaves_a_shape():
    mark, rng = FourEnds(ONE_SIDED), np.random.default_rng(1)
    for _ in range(300):
        mark.perturbed(rng.normal(size=8), 1.0).drawn(SHAPE)
    assert (mark.perturbed(np.zeros(8), 1.0).points == ONE_SIDED).all()


def test_moved_and_resized_with_its_image():
    shape = FourEnds(MARK, 1.6)
    assert shape.moved(3, -2).points == pytest.approx(MARK + np.array([3, -2]))
    twice = shape.resized(SHAPE, (320, 400))
    assert dice(shape.drawn(SHAPE), twice.drawn((320, 400))[::2, ::2]) > 0.98
    squashed = shape.resized(SHAPE, (80, 200)).resized((80, 200), SHAPE)
    assert squashed.points == pytest.approx(MARK)


def test_a_carried_shape_lies_on_the_other():
    source, target = FourEnds(MARK - (20, 10), 1.6), FourEnds(MARK, 1.6)
    moved = target.carry(signed(source.drawn(SHAPE)), source)
    assert dice(target.drawn(SHAPE), moved > 0) > 0.985
    turned = FourEnds(source.points[[1, 0, 2, 3]], 1.6)  # the first end is the other one
    assert (target.carry(signed(source.drawn(SHAPE)), turned) == moved).all()


def test_what_lies_at_an_end_is_carried_to_the_same_end():
    source, target = FourEnds(MARK - (20, 10)), FourEnds(MARK)
    x, y = source.points[0].astype(int)
    scores = np.zeros(SHAPE, dtype=np.float32)
    scores[y - 2 : y + 3, x - 2 : x + 3] = 1.0
    for order in ([0, 1, 2, 3], [1, 0, 3, 2], [2, 3, 0, 1], [3, 2, 1, 0]):  # which has no meaning
        carried = target.carry(scores, FourEnds(source.points[order]))
        at_ends = [carried[y, x] for x, y in target.points.astype(int)]
        assert at_ends == pytest.approx([1, 0, 0, 0])


def test_what_is_carried_from_beyond_the_scores_is_minus_1():
    carried = FourEnds(MARK).carry(np.ones(SHAPE, dtype=np.float32), FourEnds(MARK - (60, 0)))
    assert (carried[:, :59] == -1).all()
    assert carried[:, 61:] == pytest.approx(1)


def test_a_diameter_that_ends_at_the_crossing_goes_on_for_a_fiftieth_of_it():
    shape = FourEnds(ONE_SIDED)
    crossing, arms = shape.arms()
    assert crossing == pytest.approx([80, 80])
    assert arms == pytest.approx(np.array([[-40, 0], [60, 0], [0, -1], [0, 50]]))
    assert shape.middle == pytest.approx((80 + 20 / 2, 80 + 49 / 2))
    nearly = ONE_SIDED.copy()
    nearly[2:, 1] = 80 - 0.975, 80 + 49.025  # of 50 px, less than a fiftieth
    assert FourEnds(nearly).arms()[1][2:, 1] == pytest.approx([-0.02 * 49.025, 49.025])


def test_a_small_shape_in_a_large_one_overlaps_by_its_share_of_the_area():
    """4 of 100 px, whose first ends are 48 px apart."""
    large = FourEnds(recist_from_ellipse(Ellipse(0.0, 0.0, 100.0, 80.0, 0.0)))
    small = FourEnds(recist_from_ellipse(Ellipse(0.0, 0.0, 4.0, 3.2, 0.0)))
    assert small.iou(large) == pytest.approx(0.04**2, rel=0.5)
    assert large.iou(small) == small.iou(large)


def test_an_outline_lies_on_the_radius_1():
    for shape in (FourEnds(MARK, 1.6), Ellipse(100.0, 80.0, 90.0, 50.0, 25.0)):
        x, y = np.rint(shape.outline()).astype(int).T
        assert shape.radius(SHAPE)[y, x] == pytest.approx(1, abs=0.06)


def test_a_consistent_mask_has_the_marks_ends():
    """Its own RECIST mark is the given one, to what pixels allow."""
    rng = np.random.default_rng(3)
    found = []
    for _ in range(12):
        mask = FourEnds(MARK).perturbed(rng.normal(size=8), 0.06).drawn(SHAPE)
        mask &= ~(np.hypot(*(np.mgrid[:160, :200] - rng.uniform(60, 90, (2, 1, 1)))) < 9)  # a hole
        given = FourEnds(recist_from_mask(mask)).perturbed(rng.normal(size=8), 0.06)
        moved = make_consistent(signed(mask), given)
        found.append([given.measured(each).iou(given) for each in (mask, moved > 0)])
    before, after = np.mean(found, axis=0)
    assert after > 0.93 > before + 0.03


def test_a_mark_without_a_shape_is_refused():
    for wrong in (MARK[:3], MARK * np.nan, np.zeros((4, 2)), MARK[[0, 1, 0, 1]] + 1.0):
        with pytest.raises(ValueError, match="points"):
            FourEnds(wrong)
    with pytest.raises(ValueError, match="exponent"):
        FourEnds(MARK, 0.5)
    with pytest.raises(ValueError, match="mask"):
        FourEnds(MARK).measured(np.zeros(SHAPE, bool))
