"""DeepLabV3+: `a1` and, with a classifier, `a1l`.

As in section 4 of the paper, with the parameter counts of its section 7.6; unlike in its text, one
separable 3x3 block, not two, follows the concatenation (T12).
"""

import segmentation_models_pytorch as smp
from torch import nn


def build(name: str, encoder: str, head: dict[str, float] | None) -> nn.Module:
    """Build a DeepLabV3+ without weights; `head` is the settings of a classifier, or None."""
    return smp.DeepLabV3Plus(encoder, encoder_weights=None, classes=1, aux_params=head)
