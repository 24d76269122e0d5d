"""One training step and one evaluation, on the device from first to last."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from weaklesion.study.settings import TrainingSettings
from weaklesion.training.augmentation import apply_flips, flip_numbers
from weaklesion.training.data import SplitData
from weaklesion.training.inputs import InputFrame, normalise
from weaklesion.training.losses import classification_loss, segmentation_loss
from weaklesion.training.prompts import PromptSettings, plain_inputs, sample
from weaklesion.training.warp_refit import Batch, soft_edges, training_batch

EVALUATION_BATCH = 64


def training_step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    data: SplitData,
    index: torch.Tensor,
    draws: torch.Tensor | None,
    frame: InputFrame,
    settings: TrainingSettings,
) -> torch.Tensor:
    """Take one step.

    Args:
        model: in training mode.
        optimizer: of its parameters.
        data: the training split.
        index: (B,) int64 on the device, the samples of the batch; of pairs, the first half's
            partners are the second half.
        draws: on the device, all that is random of the batch: of patches (B, 2) bool, which of them
            are flipped, or None for no augmentation; of prompts (B, DRAWS) standard normal.
        frame: from patch to input.
        settings: the training's.

    Returns:
        (3,) total, segmentation and classification loss, detached.
    """
    images, targets = data.images[index], data.targets[index]
    class_logits = None
    if settings.prompt is not None:
        assert data.prompts is not None
        assert draws is not None
        prompt = PromptSettings(**settings.prompt)
        batch = training_batch(
            images, targets, data.prompts[index], draws, settings.input_px, prompt
        )
        segmentation = prompted_loss(prompted_logits(model, batch.inputs, settings), batch)
    else:
        if draws is not None:
            images, targets = apply_flips(images, draws), apply_flips(targets, draws)
        logits, class_logits = network_outputs(model, images, frame, settings)
        segmentation = segmentation_loss(logits, targets, frame, settings)
    classification = torch.zeros_like(segmentation)
    if class_logits is not None:
        labels = classes_as_flipped(data, index, draws)
        classification = classification_loss(class_logits, labels, settings)
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


def classes_as_flipped(
    data: SplitData, index: torch.Tensor, flips: torch.Tensor | None
) -> torch.Tensor:
    """Return the classes, (B,) int64, of a batch as it is shown to the network.

    Args:
        data: samples with classes.
        index: (B,) int64 on the device, the samples of the batch.
        flips: (B, 2) bool on the device, which of them are flipped; None for none.
    """
    if flips is None:
        assert data.labels is not None
        return data.labels[index]
    assert data.flipped_labels is not None
    return data.flipped_labels[index, flip_numbers(flips)]


def network_outputs(
    model: nn.Module,
    images: torch.Tensor,
    frame: InputFrame,
    settings: TrainingSettings,
    partners: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Run the network; return map logits (N, 1, *pad_to) and class logits if it has any.

    Args:
        model: the network that `settings` names.
        images: (N, 3, input, input) uint8.
        frame: from patch to input.
        settings: the training's.
        partners: for co-segmentation, the images' partners, as `images`; without them the first
            half's partners are the second half.
    """
    batch = _network_input(images, frame, settings)
    with torch.autocast(
        batch.device.type, dtype=torch.bfloat16, enabled=settings.precision == "bfloat16"
    ):
        if not settings.is_paired:
            output = model(batch)
            return output if isinstance(output, tuple) else (output, None)
        if partners is not None:
            return model(batch, _network_input(partners, frame, settings))[0], None
        return torch.cat(model(*batch.chunk(2))), None


def _network_input(
    images: torch.Tensor, frame: InputFrame, settings: TrainingSettings
) -> torch.Tensor:
    batch = frame.pad(normalise(images, settings.normalisation))
    if batch.device.type == "cuda":
        batch = batch.contiguous(memory_format=torch.channels_last)
    return batch


def prompted_logits(
    model: nn.Module, inputs: torch.Tensor, settings: TrainingSettings
) -> torch.Tensor:
    """Run a network that sees the mark; return logits (B, 1, input, input) float32."""
    with torch.autocast(
        inputs.device.type, dtype=torch.bfloat16, enabled=settings.precision == "bfloat16"
    ):
        logits: torch.Tensor = model(inputs)
    return logits.float()


def prompted_loss(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Return the mean cross entropy where the crop is inside the image."""
    losses = F.binary_cross_entropy_with_logits(logits, batch.targets, reduction="none")
    return (losses * batch.valid).sum() / batch.valid.sum().clamp(min=1)


def plain_batch(data: SplitData, index: torch.Tensor, settings: TrainingSettings) -> Batch:
    """Return prompts, crops and targets as they are, neither turned nor warped."""
    assert settings.prompt is not None
    assert data.prompts is not None
    margin = PromptSettings(**settings.prompt).margin
    inputs, points_px = plain_inputs(
        data.images[index], data.prompts[index], settings.input_px, margin
    )
    masks = sample(data.targets[index].float(), points_px) >= 0.5
    return Batch(inputs, soft_edges(masks), inputs[:, 3:4])


@torch.no_grad()
def evaluate(
    model: nn.Module,
    data: SplitData,
    partner_images: torch.Tensor | None,
    frame: InputFrame,
    settings: TrainingSettings,
) -> dict[str, float]:
    """Return segmentation loss and mean Dice against the target, and the classes' accuracy.

    Args:
        model: the network; left in evaluation mode.
        data: N samples.
        partner_images: (N, 3, input, input) uint8, for co-segmentation.
        frame: from patch to input.
        settings: the training's.
    """
    model.eval()
    totals = torch.zeros(3, device=data.images.device)
    for index in torch.arange(len(data.ids), device=data.images.device).split(EVALUATION_BATCH):
        class_logits = None
        if settings.prompt is not None:
            batch = plain_batch(data, index, settings)
            logits = prompted_logits(model, batch.inputs, settings)
            totals[0] += prompted_loss(logits, batch) * len(index)
            pred, ref = logits[:, 0] >= 0, batch.targets[:, 0] >= 0.5
        else:
            targets = data.targets[index]
            partners = None if partner_images is None else partner_images[index]
            logits, class_logits = network_outputs(
                model, data.images[index], frame, settings, partners
            )
            totals[0] += segmentation_loss(logits, targets, frame, settings) * len(index)
            pred, ref = frame.crop(logits)[:, 0] >= 0, targets[:, 0] == settings.full_target
        both = (pred & ref).sum(dim=(1, 2))
        sizes = pred.sum(dim=(1, 2)) + ref.sum(dim=(1, 2))
        dice = torch.where(sizes > 0, 2 * both / sizes.clamp(min=1), 1.0)  # both empty: agreed
        totals[1] += dice.sum()
        if class_logits is not None and data.labels is not None:
            totals[2] += (class_logits.argmax(dim=1) == data.labels[index]).sum()
    loss_mean, dice_mean, accuracy = (totals / len(data.ids)).tolist()
    return {
        "val_segmentation_loss": loss_mean,
        "val_dice": dice_mean,
        "val_accuracy": accuracy if settings.num_classes is not None else math.nan,
    }
