"""The gate: whether a network's mask agrees with the mark that it was given.

A mask that is the marked lesion's has the marked diameters. So the ellipse fitted to the mask is
compared with the mark's; where they differ too much, the answer is the mark's own ellipse. No dense
mask is read.
"""

from dataclasses import dataclass

import numpy as np

from weaklesion.ellipse import Ellipse, draw_ellipse, ellipse_iou, ellipse_mask_iou, fit_ellipse
from weaklesion.pseudo_masks import main_part, make_consistent

# Major axis below which a drawn mark's fitted ellipse need not be the mark's: of 60 random marks
# it overlapped by less than 0.8 for 60 at 2 px, 37 at 3, 23 at 4, 3 at 5, and none at 6 and 8
LEAST_FITTED_PX = 6.0


@dataclass(frozen=True)
class GatedMask:
    """What is returned for one mark.

    Attributes:
        mask: (H, W) bool.
        own: (H, W) bool; the network's own mask, whatever is returned.
        agreement: overlap (intersection over union) of the own mask's ellipse with the mark's. Of a
            mark of a few px, and of a mask that is too small for an ellipse, it is that of the mask
            with the drawn mark; of an empty mask it is 0.
        from_network: False where the mask is the mark's ellipse instead.
    """

    mask: np.ndarray
    own: np.ndarray
    agreement: float
    from_network: bool


def gated_mask(
    logits: np.ndarray, ellipse: Ellipse, *, gate: float | None = None, consistent: bool = False
) -> GatedMask:
    """Decide from a network's logits what is returned.

    A mark is of one lesion: of the mask, the part that overlaps the mark's ellipse most is taken,
    without holes.

    Args:
        logits: (H, W) float32; at least 0 is lesion.
        ellipse: of the mark, px.
        gate: agreement below which the ellipse is returned; None to return the network's always.
        consistent: move the network's mask so that its ellipse is the mark's
            (`weaklesion.supervision.pseudo_masks.make_consistent`).
    """
    own = main_part(logits >= 0, ellipse)
    if own is None:
        own, agreement = np.zeros(logits.shape, dtype=bool), 0.0
    else:
        agreement = mask_agreement(own, ellipse)
    if gate is not None and agreement < gate:
        return GatedMask(draw_ellipse(ellipse, own.shape), own, agreement, False)
    moved = make_consistent(logits, ellipse) if consistent else None
    return GatedMask(own if moved is None else moved > 0, own, agreement, True)


def mask_agreement(mask: np.ndarray, ellipse: Ellipse) -> float:
    """Return how well a mask agrees with a mark, 0 to 1: the overlap of their ellipses.

    Of a mark of a few px, and of a mask that is too small for an ellipse, it is the overlap of the
    mask with the drawn mark; of an empty mask it is 0.

    Args:
        mask: (H, W) bool.
        ellipse: of the mark, px.
    """
    if ellipse.width >= LEAST_FITTED_PX:
        try:
            return ellipse_iou(fit_ellipse(mask), ellipse)
        except ValueError:  # its hull has fewer than five vertices
            pass
    return ellipse_mask_iou(ellipse, mask) if mask.any() else 0.0
