import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from weaklesion.errors import DataError
from weaklesion.resampling import Resampling
from weaklesion.statistics import compare, estimate, holm, resolve_undefined

NAN = float("nan")


def drawn(bootstrap_draws, seed=0):
    return Resampling(bootstrap_draws=bootstrap_draws, permutation_draws=400, seed=seed)


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
                "worst": 0.0 if metric == "dice" else 99.0,
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
    after = resolve_undefined(before, policy)
    third = after[after["id"] == "s2"].set_index("metric")["value"]
    assert third.to_dict() == pytest.approx(
        {"dice": dice, "hausdorff": hausdorff, "perimeter_error": perimeter}, nan_ok=True
    )
    others = before["id"] != "s2"
    pd.testing.assert_series_equal(after["value"][others], before["value"][others])


def test_worst_value_is_that_of_the_same_run():
    one = scores_with_an_empty_prediction()
    other = one.assign(seed=2, value=one["value"] * 10)
    after = resolve_undefined(pd.concat([one, other], ignore_index=True), "released")
    third = after[(after["id"] == "s2") & (after["metric"] == "hausdorff")]
    assert third.set_index("seed")["value"].to_dict() == {1: 7.0, 2: 70.0}


def test_run_with_nothing_but_empty_predictions_stays_undefined():
    scores = scores_with_an_empty_prediction()
    scores = scores[scores["id"] == "s2"]
    after = resolve_undefined(scores, "released").set_index("metric")["value"]
    assert math.isnan(after["hausdorff"])


def test_unknown_policy():
    with pytest.raises(ValueError, match="policy"):
        resolve_undefined(scores_with_an_empty_prediction(), "nanmean")


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
    got = estimate(table([[1, 3], [2, 4], [3, 8]]), drawn(200, 0))
    # means of the seeds: 2 and 5
    assert (got.mean, got.std) == (3.5, pytest.approx(math.sqrt(4.5)))
    assert got.std_population == pytest.approx(1.5)
    assert (got.n_seeds, got.n_samples, got.n_groups) == (2, 3, 3)
    assert 2.0 <= got.ci_low < 3.5 < got.ci_high <= 5.5


def test_one_seed_has_no_deviation_and_undefined_values_do_not_count():
    got = estimate(table([[1], [2], [NAN]]), drawn(200, 0))
    assert math.isnan(got.std)
    assert got.mean == 1.5


def test_nothing_defined_gives_no_interval():
    got = estimate(table([[NAN], [NAN]]), drawn(100, 0))
    assert math.isnan(got.mean)
    assert math.isnan(got.ci_low)


def test_seeds_with_different_samples_are_an_error():
    rows = table([[1, 2], [3, 4]])
    with pytest.raises(DataError, match="different samples"):
        estimate(rows.iloc[:-1], drawn(100, 0))


def test_samples_of_one_lesion_widen_the_interval():
    rng = np.random.default_rng(0)
    lesions = np.repeat(np.arange(40), 5)
    values = rng.normal(size=40)[lesions][:, None]
    by_lesion = estimate(table(values, lesions), drawn(2000, 0))
    by_sample = estimate(table(values), drawn(2000, 0))
    assert by_lesion.ci_high - by_lesion.ci_low > 1.8 * (by_sample.ci_high - by_sample.ci_low)


def grouped(rng, num_groups, per_group, num_seeds, *, shift=0.0, of_seeds=0.0):
    """Differences of two arms: of groups, of samples, and of seeds that all samples share."""
    groups = np.repeat(np.arange(num_groups), per_group)
    values = rng.normal(size=num_groups)[groups][:, None] + rng.normal(
        size=(len(groups), num_seeds)
    )
    return table(values + shift + of_seeds * rng.normal(size=num_seeds), groups)


def zeros(rows):
    return rows.assign(value=0.0)


def test_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(1)
    trials = 500
    hits = 0
    for trial in range(trials):
        got = estimate(grouped(rng, 80, 2, 2), drawn(400, trial))
        hits += got.ci_low <= 0 <= got.ci_high
    assert 0.92 <= hits / trials <= 0.98


def test_comparison_by_hand():
    first = table([[3, 5], [4, 8], [1, 2]])
    second = table([[1, 2], [2, 4], [3, 4]])
    got = compare(first, second, drawn(100, 0))
    # differences of the samples (2, 3), (2, 4), (-2, -2): means of the seeds 2/3 and 5/3
    assert got.difference == pytest.approx(7 / 6)
    # of the 8 signs of 2.5, 3 and -2 four give a sum as far from zero as 3.5: both of
    # 2.5 + 3 - 2 = 3.5 and both of 2.5 + 3 + 2 = 7.5
    assert got.p_groups == pytest.approx(4 / 8, abs=0.06)
    # seeds 2/3 and 5/3: mean 7/6, standard error 1/2
    assert got.p_seeds == pytest.approx(2 * stats.t.sf(7 / 3, 1))
    assert got.p_value == max(got.p_groups, got.p_seeds)
    assert (got.n_seeds, got.n_groups) == (2, 3)


def test_pairs_are_found_by_id_and_seed():
    first, second = table([[3, 5], [4, 8], [1, 2]]), table([[1, 2], [2, 4], [3, 4]])
    mixed = second.sample(frac=1, random_state=3)
    assert compare(first, mixed, drawn(100, 0)) == compare(first, second, drawn(100, 0))
    back = compare(second, first, drawn(100, 0))
    assert back.difference == pytest.approx(-7 / 6)


def test_an_arm_with_one_run_is_compared_with_every_seed():
    first, one = table([[3, 5], [4, 8]]), table([[1], [2]])
    twice = table([[1, 1], [2, 2]])
    assert compare(first, one, drawn(100, 0)) == compare(first, twice, drawn(100, 0))
    assert compare(one, first, drawn(100, 0)) == compare(twice, first, drawn(100, 0))


def test_one_seed_decides_nothing():
    got = compare(table([[3], [4], [5]]), table([[1], [1], [1]]), drawn(100, 0))
    assert got.difference == pytest.approx(3)
    assert got.p_groups < 0.3
    assert math.isnan(got.p_seeds)
    assert math.isnan(got.p_value)
    assert math.isnan(got.detectable)


def test_arms_with_other_samples_or_seeds_cannot_be_compared():
    rows = table([[1, 2], [3, 4]])
    with pytest.raises(DataError, match="different samples"):
        compare(rows, rows[rows["id"] == "s0"], drawn(100, 0))
    with pytest.raises(DataError, match="different seeds"):
        compare(rows, rows.assign(seed=rows["seed"] + 1), drawn(100, 0))


def test_equal_arms_do_not_differ():
    rows = table([[1, 2], [3, 4]] * 3)
    got = compare(rows, rows, drawn(100, 0))
    assert (got.difference, got.p_groups, got.p_seeds, got.detectable) == (0, 1, 1, 0)


def test_five_groups_cannot_decide_at_five_percent():
    """32 exchanges: the smallest p-value of both sides is 1 in 16."""
    five, six = (
        compare(table([[3, 4]] * count), table([[1, 1]] * count), drawn(100, 0)) for count in (5, 6)
    )
    assert five.p_groups > 0.05
    assert math.isnan(five.detectable)
    assert not math.isnan(six.detectable)


def test_undefined_values_are_left_out_of_a_comparison():
    got = compare(table([[3, 3], [NAN, NAN], [5, 5]]), table([[1, 1]] * 3), drawn(100, 0))
    assert got.difference == pytest.approx(3)
    nothing = compare(table([[NAN, NAN]] * 2), table([[1, 1]] * 2), drawn(100, 0))
    assert math.isnan(nothing.p_value)
    assert math.isnan(nothing.detectable)


@pytest.fixture(scope="module")
def null():
    """p-values where there is no difference: groups and samples differ, and, second, seeds too."""
    rng = np.random.default_rng(2)
    found = {}
    for of_seeds in (0.0, 0.6):
        comparisons = []
        for trial in range(600):
            rows = grouped(rng, 40, 3, 5, of_seeds=of_seeds)
            comparisons.append(compare(rows, zeros(rows), drawn(100, trial)))
        found[of_seeds] = comparisons
    return found


def test_permutation_test_is_wrong_as_often_as_it_says(null):
    rate = np.mean([got.p_groups < 0.05 for got in null[0.0]])
    assert 0.03 <= rate <= 0.07


def test_seeds_alone_make_the_group_test_wrong_and_the_larger_p_value_does_not_follow(null):
    """Five networks that happen to be better on every patient are no better method."""
    assert np.mean([got.p_groups < 0.05 for got in null[0.6]]) > 0.2
    assert np.mean([got.p_value < 0.05 for got in null[0.6]]) <= 0.07


def test_seeds_t_test_is_wrong_as_often_as_it_says():
    rng = np.random.default_rng(4)
    rejected = [
        compare(rows, zeros(rows), drawn(20)).p_seeds < 0.05
        for rows in (table(np.tile(rng.normal(size=5), (4, 1))) for _ in range(600))
    ]
    assert 0.03 <= np.mean(rejected) <= 0.07


@pytest.mark.parametrize("of_seeds", [0.0, 0.2])
def test_detectable_difference_is_found_about_as_often_as_said(of_seeds):
    rng = np.random.default_rng(5)
    size = np.median(
        [
            compare(rows, zeros(rows), drawn(100, 0)).detectable
            for rows in (grouped(rng, 40, 3, 5, of_seeds=of_seeds) for _ in range(60))
        ]
    )
    found = [
        compare(rows, zeros(rows), drawn(100, 0)).p_value < 0.05
        for rows in (grouped(rng, 40, 3, 5, shift=size, of_seeds=of_seeds) for _ in range(300))
    ]
    assert 0.65 <= np.mean(found) <= 0.9
    # and half of it seldom
    found = [
        compare(rows, zeros(rows), drawn(100, 0)).p_value < 0.05
        for rows in (grouped(rng, 40, 3, 5, shift=size / 3, of_seeds=of_seeds) for _ in range(200))
    ]
    assert np.mean(found) < 0.35


def test_holm_by_hand():
    # ascending 0.01, 0.02, 0.04 times 3, 2, 1; never less than the one before
    assert holm([0.04, 0.01, 0.02]).tolist() == pytest.approx([0.04, 0.03, 0.04])
    assert holm([0.5, 0.6]).tolist() == [1.0, 1.0]
    corrected = holm([0.01, NAN, 0.03])
    assert corrected[[0, 2]].tolist() == pytest.approx([0.02, 0.03])
    assert math.isnan(corrected[1])
    assert len(holm([])) == 0


def test_bootstrap_is_decided_by_its_seed():
    rows = table(np.random.default_rng(0).normal(size=(30, 2)))
    assert estimate(rows, drawn(200, 1)) == estimate(rows, drawn(200, 1))
    assert estimate(rows, drawn(200, 1)) != estimate(rows, drawn(200, 2))
