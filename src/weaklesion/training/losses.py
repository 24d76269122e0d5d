"""The losses of segmentation and of classification; Dice and focal loss are MONAI's."""

import functools

import torch
import torch.nn.functional as F
from torch import nn

from weaklesion.study.settings import TrainingSettings
from weaklesion.training.inputs import InputGeometry

FOCAL_GAMMA = 2.0  # Lin et al. 2017


def segmentation_loss(
    logits: torch.Tensor, targets: torch.Tensor, geometry: InputGeometry, settings: TrainingSettings
) -> torch.Tensor:
    """Return the mean segmentation loss over the patch, or over the padded map.

    Args:
        logits: (N, 1, *pad_to).
        targets: (N, 1, input, input) uint8 of 0 to `settings.full_target`.
        geometry: from patch to input.
        settings: settings of the training.
    """
    logits = logits.float()  # not in bfloat16
    prediction = logits if settings.loss_region == "map" else geometry.crop(logits)
    reference = geometry.pad(targets) if settings.loss_region == "map" else targets
    reference = reference.float() / settings.full_target
    if settings.segmentation_loss != "bce":
        of_batch = settings.segmentation_loss == "batch_dice"
        dice: torch.Tensor = _dice_loss(of_batch)(prediction, reference)
        return dice
    return F.binary_cross_entropy_with_logits(prediction, reference)


def classification_loss(
    class_logits: torch.Tensor, labels: torch.Tensor, settings: TrainingSettings
) -> torch.Tensor:
    """Return the mean classification loss of (N, K) logits and (N,) int64 labels."""
    if settings.classification_loss == "focal":
        focal: torch.Tensor = _focal_loss(settings.focal_weights)(
            class_logits.float(), labels[:, None]
        )
        return len(class_logits[0]) * focal  # MONAI's mean is over samples and classes
    return F.cross_entropy(class_logits.float(), labels)


@functools.cache
def _dice_loss(of_batch: bool) -> nn.Module:
    from monai.losses import DiceLoss  # imported here because it is slow and seldom needed

    return DiceLoss(sigmoid=True, batch=of_batch)


@functools.cache
def _focal_loss(weights: tuple[float, ...] | None) -> nn.Module:
    from monai.losses import FocalLoss

    return FocalLoss(to_onehot_y=True, use_softmax=True, gamma=FOCAL_GAMMA, weight=weights)
