"""Metrics of one two-dimensional mask against its reference.

Every function takes the reference first, then the prediction: (H, W) bool, or integers of 0 and 1.
It returns a float, which is nan if the metric is undefined, and raises ValueError if a mask is
anything else. Distances are in pixels, or in mm with `spacing` (mm per pixel of rows and columns).
docs/reference/metrics.md compares the names with those of other tools;
`weaklesion.metrics.measures` computes all metrics of many pairs.
"""

from typing import Literal

import numpy as np

from weaklesion.metrics import formulas
from weaklesion.metrics.pair import MaskPair, Spacing, checked


def iou(ref: np.ndarray, pred: np.ndarray) -> float:
    """Intersection over union, |R and P| / |R or P|.

    0 if one mask is empty; nan if both are. Source: Chu et al. 2021, section 7.1.

    >>> iou(np.array([[1, 1, 1, 0]]), np.array([[0, 1, 1, 1]]))
    0.5
    """
    return formulas.iou(MaskPair(ref, pred))


def dice(ref: np.ndarray, pred: np.ndarray) -> float:
    """Dice coefficient, 2 |R and P| / (|R| + |P|).

    0 if one mask is empty; nan if both are. Source: Chu et al. 2021, section 7.1.

    >>> round(dice(np.array([[1, 1, 1, 0]]), np.array([[0, 1, 1, 1]])), 3)
    0.667
    """
    return formulas.dice(MaskPair(ref, pred))


def precision(ref: np.ndarray, pred: np.ndarray) -> float:
    """Fraction of the prediction that is correct, |R and P| / |P|.

    0 if only the reference is empty; nan if the prediction is.

    >>> precision(np.array([[1, 1, 0, 0]]), np.array([[0, 1, 1, 1]])) == 1 / 3
    True
    """
    return formulas.precision(MaskPair(ref, pred))


def recall(ref: np.ndarray, pred: np.ndarray) -> float:
    """Fraction of the reference that is detected, |R and P| / |R|.

    0 if only the prediction is empty; nan if the reference is.

    >>> recall(np.array([[1, 1, 0, 0]]), np.array([[0, 1, 1, 1]]))
    0.5
    """
    return formulas.recall(MaskPair(ref, pred))


def volumetric_similarity(ref: np.ndarray, pred: np.ndarray) -> float:
    """Volumetric similarity, 1 - |FN - FP| / (2 TP + FP + FN), which compares sizes only.

    0 if one mask is empty; nan if both are. Source: Taha and Hanbury 2015.

    >>> volumetric_similarity(np.array([[1, 1, 0, 0]]), np.array([[0, 0, 1, 1]]))
    1.0
    """
    return formulas.volumetric_similarity(MaskPair(ref, pred))


def center_error(
    ref: np.ndarray,
    pred: np.ndarray,
    spacing: Spacing = (1.0, 1.0),
    *,
    method: Literal["box", "centroid"] = "box",
) -> float:
    """Distance of the two centres.

    `box` compares the centres of the bounding boxes (Chu et al. 2021, section 7.1), `centroid` the
    means of all foreground pixels. nan if a mask is empty.

    >>> center_error(np.array([[1, 1, 1, 0]]), np.array([[0, 1, 1, 1]]), spacing=(1.0, 0.5))
    0.5
    """
    if method not in ("box", "centroid"):
        raise ValueError(f"method: 'box' or 'centroid' is needed, not {method!r}")
    return formulas.center_error(MaskPair(ref, pred, spacing), method)


def perimeter_error(
    ref: np.ndarray,
    pred: np.ndarray,
    *,
    method: Literal["boundary", "canny_half", "contour"] = "boundary",
) -> float:
    """Difference of the two perimeters.

    `boundary` counts border pixels, those of holes too, where the paper speaks of the outermost
    edge (Chu et al. 2021, section 7.1). `canny_half`, which the released
    code computes (discrepancy M2), is half the difference of Canny edge pixels (sigma 1, both
    thresholds 1) and misses edges along the image's frame. `contour` is the difference in length,
    px, of the contours through the middles of pixel edges. An empty mask has perimeter 0; nan if
    both are empty.

    >>> perimeter_error(np.ones((1, 3), int), np.array([[0, 1, 0]]), method="boundary")
    2.0
    """
    if method not in ("boundary", "canny_half", "contour"):
        raise ValueError(f"method: 'boundary', 'canny_half' or 'contour' is needed, not {method!r}")
    return formulas.perimeter_error(MaskPair(ref, pred), method)


def hausdorff(ref: np.ndarray, pred: np.ndarray, spacing: Spacing = (1.0, 1.0)) -> float:
    """Maximum Hausdorff distance of the 4-connected borders, both ways.

    nan if a mask is empty. The released code prints this metric as "AVD" (discrepancy M1). Agrees
    with `medpy.metric.hd` and MONAI.

    >>> hausdorff(np.array([[1, 0, 0, 0]]), np.array([[1, 0, 0, 1]]), spacing=(1.0, 0.5))
    1.5
    """
    return formulas.hausdorff(MaskPair(ref, pred, spacing))


def hausdorff_percentile(
    ref: np.ndarray, pred: np.ndarray, q: float, spacing: Spacing = (1.0, 1.0)
) -> float:
    """Percentile q of all border distances of both directions together; HD95 with q = 95.

    nan if a mask is empty. Agrees with `medpy.metric.hd95`; MONAI and surface-distance use the
    larger of the two directed percentiles.

    Raises:
        ValueError: if q is not within 0 and 100.

    >>> hausdorff_percentile(np.array([[1, 0, 0, 0]]), np.array([[1, 0, 0, 1]]), q=50)
    0.0
    """
    if not 0 <= q <= 100:
        raise ValueError(f"q: 0 to 100 is needed, not {q}")
    return formulas.hausdorff_percentile(MaskPair(ref, pred, spacing), q)


def average_hausdorff(
    ref: np.ndarray,
    pred: np.ndarray,
    spacing: Spacing = (1.0, 1.0),
    *,
    direction: Literal["max", "mean"] = "max",
    points: Literal["foreground", "border"] = "foreground",
) -> float:
    """Average Hausdorff distance: the mean distance to the nearest point of the other mask.

    nan if a mask is empty. The `max` of the two directions over all foreground pixels is the
    paper's formula (Chu et al. 2021, section 7.1). EvaluateSegmentation (Taha and Hanbury 2015)
    uses the `mean` of the two directions. The `mean` over borders equals `medpy.metric.assd` up to
    version 0.4.

    Args:
        ref: (H, W) reference.
        pred: (H, W) prediction.
        spacing: mm per pixel of rows and columns.
        direction: how the two directed means become one number.
        points: whether all foreground pixels count, or only the 4-connected border.

    >>> average_hausdorff(np.array([[1, 1, 0, 0]]), np.array([[0, 1, 1, 1]]))
    1.0
    >>> average_hausdorff(np.array([[1, 1, 0, 0]]), np.array([[0, 1, 1, 1]]), direction="mean")
    0.75
    """
    if direction not in ("max", "mean"):
        raise ValueError(f"direction: 'max' or 'mean' is needed, not {direction!r}")
    if points not in ("foreground", "border"):
        raise ValueError(f"points: 'foreground' or 'border' is needed, not {points!r}")
    return formulas.average_hausdorff(MaskPair(ref, pred, spacing), direction, points)


def average_surface_distance(
    ref: np.ndarray, pred: np.ndarray, spacing: Spacing = (1.0, 1.0)
) -> float:
    """Average symmetric surface distance: the mean over the border points of both masks.

    nan if a mask is empty. Each point counts once, so the longer border weighs more (Heimann et al.
    2009). Agrees with MONAI and `medpy.metric.assd`. With equal weight for both directions it would
    be `average_hausdorff` with `mean` and `border`.

    >>> average_surface_distance(np.array([[1, 1, 0, 0]]), np.array([[0, 1, 1, 1]]))
    0.8
    """
    return formulas.average_surface_distance(MaskPair(ref, pred, spacing))


def normalised_surface_dice(
    ref: np.ndarray,
    pred: np.ndarray,
    tolerance: float,
    spacing: Spacing = (1.0, 1.0),
    *,
    surface: Literal["pixels", "contour"] = "pixels",
) -> float:
    """Fraction of both borders that lies within a tolerance of the other border.

    `pixels` counts border pixels, as MONAI does; `contour` weighs the elements of the contour
    between pixels by their length, as surface-distance does (Nikolov et al. 2018). 0 if one mask is
    empty; nan if both are.

    Args:
        ref: (H, W) reference.
        pred: (H, W) prediction.
        tolerance: largest distance that counts as agreement, in the unit of `spacing`.
        spacing: mm per pixel of rows and columns.
        surface: whether a border consists of pixels, or of the contour between them.

    >>> normalised_surface_dice(np.array([[1, 1, 0, 0]]), np.array([[0, 1, 1, 1]]), tolerance=1.0)
    0.8
    """
    if not tolerance >= 0:
        raise ValueError(f"tolerance: 0 or more is needed, not {tolerance}")
    if surface not in ("pixels", "contour"):
        raise ValueError(f"surface: 'pixels' or 'contour' is needed, not {surface!r}")
    return formulas.surface_dice(MaskPair(ref, pred, spacing), tolerance, surface)


def diameter_error(
    marked: float,
    pred: np.ndarray,
    spacing: Spacing = (1.0, 1.0),
    *,
    axis: Literal["long", "short"] = "long",
) -> float:
    """Difference of a RECIST diameter measured on the prediction from the marked one.

    The long diameter is the longest between two pixel centres, the short diameter the longest
    perpendicular to it, of the part with the longest one (`weaklesion.recist.measure_recist`). nan
    if the prediction is empty.

    Args:
        marked: length of the marked diameter, in the unit of `spacing`.
        pred: (H, W) prediction.
        spacing: mm per pixel of rows and columns.
        axis: the long or the short diameter.

    >>> diameter_error(4.0, np.array([[1, 1, 1, 0]]))
    2.0
    """
    if not marked >= 0:
        raise ValueError(f"marked: 0 or more is needed, not {marked}")
    if axis not in ("long", "short"):
        raise ValueError(f"axis: 'long' or 'short' is needed, not {axis!r}")
    pair = MaskPair(pred, checked(pred, "pred"), spacing)
    return formulas.diameter_error(pair, marked, 0 if axis == "long" else 1)
