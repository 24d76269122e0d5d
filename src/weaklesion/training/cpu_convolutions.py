"""Convolutions as a CPU computes them fast; the functions and the weights stay the same.

The gradient of a depthwise convolution is slow in bfloat16, in another layout than channels-last,
with a dilation, and on maps smaller than the kernel; that of a dilated convolution is slow as well.
`benchmarks/bench_training.py` compares steps with and without these.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.grad import conv2d_input


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


class _OnSmallMaps(torch.autograd.Function):
    """A depthwise convolution that keeps the size; its weights' gradient is summed tap by tap."""

    @staticmethod
    def forward(ctx: Any, maps: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """Return (N, C, H, W) of (N, C, H, W) and (C, 1, K, L), K and L odd."""
        ctx.save_for_backward(maps, weight)
        return F.conv2d(maps, weight, padding=_half(weight), groups=len(weight))

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the gradients of maps and weights."""
        maps, weight = ctx.saved_tensors
        (above, left), (height, width) = _half(weight), maps.shape[2:]
        of_maps = conv2d_input(
            maps.shape, weight, gradient, padding=(above, left), groups=len(weight)
        )
        of_taps = []
        for down in range(-above, above + 1):
            for right in range(-left, left + 1):
                seen = maps[:, :, _within(height, down), _within(width, right)]
                by = gradient[:, :, _within(height, -down), _within(width, -right)]
                of_taps.append((seen * by).sum((0, 2, 3)))
        return of_maps, torch.stack(of_taps, 1).view_as(weight)


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
            if dilation > 1 and height % dilation == width % dilation == 0:
                output = _joined(self._undilated(_phases(wide, dilation)), dilation)
            elif dilation == 1 and self.stride == (1, 1) and self.padding == _half(self.weight):
                output = self._undilated(wide)
            else:
                output = super().forward(wide)
        return output.to(input.dtype)

    def _undilated(self, maps: torch.Tensor) -> torch.Tensor:
        """Return the convolution without a dilation or a stride, of the same size as the maps."""
        if torch.is_grad_enabled() and min(maps.shape[2:]) < min(self.kernel_size):
            return _OnSmallMaps.apply(maps, self.weight)
        return F.conv2d(maps, self.weight, padding=_half(self.weight), groups=self.groups)


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


def _within(size: int, offset: int) -> slice:
    """Return the part of an axis onto which a shift by this offset moves the axis."""
    return slice(max(offset, 0), max(size + min(offset, 0), 0))


def _half(weight: torch.Tensor) -> tuple[int, int]:
    """Return the padding with which a convolution without a dilation keeps the size."""
    return weight.shape[2] // 2, weight.shape[3] // 2


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
