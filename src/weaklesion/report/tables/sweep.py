"""Figures 2 and 5: Dice against the number of clusters, and against the weight of the loss.

The paper does not say whether K and alpha were chosen on validation or on test images; the released
evaluation of LiTS loops over K and prints test metrics (discrepancy S5). The table therefore shows,
beside the test Dice of every value, its validation, and the value that each of the two would have
chosen.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from weaklesion.errors import DataError
from weaklesion.report.pages import write_table
from weaklesion.report.tables.run_scores import read_scores
from weaklesion.scoring.statistics import estimate, resolve_undefined
from weaklesion.study.published import printed_choice, read_published
from weaklesion.support.files import read_json

logger = logging.getLogger(__name__)

# Criteria that may choose a value: a column of the table, and whether larger is better.
CHOOSERS = {
    "validation_loss": ("val_loss", False),
    "validation_dice": ("val_dice", True),
    "test": ("mean", True),
}


def tabulate_sweep(
    *,
    runs: Sequence[Mapping[str, Any]],
    points: Sequence[Mapping[str, Any]],
    over: str,
    undefined: Mapping[str, str],
    published_yaml: str | Path,
    published_datasets: Mapping[str, str],
    table_csv: str | Path,
) -> None:
    """Tabulate the test Dice against a setting that was swept, with intervals, and the validation.

    The paper prints no numbers for these figures.

    Args:
        runs: dataset, protocol, arm, seed, and the paths `scores`, `history` and `run`.
        points: dataset, protocol, arm and `value` of the setting.
        over: `k`, `alpha` or `samples`.
        undefined: protocol to the value that an empty prediction counts as.
        published_yaml: published numbers, for the value that the paper chose.
        published_datasets: our dataset's name to the paper's.
        table_csv: written: one row per point, Dice in percent. `val_loss` and `val_dice` are the
            segmentation loss and the Dice of the kept epoch on validation images, against the
            target that the arm is trained on: means over seeds, with their sample deviations.
            `chosen_by_validation_loss`, `chosen_by_validation_dice` and `chosen_by_test` mark the
            best value of each dataset and protocol, the smallest if several are equally good, and
            none if none is defined; `paper_value` is the paper's value, missing where the paper
            prints none.
    """
    scores = read_scores([run["scores"] for run in runs], runs, ["dice"])
    published = read_published(published_yaml)
    validation = pd.DataFrame([_arm_key(run) | kept_validation(run) for run in runs])
    rows = []
    for point in points:
        paper_dataset = published_datasets.get(point["dataset"], "")
        rows.append(
            {
                **_arm_key(point),
                over: point["value"],
                **_cells(scores, validation, point, undefined[point["protocol"]]),
                "paper_value": printed_choice(published, over, paper_dataset),
            }
        )
    table = pd.DataFrame(rows).sort_values(["dataset", "protocol", over], kind="stable")
    table[["mean", "std", "std_population", "ci_low", "ci_high"]] *= 100
    for chooser, (column, larger) in CHOOSERS.items():
        values = table[column] if larger else -table[column]
        best = values.dropna().groupby([table["dataset"], table["protocol"]]).idxmax()
        table[f"chosen_by_{chooser}"] = table.index.isin(best)
    write_table(table_csv, table)
    logger.info("%d points of a sweep over %s", len(points), over)


def _arm_key(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: row[key] for key in ("dataset", "protocol", "arm")}


def _cells(
    scores: pd.DataFrame, validation: pd.DataFrame, point: Mapping[str, Any], policy: str
) -> dict[str, Any]:
    """Return the test Dice of one point of the sweep, and its validation, over all seeds."""
    key = _arm_key(point)
    test, val = (table[(table[list(key)] == pd.Series(key)).all(axis=1)]
                 for table in (scores, validation))  # fmt: skip
    return {
        **asdict(estimate(resolve_undefined(test, policy), (0.0, 1.0))),  # type: ignore[arg-type]
        "val_loss": val["val_loss"].mean(),
        "val_loss_std": val["val_loss"].std(),
        "val_dice": 100 * val["val_dice"].mean(),
        "val_dice_std": 100 * val["val_dice"].std(),
    }


def kept_validation(run: Mapping[str, Any]) -> dict[str, float]:
    """Return the validation loss and Dice of a run's kept epoch.

    Args:
        run: with the paths `history` (history.csv) and `run` (run.json).

    Returns:
        `val_loss`, the segmentation loss without its weight, and `val_dice`, 0 to 1; both on
        validation images, against the target that the run was trained on.

    Raises:
        DataError: if the history lacks the kept epoch.
    """
    kept = read_json(run["run"])["kept_epoch"]
    history = pd.read_csv(run["history"]).set_index("epoch")
    if kept not in history.index:
        raise DataError(
            f"{run['history']}: epoch {kept}, whose network was kept, is not in it, because the"
            " file belongs to another training. Delete the run and train again."
        )
    loss, dice = history.loc[kept, ["val_segmentation_loss", "val_dice"]]
    return {"val_loss": float(loss), "val_dice": float(dice)}
