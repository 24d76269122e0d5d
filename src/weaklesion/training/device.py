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


def emulates_bfloat16(settings: TrainingSettings, device: torch.device) -> bool:
    """Return whether `settings` ask for bfloat16 of a CPU without instructions for it.

    Such a CPU computes the same, but more slowly than in float32.
    """
    if settings.precision != "bfloat16" or device.type != "cpu":
        return False
    able = torch.cpu.get_capabilities()
    return not any(able.get(name, False) for name in ("amx_bf16", "avx512_bf16", "bf16"))
