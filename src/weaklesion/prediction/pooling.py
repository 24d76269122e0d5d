"""One result of all folds of a cross-validation, each of which predicts its test samples."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from weaklesion.data.samples import split_ids
from weaklesion.errors import DataError
from weaklesion.prediction.files import write_predictions
from weaklesion.splits import SPLITS
from weaklesion.support.files import read_array, read_json, write_json

logger = logging.getLogger(__name__)

# What the folds of a run have in common: they differ in samples only.
SHARED = ("code", "settings", "settings_sha256", "seed", "versions", "num_parameters", "threads")


def pool_predictions(
    *,
    samples_csv: str | Path,
    fold_predictions_npys: Sequence[str | Path],
    fold_predictions_csvs: Sequence[str | Path],
    predictions_npy: str | Path,
    predictions_csv: str | Path,
) -> None:
    """Gather the predictions of all folds, in the order of the samples.

    Args:
        samples_csv: samples of the cross-validated protocol, all of them tested.
        fold_predictions_npys: masks of each fold's test samples.
        fold_predictions_csvs: their tables, in the same order of folds.
        predictions_npy: written: masks of all samples, (N, H, W) uint8.
        predictions_csv: written: their table, with the columns of the folds' tables.

    Raises:
        DataError: unless each sample is predicted in exactly one fold.
    """
    tables = [pd.read_csv(path, dtype={"id": str}) for path in fold_predictions_csvs]
    table = pd.concat(tables, ignore_index=True)
    masks = np.concatenate([read_array(path) for path in fold_predictions_npys])
    ids = pd.Index(table["id"])
    expected = split_ids(samples_csv, "test")
    if len(masks) != len(ids) or sorted(ids) != sorted(expected):
        raise DataError(
            f"{fold_predictions_csvs[0]} and the other folds: {len(ids)} predictions of"
            f" {ids.nunique()} samples, but {samples_csv} has {len(expected)} samples, and one fold"
            " tests each. Delete the folds' predictions and run again."
        )
    rows = ids.get_indexer(expected)
    write_predictions(masks[rows], table.iloc[rows], predictions_npy, predictions_csv)


def pool_runs(*, fold_run_jsons: Sequence[str | Path], run_json: str | Path) -> None:
    """Describe the training runs of all folds as one run.

    Times are sums, the peak of memory and the number of epochs are the largest ones, and the speed
    is the mean. The settings are those of the first fold. The entry `folds` has the descriptions of
    the folds, which may differ in what each takes from its own samples: the number of epochs of
    another training, and the amplitude of warps.

    Raises:
        DataError: if the folds differ in another setting.
    """
    infos = [read_json(path) for path in fold_run_jsons]
    if any(_common(info["settings"]) != _common(infos[0]["settings"]) for info in infos):
        raise DataError(
            f"{fold_run_jsons[0]} and the other folds: their settings differ. Delete their folders"
            " and run again."
        )
    gpu_bytes = [info["peak_gpu_memory_bytes"] for info in infos]
    content = {key: infos[0][key] for key in SHARED} | {
        "device": ", ".join(sorted({info["device"] for info in infos})),
        "wall_s": sum(info["wall_s"] for info in infos),
        "images_per_second": sum(info["images_per_second"] for info in infos) / len(infos),
        "epochs_run": max(info["epochs_run"] for info in infos),
        "peak_memory_bytes": max(info["peak_memory_bytes"] for info in infos),
        "peak_gpu_memory_bytes": None if None in gpu_bytes else max(gpu_bytes),
        "folds": infos,
    }
    write_json(run_json, content)
    logger.info("%d folds, %.2f hours in all", len(infos), content["wall_s"] / 3600)


def _common(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that the folds of a run have in common."""
    common = {key: value for key, value in settings.items() if key != "epochs"}
    if common.get("prompt") is not None:
        common["prompt"] = {
            key: value for key, value in common["prompt"].items() if key != "max_amplitude"
        }
    return common


def pool_accuracies(
    *, fold_accuracy_jsons: Sequence[str | Path], accuracy_json: str | Path
) -> None:
    """Average the accuracy of the second task over the folds, each weighted by its samples.

    A sample of `num_samples` counts once per fold that it is in: once in `test` and `val`.
    """
    folds = [read_json(path) for path in fold_accuracy_jsons]
    content = {"num_classes": folds[0]["num_classes"]}
    write_json(
        accuracy_json,
        content | {split: _pooled([fold[split] for fold in folds]) for split in SPLITS},
    )


def _pooled(parts: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    total = sum(part["num_samples"] for part in parts)
    means = {
        key: sum(part[key] * part["num_samples"] for part in parts) / total
        for key in ("accuracy", "majority")
    }
    return {"num_samples": total, **means}
