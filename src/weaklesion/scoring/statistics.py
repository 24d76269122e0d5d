"""From the scores of samples to means and differences, with intervals and tests.

A cell of a table is the mean over the samples of each run, then over the runs of its seeds. Two
arms are compared sample by sample and seed by seed. Intervals, p-values and detectable differences
come from one model of chance (`weaklesion.scoring.chance`): other groups (lesions, volumes or
patients) might have been tested, and other seeds trained. A run without training, such as the
ellipse, has the seed 0 and no chance of training.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from weaklesion.scoring.catalogue import measure_of
from weaklesion.scoring.chance import Chance, Parts, chance_of_mean, chance_of_sum, parts_of_mean
from weaklesion.scoring.pairs import Paired, Unit, by_seed, is_trained, pair

LIMITS_SD = 1.96  # half-width of the limits that hold 95 % of normally distributed differences
UndefinedPolicy = Literal[
    "released", "stated", "exclude", "worst_possible", "correct_empty", "with_reference"
]


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A metric's mean over samples and seeds.

    Attributes:
        mean: mean over the seeds of each run's mean over its samples.
        std: sample standard deviation (n - 1) of the seeds' means; nan for one seed.
        std_population: the same with n, which the paper probably prints.
        ci_low: lower end of the 95 % interval; nan if it is unknown.
        ci_high: upper end.
        unknown: reason why the interval is unknown, or "".
        n_seeds: number of seeds.
        n_samples: number of samples of a run.
        n_groups: number of groups of the samples.
    """

    mean: float
    std: float
    std_population: float
    ci_low: float
    ci_high: float
    unknown: str
    n_seeds: int
    n_samples: int
    n_groups: int


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One arm's metric minus another's.

    Attributes:
        difference: mean over seeds of the mean over samples.
        ci_low: lower end of its 95 % interval; nan if it is unknown.
        ci_high: upper end.
        p_value: two-sided p-value of the same model, uncorrected; nan if it is unknown.
        detectable: smallest true difference that these groups and seeds would have shown with a
            power of 0.8 at a level of 0.05 (one test); nan if it is unknown.
        unknown: reason why interval and test are unknown, or "".
        n_seeds: number of seeds.
        n_groups: number of groups.
    """

    difference: float
    ci_low: float
    ci_high: float
    p_value: float
    detectable: float
    unknown: str
    n_seeds: int
    n_groups: int


def resolve_undefined(scores: pd.DataFrame, policy: UndefinedPolicy) -> pd.DataFrame:
    """Replace values of samples with an empty mask, by one of the following policies.

    - `released`: an undefined value becomes the worst value of the same run and metric; values that
      are defined for an empty mask stay (the released code does this for centre error and Hausdorff
      distance, discrepancy M3);
    - `stated`: all values of such a sample become the worst of the same run and metric (Chu et al.
      2021, section 5);
    - `exclude`: an undefined value stays undefined and does not count in means;
    - `worst_possible`: an undefined overlap becomes 0, an undefined distance the patch's diagonal;
    - `correct_empty`: if both masks are empty, an overlap becomes 1 and a distance 0; otherwise as
      `worst_possible`;
    - `with_reference`: samples with an empty reference do not count in means; otherwise as
      `worst_possible`.

    Diameters of samples without a mark, whose `worst` is missing, stay undefined under all of them.

    Args:
        scores: rows of one dataset and protocol, see `weaklesion.scoring.score`.
        policy: one of the above.

    Returns:
        The same rows with some values replaced.
    """
    scores = scores.copy()
    measurable = scores["worst"].notna()
    empty = (scores["status"] != "ok") & measurable
    undefined = scores["value"].isna() & measurable
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
            agreed = (scores["status"] == "both_empty") & measurable
            scores.loc[agreed, "value"] = scores.loc[agreed, "metric"].isin(larger).astype(float)
        elif policy == "with_reference":
            without = scores["status"].isin(("empty_reference", "both_empty"))
            scores.loc[without, "value"] = math.nan
    elif policy != "exclude":
        raise ValueError(f"policy: {policy!r} is unknown")
    return scores


def group_means(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the mean over the samples of each group, so that every group counts once.

    Args:
        scores: columns `arm`, `seed`, `metric`, `group`, `value`; undefined values do not count.

    Returns:
        The same columns, and the group again as `id`; the value is nan where all of a group's are.
    """
    keys = ["arm", "seed", "metric", "group"]
    means = scores.groupby(keys, sort=False)["value"].mean().reset_index()
    return means.assign(id=means["group"])


def by_unit(scores: pd.DataFrame, unit: Unit) -> pd.DataFrame:
    """Return scores of which each counts once: those of samples, or the means of groups."""
    return group_means(scores) if unit == "group" else scores


def estimate(values: pd.DataFrame, within: tuple[float, float] = (-math.inf, math.inf)) -> Estimate:
    """Estimate the mean of one metric of one arm.

    Args:
        values: columns `id`, `group`, `seed`, `value`; every seed has the same ids.
        within: smallest and largest possible value, at which an interval ends.

    Raises:
        DataError: if the seeds differ in their samples, or a sample occurs twice.
    """
    table, groups = by_seed(values)
    seed_means = table.mean(axis=0).to_numpy()
    mean = float(np.mean(seed_means))
    chance = chance_of_mean(table, groups, trained=is_trained(values))
    low, high = np.clip(chance.interval(mean), *within).tolist()
    several = len(seed_means) > 1
    return Estimate(
        mean=mean,
        std=float(np.std(seed_means, ddof=1)) if several else math.nan,
        std_population=float(np.std(seed_means)) if several else math.nan,
        ci_low=low,
        ci_high=high,
        unknown=chance.unknown,
        n_seeds=table.shape[1],
        n_samples=table.shape[0],
        n_groups=chance.num_groups,
    )


def compare(values: pd.DataFrame, baseline: pd.DataFrame, unit: Unit = "sample") -> Comparison:
    """Compare the same metric of two arms, paired by sample and by seed.

    An arm without training, such as the ellipse, has a single run, which is compared with every
    seed of the other arm.

    Args:
        values: columns `id`, `group`, `seed`, `value`.
        baseline: the same columns for the arm that is subtracted.
        unit: what counts once, see `weaklesion.scoring.pairs.pair`.

    Raises:
        DataError: if the arms differ in their samples or seeds, or a sample occurs twice.
    """
    both = pair(values, baseline, unit)
    return as_comparison(mean_difference(both), parts_of_difference(both).chance())


def as_comparison(difference: float, chance: Chance) -> Comparison:
    """Return interval and test of a difference; neither if all groups and seeds have the same."""
    chance = chance.of_mean(difference)
    low, high = chance.interval(difference)
    return Comparison(
        difference=difference,
        ci_low=low,
        ci_high=high,
        p_value=chance.p_value(difference),
        detectable=chance.detectable(),
        unknown=chance.unknown,
        n_seeds=chance.num_seeds,
        n_groups=chance.num_groups,
    )


def mean_difference(both: Paired) -> float:
    """Return the mean over seeds of the mean over samples of ours minus theirs."""
    return float(np.mean((both.ours - both.theirs).mean(axis=0).to_numpy()))


def parts_of_difference(both: Paired, factor: float = 1.0) -> Parts:
    """Return the variance, by source, of the mean of ours minus `factor` times theirs."""
    apart = both.ours - factor * both.theirs
    return parts_of_mean(apart, both.groups, trained=both.trained)


def share_better(
    values: pd.DataFrame,
    baseline: pd.DataFrame,
    unit: Unit = "sample",
    *,
    larger_is_better: bool,
) -> float:
    """Return the share of samples or groups, over all seeds, in which an arm is better.

    Args:
        values: columns `id`, `group`, `seed`, `value`; undefined values are not counted.
        baseline: the same columns for the other arm, with the same seeds or a single run.
        unit: what counts once, see `weaklesion.scoring.pairs.pair`.
        larger_is_better: whether larger values of the metric are better.

    Returns:
        0 to 1; nan if no pair of values is defined.
    """
    both = pair(values, baseline, unit)
    gains = (both.ours - both.theirs).to_numpy().ravel()
    gains = gains[~np.isnan(gains)]
    if not len(gains):
        return math.nan
    return float((gains > 0 if larger_is_better else gains < 0).mean())


def with_shared_seeds(
    values: pd.DataFrame, baseline: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Keep the seeds that two trained arms share.

    Arms that share no seed are returned unchanged: one of them has no training (the ellipse).
    """
    shared = set(values["seed"]) & set(baseline["seed"])
    if not shared:
        return values, baseline
    return values[values["seed"].isin(shared)], baseline[baseline["seed"].isin(shared)]


def compare_unpaired(values: pd.DataFrame, baseline: pd.DataFrame) -> Comparison:
    """Compare means over different samples, such as those of two splits.

    The two means are independent, so their variances add up.

    Args:
        values: columns `id`, `group`, `seed`, `value`.
        baseline: the same columns for the mean that is subtracted.
    """
    means, chances = [], []
    for rows in (values, baseline):
        table, groups = by_seed(rows)
        means.append(float(np.mean(table.mean(axis=0).to_numpy())))
        chances.append(chance_of_mean(table, groups, trained=is_trained(rows)))
    return as_comparison(means[0] - means[1], chance_of_sum(*chances))


def holm(p_values: Sequence[float]) -> np.ndarray:
    """Correct p-values for their number by Holm's method.

    Args:
        p_values: M p-values; nan means no test, and is not counted.

    Returns:
        (M,) corrected p-values, at most 1; nan stays nan.

    >>> holm([0.01, 0.04, float("nan")]).tolist()
    [0.02, 0.04, nan]
    """
    values = np.asarray(p_values, dtype=float)
    corrected = np.full(len(values), math.nan)
    tests = np.flatnonzero(~np.isnan(values))
    order = tests[np.argsort(values[tests], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(values[order] * factors), 1.0)
    return corrected


def limits_of_agreement(values: pd.DataFrame) -> tuple[float, float]:
    """Return the 95 % limits between which a difference lies, every group counting once.

    The limits are 1.96 standard deviations about the mean of the groups' means (Bland and Altman
    1986). A row weighs as much as its part of its group, and the sum of squares is divided by the
    number of groups minus 1; with one row per group they are the usual limits.

    Args:
        values: columns `group` (patient, volume or lesion) and `value`, none of them nan.

    Returns:
        Both limits; nan for one group.

    >>> values = pd.DataFrame({"group": ["a", "b"], "value": [-10.0, 10.0]})
    >>> [round(limit, 2) for limit in limits_of_agreement(values)]
    [-27.72, 27.72]
    """
    groups = values.groupby("group")["value"]
    mean = float(groups.mean().mean())
    if groups.ngroups < 2:
        return math.nan, math.nan
    squares = ((values["value"] - mean) ** 2).groupby(values["group"]).mean().sum()
    reach = LIMITS_SD * float(np.sqrt(squares / (groups.ngroups - 1)))
    return mean - reach, mean + reach
