import math

import numpy as np
import pandas as pd
import pytest

from weaklesion.errors import DataError
from weaklesion.statistics import estimate, resolve_undefined

NAN = float("nan")


def scores_with_an_empty_prediction():
    """Three samples of one run; the third is empty."""
    values = {
        "dice": [0.9, 0.5, 0.0],
        "hausdorff": [2.0, 7.0, NAN],
        "perimeter_error": [1.0, 4.0, 3.0],
    }
    return pd.DataFrame(
        [
            {
                "arm": "a",
                "seed": 1,
                "metric": metric,
                "id": f"s{i}",
                "value": value,
                "status": "empty_prediction" if i == 2 else "ok",
            }
            for metric, column in values.items()
            for i, value in enumerate(column)
        ]
    )


@pytest.mark.parametrize(
    ("policy", "dice", "hausdorff", "perimeter"),
    [
        ("released", 0.0, 7.0, 3.0),
        ("stated", 0.5, 7.0, 4.0),
        ("exclude", 0.0, NAN, 3.0),
        ("worst_possible", 0.0, 99.0, 3.0),
    ],
)
def test_policies_for_an_empty_prediction(policy, dice, hausdorff, perimeter):
    before = scores_with_an_empty_prediction()
    after = resolve_undefined(before, policy, diagonal_px=99.0)
    third = after[after["id"] == "s2"].set_index("metric")["value"]
    assert third.to_dict() == pytest.approx(
        {"dice": dice, "hausdorff": hausdorff, "perimeter_error": perimeter}, nan_ok=True
    )
    others = before["id"] != "s2"
    pd.testing.assert_series_equal(after["value"][others], before["value"][others])


def test_worst_value_is_that_of_the_same_run():
    one = scores_with_an_empty_prediction()
    other = one.assign(seed=2, value=one["value"] * 10)
    after = resolve_undefined(
        pd.concat([one, other], ignore_index=True), "released", diagonal_px=99.0
    )
    third = after[(after["id"] == "s2") & (after["metric"] == "hausdorff")]
    assert third.set_index("seed")["value"].to_dict() == {1: 7.0, 2: 70.0}


def test_run_with_nothing_but_empty_predictions_stays_undefined():
    scores = scores_with_an_empty_prediction()
    scores = scores[scores["id"] == "s2"]
    after = resolve_undefined(scores, "released", diagonal_px=99.0).set_index("metric")["value"]
    assert math.isnan(after["hausdorff"])


def test_unknown_policy():
    with pytest.raises(ValueError, match="policy"):
        resolve_undefined(scores_with_an_empty_prediction(), "nanmean", diagonal_px=1.0)


def table(values, groups=None):
    """Values (samples, seeds) as rows."""
    values = np.asarray(values, float)
    groups = groups if groups is not None else range(len(values))
    return pd.DataFrame(
        [
            {"id": f"s{i}", "group": f"g{group}", "seed": seed, "value": values[i, seed]}
            for i, group in enumerate(groups)
            for seed in range(values.shape[1])
        ]
    )


def test_estimate_by_hand():
    got = estimate(table([[1, 3], [2, 4], [3, 8]]), draws=200, seed=0)
    # means of the seeds: 2 and 5
    assert (got.mean, got.std) == (3.5, pytest.approx(math.sqrt(4.5)))
    assert (got.n_seeds, got.n_samples) == (2, 3)
    assert 2.0 <= got.ci_low < 3.5 < got.ci_high <= 5.5


def test_one_seed_has_no_deviation_and_undefined_values_do_not_count():
    got = estimate(table([[1], [2], [NAN]]), draws=200, seed=0)
    assert math.isnan(got.std)
    assert got.mean == 1.5


def test_nothing_defined_gives_no_interval():
    got = estimate(table([[NAN], [NAN]]), draws=100, seed=0)
    assert math.isnan(got.mean)
    assert math.isnan(got.ci_low)


def test_seeds_with_different_samples_are_an_error():
    rows = table([[1, 2], [3, 4]])
    with pytest.raises(DataError, match="different samples"):
        estimate(rows.iloc[:-1], draws=100, seed=0)


def test_samples_of_one_lesion_widen_the_interval():
    rng = np.random.default_rng(0)
    lesions = np.repeat(np.arange(40), 5)
    values = rng.normal(size=40)[lesions][:, None]
    by_lesion = estimate(table(values, lesions), draws=2000, seed=0)
    by_sample = estimate(table(values), draws=2000, seed=0)
    assert by_lesion.ci_high - by_lesion.ci_low > 1.8 * (by_sample.ci_high - by_sample.ci_low)


def test_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(1)
    hits = 0
    for trial in range(300):
        lesions = rng.integers(0, 60, 120)
        values = rng.normal(size=60)[lesions] + rng.normal(size=120)
        got = estimate(table(values[:, None], lesions), draws=400, seed=trial)
        hits += got.ci_low <= 0 <= got.ci_high
    assert 0.90 <= hits / 300 <= 0.98


def test_bootstrap_is_decided_by_its_seed():
    rows = table(np.random.default_rng(0).normal(size=(30, 2)))
    assert estimate(rows, draws=200, seed=1) == estimate(rows, draws=200, seed=1)
    assert estimate(rows, draws=200, seed=1) != estimate(rows, draws=200, seed=2)
