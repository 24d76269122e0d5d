"""Which of three masks answers, and why."""

import numpy as np
import pytest
from lumps import SHAPE, dice, image_of, lump, mark_of_volume
from test_propagation import one_by_one, truth

from weaklesion.ellipse import fit_ellipse
from weaklesion.volumes.answer import METHODS, answer_mark
from weaklesion.volumes.frame import slice_frame
from weaklesion.volumes.propagation import propagate
from weaklesion.volumes.size import volume_mm3

FRAME = slice_frame(np.diag([0.8, 0.8, 2.0]))


def follower(mask, index):
    first = mask[:, :, index].T

    def follow(expected, support):
        network = one_by_one(truth(mask))
        return propagate(first, fit_ellipse(first), index, expected, network, support=support)

    return follow


def answered(mask, image=None, points=None, **options):
    own, index = mark_of_volume(mask)
    image = image_of(mask) if image is None else image
    return answer_mark(image, SHAPE, FRAME, own if points is None else points, index, **options)


def test_the_levels_answer_beside_the_network():
    mask = lump(waves=0.15)
    answer = answered(mask, follow=follower(mask, 20))
    assert answer.method == "levels"
    assert tuple(answer.masks) == METHODS
    assert dice(mask, answer.masks["network"]) > 0.95
    assert dice(mask, answer.mask) > 0.9
    assert "the network's slices overlap the levels by 0.9" in answer.reason
    assert "below, " in answer.reason
    low, high = answer.interval_mm3
    assert low < volume_mm3(mask, FRAME) < high


@pytest.mark.parametrize(("waves", "across", "method"), [(0.1, 28, "network"), (0, 4, "ellipsoid")])
def test_where_levels_are_unknown_a_network_that_agrees_with_the_ellipsoid_answers(
    waves, across, method
):
    mask = lump(axes_mm=(30.0, 24.0, float(across)), waves=waves)
    image = np.full(SHAPE, np.nan, np.float32)
    answer = answered(mask, image, follow=follower(mask, 20))
    assert answer.method == method
    assert np.array_equal(answer.mask, answer.masks[method])
    assert "levels do not tell" in answer.reason
    assert "overlap the ellipsoid" in answer.reason


def test_without_a_network_the_levels_answer_and_say_why():
    answer = answered(lump(), unfollowed="the network disagrees with the mark")
    assert (answer.method, answer.reason) == ("levels", "the network disagrees with the mark")
    assert "network" not in answer.masks


def test_where_levels_are_unknown_the_ellipsoid_answers():
    mask = lump()
    answer = answered(mask, np.full(SHAPE, np.nan, np.float32))
    assert answer.method == "ellipsoid"
    assert answer.reason == "levels do not tell the lesion from its surroundings"
    assert answer.interval_mm3 is None
    assert dice(mask, answer.mask) > 0.9


@pytest.mark.parametrize(
    ("slices", "unknown", "sides"),
    [
        (np.s_[20:], False, "below"),
        (np.s_[:23], False, "above"),
        (np.s_[18:23], True, "below and above"),
    ],
    ids=["first slice", "last slice", "both, by the ellipsoid"],
)
def test_a_lesion_that_the_volume_cuts_is_told_without_a_network_as_well(slices, unknown, sides):
    mask = lump()[:, :, slices]
    points, index = mark_of_volume(mask)
    image = np.full(mask.shape, np.nan, np.float32) if unknown else image_of(mask)
    answer = answer_mark(image, mask.shape, FRAME, points, index)
    assert answer.reason.endswith(f"the volume ends {sides}: the lesion may continue there")


def test_a_lesion_within_its_volume_is_not_cut():
    assert answered(lump()).reason == ""
