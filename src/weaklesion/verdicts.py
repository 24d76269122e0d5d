"""What becomes of the paper's claims: each with a rule, the numbers behind it, and a verdict."""

import json
import logging
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from weaklesion.claims import CLAIMS, Claim
from weaklesion.files import written_whole
from weaklesion.measures import measure_of
from weaklesion.pages import render
from weaklesion.published import printed_parameters, read_published
from weaklesion.statistics import compare, holm, resolve_undefined, with_shared_seeds
from weaklesion.switches import FLIP
from weaklesion.tables import LEVEL, RUN_KEYS, read_scores

logger = logging.getLogger(__name__)

Verdict = Literal["reproduced", "not reproduced", "undecided", "not testable here"]
RULES = {
    "reproduced": "better at 5 % after Holm's correction over all claims of the protocol, and the"
    " interval reaches the smallest size that is claimed; for a loss that is granted: less is lost,"
    " at 5 % after correction; for time: every seed saves at least that; for parameters: the"
    " same number",
    "not reproduced": "worse at 5 % after correction, or the interval ends below the claimed size"
    " and the run could have detected it; for a loss that is granted: more is lost, at 5 %;"
    " for time: no seed saves as much; for parameters: another number",
    "undecided": "anything else; always with fewer than two seeds",
    "not testable here": "the dataset is not the paper's, or an arm was not trained; for"
    " parameters: the encoder is not the paper's. A verdict of another network than the paper's"
    " says so",
}
OF_THE_PAPER = {"encoder": "resnet101", "weights": "imagenet", "input_px": 120}
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


def tabulate_verdicts(
    *,
    runs: Sequence[Mapping[str, Any]],
    published_yaml: str | Path,
    published_datasets: Mapping[str, str],
    protocols: Mapping[str, Mapping[str, Any]],
    table_csv: str | Path,
    table_html: str | Path,
) -> None:
    """Judge every claim on every dataset under every protocol.

    Args:
        runs: dataset, protocol, arm, seed, network and the paths `scores` and, of networks, `run`.
        published_yaml: published numbers, for the sizes of the claims.
        published_datasets: our dataset's name to the paper's.
        protocols: protocol to `undefined` and `published_as`.
        table_csv: written: a row a claim, dataset and protocol; sizes in percent of the baseline.
        table_html: written: the same for reading, with the rules.
    """
    metrics = {
        name
        for choice in protocols.values()
        for name in (choice["published_as"][column] for column in _judged_columns())
    }
    scores = read_scores([run["scores"] for run in runs], runs, metrics)
    published = read_published(published_yaml)
    told = {
        tuple(run[key] for key in RUN_KEYS): json.loads(Path(run["run"]).read_text())
        for run in runs
        if run.get("run")
    }
    rows = []
    for (dataset, protocol), block in scores.groupby(["dataset", "protocol"], sort=False):
        place = str(dataset), str(protocol)
        name = published_datasets.get(str(dataset), "")
        choice = protocols[str(protocol)]
        resolved = resolve_undefined(block, choice["undefined"])
        for claim in CLAIMS:
            if name and name not in claim.datasets:
                continue
            found: dict[str, Any]
            if not name:
                found = {"verdict": "not testable here", "why": "not the paper's dataset"}
            else:
                claimed = claim.size(published, name)
                found = {"claimed_percent": claimed}
                if claim.column == "hours":
                    found |= judge_hours(told, place, claim, claimed)
                elif claim.column == "parameters":
                    number = printed_parameters(published, claim.arm, name)
                    found |= judge_parameters(told, place, claim.arm, number)
                else:
                    metric = choice["published_as"][claim.column]
                    found |= improvement(resolved, claim, metric, claimed)
                found = {"why": other_network(told, place, claim.arm)} | found
            row = {key: value for key, value in asdict(claim).items() if key in COLUMNS}
            row |= {"claim": claim.name, "dataset": dataset, "protocol": protocol, "baseline": ""}
            rows.append(row | found)
    table = pd.DataFrame(rows).reindex(columns=COLUMNS)
    for _, of_protocol in table.groupby("protocol"):
        table.loc[of_protocol.index, "p_holm"] = holm(of_protocol["p_holm"].to_list())
    open_ones = table["verdict"].isna()
    table.loc[open_ones, "verdict"] = [judge(row) for row in table[open_ones].to_dict("records")]
    with written_whole(table_csv) as beside:
        table.to_csv(beside, index=False, float_format="%.6g")
    with written_whole(table_html) as beside:
        page = render(
            "verdicts.html", rows=table.to_dict("records"), rules=RULES, counts=counts(table)
        )
        beside.write_text(page, encoding="utf-8")
    logger.info("verdicts: %s", table["verdict"].value_counts().to_dict())


def _judged_columns() -> set[str]:
    return {claim.column for claim in CLAIMS} - {"hours", "parameters"}


MISSING = {"verdict": "not testable here", "why": "an arm is missing"}


def other_network(
    told: Mapping[tuple[Any, ...], Mapping[str, Any]], place: tuple[str, str], arm: str
) -> str | None:
    """Say by what an arm's network differs from the paper's, if it does.

    Args:
        told: content of `run.json` by dataset, protocol, arm and seed.
        place: dataset and protocol.
        arm: arm whose network is meant.
    """
    runs = [run for key, run in told.items() if key[:3] == (*place, arm)]
    settings = runs[0]["settings"] if runs else {}
    others = [
        f"{key} {settings[key]}"
        for key, own in OF_THE_PAPER.items()
        if key in settings and settings[key] != own
    ]
    return f"not of the paper's network: {', '.join(others)}" if others else None


def improvement(
    scores: pd.DataFrame, claim: Claim, metric: str, claimed_percent: float
) -> dict[str, Any]:
    """Measure by how much an arm is better than another, in percent of the other's mean.

    The test is whether they differ; where a loss is granted, whether they differ by more or less
    than that. Against the best of several variants, the p-value is multiplied by their number
    (Bonferroni): which of them is best was seen on the same samples.

    Args:
        scores: of one dataset and protocol, without undefined values.
        claim: which arm against which, over the seeds that both have.
        metric: under which metric.
        claimed_percent: what is claimed; negative for a loss that is granted.
    """
    of_metric = scores[scores["metric"] == metric]
    means = of_metric.groupby("arm")["value"].mean()
    baseline, number = None, 1
    for wanted in claim.baseline:
        if FLIP in wanted:
            variants = means[[bool(re.match(rf"{wanted}[0-9.]+$", arm)) for arm in means.index]]
            number = len(variants)
            baseline = variants.idxmax() if number else None
        elif wanted in means.index:
            baseline = wanted
        if baseline is not None:
            break
    if claim.arm not in means.index or baseline is None:
        return MISSING
    ours, theirs = with_shared_seeds(
        *(of_metric[of_metric["arm"] == name] for name in (claim.arm, baseline))
    )
    found = compare(ours, theirs)
    mean = theirs.groupby("seed")["value"].mean().mean()
    sign = 100 / mean * (1 if measure_of(metric).larger_is_better else -1)
    tested = found
    if claimed_percent < 0:
        shifted = ours.assign(value=ours["value"] - claimed_percent / sign)
        tested = compare(shifted, theirs)
    low, high = sorted((sign * found.ci_low, sign * found.ci_high))
    return {
        "baseline": baseline,
        "metric": metric,
        "improvement_percent": sign * found.difference,
        "ci_low_percent": low,
        "ci_high_percent": high,
        "detectable_percent": abs(sign) * found.detectable,
        "p_holm": min(1.0, number * tested.p_value),
        "n_seeds": found.n_seeds,
        "n_groups": found.n_groups,
    }


def judge(row: Mapping[Any, Any]) -> Verdict:
    """Judge a claimed improvement, or a loss that is granted, see `RULES`.

    Args:
        row: `p_holm`, `improvement_percent`, `ci_high_percent`, `claimed_percent`,
            `detectable_percent`; sizes are positive where the claim points.
    """
    if math.isnan(row["p_holm"]):
        return "undecided"
    claimed = row["claimed_percent"]
    reaches = row["ci_high_percent"] >= claimed
    decided = row["p_holm"] < LEVEL
    if claimed < 0:
        kept = row["improvement_percent"] > claimed
        return ("reproduced" if kept else "not reproduced") if decided else "undecided"
    if decided and (row["improvement_percent"] < 0 or not reaches):
        return "not reproduced"
    if decided:
        return "reproduced"
    could_tell = row["detectable_percent"] <= claimed
    return "not reproduced" if not reaches and could_tell else "undecided"


def judge_hours(
    told: Mapping[tuple[Any, ...], Mapping[str, Any]],
    place: tuple[str, str],
    claim: Claim,
    claimed_percent: float,
) -> dict[str, Any]:
    """Judge a claimed saving of training time, seed by seed.

    Args:
        told: content of `run.json` by dataset, protocol, arm and seed.
        place: dataset and protocol.
        claim: which arm against which.
        claimed_percent: smallest saving that is claimed, percent of the baseline's hours.
    """
    seconds: dict[str, dict[int, float]] = {}
    for (dataset, protocol, arm, seed), run in told.items():
        if (dataset, protocol) == place:
            seconds.setdefault(arm, {})[seed] = run["wall_s"]
    baseline = next((arm for arm in claim.baseline if arm in seconds), None)
    if claim.arm not in seconds or baseline is None:
        return MISSING
    ours, theirs = seconds[claim.arm], seconds[baseline]
    saved = [100 * (1 - ours[seed] / theirs[seed]) for seed in sorted(ours.keys() & theirs.keys())]
    if not saved:
        return MISSING
    verdict: Verdict = "undecided"
    if len(saved) >= 2 and min(saved) >= claimed_percent:
        verdict = "reproduced"
    elif len(saved) >= 2 and max(saved) < claimed_percent:
        verdict = "not reproduced"
    return {
        "verdict": verdict,
        "baseline": baseline,
        "metric": "hours",
        "improvement_percent": sum(saved) / len(saved),
        "ci_low_percent": min(saved),
        "ci_high_percent": max(saved),
        "n_seeds": len(saved),
    }


def judge_parameters(
    told: Mapping[tuple[Any, ...], Mapping[str, Any]],
    place: tuple[str, str],
    arm: str,
    claimed: int | None,
) -> dict[str, Any]:
    """Judge a printed number of parameters, by what a training counted.

    Args:
        told: content of `run.json` by dataset, protocol, arm and seed.
        place: dataset and protocol.
        arm: arm whose network is meant.
        claimed: the printed number.
    """
    runs = [run for key, run in told.items() if key[:3] == (*place, arm)]
    if not runs or claimed is None:
        return MISSING
    encoder, counted = runs[0]["settings"]["encoder"], runs[0]["num_parameters"]
    if encoder != OF_THE_PAPER["encoder"]:
        why = f"the encoder is {encoder}, with {counted:,} parameters in all"
        return {"verdict": "not testable here", "why": why}
    verdict: Verdict = "reproduced" if counted == claimed else "not reproduced"
    return {"verdict": verdict, "why": f"{counted:,} counted, {claimed:,} printed"}


def counts(table: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Return for each protocol how many claims got each verdict."""
    return {
        str(protocol): {name: int((rows["verdict"] == name).sum()) for name in RULES}
        for protocol, rows in table.groupby("protocol", sort=False)
    }
