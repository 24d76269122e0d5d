"""The gate: when a network's mask is returned, and when the mark's ellipse."""

import numpy as np
import pytest

from weaklesion.ellipse import Ellipse, draw_ellipse, ellipse_iou, fit_ellipse
from weaklesion.prediction.gate import gated_mask

SHAPE = (100, 120)
MARK = Ellipse(60.0, 50.0, 50.0, 30.0, 20.0)


def logits(*ellipses):
    mask = np.any([draw_ellipse(ellipse, SHAPE) for ellipse in ellipses], axis=0)
    return np.where(mask, 4.0, -4.0).astype(np.float32)


def test_a_mask_with_the_marks_diameters_is_returned():
    bitten = logits(MARK)
    bitten[30:50, 58:62] = -4.0  # no ellipse any more, with the same outline otherwise
    found = gated_mask(bitten, MARK, gate=0.9)
    assert found.from_network
    assert found.agreement > 0.9
    assert (found.mask == (bitten >= 0)).all()


@pytest.mark.parametrize(
    "other",
    [
        Ellipse(60.0, 50.0, 35.0, 20.0, 20.0),
        Ellipse(70.0, 50.0, 50.0, 30.0, 20.0),
        Ellipse(60.0, 50.0, 50.0, 30.0, 80.0),
    ],
    ids=["smaller", "beside", "turned"],
)
def test_of_a_mask_that_disagrees_the_ellipse_is_returned(other):
    found = gated_mask(logits(other), MARK, gate=0.9)
    assert not found.from_network
    assert found.agreement == pytest.approx(ellipse_iou(other, MARK), abs=0.05)
    assert (found.mask == draw_ellipse(MARK, SHAPE)).all()
    ungated = gated_mask(logits(other), MARK)
    assert ungated.from_network
    assert (ungated.mask == draw_ellipse(other, SHAPE)).all()


@pytest.mark.parametrize("level", [-1.0, 1.0])
def test_empty_and_full_masks_do_not_agree(level):
    found = gated_mask(np.full(SHAPE, level, np.float32), MARK, gate=0.5)
    assert found.agreement < 0.5
    assert not found.from_network


def test_one_mark_is_one_lesion():
    beside = Ellipse(105.0, 85.0, 12.0, 10.0, 0.0)
    holed = logits(MARK, beside)
    holed[48:52, 58:62] = -4.0
    found = gated_mask(holed, MARK)
    assert (found.mask == draw_ellipse(MARK, SHAPE)).all()


def test_a_consistent_mask_has_the_marks_ellipse():
    near = Ellipse(62.0, 51.0, 46.0, 29.0, 15.0)
    found = gated_mask(logits(near), MARK, gate=0.7, consistent=True)
    assert found.from_network
    assert ellipse_iou(fit_ellipse(found.mask), MARK) > 0.97 > found.agreement


@pytest.mark.parametrize("size_px", [2.0, 3.0, 4.0, 5.0, 6.0, 8.0])
def test_a_lesion_of_a_few_px_is_not_left_to_its_ellipse_because_it_is_small(size_px):
    rng = np.random.default_rng(3)
    for _ in range(30):
        center = rng.uniform(20, 21, 2)
        ellipse = Ellipse(*center, size_px, 0.8 * size_px, rng.uniform(0, 180))
        logits = np.where(draw_ellipse(ellipse, (40, 40)), 4.0, -4.0).astype(np.float32)
        found = gated_mask(logits, ellipse, gate=0.8)
        assert found.from_network
