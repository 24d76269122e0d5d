"""Metrics of a three-dimensional mask against its reference, in mm.

Every function takes the reference first, then the prediction: (x, y, z) bool of one shape, and the
voxel's sizes along these axes, mm. The border of a mask is its voxels with one of their six
neighbours in the background or outside the volume.
"""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from scipy.ndimage import binary_erosion, distance_transform_edt, generate_binary_structure

SIX = generate_binary_structure(3, 1)


class VolumePair:
    """A reference and a prediction, cut to the box around both.

    Args:
        ref: (x, y, z) bool.
        pred: (x, y, z) bool.
        sizes_mm: sizes of a voxel along the three axes.

    Raises:
        ValueError: if a mask is not bool with three dimensions, the shapes differ, or a size is not
            positive.
    """

    def __init__(self, ref: np.ndarray, pred: np.ndarray, sizes_mm: Sequence[float]) -> None:
        for name, mask in (("ref", ref), ("pred", pred)):
            if mask.ndim != 3 or mask.dtype != bool:
                raise ValueError(
                    f"{name}: needs three dimensions of bool, not {mask.shape} of {mask.dtype}"
                )
        if ref.shape != pred.shape:
            raise ValueError(f"pred: has shape {pred.shape}, and ref {ref.shape}")
        if len(sizes_mm) != 3 or not all(np.isfinite(size) and size > 0 for size in sizes_mm):
            raise ValueError(f"sizes_mm: needs three positive numbers, not {sizes_mm!r}")
        self.sizes_mm = tuple(float(size) for size in sizes_mm)
        for axis in (2, 1, 0):  # slices first: then little is left to look at
            others = tuple(other for other in range(3) if other != axis)
            filled = np.flatnonzero(ref.any(axis=others) | pred.any(axis=others))
            part = slice(filled[0], filled[-1] + 1) if filled.size else slice(0, 0)
            index = tuple(part if other == axis else slice(None) for other in range(3))
            ref, pred = ref[index], pred[index]
        self.ref, self.pred = ref, pred

    @property
    def has_empty(self) -> bool:
        """Whether at least one mask is empty."""
        return not (self.ref.any() and self.pred.any())

    @cached_property
    def border_distances(self) -> tuple[np.ndarray, np.ndarray]:
        """Distance of each border voxel to the other's border, mm: of ref, of pred."""
        # the erosion sees background outside of the box, as outside of the volume
        borders = [mask & ~binary_erosion(mask, SIX) for mask in (self.ref, self.pred)]
        maps = [distance_transform_edt(~border, sampling=self.sizes_mm) for border in borders]
        return maps[1][borders[0]], maps[0][borders[1]]


def volume_dice(pair: VolumePair) -> float:
    """Dice coefficient: 0 if one mask is empty, nan if both are."""
    total = int(pair.ref.sum()) + int(pair.pred.sum())
    return 2 * int((pair.ref & pair.pred).sum()) / total if total else float("nan")


def volume_error_percent(pair: VolumePair) -> float:
    """Prediction's volume minus the reference's, in percent of the reference's.

    -100 if only the prediction is empty; nan if the reference is.
    """
    reference = int(pair.ref.sum())
    return 100 * (int(pair.pred.sum()) / reference - 1) if reference else float("nan")


def surface_dice_mm(pair: VolumePair, tolerance_mm: float) -> float:
    """Normalised surface Dice: fraction of both borders' voxels within a tolerance of the other.

    0 if one mask is empty, nan if both are. Agrees with MONAI's `compute_surface_dice`, and is
    called NSD; surface-distance weighs border elements by their area instead.
    """
    if pair.has_empty:
        return 0.0 if pair.ref.any() or pair.pred.any() else float("nan")
    first, second = pair.border_distances
    within = int((first <= tolerance_mm).sum()) + int((second <= tolerance_mm).sum())
    return within / (len(first) + len(second))


def surface_distance_mm(pair: VolumePair) -> float:
    """Average symmetric surface distance, mm; nan if a mask is empty. Agrees with MONAI."""
    if pair.has_empty:
        return float("nan")
    return float(np.concatenate(pair.border_distances).mean())


def hausdorff95_mm(pair: VolumePair) -> float:
    """95th percentile of the border distances of both directions together, mm; nan if one is empty.

    MONAI and surface-distance use the larger one of the two directed percentiles.
    """
    if pair.has_empty:
        return float("nan")
    return float(np.percentile(np.concatenate(pair.border_distances), 95))
