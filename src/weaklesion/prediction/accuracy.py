"""How accurately a network predicts the classes of its second task."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from weaklesion.errors import DataError
from weaklesion.prediction.files import PredictionFiles
from weaklesion.prediction.network import load_network
from weaklesion.prediction.tasks.patches import Patches, load_split
from weaklesion.splits import SPLITS
from weaklesion.study.settings import TrainingSettings
from weaklesion.supervision.class_table import read_clusters
from weaklesion.support.files import write_json
from weaklesion.training.data import ids_of_split
from weaklesion.training.device import compute_device
from weaklesion.training.inputs import EVALUATION_BATCH
from weaklesion.training.tasks.segmentation import segment_images

logger = logging.getLogger(__name__)


def measure_accuracy(
    *, files: PredictionFiles, accuracy_json: str | Path, threads: int = 1
) -> None:
    """Measure a multi-task network's accuracy on its classes, on every split.

    Samples of the training split that the network was not trained on (`train_samples`) are left
    out.

    Args:
        files: files that are read; `clusters_csv` has the classes that the network was trained on.
        accuracy_json: written: the number of classes; and per split `accuracy`, `majority` (the
            accuracy of always guessing the most frequent class of training) and `num_samples`.
        threads: CPU threads.

    Raises:
        DataError: if the network has no classes, or the weights belong to another network.
    """
    torch.set_num_threads(threads)
    device = compute_device()
    model, trained = load_network(files.model_safetensors, files.run_json, device)
    if trained.num_classes is None:
        raise DataError(f"{files.run_json}: {trained.model} has no classes to measure.")
    assert files.clusters_csv is not None
    clusters = read_clusters(files.clusters_csv)
    trained_ids = ids_of_split("train", files.samples_csv, trained.train_samples)
    majority = clusters[trained_ids].mode()[0]
    accuracy: dict[str, Any] = {"num_classes": trained.num_classes}
    for split in SPLITS:
        patches = load_split(split, files, trained, device)
        true = clusters[patches.ids].to_numpy()
        accuracy[split] = {
            "accuracy": float(np.mean(predict_classes(model, trained, patches) == true)),
            "majority": float(np.mean(true == majority)),
            "num_samples": len(patches.ids),
        }
    write_json(accuracy_json, accuracy)
    logger.info("accuracy: %s", {split: accuracy[split]["accuracy"] for split in SPLITS})


@torch.inference_mode()
def predict_classes(model: nn.Module, trained: TrainingSettings, patches: Patches) -> np.ndarray:
    """Return the most likely class of each of N patches, (N,) int64."""
    predicted = []
    for batch in patches.inputs.split(EVALUATION_BATCH):
        _, logits = segment_images(model, batch, patches.geometry, trained)
        assert logits is not None
        predicted.append(logits.argmax(dim=1).cpu().numpy())
    return np.concatenate(predicted)
