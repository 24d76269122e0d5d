"""The gate: whether a network's mask agrees with its mark.

The mask of the marked lesion has the marked diameters. Therefore the mask's own shape, its fitted
ellipse or the four ends of its RECIST mark (`weaklesion.mark_shapes`), is compared with the mark's;
if they differ too much, the mark's shape replaces the mask. No dense mask is read.

Like must be compared with like: of a mark that was drawn, or measured as RECIST defines it, the
four ends; of a mark that was simulated by the ellipse of the mask's hull, that ellipse. The ellipse
of a lesion that the image cuts off is not the ellipse of its drawn diameters. Diameters that were
drawn are perpendicular in mm, so the mask's are measured in mm where pixels are not square.
"""

from dataclasses import dataclass

import numpy as np

from weaklesion.ellipse import mask_iou
from weaklesion.mark_shapes import MarkShape, measured_in_mm
from weaklesion.pseudo_masks import main_part, make_consistent


@dataclass(frozen=True)
class GatedMask:
    """The mask of one mark, after the gate.

    Attributes:
        mask: (H, W) bool.
        own: (H, W) bool; the network's own mask, whether or not the gate replaces it.
        agreement: how well the own mask agrees with the mark, see `mask_agreement`.
        from_network: False where the mask is the mark's shape instead.
    """

    mask: np.ndarray
    own: np.ndarray
    agreement: float
    from_network: bool


def gated_mask(
    logits: np.ndarray,
    mark: MarkShape,
    *,
    gate: float | None = None,
    consistent: bool = False,
    compared: MarkShape | None = None,
    spacing: tuple[float, float] | None = None,
) -> GatedMask:
    """Return the mask of a mark: the network's, or the mark's shape where the two disagree.

    A mark belongs to one lesion. Therefore only the part of the network's mask that overlaps the
    mark most is kept, and its holes are filled.

    Args:
        logits: (H, W) float32; at least 0 is lesion.
        mark: shape of the mark, px.
        gate: agreement below which the shape replaces the mask; None to always keep the mask.
        consistent: move the network's mask so that its shape is the mark's
            (`weaklesion.pseudo_masks.make_consistent`).
        compared: shape of the same mark that the mask's own is compared with; `mark` by default.
        spacing: mm per pixel of rows and columns if the mark is perpendicular in mm; None if it is
            so in px, or unknown.
    """
    own = main_part(logits >= 0, mark)
    if own is None:
        own, agreement = np.zeros(logits.shape, dtype=bool), 0.0
    else:
        agreement = mask_agreement(own, mark if compared is None else compared, spacing)
    if gate is not None and agreement < gate:
        return GatedMask(mark.drawn(own.shape), own, agreement, False)
    moved = make_consistent(logits, mark, spacing) if consistent else None
    return GatedMask(own if moved is None else moved > 0, own, agreement, True)


def mask_agreement(
    mask: np.ndarray, mark: MarkShape, spacing: tuple[float, float] | None = None
) -> float:
    """Return how well a mask agrees with a mark, 0 to 1.

    The agreement is the overlap (intersection over union) of the mask's own shape with the mark's.
    If the mark has only a few px, or the mask is too small for a shape, it is the overlap of the
    mask with the drawn mark. An empty mask has an agreement of 0.

    Args:
        mask: (H, W) bool.
        mark: shape of the mark, px.
        spacing: as in `gated_mask`.
    """
    if not mask.any():
        return 0.0
    if mark.long_px >= mark.LEAST_PX:
        try:
            own = measured_in_mm(mark, mask, spacing)
            return own.iou(mark, (mask.shape[0], mask.shape[1]))
        except ValueError:  # the mask has no shape, such as a hull with fewer than five vertices
            pass
    return mask_iou(mark.drawn(mask.shape), mask)
