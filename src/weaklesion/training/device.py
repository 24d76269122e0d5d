"""Where torch computes, and how exactly."""

import torch

from weaklesion.study.settings import TrainingSettings


def compute_device() -> torch.device:
    """Return the GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def mixed_precision(settings: TrainingSettings, device: torch.device) -> torch.autocast:
    """Return the context in which a network of `settings` runs, in bfloat16 if they say so."""
    enabled = settings.precision == "bfloat16"
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)
