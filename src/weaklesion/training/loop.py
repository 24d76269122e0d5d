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


@dataclass(frozen=True, kw_only=True)
class Saving:
    """How a training is saved, so that it can be resumed.

    Attributes:
        last_pt: the file.
        digest: digest of all that the training depends on; a file with another one is ignored.
        every_s: seconds between saves; the first epoch is always saved.
    """

    last_pt: Path
    digest: str
    every_s: float


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
    settings, saved_at = task.settings, -math.inf
    val = task.with_partners(splits.val, splits.train, learner.generator)
    resume(learner, state, load_last(saving.last_pt, saving.digest))
    take_step = make_step(learner.model, learner.optimizer, splits.train, task)
    while len(state.history) < settings.epochs and not state.stopped:
        what = f"epoch {len(state.history) + 1}/{settings.epochs}"
        with state.timed("steps"):
            row = train_epoch(learner, splits.train, task, take_step, what)
        with state.timed("validation"):
            row |= evaluate(learner.validated, val, task)
        if not math.isfinite(row["val_segmentation_loss"]):
            raise DataError(
                f"{what}: the validation loss is {row['val_segmentation_loss']}. {CURE}"
            )
        row |= {"epoch": len(state.history), "learning_rate": learner.learning_rate}
        state.history.append(row)
        keep(state, learner.validated, settings)
        if time.perf_counter() - saved_at > saving.every_s:
            with state.timed("saving"):
                save_last(saving.last_pt, saving.digest, state_to_save(learner, state))
            saved_at = time.perf_counter()
        _report(state, settings)
        on_epoch(row)


def train_epoch(
    learner: Learner, train: SplitData, task: Task, take_step: Step, what: str
) -> dict[str, float]:
    """Take the steps of one epoch; return its mean losses.

    Args:
        learner: network in training.
        train: training split.
        task: task of the run.
        take_step: function that takes a step (`weaklesion.training.steps.make_step`).
        what: name of the epoch in messages.

    Raises:
        DataError: if a loss is not finite.
    """
    device = train.images.device
    learner.model.train()
    turns = [
        batch.roll(turn * (len(batch) // 2))
        for batch in make_batches(train, task, learner.generator)
        for turn in range(task.settings.steps_per_batch)
    ]
    losses = []
    for index in progress(turns, total=len(turns), what=f"{what}, steps"):
        draws = task.draw(len(index), learner.generator)
        losses.append(take_step(index.to(device), None if draws is None else draws.to(device)))
        learner.after_step()
    return _mean_losses(torch.stack(losses).cpu(), list(map(len, turns)), what)


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


def _mean_losses(losses: torch.Tensor, sizes: list[int], what: str) -> dict[str, float]:
    """Return the mean of (steps, 3) losses; DataError at the first loss that is not finite."""
    broken = (~losses.isfinite().all(dim=1)).nonzero()
    if len(broken):
        step = int(broken[0])
        before = f"after {losses[step - 1, 0]:g}" if step else "from the first step on"
        raise DataError(
            f"{what}, step {step + 1} of {len(losses)}: the training loss is "
            f"{losses[step, 0]:g}, {before}. {CURE}"
        )
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
