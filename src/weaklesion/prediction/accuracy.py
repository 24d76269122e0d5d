"""How well the second task is learned."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch

from weaklesion.data.samples import read_rows, split_ids
from weaklesion.errors import DataError
from weaklesion.prediction.predict import load_network
from weaklesion.splits import SPLITS
from weaklesion.supervision.class_table import read_clusters
from weaklesion.support.files import write_json
from weaklesion.training.inputs import InputFrame
from weaklesion.training.steps import EVALUATION_BATCH, network_outputs

logger = logging.getLogger(__name__)


def measure_accuracy(
    *,
    model_safetensors: str | Path,
    run_json: str | Path,
    images_npy: str | Path,
    samples_csv: str | Path,
    clusters_csv: str | Path,
    accuracy_json: str | Path,
    threads: int = 1,
) -> None:
    """Measure a multi-task network's accuracy on its classes, on every split.

    Args:
        model_safetensors: its weights.
        run_json: the run's description.
        images_npy: patches, (N, side, side, 3) uint8.
        samples_csv: their samples.
        clusters_csv: `id, cluster`, the classes that it was trained on.
        accuracy_json: written: per split the accuracy, that of always guessing the class that is
            most frequent in training, and the number of samples; and the number of classes.
        threads: CPU threads.

    Raises:
        DataError: if the network has no classes, or the weights are not its own.
    """
    torch.set_num_threads(threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model, settings = load_network(model_safetensors, run_json, device)
    if settings.num_classes is None:
        raise DataError(f"{run_json}: {settings.model} has no classes to measure.")
    clusters = read_clusters(clusters_csv)
    ids = {split: split_ids(samples_csv, split) for split in SPLITS}
    majority = clusters[ids["train"]].mode()[0]
    told: dict[str, Any] = {"num_classes": settings.num_classes}
    for split, names in ids.items():
        images = read_rows(images_npy, samples_csv, names)
        frame = InputFrame(
            side_px=images.shape[1], input_px=settings.input_px, pad_to_hw=settings.pad_to
        )
        found = []
        with torch.inference_mode():
            for batch in frame.load_images(images, device).split(EVALUATION_BATCH):
                _, logits = network_outputs(model, batch, frame, settings)
                assert logits is not None
                found.append(logits.argmax(dim=1).cpu().numpy())
        wanted = clusters[names].to_numpy()
        told[split] = {
            "accuracy": float(np.mean(np.concatenate(found) == wanted)),
            "majority": float(np.mean(wanted == majority)),
            "num_samples": len(names),
        }
    write_json(accuracy_json, told)
    logger.info("accuracy: %s", {split: told[split]["accuracy"] for split in SPLITS})
