import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from weaklesion.ellipse import Ellipse, draw_ellipse
from weaklesion.prediction.partners import choose_partners, nearest_partners
from weaklesion.training.tasks.pairs import epoch_pairs, validation_partners


@given(st.lists(st.integers(0, 4), min_size=2, max_size=60), st.integers(1, 6), st.integers(0, 9))
def test_every_sample_has_a_partner_of_its_cluster(labels, half, seed):
    labels = torch.tensor(labels)
    batches = epoch_pairs(labels, 2 * half, torch.Generator().manual_seed(seed))
    pairs = torch.cat([torch.stack(batch.chunk(2), dim=1) for batch in batches])
    assert all(len(batch) <= 2 * half and len(batch) % 2 == 0 for batch in batches)
    assert set(pairs.flatten().tolist()) == set(range(len(labels)))
    assert (pairs[:, 0] != pairs[:, 1]).all()
    sizes = torch.bincount(labels)
    for first, second in pairs.tolist():
        alone = sizes[labels[first]] == 1 or sizes[labels[second]] == 1
        assert alone or labels[first] == labels[second]
    # once each, and once more for the one that is left over in an odd cluster
    assert 2 * len(pairs) == len(labels) + sum(size % 2 for size in sizes.tolist())


def test_a_last_batch_of_pairs_that_is_not_full_is_left_out_only_if_told():
    def sizes(count, *, drop_last):
        labels = torch.zeros(count, dtype=torch.int64)
        return list(map(len, epoch_pairs(labels, 4, torch.Generator(), drop_last=drop_last)))

    assert sizes(10, drop_last=False) == [4, 4, 2]
    assert sizes(10, drop_last=True) == [4, 4]
    assert sizes(8, drop_last=True) == [4, 4]


def test_pairs_differ_from_epoch_to_epoch_and_not_from_run_to_run():
    labels = torch.zeros(20, dtype=torch.int64)
    generators = [torch.Generator().manual_seed(1) for _ in range(2)]
    first, again = (epoch_pairs(labels, 8, generator) for generator in generators)
    following = epoch_pairs(labels, 8, generators[0])
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, following, strict=True))


def test_validation_partners_are_training_samples_of_the_same_cluster():
    train = torch.tensor([0, 1, 1, 2])
    partners = validation_partners(torch.tensor([1, 2, 0, 7]), train, torch.Generator())
    assert train[partners[:3]].tolist() == [1, 2, 0]
    assert 0 <= partners[3] < 4  # a cluster without training samples: any
    many = validation_partners(torch.ones(50, dtype=torch.int64), train, torch.Generator())
    assert set(many.tolist()) == {1, 2}  # drawn for each sample anew


def test_nearest_partners():
    #            cluster 0      cluster 1        cluster 4
    train = np.array([[0.0], [2.0], [10.0], [13.0], [30.0]])
    labels = np.array([0, 0, 1, 1, 4])
    predicted = [Ellipse(0, 0, 2, 1, 0)] * 3 + [None]
    features = np.array([[1.5], [5.9], [28.0], [999.0]])
    partners, clusters = nearest_partners(predicted, features, train, labels)
    # 5.9 is nearer to the first cluster's mean, 1, than to the second's, 11.5;
    # without a prediction: nearest to the mean of all, 11
    assert partners.tolist() == [1, 1, 4, 2]
    assert clusters.tolist() == [0, 0, 4, 1]


@pytest.mark.parametrize("encoding", ["raw", "clicked", "periodic"])
def test_partners_do_not_depend_on_the_marks_of_the_test_samples(tmp_path, encoding):
    marks = [Ellipse(20, 20, 12, 8, 10), Ellipse(40, 40, 30, 20, 80), Ellipse(1, 1, 3, 2, 0)]
    table = pd.DataFrame([vars(mark) for mark in marks]).assign(id=["a", "b", "t"])
    table.to_csv(tmp_path / "ellipses.csv", index=False)
    clusters = pd.DataFrame({"id": ["a", "b", "t"], "cluster": [1, 0, 1]})
    clusters.to_csv(tmp_path / "k.csv", index=False)
    masks = np.stack([draw_ellipse(marks[1], (64, 64)), np.zeros((64, 64), bool)])
    chosen = choose_partners(
        masks, ["a", "b"], tmp_path / "ellipses.csv", tmp_path / "k.csv", encoding
    )
    assert chosen["partner"][0] == "b"
    assert chosen["partner_cluster"][0] == 0
    assert set(chosen["partner"]) <= {"a", "b"}
