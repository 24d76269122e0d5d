"""DeepLabV3+: `a1` and, with a classifier, `a1l`.

As in section 4 and with the parameter counts of section 7.6; in one respect the text differs from
it: after the concatenation there is one separable 3x3 block, not two (T12).
"""

import segmentation_models_pytorch as smp
from torch import nn


def build(name: str, encoder: str, head: dict[str, float] | None) -> nn.Module:
    """Build a DeepLabV3+ without weights; `head` are the settings of a classifier, or None."""
    return smp.DeepLabV3Plus(encoder, encoder_weights=None, classes=1, aux_params=head)
