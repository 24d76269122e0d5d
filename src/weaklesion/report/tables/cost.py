"""Table 2: the cost of training, beside the Dice that it gives."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from weaklesion.report.durations import time_unit
from weaklesion.report.pages import write_page, write_table
from weaklesion.report.tables.run_scores import RUN_KEYS, read_scores
from weaklesion.scoring.pairs import Unit
from weaklesion.scoring.statistics import UndefinedPolicy, by_unit, resolve_undefined
from weaklesion.study.labels import Labels
from weaklesion.study.published import read_published
from weaklesion.support.files import read_json

logger = logging.getLogger(__name__)

PRINTED_ARMS = {"a1l": "A1_L", "acoseg": "ACoseg", "acoseg_released": "ACoseg"}


def tabulate_cost(
    *,
    runs: Sequence[Mapping[str, Any]],
    undefined: Mapping[str, UndefinedPolicy],
    unit: Unit = "sample",
    published_yaml: str | Path,
    published_datasets: Mapping[str, str],
    title: str,
    labels: Labels | None = None,
    table_csv: str | Path,
    table_html: str | Path,
) -> None:
    """Tabulate hours, epochs, images per second and device of each arm, with its Dice.

    Hours count the whole training, from reading the data to the last file. If a training was killed
    and resumed, the hours of its processes are added up (`weaklesion.training.train.train_arm` says
    which time is lost then).

    Args:
        runs: dataset, protocol, arm, seed, network, and the paths `run` and `scores`.
        undefined: protocol to what an empty prediction counts as.
        unit: what counts once in the mean Dice, as in the main table: each `sample`, or each
            `group` (patient, volume or lesion) with the mean over its samples.
        published_yaml: published numbers.
        published_datasets: our dataset's name to the paper's.
        title: the page's title.
        labels: what the page calls datasets and arms, see `weaklesion.study.labels.labels_of`.
        table_csv: written: one row per dataset, protocol and arm. `saved_percent` compares an arm's
            hours with those of the slowest co-segmentation of the same dataset and protocol on the
            same device, with as many threads.
        table_html: written: the same for reading.
    """
    table = _means_over_seeds(runs, undefined, unit)
    cosegmentation = table[table["arm"].str.startswith("acoseg")]
    place = ["dataset", "protocol", "device", "threads"]
    longest = cosegmentation.groupby(place)["hours"].max()
    table["saved_percent"] = [
        100 * (1 - row["hours"] / longest.get(tuple(row[key] for key in place), np.nan))
        for row in table.to_dict("records")
    ]
    paper_hours = read_published(published_yaml)["table2_training_gpu_hours"]
    for column, key in (("published_hours", None), ("published_saved_percent", "pct")):
        table[column] = [
            _paper_value(paper_hours, published_datasets.get(dataset, ""), arm, key)
            for dataset, arm in table[["dataset", "arm"]].to_numpy()
        ]
    write_table(table_csv, table)
    of_time, factor = time_unit(table["hours"].max())
    rows = table.to_dict("records")
    write_page(table_html, "cost.html", labels, title=title, rows=rows, unit=of_time, factor=factor)
    logger.info("cost of %d training runs", len(runs))


def _means_over_seeds(
    runs: Sequence[Mapping[str, Any]], undefined: Mapping[str, UndefinedPolicy], unit: Unit
) -> pd.DataFrame:
    """Return one row per dataset, protocol, arm, network, device and number of threads."""
    scores = read_scores([run["scores"] for run in runs], runs, ["dice"])
    mean_dice: dict[tuple[Any, ...], float] = {}
    for (dataset, protocol), block in scores.groupby(["dataset", "protocol"], sort=False):
        resolved = by_unit(resolve_undefined(block, undefined[str(protocol)]), unit)
        for (arm, seed), of_run in resolved.groupby(["arm", "seed"]):
            mean_dice[(dataset, protocol, arm, seed)] = of_run["value"].mean()
    rows = []
    for run in runs:
        run_info = read_json(run["run"])
        rows.append(
            {
                "dataset": run["dataset"],
                "protocol": run["protocol"],
                "arm": run["arm"],
                "network": run["network"],
                "device": run_info["device"],
                "threads": run_info["threads"],
                "hours": run_info["wall_s"] / 3600,
                "epochs": run_info["epochs_run"],
                "images_per_second": run_info["images_per_second"],
                "peak_gpu_gib": (run_info["peak_gpu_memory_bytes"] or np.nan) / 2**30,
                "dice": 100 * mean_dice[tuple(run[key] for key in RUN_KEYS)],
            }
        )
    keys = ["dataset", "protocol", "arm", "network", "device", "threads"]
    grouped = pd.DataFrame(rows).groupby(keys, sort=False)
    return grouped.agg(
        n_seeds=("hours", "size"),
        hours=("hours", "mean"),
        hours_std=("hours", "std"),
        epochs=("epochs", "mean"),
        images_per_second=("images_per_second", "mean"),
        peak_gpu_gib=("peak_gpu_gib", "mean"),
        dice=("dice", "mean"),
        dice_std=("dice", "std"),
    ).reset_index()


def _paper_value(paper_hours: Mapping[str, Any], dataset: str, arm: str, key: str | None) -> float:
    """Return the printed hours of an arm; with key `pct`, the percentage saved against ACoseg."""
    cells = paper_hours.get(dataset, {})
    name = PRINTED_ARMS.get(arm, "")
    if key is None:
        return float(cells.get(name, np.nan))
    return -float(cells[key]) if name == "A1_L" and key in cells else np.nan
