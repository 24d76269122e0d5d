"""`prompted`: MONAI's small residual U-Net for images with prompts."""

from typing import Any

import torch
from monai.networks.nets import UNet
from torch import nn

WIDTHS = (24, 48, 96, 128)
INPUT_CHANNELS = 6  # image, validity, prompt, discriminant
UNET: dict[str, Any] = {  # arguments of MONAI's `UNet`
    "spatial_dims": 2,
    "in_channels": INPUT_CHANNELS,
    "out_channels": 1,
    "channels": WIDTHS,
    "strides": (2, 2, 2),
    "num_res_units": 2,
    "norm": "BATCH",
    "act": "PRELU",
}


def build(name: str, encoder: str, head: dict[str, float] | None) -> nn.Module:
    """Build the network from scratch: (N, 6, H, W) to logits (N, 1, H, W), multiples of 8."""
    network = UNet(**UNET)
    return network.to(memory_format=torch.channels_last)  # also on a CPU 1.1 to 1.3 times faster
