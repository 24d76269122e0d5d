"""Predictions of co-segmentation: each image with the help of a training image."""

import numpy as np
import pandas as pd
import torch
from torch import nn

from weaklesion.data.samples import read_rows
from weaklesion.errors import DataError
from weaklesion.networks.names import PARTNER_MODELS
from weaklesion.prediction.files import PredictionFiles
from weaklesion.prediction.partners import choose_partners, nearest_by_embedding
from weaklesion.prediction.settings import PredictionSettings
from weaklesion.prediction.tasks.patches import Patches, decide, load_split, predict_logits
from weaklesion.study.settings import TrainingSettings
from weaklesion.training.data import ids_of_split
from weaklesion.training.tasks.pairs import segment_with_partners


def predict(
    model: nn.Module,
    trained: TrainingSettings,
    files: PredictionFiles,
    settings: PredictionSettings,
    device: torch.device,
) -> tuple[np.ndarray, pd.DataFrame]:
    """Predict the test split twice: each image as its own partner, then with a chosen partner.

    The released network predicts once, because its partner changes nothing (T9).

    Returns:
        Masks; and a table of `id`, `partner` and, where the partner is the nearest in shape,
        `partner_cluster`, the cluster of the partner.

    Raises:
        DataError: see `choose`.
    """
    patches = load_split("test", files, trained, device)
    table = pd.DataFrame({"id": patches.ids})
    logits = _logits(model, trained, patches, patches.inputs)
    if trained.model in PARTNER_MODELS and settings.partner != "itself":
        train_ids = ids_of_split("train", files.samples_csv, trained.train_samples)
        table = table.assign(**choose(patches.ids, train_ids, logits >= 0, files, settings))
        images = read_rows(files.images_npy, files.samples_csv, list(table["partner"]))
        logits = _logits(model, trained, patches, patches.geometry.load_images(images, device))
    return decide(logits, patches.images, settings.crf), table


def choose(
    ids: list[str],
    train_ids: list[str],
    masks: np.ndarray,
    files: PredictionFiles,
    settings: PredictionSettings,
) -> dict[str, np.ndarray]:
    """Choose a training sample for each test sample, as `settings.partner` says.

    Args:
        ids: T test samples.
        train_ids: the samples that the network was trained on.
        masks: (T, side, side) bool, their first predictions.
        files: samples; and embeddings, or ellipses and clusters, for the nearest.
        settings: see `PredictionSettings`.

    Returns:
        `partner`, (T,) ids; by ellipses and clusters also `partner_cluster`, (T,).

    Raises:
        DataError: if ellipses or clusters are needed, and missing.
    """
    if settings.partner == "random":
        return {"partner": np.random.default_rng(settings.seed).choice(train_ids, len(ids))}
    if files.embeddings_npy is not None:
        nearest = nearest_by_embedding(files.embeddings_npy, files.samples_csv, train_ids, ids)
        return {"partner": nearest}
    if files.ellipses_csv is None or files.clusters_csv is None:
        raise DataError(
            f"{files.model_safetensors}: co-segmentation needs ellipses and clusters to choose"
            " partners."
        )
    return choose_partners(
        masks, train_ids, files.ellipses_csv, files.clusters_csv, settings.encoding
    )


def _logits(
    model: nn.Module, trained: TrainingSettings, patches: Patches, partners: torch.Tensor
) -> np.ndarray:
    """Segment patches with partners, (N, 3, input, input) uint8; return (N, side, side) logits."""

    def segment(index: torch.Tensor) -> torch.Tensor:
        images = patches.inputs[index]
        return segment_with_partners(model, images, partners[index], patches.geometry, trained)

    return predict_logits(segment, patches)
