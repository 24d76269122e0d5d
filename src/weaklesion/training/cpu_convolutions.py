"""Convolutions as a CPU computes them fast; the functions and the weights stay the same.

The gradient of a depthwise convolution is slow in bfloat16, in another layout than channels-last,
and with a dilation; that of a dilated convolution is slow as well. `benchmarks/bench_training.py`
compares steps with and without these.
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


class DepthwiseConv2d(nn.Conv2d):
    """A depthwise convolution in float32 (or float64), without a dilation where sides allow it."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Return (N, C, H', W') of (N, C, H, W), in the type of `input`."""
        dilation, (height, width) = self.dilation[0], input.shape[2:]
        if self.kernel_size == (3, 3) and dilation >= max(height, width) and dilation > 1:
            # the outer taps see only padding
            return (input * self.weight[None, :, 0, 1, 1, None, None]).to(input.dtype)
        wide = input if input.dtype == torch.float64 else input.float()
        with torch.autocast(input.device.type, enabled=False):
            if dilation == 1 or height % dilation or width % dilation:
                return super().forward(wide).to(input.dtype)
            padding = tuple(int(side) // dilation for side in self.padding)
            phases = _phases(wide, dilation)
            output = F.conv2d(phases, self.weight, padding=padding, groups=self.groups)
        return _joined(output, dilation).to(input.dtype)


def speed_up_on_cpu(model: nn.Module) -> nn.Module:
    """Make a network compute its convolutions in these ways, channels-last; return the network."""
    model = model.to(memory_format=torch.channels_last)
    for module in model.modules():
        if type(module) is not nn.Conv2d or module.padding_mode != "zeros":
            continue
        keeps_size = module.stride == (1, 1) and module.padding == tuple(
            dilation * (size // 2)
            for dilation, size in zip(module.dilation, module.kernel_size, strict=True)
        )
        dilated = module.dilation != (1, 1)
        if dilated and not (keeps_size and module.dilation[0] == module.dilation[1]):
            continue
        if 1 < module.groups == module.in_channels == module.out_channels:
            if not isinstance(module.padding, str) and module.bias is None:
                module.__class__ = DepthwiseConv2d
        elif dilated and module.groups == 1 and module.kernel_size == (3, 3):
            module.__class__ = UnfoldedConv2d
            module.weight.data = module.weight.data.contiguous()  # flattened without a copy
    return model


def _phases(maps: torch.Tensor, dilation: int) -> torch.Tensor:
    """Return (N d², C, H/d, W/d) of (N, C, H, W): each phase of the grid as an image of its own.

    A dilated convolution of the maps is one without a dilation of these.
    """
    number, channels, height, width = maps.shape
    rows, columns = height // dilation, width // dilation
    grid = maps.permute(0, 2, 3, 1).reshape(number, rows, dilation, columns, dilation, channels)
    phases = grid.permute(0, 2, 4, 1, 3, 5).reshape(-1, rows, columns, channels)
    return phases.permute(0, 3, 1, 2)


def _joined(phases: torch.Tensor, dilation: int) -> torch.Tensor:
    """Return (N, C, H, W) of the (N d², C, H/d, W/d) of `_phases`."""
    _, channels, rows, columns = phases.shape
    grid = phases.permute(0, 2, 3, 1).reshape(-1, dilation, dilation, rows, columns, channels)
    maps = grid.permute(0, 3, 1, 4, 2, 5).reshape(-1, rows * dilation, columns * dilation, channels)
    return maps.permute(0, 3, 1, 2)
