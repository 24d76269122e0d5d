"""Outlines of masks: their length between pixels, and Canny's edge pixels."""

import functools
from collections.abc import Sequence

import cv2
import numpy as np
from scipy.ndimage import correlate1d

# Non-maximum suppression is scikit-image's own compiled code, because the result must equal that of
# `skimage.feature.canny` to the last pixel, including ties between equal neighbours.
from skimage.feature._canny_cy import _nonmaximum_suppression_bilinear

# The smoothed gradient is below the threshold farther than 2 px from a mask; the maxima need one
# more neighbour, and so does the gradient.
CANNY_REACH_PX = 4
BLUR = np.exp(-0.5 * np.arange(-4.0, 5.0) ** 2)  # sigma 1, cut at 4 sigma
BLUR /= BLUR.sum()


def corner_codes(mask: np.ndarray) -> np.ndarray:
    """Return, per corner of the pixel grid, a code of its four pixels that are foreground.

    Args:
        mask: (H, W) uint8 of 0 and 1.

    Returns:
        (H + 1, W + 1) uint8: 8 upper left, 4 upper right, 2 lower left, 1 lower right. 0 and 15 are
        corners off the contour.

    >>> corner_codes(np.ones((1, 1), np.uint8)).tolist()
    [[1, 2], [4, 8]]
    """
    padded = cv2.copyMakeBorder(mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    rows = 2 * padded[:, :-1] + padded[:, 1:]
    return 4 * rows[:-1] + rows[1:]


@functools.cache
def contour_lengths(spacing: tuple[float, float]) -> np.ndarray:
    """Return the length of the contour at a corner of each of the 16 codes, mm.

    The contour joins the middles of the pixels' edges, as in marching squares. `spacing` is mm per
    pixel of rows and columns.
    """
    rows, columns = spacing
    cut = float(np.hypot(rows, columns)) / 2  # across one corner
    lengths = np.zeros(16)
    lengths[[1, 2, 4, 8, 7, 11, 13, 14]] = cut
    lengths[[3, 12]] = columns
    lengths[[5, 10]] = rows
    lengths[[6, 9]] = 2 * cut
    return lengths


def perimeter(mask: np.ndarray, spacing: tuple[float, float]) -> float:
    """Return the length of the contour of (H, W) uint8 of 0 and 1, mm.

    >>> round(perimeter(np.ones((1, 1), np.uint8), (1.0, 1.0)), 3)  # a square on its corner
    2.828
    """
    counts = cv2.calcHist([corner_codes(mask)], [0], None, [16], [0, 16]).ravel()
    return float(counts @ contour_lengths(spacing))


def canny_counts(masks: Sequence[np.ndarray], box: tuple[int, int, int, int]) -> list[int]:
    """Count Canny's edge pixels of each mask: sigma 1, both thresholds 1, on 0 and 1.

    The result equals that of scikit-image's `canny` with these settings on uint8, but only the
    masks' surroundings are computed.

    Args:
        masks: M masks, (H, W) uint8 of 0 and 1.
        box: top, left, height and width of a box that contains all foreground.
    """
    shape = masks[0].shape
    top, left, height, width = box
    y0, y1 = max(0, top - CANNY_REACH_PX), min(shape[0], top + height + CANNY_REACH_PX)
    x0, x1 = max(0, left - CANNY_REACH_PX), min(shape[1], left + width + CANNY_REACH_PX)
    levels = np.zeros((len(masks), y1 - y0, x1 - x0))
    columns_of_box = slice(left - x0, left - x0 + width)
    first = np.stack([mask[y0:y1, left : left + width] for mask in masks]) / 255.0
    correlate1d(first, BLUR, 1, output=levels[:, :, columns_of_box], mode="constant")
    blurred = correlate1d(levels, BLUR, 2, mode="constant")
    in_image, inside = _frame(shape)
    # one more pixel on every side repeats the outermost pixel
    levels = np.empty((len(masks), y1 - y0 + 2, x1 - x0 + 2))
    np.divide(blurred, in_image[y0:y1, x0:x1], out=levels[:, 1:-1, 1:-1])
    levels[:, 0], levels[:, -1] = levels[:, 1], levels[:, -2]
    levels[:, :, 0], levels[:, :, -1] = levels[:, :, 1], levels[:, :, -2]
    across = levels[:, :, 2:] - levels[:, :, :-2]
    columns = across[:, :-2] + across[:, 2:]
    columns += 2 * across[:, 1:-1]
    down = levels[:, 2:] - levels[:, :-2]
    rows = down[:, :, :-2] + down[:, :, 2:]
    rows += 2 * down[:, :, 1:-1]
    strength = rows * rows
    strength += columns * columns
    np.sqrt(strength, out=strength)
    inside = inside[y0:y1, x0:x1].copy()
    return [
        int(np.count_nonzero(_nonmaximum_suppression_bilinear(*gradient, inside, 1.0 / 255.0)))
        for gradient in zip(rows, columns, strength, strict=True)
    ]


@functools.lru_cache(maxsize=8)
def _frame(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return each pixel's fraction of blur inside the image, and all pixels but the frame's."""
    in_image = np.ones(shape)
    for axis in (0, 1):
        in_image = correlate1d(in_image, BLUR, axis, mode="constant")
    inside = np.zeros(shape, np.uint8)
    inside[1:-1, 1:-1] = 1
    return in_image + np.finfo(float).eps, inside
