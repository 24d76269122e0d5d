"""U-Net: `unet` and, with a classifier, `unetl`."""

import segmentation_models_pytorch as smp
from torch import nn


def build(name: str, encoder: str, head: dict[str, float] | None) -> nn.Module:
    """Build a U-Net without weights; `head` is the settings of a classifier, or None."""
    return smp.Unet(encoder, encoder_weights=None, classes=1, aux_params=head)
