"""The gate: when a network's mask is returned, and when the mark's own shape."""

import cv2
import numpy as np
import pytest

from weaklesion.diameters import recist_from_mask
from weaklesion.ellipse import Ellipse, draw_ellipse, ellipse_iou, fit_ellipse
from weaklesion.four_ends import FourEnds
from weaklesion.prediction.gate import gated_mask, mask_agreement
from weaklesion.recist import ellipse_from_recist, recist_from_ellipse

SHAPE = (100, 120)
MARK = Ellipse(60.0, 50.0, 50.0, 30.0, 20.0)
MARKS = pytest.mark.parametrize(
    "mark", [MARK, FourEnds(recist_from_ellipse(MARK))], ids=["ellipse", "ends"]
)


def logits(*ellipses):
    mask = np.any([draw_ellipse(ellipse, SHAPE) for ellipse in ellipses], axis=0)
    return np.where(mask, 4.0, -4.0).astype(np.float32)


@MARKS
def test_a_mask_with_the_marks_diameters_is_returned(mark):
    bitten = logits(MARK)
    bitten[30:50, 58:62] = -4.0  # no ellipse any more, with the same outline otherwise
    found = gated_mask(bitten, mark, gate=0.9)
    assert found.from_network
    assert found.agreement > 0.9
    assert (found.mask == (bitten >= 0)).all()


@MARKS
@pytest.mark.parametrize(
    "other",
    [
        Ellipse(60.0, 50.0, 35.0, 20.0, 20.0),
        Ellipse(70.0, 50.0, 50.0, 30.0, 20.0),
        Ellipse(60.0, 50.0, 50.0, 30.0, 80.0),
    ],
    ids=["smaller", "beside", "turned"],
)
def test_of_a_mask_that_disagrees_the_marks_shape_is_returned(other, mark):
    found = gated_mask(logits(other), mark, gate=0.9)
    assert not found.from_network
    assert found.agreement == pytest.approx(ellipse_iou(other, MARK), abs=0.05)
    assert (found.mask == mark.drawn(SHAPE)).all()
    ungated = gated_mask(logits(other), mark)
    assert ungated.from_network
    assert (ungated.mask == draw_ellipse(other, SHAPE)).all()


@MARKS
@pytest.mark.parametrize("level", [-1.0, 1.0])
def test_empty_and_full_masks_do_not_agree(level, mark):
    found = gated_mask(np.full(SHAPE, level, np.float32), mark, gate=0.5)
    assert found.agreement < 0.5
    assert not found.from_network


@MARKS
def test_one_mark_is_one_lesion(mark):
    beside = Ellipse(105.0, 85.0, 12.0, 10.0, 0.0)
    holed = logits(MARK, beside)
    holed[48:52, 58:62] = -4.0
    found = gated_mask(holed, mark)
    assert (found.mask == draw_ellipse(MARK, SHAPE)).all()


def test_a_consistent_mask_has_the_marks_ellipse():
    near = Ellipse(62.0, 51.0, 46.0, 29.0, 15.0)
    found = gated_mask(logits(near), MARK, gate=0.7, consistent=True)
    assert found.from_network
    assert ellipse_iou(fit_ellipse(found.mask), MARK) > 0.97 > found.agreement


def test_a_consistent_mask_has_the_marks_ends():
    near = Ellipse(62.0, 51.0, 46.0, 29.0, 15.0)
    mark = FourEnds(recist_from_ellipse(MARK))
    found = gated_mask(logits(near), mark, gate=0.7, consistent=True)
    assert found.from_network
    assert mask_agreement(found.mask, mark) > 0.95 > found.agreement + 0.05


def test_a_lesion_that_the_image_cuts_off_agrees_with_its_mark():
    """Only what lies in the image counts of shapes through four ends."""
    mark = FourEnds(np.array([[-20.0, 50.0], [60.0, 50.0], [20.0, 30.0], [20.0, 70.0]]))
    cut = mark.drawn(SHAPE)
    assert not cut[:, 0].all()
    assert cut[:, 0].any()
    assert mask_agreement(cut, mark) > 0.8


def lobed(rng, cut):
    """A lobed lesion, whole or cut off by the image's left border."""
    angles = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    phase, lobes = rng.uniform(0, 6), rng.integers(2, 5)
    radius = rng.uniform(12, 28) * (1 + 0.2 * np.cos(lobes * angles + phase))
    x, y = rng.uniform(-10, 12) if cut else rng.uniform(45, 75), rng.uniform(40, 60)
    squeeze = rng.uniform(0.6, 1.2)
    outline = np.c_[x + radius * np.cos(angles), y + squeeze * radius * np.sin(angles)]
    return cv2.fillPoly(np.zeros(SHAPE, np.uint8), [outline.astype(np.int32)], 1) > 0


@pytest.mark.parametrize("cut", [False, True])
def test_a_perfect_mask_passes_if_the_ends_of_its_mark_are_compared(cut):
    """Also where the network is shown an ellipse, which is not that of a lobed or cut lesion."""
    rng = np.random.default_rng(11)
    passed, by_ellipse = [], []
    while len(passed) < 100:
        mask = lobed(rng, cut)
        if mask.sum() < 100:
            continue
        ends = recist_from_mask(mask)
        shown = ellipse_from_recist(ends)
        scores = np.where(mask, 4.0, -4.0).astype(np.float32)
        found = gated_mask(scores, shown, gate=0.8, compared=FourEnds(ends))
        passed.append(found.from_network)
        by_ellipse.append(gated_mask(scores, shown, gate=0.8).from_network)
    assert np.mean(passed) >= 0.99
    assert np.mean(by_ellipse) < (0.6 if cut else 0.99)


def test_a_fit_that_misses_its_mask_is_none_of_it():
    """The hull of a lesion's edge at the border fits an ellipse far outside the image."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        mask = lobed(rng, cut=True)
        try:
            fit = MARK.measured(mask)
        except ValueError:
            continue
        drawn = draw_ellipse(fit, SHAPE)
        assert (drawn & mask).sum() / (drawn | mask).sum() >= 0.5


@pytest.mark.parametrize("kind", ["ellipse", "ends"])
@pytest.mark.parametrize("size_px", [2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0])
def test_a_lesion_of_a_few_px_is_not_left_to_its_shape_because_it_is_small(size_px, kind):
    rng = np.random.default_rng(3)
    for _ in range(30):
        center = rng.uniform(20, 21, 2)
        ellipse = Ellipse(*center, size_px, 0.8 * size_px, rng.uniform(0, 180))
        mark = ellipse if kind == "ellipse" else FourEnds(recist_from_ellipse(ellipse))
        logits = np.where(mark.drawn((40, 40)), 4.0, -4.0).astype(np.float32)
        found = gated_mask(logits, mark, gate=0.8)
        assert found.from_network


SQUARE, NARROW, FINE = (0.8, 0.8), (2.4, 0.8), (0.4, 0.4)  # mm per px of rows and columns


def in_patients(seed, spacing):
    """A lobed lesion of 40 to 80 mm, turned by any angle, in pixels of a spacing."""
    rng = np.random.default_rng(seed)
    half, ratio, turn = rng.uniform(20, 40), rng.uniform(0.5, 0.9), rng.uniform(0, np.pi)
    y, x = np.mgrid[: int(120 / spacing[0]), : int(120 / spacing[1])] + 0.5
    y, x = y * spacing[0] - 60, x * spacing[1] - 60
    along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    waves = 1 + 0.12 * np.cos(3 * np.arctan2(across, along) + rng.uniform(0, 6))
    return np.hypot(along, across / ratio) < half * waves


def lesions_with_marks(spacing):
    """40 lesions, with their marks as drawn on a fine picture: perpendicular in mm."""
    for seed in range(40):
        mask, fine = in_patients(seed, spacing), in_patients(seed, FINE)
        yield mask, FourEnds(recist_from_mask(fine)).resized(fine.shape, mask.shape)


def test_a_true_mask_agrees_with_its_mark_as_well_where_pixels_are_not_square():
    square, narrow = (
        [mask_agreement(mask, mark, spacing) for mask, mark in lesions_with_marks(spacing)]
        for spacing in (SQUARE, NARROW)
    )
    assert np.mean(square) > 0.95
    assert np.mean(narrow) > np.mean(square) - 0.03
    assert min(narrow) > 0.85


def test_a_good_mask_is_not_replaced_because_pixels_are_not_square():
    """Masks that lie 1.6 mm beside their lesions."""
    passed = {None: 0, NARROW: 0}
    for mask, mark in lesions_with_marks(NARROW):
        scores = np.where(np.roll(mask, 2, axis=1), 4.0, -4.0).astype(np.float32)
        for spacing in passed:
            passed[spacing] += gated_mask(scores, mark, gate=0.8, spacing=spacing).from_network
    assert passed[NARROW] == 40
    assert passed[None] < 36


def test_a_consistent_mask_has_the_marks_ends_also_where_pixels_are_not_square():
    found = []
    for mask, mark in lesions_with_marks(NARROW):
        middle = mark.points.mean(axis=0)
        larger = FourEnds((mark.points - middle) * 1.1 + middle)
        scores = cv2.GaussianBlur(np.where(mask, 4.0, -4.0), (0, 0), 1.0).astype(np.float32)
        moved = gated_mask(scores, larger, consistent=True, spacing=NARROW).mask
        found.append(mask_agreement(moved, larger, NARROW))
    assert np.mean(found) > 0.95


@pytest.mark.parametrize("spacing", [(0.7, 0.7), (0.7, 0.70001)])
@MARKS
def test_square_pixels_are_measured_as_they_are(mark, spacing):
    mask = lobed(np.random.default_rng(2), cut=False)
    assert mask_agreement(mask, mark, spacing) == mask_agreement(mask, mark)


def test_a_spacing_that_is_wrong_by_far_needs_no_more_memory():
    """In square pixels of 0.001 mm the mask would have 10 million rows."""
    mark = FourEnds(recist_from_ellipse(MARK))
    assert 0 <= mask_agreement(mark.drawn(SHAPE), mark, (100.0, 0.001)) <= 1
