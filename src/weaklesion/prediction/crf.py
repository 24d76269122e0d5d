"""A fully connected CRF over a network's probabilities, by pydensecrf2.

Source: Krähenbühl and Koltun 2011, with the weights and widths of their reference code, because
Agarwal et al. 2020 give none (docs/reference/audit.md, B7).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from weaklesion.errors import DataError
from weaklesion.support.limits import CheckedSettings, above, at_least
from weaklesion.support.progress import progress

LEAST_PROBABILITY = 1e-6


@dataclass(frozen=True, kw_only=True)
class CRFSettings(CheckedSettings):
    """The energy of the CRF, and the number of its iterations."""

    iterations: Annotated[int, at_least(1), "Iterations of mean field inference."]
    smoothness_px: Annotated[float, above(0), "Width of the kernel over places, in pixels."]
    smoothness_weight: Annotated[float, at_least(0), "Weight of the kernel over places."]
    appearance_px: Annotated[
        float, above(0), "Width in pixels of the kernel over places and levels."
    ]
    appearance_levels: Annotated[
        float, above(0), "Width in levels of 0 to 255 of the kernel over places and levels."
    ]
    appearance_weight: Annotated[float, at_least(0), "Weight of the kernel over places and levels."]


def apply_crf(
    images: np.ndarray, probabilities: Sequence[np.ndarray] | np.ndarray, settings: CRFSettings
) -> np.ndarray:
    """Decide the masks of N images from their probabilities and levels.

    Args:
        images: (N, H, W, 3) uint8.
        probabilities: (N, H, W) float, probability of foreground, 0 to 1.
        settings: see `CRFSettings`.

    Returns:
        (N, H, W) bool.

    Raises:
        DataError: if pydensecrf2 is not installed.
    """
    pairs = zip(images, probabilities, strict=True)
    refined = [
        apply_crf_to_image(image, probability, settings)
        for image, probability in progress(pairs, total=len(images), what="images with a CRF")
    ]
    return np.stack(refined) if refined else np.zeros(images.shape[:3], bool)


def apply_crf_to_image(
    image: np.ndarray, probability: np.ndarray, settings: CRFSettings
) -> np.ndarray:
    """Decide the mask, (H, W) bool, of one (H, W, 3) uint8 image and its (H, W) probabilities.

    An image of one colour does not show where a lesion ends. Then the probabilities alone decide,
    as in the network's own prediction (at least 0.5).
    """
    if (image == image[:1, :1]).all():
        return probability >= 0.5
    try:
        from pydensecrf.densecrf import DenseCRF2D
    except ImportError as error:
        raise DataError(
            "pydensecrf2 is not installed, and arms with a CRF need it. With a C++ compiler, run"
            " `make crf`; or run Snakemake with --sdm conda."
        ) from error
    height, width = probability.shape
    foreground = np.clip(probability, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    unary = -np.log(np.stack([1 - foreground, foreground])).reshape(2, -1)
    field = DenseCRF2D(width, height, 2)
    field.setUnaryEnergy(np.ascontiguousarray(unary, dtype=np.float32))
    field.addPairwiseGaussian(sxy=settings.smoothness_px, compat=settings.smoothness_weight)
    field.addPairwiseBilateral(
        sxy=settings.appearance_px,
        srgb=settings.appearance_levels,
        rgbim=np.ascontiguousarray(image),
        compat=settings.appearance_weight,
    )
    labels = np.argmax(field.inference(settings.iterations), axis=0)
    return labels.reshape(height, width).astype(bool)
