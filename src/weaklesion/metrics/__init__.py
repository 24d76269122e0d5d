"""Metrics of one two-dimensional mask against its reference.

Every function takes the reference first, then the prediction: (H, W) bool, or integers of 0 and 1.
It returns a float, nan where the metric is undefined, and raises ValueError for anything else.
Distances are in pixels unless `spacing` (mm per pixel of rows and of columns) says otherwise.
docs/reference/metrics.md compares the names with those of other tools.
`weaklesion.metrics.measures` computes all of them for many pairs.
"""

import math
from typing import Literal

import cv2
import numpy as np

from weaklesion.metrics.contours import canny_counts, contour_lengths, corner_codes, perimeter
from weaklesion.metrics.pair import MaskPair, Spacing, checked

NAN = float("nan")


def iou(ref: np.ndarray, pred: np.ndarray) -> float:
    """Intersection over union, |R and P| / |R or P|.

    0 where one mask is empty; nan where both are. Source: Chu et al. 2021, section 7.1.
    """
    return pair_iou(MaskPair(ref, pred))


def pair_iou(pair: MaskPair) -> float:
    """Like `iou`."""
    union = pair.num_ref + pair.num_pred - pair.num_both
    return pair.num_both / union if union else NAN


def dice(ref: np.ndarray, pred: np.ndarray) -> float:
    """Dice coefficient, 2 |R and P| / (|R| + |P|).

    0 where one mask is empty; nan where both are. Source: Chu et al. 2021, section 7.1.
    """
    return pair_dice(MaskPair(ref, pred))


def pair_dice(pair: MaskPair) -> float:
    """Like `dice`."""
    total = pair.num_ref + pair.num_pred
    return 2 * pair.num_both / total if total else NAN


def precision(ref: np.ndarray, pred: np.ndarray) -> float:
    """Part of the prediction that is right, |R and P| / |P|.

    0 where only the reference is empty; nan where the prediction is.
    """
    return pair_precision(MaskPair(ref, pred))


def pair_precision(pair: MaskPair) -> float:
    """Like `precision`."""
    return pair.num_both / pair.num_pred if pair.num_pred else NAN


def recall(ref: np.ndarray, pred: np.ndarray) -> float:
    """Part of the reference that is found, |R and P| / |R|.

    0 where only the prediction is empty; nan where the reference is.
    """
    return pair_recall(MaskPair(ref, pred))


def pair_recall(pair: MaskPair) -> float:
    """Like `recall`."""
    return pair.num_both / pair.num_ref if pair.num_ref else NAN


def volumetric_similarity(ref: np.ndarray, pred: np.ndarray) -> float:
    """Volumetric similarity, 1 - |FN - FP| / (2 TP + FP + FN): of sizes, not of places.

    0 where one mask is empty; nan where both are. Source: Taha and Hanbury 2015.
    """
    return pair_volumetric_similarity(MaskPair(ref, pred))


def pair_volumetric_similarity(pair: MaskPair) -> float:
    """Like `volumetric_similarity`."""
    total = pair.num_ref + pair.num_pred
    return 1.0 - abs(pair.num_ref - pair.num_pred) / total if total else NAN


def center_error(
    ref: np.ndarray,
    pred: np.ndarray,
    spacing: Spacing = (1.0, 1.0),
    *,
    method: Literal["box", "centroid"] = "box",
) -> float:
    """Distance of the two centres.

    `box`: of the bounding boxes (Chu et al. 2021, section 7.1); `centroid`: the means of all
    foreground pixels. nan where a mask is empty.
    """
    if method not in ("box", "centroid"):
        raise ValueError(f"method: 'box' or 'centroid' is needed, not {method!r}")
    return pair_center_error(MaskPair(ref, pred, spacing), method)


def pair_center_error(pair: MaskPair, method: Literal["box", "centroid"]) -> float:
    """Like `center_error`."""
    if pair.has_empty:
        return NAN
    find = _box_center if method == "box" else _centroid
    (row, column), (other_row, other_column) = find(pair.ref), find(pair.pred)
    rows, columns = pair.spacing
    return math.hypot((row - other_row) * rows, (column - other_column) * columns)


def _box_center(mask: np.ndarray) -> tuple[float, float]:
    left, top, width, height = cv2.boundingRect(mask)
    return top + (height - 1) / 2, left + (width - 1) / 2


def _centroid(mask: np.ndarray) -> tuple[float, float]:
    sums = cv2.moments(mask, binaryImage=True)
    return sums["m01"] / sums["m00"], sums["m10"] / sums["m00"]


def perimeter_error(
    ref: np.ndarray,
    pred: np.ndarray,
    *,
    method: Literal["boundary", "canny_half", "contour"] = "boundary",
) -> float:
    """Difference of the two perimeters.

    `boundary` counts border pixels (Chu et al. 2021, section 7.1); `canny_half` is half the
    difference of Canny edge pixels (sigma 1, both thresholds 1), which the released code computes
    (discrepancy M2), and which misses edges along the image's frame; `contour` is the difference in
    length, px, of the contours through the middles of pixel edges. An empty mask has perimeter 0;
    nan where both are empty.
    """
    if method not in ("boundary", "canny_half", "contour"):
        raise ValueError(f"method: 'boundary', 'canny_half' or 'contour' is needed, not {method!r}")
    return pair_perimeter_error(MaskPair(ref, pred), method)


def pair_perimeter_error(
    pair: MaskPair, method: Literal["boundary", "canny_half", "contour"]
) -> float:
    """Like `perimeter_error`."""
    if not (pair.num_ref or pair.num_pred):
        return NAN
    if method == "boundary":
        return float(abs(pair.border_sizes[0] - pair.border_sizes[1]))
    if method == "contour":
        return abs(perimeter(pair.ref, pair.spacing) - perimeter(pair.pred, pair.spacing))
    box = (pair.top, pair.left, *pair.ref.shape)
    first, second = canny_counts((pair.ref_whole, pair.pred_whole), box)
    return abs(first - second) / 2


def hausdorff(ref: np.ndarray, pred: np.ndarray, spacing: Spacing = (1.0, 1.0)) -> float:
    """Maximum Hausdorff distance of the 4-connected borders, both ways.

    nan where a mask is empty. This is what the released code prints as "AVD" (discrepancy M1).
    Agrees with `medpy.metric.hd` and MONAI.
    """
    return pair_hausdorff(MaskPair(ref, pred, spacing))


def pair_hausdorff(pair: MaskPair) -> float:
    """Like `hausdorff`."""
    if pair.has_empty:
        return NAN
    return float(pair.all_border_distances[-1])


def hausdorff_percentile(
    ref: np.ndarray, pred: np.ndarray, q: float, spacing: Spacing = (1.0, 1.0)
) -> float:
    """Percentile q of all border distances of both directions together; HD95 with q = 95.

    nan where a mask is empty. Agrees with `medpy.metric.hd95`; MONAI and surface-distance take the
    larger of the two directed percentiles.

    Raises:
        ValueError: if q is not within 0 and 100.
    """
    if not 0 <= q <= 100:
        raise ValueError(f"q: 0 to 100 is needed, not {q}")
    return pair_hausdorff_percentile(MaskPair(ref, pred, spacing), q)


def pair_hausdorff_percentile(pair: MaskPair, q: float) -> float:
    """Like `hausdorff_percentile`."""
    if pair.has_empty:
        return NAN
    together = pair.all_border_distances
    place = q / 100 * (len(together) - 1)  # linear between neighbours, as numpy.percentile
    below = int(place)
    above = min(below + 1, len(together) - 1)
    return float(together[below] + (together[above] - together[below]) * (place - below))


def average_hausdorff(
    ref: np.ndarray,
    pred: np.ndarray,
    spacing: Spacing = (1.0, 1.0),
    *,
    direction: Literal["max", "mean"] = "max",
    points: Literal["foreground", "border"] = "foreground",
) -> float:
    """Average Hausdorff distance: the mean distance to the nearest point of the other mask.

    nan where a mask is empty. With `max` of the two directions over all foreground pixels it is the
    paper's formula (Chu et al. 2021, section 7.1); EvaluateSegmentation (Taha and Hanbury 2015)
    takes their mean; their mean over borders is what `medpy.metric.assd` was until version 0.4.

    Args:
        ref: (H, W) reference.
        pred: (H, W) prediction.
        spacing: mm per pixel of rows and columns.
        direction: how the two directed means become one number.
        points: whether all foreground pixels count, or the 4-connected border's only.
    """
    if direction not in ("max", "mean"):
        raise ValueError(f"direction: 'max' or 'mean' is needed, not {direction!r}")
    if points not in ("foreground", "border"):
        raise ValueError(f"points: 'foreground' or 'border' is needed, not {points!r}")
    return pair_average_hausdorff(MaskPair(ref, pred, spacing), direction, points)


def pair_average_hausdorff(
    pair: MaskPair,
    direction: Literal["max", "mean"],
    points: Literal["foreground", "border"],
) -> float:
    """Like `average_hausdorff`."""
    if pair.has_empty:
        return NAN
    if points == "border":
        sizes = pair.border_sizes
        first, second = (total / size for total, size in zip(pair.border_sums, sizes, strict=True))
    else:
        first, second = pair.foreground_sums
        first, second = first / pair.num_ref, second / pair.num_pred
    return max(first, second) if direction == "max" else (first + second) / 2


def average_surface_distance(
    ref: np.ndarray, pred: np.ndarray, spacing: Spacing = (1.0, 1.0)
) -> float:
    """Average symmetric surface distance: the mean over the border points of both masks.

    nan where a mask is empty. Each point counts once, so that the longer border weighs more
    (Heimann et al. 2009). Agrees with MONAI and `medpy.metric.assd`; with the same weight for both
    directions it is `average_hausdorff` with `mean` and `border`.
    """
    return pair_average_surface_distance(MaskPair(ref, pred, spacing))


def pair_average_surface_distance(pair: MaskPair) -> float:
    """Like `average_surface_distance`."""
    if pair.has_empty:
        return NAN
    return sum(pair.border_sums) / sum(pair.border_sizes)


def normalised_surface_dice(
    ref: np.ndarray,
    pred: np.ndarray,
    tolerance: float,
    spacing: Spacing = (1.0, 1.0),
    *,
    surface: Literal["pixels", "contour"] = "pixels",
) -> float:
    """Part of both borders that lies within a tolerance of the other one.

    `pixels` counts border pixels, as MONAI does; `contour` weighs the elements of the contour
    between pixels by their length, as surface-distance does (Nikolov et al. 2018). 0 where one mask
    is empty; nan where both are.

    Args:
        ref: (H, W) reference.
        pred: (H, W) prediction.
        tolerance: largest distance that counts as agreement, in the unit of `spacing`.
        spacing: mm per pixel of rows and columns.
        surface: what a border consists of.
    """
    if not tolerance >= 0:
        raise ValueError(f"tolerance: 0 or more is needed, not {tolerance}")
    if surface not in ("pixels", "contour"):
        raise ValueError(f"surface: 'pixels' or 'contour' is needed, not {surface!r}")
    return pair_surface_dice(MaskPair(ref, pred, spacing), tolerance, surface)


def pair_surface_dice(
    pair: MaskPair, tolerance: float, surface: Literal["pixels", "contour"]
) -> float:
    """Like `normalised_surface_dice`."""
    if pair.has_empty:
        return 0.0 if pair.num_ref or pair.num_pred else NAN
    if surface == "pixels":
        within = np.searchsorted(pair.all_border_distances, tolerance, side="right")
        return int(within) / len(pair.all_border_distances)
    return _contour_dice(pair, tolerance)


def _contour_dice(pair: MaskPair, tolerance: float) -> float:
    """Surface Dice over the corners of the pixel grid that the contours pass."""
    codes = [corner_codes(mask) for mask in (pair.ref, pair.pred)]
    lengths = [contour_lengths(pair.spacing)[code] for code in codes]
    on = [(code != 0) & (code != 15) for code in codes]
    distances = pair.point_distances(on[0], on[1])
    within = sum(
        float(length[here][far <= tolerance].sum())
        for length, here, far in zip(lengths, on, distances, strict=True)
    )
    return within / sum(float(length.sum()) for length in lengths)


def diameter_error(
    marked: float,
    pred: np.ndarray,
    spacing: Spacing = (1.0, 1.0),
    *,
    axis: Literal["long", "short"] = "long",
) -> float:
    """Difference of a RECIST diameter measured on the prediction from the marked one.

    The long diameter is the longest between two pixel centres, the short one the longest that is
    perpendicular to it (`weaklesion.recist.measure_recist`). nan where the prediction is empty.

    Args:
        marked: length of the marked diameter, in the unit of `spacing`.
        pred: (H, W) prediction.
        spacing: mm per pixel of rows and columns.
        axis: which of the two diameters.
    """
    if not marked >= 0:
        raise ValueError(f"marked: 0 or more is needed, not {marked}")
    if axis not in ("long", "short"):
        raise ValueError(f"axis: 'long' or 'short' is needed, not {axis!r}")
    pair = MaskPair(pred, checked(pred, "pred"), spacing)
    return pair_diameter_error(pair, marked, 0 if axis == "long" else 1)


def pair_diameter_error(pair: MaskPair, marked: float, axis: int) -> float:
    """Like `diameter_error`; axis 0 is the long one, 1 the short one."""
    return abs(pair.pred_diameters[axis] - marked) if pair.num_pred else NAN
