import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from weaklesion.errors import DataError
from weaklesion.scoring.statistics import (
    compare,
    compare_unpaired,
    estimate,
    group_means,
    holm,
    limits_of_agreement,
    resolve_undefined,
    share_better,
)

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


@pytest.mark.parametrize(
    "policy", ["released", "stated", "worst_possible", "correct_empty", "with_reference"]
)
def test_diameters_without_a_mark_are_undefined_whatever_the_policy(policy):
    scores = scores_with_an_empty_prediction()
    scores.loc[scores["id"] == "s2", "status"] = "both_empty"
    diameters = scores[scores["metric"] == "hausdorff"].assign(
        metric="long_diameter_error", value=NAN, worst=NAN
    )
    after = resolve_undefined(pd.concat([scores, diameters], ignore_index=True), policy)
    assert after.loc[after["metric"] == "long_diameter_error", "value"].isna().all()
    found = estimate(after[after["metric"] == "long_diameter_error"].assign(group=after["id"]))
    assert math.isnan(found.mean)
    assert found.unknown == "no defined value"


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


def table(values, groups=None, first_seed=1):
    """Values (samples, seeds) as rows; seed 0 is no training."""
    values = np.asarray(values, float)
    groups = groups if groups is not None else range(len(values))
    return pd.DataFrame(
        [
            {"id": f"s{i}", "group": f"g{group}", "seed": first_seed + j, "value": values[i, j]}
            for i, group in enumerate(groups)
            for j in range(values.shape[1])
        ]
    )


def untrained(values, groups=None):
    return table(values, groups, first_seed=0)


def test_estimate_by_hand():
    got = estimate(table([[1, 3], [2, 4], [3, 8]]))
    # means of the seeds: 2 and 5
    assert (got.mean, got.std) == (3.5, pytest.approx(math.sqrt(4.5)))
    assert got.std_population == pytest.approx(1.5)
    assert (got.n_seeds, got.n_samples, got.n_groups) == (2, 3, 3)
    # by groups: 2, 3, 5.5; variance of their mean 13/12, of the seeds' mean 9/4;
    # left over: 0.5 -0.5 / 0.5 -0.5 / -1 1 with two degrees of freedom, over 6 cells: 1/4
    error = math.sqrt(13 / 12 + 9 / 4 - 1 / 4)
    freedom = error**4 / ((13 / 12) ** 2 / 2 + (9 / 4) ** 2 / 1 + (1 / 4) ** 2 / 2)
    reach = stats.t.ppf(0.975, freedom) * error
    assert (got.ci_low, got.ci_high) == pytest.approx((3.5 - reach, 3.5 + reach))


def test_one_seed_has_neither_deviation_nor_interval_and_says_why():
    got = estimate(table([[1], [2], [NAN]]))
    assert got.mean == 1.5
    assert math.isnan(got.std)
    assert math.isnan(got.ci_low)
    assert got.unknown == "one seed"


def test_what_is_no_training_has_an_interval_over_groups():
    got = estimate(untrained([[1], [2], [6]]))
    reach = stats.t.ppf(0.975, 2) * math.sqrt(np.var([1, 2, 6], ddof=1) / 3)
    assert (got.ci_low, got.ci_high) == pytest.approx((3 - reach, 3 + reach))
    assert got.unknown == ""


def test_an_interval_ends_where_its_metric_does():
    """Of two groups and two seeds, each 4 points apart."""
    rows = [
        {"arm": "a1", "metric": "dice", "seed": seed, "id": name, "group": name, "value": value}
        for seed, values in ((1, (0.90, 0.94)), (2, (0.94, 0.98)))
        for name, value in zip("ab", values, strict=True)
    ]
    free, bound = (estimate(pd.DataFrame(rows), *within) for within in ((), ((0.0, 1.0),)))
    assert free.ci_high > 1.05
    assert bound.ci_high == 1.0
    assert (bound.mean, bound.ci_low) == (free.mean, free.ci_low)


def test_nothing_defined_gives_no_interval():
    got = estimate(table([[NAN, NAN], [NAN, NAN]]))
    assert math.isnan(got.mean)
    assert math.isnan(got.ci_low)
    assert got.unknown == "no defined value"


@pytest.mark.parametrize("ours", [[[3.0, 3.0], [5.0, 5.0]], [[2.1, 2.1], [4.1, 4.1]]])
def test_one_and_the_same_difference_of_few_groups_is_no_proof(ours):
    """Neither exactly nor up to rounding, as 4.1 - 4 and 2.1 - 2."""
    got = compare(table(ours), table([[2.0, 2.0], [4.0, 4.0]]))
    assert got.difference == pytest.approx(ours[0][0] - 2)
    assert got.unknown == "groups do not differ"
    unknown = [got.ci_low, got.ci_high, got.p_value, got.detectable]
    assert all(map(math.isnan, unknown))


def test_seeds_with_different_samples_are_an_error():
    rows = table([[1, 2], [3, 4]])
    with pytest.raises(DataError, match="different samples"):
        estimate(rows.iloc[:-1])


def test_samples_of_one_lesion_widen_the_interval():
    rng = np.random.default_rng(0)
    lesions = np.repeat(np.arange(40), 5)
    values = rng.normal(size=40)[lesions][:, None]
    by_lesion = estimate(untrained(values, lesions))
    by_sample = estimate(untrained(values))
    assert by_lesion.ci_high - by_lesion.ci_low > 1.8 * (by_sample.ci_high - by_sample.ci_low)


def test_comparison_by_hand():
    first = table([[3, 5], [4, 8], [1, 2]])
    second = table([[1, 2], [2, 4], [3, 4]])
    got = compare(first, second)
    # differences of the samples (2, 3), (2, 4), (-2, -2): means of the seeds 2/3 and 5/3
    assert got.difference == pytest.approx(7 / 6)
    # by groups 2.5, 3, -2: variance of their mean 91/36; of the seeds' 1/4; left over, less the
    # seeds' half: 0 0 / 0.5 -0.5 / -0.5 0.5, squares 1 by two degrees of freedom and 6 cells: 1/12
    parts = [(91 / 36, 2), (1 / 4, 1), (1 / 12, 2)]
    error = math.sqrt(91 / 36 + 1 / 4 - 1 / 12)
    freedom = error**4 / sum(variance**2 / number for variance, number in parts)
    assert got.p_value == pytest.approx(2 * stats.t.sf(7 / 6 / error, freedom))
    assert got.ci_high - got.ci_low == pytest.approx(2 * stats.t.ppf(0.975, freedom) * error)
    assert (got.n_seeds, got.n_groups) == (2, 3)


def test_a_comparison_by_group_is_that_of_the_groups_means():
    groups = ["a", "a", "a", "b"]
    first, second = untrained([[1], [2], [9], [4]], groups), untrained([[0], [0], [0], [5]], groups)
    got = compare(first, second, "group")
    assert got.difference == pytest.approx((4 - 1) / 2)
    assert got.p_value == pytest.approx(stats.ttest_1samp([4, -1], 0).pvalue)
    rows = first.assign(arm="x", metric="dice")
    assert group_means(rows).set_index("id")["value"].to_dict() == {"ga": 4, "gb": 4}


def test_limits_of_agreement_count_every_group_once():
    """Means 3 and 1, of both 2; mean squares from it 19 and 1."""
    values = pd.DataFrame({"group": list("aaab"), "value": [0.0, 0.0, 9.0, 1.0]})
    reach = 1.96 * math.sqrt((4 + 4 + 49) / 3 + 1)
    assert limits_of_agreement(values) == pytest.approx((2 - reach, 2 + reach))


def test_the_interval_leaves_out_zero_just_where_the_test_rejects():
    rng = np.random.default_rng(3)
    for shift in (0.2, 0.4, 0.6, 0.8):
        rows = table(rng.normal(size=(30, 4)) + shift)
        got = compare(rows, rows.assign(value=0.0))
        assert (got.p_value < 0.05) == (got.ci_low > 0 or got.ci_high < 0)


def test_pairs_are_found_by_id_and_seed():
    first, second = table([[3, 5], [4, 8], [1, 2]]), table([[1, 2], [2, 4], [3, 4]])
    mixed = second.sample(frac=1, random_state=3)
    assert compare(first, mixed) == compare(first, second)
    back = compare(second, first)
    assert back.difference == pytest.approx(-7 / 6)


def test_an_arm_that_is_no_training_is_compared_with_every_seed():
    first, one = table([[3, 5], [4, 8]]), untrained([[1], [2]])
    twice = table([[1, 1], [2, 2]])
    assert compare(first, one) == compare(first, twice)
    assert compare(one, first) == compare(twice, first)
    # images in which it is better, of all four pairs of image and seed
    others = table([[0, 5], [4, 8]])
    assert share_better(one, others, larger_is_better=True) == 0.25
    assert share_better(one, others, larger_is_better=False) == 0.75


def test_one_seed_decides_nothing_between_networks():
    for other in (table([[1], [1], [1]]), untrained([[1], [1], [1]])):
        got = compare(table([[3], [4], [5]]), other)
        assert got.difference == pytest.approx(3)
        assert got.unknown == "one seed"
        assert all(map(math.isnan, (got.p_value, got.ci_low, got.ci_high, got.detectable)))


def test_two_that_are_no_trainings_differ_over_groups():
    got = compare(untrained([[3], [4], [5]]), untrained([[1], [1], [1]]))
    assert got.unknown == ""
    assert got.p_value == pytest.approx(stats.ttest_1samp([2, 3, 4], 0).pvalue)


def test_arms_with_other_samples_or_seeds_cannot_be_compared():
    rows = table([[1, 2], [3, 4]])
    with pytest.raises(DataError, match="different samples"):
        compare(rows, rows[rows["id"] == "s0"])
    with pytest.raises(DataError, match="different seeds"):
        compare(rows, rows.assign(seed=rows["seed"] + 1))
    with pytest.raises(DataError, match="different seeds"):
        compare(rows, rows[rows["seed"] == 1])


def test_equal_arms_do_not_differ():
    rows = table([[1, 2], [3, 4]] * 3)
    got = compare(rows, rows)
    assert (got.difference, got.ci_low, got.ci_high, got.p_value) == (0, 0, 0, 1)
    assert math.isnan(got.detectable)
    assert got.unknown == ""


def test_undefined_values_are_left_out_of_a_comparison():
    got = compare(table([[3, 3], [NAN, NAN], [5, 5]]), table([[1, 1]] * 3))
    assert got.difference == pytest.approx(3)
    nothing = compare(table([[NAN, NAN]] * 2), table([[1, 1]] * 2))
    assert nothing.unknown == "no defined value"
    assert math.isnan(nothing.p_value)
    assert math.isnan(nothing.detectable)


def test_means_of_other_samples_are_independent():
    first, second = table([[3, 5], [4, 8], [1, 2]]), table([[1, 2], [2, 4]])
    got = compare_unpaired(first, second)
    alone = [estimate(rows) for rows in (first, second)]
    assert got.difference == pytest.approx(alone[0].mean - alone[1].mean)
    assert got.ci_high - got.ci_low > max(one.ci_high - one.ci_low for one in alone) / 2
    assert compare_unpaired(first, second[second["seed"] == 1]).unknown == "one seed"


def test_holm_by_hand():
    # ascending 0.01, 0.02, 0.04 times 3, 2, 1; never less than the one before
    assert holm([0.04, 0.01, 0.02]).tolist() == pytest.approx([0.04, 0.03, 0.04])
    assert holm([0.5, 0.6]).tolist() == [1.0, 1.0]
    corrected = holm([0.01, NAN, 0.03])
    assert corrected[[0, 2]].tolist() == pytest.approx([0.02, 0.03])
    assert math.isnan(corrected[1])
    assert len(holm([])) == 0
