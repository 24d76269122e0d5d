"""Windows of images; the border is repeated where a window extends beyond the image."""

import math

import cv2
import numpy as np

from weaklesion.ellipse import Ellipse

Window = tuple[int, int, int, int]  # x0, y0, x1, y1, px; may extend beyond the image


def cut_window(image: np.ndarray, window: Window) -> tuple[np.ndarray, np.ndarray]:
    """Cut a window out of an image.

    Args:
        image: (H, W) or (H, W, channels).
        window: the window, which overlaps the image.

    Returns:
        The window's pixels, (h, w) or (h, w, channels); and (h, w) bool, True inside the image.

    >>> cut_window(np.array([[1, 2], [3, 4]]), (1, 0, 3, 1))
    (array([[2, 2]]), array([[ True, False]]))
    """
    x0, y0, x1, y1 = window
    rows = np.clip(np.arange(y0, y1), 0, image.shape[0] - 1)
    columns = np.clip(np.arange(x0, x1), 0, image.shape[1] - 1)
    inside = (np.arange(y0, y1) == rows)[:, None] & (np.arange(x0, x1) == columns)
    return image[np.ix_(rows, columns)], inside


def resized(image: np.ndarray, side_px: int) -> np.ndarray:
    """Resize an image to a square: along each axis by area if it shrinks, linearly if it grows."""
    height, width = image.shape[:2]
    if (height > side_px) == (width > side_px):
        return _resized(image, (side_px, side_px))
    return _resized(_resized(image, (width, side_px)), (side_px, side_px))


def _resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize to a width and a height, both of which shrink or neither."""
    shrinks = image.shape[0] > size[1] or image.shape[1] > size[0]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def resized_mask(mask: np.ndarray, side_px: int) -> np.ndarray:
    """Resize a mask to a square; return uint8 of 0 and 1."""
    return cv2.resize(
        mask.astype(np.uint8), (side_px, side_px), interpolation=cv2.INTER_NEAREST_EXACT
    )


def surroundings(ellipse: Ellipse, reach: float) -> tuple[slice, slice]:
    """Return rows and columns of a square around an ellipse, `reach` major axes on each side."""
    half = max(reach * ellipse.width, 8.0)
    x0, y0 = (max(0, math.floor(center - half)) for center in (ellipse.cx, ellipse.cy))
    return slice(y0, math.ceil(ellipse.cy + half)), slice(x0, math.ceil(ellipse.cx + half))
