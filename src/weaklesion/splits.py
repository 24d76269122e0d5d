"""Train, validation and test splits."""

import hashlib
import random
from collections.abc import Mapping, Sequence
from numbers import Integral

import numpy as np

from weaklesion.errors import DataError
from weaklesion.support.files import read_array

SPLITS = ("train", "val", "test")


def ham10k_released_split(image_ids: Sequence[str]) -> dict[str, list[str]]:
    """Split HAM10000 by image, by the recipe of the released code (discrepancy S1).

    The sorted ids are shuffled with Python's `random`, seed 1; the first int(0.7 n) train, the next
    int(0.2 n) validate, the rest tests. For the 10,012 ids that the released code uses, the result
    is exactly its split. Images of one lesion fall into different splits.

    Args:
        image_ids: distinct ids, in any order.

    Returns:
        `train`, `val` and `test`: ids in the shuffled order.

    Raises:
        ValueError: if an id occurs twice.

    >>> split = ham10k_released_split([f"ISIC_{number}" for number in range(10)])
    >>> {name: len(ids) for name, ids in split.items()}
    {'train': 7, 'val': 2, 'test': 1}
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
    """Return the SHA-256 of `released_order`'s bytes, which identifies the published split."""
    return hashlib.sha256(released_order(count).tobytes()).hexdigest()


def ids_digest(split_ids: Mapping[str, Sequence[str]]) -> str:
    """Return the SHA-256 of the ids of train, val and test in their order, one line per id."""
    lines = "\n".join(name for split in SPLITS for name in split_ids[split])
    return hashlib.sha256(lines.encode()).hexdigest()


def grouped_split(groups: Mapping[str, str], *, seed: int) -> dict[str, list[str]]:
    """Split samples so that no group (lesion, volume, patient) is in two splits.

    Groups are shuffled by the seed; each goes to the first of test, validation and training that
    has room for the whole group. The sizes are those of `ham10k_released_split` for the same number
    of samples, to within the size of a group. If a split would be empty, the two smallest groups go
    to test and validation, so with three groups or more no split is empty. With fewer groups, at
    least one split is empty, which the caller has to check.

    Args:
        groups: sample id to group: text, or a whole number in all of them.
        seed: decides the order.

    Returns:
        `train`, `val` and `test`: sample ids, in the random order of their groups.

    Raises:
        DataError: if a sample has no group, or one that is neither text nor a whole number.

    >>> split = grouped_split({"a1": "a", "a2": "a", "b1": "b", "c1": "c"}, seed=1)
    >>> sorted(len(ids) for ids in split.values())
    [1, 1, 2]
    """
    members = _samples_of(groups)
    order = sorted(members)
    random.Random(seed).shuffle(order)
    num_train, num_val = int(0.7 * len(groups)), int(0.2 * len(groups))
    room = {"test": len(groups) - num_train - num_val, "val": num_val, "train": num_train}
    split_of: dict[str, str] = {}
    for group in order:
        size = len(members[group])
        fitting = [split for split in room if room[split] >= size]
        split_of[group] = fitting[0] if fitting else max(room, key=lambda name: room[name])
        room[split_of[group]] -= size
    if len(order) >= len(SPLITS) and set(split_of.values()) != set(SPLITS):
        smallest = sorted(order, key=lambda group: len(members[group]))[:2]
        split_of = dict.fromkeys(order, "train") | dict(zip(smallest, ("test", "val"), strict=True))
    return {
        split: [name for group in order if split_of[group] == split for name in members[group]]
        for split in SPLITS
    }


def fold_split(groups: Mapping[str, str], *, folds: int, seed: int) -> dict[str, int]:
    """Divide samples into the folds of a cross-validation, no group into two of them.

    Groups are shuffled by the seed and taken by size, the largest first; each goes to the fold with
    the fewest samples, of equal ones to that with the fewest groups.

    Args:
        groups: sample id to group, as in `grouped_split`.
        folds: number of folds, at least 3.
        seed: decides the order of groups of the same size.

    Returns:
        Sample id to its fold, 1 to `folds`. The sizes of two folds differ by at most the size of
        the largest group.

    Raises:
        DataError: if there are fewer groups than folds, or a group is none (`grouped_split`).

    >>> fold_split({"a1": "a", "a2": "a", "b1": "b", "c1": "c"}, folds=3, seed=1)["a1"]
    1
    """
    members = _samples_of(groups)
    if len(members) < folds:
        raise DataError(
            f"{len(members)} groups cannot be divided into {folds} folds, because no group may be"
            " in two of them. Lower `folds` of the protocol, or add data."
        )
    order = sorted(members)
    random.Random(seed).shuffle(order)
    order.sort(key=lambda group: -len(members[group]))  # stable: equal ones stay shuffled
    samples, numbers = [0] * folds, [0] * folds
    fold_of: dict[str, int] = {}
    for group in order:
        fold = min(range(folds), key=lambda index: (samples[index], numbers[index]))
        samples[fold] += len(members[group])
        numbers[fold] += 1
        fold_of |= dict.fromkeys(members[group], fold + 1)
    return fold_of


def _samples_of(groups: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the sorted samples of each group.

    Raises:
        DataError: if a sample has no group, or one that is neither text nor a whole number; each
            missing value would be a group of its own.
    """
    members: dict[str, list[str]] = {}
    for sample, group in groups.items():
        if not (isinstance(group, Integral) or (isinstance(group, str) and group.strip())):
            raise DataError(
                f"groups: sample {sample!r} has the group {group!r}, which is neither text nor a"
                " whole number. Name its patient or lesion, or leave the sample out. With pandas,"
                " read the column with dtype=str, because a gap turns whole numbers into floats."
            )
        members.setdefault(group, []).append(sample)
    if len({isinstance(group, str) for group in members}) > 1:
        text = next(group for group in members if isinstance(group, str))
        number = next(group for group in members if not isinstance(group, str))
        raise DataError(
            f"groups: {members[text][0]!r} has the group {text!r}, which is text, and"
            f" {members[number][0]!r} has {number!r}, a number. Give all groups as text."
        )
    return {group: sorted(samples) for group, samples in members.items()}


def _distinct_sorted(ids: Sequence[str]) -> list[str]:
    distinct = sorted(set(ids))
    if len(distinct) != len(ids):
        doubled = sorted({name for name in ids if list(ids).count(name) > 1})
        raise ValueError(f"image_ids: {', '.join(doubled[:10])} occurs more than once")
    return distinct


def volume_split(groups: Mapping[str, str], *, seed: int) -> dict[str, list[str]]:
    """Split samples by volume, in the paper's proportions of volumes: 48, 44 and 20 of 112.

    Args:
        groups: sample id to volume, as in `grouped_split`.
        seed: decides the order of the volumes.

    Returns:
        `train`, `val` and `test`: sample ids, in the random order of their volumes. With three
        volumes or more no split is empty.

    Raises:
        DataError: if a sample has no volume, or one that is neither text nor a whole number.

    >>> split = volume_split({"1_a": "1", "1_b": "1", "2_a": "2", "3_a": "3"}, seed=1)
    >>> all(split.values())
    True
    """
    volumes = sorted(_samples_of(groups))
    random.Random(seed).shuffle(volumes)
    num_test = max(1, round(len(volumes) * 20 / 112))
    num_val = max(1, round(len(volumes) * 44 / 112))
    index_of = {volume: index for index, volume in enumerate(volumes)}
    ids: dict[str, list[str]] = {split: [] for split in SPLITS}
    for sample, volume in sorted(groups.items(), key=lambda item: (index_of[item[1]], item[0])):
        split = (
            "test"
            if index_of[volume] < num_test
            else ("val" if index_of[volume] < num_test + num_val else "train")
        )
        ids[split].append(sample)
    return ids


def stratified_split(labels: Mapping[str, int], *, seed: int) -> dict[str, list[str]]:
    """Split samples 80/10/10 % within each cluster; patients are not kept apart.

    Samples are shuffled within their clusters, and the clusters joined. In every ten samples the
    ninth validates and the tenth tests.

    Args:
        labels: sample id to cluster.
        seed: decides the order.

    Returns:
        `train`, `val` and `test`: sample ids.

    >>> split = stratified_split({f"s{number}": number % 2 for number in range(20)}, seed=1)
    >>> {name: len(ids) for name, ids in split.items()}
    {'train': 16, 'val': 2, 'test': 2}
    """
    order = sorted(labels)
    random.Random(seed).shuffle(order)
    order.sort(key=lambda sample: labels[sample])  # stable: random within a cluster
    parts = {"train": range(8), "val": (8,), "test": (9,)}
    return {
        split: [sample for index, sample in enumerate(order) if index % 10 in tenths]
        for split, tenths in parts.items()
    }


def published_split(
    ids: Sequence[str], index_files: Mapping[str, str], expected: int
) -> dict[str, list[str]]:
    """Split a sorted list of samples by published files of positions (discrepancy S2).

    Args:
        ids: samples in the order of the files' positions.
        index_files: `train`, `val` and `test` to a .npy file of integers.
        expected: number of samples for which the files were made.

    Raises:
        DataError: if the number of samples differs, or the files are not a split of them. One
            sample more or less would shift every split silently.
    """
    if len(ids) != expected:
        raise DataError(
            f"split: the published index files are for exactly {expected} samples, and there are"
            f" {len(ids)}. Check the source, or split by volume."
        )
    positions = {split: read_array(path, memory_map=False) for split, path in index_files.items()}
    together = np.concatenate([positions[split].ravel() for split in SPLITS])
    if not np.array_equal(np.sort(together), np.arange(expected)):
        raise DataError(
            f"{', '.join(index_files.values())}: not a split of 0 to {expected - 1}. Get the "
            "files again."
        )
    return {
        split: [ids[int(position)] for position in positions[split].ravel()] for split in SPLITS
    }
