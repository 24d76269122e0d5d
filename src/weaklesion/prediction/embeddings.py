"""Clusters of what a trained network sees, beside those of shapes.

Agarwal et al. 2020 cluster lesions by embeddings (Yan et al. 2018) that are not public; these stand
for them (docs/reference/audit.md, B2).
"""

import json
import logging
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from weaklesion.clusters import fit_and_predict
from weaklesion.data.samples import read_rows, read_samples
from weaklesion.prediction.predict import load_network
from weaklesion.supervision.class_table import write_classes
from weaklesion.support.files import write_array
from weaklesion.training.inputs import InputFrame, normalise
from weaklesion.training.steps import EVALUATION_BATCH

logger = logging.getLogger(__name__)


@torch.inference_mode()
def embed_lesions(
    *,
    model_safetensors: str | Path,
    run_json: str | Path,
    images_npy: str | Path,
    samples_csv: str | Path,
    embeddings_npy: str | Path,
    threads: int = 1,
) -> None:
    """Write the mean of a network's deepest encoder features over each sample's padded input.

    Args:
        model_safetensors: weights of a network that takes single images.
        run_json: its run's description.
        images_npy: patches, (N, side, side, 3) uint8.
        samples_csv: their samples.
        embeddings_npy: written: (N, C) float32 of length 1, a row a sample.
        threads: CPU threads.
    """
    torch.set_num_threads(threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model, settings = load_network(model_safetensors, run_json, device)
    encoder = model.get_submodule("encoder")
    images = read_rows(images_npy, samples_csv, list(read_samples(samples_csv).index))
    frame = InputFrame(
        side_px=images.shape[1], input_px=settings.input_px, pad_to_hw=settings.pad_to
    )
    rows = []
    for batch in frame.load_images(images, device).split(EVALUATION_BATCH):
        deepest = (
            encoder(frame.pad(normalise(batch, settings.normalisation)))[-1]
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

    A flip keeps the class: it says what the image shows, which a flip does not change. The
    embedding of the flipped image, which may lie in another cluster, is not computed.

    Args:
        samples_csv: the N samples, for their splits.
        embeddings_npy: of `embed_lesions`.
        clusters_csv: written: see `weaklesion.supervision.class_table`, in the samples' order.
        k: number of clusters.
        fit_on: samples that the centres are fitted to.
        seed: seed of K-means.
    """
    samples = read_samples(samples_csv)
    fitted = (samples["split"] == "train").to_numpy() | (fit_on == "all")
    labels = fit_and_predict(
        read_rows(embeddings_npy, samples_csv, list(samples.index)), fitted, k, seed=seed
    )
    write_classes(clusters_csv, list(samples.index), labels)
    logger.info("%d clusters: %s", k, json.dumps(np.bincount(labels, minlength=k).tolist()))
