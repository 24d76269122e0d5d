"""Predict masks with trained networks."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn

from weaklesion.prediction.files import PredictionFiles, write_predictions
from weaklesion.prediction.network import load_network
from weaklesion.prediction.settings import PredictionSettings
from weaklesion.study.settings import TrainingSettings
from weaklesion.training.device import compute_device

Predict = Callable[
    [nn.Module, TrainingSettings, PredictionFiles, PredictionSettings, torch.device],
    tuple[np.ndarray, pd.DataFrame],
]


def predict_arm(
    *,
    files: PredictionFiles,
    predictions_npy: str | Path,
    predictions_csv: str | Path,
    settings: PredictionSettings,
    threads: int = 1,
) -> None:
    """Predict the images of some splits with a trained network; no reference is read.

    Args:
        files: files that are read.
        predictions_npy: written: (T, side, side) uint8 of 0 and 1, for the T samples of the splits.
        predictions_csv: written: `id` of each prediction, and what the task's `predict` adds
            (`weaklesion.prediction.tasks`).
        settings: see `PredictionSettings`.
        threads: CPU threads.

    Raises:
        DataError: if the weights are truncated or belong to another network, or a file that the
            task needs is missing.
        ValueError: if others than the test images are asked of a network that does not see marks.
    """
    torch.set_num_threads(threads)
    device = compute_device()
    model, trained = load_network(files.model_safetensors, files.run_json, device)
    if trained.task != "prompted" and list(settings.splits) != ["test"]:
        raise ValueError(f"a network for {trained.task} predicts only the test split")
    predict: Predict = import_module(f"weaklesion.prediction.tasks.{trained.task}").predict
    masks, table = predict(model, trained, files, settings, device)
    write_predictions(masks, table, predictions_npy, predictions_csv)
