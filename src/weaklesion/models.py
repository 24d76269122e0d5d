"""The paper's networks, from segmentation_models_pytorch.

DeepLabV3+ as in section 4 and with the parameter counts of section 7.6; in one respect the text
differs from it: after the concatenation there is one separable 3x3 block, not two (T12).
"""

from pathlib import Path

import segmentation_models_pytorch as smp
import torch
from torch import nn

from weaklesion.errors import DataError

MODELS = ("a1", "a1l")
HEAD_DROPOUT = 0.2


def build_model(
    name: str,
    *,
    num_classes: int | None = None,
    encoder: str = "resnet101",
    weights: str | Path | None = None,
) -> nn.Module:
    """Build a network for (N, 3, H, W) float images, H and W multiples of 16.

    - `a1`: DeepLabV3+; returns logits (N, 1, H, W).
    - `a1l`: the same with a classifier on the deepest encoder features (average pooling, dropout
      0.2, one linear layer); returns those logits and class logits (N, num_classes).

    Args:
        name: `a1` or `a1l`.
        num_classes: number of clusters, for `a1l` only.
        encoder: name of a ResNet in segmentation_models_pytorch.
        weights: file of ImageNet weights of that ResNet, as torchvision publishes them; None to
            start from scratch. The file must have been verified.

    Raises:
        ValueError: if the name is unknown, or `num_classes` does not go with it.
        DataError: if the weights are not those of the encoder.
    """
    if name not in MODELS:
        raise ValueError(f"name: {name!r} is none of {', '.join(MODELS)}")
    if (num_classes is not None) != (name == "a1l"):
        raise ValueError(
            f"num_classes: {num_classes} does not go with {name!r}; a1l needs a number"
            " of classes, and no other network takes one"
        )
    if num_classes is not None and num_classes < 1:
        raise ValueError(f"num_classes: at least 1 is needed, not {num_classes}")
    head = None if num_classes is None else {"classes": num_classes, "dropout": HEAD_DROPOUT}
    model = smp.DeepLabV3Plus(encoder, encoder_weights=None, classes=1, aux_params=head)
    if weights is not None:
        load_encoder_weights(model.encoder, weights)
    return model


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
