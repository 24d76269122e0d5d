"""Clusters of RECIST shapes: the classes of the second task."""

import json
import logging
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from weaklesion.data.samples import read_samples
from weaklesion.ellipse import Ellipse
from weaklesion.recist import flipped_clicked_angle_deg
from weaklesion.supervision.class_table import FLIPS, read_classes, write_classes
from weaklesion.supervision.ellipses import read_ellipses
from weaklesion.support.files import read_array, write_json

# scikit-learn takes most of a second to import, and an ellipse's features need none of it
if TYPE_CHECKING:
    from sklearn.cluster import KMeans

logger = logging.getLogger(__name__)

Encoding = Literal["raw", "opencv", "clicked", "periodic"]

SILHOUETTE_SAMPLES = 2000
STABILITY_SEEDS = 3


def ellipse_features(
    ellipses: Sequence[Ellipse],
    *,
    encoding: Encoding,
    fitted: np.ndarray | None = None,
    clicked_angles_deg: Sequence[float] | None = None,
) -> np.ndarray:
    """Return the features that lesions are clustered by.

    - `raw`: centre x and y, width, height (px) and angle (degrees), unscaled, as in the paper
      (section 4, footnote 1). How much the angle weighs depends on the data: it carries 43 % of
      the variance on HAM10000, and 74 % on 9,921 marks of DeepLesion;
    - `opencv`: the same with the minor axis first and its direction, as `cv2.fitEllipse` gives them
      and the released code clusters them (K1): angles wrap where the major axis is vertical. The
      angle carries 72 % of the variance on HAM10000;
    - `clicked`: the same with the direction in which the short diameter was clicked, in [-90, 270):
      what the released code clusters DeepLesion by (K1); the order of two clicks moves a lesion.
      The angle carries 92 % of the variance on 9,921 marks of DeepLesion;
    - `periodic`: centre and logarithm of both axes, each standardised, then cosine and sine
      of twice the angle times the elongation 1 - height / width, so that 179 and 1 degrees are
      neighbours and a circle has no direction.

    Args:
        ellipses: N canonical ellipses, in patch pixels.
        encoding: `raw`, `opencv`, `clicked` or `periodic`.
        fitted: (N,) bool, which of them `periodic` takes mean and deviation from; all by default.
        clicked_angles_deg: N angles, for `clicked`.

    Returns:
        (N, 5) or (N, 6) float64.
    """
    raw = np.array([[e.cx, e.cy, e.width, e.height, e.angle_deg] for e in ellipses], dtype=float)
    raw = raw.reshape(-1, 5)
    if encoding == "raw":
        return raw
    if encoding == "opencv":
        angle = (raw[:, 4] + 90.0) % 180.0
        return np.column_stack([raw[:, :2], raw[:, 3], raw[:, 2], angle])
    if encoding == "clicked":
        if clicked_angles_deg is None or len(clicked_angles_deg) != len(raw):
            raise ValueError("clicked_angles_deg: one angle an ellipse is needed")
        return np.column_stack([raw[:, :2], raw[:, 3], raw[:, 2], clicked_angles_deg])
    if encoding != "periodic":
        raise ValueError(
            f"encoding: 'raw', 'opencv', 'clicked' or 'periodic' is needed, not {encoding!r}"
        )
    scaled = np.column_stack([raw[:, :2], np.log(raw[:, 2:4])])
    basis = scaled if fitted is None else scaled[fitted]
    spread = basis.std(axis=0)
    scaled = (scaled - basis.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    elongation = 1.0 - raw[:, 3] / raw[:, 2]
    double = np.deg2rad(2 * raw[:, 4])
    return np.column_stack([scaled, elongation * np.cos(double), elongation * np.sin(double)])


def flipped_features(
    ellipses: Sequence[Ellipse],
    shape_hw: tuple[int, int],
    *,
    encoding: Encoding,
    fitted: np.ndarray,
    clicked_angles_deg: Sequence[float],
) -> np.ndarray:
    """Return the features of lesions in each of the four orientations that flips give.

    `periodic` takes mean and deviation from the lesions that are not flipped.

    Args:
        ellipses: N canonical ellipses, in patch pixels.
        shape_hw: height and width of a patch, px.
        encoding: see `ellipse_features`.
        fitted: (N,) bool, see `ellipse_features`.
        clicked_angles_deg: N angles.

    Returns:
        (4, N, D) float64, in the order of `weaklesion.supervision.class_table.FLIPS`.
    """
    turned, angles = [], []
    for upside_down, left_right in FLIPS.values():
        flip = {"upside_down": upside_down, "left_right": left_right}
        turned += [ellipse.flipped(shape_hw, **flip) for ellipse in ellipses]
        angles += [flipped_clicked_angle_deg(angle, **flip) for angle in clicked_angles_deg]
    in_basis = np.zeros((len(FLIPS), len(ellipses)), dtype=bool)
    in_basis[0] = fitted
    features = ellipse_features(
        turned, encoding=encoding, fitted=in_basis.ravel(), clicked_angles_deg=angles
    )
    return features.reshape(*in_basis.shape, -1)


def fit_clusters(features: np.ndarray, k: int, *, seed: int) -> np.ndarray:
    """Cluster by K-means; return the label, 0 .. k - 1, of each row of `features` (N, D).

    scikit-learn's K-means with k-means++ and ten starts, as the released code's.

    Raises:
        ValueError: if k is below 1 or above the number of rows.
    """
    return _fit(features, k, seed).labels_.astype(np.int64)


def fit_and_predict(features: np.ndarray, fitted: np.ndarray, k: int, *, seed: int) -> np.ndarray:
    """Fit K-means to the rows that `fitted` (N,) marks; return the nearest centre of all (N,)."""
    return _fit(features[fitted], k, seed).predict(features).astype(np.int64)


def _fit(features: np.ndarray, k: int, seed: int) -> "KMeans":
    from sklearn.cluster import KMeans

    if not 1 <= k <= len(features):
        raise ValueError(
            f"k: {k} clusters of {len(features)} samples; 1 to {len(features)} can be "
            "had. Lower k, or give more samples."
        )
    return KMeans(n_clusters=k, n_init=10, random_state=seed).fit(features)


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
            (mean adjusted Rand index between three seeds), sizes, each feature's share of variance.
        k: number of clusters.
        encoding: see `ellipse_features`.
        fit_on: samples that the centres are fitted to; the others are assigned to the nearest
            (discrepancy S4: the released code fits on all splits).
        seed: seed of K-means.
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
    model = _fit(features[fitted], k, seed)
    labels = model.predict(features)
    classes = np.column_stack([labels, *map(model.predict, others)])
    write_classes(clusters_csv, list(samples.index), classes)
    sizes = np.bincount(labels, minlength=k)
    quality = {
        "k": k,
        "encoding": encoding,
        "fit_on": fit_on,
        "num_fitted": int(fitted.sum()),
        "inertia": float(model.inertia_),
        "silhouette": _silhouette(features, labels, seed),
        "stability": _stability(features[fitted], model.labels_, k, seed),
        "sizes": sizes.tolist(),
        "variance_share": (features.var(axis=0) / max(features.var(axis=0).sum(), 1e-12)).tolist(),
    }
    write_json(quality_json, quality)
    logger.info("%d clusters of %d samples: %s", k, len(samples), json.dumps(quality["sizes"]))
    logger.info(
        "another class under a flip: %s",
        ", ".join(
            f"{name} {100 * np.mean(flipped != labels):.1f} %"
            for name, flipped in zip(list(FLIPS)[1:], classes.T[1:], strict=True)
        ),
    )


def shuffle_labels(labels: pd.DataFrame, splits: pd.Series, *, seed: int) -> pd.DataFrame:
    """Shuffle labels within each split: the control whose classes say nothing of a lesion.

    Whole rows are shuffled: a sample's class under a flip is that of the lesion whose class it got,
    under the same flip.

    Args:
        labels: classes of each sample, indexed by sample id (`weaklesion.supervision.class_table`).
        splits: split of each sample, indexed by sample id.
        seed: decides the order.

    Returns:
        Labels indexed as before; every split has as many of each row as before.
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
    """Return the mean adjusted Rand index between the clusters of three seeds, two by two."""
    from sklearn.metrics import adjusted_rand_score

    steps = range(1, STABILITY_SEEDS)
    labels = [first, *(_fit(features, k, seed + step).labels_ for step in steps)]
    return float(np.mean([adjusted_rand_score(a, b) for a, b in combinations(labels, 2)]))


def _silhouette(features: np.ndarray, labels: np.ndarray, seed: int) -> float | None:
    """Return the mean silhouette; None where it is undefined (one cluster, or one a sample)."""
    from sklearn.metrics import silhouette_score

    if not 2 <= len(np.unique(labels)) < min(len(labels), SILHOUETTE_SAMPLES):
        return None
    size = min(len(labels), SILHOUETTE_SAMPLES)
    return float(silhouette_score(features, labels, sample_size=size, random_state=seed))
