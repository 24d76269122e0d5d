"""Dilated convolutions as a CPU computes them fast; the functions and the weights stay the same.

Measured on two cores, ResNet-18 on 64x64: the dilated 3x3 convolutions of stage 5 take 40 % of a
training step, and the depthwise ones of ASPP, whose outer taps see nothing but padding on so small
a map, another 7 %.
"""

import torch
import torch.nn.functional as F
from torch import nn


class UnfoldedConv2d(nn.Conv2d):
    """A stride-1 convolution computed as one matrix product over unfolded patches."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Return (N, C_out, H, W) of (N, C_in, H, W)."""
        assert not isinstance(self.padding, str)
        columns = F.unfold(input, self.kernel_size, self.dilation, self.padding)
        # images and positions become one axis here, because torch without gradients would copy the
        # weight for every image instead, which takes five times as long
        rows = columns.transpose(1, 2).flatten(0, 1)
        output = F.linear(rows, self.weight.flatten(1), self.bias)
        return output.unflatten(0, (len(input), *input.shape[2:])).permute(0, 3, 1, 2)


class CenteredConv2d(nn.Conv2d):
    """A depthwise 3x3 convolution that skips the outer taps where they see only padding."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Return (N, C, H, W) of (N, C, H, W)."""
        if self.dilation[0] < max(input.shape[2:]):
            return super().forward(input)
        return input * self.weight[None, :, 0, 1, 1, None, None]


def speed_up_on_cpu(model: nn.Module) -> nn.Module:
    """Make a network compute its dilated convolutions in these ways; return the network."""
    for module in model.modules():
        if type(module) is not nn.Conv2d or module.kernel_size != (3, 3):
            continue
        keeps_size = module.stride == (1, 1) and module.padding == module.dilation
        if module.dilation == (1, 1) or not keeps_size or module.padding_mode != "zeros":
            continue
        if module.groups == 1:
            module.__class__ = UnfoldedConv2d
        elif module.groups == module.in_channels == module.out_channels and module.bias is None:
            module.__class__ = CenteredConv2d
    return model
