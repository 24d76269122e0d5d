"""ResNets with atrous convolutions: `drn_fcn32`, and on pairs of images `drn_coseg`.

Source: Agarwal et al., "Weakly supervised lesion co-segmentation on CT scans", ISBI 2020, and the
papers from which it takes its parts. Our own choices: docs/reference/audit.md, B3 to B6.
"""

from collections.abc import Sequence
from typing import Any, Literal

import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F
from segmentation_models_pytorch.base import SegmentationHead
from segmentation_models_pytorch.decoders.deeplabv3.decoder import DeepLabV3PlusDecoder
from torch import nn
from torchvision.models.segmentation.fcn import FCNHead

from weaklesion.networks import attention

OUTPUT_STRIDE = 8
MULTI_GRID = (2, 4, 8)  # dilation of the blocks of the last stage, section 3.2
ASPP_RATES = (12, 24, 36)
DECODER_CHANNELS = 256
DECODERS = ("d1", "d2")


def build(
    name: str,
    encoder: str,
    head: dict[str, float] | None,
    *,
    multi_grid: bool = False,
    channels: Literal["se", "eca"] | None = None,
    places: Literal["mean", "aspp"] | None = None,
    danet: bool = False,
    decoder: Literal["d1", "d2"] = "d1",
) -> nn.Module:
    """Build one of the networks without weights; `head` is None.

    Args:
        name: `drn_fcn32`, or `drn_coseg`.
        encoder: a ResNet of segmentation_models_pytorch.
        head: None; these networks have no classifier.
        multi_grid: dilations of 2, 4 and 8 in the blocks of the last stage, instead of 4.
        channels: channel attention of `drn_coseg`.
        places: spatial attention of `drn_coseg`.
        danet: DANet's two attentions instead of `channels` and `places`.
        decoder: `d1`, convolutions and upsampling; or `d2`, DeepLabV3+'s, of attended and
            low-level features.

    Raises:
        ValueError: if the parts do not make a network.
    """
    if not (isinstance(multi_grid, bool) and isinstance(danet, bool)) or decoder not in DECODERS:
        raise ValueError(
            "network: `multi_grid` and `danet` need true or false, and `decoder` d1 or d2, not"
            f" {multi_grid!r}, {danet!r} and {decoder!r}"
        )
    features = dilated_encoder(encoder, multi_grid=multi_grid)
    if name == "drn_fcn32":
        return FCN32(features)
    if danet == (channels is not None) or (channels is None) != (places is None):
        raise ValueError(
            "network: a co-segmentation network needs either `danet: true`, or both `channels`"
            f" (se, eca) and `places` (mean, aspp), not danet: {danet}, channels: {channels},"
            f" places: {places}"
        )
    deepest = features.out_channels[-1]
    attended = (
        attention.DualAttention(deepest)
        if danet
        else attention.ChannelSpatialAttention(deepest, channels, places)  # type: ignore[arg-type]
    )
    return SiameseNetwork(features, attended, decoder)


def dilated_encoder(encoder: str, *, multi_grid: bool) -> Any:
    """Return a ResNet whose last two stages are dilated by 2 and 4, at an output stride of 8."""
    features = smp.encoders.get_encoder(encoder, weights=None, output_stride=OUTPUT_STRIDE)
    if multi_grid:
        for block, dilation in zip(features.layer4, MULTI_GRID, strict=False):
            for module in block.modules():
                if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3):
                    module.dilation = module.padding = (dilation, dilation)
    return features


class FCN32(nn.Module):
    """A fully convolutional network: torchvision's head on the dilated encoder.

    Called as `model(x)`: (N, 3, H, W) to logits (N, 1, H, W).
    """

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = FCNHead(encoder.out_channels[-1], 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits of (N, 3, H, W) images."""
        logits = self.head(self.encoder(images)[-1])
        return F.interpolate(logits, size=images.shape[2:], mode="bilinear", align_corners=False)


class SiameseNetwork(nn.Module):
    """Two images through one encoder and decoder; attention joins them at the deepest features.

    Called as `model(x, y)`: the logits of x and of y, (N, 1, H, W) each.
    """

    def __init__(self, encoder: Any, attended: Any, decoder: Literal["d1", "d2"]) -> None:
        super().__init__()
        self.encoder = encoder
        self.attention = attended
        widths = [*encoder.out_channels[:-1], attended.out_channels]
        self.decoder = UpsamplingDecoder(widths[-1]) if decoder == "d1" else _deeplab(widths)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the logits of x and of y."""
        features = self.encoder(torch.cat([x, y]))
        features[-1] = self.attention(features[-1])
        first, second = self.decoder(features).chunk(2)
        return first, second


class UpsamplingDecoder(nn.Module):
    """D1: three times a 3x3 convolution, batch normalisation and doubling, to a map of logits."""

    def __init__(self, width: int) -> None:
        super().__init__()
        steps: list[nn.Module] = []
        for wider, narrower in ((width, 256), (256, 128), (128, 64)):
            steps += [
                nn.Conv2d(wider, narrower, 3, padding=1, bias=False),
                nn.BatchNorm2d(narrower),
                nn.ReLU(inplace=True),
                nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
            ]
        self.steps = nn.Sequential(*steps, nn.Conv2d(64, 1, 1))

    def forward(self, features: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return (N, 1, H, W) logits of an encoder's features."""
        logits: torch.Tensor = self.steps(features[-1])
        return logits


def _deeplab(widths: Sequence[int]) -> nn.Module:
    """D2: DeepLabV3+'s decoder and head."""
    decoder = DeepLabV3PlusDecoder(
        encoder_channels=widths,
        encoder_depth=5,
        out_channels=DECODER_CHANNELS,
        atrous_rates=ASPP_RATES,
        output_stride=OUTPUT_STRIDE,
        aspp_separable=True,
        aspp_dropout=0.5,
    )
    return nn.Sequential(
        decoder, SegmentationHead(DECODER_CHANNELS, 1, kernel_size=1, upsampling=4)
    )
