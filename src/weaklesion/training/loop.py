"""The only training loop: epochs, batches, validation, the checkpoint rule, patience."""

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch

from weaklesion.errors import DataError
from weaklesion.study.settings import TrainingSettings
from weaklesion.support.progress import progress
from weaklesion.training.checkpoints import load_last, save_last
from weaklesion.training.cuda_graphs import Step
from weaklesion.training.data import SplitData
from weaklesion.training.inputs import EVALUATION_BATCH
from weaklesion.training.learner import Learner, resume, state_to_save
from weaklesion.training.state import TrainingState, keep
from weaklesion.training.steps import evaluate, make_step
from weaklesion.training.tasks import Task

logger = logging.getLogger(__name__)

LOSSES = ("loss", "segmentation_loss", "classification_loss")
CURE = "Lower learning_rate, or set precision to float32."


class Splits(NamedTuple):
    """The two splits that a training reads."""

    train: SplitData
    val: SplitData


@dataclass(kw_only=True)
class Saving:
    """How a training is saved, so that it can be resumed.

    Attributes:
        last_pt: the file.
        digest: digest of all that the training depends on; a file with another one is ignored.
        every_s: seconds between saves at the ends of epochs; the first epoch is always saved.
        in_epoch_every_s: seconds since the last save after which a step, or a batch of the
            validation, is saved.
    """

    last_pt: Path
    digest: str
    every_s: float
    in_epoch_every_s: float

    def __post_init__(self) -> None:
        self._saved_at = time.perf_counter()  # nothing is lost before the first step

    def is_due(self, every_s: float) -> bool:
        """Return whether the last save is more than `every_s` seconds ago."""
        return time.perf_counter() - self._saved_at > every_s

    def save(self, learner: Learner, state: TrainingState) -> None:
        """Write the training to the file."""
        with state.timed("saving"):
            save_last(self.last_pt, self.digest, state_to_save(learner, state))
        self._saved_at = time.perf_counter()


def fit(
    learner: Learner,
    splits: Splits,
    task: Task,
    state: TrainingState,
    *,
    saving: Saving,
    on_epoch: Callable[[dict[str, float]], None],
) -> None:
    """Run the epochs that are left, from `last.pt` where there is one.

    Args:
        learner: network at the start of its training; trained in place.
        splits: data.
        task: task of the run.
        state: filled with the history and the weights that the checkpoint rule keeps.
        saving: how the training is saved.
        on_epoch: called with each row of the history.

    Raises:
        DataError: if a loss is not finite.
    """
    settings = task.settings
    val = task.with_partners(splits.val, splits.train, learner.generator)
    resume(learner, state, load_last(saving.last_pt, saving.digest))
    take_step = make_step(learner.model, learner.optimizer, splits.train, task)
    while len(state.history) < settings.epochs and not state.stopped:
        row = train_epoch(learner, splits.train, task, take_step, state, saving)
        row |= validate(learner, val, task, state, saving)
        state.end_epoch()
        if not math.isfinite(row["val_segmentation_loss"]):
            raise DataError(
                f"{_epoch(state, task)}: the validation loss is {row['val_segmentation_loss']}."
                f" {CURE}"
            )
        row |= {"epoch": len(state.history), "learning_rate": learner.learning_rate}
        state.history.append(row)
        keep(state, learner.validated, settings)
        if len(state.history) == 1 or saving.is_due(saving.every_s):
            saving.save(learner, state)
        _report(state, settings)
        on_epoch(row)


def train_epoch(
    learner: Learner,
    train: SplitData,
    task: Task,
    take_step: Step,
    state: TrainingState,
    saving: Saving,
) -> dict[str, float]:
    """Take the steps of one epoch, or those that are left of it; return its mean losses.

    Args:
        learner: network in training.
        train: training split.
        task: task of the run.
        take_step: function that takes a step (`weaklesion.training.steps.make_step`).
        state: how far the training is, within this epoch too.
        saving: how the training is saved.

    Raises:
        DataError: if a loss is not finite.
    """
    device, generator, what = train.images.device, learner.generator, _epoch(state, task)
    with state.timed("steps"):
        learner.model.train()
        turns = _resume_epoch(train, task, generator, state)
        losses = [] if state.epoch_losses is None else list(state.epoch_losses.to(device))
    done, total = len(losses), len(turns)
    for index in progress(turns[done:], total=total, what=f"{what}, steps", done=done):
        with state.timed("steps"):
            draws = task.draw(len(index), generator)
            losses.append(take_step(index.to(device), None if draws is None else draws.to(device)))
            learner.after_step()
        if saving.is_due(saving.in_epoch_every_s):
            with state.timed("steps"):  # a GPU's are done when their losses are here
                state.epoch_losses = _finite(losses, total, what)
            saving.save(learner, state)
    with state.timed("steps"):
        state.epoch_losses = _finite(losses, total, what)
        return _mean_losses(state.epoch_losses, list(map(len, turns)))


def validate(
    learner: Learner, val: SplitData, task: Task, state: TrainingState, saving: Saving
) -> dict[str, float]:
    """Validate a network, or go on with its validation; return its means over the samples.

    Args:
        learner: network in training; its validated network is left in evaluation mode.
        val: validation split, with partners where the task has them.
        task: task of the run.
        state: how far the training is, within this validation too.
        saving: how the training is saved.

    Returns:
        `val_segmentation_loss`, `val_dice` (1 where prediction and target are both empty) and
        `val_accuracy` (nan without classes).
    """
    model, device, total = learner.validated, val.images.device, len(val.ids)
    model.eval()
    sums = state.val_sums
    sums = torch.zeros(3, device=device) if sums is None else sums.to(device)
    for first in range(state.validated, total, EVALUATION_BATCH):
        index = torch.arange(first, min(first + EVALUATION_BATCH, total), device=device)
        with state.timed("validation"):
            sums += evaluate(model, val, task, index)
        state.validated, state.val_sums = state.validated + len(index), sums
        if saving.is_due(saving.in_epoch_every_s):
            saving.save(learner, state)
    with state.timed("validation"):  # a GPU's is done when its sums are here
        loss, dice, accuracy = (sums / total).tolist()
    return {
        "val_segmentation_loss": loss,
        "val_dice": dice,
        "val_accuracy": math.nan if task.settings.num_classes is None else accuracy,
    }


def _epoch(state: TrainingState, task: Task) -> str:
    """Return the name that messages give to the epoch that a training is in."""
    return f"epoch {len(state.history) + 1}/{task.settings.epochs}"


def _resume_epoch(
    train: SplitData, task: Task, generator: torch.Generator, state: TrainingState
) -> list[torch.Tensor]:
    """Return the batches of all steps of an epoch: of the unfinished one, or of a new one."""
    order, now = state.epoch_order, generator.get_state()
    if order is None:
        state.epoch_order = now
    else:
        generator.set_state(order)
    turns = [
        batch.roll(turn * (len(batch) // 2))
        for batch in make_batches(train, task, generator)
        for turn in range(task.settings.steps_per_batch)
    ]
    if order is not None:
        generator.set_state(now)  # after the draws of the steps that were taken
    return turns


def make_batches(train: SplitData, task: Task, generator: torch.Generator) -> list[torch.Tensor]:
    """Draw the batches of one epoch: one pass, or as many passes as `iterations` takes."""
    settings = task.settings
    batches = task.draw_batches(train, generator)
    if not batches:
        raise DataError(
            f"the training split has {len(train.ids)} samples, and no batch of"
            f" {settings.batch_size} is full. Lower batch_size, or set drop_last to false."
        )
    while settings.iterations is not None and len(batches) < settings.iterations:
        batches += task.draw_batches(train, generator)
    return batches[: settings.iterations]


def count_steps(train: SplitData, task: Task) -> int:
    """Return the number of steps of an epoch."""
    return len(make_batches(train, task, torch.Generator())) * task.settings.steps_per_batch


def _finite(losses: list[torch.Tensor], total: int, what: str) -> torch.Tensor:
    """Return losses of steps as (steps, 3), on the CPU; DataError at the first not finite one."""
    values = torch.stack(losses).cpu()
    broken = (~values.isfinite().all(dim=1)).nonzero()
    if len(broken):
        step = int(broken[0])
        before = f"after {values[step - 1, 0]:g}" if step else "from the first step on"
        raise DataError(
            f"{what}, step {step + 1} of {total}: the training loss is "
            f"{values[step, 0]:g}, {before}. {CURE}"
        )
    return values


def _mean_losses(losses: torch.Tensor, sizes: list[int]) -> dict[str, float]:
    """Return the means of (steps, 3) losses over the samples of their batches."""
    weights = torch.tensor(sizes, dtype=losses.dtype)[:, None]
    means = (losses * weights).sum(dim=0) / weights.sum()
    return {f"train_{name}": value for name, value in zip(LOSSES, means.tolist(), strict=True)}


def _report(state: TrainingState, settings: TrainingSettings) -> None:
    last, done = state.history[-1], len(state.history)
    spent = sum(state.seconds.values()) - state.seconds["data"]
    logger.info(
        "epoch %d/%d: loss %.4f, validation loss %.4f, Dice against the target %.4f; "
        "%.0f s, at most %.0f s left",
        done,
        settings.epochs,
        last["train_loss"],
        last["val_segmentation_loss"],
        last["val_dice"],
        spent,
        spent / done * (settings.epochs - done),
    )
    if state.stopped:
        logger.info("no improvement in %d epochs: stopped", settings.patience)
