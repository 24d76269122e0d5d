"""Metrics of one two-dimensional mask against its reference.

Every function takes the reference first, then the prediction: (H, W) bool, or integers of 0 and 1.
It returns a float, nan where the metric is undefined, and raises ValueError for anything else.
Distances are in pixels unless `spacing` (mm per pixel of rows and of columns) says otherwise.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from scipy.ndimage import binary_erosion, distance_transform_edt
from skimage.feature import canny

Spacing = Sequence[float]


def _masks(ref: np.ndarray, pred: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Check both masks and return them as bool."""
    checked = []
    for name, mask in (("ref", ref), ("pred", pred)):
        mask = np.asarray(mask)
        if mask.ndim != 2 or mask.size == 0:
            raise ValueError(f"{name}: a mask of two dimensions is needed, not shape {mask.shape}")
        if mask.dtype != bool:
            if not np.issubdtype(mask.dtype, np.integer):
                raise ValueError(
                    f"{name}: bool or integers of 0 and 1 are needed, not {mask.dtype}"
                )
            if mask.min() < 0 or mask.max() > 1:
                raise ValueError(
                    f"{name}: values of 0 and 1 are needed, not {mask.min()} to {mask.max()}"
                )
            mask = mask.astype(bool)
        checked.append(mask)
    if checked[0].shape != checked[1].shape:
        raise ValueError(f"pred: has shape {checked[1].shape}, and ref {checked[0].shape}")
    return checked[0], checked[1]


def _spacing(spacing: Spacing) -> tuple[float, float]:
    if len(spacing) != 2 or not all(np.isfinite(step) and step > 0 for step in spacing):
        raise ValueError(f"spacing: two positive numbers are needed, not {spacing!r}")
    return float(spacing[0]), float(spacing[1])


def iou(ref: np.ndarray, pred: np.ndarray) -> float:
    """Intersection over union, |R and P| / |R or P|.

    0 where one mask is empty; nan where both are. Source: Chu et al. 2021, section 7.1.
    """
    ref, pred = _masks(ref, pred)
    union = int((ref | pred).sum())
    return int((ref & pred).sum()) / union if union else float("nan")


def dice(ref: np.ndarray, pred: np.ndarray) -> float:
    """Dice coefficient, 2 |R and P| / (|R| + |P|).

    0 where one mask is empty; nan where both are. Source: Chu et al. 2021, section 7.1.
    """
    ref, pred = _masks(ref, pred)
    total = int(ref.sum()) + int(pred.sum())
    return 2 * int((ref & pred).sum()) / total if total else float("nan")


def volumetric_similarity(ref: np.ndarray, pred: np.ndarray) -> float:
    """Volumetric similarity, 1 - |FN - FP| / (2 TP + FP + FN): of sizes, not of places.

    0 where one mask is empty; nan where both are. Source: Taha and Hanbury 2015.
    """
    ref, pred = _masks(ref, pred)
    num_ref, num_pred = int(ref.sum()), int(pred.sum())
    if num_ref + num_pred == 0:
        return float("nan")
    return 1.0 - abs(num_ref - num_pred) / (num_ref + num_pred)


def center_error(ref: np.ndarray, pred: np.ndarray) -> float:
    """Distance of the centres of the two bounding boxes, px.

    nan where a mask is empty. Source: Chu et al. 2021, section 7.1.
    """
    ref, pred = _masks(ref, pred)
    if not (ref.any() and pred.any()):
        return float("nan")
    return float(np.hypot(*(_box_center(ref) - _box_center(pred))))


def _box_center(mask: np.ndarray) -> np.ndarray:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return np.array([(rows[0] + rows[-1]) / 2, (columns[0] + columns[-1]) / 2])


def border(mask: np.ndarray) -> np.ndarray:
    """Return the foreground pixels with a 4-neighbour in the background or outside the image."""
    return mask & ~binary_erosion(mask)


def perimeter_error(
    ref: np.ndarray,
    pred: np.ndarray,
    *,
    method: Literal["boundary", "canny_half"] = "boundary",
) -> float:
    """Difference of the two perimeters, as numbers of pixels.

    `boundary` counts border pixels (Chu et al. 2021, section 7.1); `canny_half` is half the
    difference of Canny edge pixels (sigma 1, both thresholds 1), which the released code computes
    (discrepancy M2), and which misses edges along the image's frame. An empty mask has perimeter 0;
    nan where both are empty.
    """
    ref, pred = _masks(ref, pred)
    if not (ref.any() or pred.any()):
        return float("nan")
    if method == "boundary":
        return float(abs(int(border(ref).sum()) - int(border(pred).sum())))
    if method == "canny_half":
        return abs(_canny_count(ref) - _canny_count(pred)) / 2
    raise ValueError(f"method: 'boundary' or 'canny_half' is needed, not {method!r}")


def _canny_count(mask: np.ndarray) -> int:
    return int(canny(mask.astype(np.uint8), sigma=1, low_threshold=1, high_threshold=1).sum())


def _distances(
    ref: np.ndarray, pred: np.ndarray, spacing: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return each point's distance to the other set, both ways; None where a set is empty."""
    if not (ref.any() and pred.any()):
        return None
    rows, columns = (
        np.flatnonzero((ref | pred).any(axis=1)),
        np.flatnonzero((ref | pred).any(axis=0)),
    )
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    ref, pred = ref[box], pred[box]  # the nearest point of a set is always inside the box
    to_pred = distance_transform_edt(~pred, sampling=spacing)[ref]
    to_ref = distance_transform_edt(~ref, sampling=spacing)[pred]
    return to_pred, to_ref


def hausdorff(ref: np.ndarray, pred: np.ndarray, spacing: Spacing = (1.0, 1.0)) -> float:
    """Maximum Hausdorff distance of the 4-connected borders, both ways.

    nan where a mask is empty. This is what the released code prints as "AVD" (discrepancy M1).
    Agrees with `medpy.metric.hd`.
    """
    ref, pred = _masks(ref, pred)
    distances = _distances(border(ref), border(pred), _spacing(spacing))
    return float("nan") if distances is None else float(max(d.max() for d in distances))


def hausdorff_percentile(
    ref: np.ndarray, pred: np.ndarray, q: float, spacing: Spacing = (1.0, 1.0)
) -> float:
    """Percentile q of all border distances of both directions together; HD95 with q = 95.

    nan where a mask is empty. Agrees with `medpy.metric.hd95`.

    Raises:
        ValueError: if q is not within 0 and 100.
    """
    ref, pred = _masks(ref, pred)
    if not 0 <= q <= 100:
        raise ValueError(f"q: 0 to 100 is needed, not {q}")
    distances = _distances(border(ref), border(pred), _spacing(spacing))
    return float("nan") if distances is None else float(np.percentile(np.hstack(distances), q))


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
    takes their mean.

    Args:
        ref: (H, W) reference.
        pred: (H, W) prediction.
        spacing: mm per pixel of rows and columns.
        direction: how the two directed means become one number.
        points: whether all foreground pixels count, or the 4-connected border's only.
    """
    ref, pred = _masks(ref, pred)
    if direction not in ("max", "mean"):
        raise ValueError(f"direction: 'max' or 'mean' is needed, not {direction!r}")
    if points not in ("foreground", "border"):
        raise ValueError(f"points: 'foreground' or 'border' is needed, not {points!r}")
    if points == "border":
        ref, pred = border(ref), border(pred)
    distances = _distances(ref, pred, _spacing(spacing))
    if distances is None:
        return float("nan")
    means = [float(d.mean()) for d in distances]
    return max(means) if direction == "max" else sum(means) / 2
