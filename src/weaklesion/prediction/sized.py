"""Masks as large as their mark says.

A network's scores have one mask for every level at which they are cut, and nothing makes level 0
the right one: where masks are drawn generously or narrowly in training, all masks are off alike.
The mark knows: the lesion's own diameters are the marked ones. No dense mask is read.
"""

import numpy as np

from weaklesion.mark_shapes import MarkShape
from weaklesion.pseudo_masks import part_over

BOUND = 1.0  # levels from -1 to 1 are tried: probabilities from 0.27 to 0.73 of a network's logits
STEPS = 7  # of the bisection: to 1/64


def sized_scores(scores: np.ndarray, mark: MarkShape) -> np.ndarray:
    """Move scores up or down so that the mask at 0 is as large as its mark says.

    The size of a shape is the product of its diameters: those of the mark, and those of the shape
    of the same kind that the mask has (`MarkShape.measured`). The higher the level, the smaller the
    mask. If no level within `BOUND` of 0 has a mask of the mark's size, the nearer bound is taken.

    Args:
        scores: (H, W) float32, such as logits.
        mark: shape of the mark, px.

    Returns:
        (H, W) float32; at least 0 is lesion.

    >>> from weaklesion.ellipse import Ellipse
    >>> scores = (1.2 - Ellipse(30.0, 30.0, 40.0, 20.0, 0.0).radius((60, 60))).astype(np.float32)
    >>> sized = sized_scores(scores, Ellipse(30.0, 30.0, 40.0, 20.0, 0.0))
    >>> int((scores >= 0).sum()), int((sized >= 0).sum())
    (893, 633)
    """
    wanted, drawn = _size(mark), mark.drawn(scores.shape)
    low, high = -BOUND, BOUND
    for _ in range(STEPS):
        level = (low + high) / 2
        part = part_over(scores >= level, drawn)
        if part is None or _size_of(part, mark) < wanted:
            high = level
        else:
            low = level
    return (scores - np.float32((low + high) / 2)).astype(np.float32)


def _size_of(part: np.ndarray, mark: MarkShape) -> float:
    """Return the size of the shape that a mask has, 0 if it is too small for one."""
    try:
        return _size(mark.measured(part))
    except ValueError:
        return 0.0


def _size(shape: MarkShape) -> float:
    _, arms = shape.arms()
    return float(np.hypot(*(arms[0] - arms[1])) * np.hypot(*(arms[2] - arms[3])))
