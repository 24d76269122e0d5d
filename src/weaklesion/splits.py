"""Train, validation and test splits."""

import hashlib
import random
from collections.abc import Mapping, Sequence

import numpy as np

from weaklesion.samples import SPLITS


def ham10k_released_split(image_ids: Sequence[str]) -> dict[str, list[str]]:
    """Split HAM10000 by image, by the recipe of the released code (discrepancy S1).

    The sorted ids are shuffled with Python's `random`, seed 1; the first int(0.7 n) train, the next
    int(0.2 n) validate, the others test. Given the 10,012 ids that the released code uses, this is
    its very split. Images of one lesion fall into different splits.

    Args:
        image_ids: distinct ids, in any order.

    Returns:
        `train`, `val` and `test`: ids in the shuffled order.

    Raises:
        ValueError: if an id is there twice.
    """
    ids = _distinct_sorted(image_ids)
    order = released_order(len(ids))
    num_train, num_val = int(0.7 * len(ids)), int(0.2 * len(ids))
    bounds = {
        "train": (0, num_train),
        "val": (num_train, num_train + num_val),
        "test": (num_train + num_val, len(ids)),
    }
    return {split: [ids[i] for i in order[first:last]] for split, (first, last) in bounds.items()}


def released_order(count: int) -> np.ndarray:
    """Return the released code's shuffled positions 0 .. count - 1, int64."""
    order = list(range(count))
    random.Random(1).shuffle(order)
    return np.array(order, dtype="<i8")


def order_digest(count: int) -> str:
    """Return the SHA-256 of `released_order`'s bytes, by which the published split is known."""
    return hashlib.sha256(released_order(count).tobytes()).hexdigest()


def grouped_split(groups: Mapping[str, str], *, seed: int) -> dict[str, list[str]]:
    """Split samples so that no group (lesion, volume, patient) is in two splits.

    Groups come in a seeded random order; each goes to the first of test, validation and training
    that has room for the whole of it. The sizes are those of `ham10k_released_split` for the same
    number of samples, to within the size of a group.

    Args:
        groups: sample id to group.
        seed: decides the order.

    Returns:
        `train`, `val` and `test`: sample ids, in the random order of their groups.
    """
    members: dict[str, list[str]] = {}
    for sample, group in sorted(groups.items()):
        members.setdefault(group, []).append(sample)
    order = sorted(members)
    random.Random(seed).shuffle(order)
    num_train, num_val = int(0.7 * len(groups)), int(0.2 * len(groups))
    room = {"test": len(groups) - num_train - num_val, "val": num_val, "train": num_train}
    split_ids: dict[str, list[str]] = {split: [] for split in SPLITS}
    for group in order:
        size = len(members[group])
        fitting = [split for split in room if room[split] >= size]
        split = fitting[0] if fitting else max(room, key=lambda name: room[name])
        split_ids[split] += members[group]
        room[split] -= size
    return split_ids


def _distinct_sorted(ids: Sequence[str]) -> list[str]:
    distinct = sorted(set(ids))
    if len(distinct) != len(ids):
        doubled = sorted({name for name in ids if list(ids).count(name) > 1})
        raise ValueError(f"image_ids: {', '.join(doubled[:10])} is there more than once")
    return distinct
