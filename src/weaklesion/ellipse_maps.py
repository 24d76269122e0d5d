"""Fields and maps of ellipses: each pixel's radius, and the affine map from one to another."""

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from weaklesion.ellipse import Ellipse


def elliptic_radius(ellipse: "Ellipse", shape_hw: tuple[int, int]) -> np.ndarray:
    """Return each pixel's radius, (H, W) float32: 0 at the centre, 1 on the ellipse.

    >>> from weaklesion.ellipse import Ellipse
    >>> elliptic_radius(Ellipse(1.0, 0.0, 2.0, 1.0, 0.0), (1, 4)).tolist()
    [[1.0, 0.0, 1.0, 2.0]]
    """
    inverse = np.linalg.inv(ellipse.shape_matrix())
    dy, dx = np.mgrid[: shape_hw[0], : shape_hw[1]].astype(np.float32)
    dx, dy = dx - ellipse.cx, dy - ellipse.cy
    squared = inverse[0, 0] * dx * dx + 2 * inverse[0, 1] * dx * dy + inverse[1, 1] * dy * dy
    return np.sqrt(np.maximum(squared, 0)).astype(np.float32)


def affine_between(source: "Ellipse", target: "Ellipse") -> np.ndarray:
    """Return the (2, 3) affine map that takes one ellipse onto another.

    The map is the one whose matrix is symmetric and positive, as in optimal transport between
    Gaussians: it does not mirror, and it rotates as little as possible.

    >>> from weaklesion.ellipse import Ellipse
    >>> affine_between(Ellipse(0.0, 0.0, 2.0, 2.0, 0.0), Ellipse(1.0, 2.0, 4.0, 4.0, 0.0)).round(6)
    array([[2., 0., 1.],
           [0., 2., 2.]])
    """
    from scipy.linalg import sqrtm  # slow to import, and few jobs warp

    first, second = source.shape_matrix(), target.shape_matrix()
    root = np.real(sqrtm(first))
    inverse = np.linalg.inv(root)
    linear = inverse @ np.real(sqrtm(root @ second @ root)) @ inverse
    start, end = np.array([source.cx, source.cy]), np.array([target.cx, target.cy])
    return np.column_stack([linear, end - linear @ start])


def carry_ellipse(scores: np.ndarray, source: "Ellipse", target: "Ellipse") -> np.ndarray:
    """Move scores by the affine map that takes one ellipse onto another.

    Args:
        scores: (H, W) float32.
        source: where the ellipse lies in `scores`, px.
        target: where it lies in the result, px.

    Returns:
        (H, W) float32; -1 where the source lies outside of the scores.
    """
    height, width = scores.shape
    return cv2.warpAffine(
        scores,
        affine_between(source, target),
        (width, height),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=-1.0,
    )
