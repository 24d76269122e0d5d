"""The only training loop: epochs, batches, validation, the checkpoint rule, patience."""

import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from weaklesion.errors import DataError
from weaklesion.study.settings import TrainingSettings
from weaklesion.support.progress import progress
from weaklesion.training.checkpoints import load_last, random_states, save_last, set_random_states
from weaklesion.training.data import SplitData
from weaklesion.training.optimizers import make_optimizer, make_schedule
from weaklesion.training.steps import can_record, evaluate, make_step
from weaklesion.training.tasks import Task

logger = logging.getLogger(__name__)

LOSSES = ("loss", "segmentation_loss", "classification_loss")
CURE = "Lower learning_rate, or set precision to float32."


@dataclass
class Progress:
    """What the loop has seen so far, and the weights that its checkpoint rule keeps.

    Times add up over the processes of a training that was killed and went on: up to the last save
    of each. What a killed process spent after its last save is lost with it and cannot be known.

    Attributes:
        seconds: seconds spent on data, steps, validation and saving.
        earlier_s: wall seconds of the processes before this one, up to their last saves.
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

    def __post_init__(self) -> None:
        self._started = time.perf_counter()

    def wall_s(self) -> float:
        """Return the wall seconds of the training so far, over all its processes."""
        return self.earlier_s + time.perf_counter() - self._started

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """Add the seconds that the block takes to those of `what`."""
        started = time.perf_counter()
        yield
        self.seconds[what] += time.perf_counter() - started


def fit(
    model: nn.Module,
    train: SplitData,
    val: SplitData,
    task: Task,
    seed: int,
    seen: Progress,
    *,
    last_pt: Path,
    digest: str,
    save_every_s: float,
    on_epoch: Callable[[dict[str, float]], None],
) -> nn.Module:
    """Run the epochs that are left; fill `seen`, with the weights that the rule keeps.

    Returns:
        The network after the last epoch, or its moving average where the settings have one.
    """
    settings, device = task.settings, train.images.device
    generator = torch.Generator().manual_seed(seed)
    val = task.with_partners(val, train, generator)
    optimizer = make_optimizer(model, settings, recorded=can_record(device, task))
    batches_per_epoch = len(make_batches(train, task, torch.Generator()))
    scheduler = make_schedule(optimizer, settings, batches_per_epoch * settings.steps_per_batch)
    average = make_average(model, settings)
    resume(model, optimizer, scheduler, generator, seen, load_last(last_pt, digest), average)
    saved_at, take_step = -math.inf, None
    kept = model if average is None else average.module
    while len(seen.history) < settings.epochs and not seen.stopped:
        what = f"epoch {len(seen.history) + 1}/{settings.epochs}"
        model.train()
        with seen.timed("steps"):
            batches = make_batches(train, task, generator)
            turns = [
                batch.roll(turn * (len(batch) // 2))
                for batch in batches
                for turn in range(settings.steps_per_batch)
            ]
            losses = []
            for index in progress(turns, total=len(turns), what=f"{what}, steps"):
                draws = task.draw(len(index), generator)
                index, draws = index.to(device), None if draws is None else draws.to(device)
                if take_step is None:
                    take_step = make_step(model, optimizer, train, task, index, draws)
                losses.append(take_step(index, draws))
                if average is not None:
                    average.update_parameters(model)
                if scheduler is not None:
                    scheduler.step()
            row = _mean_losses(torch.stack(losses).cpu(), list(map(len, turns)), what)
        with seen.timed("validation"):
            row |= evaluate(kept, val, task)
        if not math.isfinite(row["val_segmentation_loss"]):
            raise DataError(
                f"{what}: the validation loss is {row['val_segmentation_loss']}. {CURE}"
            )
        row |= {"epoch": len(seen.history), "learning_rate": optimizer.param_groups[0]["lr"]}
        seen.history.append(row)
        keep(seen, kept, settings)
        if time.perf_counter() - saved_at > save_every_s:
            with seen.timed("saving"):
                save_last(
                    last_pt, digest, _state(model, optimizer, scheduler, generator, seen, average)
                )
            saved_at = time.perf_counter()
        _report(seen, settings)
        on_epoch(row)
    return kept


def make_batches(train: SplitData, task: Task, generator: torch.Generator) -> list[torch.Tensor]:
    """Draw the batches of one epoch: of one pass, or of as many as `iterations` takes."""
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


def make_average(model: nn.Module, settings: TrainingSettings) -> AveragedModel | None:
    """Return the moving average of a network's weights, if `settings` ask for one."""
    if settings.ema is None:
        return None
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(settings.ema), use_buffers=True)


def _mean_losses(losses: torch.Tensor, sizes: list[int], what: str) -> dict[str, float]:
    """Return an epoch's mean losses of (steps, 3); DataError at the first that is not finite."""
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


def keep(seen: Progress, model: nn.Module, settings: TrainingSettings) -> None:
    """Apply patience and the checkpoint rule after an epoch."""
    epoch = len(seen.history) - 1
    last = seen.history[-1]
    larger = {"best_dice": "val_dice", "best_accuracy": "val_accuracy"}.get(settings.checkpoint)
    value = last["val_segmentation_loss"] if larger is None else -last[larger]
    improved = value < seen.best_value
    if improved:
        seen.best_value, seen.best_epoch = value, epoch
    seen.stopped = settings.patience is not None and epoch - seen.best_epoch >= settings.patience
    take_last = settings.checkpoint == "last" or (
        settings.checkpoint == "last_if_stopped" and seen.stopped
    )
    if improved or take_last:
        seen.kept_epoch = epoch
        seen.kept = weights_of(model)


def weights_of(model: nn.Module) -> dict[str, torch.Tensor]:
    """Return a copy of a network's weights, on the CPU."""
    return {
        name: tensor.detach().cpu().clone().contiguous()
        for name, tensor in model.state_dict().items()
    }


def _report(seen: Progress, settings: TrainingSettings) -> None:
    last, done = seen.history[-1], len(seen.history)
    spent = sum(seen.seconds.values()) - seen.seconds["data"]
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
    if seen.stopped:
        logger.info("no improvement in %d epochs: stopped", settings.patience)


def _state(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    scheduler: torch.optim.lr_scheduler.LRScheduler | None,
    generator: torch.Generator,
    seen: Progress,
    average: AveragedModel | None,
) -> dict[str, Any]:
    """Return everything that the epochs to come depend on."""
    return {
        "model": model.state_dict(),
        "gradients": {name: p.grad for name, p in model.named_parameters()},
        "optimizer": optimizer.state_dict(),
        "scheduler": None if scheduler is None else scheduler.state_dict(),
        "random": random_states(generator),
        "seen": asdict(seen) | {"earlier_s": seen.wall_s()},
        "average": None if average is None else average.state_dict(),
    }


def resume(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    scheduler: torch.optim.lr_scheduler.LRScheduler | None,
    generator: torch.Generator,
    seen: Progress,
    state: dict[str, Any] | None,
    average: AveragedModel | None = None,
) -> None:
    """Put everything into the state that `_state` returned; nothing to do without one."""
    if state is None:
        return
    model.load_state_dict(state["model"])
    for name, parameter in model.named_parameters():
        gradient = state["gradients"][name]
        parameter.grad = None if gradient is None else gradient.to(parameter.device)
    optimizer.load_state_dict(state["optimizer"])
    if scheduler is not None:
        scheduler.load_state_dict(state["scheduler"])
    set_random_states(state["random"], generator)
    if average is not None:
        average.load_state_dict(state["average"])
    read_s = seen.seconds["data"]  # by this process
    for key, value in state["seen"].items():
        setattr(seen, key, value)
    seen.seconds["data"] += read_s
    logger.info("going on after epoch %d, from last.pt", len(seen.history))
