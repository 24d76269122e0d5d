"""Clusters of RECIST shapes: the classes of the second task."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from weaklesion.ellipse import Ellipse
from weaklesion.flips import FLIPS
from weaklesion.recist import flipped_clicked_angle_deg

# scikit-learn takes most of a second to import, and ellipse_features does not use it
if TYPE_CHECKING:
    from sklearn.cluster import KMeans

Encoding = Literal["raw", "opencv", "clicked", "periodic"]


def ellipse_features(
    ellipses: Sequence[Ellipse],
    *,
    encoding: Encoding = "raw",
    fitted: np.ndarray | None = None,
    clicked_angles_deg: Sequence[float] | None = None,
) -> np.ndarray:
    """Return the features by which lesions are clustered.

    - `raw`: centre x and y, width, height (px) and angle (degrees), unscaled, as in the paper
      (section 4, footnote 1). The weight of the angle depends on the data: it carries 43 % of
      the variance on HAM10000, and 74 % on 9,921 marks of DeepLesion;
    - `opencv`: the same with the minor axis first and its direction, as `cv2.fitEllipse` returns
      them and the released code clusters them (K1). Angles wrap where the major axis is vertical.
      The angle carries 72 % of the variance on HAM10000;
    - `clicked`: the same with the clicked direction of the short diameter, in [-90, 270), by which
      the released code clusters DeepLesion (K1). The order of the two clicks moves a lesion. The
      angle carries 92 % of the variance on 9,921 marks of DeepLesion;
    - `periodic`: centre and logarithm of both axes, each standardised, then cosine and sine
      of twice the angle times the elongation 1 - height / width. So 179 and 1 degrees are
      neighbours, and a circle has no direction.

    Args:
        ellipses: N canonical ellipses, in patch pixels.
        encoding: `raw`, `opencv`, `clicked` or `periodic`.
        fitted: (N,) bool, the ellipses from which `periodic` computes mean and deviation; all by
            default.
        clicked_angles_deg: N angles, for `clicked`.

    Returns:
        (N, 5) or (N, 6) float64.

    Raises:
        ValueError: if the encoding is unknown, or `clicked` has not one angle per ellipse.

    >>> ellipse_features([Ellipse(60.0, 50.0, 30.0, 20.0, 45.0)]).tolist()
    [[60.0, 50.0, 30.0, 20.0, 45.0]]
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
            raise ValueError("clicked_angles_deg: needs one angle per ellipse")
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
    """Return the features of lesions in each of the four orientations of a flipped image.

    `periodic` computes mean and deviation from the lesions that are not flipped.

    Args:
        ellipses: N canonical ellipses, in patch pixels.
        shape_hw: height and width of a patch, px.
        encoding: see `ellipse_features`.
        fitted: (N,) bool, see `ellipse_features`.
        clicked_angles_deg: N angles.

    Returns:
        (4, N, D) float64, in the order of `weaklesion.flips.FLIPS`.
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

    scikit-learn's K-means with k-means++ and ten starts, as in the released code.

    Raises:
        ValueError: if k is below 1 or above the number of rows that differ.

    >>> labels = fit_clusters(np.array([[0.0], [1.0], [9.0]]), 2, seed=0)
    >>> bool(labels[0] == labels[1] != labels[2])
    True
    """
    return fit_kmeans(features, k, seed).labels_.astype(np.int64)


def fit_and_predict(features: np.ndarray, fitted: np.ndarray, k: int, *, seed: int) -> np.ndarray:
    """Fit K-means to the rows where `fitted` (N,) is True; return the nearest centre of all (N,).

    >>> features = np.array([[0.0], [9.0], [8.0]])
    >>> labels = fit_and_predict(features, np.array([True, True, False]), 2, seed=0)
    >>> bool(labels[0] != labels[1] == labels[2])
    True
    """
    return fit_kmeans(features[fitted], k, seed).predict(features).astype(np.int64)


def fit_kmeans(features: np.ndarray, k: int, seed: int) -> "KMeans":
    """Fit K-means to the rows of `features` (N, D), as `fit_clusters` does; return the model.

    Raises:
        ValueError: if k is below 1 or above the number of rows that differ.
    """
    from sklearn.cluster import KMeans

    different = len(np.unique(features, axis=0))
    if not 1 <= k <= different:
        raise ValueError(
            f"k: {k} clusters of {len(features)} samples, {different} of which differ; 1 to"
            f" {different} are possible. Lower k, or give more samples."
        )
    return KMeans(n_clusters=k, n_init=10, random_state=seed).fit(features)
