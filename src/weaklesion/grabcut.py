"""GrabCut pseudo-masks from RECIST ellipses, on OpenCV's implementation."""

import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import pandas as pd

from weaklesion.data.patches import in_parallel
from weaklesion.data.samples import read_rows, read_samples
from weaklesion.support.files import read_array, write_array

logger = logging.getLogger(__name__)

Init = Literal["rect", "trimap"]
REACH = 1.5  # beyond this many radii is surely background
CROSS_LENGTH, CROSS_WIDTH = 0.8, 0.15  # of the diameters, surely foreground; in radii


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How GrabCut is run.

    Attributes:
        init: `rect` or `trimap`, see `grabcut_mask`.
        iterations: of GrabCut.
        zero_outside: whether the image is blackened outside the ellipse first (discrepancy G3).
        shrink_px: px by which the rectangle is moved right and down and made smaller (G4).
        cast_to_01: whether the image's levels are cut to 0 and 1 first (G2).
        min_px: results with fewer pixels are replaced by the ellipse.
    """

    init: Init
    iterations: int = 5
    zero_outside: bool = False
    shrink_px: int = 0
    cast_to_01: bool = False
    min_px: int = 1


def grabcut_mask(
    image: np.ndarray,
    ellipse_mask: np.ndarray,
    *,
    init: Init,
    iterations: int = 5,
    zero_outside: bool = False,
    shrink_px: int = 0,
    cast_to_01: bool = False,
    min_px: int = 1,
) -> np.ndarray:
    """Segment a lesion by GrabCut, starting from its ellipse.

    - `rect`: background outside the ellipse's bounding box, and either inside;
    - `trimap`: after Cai et al. 2018, a cross along the two diameters is surely foreground, the
      rest of the ellipse probably, a ring about it is probably background, and what is beyond 1.5
      radii surely.

    Args:
        image: (H, W, 3) uint8.
        ellipse_mask: (H, W) bool.
        init: `rect` or `trimap`.
        iterations: of GrabCut.
        zero_outside: see `Settings`, as for the following.
        shrink_px: of the rectangle.
        cast_to_01: levels of 255 become 1 and all others 0, as where an image in [0, 1] is cast to
            whole numbers.
        min_px: of a result.

    Returns:
        (H, W) bool; the ellipse itself where GrabCut finds fewer than `min_px` pixels, or where
        nothing could be background.

    Raises:
        ValueError: if the ellipse is empty, the shapes differ, or `init` is not known.
    """
    ellipse_mask = np.asarray(ellipse_mask).astype(bool)
    if image.shape[:2] != ellipse_mask.shape or not ellipse_mask.any():
        raise ValueError(
            f"ellipse_mask: must be of the image's size, {image.shape[:2]}, and not empty"
        )
    labels = np.full(ellipse_mask.shape, cv2.GC_BGD, dtype=np.uint8)
    if init == "rect":
        x, y, width, height = cv2.boundingRect(ellipse_mask.astype(np.uint8))
        x, y = x + shrink_px, y + shrink_px
        labels[y : y + height - shrink_px, x : x + width - shrink_px] = cv2.GC_PR_FGD
    elif init == "trimap":
        _draw_trimap(labels, ellipse_mask)
    else:
        raise ValueError(f"init: 'rect' or 'trimap' is needed, not {init!r}")
    foreground = (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)
    if foreground.all() or not foreground.any():
        return ellipse_mask  # nothing to tell the lesion from, or nothing to start with
    if zero_outside:
        image = image * ellipse_mask[..., None]
    if cast_to_01:
        image = image // 255
    cv2.setRNGSeed(0)  # the same result whatever was segmented before
    background_model, foreground_model = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(
        np.ascontiguousarray(image),
        labels,
        (0, 0, 1, 1),  # not read with a mask
        background_model,
        foreground_model,
        iterations,
        cv2.GC_INIT_WITH_MASK,
    )
    result = (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)
    return result if result.sum() >= min_px else ellipse_mask


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
    y, x = np.indices(labels.shape)
    major = ((x - cx) * axes[0, 1] + (y - cy) * axes[1, 1]) / half[1]
    minor = ((x - cx) * axes[0, 0] + (y - cy) * axes[1, 0]) / half[0]
    cross = (abs(major) < CROSS_LENGTH) & (abs(minor) < CROSS_WIDTH)
    cross |= (abs(minor) < CROSS_LENGTH) & (abs(major) < CROSS_WIDTH)
    labels[np.hypot(major, minor) < REACH] = cv2.GC_PR_BGD
    labels[ellipse_mask] = cv2.GC_PR_FGD
    labels[cross & ellipse_mask] = cv2.GC_FGD


def draw_grabcut(
    *,
    samples_csv: str | Path,
    images_npy: str | Path,
    ellipses_csv: str | Path,
    ellipse_npy: str | Path,
    target_npy: str | Path,
    settings: Settings,
    workers: int = 1,
) -> None:
    """Make the GrabCut mask of every sample, starting from its ellipse as it was drawn.

    Args:
        samples_csv: table of the samples.
        images_npy: the patches, (N, H, W, 3) uint8.
        ellipses_csv: `id` of each of the M ellipses.
        ellipse_npy: (M, H, W) uint8 of 0 and 1: the drawn ellipses, with their outline if any.
        target_npy: written: (M, H, W) uint8 of 0 and 1, in the same order.
        settings: see `Settings`.
        workers: number of processes; the result does not depend on it.
    """
    rows = read_samples(samples_csv)["row"]
    ids = list(pd.read_csv(ellipses_csv, usecols=["id"], dtype=str)["id"])
    ellipses = read_rows(ellipse_npy, ellipses_csv, ids)
    images = read_array(images_npy)
    items = [
        (np.asarray(images[rows[name]]), ellipse, settings)
        for name, ellipse in zip(ids, ellipses, strict=True)
    ]
    masks = np.empty(ellipses.shape, dtype=np.uint8)
    for row, mask in enumerate(in_parallel(_mask_of, items, workers, "GrabCut masks")):
        masks[row] = mask
    write_array(target_npy, masks)
    unchanged = int((masks == ellipses).all(axis=(1, 2)).sum())
    logger.info(
        "segmented %d samples by GrabCut (%s); %d are the ellipse itself",
        len(items),
        settings.init,
        unchanged,
    )


def _mask_of(item: tuple[np.ndarray, np.ndarray, Settings]) -> np.ndarray:
    image, ellipse, settings = item
    return grabcut_mask(image, ellipse.astype(bool), **asdict(settings))
