"""From the scores of samples to means with intervals.

A cell's mean is taken over the samples of each run, then over the runs of its seeds. Its interval
is a bootstrap over groups (lesions, volumes or patients), because the samples of a group are alike:
the groups of the test split are drawn with replacement, the seeds are kept.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from weaklesion.errors import DataError

UndefinedPolicy = Literal["released", "stated", "exclude", "worst_possible"]
LARGER_IS_BETTER = ("iou", "dice", "volumetric_similarity")
OVERLAPS = LARGER_IS_BETTER


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A metric's mean over samples and seeds.

    Attributes:
        mean: mean over the seeds of each run's mean over its samples.
        std: sample standard deviation of the seeds' means; nan for one seed.
        ci_low: lower end of the bootstrap interval.
        ci_high: upper end.
        n_seeds: number of seeds.
        n_samples: number of samples of a run.
    """

    mean: float
    std: float
    ci_low: float
    ci_high: float
    n_seeds: int
    n_samples: int


def resolve_undefined(
    scores: pd.DataFrame, policy: UndefinedPolicy, *, diagonal_px: float
) -> pd.DataFrame:
    """Give the samples with an empty mask the values that a policy says.

    - `released`: an undefined value becomes the worst one of the same run and metric; what is
      defined for an empty mask stays (discrepancy M3: what the released code does);
    - `stated`: every metric of such a sample becomes the worst value of the same run and metric
      (Chu et al. 2021, section 5);
    - `exclude`: an undefined value stays undefined, and is left out of means;
    - `worst_possible`: an undefined overlap becomes 0, an undefined distance the patch's diagonal.

    Args:
        scores: rows of one dataset and protocol, as `weaklesion.scoring` writes them.
        policy: one of the above.
        diagonal_px: diagonal of a patch, px.

    Returns:
        The same rows with the values changed.
    """
    scores = scores.copy()
    empty = scores["status"] != "ok"
    undefined = scores["value"].isna()
    overlap = scores["metric"].isin(OVERLAPS)
    if policy in ("released", "stated"):
        run = [scores[key] for key in ("arm", "seed", "metric")]
        sound = scores["value"].where(~empty)
        worst = sound.groupby(run).transform("max")
        worst = worst.mask(overlap, sound.groupby(run).transform("min"))
        replaced = undefined if policy == "released" else empty
        scores.loc[replaced, "value"] = worst[replaced]
    elif policy == "worst_possible":
        scores.loc[undefined, "value"] = np.where(overlap[undefined], 0.0, diagonal_px)
    elif policy != "exclude":
        raise ValueError(f"policy: {policy!r} is not known")
    return scores


def estimate(values: pd.DataFrame, *, draws: int, seed: int, level: float = 0.95) -> Estimate:
    """Estimate the mean of one metric of one arm.

    Args:
        values: columns `id`, `group`, `seed`, `value`; every seed has the same ids.
        draws: number of bootstrap draws.
        seed: seed of the draws.
        level: level of the interval.

    Raises:
        DataError: if the seeds differ in their samples, or a sample is there twice.
    """
    if values.duplicated(["seed", "id"]).any():
        raise DataError("a sample of a seed is there twice. Score again.")
    ids_of_seed = values.groupby("seed")["id"].agg(frozenset)
    if len(set(ids_of_seed)) != 1:
        sizes = ids_of_seed.map(len).to_dict()
        raise DataError(f"the seeds have different samples: {sizes}. Score again.")
    table = values.set_index(["id", "seed"])["value"].unstack()  # noqa: PD010 - keeps nan
    seed_means = table.mean(axis=0).to_numpy()
    groups = values.drop_duplicates("id").set_index("id")["group"].reindex(table.index)
    sums = table.groupby(groups.to_numpy()).sum()
    counts = table.notna().groupby(groups.to_numpy()).sum()
    low, high = _bootstrap_interval(sums.to_numpy(), counts.to_numpy(), draws, seed, level)
    return Estimate(
        mean=float(np.mean(seed_means)),
        std=float(np.std(seed_means, ddof=1)) if len(seed_means) > 1 else float("nan"),
        ci_low=low,
        ci_high=high,
        n_seeds=table.shape[1],
        n_samples=table.shape[0],
    )


def _bootstrap_interval(
    sums: np.ndarray, counts: np.ndarray, draws: int, seed: int, level: float
) -> tuple[float, float]:
    """Percentile interval of the mean over seeds; `sums` and `counts` are (groups, seeds)."""
    if (counts.sum(axis=0) == 0).any():
        return float("nan"), float("nan")
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
    tail = (1 - level) / 2
    defined = means[np.isfinite(means).all(axis=1)]
    low, high = np.quantile(defined.mean(axis=1), [tail, 1 - tail])
    return float(low), float(high)
