"""Single images: one mask per patch, and its class where the network has a second task."""

from dataclasses import dataclass

import torch
from torch import nn

from weaklesion.study.settings import TrainingSettings
from weaklesion.training.augmentation import flip_numbers
from weaklesion.training.data import SplitData, epoch_batches
from weaklesion.training.device import mixed_precision
from weaklesion.training.inputs import InputGeometry
from weaklesion.training.losses import classification_loss, segmentation_loss
from weaklesion.training.tasks.patches import PatchTask, augmented, network_input, patch_outcome
from weaklesion.training.tasks.results import Losses, Outcome


@dataclass(frozen=True)
class SegmentationTask(PatchTask):
    """Segment single images; see `weaklesion.training.tasks.Task`."""

    def with_partners(
        self, val: SplitData, train: SplitData, generator: torch.Generator
    ) -> SplitData:
        """Return `val` as it is: single images have no partners."""
        return val

    def draw_batches(self, train: SplitData, generator: torch.Generator) -> list[torch.Tensor]:
        """Draw the batches of one pass over all samples."""
        settings = self.settings
        return epoch_batches(
            len(train.ids), settings.batch_size, generator, drop_last=settings.drop_last
        )

    def losses(
        self, model: nn.Module, train: SplitData, index: torch.Tensor, draws: torch.Tensor | None
    ) -> Losses:
        """Return the losses of the flipped batch, of both tasks where there are two."""
        images, targets = augmented(train, index, draws)
        logits, class_logits = segment_images(model, images, self.geometry, self.settings)
        segmentation = segmentation_loss(logits, targets, self.geometry, self.settings)
        if class_logits is None:
            return Losses(segmentation, torch.zeros_like(segmentation))
        labels = classes_as_flipped(train, index, draws)
        return Losses(segmentation, classification_loss(class_logits, labels, self.settings))

    def evaluate(self, model: nn.Module, val: SplitData, index: torch.Tensor) -> Outcome:
        """Segment and classify validation samples, not flipped."""
        images, targets = val.images[index], val.targets[index]
        logits, class_logits = segment_images(model, images, self.geometry, self.settings)
        return patch_outcome(logits, targets, self.geometry, self.settings, class_logits)


def make(settings: TrainingSettings, geometry: InputGeometry) -> SegmentationTask:
    """Return the task of a run."""
    return SegmentationTask(settings, geometry)


def segment_images(
    model: nn.Module, images: torch.Tensor, geometry: InputGeometry, settings: TrainingSettings
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Run a network of single images.

    Args:
        model: the network that `settings` name.
        images: (N, 3, input, input) uint8.
        geometry: from patch to input.
        settings: settings of the training.

    Returns:
        Map logits (N, 1, *pad_to), and class logits (N, K) or None without classes.
    """
    batch = network_input(images, geometry, settings)
    with mixed_precision(settings, batch.device):
        output = model(batch)
    return output if isinstance(output, tuple) else (output, None)


def classes_as_flipped(
    data: SplitData, index: torch.Tensor, flips: torch.Tensor | None
) -> torch.Tensor:
    """Return the classes, (B,) int64, of a batch as the network sees it.

    Args:
        data: samples with classes.
        index: (B,) int64 on the device, the samples of the batch.
        flips: (B, 2) bool on the device, which of them are flipped; None for no flips.
    """
    if flips is None:
        assert data.labels is not None
        return data.labels[index]
    assert data.flipped_labels is not None
    return data.flipped_labels[index, flip_numbers(flips)]
