"""Simulate how often intervals cover the truth, and how often tests are wrong.

    python tools/simulate_chance.py    # minutes; the table of docs/explanation/statistics.md
    python tools/simulate_chance.py --trials 500

Values are drawn from the model of `weaklesion.scoring.chance`, whose truth is 0: groups of one to
four samples, seeds, and a remainder per pair of group and seed. The variance that the seeds bring
to the mean is 0, 1 or 4 times that of the groups; in the last column groups do not vary, and it is
4 times that of the remainder. `skewed` draws the groups' effects from an exponential distribution,
as differences of Dice are skewed. `uneven` has a group with a fifth of all samples among groups of
lognormal sizes, as patients differ in their number of slices.
"""

import argparse
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from weaklesion.scoring.chance import parts_of_sums

RATIOS = (0.0, 1.0, 4.0, math.inf)
SEEDS = (2, 3, 5, 10)
GROUPS = 100
Kind = Literal["even", "skewed", "uneven"]
STUDIES: tuple[tuple[int, Kind], ...] = (
    (20, "even"),
    (25, "uneven"),
    (100, "even"),
    (100, "skewed"),
    (1000, "even"),
)


@dataclass(frozen=True)
class Rates:
    """Part of the simulated studies in which something happened."""

    covered: float
    rejected: float


def draw_study(
    rng: np.random.Generator, *, groups: int, seeds: int, ratio: float, kind: Kind
) -> tuple[np.ndarray, np.ndarray]:
    """Draw one study without a true difference; return sums and counts, (groups, seeds) each."""
    sizes = rng.integers(1, 5, size=(groups, 1))
    if kind == "uneven":
        sizes = np.ceil(rng.lognormal(3, 1, size=(groups, 1)))
        sizes[0] = np.ceil(sizes[1:].sum() / 4)
    of_groups = rng.normal(size=(groups, 1))
    if kind == "skewed":
        of_groups = rng.exponential(size=(groups, 1)) - 1
    # the variance of the mean over groups, with sizes as weights, is `weight` times that of one
    weight = float((sizes**2).sum() / sizes.sum() ** 2)
    variance = ratio * weight * seeds
    if math.isinf(ratio):
        of_groups = np.zeros_like(of_groups)
        variance = 4 * (0.25 * weight + 0.5 / float(sizes.sum()))  # of the remainder, below
    of_seeds = rng.normal(size=(1, seeds)) * np.sqrt(variance)
    of_pairs = 0.5 * rng.normal(size=(groups, seeds))
    of_samples = rng.normal(size=(groups, seeds)) * np.sqrt(0.5 * sizes)
    sums = sizes * (of_groups + of_seeds + of_pairs) + of_samples
    return sums, np.broadcast_to(sizes, sums.shape)


def simulate(
    *, seeds: int, ratio: float, trials: int, groups: int = GROUPS, kind: Kind = "even", seed: int
) -> Rates:
    """Simulate many studies; return how often 95 % intervals cover 0 and tests reject at 5 %."""
    rng = np.random.default_rng(seed)
    covered = rejected = 0
    for _ in range(trials):
        sums, counts = draw_study(rng, groups=groups, seeds=seeds, ratio=ratio, kind=kind)
        mean = float((sums.sum(axis=0) / counts.sum(axis=0)).mean())
        chance = parts_of_sums(sums, counts, trained=True).chance()
        low, high = chance.interval(mean)
        covered += low <= 0 <= high
        rejected += chance.p_value(mean) < 0.05
    return Rates(covered / trials, rejected / trials)


def main() -> None:
    """Print coverage of the intervals and size of the tests as a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=10_000)
    trials = parser.parse_args().trials
    heads = [f"seeds' variance {ratio:g} times the groups'" for ratio in RATIOS[:-1]]
    heads.append("groups do not vary")
    print("| Groups | Seeds | " + " | ".join(heads) + " |")
    print("|" + "---|" * (2 + len(heads)))
    for groups, kind in STUDIES:
        for seeds in SEEDS:
            cells = []
            for ratio in RATIOS:
                rates = simulate(
                    seeds=seeds, ratio=ratio, trials=trials, groups=groups, kind=kind, seed=1
                )
                cells.append(f"{100 * rates.covered:.1f}, {100 * rates.rejected:.1f}")
            name = f"{groups}" if kind == "even" else f"{groups}, {kind}"
            print(f"| {name} | {seeds} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
