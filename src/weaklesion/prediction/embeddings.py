"""Clusters of a trained network's features, an alternative to clusters of shapes.

Agarwal et al. 2020 cluster lesions by embeddings (Yan et al. 2018) that are not public; these
features replace them (docs/reference/audit.md, B2).
"""

import json
import logging
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from weaklesion.clusters import fit_and_predict
from weaklesion.data.samples import read_rows, read_samples
from weaklesion.errors import DataError
from weaklesion.prediction.files import PredictionFiles
from weaklesion.prediction.network import load_network
from weaklesion.supervision.class_table import write_classes
from weaklesion.support.files import write_array
from weaklesion.training.device import compute_device
from weaklesion.training.inputs import EVALUATION_BATCH, input_geometry, normalise

logger = logging.getLogger(__name__)


@torch.inference_mode()
def embed_lesions(*, files: PredictionFiles, embeddings_npy: str | Path, threads: int = 1) -> None:
    """Write the mean of a network's deepest encoder features over each sample's padded input.

    Args:
        files: files that are read; the network takes single images.
        embeddings_npy: written: (N, C) float32 of length 1, one row per sample.
        threads: CPU threads.
    """
    torch.set_num_threads(threads)
    device = compute_device()
    model, settings = load_network(files.model_safetensors, files.run_json, device)
    encoder = model.get_submodule("encoder")
    ids = list(read_samples(files.samples_csv).index)
    images = read_rows(files.images_npy, files.samples_csv, ids)
    geometry = input_geometry(settings, images.shape[1])
    rows = []
    for batch in geometry.load_images(images, device).split(EVALUATION_BATCH):
        deepest = (
            encoder(geometry.pad(normalise(batch, settings.normalisation)))[-1]
            .float()
            .mean(dim=(2, 3))
        )
        rows.append(torch.nn.functional.normalize(deepest).cpu().numpy())
    write_array(embeddings_npy, np.concatenate(rows))
    logger.info("%d samples embedded by %s", len(images), settings.model)


def cluster_embeddings(
    *,
    samples_csv: str | Path,
    embeddings_npy: str | Path,
    clusters_csv: str | Path,
    k: int,
    fit_on: Literal["train", "all"],
    seed: int,
) -> None:
    """Cluster the samples of a dataset by their embeddings, with K-means.

    A flipped image keeps its class, because the class describes the content of the image. The
    embedding of the flipped image, which may lie in another cluster, is not computed.

    Args:
        samples_csv: the N samples, for their splits.
        embeddings_npy: output of `embed_lesions`.
        clusters_csv: written: see `weaklesion.supervision.class_table`, in the samples' order.
        k: number of clusters.
        fit_on: samples that the centres are fitted to.
        seed: seed of K-means.

    Raises:
        DataError: if there are fewer than `k` different embeddings to fit to.
    """
    samples = read_samples(samples_csv)
    fitted = (samples["split"] == "train").to_numpy() | (fit_on == "all")
    embeddings = read_rows(embeddings_npy, samples_csv, list(samples.index))
    try:
        labels = fit_and_predict(embeddings, fitted, k, seed=seed)
    except ValueError as error:
        raise DataError(f"{embeddings_npy}: {error}") from error
    write_classes(clusters_csv, list(samples.index), labels)
    logger.info("%d clusters: %s", k, json.dumps(np.bincount(labels, minlength=k).tolist()))
