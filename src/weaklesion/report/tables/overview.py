"""The report's first page: what was run, on what, with what, and what follows."""

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from weaklesion.report.pages import write_page
from weaklesion.report.tables.verdicts import counts

logger = logging.getLogger(__name__)


def write_overview(
    *,
    study: str,
    titles: Mapping[str, str],
    runs: Sequence[Mapping[str, Any]],
    patches: Sequence[Mapping[str, Any]],
    verdicts_csv: str | Path,
    table1_csv: str | Path,
    page_html: str | Path,
) -> None:
    """Write the overview.

    Args:
        study: name of the study.
        titles: item of the experiments to its title.
        runs: dataset, protocol, arm, seed, network, and the path `run` of all trainings.
        patches: dataset, protocol, source and the path `patches` of their accounts.
        verdicts_csv: the verdicts.
        table1_csv: Table 1.
        page_html: written.
    """
    told = [json.loads(Path(run["run"]).read_text()) for run in runs]
    trainings = (
        pd.DataFrame(
            {
                "dataset": [run["dataset"] for run in runs],
                "protocol": [run["protocol"] for run in runs],
                "arms": [run["arm"] for run in runs],
                "seeds": [run["seed"] for run in runs],
                "networks": [run["network"] for run in runs],
                "hours": [one["wall_s"] / 3600 for one in told],
            }
        )
        .groupby(["dataset", "protocol"], sort=False)
        .agg(
            trainings=("arms", "size"),
            arms=("arms", _listed),
            seeds=("seeds", _listed),
            networks=("networks", _listed),
            hours=("hours", "sum"),
        )
        .reset_index()
    )
    accounts = []
    for block in patches:
        account = json.loads(Path(block["patches"]).read_text())
        accounts.append({**block, "account": account})
    table = pd.read_csv(table1_csv)
    dice = table[table["metric"] == "dice"]
    write_page(
        page_html,
        "overview.html",
        study=study,
        items=titles,
        trainings=trainings.to_dict("records"),
        hours=sum(one["wall_s"] for one in told) / 3600,
        devices=sorted({f"{one['device']} ({one['threads']} threads)" for one in told}),
        commits=sorted({short_commit(one["code"]) for one in told}),
        versions=_united(one["versions"] for one in told),
        provenance=[
            {**run, **{key: one[key] for key in ("device", "settings_sha256", "inputs_sha256")}}
            | {"commit": short_commit(one["code"]), "epochs": one["epochs_run"]}
            for run, one in zip(runs, told, strict=True)
        ],
        accounts=accounts,
        verdicts=counts(pd.read_csv(verdicts_csv)),
        dice=dice.to_dict("records"),
    )
    logger.info("overview of %d trainings", len(runs))


def _listed(values: pd.Series) -> str:
    return ", ".join(str(value) for value in dict.fromkeys(values))


def _united(versions: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Return each package with the versions that trainings used, usually one."""
    used: dict[str, dict[str, None]] = {}
    for of_run in versions:
        for name, number in of_run.items():
            used.setdefault(name, {})[number] = None
    return {name: " or ".join(numbers) for name, numbers in used.items()}


def short_commit(code: Mapping[str, Any]) -> str:
    """Return the commit that `code` of a run.json names, and whether files differed from it."""
    if code["commit"] is None:
        return "no git checkout"
    return code["commit"][:12] + (", with changes" if code["dirty"] else "")
