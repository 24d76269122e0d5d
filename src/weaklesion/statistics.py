"""From the scores of samples to means, differences and what they can carry.

A cell's mean is taken over the samples of each run, then over the runs of its seeds. Its interval
is a bootstrap over groups (lesions, volumes or patients), because the samples of a group are alike:
the groups of the test split are drawn with replacement, the seeds are kept.

Two arms are compared sample by sample and seed by seed. A difference can be chance in two ways: by
the groups that happen to be tested, and by the seeds that happen to be trained. Each has a test of
its own, and a difference counts only if it passes both.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from weaklesion.errors import DataError
from weaklesion.measures import measure_of
from weaklesion.resampling import (
    Resampling,
    bootstrap_interval,
    bootstrap_means,
    detectable_difference,
    group_sums,
    percentile_interval,
    permutation_p,
    seeds_p,
)

UndefinedPolicy = Literal[
    "released", "stated", "exclude", "worst_possible", "correct_empty", "with_reference"
]


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A metric's mean over samples and seeds.

    Attributes:
        mean: mean over the seeds of each run's mean over its samples.
        std: sample standard deviation (n - 1) of the seeds' means; nan for one seed.
        std_population: the same with n, as the paper probably gives it.
        ci_low: lower end of the bootstrap interval.
        ci_high: upper end.
        n_seeds: number of seeds.
        n_samples: number of samples of a run.
        n_groups: number of their groups.
    """

    mean: float
    std: float
    std_population: float
    ci_low: float
    ci_high: float
    n_seeds: int
    n_samples: int
    n_groups: int


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One arm's metric minus another's, over the same samples.

    Attributes:
        difference: mean over seeds of the mean over samples.
        ci_low: lower end of its bootstrap interval over groups.
        ci_high: upper end.
        p_groups: permutation test over groups, two-sided.
        p_seeds: paired t-test over seeds, two-sided; nan for fewer than two seeds.
        p_value: the larger of the two, nan where one is: without a second seed nothing is decided.
        detectable: smallest difference that the run's groups and seeds would have found with a
            power of 0.8 at a level of 0.05 (one test); nan for fewer than two seeds, or fewer than
            six groups, whose exchanges are too few to decide anything at that level.
        n_seeds: number of seeds.
        n_groups: number of groups.
    """

    difference: float
    ci_low: float
    ci_high: float
    p_groups: float
    p_seeds: float
    p_value: float
    detectable: float
    n_seeds: int
    n_groups: int

    def as_difference(self) -> "Difference":
        """Return the difference and its interval only."""
        return Difference(difference=self.difference, ci_low=self.ci_low, ci_high=self.ci_high)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A difference of two means with its bootstrap interval over groups."""

    difference: float
    ci_low: float
    ci_high: float


def resolve_undefined(scores: pd.DataFrame, policy: UndefinedPolicy) -> pd.DataFrame:
    """Give the samples with an empty mask the values that a policy says.

    - `released`: an undefined centre error or Hausdorff distance becomes the worst one of the same
      run and metric; what is defined for an empty mask stays (discrepancy M3: what the released
      code does); so do the other distances here, for which it says nothing;
    - `stated`: every metric of such a sample becomes the worst value of the same run and metric
      (Chu et al. 2021, section 5);
    - `exclude`: an undefined value stays undefined, and is left out of means;
    - `worst_possible`: an undefined overlap becomes 0, an undefined distance the patch's diagonal;
    - `correct_empty`: where both masks are empty, an overlap becomes 1 and a distance 0; the rest
      is as in `worst_possible`;
    - `with_reference`: samples whose reference is empty are left out of means; the rest is as in
      `worst_possible`.

    Args:
        scores: rows of one dataset and protocol, as `weaklesion.scoring` writes them.
        policy: one of the above.

    Returns:
        The same rows with the values changed.
    """
    scores = scores.copy()
    empty = scores["status"] != "ok"
    undefined = scores["value"].isna()
    larger = {name for name in scores["metric"].unique() if measure_of(name).larger_is_better}
    if policy in ("released", "stated"):
        run = [scores[key] for key in ("arm", "seed", "metric")]
        sound = scores["value"].where(~empty)
        worst = sound.groupby(run).transform("max")
        lowest = sound.groupby(run).transform("min")
        worst = worst.mask(scores["metric"].isin(larger), lowest)
        replaced = undefined if policy == "released" else empty
        scores.loc[replaced, "value"] = worst[replaced]
    elif policy in ("worst_possible", "correct_empty", "with_reference"):
        scores.loc[undefined, "value"] = scores.loc[undefined, "worst"]
        if policy == "correct_empty":
            agreed = scores["status"] == "both_empty"
            larger = {
                name for name in scores["metric"].unique() if measure_of(name).larger_is_better
            }
            scores.loc[agreed, "value"] = scores.loc[agreed, "metric"].isin(larger).astype(float)
        elif policy == "with_reference":
            without = scores["status"].isin(("empty_reference", "both_empty"))
            scores.loc[without, "value"] = math.nan
    elif policy != "exclude":
        raise ValueError(f"policy: {policy!r} is not known")
    return scores


def estimate(values: pd.DataFrame, resampling: Resampling, level: float = 0.95) -> Estimate:
    """Estimate the mean of one metric of one arm.

    Args:
        values: columns `id`, `group`, `seed`, `value`; every seed has the same ids.
        resampling: draws of the interval.
        level: level of the interval.

    Raises:
        DataError: if the seeds differ in their samples, or a sample is there twice.
    """
    table, groups = _by_seed(values)
    seed_means = table.mean(axis=0).to_numpy()
    sums, counts = group_sums(table, groups)
    low, high = bootstrap_interval(sums, counts, resampling, level)
    several = len(seed_means) > 1
    return Estimate(
        mean=float(np.mean(seed_means)),
        std=float(np.std(seed_means, ddof=1)) if several else math.nan,
        std_population=float(np.std(seed_means)) if several else math.nan,
        ci_low=low,
        ci_high=high,
        n_seeds=table.shape[1],
        n_samples=table.shape[0],
        n_groups=len(sums),
    )


def compare(
    values: pd.DataFrame,
    baseline: pd.DataFrame,
    resampling: Resampling,
    level: float = 0.95,
) -> Comparison:
    """Compare the same metric of two arms, paired by sample and by seed.

    An arm with a single run that is no training (the ellipse) is compared with every seed.

    Args:
        values: columns `id`, `group`, `seed`, `value`.
        baseline: the same of the arm that is subtracted.
        resampling: draws of the interval and of the test.
        level: level of the interval.

    Raises:
        DataError: if the arms differ in their samples or seeds, or a sample is there twice.
    """
    (first, groups), (second, _) = _by_seed(values), _by_seed(baseline)
    if set(first.index) != set(second.index):
        raise DataError("the two arms have different samples. Score again.")
    if 1 in (first.shape[1], second.shape[1]):  # one run beside each of the other's seeds
        wider = first if first.shape[1] > 1 else second
        first, second = (
            table if table.shape[1] > 1 else pd.concat([table.iloc[:, 0]] * wider.shape[1], axis=1)
            for table in (first, second)
        )
        first.columns = second.columns = wider.columns
    if set(first.columns) != set(second.columns):
        raise DataError(
            f"the two arms have different seeds: {list(first.columns)} and {list(second.columns)}."
        )
    paired = first - second.loc[first.index, first.columns]
    sums, counts = group_sums(paired, groups)
    seeds = paired.mean(axis=0).to_numpy()
    low, high = bootstrap_interval(sums, counts, resampling, level)
    p_groups, p_seeds = permutation_p(sums, counts, resampling), seeds_p(seeds)
    return Comparison(
        difference=float(np.mean(seeds)),
        ci_low=low,
        ci_high=high,
        p_groups=p_groups,
        p_seeds=p_seeds,
        p_value=math.nan if math.isnan(p_groups + p_seeds) else max(p_groups, p_seeds),
        detectable=detectable_difference(sums, counts, seeds),
        n_seeds=len(seeds),
        n_groups=len(sums),
    )


def share_better(values: pd.DataFrame, baseline: pd.DataFrame, *, larger_is_better: bool) -> float:
    """Return the share of samples, over all seeds, in which an arm is better than another.

    Args:
        values: columns `id`, `seed`, `value`; undefined values are not counted.
        baseline: the same of the other arm, of the same seeds or of a single run.
        larger_is_better: whether larger values of the metric are.
    """
    keys = ["id"] if baseline["id"].is_unique else ["id", "seed"]
    both = values.merge(baseline[[*keys, "value"]], on=keys, suffixes=("", "_baseline")).dropna()
    gains = both["value"] - both["value_baseline"]
    return float((gains > 0 if larger_is_better else gains < 0).mean())


def with_shared_seeds(
    values: pd.DataFrame, baseline: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Keep the seeds that two trained arms share, where one has more than the other.

    Arms that share none are returned whole: one of them is no training (the ellipse).
    """
    shared = set(values["seed"]) & set(baseline["seed"])
    if not shared:
        return values, baseline
    return values[values["seed"].isin(shared)], baseline[baseline["seed"].isin(shared)]


def compare_unpaired(
    values: pd.DataFrame, baseline: pd.DataFrame, resampling: Resampling, level: float = 0.95
) -> Difference:
    """Compare means over different samples, such as those of two splits.

    Args:
        values: columns `id`, `group`, `seed`, `value`.
        baseline: the same of what is subtracted.
        resampling: draws of groups, independent for the two.
        level: level of the interval.
    """
    means = []
    for number, rows in enumerate((values, baseline)):
        table, groups = _by_seed(rows)
        seed = [resampling.seed, number]
        drawn = bootstrap_means(*group_sums(table, groups), resampling.bootstrap_draws, seed)
        means.append((float(table.mean(axis=0).mean()), drawn))
    (ours, drawn), (theirs, drawn_theirs) = means
    low, high = percentile_interval(drawn - drawn_theirs, level)
    return Difference(difference=ours - theirs, ci_low=low, ci_high=high)


def holm(p_values: Sequence[float]) -> np.ndarray:
    """Correct p-values for their number by Holm's method.

    Args:
        p_values: M of them; nan is no test, and is not counted.

    Returns:
        (M,) corrected p-values, at most 1; nan stays nan.
    """
    values = np.asarray(p_values, dtype=float)
    corrected = np.full(len(values), math.nan)
    tests = np.flatnonzero(~np.isnan(values))
    order = tests[np.argsort(values[tests], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(values[order] * factors), 1.0)
    return corrected


def _by_seed(values: pd.DataFrame) -> tuple[pd.DataFrame, pd.Series]:
    """Return a table (samples, seeds) of values, and the group of each sample."""
    if values.duplicated(["seed", "id"]).any():
        raise DataError("a sample of a seed is there twice. Score again.")
    ids_of_seed = values.groupby("seed")["id"].agg(frozenset)
    if len(set(ids_of_seed)) != 1:
        sizes = ids_of_seed.map(len).to_dict()
        raise DataError(f"the seeds have different samples: {sizes}. Score again.")
    table = values.set_index(["id", "seed"])["value"].unstack()  # noqa: PD010 - keeps nan
    groups = values.drop_duplicates("id").set_index("id")["group"].reindex(table.index)
    return table, groups
