"""A network in training, with all that its next steps depend on."""

import logging
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from weaklesion.study.settings import TrainingSettings
from weaklesion.training.checkpoints import random_states, set_random_states
from weaklesion.training.optimizers import make_optimizer, make_schedule
from weaklesion.training.state import TrainingState

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Learner:
    """A network in training.

    Attributes:
        model: the network.
        optimizer: optimiser of its parameters.
        scheduler: schedule of the learning rate, or None for a constant rate.
        average: moving average of the weights, or None.
        generator: source of order, partners and augmentation, on the CPU.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    scheduler: LRScheduler | None
    average: AveragedModel | None
    generator: torch.Generator

    @property
    def validated(self) -> nn.Module:
        """The network that is validated and kept: the moving average, if there is one."""
        return self.model if self.average is None else self.average.module

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step."""
        rate: float = self.optimizer.param_groups[0]["lr"]
        return rate

    def after_step(self) -> None:
        """Update the moving average and the learning rate after a step of the optimiser."""
        if self.average is not None:
            self.average.update_parameters(self.model)
        if self.scheduler is not None:
            self.scheduler.step()


def make_learner(
    model: nn.Module,
    settings: TrainingSettings,
    seed: int,
    *,
    steps_per_epoch: int,
    recorded: bool,
) -> Learner:
    """Return a network at the start of its training.

    Args:
        model: the network.
        settings: settings of the training.
        seed: seed of order, partners and augmentation.
        steps_per_epoch: length of an epoch, for the schedule of the learning rate.
        recorded: whether steps are recorded on a GPU.
    """
    optimizer = make_optimizer(model, settings, recorded=recorded)
    return Learner(
        model=model,
        optimizer=optimizer,
        scheduler=make_schedule(optimizer, settings, steps_per_epoch),
        average=make_average(model, settings),
        generator=torch.Generator().manual_seed(seed),
    )


def make_average(model: nn.Module, settings: TrainingSettings) -> AveragedModel | None:
    """Return the moving average of a network's weights; None if `settings` have no `ema`."""
    if settings.ema is None:
        return None
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(settings.ema), use_buffers=True)


def state_to_save(learner: Learner, state: TrainingState) -> dict[str, Any]:
    """Return everything that the steps to come depend on."""
    model, scheduler, average = learner.model, learner.scheduler, learner.average
    return {
        "model": model.state_dict(),
        "gradients": {name: p.grad for name, p in model.named_parameters()},
        "optimizer": learner.optimizer.state_dict(),
        "scheduler": None if scheduler is None else scheduler.state_dict(),
        "random": random_states(learner.generator),
        "seen": asdict(state) | {"earlier_s": state.wall_s()},
        "average": None if average is None else average.state_dict(),
    }


def resume(learner: Learner, state: TrainingState, saved: dict[str, Any] | None) -> None:
    """Put a training back into a saved state of `state_to_save`; do nothing without one."""
    if saved is None:
        return
    learner.model.load_state_dict(saved["model"])
    for name, parameter in learner.model.named_parameters():
        gradient = saved["gradients"][name]
        parameter.grad = None if gradient is None else gradient.to(parameter.device)
    learner.optimizer.load_state_dict(saved["optimizer"])
    if learner.scheduler is not None:
        learner.scheduler.load_state_dict(saved["scheduler"])
    set_random_states(saved["random"], learner.generator)
    if learner.average is not None:
        learner.average.load_state_dict(saved["average"])
    read_s = state.seconds["data"]  # spent by this process
    for key, value in saved["seen"].items():
        setattr(state, key, value)
    state.seconds["data"] += read_s
    steps = "" if state.epoch_losses is None else f" and {len(state.epoch_losses)} steps"
    logger.info("resuming after epoch %d%s, from last.pt", len(state.history), steps)
