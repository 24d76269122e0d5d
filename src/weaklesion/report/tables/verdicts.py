"""The papers' claims: each with its rule, the numbers behind it, and a verdict."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from weaklesion.report.pages import write_page, write_table
from weaklesion.report.tables.epochs import Epochs, comparable, epochs_by_block
from weaklesion.report.tables.judgement import (
    RULES,
    Measurement,
    judge,
    judge_parameters,
    measure_hours,
    measure_metric,
)
from weaklesion.report.tables.run_scores import RUN_KEYS, read_scores
from weaklesion.scoring.catalogue import measure_of
from weaklesion.scoring.pairs import Unit
from weaklesion.scoring.statistics import holm, resolve_undefined
from weaklesion.study.claims import CHU, Claim, claimed_percent, expand_claims
from weaklesion.study.labels import Labels
from weaklesion.study.paper_claims import CLAIMS
from weaklesion.study.published import PAPER_ENCODER, printed_parameters, read_published
from weaklesion.support.files import read_json

logger = logging.getLogger(__name__)

UNTESTABLE = "not testable here"
ARM_MISSING = {"verdict": UNTESTABLE, "why": "an arm is missing"}
OTHER_DATASET = {"verdict": UNTESTABLE, "why": "not the paper's dataset"}
COLUMNS = [
    "claim",
    "paper",
    "where",
    "text",
    "family",
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
    "corrected_level",
    "corrected_low_percent",
    "corrected_high_percent",
    "difference",
    "detectable_percent",
    "p_value",
    "p_holm",
    "seeds_needed",
    "n_seeds",
    "n_groups",
    "contradicted",
    "other_settings",
]


def tabulate_verdicts(
    *,
    runs: Sequence[Mapping[str, Any]],
    published_yaml: str | Path,
    published_datasets: Mapping[str, str],
    protocols: Mapping[str, Mapping[str, Any]],
    networks: Sequence[Mapping[str, Any]] = (),
    unit: Unit = "sample",
    labels: Labels | None = None,
    table_csv: str | Path,
    table_html: str | Path,
) -> None:
    """Judge every claim on every dataset under every protocol.

    Args:
        runs: dataset, protocol, arm, seed, network, the path `scores` and, for networks, the path
            `run`; and `other_settings`: settings that differ from the paper's, in words.
        published_yaml: published numbers, for the sizes of the claims.
        published_datasets: our dataset's name to the papers'.
        protocols: protocol to `undefined`, `published_as` and `is_released` (whether the protocol
            follows the released code).
        networks: dataset, protocol, arm, and the path `run` of its network's training, of the runs
            with a network: claims about arms that were not to be trained equally long are not
            tested.
        unit: what counts once in means and differences, as in the main table: each `sample`, or
            each `group` with the mean over its samples.
        labels: what the page calls datasets and arms, see `weaklesion.study.labels.labels_of`.
        table_csv: written: one row per claim, dataset and protocol; sizes in percent of the
            baseline. The primary claims of a protocol are one family, all others another; `p_holm`
            is corrected within its family.
        table_html: written: the same for reading, with the rules.
    """
    metrics = {name for choice in protocols.values() for name in choice["published_as"].values()}
    scores = read_scores([run["scores"] for run in runs], runs, metrics)
    published = read_published(published_yaml)
    run_infos = {
        tuple(run[key] for key in RUN_KEYS): read_json(run["run"]) for run in runs if run.get("run")
    }
    epochs = epochs_by_block(networks)
    rows, tests = [], []
    for (dataset, protocol), block in scores.groupby(["dataset", "protocol"], sort=False):
        choice = protocols[str(protocol)]
        block_key = str(dataset), str(protocol)
        resolved = resolve_undefined(block, choice["undefined"])
        name = published_datasets.get(block_key[0], "")
        block_infos = {key[2:]: info for key, info in run_infos.items() if key[:2] == block_key}
        for claim in _claims_of_block(name, set(block["arm"]), choice["is_released"]):
            of_block = epochs.get(block_key, {})
            cells, measurement = _measure(
                claim, name, resolved, block_infos, of_block, published, choice, unit
            )
            rows.append(
                {
                    "dataset": dataset,
                    "protocol": protocol,
                    "other_settings": _other_settings(runs, block_key, claim.arm, measurement),
                    **_claim_cells(claim, name),
                    **cells,
                }
            )
            tests.append((claim, measurement))
    table = _with_verdicts(pd.DataFrame(rows).reindex(columns=COLUMNS), tests)
    write_table(table_csv, table)
    tested = table[table["verdict"] != UNTESTABLE]
    write_page(
        table_html,
        "verdicts.html",
        labels,
        tested=tested.to_dict("records"),
        common_settings=common_settings(tested),
        untestable=untestable(table),
        rules=RULES,
        unit=unit,
        counts=counts(table),
        measure_of=measure_of,
    )
    logger.info("verdicts: %s", table["verdict"].value_counts().to_dict())


def _claim_cells(claim: Claim, name: str) -> dict[str, str]:
    """Return the cells that a claim has before it is measured."""
    return {
        "claim": claim.name,
        "paper": claim.paper,
        "where": claim.where,
        "text": claim.text,
        "family": "primary" if claim.primary else "secondary",
        "arm": claim.arm,
        "baseline": "",
        "contradicted": claim.contradicted.get(name, ""),
    }


def _claims_of_block(name: str, arms: set[str], is_released: bool) -> Iterator[Claim]:
    """Yield the claims about a dataset: the paper's, and another paper's if its arm was run."""
    for claim in expand_claims(CLAIMS, is_released):
        if name and name not in claim.datasets:
            continue
        of_paper = any(arm in ("a1", "a1l") for arm in arms) if claim.paper == CHU else False
        if of_paper or claim.arm in arms:
            yield claim


def _measure(
    claim: Claim,
    name: str,
    scores: pd.DataFrame,
    run_infos: Mapping[tuple[Any, ...], Mapping[str, Any]],
    epochs: Mapping[str, Epochs],
    published: Mapping[str, Any],
    choice: Mapping[str, Any],
    unit: Unit,
) -> tuple[dict[str, Any], Measurement | None]:
    """Measure one claim; return its cells, and the measurement if it is judged by a p-value."""
    if not name:
        return dict(OTHER_DATASET), None
    if claim.kind == "parameters":
        number = printed_parameters(published, claim.arm, name)
        of_arm = [info for (arm, _), info in run_infos.items() if arm == claim.arm]
        return judge_parameters(of_arm, number, PAPER_ENCODER), None
    claimed = claimed_percent(claim, published, name)
    if claim.kind == "metric":
        metric = choice["published_as"][claim.column]
        measurement = measure_metric(scores, claim, metric, claimed, unit)
    else:
        hours: dict[str, dict[int, float]] = {}
        for (arm, seed), info in run_infos.items():
            hours.setdefault(arm, {})[seed] = info["wall_s"] / 3600
        measurement = measure_hours(hours, claim, claimed)
    if measurement is None:
        return {"claimed_percent": claimed, **ARM_MISSING}, None
    if why := _no_match(claim, measurement, run_infos, epochs):
        return {"claimed_percent": claimed, "verdict": UNTESTABLE, "why": why}, None
    cells = {
        "claimed_percent": claimed,
        "baseline": measurement.baseline,
        "metric": measurement.metric,
        "improvement_percent": measurement.improvement,
        "difference": measurement.difference,
        "p_value": measurement.p_value,
        "n_seeds": measurement.n_seeds,
        "n_groups": measurement.n_groups,
    }
    return cells, measurement


def _no_match(
    claim: Claim,
    measurement: Measurement,
    run_infos: Mapping[tuple[Any, ...], Mapping[str, Any]],
    epochs: Mapping[str, Epochs],
) -> str:
    """Return why two arms cannot be compared, because of their training runs; "" if they can."""
    arms = claim.arm, measurement.baseline
    if not comparable(*(epochs.get(arm) for arm in arms)):
        return "the two arms were not to be trained equally long"
    if claim.kind != "metric":
        machines = [
            {(info["device"], info["threads"]) for (arm, _), info in run_infos.items() if arm == of}
            for of in arms
        ]
        if machines[0] != machines[1]:
            return "the two arms were trained on different devices or with other numbers of threads"
    return ""


def _with_verdicts(
    table: pd.DataFrame, tests: Sequence[tuple[Claim, Measurement | None]]
) -> pd.DataFrame:
    """Correct the p-values of each family, and judge the claims that were measured."""
    table = table.astype({"verdict": object, "why": object})
    for _, family in table.groupby(["protocol", "family"]):
        table.loc[family.index, "p_holm"] = holm(family["p_value"].to_list())
        num_tests = int(family["p_value"].count())
        for index in family.index:
            claim, measurement = tests[int(index)]
            if measurement is None:
                continue
            claimed, p_holm = table.loc[index, ["claimed_percent", "p_holm"]]
            for key, value in judge(claim, measurement, claimed, p_holm, num_tests).items():
                table.loc[index, key] = value
    return table


def _other_settings(
    runs: Sequence[Mapping[str, Any]],
    block: tuple[str, str],
    arm: str,
    measurement: Measurement | None,
) -> str:
    """Return the settings of both arms' training runs that differ from the paper's."""
    arms = {arm} if measurement is None else {arm, measurement.baseline}
    differing = {
        setting: None
        for run in runs
        if (run["dataset"], run["protocol"]) == block and run["arm"] in arms
        for setting in run.get("other_settings", ())
    }
    return ", ".join(differing)


def common_settings(tested: pd.DataFrame) -> dict[str, str]:
    """Return the `other_settings` that all claims of a protocol have, by protocol."""
    return {
        str(protocol): settings.iloc[0]
        for protocol, settings in tested.groupby("protocol", sort=False)["other_settings"]
        if settings.iloc[0] and (settings == settings.iloc[0]).all()
    }


def counts(table: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Return the number of claims per protocol and verdict."""
    return {
        str(protocol): {name: int((rows["verdict"] == name).sum()) for name in RULES}
        for protocol, rows in table.groupby("protocol", sort=False)
    }


def untestable(verdicts: pd.DataFrame) -> dict[str, int]:
    """Return the number of claims that this study cannot test, by reason."""
    rows = verdicts[verdicts["verdict"] == UNTESTABLE]
    return {str(why): int(number) for why, number in rows["why"].value_counts().items()}
