"""Augmentation: the parameters are drawn first, then applied, so that each can be replayed."""

import torch


def draw_flips(count: int, generator: torch.Generator) -> torch.Tensor:
    """Draw whether each of `count` samples is flipped: (count, 2) bool, rows and columns.

    The generator is the CPU's, so that the same seed gives the same flips on every device.
    """
    return torch.rand(count, 2, generator=generator) < 0.5


def apply_flips(batch: torch.Tensor, flips: torch.Tensor) -> torch.Tensor:
    """Flip the chosen samples of (N, C, H, W) upside down, left to right, or both."""
    flips = flips.to(batch.device)
    batch = torch.where(flips[:, 0, None, None, None], batch.flip(2), batch)
    return torch.where(flips[:, 1, None, None, None], batch.flip(3), batch)


def flip_numbers(flips: torch.Tensor) -> torch.Tensor:
    """Return the numbers of drawn flips, (N,) int64, in the order of `weaklesion.flips.FLIPS`."""
    return 2 * flips[:, 0].long() + flips[:, 1].long()
