"""What the tasks on resized patches share: single images and pairs of images."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from weaklesion.errors import DataError
from weaklesion.flips import FLIPS
from weaklesion.study.settings import TrainingSettings
from weaklesion.supervision.class_table import read_classes
from weaklesion.training.augmentation import apply_flips, draw_flips
from weaklesion.training.data import SplitData, TrainingFiles, read_split
from weaklesion.training.inputs import InputGeometry, normalise
from weaklesion.training.losses import segmentation_loss
from weaklesion.training.tasks.results import Outcome


@dataclass(frozen=True)
class PatchTask:
    """What both tasks have of `weaklesion.training.tasks.Task`.

    Attributes:
        settings: settings of the training.
        geometry: from patch to input.
    """

    settings: TrainingSettings
    geometry: InputGeometry
    stays_on_device: ClassVar[bool] = True

    def load_split(self, split: str, files: TrainingFiles, device: torch.device) -> SplitData:
        """Load one split to the device, resized, with clusters where `settings` need them.

        Raises:
            DataError: see `read_class_labels` and `weaklesion.training.data.read_split`.
        """
        settings = self.settings
        ids, images, targets = read_split(split, files, settings)
        labels = None
        if settings.needs_clusters:
            clusters = read_class_labels(files.clusters_csv, ids, settings)
            labels = torch.tensor(clusters, device=device)
        return SplitData(
            ids,
            self.geometry.load_images(images, device),
            self.geometry.load_targets(targets, device, soft=settings.soft_targets),
            None if labels is None else labels[:, 0].contiguous(),
            flipped_labels=labels if settings.flips_classes else None,
        )

    def draw(self, count: int, generator: torch.Generator) -> torch.Tensor | None:
        """Draw which of `count` patches are flipped, (count, 2) bool; None for no augmentation."""
        return None if self.settings.augmentation == "none" else draw_flips(count, generator)

    def describe(self, train: SplitData) -> dict[str, Any]:
        """Return nothing: all that there is to say holds for every task."""
        return {}


def read_class_labels(
    clusters_csv: str | Path | None, ids: list[str], settings: TrainingSettings
) -> np.ndarray:
    """Return the cluster of each sample, (N, 1); where classes are flipped (N, 4), as `FLIPS`.

    Raises:
        DataError: if no file of clusters is named, a sample has no cluster, or the clusters do not
            fit the network's classes.
    """
    if clusters_csv is None:
        raise DataError(f"{settings.model} needs clusters, and no file of clusters is named.")
    clusters = read_classes(clusters_csv, list(FLIPS) if settings.flips_classes else ["cluster"])
    missing = [name for name in ids if name not in clusters.index]
    if missing:
        raise DataError(f"{clusters_csv}: sample {missing[0]} is not in it. Cluster again.")
    labels = clusters.loc[ids].to_numpy()
    below = settings.num_classes or np.inf
    if labels.min() < 0 or labels.max() >= below:
        raise DataError(
            f"{clusters_csv}: clusters {labels.min()} to {labels.max()} "
            f"do not fit {settings.num_classes} classes. Cluster again."
        )
    return labels


def augmented(
    data: SplitData, index: torch.Tensor, flips: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the images and targets of a batch, flipped as drawn.

    Args:
        data: the training split.
        index: (B,) int64 on the device, the samples of the batch.
        flips: draws of `PatchTask.draw`, on the device.

    Returns:
        (B, 3, input, input) and (B, 1, input, input), both uint8.
    """
    images, targets = data.images[index], data.targets[index]
    if flips is None:
        return images, targets
    return apply_flips(images, flips), apply_flips(targets, flips)


def network_input(
    images: torch.Tensor, geometry: InputGeometry, settings: TrainingSettings
) -> torch.Tensor:
    """Normalise and pad (N, 3, input, input) uint8 images: (N, 3, *pad_to) float32."""
    batch = geometry.pad(normalise(images, settings.normalisation))
    return batch.contiguous(memory_format=torch.channels_last)


def patch_outcome(
    logits: torch.Tensor,
    targets: torch.Tensor,
    geometry: InputGeometry,
    settings: TrainingSettings,
    class_logits: torch.Tensor | None = None,
) -> Outcome:
    """Compare map logits (B, 1, *pad_to) with targets (B, 1, input, input) uint8."""
    return Outcome(
        loss=segmentation_loss(logits, targets, geometry, settings),
        pred=geometry.crop(logits)[:, 0] >= 0,
        target=targets[:, 0] == settings.full_target,
        class_logits=class_logits,
    )
