"""GrabCut pseudo-masks from RECIST ellipses, on OpenCV's implementation."""

import logging
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from weaklesion.ellipse import Ellipse, draw_ellipse
from weaklesion.files import read_array, write_array
from weaklesion.patches import in_parallel
from weaklesion.samples import read_samples
from weaklesion.supervision import read_ellipses

logger = logging.getLogger(__name__)

Init = Literal["rect", "trimap"]
CORE = 0.5  # part of the ellipse, in radii, that is surely foreground
REACH = 1.5  # beyond this many radii is surely background


def grabcut_mask(
    image: np.ndarray, ellipse_mask: np.ndarray, *, init: Init, iterations: int = 5
) -> np.ndarray:
    """Segment a lesion by GrabCut, starting from its ellipse.

    - `rect`: background outside the ellipse's bounding box, and either inside;
    - `trimap`: after Cai et al. 2018, the ellipse's core is surely foreground, the rest of the
      ellipse probably, a ring about it is probably background and what is beyond surely.

    Args:
        image: (H, W, 3) uint8.
        ellipse_mask: (H, W) bool.
        init: `rect` or `trimap`.
        iterations: of GrabCut.

    Returns:
        (H, W) bool; the ellipse itself where GrabCut finds nothing.

    Raises:
        ValueError: if the ellipse is empty or the shapes differ.
    """
    ellipse_mask = np.asarray(ellipse_mask).astype(bool)
    if image.shape[:2] != ellipse_mask.shape or not ellipse_mask.any():
        raise ValueError(
            f"ellipse_mask: must be of the image's size, {image.shape[:2]}, and not empty"
        )
    labels = np.full(ellipse_mask.shape, cv2.GC_BGD, dtype=np.uint8)
    x, y, width, height = cv2.boundingRect(ellipse_mask.astype(np.uint8))
    if init == "rect":
        labels[y : y + height, x : x + width] = cv2.GC_PR_FGD
    elif init == "trimap":
        _draw_trimap(labels, ellipse_mask)
    else:
        raise ValueError(f"init: 'rect' or 'trimap' is needed, not {init!r}")
    if not ((labels == cv2.GC_BGD) | (labels == cv2.GC_PR_BGD)).any():
        return ellipse_mask  # nothing to tell the lesion from
    cv2.setRNGSeed(0)  # the same result whatever was segmented before
    background, foreground = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(
        np.ascontiguousarray(image), labels, (0, 0, 1, 1), background, foreground, iterations,
        cv2.GC_INIT_WITH_MASK,
    )  # fmt: skip
    result = (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)
    return result if result.any() else ellipse_mask


def _draw_trimap(labels: np.ndarray, ellipse_mask: np.ndarray) -> None:
    """Fill the labels from the moments of the drawn ellipse."""
    moments = cv2.moments(ellipse_mask.astype(np.uint8), binaryImage=True)
    cx, cy = moments["m10"] / moments["m00"], moments["m01"] / moments["m00"]
    # second moments of an ellipse are a quarter of its squared half axes
    covariance = (
        np.array([[moments["mu20"], moments["mu11"]], [moments["mu11"], moments["mu02"]]])
        / moments["m00"]
    )
    variances, axes = np.linalg.eigh(covariance)
    half = 2 * np.sqrt(np.maximum(variances, 1 / 12))
    angle = float(np.degrees(np.arctan2(axes[1, 1], axes[0, 1])))

    def scaled(factor: float) -> np.ndarray:
        size = 2 * half * factor
        return draw_ellipse(Ellipse(cx, cy, size[1], size[0], angle), labels.shape)

    labels[scaled(REACH)] = cv2.GC_PR_BGD
    labels[ellipse_mask] = cv2.GC_PR_FGD
    labels[scaled(CORE)] = cv2.GC_FGD


def draw_grabcut(
    *,
    samples_csv: str | Path,
    images_npy: str | Path,
    ellipses_csv: str | Path,
    target_npy: str | Path,
    init: Init,
    workers: int = 1,
) -> None:
    """Make the GrabCut mask of every sample.

    Args:
        samples_csv: table of the samples.
        images_npy: the patches, (N, H, W, 3) uint8.
        ellipses_csv: their ellipses; its rows' order is that of the target.
        target_npy: written: (N, H, W) uint8 of 0 and 1.
        init: see `grabcut_mask`.
        workers: number of processes; the result does not depend on it.
    """  # fmt: skip
    rows = read_samples(samples_csv)["row"]
    ellipses = read_ellipses(ellipses_csv)
    images = read_array(images_npy)
    items = [(np.asarray(images[rows[name]]), ellipse, init) for name, ellipse in ellipses.items()]
    masks = np.empty((len(items), *images.shape[1:3]), dtype=np.uint8)
    for row, mask in enumerate(in_parallel(_mask_of, items, workers, "GrabCut masks")):
        masks[row] = mask
    write_array(target_npy, masks)
    logger.info("segmented %d samples by GrabCut (%s)", len(items), init)


def _mask_of(item: tuple[np.ndarray, Ellipse, Init]) -> np.ndarray:
    image, ellipse, init = item
    return grabcut_mask(image, draw_ellipse(ellipse, image.shape[:2]), init=init)
