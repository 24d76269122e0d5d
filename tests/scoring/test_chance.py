"""The model of chance: by hand, and against studies whose truth is known."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from simulate_chance import RATIOS, draw_study, simulate

from weaklesion.report.power import power
from weaklesion.scoring.chance import (
    Chance,
    Parts,
    chance_of_mean,
    chance_of_sum,
    parts_of_mean,
    parts_of_seeds,
    parts_of_sums,
)

NAN = math.nan


def groups_of(table, names=None):
    return pd.Series(names if names is not None else range(len(table)), index=table.index)


def test_parts_by_hand():
    #            seed 1  seed 2  seed 3   mean
    # group a       1       3       2       2
    # group b       3       9       6       6
    # mean          2       6       4       4
    table = pd.DataFrame([[1.0, 3.0, 2.0], [3.0, 9.0, 6.0]])
    parts = parts_of_mean(table, groups_of(table), trained=True)
    assert parts.between_groups == pytest.approx(8 / 2)  # variance of 2 and 6, by 2 groups
    assert parts.between_seeds == pytest.approx(4 / 3)  # variance of 2, 6 and 4, by 3 seeds
    # left over: -1 +1 0 / +1 -1 0 with two degrees of freedom, over 6 cells
    assert parts.remainder == pytest.approx(4 / 2 / 6)
    chance = parts.chance()
    assert chance.variance == pytest.approx(4 + 4 / 3 - 1 / 3)
    freedom = 5**2 / (4**2 / 1 + (4 / 3) ** 2 / 2 + (1 / 3) ** 2 / 2)
    assert chance.freedom == pytest.approx(freedom)
    low, high = chance.interval(4.0)
    reach = stats.t.ppf(0.975, chance.freedom) * math.sqrt(5)
    assert (low, high) == pytest.approx((4 - reach, 4 + reach))
    assert chance.p_value(4.0) == pytest.approx(2 * stats.t.sf(4 / math.sqrt(5), chance.freedom))
    shift = chance.detectable() / math.sqrt(5)
    limit = stats.t.ppf(0.975, chance.freedom)
    assert stats.nct.sf(limit, chance.freedom, shift) == pytest.approx(0.8, abs=1e-6)


def test_without_a_training_groups_are_the_only_chance():
    table = pd.DataFrame([[1.0], [2.0], [6.0]])
    chance = chance_of_mean(table, groups_of(table), trained=False)
    assert chance.variance == pytest.approx(np.var([1, 2, 6], ddof=1) / 3)
    assert chance.freedom == pytest.approx(2)


def test_what_depends_on_seeds_alone_has_the_usual_t_test():
    hours = [1.0, 2.0, 6.0]
    chance = parts_of_seeds(hours).chance()
    assert chance.p_value(3.0) == pytest.approx(stats.ttest_1samp(hours, 0).pvalue)
    interval = stats.ttest_1samp(hours, 0).confidence_interval()
    assert chance.interval(3.0) == pytest.approx(tuple(interval))
    assert parts_of_seeds(hours[:1]).chance().unknown == "one seed"


def test_scaled_variances_are_those_of_scaled_values():
    table = pd.DataFrame([[1.0, 3.0], [3.0, 9.0], [4.0, 4.0]])
    parts, thrice = (
        parts_of_mean(each, groups_of(table), trained=True) for each in (table, 3 * table)
    )
    for name in ("between_groups", "between_seeds", "remainder"):
        assert getattr(parts.scaled(3.0), name) == pytest.approx(getattr(thrice, name))


def test_seeds_that_vary_by_the_remainder_alone_add_nothing():
    table = pd.DataFrame([[1.0, 3.0], [5.0, 3.0], [2.0, 2.0]])  # the seeds' means are 8/3 both
    parts = parts_of_mean(table, groups_of(table), trained=True)
    assert parts.between_seeds < parts.remainder
    assert parts.of_seeds == 0
    assert parts.chance().variance == parts.between_groups
    assert parts.chance().freedom == pytest.approx(2)


def test_groups_that_vary_by_the_remainder_alone_add_nothing():
    """Not even where their means are closer than that: the seeds decide, as in their own t test."""
    table = pd.DataFrame([[1.0, 9.0], [4.0, 5.0], [4.0, 7.0]])  # the seeds' means are 3 and 7
    parts = parts_of_mean(table, groups_of(table), trained=True)
    # the groups' means are 5, 4.5 and 5.5; left over are +-2, +-1.5 and +-0.5 about the seeds'
    assert parts.between_groups == pytest.approx(0.25 / 3)
    assert parts.remainder == pytest.approx(2 * (4 + 2.25 + 0.25) / 2 / 6)
    chance = parts.chance()
    assert chance.variance == pytest.approx(8 / 2)  # variance of 3 and 7, by 2 seeds
    assert chance.freedom == pytest.approx(1)


def test_where_neither_groups_nor_seeds_vary_the_remainder_is_all_the_chance():
    table = pd.DataFrame([[1.0, 3.0], [3.0, 1.0], [2.0, 2.0]])  # all means are 2
    chance = parts_of_mean(table, groups_of(table), trained=True).chance()
    # left over are +-1, +-1 and 0 with two degrees of freedom, over 6 cells
    assert chance.variance == pytest.approx(4 / 2 / 6)
    assert chance.freedom == pytest.approx(2)


@pytest.mark.parametrize(("groups", "seeds"), [(2, 2), (25, 2), (25, 3), (3, 10), (1000, 5)])
def test_there_are_hardly_fewer_degrees_of_freedom_than_seeds_or_groups_have(groups, seeds):
    """Else an interval would reach hundreds of standard errors."""
    rng = np.random.default_rng(8)
    fewest = (groups - 1) * (seeds - 1) / ((groups - 1) + (seeds - 1) + 1)
    for between_groups, between_seeds, remainder in rng.exponential(size=(2000, 3)) ** 3:
        parts = Parts(
            between_groups=between_groups,
            between_seeds=between_seeds,
            remainder=remainder,
            num_groups=groups,
            effective_groups=groups,
            num_seeds=seeds,
        )
        chance = parts.chance()
        assert chance.freedom > fewest * (1 - 1e-9)
        largest = max(between_groups, between_seeds, remainder)
        assert chance.variance >= largest * (1 - 1e-9)


@pytest.mark.parametrize(
    ("values", "names", "trained", "why"),
    [
        ([[1.0], [2.0]], None, True, "one seed"),
        ([[1.0, 2.0], [2.0, 3.0]], ["a", "a"], True, "one group"),
        ([[1.0], [2.0]], ["a", "a"], False, "one group"),
        # an interval of them would reach 230 standard errors, with ten times the samples a million
        ([[1.0], [2.0], [3.0], [4.0], [9.0]], list("aaaab"), False, "one group has most samples"),
        ([[NAN, 1.0], [NAN, 2.0]], None, True, "no defined value"),
    ],
)
def test_what_cannot_be_known_is_unknown_and_says_why(values, names, trained, why):
    table = pd.DataFrame(values)
    chance = chance_of_mean(table, groups_of(table, names), trained=trained)
    assert chance.unknown == why
    found = [*chance.interval(1.0), chance.p_value(1.0), chance.detectable()]
    assert all(map(math.isnan, found))


def test_groups_of_different_sizes_count_once():
    one = pd.DataFrame([[1.0, 2.0], [4.0, 6.0], [2.0, 2.0]])
    repeated = one.loc[[0, 0, 0, 1, 2]].reset_index(drop=True)
    alone = parts_of_mean(one, groups_of(one), trained=True)
    together = parts_of_mean(repeated, groups_of(repeated, [0, 0, 0, 1, 2]), trained=True)
    assert (together.num_groups, together.num_seeds) == (3, 2)
    # three samples of one group are no three groups
    taken_apart = parts_of_mean(repeated, groups_of(repeated), trained=True)
    assert together.between_groups > 1.5 * taken_apart.between_groups
    assert alone.between_groups != together.between_groups


def test_a_large_group_counts_for_more_and_leaves_fewer_degrees_of_freedom():
    # weights 1/2, 1/4, 1/4; the mean is 3, from which the groups are 2, -1 and -3 away
    table = pd.DataFrame([[5.0], [5.0], [2.0], [0.0]])
    parts = parts_of_mean(table, groups_of(table, ["a", "a", "b", "c"]), trained=False)
    of_weights = 1 / 4 + 1 / 16 + 1 / 16
    assert parts.effective_groups == pytest.approx(1 / of_weights)
    assert parts.chance().freedom == pytest.approx(1 / of_weights - 1)
    large, small = (1 - 2 * weight + of_weights for weight in (1 / 2, 1 / 4))
    by_hand = (1 / 2 * 2) ** 2 / large + ((1 / 4) ** 2 + (3 / 4) ** 2) / small
    assert parts.between_groups == pytest.approx(by_hand)


@pytest.mark.parametrize("ratio", RATIOS)
def test_intervals_cover_where_groups_differ_much_in_size(ratio):
    rates = simulate(seeds=5, ratio=ratio, trials=2000, groups=25, kind="uneven", seed=4)
    assert 0.92 <= rates.covered <= 0.97


def test_counting_groups_of_different_sizes_alike_would_not_cover():
    """What the effective number of groups mends, without a part of the seeds."""
    rng = np.random.default_rng(8)
    covered = 0
    for _ in range(2000):
        sums, counts = draw_study(rng, groups=25, seeds=10, ratio=0.0, kind="uneven")
        means = sums.sum(axis=0) / counts.sum(axis=0)
        shared = ((sums - means * counts) / counts.sum(axis=0)).mean(axis=1)
        reach = stats.t.ppf(0.975, 24) * math.sqrt(25 / 24 * (shared @ shared))
        covered += abs(means.mean()) <= reach
    assert 0.87 <= covered / 2000 <= 0.925


@pytest.mark.parametrize("freedom", [0.4, 1.0, 2.0, 5.5, 40.0, math.inf])
def test_what_is_detectable_is_detected_four_times_in_five(freedom):
    chance = Chance(variance=4.0, freedom=freedom, num_groups=9, num_seeds=3)
    for level in (0.05, 0.01):
        assert power(chance, chance.detectable(level), level) == pytest.approx(0.8, abs=1e-3)


def test_equal_values_have_no_chance():
    table = pd.DataFrame([[2.0, 2.0]] * 3)
    chance = chance_of_mean(table, groups_of(table), trained=True)
    assert chance.interval(2.0) == (2.0, 2.0)
    assert (chance.p_value(0.0), chance.p_value(2.0)) == (1.0, 0.0)
    assert math.isnan(chance.detectable())  # nothing is known of other groups and seeds
    beside = chance.of_mean(2.0)
    assert beside.unknown == "groups do not differ"
    assert all(map(math.isnan, [*beside.interval(2.0), beside.p_value(2.0)]))
    assert chance.of_mean(0.0) == chance


def test_more_seeds_take_away_the_seeds_part_only():
    parts = Parts(
        between_groups=5.0,
        between_seeds=4.0,
        remainder=1.0,
        num_groups=50,
        effective_groups=50,
        num_seeds=5,
    )
    more = parts.with_seeds(20)
    # groups alone 4; seeds alone 3, a quarter of which is left; remainder 1, a quarter left
    assert more.between_groups == pytest.approx(4 + 0.25)
    assert more.of_seeds == pytest.approx(0.75)
    assert more.chance().variance == pytest.approx(4 + 0.25 + 0.75)
    assert parts.with_seeds(5) == parts
    assert parts.with_seeds(10**6).chance().variance == pytest.approx(4, rel=1e-4)
    alike = replace(parts, between_groups=0.5)  # groups that differ by less than the remainder
    assert alike.with_seeds(20).between_groups == pytest.approx(0.25)


def test_independent_means_add_their_variances():
    first = Chance(variance=3.0, freedom=4.0, num_groups=9, num_seeds=2)
    second = Chance(variance=1.0, freedom=10.0, num_groups=5, num_seeds=3)
    both = chance_of_sum(first, second)
    assert both.variance == 4.0
    assert both.freedom == pytest.approx(16 / (9 / 4 + 1 / 10))
    assert (both.num_groups, both.num_seeds) == (5, 2)
    lacking = Chance(variance=NAN, freedom=NAN, num_groups=1, num_seeds=1, unknown="one seed")
    assert chance_of_sum(first, lacking).unknown == "one seed"
    assert math.isnan(chance_of_sum(first, lacking).p_value(1.0))


@pytest.mark.parametrize("ratio", RATIOS[:-1])
@pytest.mark.parametrize(
    ("seeds", "covered", "rejected"),
    [
        (2, (0.87, 0.98), (0.02, 0.13)),  # as docs/explanation/statistics.md warns
        (3, (0.91, 0.98), (0.02, 0.09)),
        (5, (0.92, 0.97), (0.03, 0.08)),
        (10, (0.92, 0.97), (0.03, 0.08)),
    ],
)
@pytest.mark.workflow
def test_intervals_cover_and_tests_reject_as_often_as_they_say(seeds, ratio, covered, rejected):
    rates = simulate(seeds=seeds, ratio=ratio, trials=2000, seed=7)
    assert covered[0] <= rates.covered <= covered[1]
    assert rejected[0] <= rates.rejected <= rejected[1]


@pytest.mark.parametrize(("seeds", "covered"), [(2, (0.86, 0.9)), (3, (0.91, 0.96))])
def test_where_only_seeds_and_the_remainder_vary_two_seeds_are_too_few(seeds, covered):
    rates = simulate(seeds=seeds, ratio=math.inf, trials=2000, seed=7)
    assert covered[0] <= rates.covered <= covered[1]
    assert rates.rejected == pytest.approx(1 - rates.covered, abs=0.01)


@pytest.mark.parametrize("ratio", RATIOS)
def test_skewed_differences_are_covered_too(ratio):
    rates = simulate(seeds=5, ratio=ratio, trials=1000, kind="skewed", seed=3)
    assert 0.92 <= rates.covered <= 0.97


@pytest.mark.parametrize("network", [0.0, 1.0, 2.0])
def test_intervals_of_a_cross_validation_cover(network):
    """Five folds, each with a network of its own per seed, which all groups of the fold share."""
    rng = np.random.default_rng(1)
    fold = np.arange(25) % 5
    covered = 0
    for _ in range(1000):
        values = rng.normal(size=(25, 1)) + network * rng.normal(size=(5, 3))[fold]
        values = values + 0.7 * rng.normal(size=(25, 3))
        chance = parts_of_sums(values, np.ones_like(values), trained=True).chance()
        low, high = chance.interval(float(values.mean()))
        covered += low <= 0 <= high
    assert 0.91 <= covered / 1000 <= 0.98


def test_what_a_folds_training_patients_do_to_all_seeds_is_not_covered():
    """Half of the networks' variance is that of the fold, as the page on statistics says."""
    rng = np.random.default_rng(2)
    fold = np.arange(25) % 5
    covered = 0
    for _ in range(1000):
        networks = (rng.normal(size=(5, 3)) + rng.normal(size=(5, 1))) / math.sqrt(2)
        values = rng.normal(size=(25, 1)) + networks[fold] + 0.5 * rng.normal(size=(25, 3))
        chance = parts_of_sums(values, np.ones_like(values), trained=True).chance()
        low, high = chance.interval(float(values.mean()))
        covered += low <= 0 <= high
    assert 0.84 <= covered / 1000 <= 0.90


def test_an_interval_over_groups_alone_would_not_cover():
    """What the model mends: five networks that happen to be better on every patient."""
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(500):
        sums, counts = draw_study(rng, groups=100, seeds=5, ratio=4.0, kind="even")
        mean = (sums.sum(axis=0) / counts.sum(axis=0)).mean()
        error = math.sqrt(parts_of_sums(sums, counts, trained=True).between_groups)
        covered += abs(mean) <= 1.96 * error
    assert covered / 500 < 0.7


@pytest.mark.parametrize("ratio", [0.0, 1.0])
def test_the_detectable_difference_is_found_four_times_in_five(ratio):
    rng = np.random.default_rng(5)
    studies = [draw_study(rng, groups=100, seeds=5, ratio=ratio, kind="even") for _ in range(1000)]
    chances = [parts_of_sums(*study, trained=True).chance() for study in studies]
    size = float(np.median([chance.detectable() for chance in chances]))
    means = [float((sums.sum(axis=0) / counts.sum(axis=0)).mean()) for sums, counts in studies]
    found = [
        chance.p_value(mean + size) < 0.05 for chance, mean in zip(chances, means, strict=True)
    ]
    assert 0.72 <= np.mean(found) <= 0.88


def test_a_group_counts_if_a_single_seed_has_a_value_of_it():
    table = pd.DataFrame([[1.0, 3.0], [3.0, 9.0], [5.0, NAN]])
    parts = parts_of_mean(table, groups_of(table), trained=True)
    assert parts.num_groups == 3
    assert parts.between_seeds == pytest.approx(4.5 / 2)  # variance of 3 and 6, by 2 seeds
    # weights (1/3 + 1/2) / 2 twice, and (1/3 + 0) / 2
    assert parts.effective_groups == pytest.approx(1 / (2 * (5 / 12) ** 2 + (1 / 6) ** 2))


def test_groups_without_a_defined_value_are_no_groups():
    rng = np.random.default_rng(6)
    sums, counts = rng.normal(size=(20, 3)), np.ones((20, 3))
    counts[1:] = sums[1:] = 0
    assert parts_of_sums(sums, counts, trained=True).unknown == "one group"
    for defined in (2, 5):
        rejected = []
        for _ in range(2000):
            sums, counts = draw_study(rng, groups=20, seeds=3, ratio=0.0, kind="even")
            sums, counts = (
                np.where(np.arange(20)[:, None] < defined, x, 0) for x in (sums, counts)
            )
            parts = parts_of_sums(sums, counts, trained=True)
            assert parts.num_groups == defined
            mean = float((sums.sum(axis=0) / counts.sum(axis=0)).mean())
            rejected.append(parts.chance().p_value(mean) < 0.05)
        assert np.mean(rejected) < 0.075
