"""The paper's networks, from segmentation_models_pytorch.

DeepLabV3+ as in section 4 and with the parameter counts of section 7.6; in one respect the text
differs from it: after the concatenation there is one separable 3x3 block, not two (T12).
"""

from pathlib import Path

import segmentation_models_pytorch as smp
import torch
from torch import nn

from weaklesion.errors import DataError
from weaklesion.training_settings import MODELS, MULTI_TASK_MODELS, PAIR_MODELS

HEAD_DROPOUT = 0.2
ATTENTION_UNITS = 4096


def build_model(
    name: str,
    *,
    num_classes: int | None = None,
    encoder: str = "resnet101",
    weights: str | Path | None = None,
) -> nn.Module:
    """Build a network for (N, 3, H, W) float images, H and W multiples of 16 (U-Net: of 32).

    - `a1`: DeepLabV3+; returns logits (N, 1, H, W).
    - `unet`: U-Net with the same encoder (Table 7); returns the same.
    - `a1l`, `unetl`: the same two with a classifier on the deepest encoder features (average
      pooling, dropout 0.2, one linear layer); return those logits and class logits (N, K).
    - `acoseg`: DeepLabV3+ on pairs of images, called as `model(x, y)`; returns the logits of x and
      those of y. An image's features are gated by its partner's channel attention and by its own
      spatial attention.
    - `acoseg_released`: the same as released (T9): an image's features are gated by its own channel
      attention, so that the partner changes nothing; no spatial attention (T10).

    Args:
        name: one of the above.
        num_classes: number of clusters K, for `a1l` and `unetl` only.
        encoder: name of a ResNet in segmentation_models_pytorch.
        weights: file of ImageNet weights of that ResNet, as torchvision publishes them; None to
            start from scratch. The file must have been verified.

    Raises:
        ValueError: if the name is unknown, or `num_classes` does not go with it.
        DataError: if the weights are not those of the encoder.
    """
    if name not in MODELS:
        raise ValueError(f"name: {name!r} is none of {', '.join(MODELS)}")
    if (num_classes is not None) != (name in MULTI_TASK_MODELS):
        raise ValueError(
            f"num_classes: {num_classes} does not go with {name!r};"
            f" {' and '.join(MULTI_TASK_MODELS)} need a number of classes, and no other network"
            " takes one"
        )
    if num_classes is not None and num_classes < 1:
        raise ValueError(f"num_classes: at least 1 is needed, not {num_classes}")
    head = None if num_classes is None else {"classes": num_classes, "dropout": HEAD_DROPOUT}
    architecture = smp.Unet if name.startswith("unet") else smp.DeepLabV3Plus
    network = architecture(encoder, encoder_weights=None, classes=1, aux_params=head)
    if weights is not None:
        load_encoder_weights(network.encoder, weights)
    if name in PAIR_MODELS:
        return CoSegmentation(network, partner=name == "acoseg")
    return network


class CoSegmentation(nn.Module):
    """Two images through one DeepLabV3+, whose features are gated by channel attention.

    The gates act on the features that the decoder takes: the deepest and those of stage 2.

    Args:
        network: an smp.DeepLabV3Plus.
        partner: gate an image by its partner's attention, and by its own spatial attention, with
            batch normalisation over both images; else by its own, each image for itself.

    Source: Agarwal et al. 2020, sections 2.2 and 2.3, after Chen et al. 2018; the sizes are the
    released code's, whose parameter count section 7.6 prints.
    """

    def __init__(self, network: smp.DeepLabV3Plus, *, partner: bool) -> None:
        super().__init__()
        self.network = network
        self.partner = partner
        channels = network.encoder.out_channels
        self.gates = nn.ModuleDict({str(at): channel_attention(channels[at]) for at in (2, 5)})

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


def load_encoder_weights(encoder: nn.Module, weights: str | Path) -> None:
    """Load a torchvision ResNet's file into an encoder; its classifier is left out."""
    try:
        state = torch.load(weights, map_location="cpu", weights_only=True)
        state = {key: value for key, value in state.items() if not key.startswith("fc.")}
        nn.Module.load_state_dict(encoder, state, strict=True)
    except Exception as error:
        raise DataError(
            f"{weights}: not the weights of this encoder ({str(error)[:300]}). Check "
            "`encoder` and fetch the file again."
        ) from error


def num_parameters(model: nn.Module) -> int:
    """Return the number of trainable parameters."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
