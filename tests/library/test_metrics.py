import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import cdist

from weaklesion import metrics
from weaklesion.metrics import (
    average_hausdorff,
    average_surface_distance,
    center_error,
    diameter_error,
    dice,
    hausdorff,
    hausdorff_percentile,
    iou,
    normalised_surface_dice,
    perimeter_error,
    precision,
    recall,
    volumetric_similarity,
)
from weaklesion.metrics.pair import border


def named(metric, **options):
    """A metric with options, under a name that a test's id can show."""

    def chosen(ref, pred):
        return metric(ref, pred, **options)

    chosen.__name__ = "_".join([metric.__name__, *map(str, options.values())])
    return chosen


DISTANCES = [
    center_error,
    named(center_error, method="centroid"),
    hausdorff,
    named(hausdorff_percentile, q=95),
    *(
        named(average_hausdorff, direction=direction, points=points)
        for direction in ("max", "mean")
        for points in ("foreground", "border")
    ),
    average_surface_distance,
]
PERIMETERS = [perimeter_error, named(perimeter_error, method="contour")]
OVERLAPS = [
    iou,
    dice,
    volumetric_similarity,
    named(normalised_surface_dice, tolerance=1.0),
    named(normalised_surface_dice, tolerance=1.0, surface="contour"),
]
PAIRWISE = [*DISTANCES, *PERIMETERS, *OVERLAPS]
WITHIN_A_FRAME = named(perimeter_error, method="canny_half")
masks = arrays(bool, (9, 12))


def drawn(*lines):
    """A mask from a drawing: # is foreground."""
    return np.array([[mark == "#" for mark in line] for line in lines])


# Reference: 2 rows of 4. Prediction: one column less on the left, one more row.
REF = drawn(
    "......",
    ".####.",
    ".####.",
    "......",
)
PRED = drawn(
    "......",
    "..###.",
    "..###.",
    "..###.",
)


def test_overlaps_by_hand():
    # |R| 8, |P| 9, |R and P| 6, |R or P| 11
    assert iou(REF, PRED) == pytest.approx(6 / 11)
    assert dice(REF, PRED) == pytest.approx(12 / 17)
    assert volumetric_similarity(REF, PRED) == pytest.approx(1 - 1 / 17)


def test_center_error_by_hand():
    # centres of the boxes: rows 1.5 and 2, columns 2.5 and 3
    assert center_error(REF, PRED) == pytest.approx(math.sqrt(0.5))


def test_perimeter_error_by_hand():
    # all 8 pixels of R are border; of P's 9 the middle one is not
    assert perimeter_error(REF, PRED) == 0
    assert perimeter_error(REF, np.zeros_like(PRED)) == 8


def test_border_touches_the_frame():
    np.testing.assert_array_equal(border(np.ones((3, 4), bool)), drawn("####", "#..#", "####"))


def test_hausdorff_by_hand_with_anisotropic_spacing():
    # from P's bottom row to R: one row up; from R's left column to P: one column right
    assert hausdorff(REF, PRED) == 1
    assert hausdorff(REF, PRED, spacing=(3.0, 0.5)) == 3
    assert hausdorff(PRED, REF, spacing=(0.5, 2.0)) == 2


def test_average_hausdorff_by_hand():
    # foreground: R's 2 left pixels are 1 away from P: 2/8; P's bottom 3 are 1 away from R: 3/9
    assert average_hausdorff(REF, PRED) == pytest.approx(1 / 3)
    assert average_hausdorff(REF, PRED, direction="mean") == pytest.approx((1 / 4 + 1 / 3) / 2)
    # border: the same for R; P's middle pixel (2, 3) is no border, so R's pixel there is 1 away
    # too: 3/8; P's bottom row is 1 away: 3/8
    assert average_hausdorff(REF, PRED, points="border") == pytest.approx(3 / 8)


def test_average_hausdorff_with_spacing():
    assert average_hausdorff(REF, PRED, spacing=(3.0, 0.5)) == pytest.approx(3 * 3 / 9)


def test_canny_half_misses_the_frame():
    inside = np.zeros((40, 40), bool)
    inside[10:30, 10:30] = True
    at_frame = np.zeros((40, 40), bool)
    at_frame[:20, 10:30] = True
    empty = np.zeros((40, 40), bool)
    whole = perimeter_error(empty, inside, method="canny_half")
    assert 0.4 * 80 <= whole <= 0.6 * 80
    assert perimeter_error(empty, at_frame, method="canny_half") < 0.8 * whole


@given(masks, masks)
def test_distances_agree_with_brute_force(ref, pred):
    spacing = (1.5, 0.7)
    for points, choose in (("foreground", lambda mask: mask), ("border", border)):
        a, b = (np.argwhere(choose(mask)) * spacing for mask in (ref, pred))
        ours = [
            average_hausdorff(ref, pred, spacing, direction=d, points=points)
            for d in ("max", "mean")
        ]
        if len(a) == 0 or len(b) == 0:
            assert np.isnan(ours).all()
            continue
        between = cdist(a, b)
        directed = between.min(axis=1).mean(), between.min(axis=0).mean()
        assert ours == pytest.approx([max(directed), sum(directed) / 2])
        if points == "border":
            nearest = np.hstack([between.min(axis=1), between.min(axis=0)])
            assert hausdorff(ref, pred, spacing) == pytest.approx(nearest.max())
            assert hausdorff_percentile(ref, pred, 95, spacing) == pytest.approx(
                np.percentile(nearest, 95)
            )


@given(masks, masks)
def test_symmetry_translation_rotation_and_dice_from_iou(ref, pred):
    for metric in PAIRWISE:
        value = metric(ref, pred)
        assert metric(pred, ref) == pytest.approx(value, nan_ok=True)
        assert metric(np.rot90(ref), np.rot90(pred)) == pytest.approx(value, nan_ok=True)
        moved = [np.pad(mask, ((3, 1), (0, 5))) for mask in (ref, pred)]
        # a border along the frame stays a border: what is beyond the frame counts as background
        assert metric(*moved) == pytest.approx(value, nan_ok=True)
    overlap = iou(ref, pred)
    assert dice(ref, pred) == pytest.approx(2 * overlap / (1 + overlap), nan_ok=True)


@given(masks, masks)
def test_hausdorff_is_zero_only_for_equal_masks_without_holes(ref, pred):
    if not (ref.any() and pred.any()):
        return
    assert hausdorff(ref, ref) == 0
    if hausdorff(ref, pred) == 0:
        np.testing.assert_array_equal(border(ref), border(pred))


EMPTY = np.zeros((5, 5), bool)
FULL = np.ones((5, 5), bool)


by_name = pytest.mark.parametrize("metric", PAIRWISE, ids=lambda metric: metric.__name__)
one_empty = pytest.mark.parametrize(
    "pair", [(EMPTY, FULL), (FULL, EMPTY)], ids=["empty reference", "empty prediction"]
)


@pytest.fixture
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


no_warnings = pytest.mark.usefixtures("_no_warnings")


@no_warnings
@pytest.mark.parametrize(
    "metric", [*PAIRWISE, WITHIN_A_FRAME, precision, recall], ids=lambda m: m.__name__
)
def test_both_empty_is_undefined(metric):
    assert math.isnan(metric(EMPTY, EMPTY))


@no_warnings
@one_empty
@pytest.mark.parametrize("metric", DISTANCES, ids=lambda metric: metric.__name__)
def test_distance_to_an_empty_mask_is_undefined(metric, pair):
    assert math.isnan(metric(*pair))


@no_warnings
@one_empty
@pytest.mark.parametrize("metric", OVERLAPS, ids=lambda metric: metric.__name__)
def test_overlap_with_an_empty_mask_is_zero(metric, pair):
    assert metric(*pair) == 0


@no_warnings
@one_empty
def test_an_empty_mask_has_a_perimeter_of_zero(pair):
    assert perimeter_error(*pair) == 16
    # 4 sides of 4 between the corner pixels' middles, and half of each corner cut off
    assert perimeter_error(*pair, method="contour") == pytest.approx(16 + 4 * math.sqrt(0.5))
    assert perimeter_error(*pair, method="canny_half") >= 0


@no_warnings
def test_precision_and_recall_of_empty_masks():
    assert (precision(EMPTY, FULL), recall(FULL, EMPTY)) == (0, 0)
    assert math.isnan(precision(FULL, EMPTY))
    assert math.isnan(recall(EMPTY, FULL))


@no_warnings
def test_diameters_of_an_empty_prediction_are_undefined():
    for axis in ("long", "short"):
        assert math.isnan(diameter_error(10.0, EMPTY, axis=axis))


def test_precision_and_recall_by_hand():
    assert precision(REF, PRED) == pytest.approx(6 / 9)
    assert recall(REF, PRED) == pytest.approx(6 / 8)


def test_centroids_by_hand():
    # centres of mass: rows 1.5 and 2, columns 2.5 and 3; rows of 3 mm, columns of 0.5
    assert center_error(REF, PRED, method="centroid") == pytest.approx(math.sqrt(0.5))
    far = center_error(REF, PRED, (3.0, 0.5), method="centroid")
    assert far == pytest.approx(math.hypot(1.5, 0.25))


def test_surface_dice_by_hand():
    # all of R's 8 pixels are border; 2 on the left are not on P's border, nor is (2, 3), which is
    # inside P. Of P's 8 border pixels 5 are on R's: all but the bottom row
    assert normalised_surface_dice(REF, PRED, 0.0) == pytest.approx((5 + 5) / (8 + 8))
    assert normalised_surface_dice(REF, PRED, 1.0) == 1


def test_diameters_by_hand():
    # pixel centres of a 3 by 1 box: the diagonal is sqrt 10; a chord across it, in the direction
    # (-1, 3), climbs the box's height of 1 on a length of sqrt 10 / 3
    assert diameter_error(0.0, REF) == pytest.approx(math.sqrt(10))
    assert diameter_error(5.0, REF) == pytest.approx(5 - math.sqrt(10))
    assert diameter_error(0.0, REF, axis="short") == pytest.approx(math.sqrt(10) / 3)
    # rows of 3 mm: 3 by 3 mm
    assert diameter_error(0.0, REF, (3.0, 1.0)) == pytest.approx(math.sqrt(18))
    assert diameter_error(0.0, REF, (3.0, 1.0), axis="short") == pytest.approx(math.sqrt(18))


def test_one_pixel_masks():
    a, b = np.zeros((5, 5), bool), np.zeros((5, 5), bool)
    a[0, 0], b[3, 4] = True, True
    assert [hausdorff(a, b), average_hausdorff(a, b), center_error(a, b)] == [5, 5, 5]


def test_integers_of_0_and_1_are_masks():
    assert dice(REF.astype(np.uint8), PRED.astype(np.int64)) == dice(REF, PRED)


@pytest.mark.parametrize(
    ("ref", "pred", "message"),
    [
        (REF.astype(float), PRED, "ref: bool"),
        (REF, PRED.astype(np.uint8) * 255, "pred: values"),
        (REF, -PRED.astype(int), "pred: values"),
        (REF, PRED[:2], "pred: has shape"),
        (REF[None], PRED[None], "ref: a mask of two"),
        (np.zeros((0, 3), bool), np.zeros((0, 3), bool), "ref: a mask of two"),
    ],
)
@by_name
def test_what_is_no_mask_is_refused_by_name(metric, ref, pred, message):
    with pytest.raises(ValueError, match=message):
        metric(ref, pred)


@pytest.mark.parametrize("spacing", [(0, 1), (1, -1), (1,), (1, float("nan")), 0.5])
def test_impossible_spacing(spacing):
    for metric in (hausdorff, average_hausdorff, average_surface_distance, center_error):
        with pytest.raises(ValueError, match="spacing"):
            metric(REF, PRED, spacing)
    with pytest.raises(ValueError, match="spacing"):
        diameter_error(1.0, PRED, spacing)


def test_distances_of_more_than_2048_px_are_exact():
    """The squares of single-precision numbers are off by one there."""
    ref, pred = np.zeros((2, 1467, 1467), bool)
    ref[0, 0] = pred[1442, 1466] = True
    assert hausdorff(ref, pred) == math.hypot(1442, 1466)


def test_unknown_choices():
    with pytest.raises(ValueError, match="method"):
        perimeter_error(REF, PRED, method="canny")
    with pytest.raises(ValueError, match="direction"):
        average_hausdorff(REF, PRED, direction="min")
    with pytest.raises(ValueError, match="points"):
        average_hausdorff(REF, PRED, points="all")
    with pytest.raises(ValueError, match="surface"):
        normalised_surface_dice(REF, PRED, 1.0, surface="mesh")
    with pytest.raises(ValueError, match="tolerance"):
        normalised_surface_dice(REF, PRED, -1.0)
    with pytest.raises(ValueError, match="axis"):
        diameter_error(1.0, PRED, axis="third")
    with pytest.raises(ValueError, match="marked"):
        diameter_error(-1.0, PRED)
    with pytest.raises(ValueError, match="method"):
        center_error(REF, PRED, method="mean")
    with pytest.raises(ValueError, match="q: "):
        metrics.hausdorff_percentile(REF, PRED, 101)
