"""Attention between two images: channel attention, spatial attention, and DANet's.

The input are the features of a batch whose second half are the partners of the first half; the
output has the same batch size. Channels of an image are weighted by its partner's features, places
by its own features, so channels that are active in both images count.
"""

import math
from typing import Literal

import torch
from torch import nn
from torchvision.models.segmentation.deeplabv3 import ASPP

SE_REDUCTION = 16
DANET_REDUCTION, DANET_QUERY_REDUCTION = 4, 8
ASPP_RATES = [12, 24, 36]


def of_partners(values: torch.Tensor) -> torch.Tensor:
    """Return the partners' rows: the two halves of the batch exchanged."""
    return values.roll(len(values) // 2, dims=0)


class ChannelSpatialAttention(nn.Module):
    """Features times the partner's channel attention times their own spatial attention.

    Args:
        width: C of (N, C, h, w) features.
        channels: `se`, squeeze and excitation (Hu et al. 2018); or `eca`, a convolution over
            channels (Wang et al. 2020).
        places: `mean`, the mean of all features per place; or `aspp`, a map of logits from atrous
            spatial pyramid pooling (Chen et al. 2017).
    """

    def __init__(
        self, width: int, channels: Literal["se", "eca"], places: Literal["mean", "aspp"]
    ) -> None:
        super().__init__()
        self.out_channels = width
        kinds = {"se": squeeze_and_excitation, "eca": EfficientChannels}
        if channels not in kinds or places not in ("mean", "aspp"):
            raise ValueError(f"network: channels {channels!r} or places {places!r} is unknown")
        self.channels = kinds[channels](width)
        self.places = (
            nn.Sequential(ASPP(width, ASPP_RATES), nn.Conv2d(256, 1, 1))
            if places == "aspp"
            else None
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return (N, C, h, w) attended features."""
        by_channel = of_partners(self.channels(features))[:, :, None, None]
        if self.places is None:
            by_place = features.mean(dim=1, keepdim=True)
        else:
            by_place = self.places(features)
        return features * by_channel * by_place.sigmoid()


def squeeze_and_excitation(width: int) -> nn.Module:
    """Return the module from (N, C, h, w) to (N, C) weights of 0 to 1, by two linear layers."""
    return nn.Sequential(
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(width, width // SE_REDUCTION),
        nn.ReLU(inplace=True),
        nn.Linear(width // SE_REDUCTION, width),
        nn.Sigmoid(),
    )


class EfficientChannels(nn.Module):
    """Weights of channels by a 1D convolution over their means (ECA-Net, section 3.2.3).

    The kernel is the odd number next to (log2 C + 1) / 2.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        size = int(abs((math.log2(width) + 1) / 2))
        size += 1 - size % 2
        self.convolution = nn.Conv1d(1, 1, size, padding=size // 2, bias=False)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return (N, C) weights of 0 to 1."""
        means = features.mean(dim=(2, 3))[:, None]
        weights: torch.Tensor = self.convolution(means)[:, 0].sigmoid()
        return weights


class DualAttention(nn.Module):
    """DANet's position and channel attention (Fu et al. 2019), summed.

    Positions attend to positions of the same image. The similarity of channels is that of the
    partner's features. The weight of both, gamma, starts at 0, so the output starts as the plain
    features.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.out_channels = inner = width // DANET_REDUCTION
        self.before_positions, self.before_channels = _reduced(width, inner), _reduced(width, inner)
        query = inner // DANET_QUERY_REDUCTION
        self.query, self.key = nn.Conv2d(inner, query, 1), nn.Conv2d(inner, query, 1)
        self.value = nn.Conv2d(inner, inner, 1)
        self.position_gamma = nn.Parameter(torch.zeros(1))
        self.channel_gamma = nn.Parameter(torch.zeros(1))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return (N, C / 4, h, w) attended features."""
        for_positions, for_channels = (
            self.before_positions(features),
            self.before_channels(features),
        )
        return self.by_position(for_positions) + self.by_channel(for_channels)

    def by_position(self, features: torch.Tensor) -> torch.Tensor:
        """Add to each place the values of all places of its image, by similarity."""
        query, key, value = (
            convolution(features).flatten(2) for convolution in (self.query, self.key, self.value)
        )
        similarity = (query.transpose(1, 2) @ key).softmax(dim=-1)  # (N, place, place)
        gathered = (value @ similarity.transpose(1, 2)).view_as(features)
        return features + self.position_gamma * gathered

    def by_channel(self, features: torch.Tensor) -> torch.Tensor:
        """Add to each channel all channels, by their similarity in the partner's features."""
        flat = features.flatten(2)
        similarity = flat @ flat.transpose(1, 2)  # (N, channel, channel)
        similarity = (similarity.amax(dim=-1, keepdim=True) - similarity).softmax(dim=-1)
        gathered = (of_partners(similarity) @ flat).view_as(features)
        return features + self.channel_gamma * gathered


def _reduced(width: int, inner: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(width, inner, 3, padding=1, bias=False),
        nn.BatchNorm2d(inner),
        nn.ReLU(inplace=True),
    )
