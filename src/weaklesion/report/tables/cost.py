"""Table 2: what training takes, beside how well it segments."""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from weaklesion.report.pages import write_page, write_table
from weaklesion.report.tables.scores import RUN_KEYS, read_scores
from weaklesion.study.published import read_published

logger = logging.getLogger(__name__)

PRINTED_ARMS = {"a1l": "A1_L", "acoseg": "ACoseg", "acoseg_released": "ACoseg"}


def tabulate_cost(
    *,
    runs: Sequence[Mapping[str, Any]],
    published_yaml: str | Path,
    published_datasets: Mapping[str, str],
    title: str,
    table_csv: str | Path,
    table_html: str | Path,
) -> None:
    """Tabulate hours, epochs, images a second and device of each arm, with its Dice.

    Hours are of the whole training, from reading the data to the last file, added up over its
    processes if it was killed and went on (`weaklesion.training.train.train_arm` says what is lost
    then); `saved` is by how much an arm is below the co-segmentation of the same block that takes
    longest.

    Args:
        runs: dataset, protocol, arm, seed, network, and the paths `run` and `scores`.
        published_yaml: published numbers.
        published_datasets: our dataset's name to the paper's.
        title: the page's title.
        table_csv: written: a row a dataset, protocol and arm.
        table_html: written: the same for reading.
    """
    scores = read_scores([run["scores"] for run in runs], runs, ["dice"])
    mean_dice = scores.groupby(RUN_KEYS)["value"].mean()
    rows = []
    for run in runs:
        told = json.loads(Path(run["run"]).read_text())
        place = run["dataset"], run["protocol"], run["arm"], run["seed"]
        rows.append(
            {
                "dataset": run["dataset"],
                "protocol": run["protocol"],
                "arm": run["arm"],
                "network": run["network"],
                "device": told["device"],
                "threads": told["threads"],
                "hours": told["wall_s"] / 3600,
                "epochs": told["epochs_run"],
                "images_per_second": told["images_per_second"],
                "peak_gpu_gib": (told["peak_gpu_memory_bytes"] or np.nan) / 2**30,
                "dice": 100 * mean_dice[place],
            }
        )
    keys = ["dataset", "protocol", "arm", "network", "device", "threads"]
    grouped = pd.DataFrame(rows).groupby(keys, sort=False)
    table = grouped.agg(
        n_seeds=("hours", "size"),
        hours=("hours", "mean"),
        hours_std=("hours", "std"),
        epochs=("epochs", "mean"),
        images_per_second=("images_per_second", "mean"),
        peak_gpu_gib=("peak_gpu_gib", "mean"),
        dice=("dice", "mean"),
        dice_std=("dice", "std"),
    ).reset_index()
    paired = table[table["arm"].str.startswith("acoseg")]
    longest = paired.groupby(["dataset", "protocol"])["hours"].max()
    table["saved_percent"] = [
        100 * (1 - row.hours / longest.get((row.dataset, row.protocol), np.nan))
        for row in table.itertuples()
    ]
    printed = read_published(published_yaml)["table2_training_gpu_hours"]
    for column, key in (("published_hours", None), ("published_saved_percent", "pct")):
        table[column] = [
            _printed(printed, published_datasets.get(dataset, ""), arm, key)
            for dataset, arm in table[["dataset", "arm"]].to_numpy()
        ]
    write_table(table_csv, table)
    write_page(table_html, "costs.html", title=title, rows=table.to_dict("records"))
    logger.info("cost of %d trainings", len(runs))


def _printed(printed: Mapping[str, Any], dataset: str, arm: str, key: str | None) -> float:
    """Return the printed hours of an arm, or with `pct` how much less than ACoseg's they are."""
    cells = printed.get(dataset, {})
    name = PRINTED_ARMS.get(arm, "")
    if key is None:
        return float(cells.get(name, np.nan))
    return -float(cells[key]) if name == "A1_L" and key in cells else np.nan
