"""The probability that a study finds a difference, and the number of seeds that this needs."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from scipy import special

from weaklesion.scoring.chance import LEVEL, POWER, Chance, Parts, parts_of_variance
from weaklesion.study.claims import PRINTED_ARMS, expand_claims, printed_means
from weaklesion.study.paper_claims import CLAIMS
from weaklesion.study.published import printed_cells

MOST_SEEDS = 500
# Probably: the printed deviations follow from three runs with n (docs/reference/audit.md).
PRINTED_RUNS = 3


def power(chance: Chance, size: float, level: float = LEVEL) -> float:
    """Return the probability that a two-sided test finds a true difference.

    Args:
        chance: chance of the difference.
        size: the true difference, in the units of the chance.
        level: level of the test.
    """
    if chance.unknown:
        return math.nan
    if chance.std_error == 0:
        return 1.0
    shift = abs(size) / chance.std_error
    limit = float(special.stdtrit(chance.freedom, 1 - level / 2))
    # the noncentral t where `Chance.detectable` uses it, and else what that uses
    if 1 <= chance.freedom <= 1e6:
        found = 1 - float(special.nctdtr(chance.freedom, shift, limit))
        if not math.isnan(found):  # as it is for some large shifts
            return found
    return float(special.stdtr(chance.freedom, shift - limit))


def seeds_needed(parts: Parts, size: float, level: float = LEVEL) -> int | None:
    """Return the smallest number of seeds with a power of 0.8; None where no number suffices.

    Args:
        parts: variance of the difference, measured or printed.
        size: the true difference.
        level: level of the test.
    """
    if parts.unknown or size == 0:
        return None
    low, high = 2, MOST_SEEDS
    if not power(parts.with_seeds(high).chance(), size, level) >= POWER:
        return None
    while low < high:
        middle = (low + high) // 2
        if power(parts.with_seeds(middle).chance(), size, level) >= POWER:
            high = middle
        else:
            low = middle + 1
    return low


def printed_power(published: Mapping[str, Any], seeds: int) -> list[dict[str, Any]]:
    """Return the power that the paper's own deviations give for each primary claim.

    The printed deviations are between runs on one test split. They lack the variance between
    lesions, so a study may need more seeds. Arms are taken as independent. The level is corrected
    for the number of primary claims under `released`.

    Args:
        published: the file of published numbers.
        seeds: number of seeds for which the power is given.

    Returns:
        One row per claim and dataset: `claim`, `dataset`, `size` and `deviation` of the difference
        between seeds (percent points), `level`, `power`, `seeds_needed` (None above 500).
    """
    primary = [claim for claim in expand_claims(CLAIMS, True) if claim.primary]
    tests = [(claim, dataset) for claim in primary for dataset in claim.datasets]
    cells = printed_cells(published, "table1", PRINTED_ARMS)
    level = LEVEL / len(tests)
    rows = []
    for claim, dataset in tests:
        means = printed_means(claim, published, dataset)
        assert means is not None
        size = means[0] - means[1]
        arms = (claim.arm, claim.baselines[0])
        population = sum(cells[(dataset, arm, claim.column)][1] ** 2 for arm in arms)
        variance = population * PRINTED_RUNS / (PRINTED_RUNS - 1)
        parts = parts_of_variance(variance, PRINTED_RUNS)
        rows.append(
            {
                "claim": claim.name,
                "dataset": dataset,
                "size": size,
                "deviation": math.sqrt(variance),
                "level": level,
                # with one seed there is no test
                "power": power(parts.with_seeds(seeds).chance(), size, level) if seeds > 1 else 0.0,
                "seeds_needed": seeds_needed(parts, size, level),
            }
        )
    return rows


def measured_needs(folder: str | Path) -> list[dict[str, Any]]:
    """Return the seeds that each primary claim needs by the finished studies under `results/`.

    Args:
        folder: the folder that contains `results/`.

    Returns:
        One row per study, claim, dataset and protocol: `study`, `claim`, `dataset`, `protocol`,
        `verdict`, `n_seeds`, and `seeds_needed` (nan where no number is known).
    """
    rows = []
    for path in sorted(Path(folder).glob("results/*/tables/verdicts.csv")):
        table = pd.read_csv(path)
        tested = table[(table["family"] == "primary") & table["n_seeds"].notna()]
        columns = ["claim", "dataset", "protocol", "verdict", "n_seeds", "seeds_needed"]
        rows += tested[columns].assign(study=path.parts[-3]).to_dict("records")
    return rows  # type: ignore[return-value]
