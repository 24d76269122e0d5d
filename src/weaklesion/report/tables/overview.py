"""The report's first page: the main results, and the runs, data and versions behind them."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from weaklesion.report.durations import time_unit
from weaklesion.report.pages import devices_in_words, number, write_page
from weaklesion.report.tables.verdicts import counts
from weaklesion.study.labels import Labels, network_in_words
from weaklesion.support.files import read_json

logger = logging.getLogger(__name__)


def write_overview(
    *,
    study: str,
    titles: Mapping[str, str],
    runs: Sequence[Mapping[str, Any]],
    patches: Sequence[Mapping[str, Any]],
    verdicts_csv: str | Path,
    table1_csv: str | Path,
    labels: Labels | None = None,
    page_html: str | Path,
) -> None:
    """Write the page.

    Args:
        study: name of the study.
        titles: item to its title.
        runs: dataset, protocol, arm, seed, network, and the path `run` of all training runs.
        patches: dataset, protocol, source and the path `patches` of each account.
        verdicts_csv: table of `weaklesion.report.tables.verdicts`.
        table1_csv: Table 1, see `weaklesion.report.tables.scores`.
        labels: what the page calls datasets and arms, see `weaklesion.study.labels.labels_of`.
        page_html: written.
    """
    run_infos = [read_json(run["run"]) for run in runs]
    accounts = [{**block, "account": read_json(block["patches"])} for block in patches]
    table = pd.read_csv(table1_csv)
    dice = table[table["metric"] == "dice"]
    trainings = _trainings(runs, run_infos)
    unit, factor = time_unit(trainings["hours"].max())
    trainings["time"] = [number(factor * hours, "%.3g") for hours in trainings["hours"]]
    write_page(
        page_html,
        "overview.html",
        labels,
        study=study,
        items=titles,
        trainings=trainings.to_dict("records"),
        time_unit=unit,
        hours=sum(info["wall_s"] for info in run_infos) / 3600,
        devices=devices_in_words(run_infos),
        commits=sorted({short_commit(info["code"]) for info in run_infos}),
        versions=_united(info["versions"] for info in run_infos),
        provenance=_provenance(runs, run_infos),
        accounts=accounts,
        verdicts=counts(pd.read_csv(verdicts_csv)),
        dice=dice.to_dict("records"),
    )
    logger.info("overview of %d training runs", len(runs))


def _trainings(
    runs: Sequence[Mapping[str, Any]], run_infos: Sequence[Mapping[str, Any]]
) -> pd.DataFrame:
    """Return one row per dataset and protocol: its training runs and their hours."""
    table = pd.DataFrame(
        {
            "dataset": [run["dataset"] for run in runs],
            "protocol": [run["protocol"] for run in runs],
            "arms": [run["arm"] for run in runs],
            "seeds": [run["seed"] for run in runs],
            "networks": [network_in_words(run["network"]) for run in runs],
            "hours": [info["wall_s"] / 3600 for info in run_infos],
        }
    )
    return (
        table.groupby(["dataset", "protocol"], sort=False)
        .agg(
            trainings=("arms", "size"),
            arms=("arms", lambda arms: list(dict.fromkeys(arms))),
            seeds=("seeds", _listed),
            networks=("networks", _listed),
            hours=("hours", "sum"),
        )
        .reset_index()
    )


def _provenance(
    runs: Sequence[Mapping[str, Any]], run_infos: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return one row per training: its device, digests, commit and epochs."""
    keys = ("device", "settings_sha256", "inputs_sha256")
    return [
        {**run, **{key: info[key] for key in keys}}
        | {"commit": short_commit(info["code"]), "epochs": info["epochs_run"]}
        for run, info in zip(runs, run_infos, strict=True)
    ]


def _listed(values: pd.Series) -> str:
    return ", ".join(str(value) for value in dict.fromkeys(values))


def _united(versions: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Return each package with the versions, usually one, that the training runs used."""
    used: dict[str, dict[str, None]] = {}
    for of_run in versions:
        for name, version in of_run.items():
            used.setdefault(name, {})[version] = None
    return {name: " or ".join(numbers) for name, numbers in used.items()}


def short_commit(code: Mapping[str, Any]) -> str:
    """Return the commit that `code` of a run.json names, and whether files differed from it."""
    if code["commit"] is None:
        return "no git checkout"
    return code["commit"][:12] + (", with changes" if code["dirty"] else "")
