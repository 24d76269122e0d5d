"""Marks as a reader might have drawn them on a lesion: like RECIST's, but not exactly by it.

`weaklesion.supervision.perturbed` moves the four ends of a mark without looking at the lesion.
Readers do look: a diameter that misses the longest extent still ends at the outline.
"""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np

from weaklesion.data.ellipse_table import read_ends
from weaklesion.data.samples import read_rows
from weaklesion.four_ends import HALVINGS, FourEnds
from weaklesion.recist import Center, diameter_crossing
from weaklesion.supervision.perturbed import noise_of, write_shapes
from weaklesion.support.limits import CheckedSettings, at_least

logger = logging.getLogger(__name__)

NUM_DRAWS = 8
STEP_PX = 0.05  # at which a ray looks for the outline
LEAST_SHARE, MOST_SHARE = 0.1, 0.9  # of the long diameter, between which the short one crosses it


@dataclass(frozen=True)
class Reader(CheckedSettings):
    """How a simulated reader departs from RECIST's definition."""

    direction_deg: Annotated[
        float,
        at_least(0),
        "Standard deviation of the long diameter's direction, degrees: it misses the longest"
        " extent.",
    ]
    tilt_deg: Annotated[
        float,
        at_least(0),
        "Standard deviation of the short diameter's angle to the perpendicular, degrees.",
    ]
    shift: Annotated[
        float,
        at_least(0),
        "Standard deviation of the place of each diameter: of the long one in lengths of the short"
        " one, of the short one in lengths of the long one.",
    ]
    inset: Annotated[
        float,
        at_least(0),
        "Size of the distance by which each end stays inside the outline, in lengths of its"
        " diameter: the absolute value of a normal number with this standard deviation.",
    ]


def read_lesion(
    mask: np.ndarray, mark: np.ndarray, reader: Reader, draws: Sequence[float]
) -> np.ndarray:
    """Return a reader's mark of a lesion.

    The long diameter is a chord of the lesion, turned and moved sideways from the mark's; the short
    one is a chord that crosses it near where the mark's does. Then the ends move inwards. A draw
    that leads outside the lesion is halved, if need be down to the mark itself. A chord ends where
    it first leaves the lesion: where the lesion is so concave that the mark's long diameter runs
    outside, the reader's is far shorter, whatever the draws.

    Args:
        mask: (H, W) bool, the lesion.
        mark: (4, 2) its mark by RECIST's definition, px: long a, long b, short a, short b.
        reader: how the reader departs from it.
        draws: eight standard normal numbers: direction, tilt, place of the long and of the short
            diameter, and the inset of each end.

    Returns:
        (4, 2) the reader's mark, px, the longer diameter first.

    Raises:
        ValueError: if the mark is none (`weaklesion.four_ends.FourEnds`).
    """
    FourEnds(mark)
    for halving in range(HALVINGS):
        points = _read(mask, mark, reader, np.asarray(draws, dtype=float) / 2**halving)
        if points is not None:
            return points
    return mark


def _read(
    mask: np.ndarray, mark: np.ndarray, reader: Reader, draws: np.ndarray
) -> np.ndarray | None:
    """Return a reader's mark, or None where a draw leads outside the lesion or to no shape."""
    direction, tilt, place_long, place_short = draws[:4]
    long_a, long_b, short_a, short_b = mark
    along, across = long_b - long_a, short_b - short_a
    turned = _turned(along, reader.direction_deg * direction)
    share = float(np.clip(diameter_crossing(mark)[0], LEAST_SHARE, MOST_SHARE))
    crossing = long_a + share * along
    long = _chord(mask, crossing + reader.shift * place_long * across, turned)
    if long is None:
        return None
    share = float(np.clip(share + reader.shift * place_short, LEAST_SHARE, MOST_SHARE))
    perpendicular = np.array([-turned[1], turned[0]])
    perpendicular *= math.copysign(1.0, perpendicular @ across)
    tilted = _turned(perpendicular, reader.tilt_deg * tilt)
    short = _chord(mask, long[0] + share * (long[1] - long[0]), tilted)
    if short is None:
        return None
    parts = reader.inset * np.abs(draws[4:])
    points = np.concatenate([_inset(long, parts[:2]), _inset(short, parts[2:])])
    if math.dist(*points[:2]) < math.dist(*points[2:]):
        points = points[[2, 3, 0, 1]]
    try:
        FourEnds(points)
    except ValueError:
        return None
    return points


def _turned(vector: np.ndarray, degrees: float) -> np.ndarray:
    angle = math.radians(degrees)
    x, y = vector
    return np.array(
        [math.cos(angle) * x - math.sin(angle) * y, math.sin(angle) * x + math.cos(angle) * y]
    )


def _chord(mask: np.ndarray, through: np.ndarray, heading: np.ndarray) -> np.ndarray | None:
    """Return the ends of the chord through a point, (2, 2); None if the point is outside."""
    unit = heading / math.hypot(*heading)
    reaches = [_reach(mask, through, sign * unit) for sign in (-1, 1)]
    if min(reaches) < 0:
        return None
    return np.stack([through - reaches[0] * unit, through + reaches[1] * unit])


def _reach(mask: np.ndarray, start: np.ndarray, unit: np.ndarray) -> float:
    """Return how far a ray stays in the mask, px; -1 if it starts outside."""
    steps = np.arange(0, math.hypot(*mask.shape), STEP_PX)
    x, y = np.floor(start[:, None] + 0.5 + unit[:, None] * steps).astype(int)
    height, width = mask.shape
    inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
    inside[inside] = mask[y[inside], x[inside]]
    outside = np.flatnonzero(~inside)
    last = outside[0] - 1 if len(outside) else len(steps) - 1
    return float(steps[last]) if last >= 0 else -1.0


def _inset(ends: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """Move both ends of a diameter towards its middle, by parts of its length below a half."""
    parts = np.minimum(parts, 0.4)[:, None]
    return ends + parts * (ends[::-1] - ends)


def simulate_readers(
    *,
    reference_npy: str | Path,
    reference_ids_csv: str | Path,
    ellipses_csv: str | Path,
    reader: dict[str, float],
    center: Center,
    ends_exponent: float,
    perturbed_csv: str | Path,
    ellipse_npy: str | Path,
    ends_npy: str | Path,
) -> None:
    """Mark every lesion anew, as a simulated reader does.

    Args:
        reference_npy: dense masks of the samples, (N, H, W) uint8 of 0 and 1.
        reference_ids_csv: `id` of each of them.
        ellipses_csv: M marks, px of the patch (`weaklesion.data.ellipse_table`).
        reader: settings of `Reader`.
        center: of the ellipses, see `weaklesion.recist.ellipse_from_recist`.
        ends_exponent: of the shapes through the four ends that are drawn.
        perturbed_csv: written: the new marks, with the columns of `ellipses_csv`.
        ellipse_npy: written: (M, H, W) uint8 of 0 and 1, the ellipses drawn.
        ends_npy: written: the same of the shapes through the four ends.

    Raises:
        weaklesion.errors.DataError: if a mark has no dense mask.
    """
    how = Reader(**reader)
    marks = read_ends(ellipses_csv, ends_exponent)
    masks = read_rows(reference_npy, reference_ids_csv, list(marks)).astype(bool)
    read = {
        name: FourEnds(
            read_lesion(mask, mark.points, how, noise_of(name, NUM_DRAWS)), ends_exponent
        )
        for (name, mark), mask in zip(marks.items(), masks, strict=True)
    }
    write_shapes(read, masks.shape[1:3], center, perturbed_csv, ellipse_npy, ends_npy)
    left = sum(np.array_equal(mark.points, marks[name].points) for name, mark in read.items())
    logger.info("marked %d lesions anew; %d more keep their mark", len(read) - left, left)
