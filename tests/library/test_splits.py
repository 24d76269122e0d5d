import random
from functools import partial
from itertools import chain

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weaklesion.errors import DataError
from weaklesion.splits import (
    fold_split,
    grouped_split,
    ham10k_released_split,
    order_digest,
    stratified_split,
    volume_split,
)

BY_GROUP = (grouped_split, volume_split, partial(fold_split, folds=3))


def test_released_order_is_the_published_one():
    assert order_digest(10012) == "22faa57888e2d96e656bda849273876025727c05171827313a5b31ae83f1b312"


def test_released_sizes_and_independence_of_the_input_order():
    ids = [f"ISIC_{number:07d}" for number in range(10012)]
    split = ham10k_released_split(ids)
    assert {name: len(part) for name, part in split.items()} == {
        "train": 7008,
        "val": 2002,
        "test": 1002,
    }
    assert split == ham10k_released_split(ids[::-1])
    assert sorted(chain(*split.values())) == ids


def test_released_split_refuses_doubled_ids():
    with pytest.raises(ValueError, match="image_ids: b occurs more than once"):
        ham10k_released_split(["a", "b", "b"])


@given(st.lists(st.integers(0, 30), min_size=10, max_size=200), st.integers(0, 5))
def test_no_group_is_in_two_splits(lesions, seed):
    groups = {f"s{i}": f"g{lesion}" for i, lesion in enumerate(lesions)}
    split = grouped_split(groups, seed=seed)
    seen = {name: {groups[sample] for sample in part} for name, part in split.items()}
    assert not seen["train"] & seen["val"]
    assert not seen["train"] & seen["test"]
    assert not seen["val"] & seen["test"]
    assert sorted(chain(*split.values())) == sorted(groups)


def test_grouped_sizes_are_exact_where_most_groups_are_single():
    groups = {f"s{i:05d}": f"g{i // 2 if i < 3000 else i}" for i in range(10012)}
    split = grouped_split(groups, seed=1)
    assert [len(split[name]) for name in ("train", "val", "test")] == [7008, 2002, 1002]
    assert split == grouped_split(dict(reversed(groups.items())), seed=1)
    assert split != grouped_split(groups, seed=2)


def test_groups_that_just_fit_go_to_test_then_to_validation():
    names = [f"s{i}" for i in range(10)]
    split = grouped_split({name: name for name in names}, seed=1)
    random.Random(1).shuffle(names)
    assert split == {"test": names[:1], "val": names[1:3], "train": names[3:]}


def test_volumes_are_split_in_the_papers_proportions():
    split = volume_split({f"{i:03d}_{j}": f"v{i:03d}" for i in range(112) for j in (1, 2)}, seed=1)
    assert {name: len(ids) for name, ids in split.items()} == {"train": 96, "val": 88, "test": 40}


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_fewer_than_three_groups_leave_a_split_empty(number):
    """The callers say of which file."""
    split = grouped_split({f"s{i}": f"g{i % number}" for i in range(9 * (number > 0))}, seed=1)
    assert sum(not ids for ids in split.values()) == 3 - number


def test_stratified_split_has_its_shares_within_every_cluster():
    labels = {f"{number:04d}": number % 7 for number in range(2100)}
    split = stratified_split(labels, seed=1)
    assert sorted(name for ids in split.values() for name in ids) == sorted(labels)
    for cluster in range(7):
        counts = [sum(labels[name] == cluster for name in split[part])
                  for part in ("train", "val", "test")]  # fmt: skip
        assert counts == [240, 30, 30]
    other = stratified_split(labels, seed=2)
    assert set(split["test"]) != set(other["test"])
    assert split == stratified_split(dict(reversed(labels.items())), seed=1)


def test_stratified_split_of_clusters_of_one():
    split = stratified_split({f"{number:02d}": number for number in range(20)}, seed=1)
    assert {part: len(ids) for part, ids in split.items()} == {"train": 16, "val": 2, "test": 2}


@given(st.lists(st.integers(0, 12), min_size=5, max_size=100), st.integers(0, 5))
def test_folds_share_no_group_and_are_about_equal(lesions, seed):
    groups = {f"s{i}": f"g{lesion}" for i, lesion in enumerate(lesions)}
    folds = min(3, len(set(lesions)))
    fold_of = fold_split(groups, folds=folds, seed=seed)
    assert set(fold_of) == set(groups)
    assert set(fold_of.values()) == set(range(1, folds + 1))
    for group in groups.values():
        assert len({fold_of[name] for name in groups if groups[name] == group}) == 1
    sizes = [list(fold_of.values()).count(fold) for fold in range(1, folds + 1)]
    assert max(sizes) - min(sizes) <= max(lesions.count(lesion) for lesion in lesions)
    assert fold_of == fold_split(dict(reversed(groups.items())), folds=folds, seed=seed)


def test_more_folds_than_groups_are_refused():
    with pytest.raises(DataError, match="2 groups cannot be divided into 3 folds"):
        fold_split({"a1": "a", "a2": "a", "b1": "b"}, folds=3, seed=1)


@pytest.mark.parametrize("split", BY_GROUP)
@pytest.mark.parametrize("missing", [np.nan, None, pd.NA, "", " ", 0.0, ["p1"]])
def test_a_sample_without_a_group_is_named_and_refused(split, missing):
    """Each missing value would be a group of its own, so that one patient is in two splits."""
    groups = {"a1": "a", "b1": "b", "c1": missing, "d1": missing}
    with pytest.raises(DataError, match=r"sample 'c1' has the group .*, which is neither text"):
        split(groups, seed=1)


def test_groups_may_be_whole_numbers_but_not_beside_text():
    numbered = {f"s{i}": number for i, number in enumerate(np.arange(12) // 2)}
    named = {sample: f"p{number}" for sample, number in numbered.items()}
    assert grouped_split(numbered, seed=1) == grouped_split(named, seed=1)
    with pytest.raises(DataError, match=r"'s3' has the group '1', which is text, and 's0' has 0"):
        grouped_split({"s0": 0, "s1": 0, "s2": 1, "s3": "1"}, seed=1)
