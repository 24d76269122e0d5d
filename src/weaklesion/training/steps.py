"""One training step and one evaluation, on the device from first to last."""

import torch
from torch import nn

from weaklesion.training.cuda_graphs import Step, recorded
from weaklesion.training.data import SplitData
from weaklesion.training.tasks import Task


def training_step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    data: SplitData,
    index: torch.Tensor,
    draws: torch.Tensor | None,
    task: Task,
) -> torch.Tensor:
    """Take one step of the optimiser.

    Args:
        model: in training mode.
        optimizer: optimiser of its parameters.
        data: the training split.
        index: (B,) int64 on the device, the samples of the batch.
        draws: random draws of the batch, of `task.draw`, on the device.
        task: task of the run.

    Returns:
        (3,) total, segmentation and classification loss, detached.
    """
    settings = task.settings
    segmentation, classification = task.losses(model, data, index, draws)
    loss = (
        settings.segmentation_weight * segmentation
        + settings.classification_weight * classification
    )
    if settings.zero_gradients:
        optimizer.zero_grad(set_to_none=True)
    loss.backward()
    if settings.clip_norm is not None:
        nn.utils.clip_grad_norm_(model.parameters(), settings.clip_norm)
    optimizer.step()
    return torch.stack([loss, segmentation, classification]).detach()


def make_step(
    model: nn.Module, optimizer: torch.optim.Optimizer, train: SplitData, task: Task
) -> Step:
    """Return the function that takes a training step.

    On a GPU its first call records the step, if `can_record`; later batches of the same size replay
    it, and batches of another size take a plain step.
    """

    def plain(index: torch.Tensor, draws: torch.Tensor | None) -> torch.Tensor:
        return training_step(model, optimizer, train, index, draws, task)

    if not can_record(train.images.device, task):
        return plain
    replayed: Step | None = None
    size = 0

    def step(index: torch.Tensor, draws: torch.Tensor | None) -> torch.Tensor:
        nonlocal replayed, size
        if replayed is None:
            zero_gradients = task.settings.zero_gradients
            replayed = recorded(
                plain, model, optimizer, index, draws, zero_gradients=zero_gradients
            )
            size = len(index)
        return (replayed if len(index) == size else plain)(index, draws)

    return step


def can_record(device: torch.device, task: Task) -> bool:
    """Return whether the steps of a training can be recorded as a CUDA graph.

    A graph replays the same numbers, so that the learning rate must be constant; and losses and
    optimiser must never wait for a value of the GPU.
    """
    settings = task.settings
    plain = (
        settings.optimizer == "adam"
        and settings.segmentation_loss == "bce"
        and settings.classification_loss == "cross_entropy"
        and task.stays_on_device
        and settings.ema is None
    )
    return device.type == "cuda" and plain and settings.schedule == "constant"


@torch.no_grad()
def evaluate(model: nn.Module, data: SplitData, task: Task, index: torch.Tensor) -> torch.Tensor:
    """Evaluate a network on a batch.

    Args:
        model: the network, in evaluation mode.
        data: the validation split, with partners where the task has them.
        task: task of the run.
        index: (B,) int64 on the device, the samples of the batch.

    Returns:
        (3,) sums over the samples, on the device: segmentation loss; Dice against the target, 1
        where prediction and target are both empty; and right classes, 0 without classes.
    """
    outcome = task.evaluate(model, data, index)
    pred, ref = outcome.pred, outcome.target
    both = (pred & ref).sum(dim=(1, 2))
    sizes = pred.sum(dim=(1, 2)) + ref.sum(dim=(1, 2))
    dice = torch.where(sizes > 0, 2 * both / sizes.clamp(min=1), 1.0)
    right = torch.zeros_like(sizes)
    if outcome.class_logits is not None and data.labels is not None:
        right = outcome.class_logits.argmax(dim=1) == data.labels[index]
    return torch.stack([outcome.loss * len(index), dice.sum(), right.sum()])
