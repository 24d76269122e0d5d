"""Pairs of images: co-segmentation, each image with the help of its partner."""

from dataclasses import dataclass, replace

import torch
from torch import nn

from weaklesion.study.settings import TrainingSettings
from weaklesion.training.data import SplitData, epoch_batches
from weaklesion.training.device import mixed_precision
from weaklesion.training.inputs import InputGeometry
from weaklesion.training.losses import segmentation_loss
from weaklesion.training.tasks.patches import PatchTask, augmented, network_input, patch_outcome
from weaklesion.training.tasks.results import Losses, Outcome


@dataclass(frozen=True)
class PairTask(PatchTask):
    """Segment pairs of images; see `weaklesion.training.tasks.Task`."""

    def with_partners(
        self, val: SplitData, train: SplitData, generator: torch.Generator
    ) -> SplitData:
        """Return `val` with a partner of each image, drawn once for all epochs.

        The partner is a training image of the same cluster; or a validation image, if pairs are
        drawn at random.
        """
        device = val.images.device
        if self.settings.pairs == "random":
            order = torch.randperm(len(val.ids), generator=generator)
            return replace(val, partners=val.images[order.to(device)])
        assert train.labels is not None
        assert val.labels is not None
        partners = validation_partners(val.labels.cpu(), train.labels.cpu(), generator)
        return replace(val, partners=train.images[partners.to(device)])

    def draw_batches(self, train: SplitData, generator: torch.Generator) -> list[torch.Tensor]:
        """Draw the batches of one pass; the first half's partners are the second half."""
        settings = self.settings
        if settings.pairs == "cluster":
            assert train.labels is not None
            return epoch_pairs(
                train.labels.cpu(), settings.batch_size, generator, drop_last=settings.drop_last
            )
        return epoch_batches(
            len(train.ids), settings.batch_size, generator, drop_last=settings.drop_last
        )

    def losses(
        self, model: nn.Module, train: SplitData, index: torch.Tensor, draws: torch.Tensor | None
    ) -> Losses:
        """Return the loss over both images of each pair, as flipped."""
        images, targets = augmented(train, index, draws)
        logits = segment_halves(model, images, self.geometry, self.settings)
        segmentation = segmentation_loss(logits, targets, self.geometry, self.settings)
        return Losses(segmentation, torch.zeros_like(segmentation))

    def evaluate(self, model: nn.Module, val: SplitData, index: torch.Tensor) -> Outcome:
        """Segment validation samples, each with its partner."""
        assert val.partners is not None
        images, partners = val.images[index], val.partners[index]
        logits = segment_with_partners(model, images, partners, self.geometry, self.settings)
        return patch_outcome(logits, val.targets[index], self.geometry, self.settings)


def make(settings: TrainingSettings, geometry: InputGeometry) -> PairTask:
    """Return the task of a run."""
    return PairTask(settings, geometry)


def segment_halves(
    model: nn.Module, images: torch.Tensor, geometry: InputGeometry, settings: TrainingSettings
) -> torch.Tensor:
    """Segment a batch whose first half's partners are the second half.

    Args:
        model: the network that `settings` name.
        images: (N, 3, input, input) uint8, N even.
        geometry: from patch to input.
        settings: settings of the training.

    Returns:
        Map logits of all images, (N, 1, *pad_to).
    """
    batch = network_input(images, geometry, settings)
    with mixed_precision(settings, batch.device):
        return torch.cat(model(*batch.chunk(2)))


def segment_with_partners(
    model: nn.Module,
    images: torch.Tensor,
    partners: torch.Tensor,
    geometry: InputGeometry,
    settings: TrainingSettings,
) -> torch.Tensor:
    """Segment images with the help of their partners; return map logits (N, 1, *pad_to).

    Args:
        model: the network that `settings` name.
        images: (N, 3, input, input) uint8.
        partners: as `images`; they are not segmented.
        geometry: from patch to input.
        settings: settings of the training.
    """
    batch = network_input(images, geometry, settings)
    with mixed_precision(settings, batch.device):
        logits: torch.Tensor = model(batch, network_input(partners, geometry, settings))[0]
    return logits


def epoch_pairs(
    labels: torch.Tensor, batch_size: int, generator: torch.Generator, *, drop_last: bool = False
) -> list[torch.Tensor]:
    """Return batches of pairs, each of two samples of one cluster.

    Every sample is in one pair. In a cluster of odd size, the sample that is left over is paired
    with another sample of the cluster, which then has two pairs; the only sample of a cluster is
    paired with any other sample.

    Args:
        labels: (N,) int64 cluster of each sample, on the CPU.
        batch_size: samples per batch, even.
        generator: decides the pairs and their order.
        drop_last: whether the last batch is left out if it is not full.

    Returns:
        Batches of 2 to `batch_size` sample numbers; the first half's partners are the second half.
    """
    order = torch.randperm(len(labels), generator=generator)
    order = order[labels[order].argsort(stable=True)]
    pairs = []
    for members in order.split(torch.bincount(labels).tolist()):
        if len(members) % 2:
            others = members[:-1] if len(members) > 1 else _others(members[-1], len(labels))
            chosen = torch.randint(len(others), (1,), generator=generator)
            members = torch.cat([members, others[chosen]])
        pairs.append(members.view(-1, 2))
    drawn = torch.cat(pairs)
    drawn = drawn[torch.randperm(len(drawn), generator=generator)]
    batches = [batch.t().reshape(-1) for batch in drawn.split(batch_size // 2)]
    return batches[:-1] if drop_last and len(batches[-1]) < batch_size else batches


def _others(sample: torch.Tensor, count: int) -> torch.Tensor:
    everyone = torch.arange(count)
    return everyone[everyone != sample]


def validation_partners(
    labels: torch.Tensor, train_labels: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """Draw a training sample of the same cluster for each validation sample.

    A sample whose cluster has no training sample gets any training sample.

    Args:
        labels: (N,) int64 clusters of the validation samples, on the CPU.
        train_labels: (M,) int64 clusters of the training samples, on the CPU.
        generator: decides the partners.

    Returns:
        (N,) int64 numbers of training samples.
    """
    partners = torch.randint(len(train_labels), (len(labels),), generator=generator)
    for label in labels.unique():
        members = (train_labels == label).nonzero()[:, 0]
        if len(members):
            here = labels == label
            drawn = torch.randint(len(members), (int(here.sum()),), generator=generator)
            partners[here] = members[drawn]
    return partners
