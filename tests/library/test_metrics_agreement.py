"""The metrics against independent libraries, and how they differ where they mean something else."""

import importlib

import cv2
import numpy as np
import pytest
import torch
from medpy.metric.binary import assd, hd, hd95
from scipy.ndimage import gaussian_filter
from skimage.feature import canny
from skimage.measure import perimeter as skimage_perimeter
from surface_distance import compute_surface_dice_at_tolerance, compute_surface_distances

from weaklesion.metrics import (
    average_hausdorff,
    average_surface_distance,
    center_error,
    hausdorff,
    hausdorff_percentile,
    normalised_surface_dice,
    perimeter_error,
)
from weaklesion.metrics.contours import canny_counts, perimeter
from weaklesion.metrics.pair import MaskPair, border

SPACINGS = [(1.0, 1.0), (0.7, 2.5), (3.0, 0.5)]


def blob(rng, shape=(40, 48)):
    return gaussian_filter(rng.normal(size=shape), rng.uniform(1, 5)) > 0.01


def box(shape, top, bottom, left, right):
    mask = np.zeros(shape, bool)
    mask[top:bottom, left:right] = True
    return mask


def cases():
    """Random, touching, nested, border-cut and one-pixel masks."""
    rng = np.random.default_rng(0)
    for number in range(6):
        yield f"random {number}", blob(rng), blob(rng)
    for number in range(3):
        sparse = rng.random((2, 20, 25)) < 0.1
        yield f"scattered {number}", sparse[0], sparse[1]
    shape = (30, 36)
    outer = box(shape, 5, 25, 6, 30)
    yield "touching", box(shape, 5, 15, 6, 20), box(shape, 15, 22, 6, 20)
    yield "nested", outer, box(shape, 10, 14, 12, 20)
    yield "with a hole", outer & ~box(shape, 12, 15, 14, 19), outer
    yield "cut by the frame", box(shape, 0, 9, 20, 36), box(shape, 0, 14, 27, 36)
    yield "whole image", np.ones(shape, bool), box(shape, 3, 9, 3, 9)
    yield "one pixel each", box(shape, 2, 3, 2, 3), box(shape, 20, 21, 30, 31)
    yield "one pixel in a corner", box(shape, 0, 1, 0, 1), outer
    yield "equal", outer, outer


CASES = list(cases())
pairs = pytest.mark.parametrize(
    ("ref", "pred"), [pair for _, *pair in CASES], ids=[name for name, *_ in CASES]
)
spacings = pytest.mark.parametrize("spacing", SPACINGS, ids=str)


@pytest.fixture(scope="module")
def monai():
    """MONAI's metrics, whose import takes seconds: only for the worker that has these tests."""
    return importlib.import_module("monai.metrics")


def batch(mask):
    return torch.from_numpy(mask)[None, None]


@pairs
@spacings
def test_medpy(ref, pred, spacing):
    assert hausdorff(ref, pred, spacing) == pytest.approx(hd(pred, ref, spacing), abs=1e-6)
    ours = hausdorff_percentile(ref, pred, 95, spacing)
    assert ours == pytest.approx(hd95(pred, ref, spacing), abs=1e-6)
    ours = average_surface_distance(ref, pred, spacing)
    assert ours == pytest.approx(assd(pred, ref, spacing), abs=1e-6)


@pairs
@spacings
def test_monai(monai, ref, pred, spacing):
    masks = batch(pred), batch(ref)
    theirs = monai.compute_hausdorff_distance(*masks, include_background=True, spacing=spacing)
    assert hausdorff(ref, pred, spacing) == pytest.approx(theirs.item(), abs=1e-5)
    theirs = monai.compute_average_surface_distance(
        *masks, include_background=True, symmetric=True, spacing=spacing
    )
    assert average_surface_distance(ref, pred, spacing) == pytest.approx(theirs.item(), abs=1e-5)
    for tolerance in (0.0, 1.0, 2.6):
        theirs = monai.compute_surface_dice(
            *masks, class_thresholds=[tolerance], include_background=True, spacing=spacing
        )
        ours = normalised_surface_dice(ref, pred, tolerance, spacing)
        assert ours == pytest.approx(theirs.item(), abs=1e-6)


@pairs
@spacings
def test_surface_distance(ref, pred, spacing):
    distances = compute_surface_distances(ref, pred, spacing)
    for tolerance in (0.0, 1.0, 2.6):
        theirs = compute_surface_dice_at_tolerance(distances, tolerance)
        ours = normalised_surface_dice(ref, pred, tolerance, spacing, surface="contour")
        assert ours == pytest.approx(theirs, abs=1e-6)


@pairs
def test_canny_is_scikit_images_to_the_last_pixel(ref, pred):
    counts = [
        canny(mask.astype(np.uint8), sigma=1, low_threshold=1, high_threshold=1).sum()
        for mask in (ref, pred)
    ]
    assert perimeter_error(ref, pred, method="canny_half") == abs(counts[0] - counts[1]) / 2


def test_canny_of_many_masks():
    rng = np.random.default_rng(1)
    for _ in range(300):
        shape = rng.integers(5, 130, 2)
        kind = rng.integers(3)
        if kind == 0:
            mask = (rng.random(shape) < rng.random()).astype(np.uint8)
        elif kind == 1:
            mask = blob(rng, shape).astype(np.uint8)
        else:
            mask = np.zeros(shape, np.uint8)
            center = int(rng.integers(shape[1])), int(rng.integers(shape[0]))
            axes = int(rng.integers(1, 40)), int(rng.integers(1, 40))
            cv2.ellipse(mask, center, axes, float(rng.uniform(0, 180)), 0, 360, 1, -1)
        left, top, width, height = cv2.boundingRect(mask)
        theirs = canny(mask, sigma=1, low_threshold=1, high_threshold=1).sum()
        assert canny_counts([mask], (top, left, height, width)) == [theirs]


# From here on: what the same name means elsewhere.

#   reference        prediction: one pixel far away
#   ######           ######
#   ######           ######      .
#   ######           ######
#                                     #
REF = box((20, 40), 2, 8, 2, 20)
STRAY = REF | box((20, 40), 18, 19, 38, 39)


def test_percentile_of_both_directions_is_not_the_larger_of_two_percentiles(monai):
    """The stray pixel is a small part of both borders together, so that HD95 does not see it."""
    both = hausdorff_percentile(REF, STRAY, 95)
    masks = batch(STRAY), batch(REF)
    larger = monai.compute_hausdorff_distance(*masks, include_background=True, percentile=95).item()
    assert both == 0
    assert larger == 0  # nor of the prediction's own 45 points
    # with a few pixels more it is 5 % of the prediction's border, but not of both
    stray = STRAY | box((20, 40), 18, 19, 35, 38)
    larger = monai.compute_hausdorff_distance(
        batch(stray), batch(REF), include_background=True, percentile=95
    ).item()
    assert hausdorff_percentile(REF, stray, 95) == 0
    assert larger > 15


def test_points_weigh_once_or_directions_weigh_once():
    """A mean of two means is not the mean over all points when one border is longer."""
    small = box((20, 40), 4, 6, 4, 6)
    to_ref, to_small = (
        distances.sum() for distances in MaskPair(REF, small).border_distances
    )  # 44 points of the reference, 4 of the small one
    assert (border(REF).sum(), border(small).sum()) == (44, 4)
    once = average_surface_distance(REF, small)
    assert once == pytest.approx((to_ref + to_small) / 48)
    each = average_hausdorff(REF, small, direction="mean", points="border")
    assert each == pytest.approx((to_ref / 44 + to_small / 4) / 2)
    assert once > each + 1


def test_surface_of_pixels_is_not_the_contour_between_them():
    """One row more: pixels count alike, contours by the length that passes a corner."""
    wider = box((20, 40), 2, 9, 2, 20)
    pixels = normalised_surface_dice(REF, wider, 0.5)
    contour = normalised_surface_dice(REF, wider, 0.5, surface="contour")
    # of 44 and 46 border pixels, 28 of each lie on the other's border: the top row of 18, and the
    # rest of the left and right columns down to the row above the last
    assert pixels == pytest.approx((28 + 28) / (44 + 46))
    assert pixels != pytest.approx(contour, abs=1e-3)


def test_maximum_is_not_the_average_and_the_released_code_prints_the_former():
    assert hausdorff(REF, STRAY) > 15
    assert average_hausdorff(REF, STRAY) < 0.5


def test_box_centers_see_a_stray_pixel_that_centroids_do_not():
    assert center_error(REF, STRAY) > 8
    assert center_error(REF, STRAY, method="centroid") < 0.5


def test_border_pixels_are_no_length():
    """A disk of diameter 31: its perimeter is 97; border pixels are fewer, the contour is near."""
    disk = np.hypot(*(np.indices((50, 50)) - 25)) <= 15.5
    assert border(disk).sum() < 0.95 * np.pi * 31
    length = perimeter(disk.view(np.uint8), (1.0, 1.0))
    assert length == pytest.approx(np.pi * 31, rel=0.06)
    assert skimage_perimeter(disk) == pytest.approx(np.pi * 31, rel=0.06)
    assert perimeter(disk.view(np.uint8), (2.0, 2.0)) == pytest.approx(2 * length)
