"""Which images are segmented together in training: pairs of one cluster."""

import torch


def epoch_pairs(
    labels: torch.Tensor, batch_size: int, generator: torch.Generator
) -> list[torch.Tensor]:
    """Return batches of pairs, each of two samples of one cluster.

    Every sample is in one pair; the one that is left over in an odd cluster is paired once more
    with another of its cluster, and the only one of a cluster with any other sample.

    Args:
        labels: (N,) int64 cluster of each sample, on the CPU.
        batch_size: samples a batch, even.
        generator: decides the pairs and their order.

    Returns:
        Batches of 2 to `batch_size` sample numbers; the first half's partners are the second half.
    """
    order = torch.randperm(len(labels), generator=generator)
    order = order[labels[order].argsort(stable=True)]
    pairs = []
    for members in order.split(torch.bincount(labels)[labels.unique()].tolist()):
        if len(members) % 2:
            others = members[:-1] if len(members) > 1 else _others(members[-1], len(labels))
            chosen = torch.randint(len(others), (1,), generator=generator)
            members = torch.cat([members, others[chosen]])
        pairs.append(members.view(-1, 2))
    drawn = torch.cat(pairs)
    drawn = drawn[torch.randperm(len(drawn), generator=generator)]
    return [batch.t().reshape(-1) for batch in drawn.split(batch_size // 2)]


def _others(sample: torch.Tensor, count: int) -> torch.Tensor:
    everyone = torch.arange(count)
    return everyone[everyone != sample]


def validation_partners(
    labels: torch.Tensor, train_labels: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """Draw for each of (N,) clusters a training sample of the same one; any, if there is none."""
    partners = torch.randint(len(train_labels), (len(labels),), generator=generator)
    for label in labels.unique():
        members = (train_labels == label).nonzero()[:, 0]
        if len(members):
            here = labels == label
            drawn = torch.randint(len(members), (int(here.sum()),), generator=generator)
            partners[here] = members[drawn]
    return partners
