"""The formulas of `weaklesion.metrics` on a `MaskPair`, whose slow intermediate results they share.

Each function has the name, and in undefined cases the value, of the function that it computes; only
`surface_dice` is shorter.
"""

import math
from typing import Literal

import cv2
import numpy as np

from weaklesion.metrics.contours import canny_counts, contour_lengths, corner_codes, perimeter
from weaklesion.metrics.pair import MaskPair

NAN = float("nan")


def iou(pair: MaskPair) -> float:
    """Intersection over union."""
    union = pair.num_ref + pair.num_pred - pair.num_both
    return pair.num_both / union if union else NAN


def dice(pair: MaskPair) -> float:
    """Dice coefficient."""
    total = pair.num_ref + pair.num_pred
    return 2 * pair.num_both / total if total else NAN


def precision(pair: MaskPair) -> float:
    """Fraction of the prediction that is correct."""
    return pair.num_both / pair.num_pred if pair.num_pred else NAN


def recall(pair: MaskPair) -> float:
    """Fraction of the reference that is detected."""
    return pair.num_both / pair.num_ref if pair.num_ref else NAN


def volumetric_similarity(pair: MaskPair) -> float:
    """Volumetric similarity."""
    total = pair.num_ref + pair.num_pred
    return 1.0 - abs(pair.num_ref - pair.num_pred) / total if total else NAN


def center_error(pair: MaskPair, method: Literal["box", "centroid"]) -> float:
    """Distance of the two centres."""
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


def perimeter_error(pair: MaskPair, method: Literal["boundary", "canny_half", "contour"]) -> float:
    """Difference of the two perimeters."""
    if not (pair.num_ref or pair.num_pred):
        return NAN
    if method == "boundary":
        return float(abs(pair.border_sizes[0] - pair.border_sizes[1]))
    if method == "contour":
        return abs(perimeter(pair.ref, pair.spacing) - perimeter(pair.pred, pair.spacing))
    box = (pair.top, pair.left, *pair.ref.shape)
    first, second = canny_counts((pair.ref_whole, pair.pred_whole), box)
    return abs(first - second) / 2


def hausdorff(pair: MaskPair) -> float:
    """Maximum Hausdorff distance of the borders."""
    if pair.has_empty:
        return NAN
    return float(pair.all_border_distances[-1])


def hausdorff_percentile(pair: MaskPair, q: float) -> float:
    """Percentile q, 0 to 100, of all border distances of both directions."""
    if pair.has_empty:
        return NAN
    together = pair.all_border_distances
    position = q / 100 * (len(together) - 1)  # linear between neighbours, as numpy.percentile
    below = int(position)
    above = min(below + 1, len(together) - 1)
    return float(together[below] + (together[above] - together[below]) * (position - below))


def average_hausdorff(
    pair: MaskPair,
    direction: Literal["max", "mean"],
    points: Literal["foreground", "border"],
) -> float:
    """Average Hausdorff distance."""
    if pair.has_empty:
        return NAN
    if points == "border":
        sizes = pair.border_sizes
        first, second = (total / size for total, size in zip(pair.border_sums, sizes, strict=True))
    else:
        first, second = pair.foreground_sums
        first, second = first / pair.num_ref, second / pair.num_pred
    return max(first, second) if direction == "max" else (first + second) / 2


def average_surface_distance(pair: MaskPair) -> float:
    """Average symmetric surface distance."""
    if pair.has_empty:
        return NAN
    return sum(pair.border_sums) / sum(pair.border_sizes)


def surface_dice(pair: MaskPair, tolerance: float, surface: Literal["pixels", "contour"]) -> float:
    """Normalised surface Dice, `weaklesion.metrics.normalised_surface_dice`."""
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


def diameter_error(pair: MaskPair, marked: float, axis: int) -> float:
    """Error of a RECIST diameter; axis 0 is the long one, 1 the short one."""
    return abs(pair.pred_diameters[axis] - marked) if pair.num_pred else NAN
