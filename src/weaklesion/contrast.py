"""The contrast of a mark: whether something of its shape is in the image where the mark is.

No network is needed. What lies inside the mark's ellipse is compared with the ring around it, one
sector of the ring after another, so that the edge of another organ, which differs on one side only,
does not count.
"""

import math

import cv2
import numpy as np

from weaklesion.ellipse import Ellipse

INSIDE, RING = 0.85, (1.15, 1.6)  # elliptic radii; pixels between them belong to neither side
SECTORS = 8
LEAST_INSIDE, LEAST_IN_SECTOR = 4, 2  # px
FINEST_PX = 40.0  # px per long axis; finer images are averaged first
LEVEL_NOISE = 1.0  # standard deviation that rounding to levels leaves unknown


def mark_contrast(levels: np.ndarray, ellipse: Ellipse) -> float:
    """Return how far the inside of a mark differs from its surroundings on most sides.

    For each of eight sectors of the ring around the ellipse: mean inside minus mean of the sector,
    divided by the standard deviation of both together. The result is the median of the sectors,
    with the sign of the difference between inside and the whole ring. Colours are first projected
    on the direction that separates inside and ring best (Fisher's discriminant).

    Args:
        levels: (H, W, 3) uint8; three equal channels are grey.
        ellipse: the mark's ellipse, px of `levels`.

    Returns:
        The contrast in standard deviations. Below 0 where most sectors differ in the other
        direction than the ring as a whole; nan if fewer than four px lie inside, or the ring is
        outside the image.

    >>> from weaklesion.ellipse import draw_ellipse
    >>> disk = draw_ellipse(Ellipse(30.0, 30.0, 20.0, 16.0, 0.0), (60, 60))
    >>> image = np.where(disk[..., None], 90, 160).repeat(3, axis=2).astype(np.uint8)
    >>> there = mark_contrast(image, Ellipse(30.0, 30.0, 20.0, 16.0, 0.0))
    >>> beside = mark_contrast(image, Ellipse(16.0, 16.0, 10.0, 8.0, 0.0))
    >>> there > 10, beside < 0.1
    (True, True)
    """
    pixels, radius, angle = _around(levels, ellipse)
    inside, ring = pixels[radius <= INSIDE], (radius > RING[0]) & (radius <= RING[1])
    if len(inside) < LEAST_INSIDE or ring.sum() < LEAST_INSIDE:
        return math.nan
    direction = _direction(inside, pixels[ring])
    inner, outer = inside @ direction, pixels[ring] @ direction
    sector = ((angle[ring] / (2 * np.pi) + 0.5) * SECTORS).astype(int) % SECTORS
    parts = [outer[sector == number] for number in range(SECTORS)]
    differences = [
        (inner.mean() - part.mean()) / math.sqrt(inner.var() + part.var() + 2 * LEVEL_NOISE**2)
        for part in parts
        if len(part) >= LEAST_IN_SECTOR
    ]
    if not differences:
        return math.nan
    brighter = np.median(inner) > np.median(outer)
    return float(np.median(differences)) * (1 if brighter else -1)


def _around(levels: np.ndarray, ellipse: Ellipse) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the pixels near an ellipse, (h, w, channels), their elliptic radii and angles."""
    height, width = levels.shape[:2]
    reach = RING[1] * max(ellipse.width, ellipse.height) / 2 + 1
    x0, y0 = max(0, math.floor(ellipse.cx - reach)), max(0, math.floor(ellipse.cy - reach))
    x1 = max(x0, min(width, math.ceil(ellipse.cx + reach) + 1))
    y1 = max(y0, min(height, math.ceil(ellipse.cy + reach) + 1))
    part: np.ndarray = np.ascontiguousarray(levels[y0:y1, x0:x1], dtype=np.float32)
    if not part.size:
        return part, np.empty(part.shape[:2]), np.empty(part.shape[:2])
    scale = min(1.0, FINEST_PX / max(ellipse.width, ellipse.height))
    size = max(1, round(scale * part.shape[1])), max(1, round(scale * part.shape[0]))
    step_x, step_y = part.shape[1] / size[0], part.shape[0] / size[1]
    if scale < 1:
        part = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
    x = (np.arange(size[0]) + 0.5) * step_x - 0.5 + x0 - ellipse.cx
    y = ((np.arange(size[1]) + 0.5) * step_y - 0.5 + y0 - ellipse.cy)[:, None]
    turned = math.radians(ellipse.angle_deg)
    along = (x * math.cos(turned) + y * math.sin(turned)) / (ellipse.width / 2)
    across = (y * math.cos(turned) - x * math.sin(turned)) / (ellipse.height / 2)
    return part, np.hypot(along, across), np.arctan2(across, along)


def _direction(inside: np.ndarray, around: np.ndarray) -> np.ndarray:
    """Return the unit vector in colour that separates two sets of pixels best."""
    if (inside[:, 0] == inside[:, 1]).all() and (around[:, 0] == around[:, 1]).all():
        return np.array([1.0, 0.0, 0.0])
    scatter = (np.cov(inside.T) + np.cov(around.T)) / 2 + 2 * LEVEL_NOISE**2 * np.eye(3)
    direction = np.linalg.solve(scatter, np.median(inside, axis=0) - np.median(around, axis=0))
    length = np.linalg.norm(direction)
    return direction / length if length > 0 else np.array([1.0, 0.0, 0.0])
