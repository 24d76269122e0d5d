"""Optimisers and the schedules of their learning rates."""

import torch
from torch import nn
from torch.optim import lr_scheduler

from weaklesion.study.settings import TrainingSettings

POLY_POWER = 0.9  # Agarwal et al. 2020, section 2.4
RESTART_EPOCHS = 10  # Moseley et al., section 3


def make_optimizer(
    model: nn.Module, settings: TrainingSettings, *, recorded: bool
) -> torch.optim.Optimizer:
    """Return the optimiser that `settings` name.

    Args:
        model: network with the parameters that the optimiser changes.
        settings: settings of the training.
        recorded: whether its steps are recorded on a GPU.
    """
    if settings.optimizer == "sgd":
        return torch.optim.SGD(
            model.parameters(),
            lr=settings.learning_rate,
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
        )
    kind = torch.optim.AdamW if settings.optimizer == "adamw" else torch.optim.Adam
    return kind(
        model.parameters(),
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        fused=True,
        capturable=recorded,
    )


def make_schedule(
    optimizer: torch.optim.Optimizer, settings: TrainingSettings, steps_per_epoch: int
) -> lr_scheduler.LRScheduler | None:
    """Return the schedule that `settings` name, None if constant; it advances with every step."""
    total = steps_per_epoch * settings.epochs
    if settings.schedule == "one_cycle":
        return lr_scheduler.OneCycleLR(optimizer, max_lr=settings.learning_rate, total_steps=total)
    if settings.schedule == "poly":
        return lr_scheduler.PolynomialLR(optimizer, total_iters=total, power=POLY_POWER)
    if settings.schedule == "cosine_restarts":
        return lr_scheduler.CosineAnnealingWarmRestarts(
            optimizer, T_0=RESTART_EPOCHS * steps_per_epoch
        )
    return None
