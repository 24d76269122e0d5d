"""The contrast of a network's training marks, with which `segment` compares the marks of users."""

import math

import numpy as np
import torch

from weaklesion.contrast import mark_contrast
from weaklesion.ellipse import Ellipse

MOST_MARKS = 500


def describe_contrast(images: torch.Tensor, prompts: torch.Tensor) -> dict[str, float]:
    """Return what `run.json` says of the contrast of training marks.

    Args:
        images: (N, 3, H, W) uint8.
        prompts: (N, 5) ellipses of the marks, px: cx, cy, half axes, angle in radians.

    Returns:
        Number of marks that were measured, at most 500 spread over all, and the 5th and 50th
        percentile of their contrast (`weaklesion.contrast`); empty if it is undefined for all.
    """
    step = max(1, math.ceil(len(prompts) / MOST_MARKS))
    contrasts = np.array(
        [
            mark_contrast(
                image.permute(1, 2, 0).cpu().numpy(),
                Ellipse(row[0], row[1], 2 * row[2], 2 * row[3], math.degrees(row[4])),
            )
            for image, row in zip(images[::step], prompts[::step].tolist(), strict=True)
        ]
    )
    contrasts = contrasts[np.isfinite(contrasts)]
    if not len(contrasts):
        return {}
    low, middle = np.percentile(contrasts, [5, 50]).tolist()
    return {"marks": len(contrasts), "p5": low, "p50": middle}
