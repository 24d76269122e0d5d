"""One claim judged by the scores of a study: the improvement, its chance, and the verdict."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import pandas as pd

from weaklesion.report.power import seeds_needed
from weaklesion.scoring.catalogue import measure_of
from weaklesion.scoring.chance import LEVEL, NO_SPREAD, Parts, parts_of_seeds
from weaklesion.scoring.pairs import Unit
from weaklesion.scoring.statistics import (
    by_unit,
    mean_difference,
    pair,
    parts_of_difference,
    with_shared_seeds,
)
from weaklesion.study.claims import EQUAL_TIME_PERCENT, Claim
from weaklesion.study.protocols import FLIP

Verdict = Literal["reproduced", "not reproduced", "undecided", "not testable here"]
RULES = {
    "reproduced": "the arm is better, p is below 5 % after Holm's correction within the family, and"
    " the claimed size lies within or below the interval at the level that is corrected for the"
    " size of the family. For a claim that concedes a loss: less than twice this loss is lost, p is"
    " below 5 %, and the granted loss lies within or below that interval. For equal times: the"
    " whole of that interval lies within the margin that counts as equal. For parameters: the"
    " numbers are equal",
    "not reproduced": "the whole interval, at the level that is corrected for the size of the"
    " family, lies below the claimed size; if the claimed size is the true one, this should happen"
    " in at most 2.5 % of studies, and with two seeds happens in up to 7 %. For equal times: the"
    " whole interval lies outside the margin. For parameters: the numbers differ",
    "undecided": "anything else; always with one seed or one group, if all masks of both arms are"
    " empty, and if all groups and seeds have the same difference other than 0",
    "not testable here": "the dataset is not the papers', an arm was not trained, or the two arms"
    " were not to be trained equally long; for parameters: the encoder is not the paper's",
}


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """The measurement of a claim.

    Attributes:
        baseline: arm that the claim's arm is compared with, the best of several.
        metric: our metric, or `hours`.
        improvement: by how much the arm is better, percent of the baseline's mean.
        difference: the arm's mean minus the baseline's: percent points, px, mm or hours.
        parts: variance of the improvement, squared percent.
        p_value: two-sided, against no improvement, or twice the loss that is granted; nan where it
            is unknown, and for equal times.
        rivals: number of arms that the baseline is the best of.
        n_seeds: number of seeds.
        n_groups: number of groups; 0 for hours.
    """

    baseline: str
    metric: str
    improvement: float
    difference: float
    parts: Parts
    p_value: float
    rivals: int
    n_seeds: int
    n_groups: int


def measure_metric(
    scores: pd.DataFrame, claim: Claim, metric: str, claimed: float, unit: Unit = "sample"
) -> Measurement | None:
    """Measure by how much an arm is better than another under a metric.

    The improvement is a ratio of two means; its variance is that of the arm's values minus the
    ratio times the baseline's. Against the best of several rivals, the p-value is multiplied by
    their number (Bonferroni), because the best of them was chosen on the same samples.

    Args:
        scores: scores of one dataset and protocol, undefined values resolved; the seeds that both
            arms have are compared.
        claim: a claim that `weaklesion.study.claims.expand_claims` returns.
        metric: the metric.
        claimed: the claimed improvement, percent; negative for a loss that is granted.
        unit: what counts once, see `weaklesion.scoring.pairs.pair`.

    Returns:
        The measurement; None if an arm was not run, or the arms share no seed.
    """
    of_metric = scores[scores["metric"] == metric]
    larger = measure_of(metric).larger_is_better
    counted = by_unit(of_metric, unit)
    means = counted.groupby("arm")["value"].mean()
    rivals = means[[_is_rival(arm, claim) for arm in means.index]]
    if claim.arm not in means.index or rivals.empty:
        return None
    # a rival whose masks are all empty has no mean
    baseline = str((rivals if larger else -rivals).fillna(-math.inf).idxmax())
    ours, theirs = with_shared_seeds(
        *(of_metric[of_metric["arm"] == name] for name in (claim.arm, baseline))
    )
    if not set(ours["seed"]) & set(theirs["seed"]):
        return None
    both = pair(ours, theirs, unit)
    mean, theirs_mean = (float(table.mean(axis=0).mean()) for table in (both.ours, both.theirs))
    percent = 100 / theirs_mean if theirs_mean > 0 else math.nan
    sign = 1 if larger else -1
    null = no_effect(claimed)
    factor = 1 + sign * null / 100
    tested = parts_of_difference(both, factor).chance()
    p_value = tested.p_value(mean - factor * theirs_mean)
    parts = parts_of_difference(both, mean * percent / 100).scaled(percent)
    improvement = sign * (percent * mean - 100)
    if math.isnan(percent):  # the improvement over a mean of 0
        parts = replace(parts, unknown="the baseline's mean is 0 or undefined")
    elif not (pd.concat([ours, theirs])["status"] == "ok").any():
        # distances of empty masks are all equal, as if there were no chance
        parts, p_value = replace(parts, unknown="all masks of both arms are empty"), math.nan
    elif parts.chance().of_mean(improvement).unknown == NO_SPREAD:
        parts, p_value = replace(parts.scaled(math.nan), unknown=NO_SPREAD), math.nan
    return Measurement(
        baseline=baseline,
        metric=metric,
        improvement=improvement,
        difference=measure_of(metric).scale * mean_difference(both),
        parts=parts,
        # nan stays nan, because it comes first
        p_value=min(len(rivals) * p_value, 1.0),
        rivals=len(rivals),
        n_seeds=tested.num_seeds,
        n_groups=tested.num_groups,
    )


def _is_rival(arm: str, claim: Claim) -> bool:
    """Return whether an arm is a claim's baseline, or a variant that the baseline stands for."""
    return any(
        re.fullmatch(re.escape(name) + "[0-9.]+", arm) if FLIP in name else arm == name
        for name in claim.baselines
    )


def no_effect(claimed: float) -> float:
    """Return the improvement that a claim is tested against: zero, or twice the granted loss."""
    return claimed - abs(claimed)


def measure_hours(
    hours: Mapping[str, Mapping[int, float]], claim: Claim, claimed: float
) -> Measurement | None:
    """Measure how much training time an arm saves against another, seed by seed.

    Args:
        hours: hours of training, by arm and seed.
        claim: a claim that `weaklesion.study.claims.expand_claims` returns.
        claimed: the claimed saving, percent.

    Returns:
        The measurement; None if an arm was not trained, or the arms share no seed.
    """
    baseline = claim.baselines[0]
    ours, theirs = hours.get(claim.arm, {}), hours.get(baseline, {})
    shared = sorted(ours.keys() & theirs.keys())
    if not shared:
        return None
    saved = [100 * (1 - ours[seed] / theirs[seed]) for seed in shared]
    improvement = sum(saved) / len(saved)
    parts = parts_of_seeds(saved)
    tests_equality = claim.kind == "equal hours"
    p_value = parts.chance().p_value(improvement - no_effect(claimed))
    return Measurement(
        baseline=baseline,
        metric="hours",
        improvement=improvement,
        difference=sum(ours[seed] - theirs[seed] for seed in shared) / len(shared),
        parts=parts,
        p_value=math.nan if tests_equality else p_value,
        rivals=1,
        n_seeds=len(shared),
        n_groups=0,
    )


def judge(
    claim: Claim, measurement: Measurement, claimed: float, p_holm: float, num_tests: int
) -> dict[str, Any]:
    """Judge a measured claim by `RULES`.

    Args:
        claim: the claim.
        measurement: its measurement.
        claimed: the claimed improvement, percent.
        p_holm: the corrected p-value.
        num_tests: size of the family, for which the interval's level is corrected.

    Returns:
        `verdict`, `why`, `seeds_needed` (nan where no number is known), and the intervals in
        percent: at 95 %, and at the corrected level.
    """
    level = LEVEL / (max(num_tests, 1) * measurement.rivals)
    chance = measurement.parts.chance()
    ci_low, ci_high = chance.interval(measurement.improvement)
    low, high = chance.interval(measurement.improvement, level)
    verdict: Verdict = "undecided"
    why = chance.unknown
    needed = None
    if claim.kind == "equal hours":
        if low >= -EQUAL_TIME_PERCENT and high <= EQUAL_TIME_PERCENT:
            verdict = "reproduced"
        elif low > EQUAL_TIME_PERCENT or high < -EQUAL_TIME_PERCENT:
            verdict = "not reproduced"
    elif not chance.unknown:
        needed = seeds_needed(measurement.parts, claimed, level)
        better = measurement.improvement > no_effect(claimed) and p_holm < LEVEL
        if high < claimed:
            verdict = "not reproduced"
            why = "better, but by less than claimed" if better and claimed > 0 else ""
        elif better:
            verdict = "reproduced"
        else:
            why = _what_would_decide(claimed, needed, measurement)
    return {
        "verdict": verdict,
        "why": why,
        "seeds_needed": math.nan if needed is None else needed,
        "ci_low_percent": ci_low,
        "ci_high_percent": ci_high,
        "corrected_level": level,
        "corrected_low_percent": low,
        "corrected_high_percent": high,
        "detectable_percent": chance.detectable(level),
    }


def _what_would_decide(claimed: float, needed: int | None, measurement: Measurement) -> str:
    """Return why a claim is undecided, and how many seeds would decide it."""
    if claimed == 0:
        return "the claim has no size, so no number of seeds can be named"
    if needed is not None and needed > measurement.n_seeds:
        return f"{needed} seeds would find the claimed size in four of five studies"
    if needed is not None:
        return "a difference of the claimed size would probably have been found"
    return f"no number of seeds would decide it on {measurement.n_groups} groups"


def judge_parameters(
    run_infos: Sequence[Mapping[str, Any]], claimed: int | None, encoder: str
) -> dict[str, Any]:
    """Judge a printed number of parameters by the number that a training counted.

    Args:
        run_infos: content of the arm's `run.json` files.
        claimed: the printed number.
        encoder: the paper's encoder.

    Returns:
        `verdict` and `why`.
    """
    if not run_infos or claimed is None:
        return {"verdict": "not testable here", "why": "an arm is missing"}
    trained, counted = run_infos[0]["settings"]["encoder"], run_infos[0]["num_parameters"]
    if trained != encoder:
        why = f"the encoder is {trained}, with {counted:,} parameters in all"
        return {"verdict": "not testable here", "why": why}
    verdict: Verdict = "reproduced" if counted == claimed else "not reproduced"
    return {"verdict": verdict, "why": f"{counted:,} counted, {claimed:,} printed"}
