"""The model of chance behind every interval, p-value and detectable difference.

With other groups (patients, volumes or lesions) and other seeds, a mean over samples and seeds
would have been different. The model has one effect per group, one per seed, and one per pair of
both:

    value = mean + group + seed + remainder

The variance of the mean is that of the groups' means plus that of the seeds' means, minus the
remainder, which both contain. What groups and seeds add to the remainder is at least 0: where one
of the two variances is estimated below the remainder, the variance of the mean is the other one;
where both are, it is the remainder. The mean divided by the root of that variance follows Student's
t with Satterthwaite's degrees of freedom: of g of the groups and s of the seeds, never fewer than
`g * s / (g + s + 1)`. Samples of a group are alike, so a group counts once, however many samples it
has; means of groups of different sizes are linearised as ratios. Where sizes differ, a large group
moves the mean more than a small one, and fewer groups than there are decide it: the groups have one
degree of freedom less than Kish's effective number, `1 / sum(weight**2)`, with each group's part of
all samples as its weight.

`docs/explanation/statistics.md` has the simulated coverage of the intervals and size of the tests.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import special

LEVEL, POWER = 0.05, 0.8
# Below this effective number of groups, a quantile of t exceeds 200 and soon a million.
FEWEST_GROUPS = 1.5
# Part of a mean below which its standard error is an error of rounding.
ROUNDING = 1e-9
NO_SPREAD = "groups do not differ"


@dataclass(frozen=True, kw_only=True)
class Chance:
    """The distribution of a mean by chance.

    Attributes:
        variance: variance of the mean, squared units of the metric; nan if it is unknown.
        freedom: Satterthwaite's degrees of freedom; infinite if the variance is 0.
        num_groups: number of groups.
        num_seeds: number of seeds.
        unknown: reason why the variance is unknown, or "".
    """

    variance: float
    freedom: float
    num_groups: int
    num_seeds: int
    unknown: str = ""

    @property
    def std_error(self) -> float:
        """Standard error of the mean; nan if it is unknown."""
        return math.sqrt(self.variance)

    def of_mean(self, mean: float) -> "Chance":
        """Return the chance of a mean; unknown if it is 0, and the mean is not.

        All groups and seeds then have the same value, as few groups have in whole pixels, which
        does not say how much others would vary.
        """
        if mean and self.std_error <= ROUNDING * abs(mean):
            return replace(self, variance=math.nan, unknown=NO_SPREAD)
        return self

    def interval(self, mean: float, level: float = LEVEL) -> tuple[float, float]:
        """Return the interval that misses the true mean with probability `level`."""
        reach = float(special.stdtrit(self.freedom, 1 - level / 2)) * self.std_error
        return mean - reach, mean + reach

    def p_value(self, mean: float) -> float:
        """Return the two-sided p-value of a mean against zero; nan if it is unknown."""
        if self.std_error == 0:
            return 0.0 if mean else 1.0
        return float(2 * special.stdtr(self.freedom, -abs(mean) / self.std_error))

    def detectable(self, level: float = LEVEL, power: float = POWER) -> float:
        """Return the smallest true mean that a test at `level` detects with a given power.

        nan if the variance is unknown, or 0, which does not say how much others would vary.
        """
        if self.std_error == 0:
            return math.nan
        return _shift(self.freedom, level, power) * self.std_error


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Variance of a mean over samples and seeds, by source.

    Attributes:
        between_groups: variance of the mean of the groups' means.
        between_seeds: variance of the mean of the seeds' means; nan without training.
        remainder: the part of both that is due to single pairs of group and seed.
        num_groups: number of groups.
        effective_groups: number of groups of one size that would be as much; at most `num_groups`.
        num_seeds: number of seeds.
        unknown: reason why the variances are unknown, or "".
    """

    between_groups: float
    between_seeds: float
    remainder: float
    num_groups: int
    effective_groups: float
    num_seeds: int
    unknown: str = ""

    @property
    def of_seeds(self) -> float:
        """Variance that other seeds alone would cause; 0 without training."""
        if math.isnan(self.between_seeds):
            return 0.0
        return max(self.between_seeds - self.remainder, 0.0)

    def chance(self) -> Chance:
        """Return the variance of the mean, with its degrees of freedom."""
        of_groups, of_seeds = self.effective_groups - 1, self.num_seeds - 1
        variance = max(self.between_groups, self.remainder) + self.of_seeds
        groups_vary, seeds_vary = self.between_groups > self.remainder, self.of_seeds > 0
        terms = []
        if groups_vary:
            terms.append((self.between_groups, of_groups))
        if seeds_vary:
            terms.append((self.between_seeds, of_seeds))
        if groups_vary == seeds_vary:  # what both contain, or all that there is
            terms.append((self.remainder, of_groups * of_seeds))
        return Chance(
            variance=variance,
            freedom=_satterthwaite(variance, terms),
            num_groups=self.num_groups,
            num_seeds=self.num_seeds,
            unknown=self.unknown,
        )

    def scaled(self, factor: float) -> "Parts":
        """Return the variances of a mean that is multiplied by a factor."""
        return replace(
            self,
            between_groups=self.between_groups * factor**2,
            between_seeds=self.between_seeds * factor**2,
            remainder=self.remainder * factor**2,
        )

    def with_seeds(self, num_seeds: int) -> "Parts":
        """Return the expected variances with another number of seeds and the same groups."""
        ratio = self.num_seeds / num_seeds
        remainder = self.remainder * ratio
        return replace(
            self,
            between_groups=max(self.between_groups - self.remainder, 0.0) + remainder,
            between_seeds=self.of_seeds * ratio + remainder,
            remainder=remainder,
            num_seeds=num_seeds,
        )


def _satterthwaite(variance: float, terms: Iterable[tuple[float, float]]) -> float:
    """Return the degrees of freedom of a variance made of terms (variance, freedom)."""
    spread = sum(term**2 / freedom for term, freedom in terms if term > 0)
    return variance**2 / spread if spread > 0 else math.inf


def _shift(freedom: float, level: float, power: float) -> float:
    """Return the true mean, in standard errors, that a test detects with a given power.

    By bisection of the noncentral t from 1 to 1e6 degrees of freedom, and elsewhere by the sum of
    two quantiles, which falls short of it with few degrees.
    """
    limit, of_power = special.stdtrit(freedom, [1 - level / 2, power]).tolist()
    if not 1 <= freedom <= 1e6:
        return float(limit + of_power)
    low, high = 0.0, 2 * (limit + of_power)
    for _ in range(50):
        middle = (low + high) / 2
        if special.nctdtr(freedom, middle, limit) <= 1 - power:
            high = middle
        else:
            low = middle
    return float(high)


def parts_of_seeds(values: Sequence[float]) -> Parts:
    """Return the variance of a mean that depends on seeds only, such as hours of training.

    It is unknown with one seed.
    """
    if len(values) < 2:
        unknown = parts_of_variance(math.nan, len(values))
        return replace(unknown, between_groups=math.nan, unknown="one seed")
    return parts_of_variance(float(np.var(values, ddof=1)), len(values))


def parts_of_variance(variance: float, num_seeds: int) -> Parts:
    """Return the variance of such a mean from the variance between seeds."""
    return Parts(
        between_groups=0.0,
        between_seeds=variance / num_seeds,
        remainder=0.0,
        num_groups=2,  # arbitrary, because the term of the groups is 0
        effective_groups=2,
        num_seeds=num_seeds,
    )


def chance_of_sum(first: Chance, second: Chance) -> Chance:
    """Return the chance of the sum, or difference, of two independent means."""
    variance = first.variance + second.variance
    terms = [(one.variance, one.freedom) for one in (first, second)]
    return Chance(
        variance=variance,
        freedom=_satterthwaite(variance, terms),
        num_groups=min(first.num_groups, second.num_groups),
        num_seeds=min(first.num_seeds, second.num_seeds),
        unknown=first.unknown or second.unknown,
    )


def parts_of_mean(table: pd.DataFrame, groups: pd.Series, *, trained: bool) -> Parts:
    """Measure the variance of a table's mean over other groups and other seeds.

    Args:
        table: values, (samples, seeds); nan is left out.
        groups: the group of each sample, with the table's index.
        trained: whether the seeds are those of training runs. Without training (an ellipse), the
            table has one column, and groups are the only source of chance.

    Returns:
        The variances. They are unknown if a seed has no defined value, if there is one group or one
        has most samples, or if there is one seed of a training.
    """
    return parts_of_sums(*group_sums(table, groups), trained=trained)


def parts_of_sums(sums: np.ndarray, counts: np.ndarray, *, trained: bool) -> Parts:
    """Do the same from sums and numbers of the groups' defined values, (groups, seeds) each.

    Groups without any defined value do not count.
    """
    defined = counts.any(axis=1)
    sums, counts = sums[defined], counts[defined]
    num_groups, num_seeds = sums.shape
    unknown = ""
    if (counts.sum(axis=0) == 0).any():
        unknown = "no defined value"
    elif num_groups < 2:
        unknown = "one group"
    elif trained and num_seeds < 2:
        unknown = "one seed"
    between_groups = between_seeds = remainder = effective = math.nan
    if not unknown:
        totals = counts.sum(axis=0)
        means = sums.sum(axis=0) / totals
        apart = (
            sums - means * counts
        ) / totals  # contribution of each group to the mean of each seed
        shared = apart.mean(axis=1)
        weights = (counts / totals).mean(axis=1)
        of_weights = float(weights @ weights)
        effective = 1 / of_weights
        if effective < FEWEST_GROUPS:
            unknown = "one group has most samples"
    if not unknown:
        # the mean follows large groups, so they are less apart from it than they are from the truth
        corrections = 1 / (1 - 2 * weights + of_weights)
        between_groups = float(corrections @ shared**2)
        remainder = 0.0
    if not unknown and trained:
        between_seeds = float(np.var(means, ddof=1)) / num_seeds
        left = apart - shared[:, None]
        remainder = float(corrections @ (left**2).sum(axis=1)) / (num_seeds * (num_seeds - 1))
    return Parts(
        between_groups=between_groups,
        between_seeds=between_seeds,
        remainder=remainder,
        num_groups=num_groups,
        effective_groups=effective,
        num_seeds=num_seeds,
        unknown=unknown,
    )


def chance_of_mean(table: pd.DataFrame, groups: pd.Series, *, trained: bool) -> Chance:
    """Return the chance of a table's mean, see `parts_of_mean`."""
    return parts_of_mean(table, groups, trained=trained).chance()


def group_sums(table: pd.DataFrame, groups: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Return sums and numbers of the defined values of a table, (groups, seeds) each."""
    codes = pd.factorize(groups, sort=True)[0]
    sums = table.groupby(codes).sum().to_numpy()
    counts = np.zeros_like(sums, int)
    np.add.at(counts, codes, table.notna().to_numpy())
    return sums, counts
