"""Values of arms as tables of samples and seeds, and two arms joined sample by sample."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from weaklesion.errors import DataError

Unit = Literal["sample", "group"]  # what counts once in a mean
UNTRAINED_SEED = 0  # seed of a run without training


@dataclass(frozen=True, kw_only=True)
class Paired:
    """Values of two arms, joined by sample and seed.

    Attributes:
        ours: (samples, seeds).
        theirs: (samples, seeds), with the same index and columns.
        groups: the group of each sample.
        trained: whether at least one of the two arms was trained.
    """

    ours: pd.DataFrame
    theirs: pd.DataFrame
    groups: pd.Series
    trained: bool

    def by_group(self) -> "Paired":
        """Return the means over each group's samples, with the groups as samples."""
        ours, theirs = (table.groupby(self.groups).mean() for table in (self.ours, self.theirs))
        groups = pd.Series(ours.index, index=ours.index)
        return Paired(ours=ours, theirs=theirs, groups=groups, trained=self.trained)


def is_trained(values: pd.DataFrame) -> bool:
    """Return whether rows with a column `seed` come from training runs."""
    return bool((values["seed"] != UNTRAINED_SEED).any())


def by_seed(values: pd.DataFrame) -> tuple[pd.DataFrame, pd.Series]:
    """Return a table (samples, seeds) of values, and the group of each sample.

    Raises:
        DataError: if the seeds differ in their samples, or a sample occurs twice.
    """
    rows, ids = pd.factorize(values["id"], sort=True)
    columns, seeds = pd.factorize(values["seed"], sort=True)
    count = np.zeros((len(ids), len(seeds)), int)
    np.add.at(count, (rows, columns), 1)
    if (count > 1).any():
        raise DataError("a sample of a seed occurs twice. Score again.")
    if (count == 0).any():
        sizes = dict(zip(seeds.tolist(), count.sum(axis=0).tolist(), strict=True))
        raise DataError(f"the seeds have different samples: {sizes}. Score again.")
    filled = np.empty(count.shape)
    filled[rows, columns] = values["value"]
    table = pd.DataFrame(filled, index=ids.rename("id"), columns=seeds.rename("seed"), copy=False)
    first = np.unique(rows, return_index=True)[1]
    groups = pd.Series(values["group"].to_numpy()[first], index=table.index, name="group")
    return table, groups


def pair(values: pd.DataFrame, baseline: pd.DataFrame, unit: Unit = "sample") -> Paired:
    """Join two arms by sample and seed; a single untrained run is paired with every seed.

    A value that one of them lacks is undefined in both, so that means are over the same samples.

    Args:
        values: columns `id`, `group`, `seed`, `value`.
        baseline: the same columns for the other arm.
        unit: what counts once: each `sample`, or each `group` with the mean over the samples whose
            values both arms have.

    Raises:
        DataError: if the arms differ in their samples or seeds, or a sample occurs twice.
    """
    (ours, groups), (theirs, _) = by_seed(values), by_seed(baseline)
    if set(ours.index) != set(theirs.index):
        raise DataError("the two arms have different samples. Score both again.")
    if not is_trained(values) or not is_trained(baseline):  # repeat the single run per seed
        wider = ours if ours.shape[1] > 1 else theirs
        ours, theirs = (
            table if table.shape[1] > 1 else pd.concat([table.iloc[:, 0]] * wider.shape[1], axis=1)
            for table in (ours, theirs)
        )
        ours.columns = theirs.columns = wider.columns
    if set(ours.columns) != set(theirs.columns):
        raise DataError(
            f"the two arms have different seeds: {list(ours.columns)} and {list(theirs.columns)}."
            " Train the missing ones."
        )
    theirs = theirs.loc[ours.index, ours.columns]
    defined = ours.notna() & theirs.notna()
    both = Paired(
        ours=ours.where(defined),
        theirs=theirs.where(defined),
        groups=groups,
        trained=is_trained(values) or is_trained(baseline),
    )
    return both.by_group() if unit == "group" else both
