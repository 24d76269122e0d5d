"""Scores by sex, age, site and size of the lesion, and the test images with the worst scores."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from weaklesion.data.attributes import ATTRIBUTES
from weaklesion.scoring.catalogue import measure_of
from weaklesion.scoring.diameters import marked_diameters
from weaklesion.scoring.pairs import Unit
from weaklesion.scoring.statistics import (
    UndefinedPolicy,
    by_unit,
    estimate,
    resolve_undefined,
)

METRIC = "dice"
AGES = (40, 60, 80)  # first year of the second group and of those after it
AGE_GROUPS = ("under 40", "40 to 59", "60 to 79", "80 and more")
NOT_KNOWN = "not known"
NO_MARK = "no mark"  # an image without the organ
NUM_WORST = 5  # images per arm
SUBGROUP_COLUMNS = [
    "dataset", "protocol", "arm", "attribute", "value", "n_samples", "n_groups", "n_seeds",
    "mean", "ci_low", "ci_high", "unknown",
]  # fmt: skip
FAILURE_COLUMNS = [
    "dataset", "protocol", "arm", "rank", "id", "group", "dice", "n_empty", "n_seeds",
    *ATTRIBUTES, "size", "unit",
]  # fmt: skip


def describe_people(samples: pd.DataFrame, attributes: pd.DataFrame) -> pd.DataFrame:
    """Return the samples with what is known of people and lesions.

    Args:
        samples: table of `weaklesion.data.samples.read_samples`.
        attributes: table of `weaklesion.data.attributes.read_attributes`, of these and others.

    Returns:
        One row per sample, indexed by `id`: `group`, `split`, `sex`, `age`, `site`; `size`, the
        long diameter of its mark, and `unit`: `mm` if the size of every sample's pixels is known,
        else `px` of the patch.
    """
    spacing = samples[["mm_per_px_x", "mm_per_px_y"]].astype(float)
    in_mm = bool(np.isfinite(spacing).all(axis=None))
    mm_x, mm_y = (spacing[name] if in_mm else 1.0 for name in spacing)
    lengths = marked_diameters(samples, mm_x, mm_y)[:, 0]
    known = attributes.reindex(samples.index)
    return samples[["group", "split"]].assign(
        sex=known["sex"].astype(object).fillna("").astype(str),
        age=known["age"].astype(float),
        site=known["site"].astype(object).fillna("").astype(str),
        size=lengths,
        unit="mm" if in_mm else "px",
    )


def subgroups_of(people: pd.DataFrame) -> Iterator[tuple[str, pd.Series]]:
    """Yield each attribute that is known of some sample, and the subgroup of every sample.

    Args:
        people: rows of `describe_people`.

    Yields:
        `sex`, `age`, `site` or `size`, and a text per sample in the order in which subgroups are
        shown (an ordered category); sizes are divided into thirds, and samples without a mark have
        a subgroup of their own.
    """
    for name in ("sex", "site"):
        words = people[name].replace("", NOT_KNOWN)
        values = sorted(set(words) - {NOT_KNOWN})
        if values:
            yield name, _ordered(words, [*values, NOT_KNOWN])
    if people["age"].notna().any():
        index = np.searchsorted(AGES, people["age"].fillna(0), side="right")
        words = pd.Series(np.array(AGE_GROUPS)[index], index=people.index)
        words[people["age"].isna()] = NOT_KNOWN
        yield "age", _ordered(words, [*AGE_GROUPS, NOT_KNOWN])
    cuts = [float(f"{cut:.3g}") for cut in people["size"].quantile([1 / 3, 2 / 3])]
    if len(people) > 2 and cuts[0] < cuts[1]:
        unit = people["unit"].iloc[0]
        low, high = (f"{cut:g}" for cut in cuts)
        names = [f"up to {low} {unit}", f"{low} to {high} {unit}", f"above {high} {unit}"]
        index = np.searchsorted(cuts, people["size"].fillna(0), side="left")
        words = pd.Series(np.array(names)[index], index=people.index)
        words[people["size"].isna()] = NO_MARK
        yield "size", _ordered(words, [*names, NO_MARK])


def _ordered(words: pd.Series, values: list[str]) -> pd.Series:
    present = [value for value in values if (words == value).any()]
    return words.astype(pd.CategoricalDtype(present, ordered=True))


def score_subgroups(
    scores: pd.DataFrame, people: pd.DataFrame, policy: UndefinedPolicy, unit: Unit = "sample"
) -> pd.DataFrame:
    """Return the mean Dice of each arm in each subgroup of one block's test samples.

    Args:
        scores: rows of `weaklesion.scoring.score` of one dataset and protocol.
        people: rows of `describe_people`; those of the test samples count.
        policy: what an undefined Dice counts as, decided over all samples of a run.
        unit: what counts once in a mean: each `sample`, or each `group` (patient, volume or lesion)
            with the mean over its samples of the subgroup.

    Returns:
        `arm`, `attribute`, `value`, `n_samples`, `n_groups`, `n_seeds`; `mean`, `ci_low` and
        `ci_high`, percent; and `unknown`, why there is no interval.
    """
    dice = resolve_undefined(scores[scores["metric"] == METRIC], policy)
    tested = people.loc[people.index.isin(dice["id"])]
    rows: list[dict[str, Any]] = []
    for attribute, groups in subgroups_of(tested):
        for value in groups.cat.categories:
            ids = groups.index[groups == value]
            of_group = dice[dice["id"].isin(ids)]
            for arm, values in of_group.groupby("arm", sort=False):
                place = {"arm": arm, "attribute": attribute, "value": value}
                rows.append(place | _estimated(values, unit))
    columns = [name for name in SUBGROUP_COLUMNS if name not in ("dataset", "protocol")]
    return pd.DataFrame(rows, columns=columns)


def _estimated(values: pd.DataFrame, unit: Unit) -> dict[str, Any]:
    measure = measure_of(METRIC)
    found = asdict(estimate(by_unit(values, unit), measure.within)) | {
        "n_samples": values["id"].nunique()
    }
    cells = {key: measure.scale * found[key] for key in ("mean", "ci_low", "ci_high")}
    return cells | {key: found[key] for key in ("unknown", "n_seeds", "n_samples", "n_groups")}


def worst_samples(
    scores: pd.DataFrame, people: pd.DataFrame, policy: UndefinedPolicy, number: int = NUM_WORST
) -> pd.DataFrame:
    """Return the test samples on which each arm's mean Dice over its seeds is lowest.

    Args:
        scores: rows of `weaklesion.scoring.score` of one dataset and protocol.
        people: rows of `describe_people`.
        policy: what an undefined Dice counts as; one that stays undefined comes first.
        number: samples per arm.

    Returns:
        `arm`, `rank` (1 is the worst), `id`, `group`, `dice` (percent), `n_empty` (seeds whose mask
        of it was empty), `n_seeds`, and what `describe_people` tells.
    """
    dice = resolve_undefined(scores[scores["metric"] == METRIC], policy)
    empty = dice["status"].isin(("empty_prediction", "both_empty"))
    columns = [name for name in FAILURE_COLUMNS if name not in ("dataset", "protocol")]
    worst = []
    for arm, of_arm in dice.assign(empty=empty).groupby("arm", sort=False):
        means = of_arm.groupby("id", sort=False).agg(
            dice=("value", "mean"), n_empty=("empty", "sum"), n_seeds=("seed", "nunique")
        )
        first = means.sort_values("dice", kind="stable", na_position="first").head(number)
        joined = first.join(people, how="left").reset_index()
        ranks = range(1, len(joined) + 1)
        worst.append(joined.assign(arm=arm, rank=ranks, dice=100 * joined["dice"]))
    table = pd.concat(worst, ignore_index=True) if worst else pd.DataFrame(columns=columns)
    return table[columns]
