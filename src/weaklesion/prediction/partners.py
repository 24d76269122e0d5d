"""Which training sample a test image is segmented together with, chosen without its reference."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from weaklesion.clusters import Encoding, ellipse_features
from weaklesion.data.ellipse_table import read_ellipses
from weaklesion.data.samples import read_rows, split_ids
from weaklesion.ellipse import Ellipse, fit_ellipse
from weaklesion.supervision.class_table import read_clusters


def choose_partners(
    masks: np.ndarray,
    samples_csv: str | Path,
    ellipses_csv: str | Path,
    clusters_csv: str | Path,
    encoding: Encoding,
) -> dict[str, np.ndarray]:
    """Choose a training sample for each of (T, side, side) first predictions.

    Returns:
        `partner` and `partner_cluster`, see `nearest_partners`.
    """
    train_ids = split_ids(samples_csv, "train")
    marked = read_ellipses(ellipses_csv)
    clusters = read_clusters(clusters_csv)
    predicted = [_ellipse_or_none(mask) for mask in masks]
    # where there is none, the mark of some training sample holds the row's place
    filled = [ellipse or marked[train_ids[0]] for ellipse in predicted]
    together = [marked[name] for name in train_ids] + filled
    # a predicted mask was never clicked; its angle is taken as OpenCV would give it
    features = ellipse_features(
        together,
        encoding="opencv" if encoding == "clicked" else encoding,
        fitted=np.arange(len(together)) < len(train_ids),
    )
    partners, partner_clusters = nearest_partners(
        predicted,
        features[len(train_ids) :],
        features[: len(train_ids)],
        clusters[train_ids].to_numpy(),
    )
    return {"partner": np.array(train_ids)[partners], "partner_cluster": partner_clusters}


def nearest_by_embedding(
    embeddings_npy: str | Path, samples_csv: str | Path, ids: Sequence[str]
) -> np.ndarray:
    """Return for each sample the training sample with the nearest embedding.

    Args:
        embeddings_npy: (N, C), a row a sample.
        samples_csv: the N samples.
        ids: T test samples.

    Returns:
        (T,) ids of training samples.
    """
    train_ids = split_ids(samples_csv, "train")
    trained, tested = (
        read_rows(embeddings_npy, samples_csv, wanted) for wanted in (train_ids, list(ids))
    )
    # of vectors of length 1 the nearest has the largest product
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
    """Choose partners by what a first prediction looks like; no reference is read.

    The cluster is the one whose training samples' mean features are nearest, the partner its
    member with the nearest features. A sample without a first prediction gets the training sample
    nearest to the mean of all.

    Args:
        predicted: N ellipses of first predictions; None where there is none.
        features: (N, D) features of those ellipses; rows without an ellipse are not read.
        train_features: (M, D) features of the training samples' ellipses.
        train_labels: (M,) their clusters.

    Returns:
        (N,) number of the partner among the training samples, and (N,) its cluster.
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
