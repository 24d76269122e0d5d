"""Slice by slice from the marked one, with a network whose answers are known."""

from types import SimpleNamespace

import numpy as np
import pytest
from lumps import SHAPE, dice, lump

from weaklesion.ellipse import draw_ellipse, fit_ellipse
from weaklesion.volumes import propagation
from weaklesion.volumes.propagation import AHEAD, StopSettings, propagate


def one_by_one(predict):
    """A network for several slices, from one for a single slice."""
    return lambda marked: [predict(place, shape) for place, shape in marked]


def spread(mask, predict, index=20, expected=None, **options):
    first = mask[:, :, index].T
    expected = mask if expected is None else expected
    answer = propagate(first, fit_ellipse(first), index, expected, one_by_one(predict), **options)
    whole = np.zeros(mask.shape, dtype=bool)
    for place, plane in answer.planes.items():
        whole[:, :, place] = plane.T
    return whole, answer


def truth(mask):
    """A network that finds what is there, if it is marked at all."""

    def predict(place, shape):
        plane = mask[:, :, place].T
        near = draw_ellipse(shape, plane.shape)
        return plane if (plane & near).any() else np.zeros_like(plane)

    return predict


def test_a_lesion_is_followed_to_both_ends():
    mask = lump(waves=0.1)
    found, answer = spread(mask, truth(mask))
    assert dice(mask, found) > 0.98
    nothing = "the levels expect no lesion there", "nothing in the next slice connects"
    assert all(stop in (*nothing, "the mask does not fit its mark") for stop in answer.stops)


def test_each_slice_is_marked_by_what_is_expected_in_it():
    """A network that returns its mark returns the expected lesion rather than a cylinder."""
    mask = lump()
    found, _ = spread(mask, lambda place, shape: draw_ellipse(shape, mask[:, :, 0].T.shape))
    assert dice(mask, found) > 0.97


def test_a_gap_ends_it():
    mask = lump(axes_mm=(24.0, 20.0, 60.0))
    expected = mask.copy()
    mask[:, :, 25] = False
    found, answer = spread(mask, truth(mask), expected=expected)
    assert not found[:, :, 25:].any()
    assert found[:, :, 24].any()
    assert answer.stops[1] == "nothing in the next slice connects"


def test_a_jump_to_another_lesion_ends_it():
    mask = lump(axes_mm=(24.0, 20.0, 60.0))
    mask[:, :, 25:] = np.roll(mask[:, :, 25:], 22, axis=0)
    expected = lump(axes_mm=(24.0, 20.0, 60.0))
    found, answer = spread(mask, lambda place, shape: mask[:, :, place].T, expected=expected)
    assert not found[:, :, 25:].any()
    assert answer.stops[1] in (
        "the mask does not fit its mark",
        "nothing in the next slice connects",
    )


def test_a_leak_ends_it():
    mask = lump()
    mask[:, :, 23:] |= lump(center=(46.0, 44.0, 24.0), axes_mm=(60.0, 60.0, 20.0))[:, :, 23:]
    _, answer = spread(mask, truth(mask))
    assert max(answer.planes) == 22
    assert answer.stops[1] == "the mask grows too fast"


def test_the_volume_ends():
    mask = lump(center=(46.0, 44.0, 38.0))
    _, answer = spread(mask, truth(mask), index=38)
    assert max(answer.planes) == 39
    assert answer.stops[1] == "the volume ends"


@pytest.mark.parametrize(("marked", "end"), [(2, 0), (0, 0), (37, 1), (39, 1)])
def test_the_first_and_the_last_slice_belong_to_the_volume(marked, end):
    mask = lump(center=(46.0, 44.0, float(marked)))
    _, answer = spread(mask, truth(mask), index=marked)
    assert answer.stops[end] == "the volume ends"
    assert (min, max)[end](answer.planes) == (0, 39)[end]
    assert answer.stops[1 - end] != "the volume ends"


def test_levels_of_the_surroundings_end_it():
    mask = lump(axes_mm=(24.0, 20.0, 60.0))
    _, answer = spread(mask, truth(mask), support=lambda place, plane: 1.0 if place < 24 else -0.9)
    assert max(answer.planes) == 23
    assert answer.stops[1] == "the levels are those of the surroundings"


def test_what_is_too_small_to_be_a_mark_ends_it():
    mask = lump()
    point = np.zeros(SHAPE, dtype=bool)
    point[46, 44, :] = True
    _, answer = spread(mask, truth(mask), expected=point)
    assert answer.stops == ("the levels expect no lesion there",) * 2


def test_a_mark_is_at_least_3_px_long():
    plane = np.ones((9, 9), dtype=bool)
    for long_px, kept in ((2.9, False), (3.0, True), (3.1, True)):
        shape = SimpleNamespace(long_px=long_px)
        mark = SimpleNamespace(measured=lambda _, shape=shape: shape)
        assert (propagation._shape_of(plane, mark) is shape) == kept


def test_a_lesion_that_shrinks_to_nearly_nothing_ends():
    mask = lump(axes_mm=(30.0, 24.0, 60.0))
    settings = StopSettings(area=0.5)
    _, answer = spread(mask, truth(mask), settings=settings)
    assert answer.stops == ("the lesion has shrunk to nearly nothing",) * 2
    first = mask[:, :, 20].sum()
    assert all(plane.sum() >= 0.5 * first for plane in answer.planes.values())


def test_slices_are_segmented_together_and_few_beyond_the_end():
    mask = lump(axes_mm=(24.0, 20.0, 60.0))
    first, expected, asked = mask[:, :, 20].T, mask.copy(), []
    mask[:, :, 24:] = False
    network = one_by_one(truth(mask))

    def predict(marked):
        asked.append([place for place, _ in marked])
        return network(marked)

    answer = propagate(first, fit_ellipse(first), 20, expected, predict)
    ends = np.flatnonzero(expected.any(axis=(0, 1)))[[0, -1]].tolist()
    assert all(len(places) <= AHEAD for places in asked)
    below = [place for places in asked for place in places if place < 20]
    above = [place for places in asked for place in places if place > 20]
    assert below == sorted(below, reverse=True)
    assert above == list(range(21, 21 + AHEAD))  # the lesion ends in the first eight
    assert ends[0] <= min(below)
    assert max(answer.planes) == 23
    assert answer.stops[1] == "nothing in the next slice connects"


def test_slices_between_are_interpolated_where_slices_are_thin():
    mask = lump(waves=0.1)
    asked = []

    def predict(place, shape):
        asked.append(place)
        return truth(mask)(place, shape)

    every_one, _ = spread(mask, predict)
    all_asked = len(asked)
    asked.clear()
    found, answer = spread(mask, predict, every=2)
    assert len(asked) < 0.6 * all_asked
    assert {abs(place - 20) % 2 for place in asked} == {0}
    assert sorted(answer.planes) == list(range(min(answer.planes), max(answer.planes) + 1))
    assert dice(mask, found) > 0.97
    assert dice(every_one, found) > 0.97


def test_a_slice_between_two_discs_has_the_mean_radius():
    """Discs of 10 and 20 px, four slices apart: 12.5, 15 and 17.5 px between them."""
    x, y = np.ogrid[:60, :60]
    distance = np.hypot(x - 30, y - 30)
    mask = np.zeros((60, 60, 9), dtype=bool)
    mask[:, :, 2], mask[:, :, 6] = distance <= 20, distance <= 10
    found, _ = spread(mask, lambda place, shape: mask[:, :, place].T, index=2, every=4)
    for place, radius in ((3, 17.5), (4, 15.0), (5, 12.5)):
        assert abs(np.sqrt(found[:, :, place].sum() / np.pi) - radius) < 0.6


def cylinder(radii, size=80):
    """Discs by slice; none where the radius is 0."""
    x, y = np.ogrid[:size, :size]
    distance = np.hypot(x - size // 2, y - size // 2)
    return np.stack([(distance <= radius) & (radius > 0) for radius in radii], axis=-1)


@pytest.mark.parametrize(("index", "radii"), [(2, [0, 0, *[20] * 5, 0]), (6, [0, 0, *[20] * 5, 0])])
def test_slices_between_equal_masks_are_equal_and_none_lies_beyond(index, radii):
    mask = cylinder(radii)
    found, answer = spread(mask, lambda place, shape: mask[:, :, place].T, index=index, every=4)
    assert sorted(answer.planes) == [2, 3, 4, 5, 6]
    assert np.array_equal(found, mask)


@pytest.mark.parametrize(("index", "end"), [(1, 0), (3, 1)])
def test_a_lesion_beside_the_last_slice_ends_within_the_volume(index, end):
    mask = cylinder([0, 20, 20, 20, 0])
    _, answer = spread(mask, lambda place, shape: mask[:, :, place].T, index=index)
    assert answer.stops[end] == "the levels expect no lesion there"


@pytest.mark.parametrize(("radius", "grows_too_fast"), [(29, False), (32, True)])
def test_growth_is_allowed_per_slice(radius, grows_too_fast):
    """Two slices apart, the area of a disc of 20 px may grow by 1.5 squared, to 30 px."""
    mask = cylinder([0, 0, 20, 20, radius, 0])
    _, answer = spread(mask, lambda place, shape: mask[:, :, place].T, index=2, every=2)
    assert (answer.stops[1] == "the mask grows too fast") == grows_too_fast
    assert max(answer.planes) == (2 if grows_too_fast else 4)
