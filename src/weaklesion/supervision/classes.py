"""Classes of the second task: clusters of the marks' ellipses, and the same shuffled."""

import json
import logging
from itertools import combinations
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from weaklesion.clusters import Encoding, fit_kmeans, flipped_features
from weaklesion.data.ellipse_table import read_ellipses
from weaklesion.data.samples import read_samples
from weaklesion.errors import DataError
from weaklesion.flips import FLIPS
from weaklesion.supervision.class_table import read_classes, write_classes
from weaklesion.support.files import read_array, write_json

logger = logging.getLogger(__name__)

SILHOUETTE_SAMPLES = 2000
STABILITY_SEEDS = 3


def cluster_lesions(
    *,
    samples_csv: str | Path,
    images_npy: str | Path,
    ellipses_csv: str | Path,
    clusters_csv: str | Path,
    quality_json: str | Path,
    k: int,
    encoding: Encoding,
    fit_on: Literal["train", "all"],
    seed: int,
) -> None:
    """Cluster the samples of a dataset by their ellipses.

    A sample's class under a flip is the cluster whose centre is nearest to its flipped ellipse.

    Args:
        samples_csv: table of the samples, for their splits.
        images_npy: the patches, (N, H, W, 3); only their size is read.
        ellipses_csv: their ellipses.
        clusters_csv: written: see `weaklesion.supervision.class_table`, in the samples' order.
        quality_json: written: inertia, silhouette (of at most 2,000 samples), stability
            (mean adjusted Rand index between three seeds), sizes, share of variance per feature.
        k: number of clusters.
        encoding: see `ellipse_features`.
        fit_on: samples to which the centres are fitted; all others are assigned to the nearest
            centre (discrepancy S4: the released code fits on all splits).
        seed: seed of K-means.

    Raises:
        DataError: if there are fewer than `k` samples of different shapes to fit to.
    """
    samples = read_samples(samples_csv)
    ellipses = read_ellipses(ellipses_csv)
    fitted = (samples["split"] == "train").to_numpy() | (fit_on == "all")
    chosen = [ellipses[name] for name in samples.index]
    clicked = pd.read_csv(ellipses_csv, dtype={"id": str}).set_index("id")["clicked_angle_deg"]
    features, *others = flipped_features(
        chosen,
        read_array(images_npy).shape[1:3],
        encoding=encoding,
        fitted=fitted,
        clicked_angles_deg=clicked[samples.index].to_list(),
    )
    try:
        model = fit_kmeans(features[fitted], k, seed)
    except ValueError as error:
        raise DataError(f"{samples_csv}: {error}") from error
    labels = model.predict(features)
    classes = np.column_stack([labels, *map(model.predict, others)])
    write_classes(clusters_csv, list(samples.index), classes)
    quality = {
        "k": k,
        "encoding": encoding,
        "fit_on": fit_on,
        "num_fitted": int(fitted.sum()),
        "inertia": float(model.inertia_),
        "silhouette": _silhouette(features, labels, seed),
        "stability": _stability(features[fitted], model.labels_, k, seed),
        "sizes": np.bincount(labels, minlength=k).tolist(),
        "variance_share": (features.var(axis=0) / max(features.var(axis=0).sum(), 1e-12)).tolist(),
    }
    write_json(quality_json, quality)
    logger.info("%d clusters of %d samples: %s", k, len(samples), json.dumps(quality["sizes"]))
    for name, flipped in zip(list(FLIPS)[1:], classes.T[1:], strict=True):
        logger.info("%s: %.1f %% have another class", name, 100 * np.mean(flipped != labels))


def shuffle_labels(labels: pd.DataFrame, splits: pd.Series, *, seed: int) -> pd.DataFrame:
    """Shuffle labels within each split: the control whose classes do not depend on the lesion.

    Whole rows are shuffled, so a sample gets the classes of one other lesion under all flips.

    Args:
        labels: classes of each sample, indexed by sample id (`weaklesion.supervision.class_table`).
        splits: split of each sample, indexed by sample id.
        seed: decides the order.

    Returns:
        Labels with the same index; the numbers of each row per split do not change.
    """
    rng = np.random.default_rng(seed)
    shuffled = labels.copy()
    for split in sorted(splits.unique()):
        ids = splits.index[splits == split]
        shuffled.loc[ids] = labels.loc[ids].to_numpy()[rng.permutation(len(ids))]
    return shuffled


def shuffle_clusters(
    *, samples_csv: str | Path, clusters_csv: str | Path, shuffled_csv: str | Path, seed: int
) -> None:
    """Write the clusters of a dataset, shuffled within each split.

    Args:
        samples_csv: table of the samples, for their splits.
        clusters_csv: see `weaklesion.supervision.class_table`.
        shuffled_csv: written: the same columns, in the samples' order.
        seed: see `shuffle_labels`.
    """
    splits = read_samples(samples_csv)["split"]
    labels = read_classes(clusters_csv).loc[splits.index]
    shuffled = shuffle_labels(labels, splits, seed=seed)
    write_classes(shuffled_csv, list(splits.index), shuffled.to_numpy())
    same = (shuffled["cluster"] == labels["cluster"]).mean()
    logger.info("shuffled %d labels; %.1f %% stayed by chance", len(shuffled), 100 * same)


def _stability(features: np.ndarray, first: np.ndarray, k: int, seed: int) -> float:
    """Return the mean adjusted Rand index over all pairs of three seeds."""
    from sklearn.metrics import adjusted_rand_score

    steps = range(1, STABILITY_SEEDS)
    labels = [first, *(fit_kmeans(features, k, seed + step).labels_ for step in steps)]
    return float(np.mean([adjusted_rand_score(a, b) for a, b in combinations(labels, 2)]))


def _silhouette(features: np.ndarray, labels: np.ndarray, seed: int) -> float | None:
    """Return the mean silhouette of at most `SILHOUETTE_SAMPLES` samples, drawn at random.

    None if it is undefined: they are of one cluster, or each is of its own.
    """
    from sklearn.metrics import silhouette_score
    from sklearn.utils import check_random_state

    drawn = check_random_state(seed).permutation(len(labels))[:SILHOUETTE_SAMPLES]
    if not 2 <= len(np.unique(labels[drawn])) < len(drawn):
        return None
    return float(silhouette_score(features[drawn], labels[drawn]))
