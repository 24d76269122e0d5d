"""The contrast of a network's training marks, with which `segment` compares the marks of users."""

import math

import numpy as np
import torch

from weaklesion.contrast import mark_contrast
from weaklesion.recist import ellipse_from_recist

MOST_MARKS = 500


def describe_contrast(images: torch.Tensor, marks: torch.Tensor) -> dict[str, float]:
    """Return what `run.json` says of the contrast of training marks.

    Args:
        images: (N, 3, H, W) uint8.
        marks: (N, 5, 2) marks, px (`weaklesion.training.prompts`).

    Returns:
        Number of marks that were measured, at most 500 spread over all, and the 5th and 50th
        percentile of their contrast (`weaklesion.contrast`); empty if it is undefined for all.
    """
    step = max(1, math.ceil(len(marks) / MOST_MARKS))
    measured = marks[::step].double().cpu().numpy()
    contrasts = np.array(
        [
            mark_contrast(
                image.permute(1, 2, 0).cpu().numpy(), ellipse_from_recist(mark[:1] + mark[1:])
            )
            for image, mark in zip(images[::step], measured, strict=True)
        ]
    )
    contrasts = contrasts[np.isfinite(contrasts)]
    if not len(contrasts):
        return {}
    low, middle = np.percentile(contrasts, [5, 50]).tolist()
    return {"marks": len(contrasts), "p5": low, "p50": middle}
