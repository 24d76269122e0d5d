"""A split's patches, targets and labels on the device, joined by sample id."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch

from weaklesion.errors import DataError
from weaklesion.inputs import InputFrame
from weaklesion.samples import read_rows, split_ids
from weaklesion.training_settings import TrainingSettings


@dataclass
class SplitData:
    """One split on the device, joined by sample id.

    Attributes:
        ids: N sample ids, the order of the others.
        images: (N, 3, input, input) uint8.
        targets: (N, 1, input, input) uint8 of 0 and 1, or of 0 to 255 where they are soft.
        labels: (N,) int64 clusters, or None.
    """

    ids: list[str]
    images: torch.Tensor
    targets: torch.Tensor
    labels: torch.Tensor | None


def load_split(
    split: str,
    images_npy: str | Path,
    samples_csv: str | Path,
    target_npy: str | Path,
    target_ids_csv: str | Path,
    clusters_csv: str | Path | None,
    frame: InputFrame,
    settings: TrainingSettings,
    device: torch.device,
) -> SplitData:
    """Load one split to the device; targets and labels are found by sample id."""
    ids = split_ids(samples_csv, split)
    if len(ids) < 2:
        raise DataError(f"{samples_csv}: the split {split} has {len(ids)} samples; two are needed.")
    images = read_rows(images_npy, samples_csv, ids)
    targets = read_rows(target_npy, target_ids_csv, ids)
    if targets.max() > settings.full_target:
        raise DataError(
            f"{target_npy}: has values up to {targets.max()}; targets are 0 and 1. "
            "Make the supervision again."
        )
    labels = None
    if settings.num_classes is not None:
        if clusters_csv is None:
            raise DataError(f"{settings.model} needs clusters, and none are given.")
        clusters = pd.read_csv(clusters_csv, dtype={"id": str}).set_index("id")["cluster"]
        missing = [name for name in ids if name not in clusters.index]
        if missing:
            raise DataError(f"{clusters_csv}: sample {missing[0]} is not in it. Cluster again.")
        labels = torch.tensor(clusters[ids].to_numpy(), device=device)
        if labels.min() < 0 or labels.max() >= settings.num_classes:
            raise DataError(
                f"{clusters_csv}: clusters {int(labels.min())} to {int(labels.max())} "
                f"do not fit {settings.num_classes} classes. Cluster again."
            )
    return SplitData(
        ids,
        frame.load_images(images, device),
        frame.load_targets(targets, device, soft=settings.soft_targets),
        labels,
    )


def epoch_batches(count: int, batch_size: int, generator: torch.Generator) -> list[torch.Tensor]:
    """Return a random order of 0 .. count - 1 in batches; a single one left joins the last."""
    batches = list(torch.randperm(count, generator=generator).split(batch_size))
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches
