"""What a task returns for one batch."""

from dataclasses import dataclass
from typing import NamedTuple

import torch


class Losses(NamedTuple):
    """The mean losses of a batch, each a scalar that gradients flow back from.

    Attributes:
        segmentation: loss of the masks.
        classification: loss of the classes; 0 without classes.
    """

    segmentation: torch.Tensor
    classification: torch.Tensor


@dataclass(frozen=True)
class Outcome:
    """How a network did on a batch of B validation samples.

    Attributes:
        loss: mean segmentation loss, a scalar.
        pred: (B, h, w) bool, predicted masks.
        target: (B, h, w) bool, the masks that they are compared with.
        class_logits: (B, K), or None without classes.
    """

    loss: torch.Tensor
    pred: torch.Tensor
    target: torch.Tensor
    class_logits: torch.Tensor | None = None
