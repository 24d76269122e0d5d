"""The model card: what a study's networks were trained and tested on, and where they fail."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from weaklesion.data.attributes import read_attributes
from weaklesion.data.samples import read_samples
from weaklesion.report.pages import write_page, write_table
from weaklesion.report.papers.facts import facts_of
from weaklesion.report.papers.subgroups import (
    FAILURE_COLUMNS,
    METRIC,
    SUBGROUP_COLUMNS,
    describe_people,
    score_subgroups,
    worst_samples,
)
from weaklesion.report.tables.cells import scaled
from weaklesion.report.tables.overview import short_commit
from weaklesion.report.tables.run_scores import read_scores
from weaklesion.scoring.catalogue import measure_of
from weaklesion.scoring.pairs import Unit
from weaklesion.scoring.statistics import by_unit, estimate, resolve_undefined
from weaklesion.splits import SPLITS
from weaklesion.study.labels import Labels
from weaklesion.support.files import read_json

logger = logging.getLogger(__name__)

SHOWN_METRICS = (METRIC, "hausdorff_95")
BLOCK = ["dataset", "protocol"]


def write_model_card(
    *,
    study: str,
    runs: Sequence[Mapping[str, Any]],
    blocks: Sequence[Mapping[str, Any]],
    undefined: Mapping[str, str],
    origins: Mapping[str, Mapping[str, str]],
    datasets_yaml: str | Path,
    statements: Mapping[str, str],
    unit: Unit = "sample",
    labels: Labels | None = None,
    card_html: str | Path,
    subgroups_csv: str | Path,
    failures_csv: str | Path,
) -> None:
    """Write the model card of a study's networks, one page for all of them.

    Args:
        study: name of the study.
        runs: dataset, protocol, arm, seed, network, and the paths `scores` and `run` of each
            training.
        blocks: dataset, protocol, the path `samples`, and `loader` and `table` (path or None) of
            each dataset's own table.
        undefined: protocol to what an undefined Dice counts as.
        origins: dataset to its key in `datasets_yaml`, see `facts_of`.
        datasets_yaml: what is known of each dataset's origin.
        statements: what the authors say, by topic.
        unit: what counts once in means, as in the main table: each `sample`, or each `group`
            (patient, volume or lesion) with the mean over its samples.
        labels: what the page calls datasets and arms, see `weaklesion.study.labels.labels_of`.
        card_html: written.
        subgroups_csv: written: Dice by sex, age, site and size, see `score_subgroups`.
        failures_csv: written: the worst test images of each arm, see `worst_samples`.

    Raises:
        DataError: if scores, samples or a table cannot be read or do not fit together.
    """
    scores = read_scores([run["scores"] for run in runs], runs, SHOWN_METRICS)
    infos = [{**run, "info": read_json(run["run"])} for run in runs]
    facts = facts_of(datasets_yaml, origins, [block["dataset"] for block in blocks])
    shown, subgroups, failures = [], [], []
    for block in blocks:
        of_block = scores[(scores[BLOCK] == [block[key] for key in BLOCK]).all(axis=1)]
        mine = [run for run in infos if all(run[key] == block[key] for key in BLOCK)]
        described = _describe(block, mine, of_block, undefined[block["protocol"]], unit)
        subgroups.append(described.pop("by_group"))
        failures.append(described.pop("worst"))
        shown.append(described | {"facts": facts[block["dataset"]]})
    write_table(subgroups_csv, pd.concat(subgroups)[SUBGROUP_COLUMNS])
    write_table(failures_csv, pd.concat(failures)[FAILURE_COLUMNS])
    write_page(
        card_html,
        "model_card.html",
        labels,
        study=study,
        blocks=shown,
        statements=statements,
        unit=unit,
        policies={block["protocol"]: undefined[block["protocol"]] for block in blocks},
    )
    logger.info("model card of %d training runs on %d blocks", len(runs), len(blocks))


def _describe(
    block: Mapping[str, Any],
    runs: Sequence[Mapping[str, Any]],
    scores: pd.DataFrame,
    policy: Any,
    unit: Unit,
) -> dict[str, Any]:
    """Return what the page shows of a block, and the tables `by_group` and `worst`."""
    place = {key: block[key] for key in BLOCK}
    samples = read_samples(block["samples"])
    people = describe_people(samples, read_attributes(block["loader"], block["table"]))
    by_group = score_subgroups(scores, people, policy, unit).assign(**place)
    worst = worst_samples(scores, people, policy).assign(**place)
    saw = [run["info"]["data"] for run in runs if run["info"].get("data")]
    return {
        **place,
        "models": _models(runs, scores, policy, unit),
        "splits": _splits(people),
        "subgroups": _rows_of_subgroups(by_group),
        "failures": worst.to_dict("records"),
        "arms": list(dict.fromkeys(run["arm"] for run in runs)),
        "saw": saw[0] if saw else {},
        "by_group": by_group,
        "worst": worst,
    }


def _models(
    runs: Sequence[Mapping[str, Any]], scores: pd.DataFrame, policy: Any, unit: Unit
) -> list[dict[str, Any]]:
    """Return one row per arm: its network, training runs and scores."""
    resolved = resolve_undefined(scores, policy)
    rows = []
    for arm in dict.fromkeys(run["arm"] for run in runs):
        mine = [run for run in runs if run["arm"] == arm]
        infos = [run["info"] for run in mine]
        row: dict[str, Any] = {
            "arm": arm,
            "network": mine[0]["network"],
            "seeds": [run["seed"] for run in mine],
            "parameters": infos[0]["num_parameters"],
            "epochs": sorted({info["epochs_run"] for info in infos}),
            "devices": sorted({info["device"] for info in infos}),
            "commits": sorted({short_commit(info["code"]) for info in infos}),
            "settings": sorted({info["settings_sha256"][:12] for info in infos}),
        }
        for metric in SHOWN_METRICS:
            values = resolved[(resolved["arm"] == arm) & (resolved["metric"] == metric)]
            found = estimate(by_unit(values, unit), measure_of(metric).within)
            cells = {"mean": found.mean, "ci_low": found.ci_low, "ci_high": found.ci_high}
            row[metric] = scaled(cells, measure_of(metric).scale) | {"unknown": found.unknown}
        rows.append(row)
    return rows


def _splits(people: pd.DataFrame) -> list[dict[str, Any]]:
    """Return samples and groups of each split, and their sizes."""
    rows = []
    for split in SPLITS:
        of_split = people[people["split"] == split]
        low, middle, high = of_split["size"].quantile([0.05, 0.5, 0.95])
        rows.append(
            {"split": split, "n_samples": len(of_split), "n_groups": of_split["group"].nunique()}
            | {"low": low, "middle": middle, "high": high, "unit": people["unit"].iloc[0]}
        )
    return rows


def _rows_of_subgroups(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return one row per subgroup, with the cells of each arm by its name."""
    rows = []
    for (attribute, value), of_group in table.groupby(["attribute", "value"], sort=False):
        first = of_group.iloc[0]
        rows.append(
            {"attribute": attribute, "value": value, "cells": of_group.set_index("arm").T.to_dict()}
            | {"n_samples": first["n_samples"], "n_groups": first["n_groups"]}
        )
    return rows
