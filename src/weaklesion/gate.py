"""The gate: whether a network's mask agrees with the mark that it was given.

A mask that is the marked lesion's has the marked diameters. So the ellipse fitted to the mask is
compared with the mark's; where they differ too much, the answer is the mark's own ellipse. No dense
mask is asked.
"""

from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from weaklesion.ellipse import Ellipse, draw_ellipse, ellipse_iou, fit_ellipse
from weaklesion.refined import main_part, make_consistent


@dataclass(frozen=True)
class Answer:
    """What is returned for one mark.

    Attributes:
        mask: (H, W) bool.
        agreement: overlap (intersection over union) of the network's own ellipse with the mark's;
            0 where its mask has none.
        from_network: False where the mask is the mark's ellipse instead.
    """

    mask: np.ndarray
    agreement: float
    from_network: bool


def answer(
    logits: np.ndarray, ellipse: Ellipse, *, gate: float | None = None, consistent: bool = False
) -> Answer:
    """Decide from a network's logits what is returned.

    A mark is of one lesion: of the mask, the part that overlaps the mark's ellipse most is taken,
    without holes.

    Args:
        logits: (H, W) float32; at least 0 is lesion.
        ellipse: of the mark, px.
        gate: agreement below which the ellipse is returned; None to return the network's always.
        consistent: move the network's mask so that its ellipse is the mark's
            (`weaklesion.refined.make_consistent`).
    """
    mask = main_part(logits >= 0, ellipse)
    agreement = 0.0
    if mask is None:
        mask = np.zeros(logits.shape, dtype=bool)
    else:
        with suppress(ValueError):  # too small for an ellipse: no agreement
            agreement = ellipse_iou(fit_ellipse(mask), ellipse)
    if gate is not None and agreement < gate:
        return Answer(draw_ellipse(ellipse, mask.shape), agreement, False)
    if consistent:
        moved = make_consistent(logits, ellipse)
        if moved is not None:
            mask = moved > 0
    return Answer(mask, agreement, True)
