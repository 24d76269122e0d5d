"""What becomes of the paper's claims: each with a rule, the numbers behind it, and a verdict."""

import json
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from weaklesion.files import written_whole
from weaklesion.measures import measure_of
from weaklesion.pages import render
from weaklesion.published import read_published
from weaklesion.statistics import compare, holm, resolve_undefined
from weaklesion.tables import LEVEL, read_scores

logger = logging.getLogger(__name__)

Verdict = Literal["reproduced", "not reproduced", "undecided", "not testable here"]
CT = ("NIH_DeepLesion", "LiTS")
ALL = (*CT, "HAM10K")


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One claim of the paper.

    Attributes:
        name: a short name.
        where: section of the paper.
        text: the claim, in our words.
        datasets: the paper's datasets that it is about.
        arm: arm that is said to be better, or cheaper.
        baseline: arm that it is compared with; one of several, the first that was run.
        column: column of Table 1 in which it is better, or `hours`.
        size: reads the smallest claimed change, in percent, from the published numbers.
    """

    name: str
    where: str
    text: str
    datasets: Sequence[str]
    arm: str
    baseline: Sequence[str]
    column: str
    size: Callable[[Mapping[str, Any]], float]


def _smallest(key: str) -> Callable[[Mapping[str, Any]], float]:
    """Read the lower end of a range such as "1-3" of section 5."""
    return lambda published: float(str(published["headline_claims"]["section5"][key]).split("-")[0])


def _abstract(key: str) -> Callable[[Mapping[str, Any]], float]:
    return lambda published: float(published["headline_claims"]["abstract"][key])


def _any_size(published: Mapping[str, Any]) -> float:
    return 0.0


COSEG = ("acoseg", "acoseg_released")
CLAIMS = (
    Claim(
        name="Dice against A1",
        where="section 5",
        text="The second task improves Dice over A1.",
        datasets=ALL,
        arm="a1l",
        baseline=("a1",),
        column="Dice",
        size=_smallest("dice_vs_A1_pct"),
    ),
    Claim(
        name="Dice against ACoseg",
        where="section 5",
        text="A1+L improves Dice over co-segmentation on CT.",
        datasets=CT,
        arm="a1l",
        baseline=COSEG,
        column="Dice",
        size=_smallest("dice_vs_ACoseg_CT_pct"),
    ),
    Claim(
        name="Dice, headline",
        where="abstract",
        text="Joint training improves Dice by the headline's size (reached against ACoseg on"
        " DeepLesion only, P1).",
        datasets=("NIH_DeepLesion",),
        arm="a1l",
        baseline=COSEG,
        column="Dice",
        size=_abstract("dice_improvement_pct"),
    ),
    Claim(
        name="AVD against A1",
        where="section 5",
        text="The second task improves the surface distance over A1.",
        datasets=ALL,
        arm="a1l",
        baseline=("a1",),
        column="AVD",
        size=_smallest("avd_vs_A1_pct"),
    ),
    Claim(
        name="Centre against A1",
        where="section 5",
        text="The second task improves the centre error over A1 (its size is an upper bound).",
        datasets=ALL,
        arm="a1l",
        baseline=("a1",),
        column="CenterError",
        size=_any_size,
    ),
    Claim(
        name="Perimeter against A1",
        where="section 5",
        text="The second task improves the perimeter error over A1 (its size is an upper bound).",
        datasets=ALL,
        arm="a1l",
        baseline=("a1",),
        column="PerimeterError",
        size=_any_size,
    ),
    Claim(
        name="ACoseg against A1",
        where="section 5",
        text="Co-segmentation performs better than A1 (which the paper's Table 1 contradicts on"
        " DeepLesion, P6).",
        datasets=ALL,
        arm="acoseg",
        baseline=("a1",),
        column="Dice",
        size=_any_size,
    ),
    Claim(
        name="Training time",
        where="section 5",
        text="A1+L takes less training time than co-segmentation.",
        datasets=ALL,
        arm="a1l",
        baseline=("acoseg_released", "acoseg"),
        column="hours",
        size=_smallest("time_saved_pct"),
    ),
)
RULES = {
    "reproduced": "better at 5 % after Holm's correction over all claims of the protocol, and the"
    " interval reaches the smallest size that is claimed; for time: every seed saves at least that",
    "not reproduced": "worse at 5 % after correction, or the interval ends below the claimed size"
    " and the run could have detected it; for time: no seed saves as much",
    "undecided": "anything else; always with fewer than two seeds",
    "not testable here": "the dataset is not the paper's, or an arm was not trained",
}


def tabulate_verdicts(
    *,
    runs: Sequence[Mapping[str, Any]],
    published_yaml: str | Path,
    published_datasets: Mapping[str, str],
    protocols: Mapping[str, Mapping[str, Any]],
    bootstrap_draws: int,
    permutation_draws: int,
    seed: int,
    table_csv: str | Path,
    table_html: str | Path,
) -> None:
    """Judge every claim on every dataset under every protocol.

    Args:
        runs: dataset, protocol, arm, seed, network and the paths `scores` and, of networks, `run`.
        published_yaml: published numbers, for the sizes of the claims.
        published_datasets: our dataset's name to the paper's.
        protocols: protocol to `undefined` and `published_as`.
        bootstrap_draws: draws of the intervals.
        permutation_draws: draws of the tests.
        seed: seed of both.
        table_csv: written: a row a claim, dataset and protocol; sizes in percent of the baseline.
        table_html: written: the same for reading, with the rules.
    """
    scores = read_scores([run["scores"] for run in runs], runs)
    published = read_published(published_yaml)
    hours = {
        tuple(run[key] for key in ("dataset", "protocol", "arm", "seed")): json.loads(
            Path(run["run"]).read_text()
        )["wall_s"]
        / 3600
        for run in runs
        if run.get("run")
    }
    options = {
        "bootstrap_draws": bootstrap_draws,
        "permutation_draws": permutation_draws,
        "seed": seed,
    }
    rows = []
    for (dataset, protocol), block in scores.groupby(["dataset", "protocol"], sort=False):
        name = published_datasets.get(str(dataset), "")
        resolved = resolve_undefined(block, protocols[str(protocol)]["undefined"])
        for claim in CLAIMS:
            if name and name not in claim.datasets:
                continue
            size = claim.size(published)
            row = {"claim": claim.name, "where": claim.where, "text": claim.text,
                   "dataset": dataset, "protocol": protocol, "arm": claim.arm,
                   "claimed_percent": size}  # fmt: skip
            there = set(block["arm"])
            baseline = next((arm for arm in claim.baseline if arm in there), None)
            if not name or claim.arm not in there or baseline is None:
                why = "not the paper's dataset" if not name else "an arm is missing"
                rows.append(row | {"verdict": "not testable here", "why": why})
            elif claim.column == "hours":
                place = str(dataset), str(protocol)
                found = judge_hours(hours, place, claim.arm, baseline, size)
                rows.append(row | {"baseline": baseline} | found)
            else:
                metric = protocols[str(protocol)]["published_as"][claim.column]
                found = improvement(resolved, claim.arm, baseline, metric, options)
                rows.append(row | {"baseline": baseline} | found)
    table = pd.DataFrame(rows).reindex(columns=COLUMNS)
    for _, of_protocol in table.groupby("protocol"):
        table.loc[of_protocol.index, "p_holm"] = holm(of_protocol["p_holm"].to_list())
    judged = table["verdict"].isna()
    table.loc[judged, "verdict"] = [judge(row) for row in table[judged].to_dict("records")]
    with written_whole(table_csv) as beside:
        table.to_csv(beside, index=False, float_format="%.6g")
    with written_whole(table_html) as beside:
        page = render(
            "verdicts.html", rows=table.to_dict("records"), rules=RULES, counts=counts(table)
        )
        beside.write_text(page, encoding="utf-8")
    logger.info("verdicts: %s", table["verdict"].value_counts().to_dict())


COLUMNS = [
    "claim",
    "where",
    "text",
    "dataset",
    "protocol",
    "verdict",
    "why",
    "arm",
    "baseline",
    "metric",
    "claimed_percent",
    "improvement_percent",
    "ci_low_percent",
    "ci_high_percent",
    "detectable_percent",
    "p_holm",
    "n_seeds",
    "n_groups",
]


def improvement(
    scores: pd.DataFrame, arm: str, baseline: str, metric: str, options: Mapping[str, int]
) -> dict[str, Any]:
    """Measure by how much an arm is better than another, in percent of the other's mean.

    Args:
        scores: of one dataset and protocol, without undefined values.
        arm: arm that is said to be better.
        baseline: arm that it is compared with.
        metric: under which metric.
        options: draws and seed of `weaklesion.statistics.compare`.
    """
    of_metric = scores[scores["metric"] == metric]
    ours, theirs = (of_metric[of_metric["arm"] == name] for name in (arm, baseline))
    found = compare(ours, theirs, **options)
    mean = theirs.groupby("seed")["value"].mean().mean()
    sign = 100 / mean * (1 if measure_of(metric).larger_is_better else -1)
    low, high = sorted((sign * found.ci_low, sign * found.ci_high))
    return {
        "metric": metric,
        "improvement_percent": sign * found.difference,
        "ci_low_percent": low,
        "ci_high_percent": high,
        "detectable_percent": abs(sign) * found.detectable,
        "p_holm": found.p_value,
        "n_seeds": found.n_seeds,
        "n_groups": found.n_groups,
    }


def judge(row: Mapping[Any, Any]) -> Verdict:
    """Judge a claimed improvement, see `RULES`.

    Args:
        row: `p_holm`, `improvement_percent`, `ci_high_percent`, `claimed_percent`,
            `detectable_percent`; all sizes positive where the claim points.
    """
    if math.isnan(row["p_holm"]):
        return "undecided"
    reaches = row["ci_high_percent"] >= row["claimed_percent"]
    if row["p_holm"] < LEVEL and (row["improvement_percent"] < 0 or not reaches):
        return "not reproduced"
    if row["p_holm"] < LEVEL:
        return "reproduced"
    could_tell = row["detectable_percent"] <= row["claimed_percent"]
    return "not reproduced" if not reaches and could_tell else "undecided"


def judge_hours(
    hours: Mapping[tuple[Any, ...], float],
    place: tuple[str, str],
    arm: str,
    baseline: str,
    claimed_percent: float,
) -> dict[str, Any]:
    """Judge a claimed saving of training time, seed by seed.

    Args:
        hours: by dataset, protocol, arm and seed.
        place: dataset and protocol.
        arm: arm that is said to be faster.
        baseline: arm that it is compared with.
        claimed_percent: smallest saving that is claimed, percent of the baseline's hours.
    """
    seeds = sorted(key[3] for key in hours if key[:3] == (*place, arm))
    saved = [
        100 * (1 - hours[(*place, arm, seed)] / hours[(*place, baseline, seed)]) for seed in seeds
    ]
    verdict: Verdict = "undecided"
    if len(saved) >= 2 and min(saved) >= claimed_percent:
        verdict = "reproduced"
    elif len(saved) >= 2 and max(saved) < claimed_percent:
        verdict = "not reproduced"
    return {
        "verdict": verdict,
        "metric": "hours",
        "improvement_percent": sum(saved) / len(saved),
        "ci_low_percent": min(saved),
        "ci_high_percent": max(saved),
        "n_seeds": len(saved),
    }


def counts(table: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Return for each protocol how many claims got each verdict."""
    return {
        str(protocol): {name: int((rows["verdict"] == name).sum()) for name in RULES}
        for protocol, rows in table.groupby("protocol", sort=False)
    }
