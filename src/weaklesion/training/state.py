"""How far a training is, and the rule that decides which weights are kept."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import nn

from weaklesion.study.settings import TrainingSettings


@dataclass
class TrainingState:
    """The history of a training so far, and the weights that its checkpoint rule keeps.

    Times add up over all processes of a training that was killed and resumed, each up to its last
    save. The time that a killed process spent after its last save is unknown.

    Attributes:
        history: one row per epoch.
        best_epoch: epoch with the best value, from 0; -1 before the first.
        best_value: lowest value that the rule compares: the loss, or the negative of a score.
        kept_epoch: epoch of the weights that are kept.
        kept: those weights, on the CPU.
        stopped: whether patience has ended the training.
        seconds: seconds spent on data, steps, validation and saving.
        earlier_s: wall seconds of the processes before this one, up to their last saves.
        epoch_order: state of the generator from which the batches of the unfinished epoch were
            drawn; None between epochs.
        epoch_losses: (steps, 3) losses of that epoch so far, on the CPU; None between epochs.
        validated: samples of that epoch's validation so far.
        val_sums: (3,) sums over them (`weaklesion.training.steps.evaluate`), on the device; None
            before the first batch and between epochs.
    """

    history: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = -1
    best_value: float = math.inf
    kept_epoch: int = -1
    kept: dict[str, torch.Tensor] = field(default_factory=dict)
    stopped: bool = False
    seconds: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(("data", "steps", "validation", "saving"), 0.0)
    )
    earlier_s: float = 0.0
    epoch_order: torch.Tensor | None = None
    epoch_losses: torch.Tensor | None = None
    validated: int = 0
    val_sums: torch.Tensor | None = None

    def __post_init__(self) -> None:
        self._started = time.perf_counter()

    def end_epoch(self) -> None:
        """Forget the epoch that was unfinished."""
        self.epoch_order = self.epoch_losses = self.val_sums = None
        self.validated = 0

    def wall_s(self) -> float:
        """Return the wall seconds of the training so far, over all its processes."""
        return self.earlier_s + time.perf_counter() - self._started

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """Add the seconds that the block takes to `seconds[what]`."""
        started = time.perf_counter()
        yield
        self.seconds[what] += time.perf_counter() - started


def keep(state: TrainingState, model: nn.Module, settings: TrainingSettings) -> None:
    """Apply patience and the checkpoint rule after an epoch."""
    epoch = len(state.history) - 1
    last = state.history[-1]
    larger = {"best_dice": "val_dice", "best_accuracy": "val_accuracy"}.get(settings.checkpoint)
    value = last["val_segmentation_loss"] if larger is None else -last[larger]
    improved = value < state.best_value
    if improved:
        state.best_value, state.best_epoch = value, epoch
    state.stopped = settings.patience is not None and epoch - state.best_epoch >= settings.patience
    take_last = settings.checkpoint == "last" or (
        settings.checkpoint == "last_if_stopped" and state.stopped
    )
    if improved or take_last:
        state.kept_epoch = epoch
        state.kept = weights_of(model)


def weights_of(model: nn.Module) -> dict[str, torch.Tensor]:
    """Return a copy of a network's weights, on the CPU."""
    return {
        name: tensor.detach().cpu().clone().contiguous()
        for name, tensor in model.state_dict().items()
    }
