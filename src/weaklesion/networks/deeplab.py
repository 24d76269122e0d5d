"""DeepLabV3+: `a1` and, with a classifier, `a1l`.

As in section 4 of the paper, with the parameter counts of its section 7.6; unlike in its text, one
separable 3x3 block, not two, follows the concatenation (T12).
"""

import segmentation_models_pytorch as smp
from torch import nn

DECODER_CHANNELS = 256  # Chen et al. 2018, section 4.1


def build(
    name: str,
    encoder: str,
    head: dict[str, float] | None,
    *,
    decoder_channels: int = DECODER_CHANNELS,
) -> nn.Module:
    """Build a DeepLabV3+ without weights.

    Args:
        name: `a1` or `a1l`.
        encoder: its name in segmentation_models_pytorch.
        head: settings of a classifier, or None.
        decoder_channels: channels of ASPP and of the decoder.
    """
    return smp.DeepLabV3Plus(
        encoder,
        encoder_weights=None,
        classes=1,
        aux_params=head,
        decoder_channels=decoder_channels,
    )
