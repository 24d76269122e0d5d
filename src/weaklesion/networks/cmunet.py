"""The U-Net of CMU-Net: `cmu_unet` and, with a classifier on its encoder, `cmu_net`.

Source: Moseley et al., "Context-aware multitasking for medical image segmentation", section 2. The
blocks are MONAI's: two 3x3 convolutions each with instance normalisation and leaky ReLU (slope
0.2), 16 to 256 channels, max pooling between the five of the encoder.
"""

import torch
from monai.networks.nets import BasicUNet
from torch import nn

WIDTHS = (16, 32, 64, 128, 256, 16)


def build(name: str, encoder: str, head: dict[str, float] | None) -> nn.Module:
    """Build the network from scratch.

    Args:
        name: `cmu_unet` or `cmu_net`.
        encoder: ignored, because the U-Net has its own encoder.
        head: settings of a classifier, of which only `classes` is used; or None.
    """
    return CMUNet(None if head is None else int(head["classes"]))


class CMUNet(nn.Module):
    """A U-Net, and a classifier on its deepest features.

    (N, 3, H, W) images to logits (N, 1, H, W), and with classes to those and (N, K) class logits.
    """

    def __init__(self, classes: int | None) -> None:
        super().__init__()
        parts = BasicUNet(
            spatial_dims=2,
            in_channels=3,
            out_channels=1,
            features=WIDTHS,
            act=("LeakyReLU", {"negative_slope": 0.2, "inplace": True}),
        )
        self.encoder = nn.ModuleList(
            [parts.conv_0, parts.down_1, parts.down_2, parts.down_3, parts.down_4]
        )
        self.decoder = nn.ModuleList([parts.upcat_4, parts.upcat_3, parts.upcat_2, parts.upcat_1])
        self.segmentation_head = parts.final_conv
        self.classification_head = (
            None
            if classes is None
            else nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(WIDTHS[4], classes))
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        """Return the logits of (N, 3, H, W) images, H and W multiples of 16."""
        features = [images]
        for block in self.encoder:
            features.append(block(features[-1]))
        decoded = deepest = features[-1]
        for block, skipped in zip(self.decoder, features[-2:0:-1], strict=True):
            decoded = block(decoded, skipped)
        logits: torch.Tensor = self.segmentation_head(decoded)
        if self.classification_head is None:
            return logits
        return logits, self.classification_head(deepest)
