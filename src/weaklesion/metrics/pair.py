"""A reference and a prediction; intermediate results that several metrics share are kept."""

import math
from collections.abc import Sequence
from functools import cached_property

import cv2
import numpy as np
from scipy.ndimage import distance_transform_edt

from weaklesion.recist import longest_diameters

Spacing = Sequence[float]

CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
# Up to this side no distance exceeds 2048 px, so that the squares of OpenCV's single-precision
# distances round to the exact whole numbers.
EXACT_SIDE_PX = 1448


class MaskPair:
    """Two masks of one shape.

    Args:
        ref: (H, W) reference, bool or integers of 0 and 1.
        pred: (H, W) prediction, likewise.
        spacing: mm per pixel of rows and columns; ones for distances in pixels.

    Raises:
        ValueError: if a mask has other values, the shapes differ or a spacing is not positive. The
            message names the argument.

    >>> pair = MaskPair(np.array([[1, 1, 1, 0]]), np.array([[0, 1, 1, 1]]))
    >>> pair.num_both, pair.border_sizes, pair.all_border_distances.tolist()
    (2, (3, 3), [0.0, 0.0, 0.0, 0.0, 1.0, 1.0])
    """

    def __init__(self, ref: np.ndarray, pred: np.ndarray, spacing: Spacing = (1.0, 1.0)) -> None:
        self.ref_whole, self.pred_whole = checked(ref, "ref"), checked(pred, "pred")
        if self.ref_whole.shape != self.pred_whole.shape:
            raise ValueError(
                f"pred: has shape {self.pred_whole.shape}, and ref {self.ref_whole.shape}"
            )
        if np.shape(spacing) != (2,) or not all(math.isfinite(mm) and mm > 0 for mm in spacing):
            raise ValueError(f"spacing: two positive numbers are needed, not {spacing!r}")
        self.spacing = float(spacing[0]), float(spacing[1])
        # all metrics are computed inside the box around both masks
        either = cv2.bitwise_or(self.ref_whole, self.pred_whole)
        self.left, self.top, width, height = cv2.boundingRect(either)
        box = np.s_[self.top : self.top + height, self.left : self.left + width]
        self.ref, self.pred = self.ref_whole[box].copy(), self.pred_whole[box].copy()

    @cached_property
    def num_ref(self) -> int:
        """Number of the reference's pixels."""
        return cv2.countNonZero(self.ref)

    @cached_property
    def num_pred(self) -> int:
        """Number of the prediction's pixels."""
        return cv2.countNonZero(self.pred)

    @cached_property
    def num_both(self) -> int:
        """Number of pixels of both."""
        return cv2.countNonZero(cv2.bitwise_and(self.ref, self.pred))

    @property
    def has_empty(self) -> bool:
        """Whether at least one mask is empty."""
        return not (self.num_ref and self.num_pred)

    @cached_property
    def borders(self) -> tuple[np.ndarray, np.ndarray]:
        """The 4-connected borders of both, (h, w) bool, see `border`."""
        return border(self.ref), border(self.pred)

    @cached_property
    def border_sizes(self) -> tuple[int, int]:
        """Number of border pixels of both."""
        edge_ref, edge_pred = self.borders
        return int(np.count_nonzero(edge_ref)), int(np.count_nonzero(edge_pred))

    def point_distances(
        self, points_ref: np.ndarray, points_pred: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Distance of each point to the other set: those of `points_ref`, those of `points_pred`.

        Args:
            points_ref: (h, w) bool.
            points_pred: (h, w) bool.

        Returns:
            Two float64 arrays, each in the order of the pixels.
        """
        to_ref, to_pred = self._map(points_ref), self._map(points_pred)
        return self._lengths(to_pred[points_ref]), self._lengths(to_ref[points_pred])

    @cached_property
    def _maps(self) -> tuple[np.ndarray, np.ndarray]:
        """Distance map (see `_map`) to the border of both."""
        edge_ref, edge_pred = self.borders
        return self._map(edge_ref), self._map(edge_pred)

    def _map(self, points: np.ndarray) -> np.ndarray:
        """Each pixel's distance to the nearest point; `_lengths` turns it into float64 and mm."""
        if self._is_exact:
            elsewhere = (~points).view(np.uint8)
            return cv2.distanceTransform(elsewhere, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        return distance_transform_edt(~points, sampling=self.spacing)

    @property
    def _is_exact(self) -> bool:
        return self.spacing[0] == self.spacing[1] and max(self.ref.shape) <= EXACT_SIDE_PX

    def _lengths(self, values: np.ndarray) -> np.ndarray:
        """Turn values of a distance map into float64 distances."""
        if not self._is_exact:
            return values
        squares = np.rint(values.astype(np.float64) ** 2)
        return np.sqrt(squares) * self.spacing[0]

    @cached_property
    def border_distances(self) -> tuple[np.ndarray, np.ndarray]:
        """Distance of each border point to the other's border: of ref, of pred."""
        (edge_ref, edge_pred), (to_ref, to_pred) = self.borders, self._maps
        return self._lengths(to_pred[edge_ref]), self._lengths(to_ref[edge_pred])

    @cached_property
    def all_border_distances(self) -> np.ndarray:
        """All values of `border_distances`, ascending."""
        return np.sort(np.concatenate(self.border_distances))

    @cached_property
    def border_sums(self) -> tuple[float, float]:
        """Sum of the border distances: of ref, of pred."""
        of_ref, of_pred = self.border_distances
        return float(of_ref.sum()), float(of_pred.sum())

    @cached_property
    def foreground_sums(self) -> tuple[float, float]:
        """Sum of the distances of all foreground pixels to the other mask: of ref, of pred.

        A pixel inside the other mask is at distance 0; for one outside, the nearest point of the
        other mask is on its border.
        """
        to_ref, to_pred = self._maps
        only_ref, only_pred = self.ref > self.pred, self.pred > self.ref
        return (
            float(self._lengths(to_pred[only_ref]).sum()),
            float(self._lengths(to_ref[only_pred]).sum()),
        )

    @cached_property
    def pred_diameters(self) -> tuple[float, float]:
        """Long and short RECIST diameter of the prediction, see `weaklesion.recist`."""
        long_a, long_b, short_a, short_b = longest_diameters(self.pred > 0, self.spacing)
        return math.dist(long_a, long_b), math.dist(short_a, short_b)


def checked(mask: np.ndarray, name: str) -> np.ndarray:
    """Return a mask as (H, W) uint8 of 0 and 1.

    Raises:
        ValueError: if it is not a mask; the message contains `name`.
    """
    mask = np.asarray(mask)
    if mask.ndim != 2 or mask.size == 0:
        raise ValueError(f"{name}: a mask of two dimensions is needed, not shape {mask.shape}")
    if mask.dtype == bool:
        return np.ascontiguousarray(mask).view(np.uint8)
    if not np.issubdtype(mask.dtype, np.integer):
        raise ValueError(f"{name}: bool or integers of 0 and 1 are needed, not {mask.dtype}")
    if mask.min() < 0 or mask.max() > 1:
        raise ValueError(f"{name}: values of 0 and 1 are needed, not {mask.min()} to {mask.max()}")
    return np.ascontiguousarray(mask, dtype=np.uint8)


def border(mask: np.ndarray) -> np.ndarray:
    """Return the foreground pixels with a 4-neighbour in the background or outside the image.

    Args:
        mask: (H, W) bool, or uint8 of 0 and 1.

    Returns:
        (H, W) bool.
    """
    mask = np.ascontiguousarray(mask).view(np.uint8)
    inner = cv2.erode(mask, CROSS, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return mask > inner
