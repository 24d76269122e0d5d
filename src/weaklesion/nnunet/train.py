"""Train an nnU-Net with one seed by its own command, and describe the run as other runs are."""

import json
import math
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from weaklesion.nnunet.cases import DATASET
from weaklesion.nnunet.prepare import CONFIGURATION, INPUTS
from weaklesion.nnunet.program import run_program
from weaklesion.nnunet.settings import Budget
from weaklesion.support.files import file_digest, read_json, write_json, written_whole
from weaklesion.support.provenance import describe_start, settings_digest
from weaklesion.training.device import compute_device

TRAINER = "WeakLesionTrainer"
BUDGET = "WEAKLESION_NNUNET_BUDGET"  # variable that the trainer reads
MODEL = Path(DATASET) / f"{TRAINER}__nnUNetPlans__{CONFIGURATION}"
FINAL = "checkpoint_final.pth"
HISTORY = "history.json"
KEPT = ("plans.json", "dataset.json", "dataset_fingerprint.json")
# What other runs have in their settings, and a run of nnU-Net does not.
WITHOUT = {"num_classes": None, "patience": None}


def train_nnunet(
    *,
    prepared_dir: str | Path,
    trainer_py: str | Path,
    model_dir: str | Path,
    history_csv: str | Path,
    run_json: str | Path,
    settings: Budget,
    seed: int,
    data: Mapping[str, Any] | None = None,
    threads: int = 1,
) -> None:
    """Train nnU-Net's own 2-D network for the budget of `settings`.

    Only its final weights are kept, which is what nnU-Net predicts with. A training that was killed
    goes on from the last tenth epoch in `.nnunet` beside the outputs, though not bit for bit; with
    another trainer, settings or data it starts afresh. On a CPU with one thread, a training that is
    not killed repeats itself with the same seed.

    Args:
        prepared_dir: folder of `weaklesion.nnunet.prepare.prepare_nnunet`.
        trainer_py: the trainer, in a folder of its own.
        model_dir: written: the folder that nnU-Net predicts with, as its `nnUNet_results`.
        history_csv: written: one row per epoch.
        run_json: written: what the training was, with the keys of other runs.
        settings: see `weaklesion.nnunet.settings.Budget`.
        seed: seed of weights, order and augmentation.
        data: what the images and marks are (`weaklesion.study.data_facts`); None leaves it out of
            `run.json`.
        threads: threads on a CPU; with more than one, also processes that draw batches.

    Raises:
        DataError: if nnU-Net is not installed or fails.
    """
    prepared = read_json(Path(prepared_dir) / INPUTS)
    run = describe_start(
        settings={"model": "nnunet", **asdict(settings), **WITHOUT}, seed=seed, inputs={}
    ) | {"inputs_sha256": prepared["sha256"]}
    work = Path(run_json).parent / ".nnunet"
    depends_on = {key: run[key] for key in ("settings", "seed", "inputs_sha256")}
    _start(work, settings_digest(depends_on | {"trainer": file_digest(trainer_py)}))
    started = time.time()
    run_program(
        "nnUNetv2_train",
        *(DATASET, CONFIGURATION, "0", "-tr", TRAINER, "-device", compute_device().type, "--c"),
        folders={
            "raw": Path(prepared_dir) / "raw",
            "preprocessed": Path(prepared_dir) / "preprocessed",
            "results": work,
            "extTrainer": Path(trainer_py).parent,
        },
        variables=_variables(asdict(settings) | {"seed": seed, "threads": threads}),
        threads=threads,
    )
    trained = read_json(work / MODEL / "fold_0" / HISTORY)
    rows = trained.pop("epochs")
    earlier_s = sum(_seconds(row) for row in rows if row["started"] < started)
    with written_whole(model_dir) as folder:
        (folder / MODEL / "fold_0").mkdir(parents=True)
        for name in (*KEPT, f"fold_0/{FINAL}"):
            shutil.copyfile(work / MODEL / name, folder / MODEL / name)
    write_history(rows, history_csv)
    run |= describe_training(rows, trained, settings)
    run |= {"num_samples": prepared["num_samples"], "threads": threads}
    if data is not None:
        run["data"] = {**data, **prepared["seen"]}
    write_json(run_json, run | {"wall_s": earlier_s + time.time() - started})
    shutil.rmtree(work)


def _variables(budget: dict[str, Any]) -> dict[str, str]:
    """Return the environment variables of a training.

    With one thread, the training draws its batches in its own process and so repeats itself.
    """
    drawing = budget["threads"] if budget["threads"] > 1 else 0
    return {BUDGET: json.dumps(budget), "nnUNet_n_proc_DA": str(drawing)}


def _start(work: Path, digest: str) -> None:
    """Make the folder of the training; one of another training is removed first."""
    mark = work / "training.sha256"
    if work.is_dir() and (not mark.is_file() or mark.read_text() != digest):
        shutil.rmtree(work)
    work.mkdir(parents=True, exist_ok=True)
    mark.write_text(digest)


def write_history(rows: Sequence[dict[str, Any]], history_csv: str | Path) -> None:
    """Write one row per epoch, found by its number: losses, Dice, learning rate, seconds."""
    table = pd.DataFrame(rows).set_index("epoch").sort_index()
    table["seconds"] = table["ended"] - table["started"]
    with written_whole(history_csv) as tmp:
        table.drop(columns=["started", "ended"]).to_csv(tmp)


def describe_training(
    rows: Sequence[dict[str, Any]], trained: dict[str, Any], settings: Budget
) -> dict[str, Any]:
    """Return what `run.json` says of a finished training.

    Args:
        rows: epochs with `val_dice`, `started` and `ended`.
        trained: what the trainer says of itself: `planned`, `versions`, `device` and so on.
        settings: the budget.
    """
    images = len(rows) * settings.iterations * trained["planned"]["batch_size"]
    last = max(row["epoch"] for row in rows)
    return trained | {
        "epochs_run": len(rows),
        "best_epoch": max(rows, key=_known_dice)["epoch"],
        "kept_epoch": last,
        "stopped_by_patience": False,
        "images_per_second": images / sum(map(_seconds, rows)),
        "host_cpus": os.cpu_count(),
    }


def _known_dice(row: dict[str, Any]) -> float:
    """Return an epoch's Dice; less than any if it is nan, as where no batch had a lesion."""
    dice = float(row["val_dice"])
    return -math.inf if math.isnan(dice) else dice


def _seconds(row: dict[str, Any]) -> float:
    return float(row["ended"] - row["started"])
