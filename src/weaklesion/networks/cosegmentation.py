"""Networks on pairs of images: `acoseg` and `acoseg_released`."""

from typing import Any

import segmentation_models_pytorch as smp
import torch
from torch import nn

from weaklesion.networks import deeplab

ATTENTION_UNITS = 4096


def build(name: str, encoder: str, head: dict[str, float] | None, **parts: Any) -> nn.Module:
    """Build a co-segmentation network; `head` is None, `parts` are those of `deeplab.build`."""
    return CoSegmentation(deeplab.build(name, encoder, head, **parts), partner=name == "acoseg")


class CoSegmentation(nn.Module):
    """Two images through one DeepLabV3+, whose features are gated by channel attention.

    The gates act on the features that the decoder reads: the deepest and those of stage 2.

    Args:
        network: an smp.DeepLabV3Plus.
        partner: whether an image is gated by its partner's channel attention and its own spatial
            attention, with batch normalisation over both images; otherwise by its own channel
            attention, each image separately.

    Source: Agarwal et al. 2020, sections 2.2 and 2.3, after Chen et al. 2018; the sizes are the
    released code's, whose parameter count section 7.6 prints.
    """

    def __init__(self, network: smp.DeepLabV3Plus, *, partner: bool) -> None:
        super().__init__()
        self.network = network
        self.partner = partner
        channels = network.encoder.out_channels
        self.gates = nn.ModuleDict({str(at): channel_attention(channels[at]) for at in (2, 5)})

    @property
    def encoder(self) -> nn.Module:
        """The encoder, into which ImageNet weights are loaded."""
        return self.network.encoder

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the logits of x and of y, (N, 1, H, W) each."""
        if not self.partner:
            return self.segment(x), self.segment(y)
        first, second = self.segment(torch.cat([x, y])).chunk(2)
        return first, second

    def segment(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits of (N, 3, H, W) images; the second half are the first's partners."""
        features = self.network.encoder(images)
        for at, gate in self.gates.items():
            features[int(at)] = self.gated(features[int(at)], gate)
        return self.network.segmentation_head(self.network.decoder(features))

    def gated(self, features: torch.Tensor, gate: nn.Module) -> torch.Tensor:
        """Multiply (N, C, h, w) features by the attention of channels, and of places."""
        channels = gate(features)[:, :, None, None]
        if not self.partner:
            return features * channels
        places = features.mean(dim=1, keepdim=True).sigmoid()
        return features * channels.roll(len(features) // 2, dims=0) * places


def channel_attention(channels: int) -> nn.Module:
    """Return the squeeze-and-excitation that turns (N, C, h, w) into (N, C) gates of 0 to 1."""
    return nn.Sequential(
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(channels, ATTENTION_UNITS),
        nn.Tanh(),
        nn.Linear(ATTENTION_UNITS, channels),
        nn.Sigmoid(),
    )
