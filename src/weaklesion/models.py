"""The paper's networks by name.

Each is in a module of its own, so that changing one leaves the runs of the others as they are.
"""

from importlib import import_module
from pathlib import Path

import torch
from torch import nn

from weaklesion.errors import DataError
from weaklesion.training_settings import MODELS, MULTI_TASK_MODELS, NETWORK_MODULES

HEAD_DROPOUT = 0.2


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
    module = import_module(f"weaklesion.networks.{NETWORK_MODULES[name]}")
    network: nn.Module = module.build(name, encoder, head)
    if weights is not None:
        load_encoder_weights(network.get_submodule("encoder"), weights)
    return network


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
