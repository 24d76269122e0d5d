"""GrabCut pseudo-masks from RECIST ellipses, on OpenCV's implementation."""

from numbers import Integral
from typing import Literal

import cv2
import numpy as np

from weaklesion.image_levels import check_levels

Init = Literal["rect", "trimap"]
REACH = 1.5  # radii beyond which all pixels are definite background
CROSS_LENGTH, CROSS_WIDTH = 0.8, 0.15  # radii; along the diameters, definite foreground


def grabcut_mask(
    image: np.ndarray,
    ellipse_mask: np.ndarray,
    *,
    init: Init = "rect",
    iterations: int = 5,
    zero_outside: bool = False,
    shrink_px: int = 0,
    cast_to_01: bool = False,
    min_px: int = 1,
) -> np.ndarray:
    """Segment a lesion by GrabCut, starting from its ellipse.

    - `rect`: definite background outside the ellipse's bounding box, probable foreground inside;
    - `trimap`: after Cai et al. 2018, a cross along the two diameters is definite foreground, the
      rest of the ellipse probable foreground, a ring around it probable background, and everything
      beyond 1.5 radii definite background.

    Args:
        image: (H, W, 3) uint8.
        ellipse_mask: (H, W) bool.
        init: `rect` or `trimap`.
        iterations: number of GrabCut iterations.
        zero_outside: set the image to 0 outside the ellipse (`supervision.grabcut` has the source
            of this and the following options).
        shrink_px: px by which the left and upper sides of the rectangle move inwards; if they do,
            its right and lower sides move inwards by 1 px.
        cast_to_01: replace levels of 255 by 1 and all others by 0, as a cast to integer does.
        min_px: least number of pixels of a result.

    Returns:
        (H, W) bool; the ellipse itself if GrabCut finds fewer than `min_px` pixels, or if no pixel
        could be background.

    Raises:
        ValueError: if the image is not (H, W, 3) uint8, the ellipse is empty, the shapes differ,
            `init` is unknown, or `iterations` is not a whole number of at least 1.

    >>> mask = np.zeros((32, 32), dtype=bool)
    >>> mask[10:22, 8:24] = True
    >>> image = np.where(mask[..., None], 200, 60).astype(np.uint8).repeat(3, axis=2)
    >>> box = np.zeros_like(mask)
    >>> box[8:24, 6:26] = True  # a rough mark
    >>> bool((grabcut_mask(image, box) == mask).all())
    True
    """
    check_levels(image)
    ellipse_mask = np.asarray(ellipse_mask).astype(bool)
    if image.shape[:2] != ellipse_mask.shape or not ellipse_mask.any():
        raise ValueError(f"ellipse_mask: needs the image's size, {image.shape[:2]}, and a pixel")
    if not isinstance(iterations, Integral) or iterations < 1:
        raise ValueError(f"iterations: a whole number of at least 1 is needed, not {iterations!r}")
    labels = _first_labels(ellipse_mask, init, shrink_px)
    foreground = _foreground(labels)
    if foreground.all() or not foreground.any():
        return ellipse_mask  # without background, or without foreground, GrabCut cannot start
    if zero_outside:
        image = image * ellipse_mask[..., None]
    if cast_to_01:
        image = image // 255
    cv2.setRNGSeed(0)  # the same result in any order of calls
    image, models = np.ascontiguousarray(image), (np.zeros((1, 65)), np.zeros((1, 65)))
    cv2.grabCut(image, labels, (0, 0, 1, 1), *models, int(iterations), cv2.GC_INIT_WITH_MASK)
    result = _foreground(labels)
    return result if result.sum() >= min_px else ellipse_mask


def _foreground(labels: np.ndarray) -> np.ndarray:
    return (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)


def _first_labels(ellipse_mask: np.ndarray, init: Init, shrink_px: int) -> np.ndarray:
    """Return the labels with which GrabCut starts, (H, W) uint8 of cv2.GC_*."""
    labels = np.full(ellipse_mask.shape, cv2.GC_BGD, dtype=np.uint8)
    if init == "rect":
        x, y, width, height = cv2.boundingRect(ellipse_mask.astype(np.uint8))
        right, bottom = x + width - bool(shrink_px), y + height - bool(shrink_px)
        labels[y + shrink_px : bottom, x + shrink_px : right] = cv2.GC_PR_FGD
    elif init == "trimap":
        _draw_trimap(labels, ellipse_mask)
    else:
        raise ValueError(f"init: 'rect' or 'trimap' is needed, not {init!r}")
    return labels


def _draw_trimap(labels: np.ndarray, ellipse_mask: np.ndarray) -> None:
    """Fill the labels of `trimap` from the moments of the drawn ellipse."""
    moments = cv2.moments(ellipse_mask.astype(np.uint8), binaryImage=True)
    cx, cy = moments["m10"] / moments["m00"], moments["m01"] / moments["m00"]
    # second moments of an ellipse are a quarter of its squared half axes
    covariance = (
        np.array([[moments["mu20"], moments["mu11"]], [moments["mu11"], moments["mu02"]]])
        / moments["m00"]
    )
    variances, axes = np.linalg.eigh(covariance)
    half = 2 * np.sqrt(np.maximum(variances, 1 / 12))
    y, x = np.indices(labels.shape)
    major = ((x - cx) * axes[0, 1] + (y - cy) * axes[1, 1]) / half[1]
    minor = ((x - cx) * axes[0, 0] + (y - cy) * axes[1, 0]) / half[0]
    cross = (abs(major) < CROSS_LENGTH) & (abs(minor) < CROSS_WIDTH)
    cross |= (abs(minor) < CROSS_LENGTH) & (abs(major) < CROSS_WIDTH)
    labels[np.hypot(major, minor) < REACH] = cv2.GC_PR_BGD
    labels[ellipse_mask] = cv2.GC_PR_FGD
    labels[cross & ellipse_mask] = cv2.GC_FGD
