"""Images with a mark: networks that see the mark and segment a crop around it."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import nn

from weaklesion.study.settings import TrainingSettings
from weaklesion.training.data import SplitData, TrainingFiles, epoch_batches, read_split
from weaklesion.training.device import mixed_precision
from weaklesion.training.inputs import InputGeometry
from weaklesion.training.mark_contrast import describe_contrast
from weaklesion.training.marks import load_marks
from weaklesion.training.prompt_settings import PromptSettings, prompt_settings
from weaklesion.training.prompts import plain_inputs, sample_bilinear
from weaklesion.training.tasks.results import Losses, Outcome
from weaklesion.training.warp_refit import Batch, num_draws, soft_edges, training_batch


@dataclass(frozen=True)
class PromptedTask:
    """Segment the lesion of a mark; see `weaklesion.training.tasks.Task`.

    Attributes:
        settings: settings of the training.
    """

    settings: TrainingSettings
    stays_on_device: ClassVar[bool] = False  # ellipses are refitted on the CPU

    @property
    def prompt(self) -> PromptSettings:
        """How the network is prompted."""
        return prompt_settings(self.settings)

    def load_split(self, split: str, files: TrainingFiles, device: torch.device) -> SplitData:
        """Load images and targets in the source's pixels, and the marks."""
        ids, images, targets = read_split(split, files, self.settings)
        return SplitData(
            ids,
            torch.from_numpy(images).to(device).permute(0, 3, 1, 2).contiguous(),
            torch.from_numpy(targets).to(device)[:, None],
            None,
            load_marks(files.ellipses_csv, ids, self.prompt, device),
        )

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

    def draw(self, count: int, generator: torch.Generator) -> torch.Tensor:
        """Draw turn, mirroring, warp and noise of the mark: standard normal numbers."""
        return torch.randn(count, num_draws(self.prompt), generator=generator)

    def losses(
        self, model: nn.Module, train: SplitData, index: torch.Tensor, draws: torch.Tensor | None
    ) -> Losses:
        """Return the loss of the warped batch, each image with the mark of its warped target."""
        assert train.marks is not None
        assert draws is not None
        batch = training_batch(
            train.images[index],
            train.targets[index],
            train.marks[index],
            draws,
            self.settings.input_px,
            self.prompt,
        )
        logits = prompted_logits(model, batch.inputs, self.settings)
        segmentation = prompted_loss(logits, batch)
        return Losses(segmentation, torch.zeros_like(segmentation))

    def evaluate(self, model: nn.Module, val: SplitData, index: torch.Tensor) -> Outcome:
        """Segment validation samples, neither turned nor warped."""
        batch = plain_batch(val, index, self.settings)
        logits = prompted_logits(model, batch.inputs, self.settings)
        return Outcome(
            loss=prompted_loss(logits, batch),
            pred=logits[:, 0] >= 0,
            target=batch.targets[:, 0] >= 0.5,
        )

    def describe(self, train: SplitData) -> dict[str, Any]:
        """Return the contrast of the training marks, with which `segment` compares a user's."""
        assert train.marks is not None
        return {"mark_contrast": describe_contrast(train.images, train.marks)}


def make(settings: TrainingSettings, geometry: InputGeometry) -> PromptedTask:
    """Return the task of a run; crops around marks need no geometry."""
    return PromptedTask(settings)


def prompted_logits(
    model: nn.Module, inputs: torch.Tensor, settings: TrainingSettings
) -> torch.Tensor:
    """Run a network that sees the mark; return logits (B, 1, input, input) float32."""
    with mixed_precision(settings, inputs.device):
        logits: torch.Tensor = model(inputs)
    return logits.float()


def prompted_loss(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Return the mean cross entropy where the crop is inside the image."""
    losses = F.binary_cross_entropy_with_logits(logits, batch.targets, reduction="none")
    return (losses * batch.valid).sum() / batch.valid.sum().clamp(min=1)


def plain_batch(data: SplitData, index: torch.Tensor, settings: TrainingSettings) -> Batch:
    """Return prompts, crops and targets as they are, neither turned nor warped."""
    assert data.marks is not None
    inputs, points_px = plain_inputs(
        data.images[index],
        data.marks[index],
        settings.input_px,
        prompt_settings(settings),
    )
    masks = sample_bilinear(data.targets[index].float(), points_px) >= 0.5
    valid = inputs[:, 3:4]
    return Batch(inputs, soft_edges(masks, valid), valid)
