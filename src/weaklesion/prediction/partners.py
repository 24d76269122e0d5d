"""The training sample that a test image is segmented with, chosen without the reference."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from weaklesion.clusters import Encoding, ellipse_features
from weaklesion.data.ellipse_table import read_ellipses
from weaklesion.data.samples import read_rows
from weaklesion.ellipse import Ellipse, fit_ellipse
from weaklesion.supervision.class_table import read_clusters


def choose_partners(
    masks: np.ndarray,
    train_ids: Sequence[str],
    ellipses_csv: str | Path,
    clusters_csv: str | Path,
    encoding: Encoding,
) -> dict[str, np.ndarray]:
    """Choose one of the training samples for each of (T, side, side) first predictions.

    Returns:
        `partner` and `partner_cluster`, see `nearest_partners`.
    """
    marked = read_ellipses(ellipses_csv)
    clusters = read_clusters(clusters_csv)
    predicted = [_ellipse_or_none(mask) for mask in masks]
    # the mark of a training sample fills the row of a mask without an ellipse
    filled = [ellipse or marked[train_ids[0]] for ellipse in predicted]
    together = [marked[name] for name in train_ids] + filled
    # a predicted mask has no clicked angle, so that OpenCV's is used
    features = ellipse_features(
        together,
        encoding="opencv" if encoding == "clicked" else encoding,
        fitted=np.arange(len(together)) < len(train_ids),
    )
    partners, partner_clusters = nearest_partners(
        predicted,
        features[len(train_ids) :],
        features[: len(train_ids)],
        clusters[list(train_ids)].to_numpy(),
    )
    return {"partner": np.array(train_ids)[partners], "partner_cluster": partner_clusters}


def nearest_by_embedding(
    embeddings_npy: str | Path,
    samples_csv: str | Path,
    train_ids: Sequence[str],
    ids: Sequence[str],
) -> np.ndarray:
    """Return the training sample with the nearest embedding for each test sample.

    Args:
        embeddings_npy: (N, C), one row per sample.
        samples_csv: the N samples.
        train_ids: the training samples.
        ids: T test samples.

    Returns:
        (T,) ids of training samples.
    """
    trained, tested = (
        read_rows(embeddings_npy, samples_csv, list(names)) for names in (train_ids, ids)
    )
    # among vectors of length 1 the nearest has the largest product
    return np.array(train_ids)[(tested @ trained.T).argmax(axis=1)]


def _ellipse_or_none(mask: np.ndarray) -> Ellipse | None:
    try:
        return fit_ellipse(mask)
    except ValueError:
        return None


def nearest_partners(
    predicted: Sequence[Ellipse | None],
    features: np.ndarray,
    train_features: np.ndarray,
    train_labels: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Choose partners by the shapes of first predictions; no reference is read.

    A sample's cluster is the cluster whose training samples have the nearest mean features, and its
    partner is the cluster's training sample with the nearest features. A sample without a first
    prediction gets the training sample that is nearest to the mean of all.

    Args:
        predicted: N ellipses of first predictions; None where a prediction has no ellipse.
        features: (N, D) features of those ellipses; rows without an ellipse are not read.
        train_features: (M, D) features of the training samples' ellipses.
        train_labels: (M,) their clusters.

    Returns:
        (N,) numbers of the partners among the training samples, and (N,) their clusters.
    """
    clusters = np.unique(train_labels)
    centers = np.array([train_features[train_labels == c].mean(axis=0) for c in clusters])
    average = np.linalg.norm(train_features - train_features.mean(axis=0), axis=1).argmin()
    partners = np.full(len(predicted), average)
    for number, ellipse in enumerate(predicted):
        if ellipse is not None:
            nearest = clusters[np.linalg.norm(centers - features[number], axis=1).argmin()]
            members = np.flatnonzero(train_labels == nearest)
            distances = np.linalg.norm(train_features[members] - features[number], axis=1)
            partners[number] = members[distances.argmin()]
    return partners, train_labels[partners]
