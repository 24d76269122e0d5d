"""Groups of samples drawn anew: intervals, permutations, and the difference that would be found.

Sums and counts are those of each group's defined values under each seed, (groups, seeds).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

LEVEL, POWER = 0.05, 0.8


@dataclass(frozen=True, kw_only=True)
class Resampling:
    """How often and how samples are drawn anew: `statistics` of the configuration.

    Attributes:
        bootstrap_draws: draws of groups, for intervals.
        permutation_draws: random exchanges of two arms within groups, for tests.
        seed: seed of both.
    """

    bootstrap_draws: int
    permutation_draws: int
    seed: int


def group_sums(table: pd.DataFrame, groups: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Return sums and numbers of the defined values, (groups, seeds) each."""
    by_group = groups.to_numpy()
    sums = table.groupby(by_group).sum()
    return sums.to_numpy(), table.notna().groupby(by_group).sum().to_numpy()


def permutation_p(sums: np.ndarray, counts: np.ndarray, resampling: Resampling) -> float:
    """Two-sided p-value of the mean difference when the arms are exchanged within groups."""
    if (counts.sum(axis=0) == 0).any():
        return math.nan
    shares = (sums / counts.sum(axis=0)).mean(axis=1)  # what each group adds to the difference
    draws = resampling.permutation_draws
    rng = np.random.default_rng(resampling.seed)
    signs = rng.integers(0, 2, (draws, len(shares)), dtype=np.int8) * 2 - 1
    exchanged = np.abs(signs @ shares)
    reached = exchanged >= abs(shares.sum()) * (1 - 1e-12)  # rounding must not break ties
    return float((1 + reached.sum()) / (1 + draws))


def seeds_p(seeds: np.ndarray) -> float:
    """Two-sided p-value of a t-test of the seeds' differences against zero."""
    if len(seeds) < 2 or np.isnan(seeds).any():
        return math.nan
    if np.ptp(seeds) == 0:  # training is no source of chance here
        return 0.0 if seeds[0] else 1.0
    return float(stats.ttest_1samp(seeds, 0.0).pvalue)


def detectable_difference(sums: np.ndarray, counts: np.ndarray, seeds: np.ndarray) -> float:
    """Smallest difference that would have been found at 5 % with a power of 0.8."""
    num_groups, num_seeds = len(sums), len(seeds)
    too_few = 2.0 ** (1 - num_groups) >= LEVEL
    if too_few or num_seeds < 2 or (counts.sum(axis=0) == 0).any():
        return math.nan
    totals = counts.sum(axis=0)
    apart = ((sums - seeds * counts) / totals).mean(axis=1)
    of_groups = num_groups / (num_groups - 1) * float(apart @ apart)
    of_seeds = float(np.var(seeds, ddof=1)) / num_seeds
    both = of_groups + of_seeds
    if both == 0:
        return 0.0
    freedom = both**2 / (of_groups**2 / (num_groups - 1) + of_seeds**2 / (num_seeds - 1))
    return float((stats.t.ppf(0.975, freedom) + stats.t.ppf(POWER, freedom)) * math.sqrt(both))


def bootstrap_interval(
    sums: np.ndarray, counts: np.ndarray, resampling: Resampling, level: float
) -> tuple[float, float]:
    """Percentile interval of the mean over seeds; `sums` and `counts` are (groups, seeds)."""
    means = bootstrap_means(sums, counts, resampling.bootstrap_draws, resampling.seed)
    return percentile_interval(means, level)


def bootstrap_means(
    sums: np.ndarray, counts: np.ndarray, draws: int, seed: int | Sequence[int]
) -> np.ndarray:
    """Means over seeds, (draws,), of groups drawn with replacement; nan where one is undefined."""
    if (counts.sum(axis=0) == 0).any():
        return np.full(draws, math.nan)
    rng = np.random.default_rng(seed)
    num_groups = len(sums)
    weights = rng.multinomial(num_groups, np.full(num_groups, 1 / num_groups), size=draws)
    drawn_counts = weights @ counts
    means = np.divide(
        weights @ sums,
        drawn_counts,
        out=np.full(drawn_counts.shape, np.nan),
        where=drawn_counts > 0,
    )
    return means.mean(axis=1)


def percentile_interval(means: np.ndarray, level: float) -> tuple[float, float]:
    """Percentile interval of draws; nan where none is defined."""
    defined = means[np.isfinite(means)]
    if not len(defined):
        return math.nan, math.nan
    tail = (1 - level) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return float(low), float(high)
