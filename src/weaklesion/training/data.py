"""A split's patches, targets and labels on the device, joined by sample id."""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from weaklesion.data.samples import read_rows, split_ids
from weaklesion.errors import DataError
from weaklesion.study.settings import TrainingSettings


@dataclass(frozen=True, kw_only=True)
class TrainingFiles:
    """The files that a training reads.

    Attributes:
        images_npy: patches, (N, side, side, 3) uint8.
        samples_csv: their samples.
        target_npy: (M, side, side) uint8 of 0 and 1, or of 0 to 255 where they are soft.
        target_ids_csv: `id` of each of the M targets.
        clusters_csv: classes (`weaklesion.supervision.class_table`), for networks with classes and
            for pairs within a cluster.
        weights_pth: verified ImageNet weights of the encoder; None to start from scratch.
        ellipses_csv: the marks, for networks that see them; or None.
        start_safetensors: network of another run, whose encoder the training starts from; or None.
    """

    images_npy: str | Path
    samples_csv: str | Path
    target_npy: str | Path
    target_ids_csv: str | Path
    clusters_csv: str | Path | None = None
    weights_pth: str | Path | None = None
    ellipses_csv: str | Path | None = None
    start_safetensors: str | Path | None = None

    def by_role(self) -> dict[str, str | Path]:
        """Return the files that there are, by their attribute without the file type."""
        return {
            role.rsplit("_", 1)[0]: path for role, path in asdict(self).items() if path is not None
        }


@dataclass
class SplitData:
    """One split on the device, joined by sample id.

    Attributes:
        ids: N sample ids, the order of the others.
        images: (N, 3, input, input) uint8.
        targets: (N, 1, input, input) uint8 of 0 and 1, or of 0 to 255 where they are soft.
        labels: (N,) int64 clusters, or None.
        marks: (N, 5, 2) float32 marks, px (`weaklesion.training.prompts`), or None. Images and
            targets are then in the source's pixels.
        flipped_labels: (N, 4) int64 clusters under each flip, in the order of
            `weaklesion.supervision.class_table.FLIPS`, or None where no training with classes flips
            images.
        partners: (N, 3, input, input) uint8, partners of the images in validation, or None.
    """

    ids: list[str]
    images: torch.Tensor
    targets: torch.Tensor
    labels: torch.Tensor | None
    marks: torch.Tensor | None = None
    flipped_labels: torch.Tensor | None = None
    partners: torch.Tensor | None = None


def read_split(
    split: str, files: TrainingFiles, settings: TrainingSettings
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Read one split; targets are found by sample id.

    Returns:
        N ids, images (N, side, side, 3) uint8 and targets (N, side, side) uint8.

    Raises:
        DataError: if the split is too small, or targets have other values than `settings` say.
    """
    ids = ids_of_split(split, files.samples_csv, settings.train_samples)
    if len(ids) < 2:
        raise DataError(
            f"{files.samples_csv}: the split {split} has {len(ids)} samples; two are needed."
        )
    if split == "train" and settings.batch_size > len(ids):
        raise DataError(
            f"{files.samples_csv}: the split train has {len(ids)} samples, fewer than one batch. "
            f"Lower batch_size, {settings.batch_size}."
        )
    images = read_rows(files.images_npy, files.samples_csv, ids)
    targets = read_rows(files.target_npy, files.target_ids_csv, ids)
    if targets.max() > settings.full_target:
        raise DataError(
            f"{files.target_npy}: has values up to {targets.max()}; targets are 0 and 1. "
            "Make the supervision again."
        )
    return ids, images, targets


def ids_of_split(split: str, samples_csv: str | Path, train_samples: int | None) -> list[str]:
    """Return the ids of one split for a network, of `train` those that it is trained on.

    Args:
        split: the split.
        samples_csv: table of the samples.
        train_samples: number of samples that the network is trained on; None for all of `train`.

    Raises:
        DataError: if there are fewer.
    """
    ids = split_ids(samples_csv, split)
    if split == "train" and train_samples is not None:
        return some_ids(ids, train_samples, samples_csv)
    return ids


def some_ids(ids: list[str], count: int, samples_csv: str | Path) -> list[str]:
    """Choose `count` ids, the same ones in whatever order the ids come.

    The ids of a smaller count are among those of any larger count.

    Raises:
        DataError: if there are fewer ids.
    """
    if count > len(ids):
        raise DataError(
            f"{samples_csv}: the split train has {len(ids)} samples. Lower train_samples, {count}."
        )
    order = np.random.default_rng(0).permutation(sorted(ids))
    kept = set(order[:count].tolist())
    return [name for name in ids if name in kept]


def epoch_batches(
    count: int, batch_size: int, generator: torch.Generator, *, drop_last: bool = False
) -> list[torch.Tensor]:
    """Return a random order of 0 .. count - 1 in batches; a single number left joins the last."""
    batches = list(torch.randperm(count, generator=generator).split(batch_size))
    if len(batches[-1]) < batch_size and drop_last:
        return batches[:-1]
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches
