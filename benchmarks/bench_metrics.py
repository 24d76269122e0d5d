"""Measure the full metric set against medpy's hd and scikit-image's Canny; print the ratio."""

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from medpy.metric.binary import hd
from skimage.feature import canny

from weaklesion.ellipse import Ellipse, draw_ellipse
from weaklesion.metrics.measures import measure_pair
from weaklesion.scoring.catalogue import MEASURES

SHAPE = (120, 120)
PAIRS = 150
ROUNDS = 7
LEAST_RATIO = 5.0


def pairs() -> list[tuple[np.ndarray, np.ndarray]]:
    """Return ellipses like lesions in a patch, and others that nearly match them."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(PAIRS):
        x, y = rng.uniform(50, 70, 2)
        width, height, angle = rng.uniform(20, 60), rng.uniform(15, 40), rng.uniform(0, 180)
        moved = rng.normal(0, 2, 5)
        ref = Ellipse(x, y, width, height, angle)
        pred = Ellipse(
            x + moved[0], y + moved[1], width + moved[2], height + moved[3], angle + moved[4]
        )
        found.append((draw_ellipse(ref, SHAPE), draw_ellipse(pred, SHAPE)))
    return found


def peers(ref: np.ndarray, pred: np.ndarray) -> None:
    """Compute two of the paper's metrics as its code does."""
    hd(pred, ref)
    for mask in (ref, pred):
        canny(mask.astype(np.uint8), sigma=1, low_threshold=1, high_threshold=1).sum()


def ours(ref: np.ndarray, pred: np.ndarray) -> None:
    """Compute all measures."""
    measure_pair(ref, pred, (40.0, 30.0), (40.0, 30.0), None)


def rate(work: Callable[[Any, Any], None], found: list[tuple[np.ndarray, np.ndarray]]) -> float:
    """Return pairs a second."""
    started = time.perf_counter()
    for ref, pred in found:
        work(ref, pred)
    return len(found) / (time.perf_counter() - started)


def main() -> int:
    """Print the rates and the ratio; return 1 if it is below the bound."""
    found = pairs()
    rates = [(rate(peers, found), rate(ours, found)) for _ in range(ROUNDS)]
    theirs, own = (statistics.median(column) for column in zip(*rates, strict=True))
    print("\n## Metrics\n\nPairs of 120x120 masks per second, on one core.\n")
    print("| Work | Pairs per second |\n|---|---|")
    print(f"| medpy's hd and two Canny calls of scikit-image | {theirs:.0f} |")
    print(f"| ours, all {len(MEASURES)} measures, these two among them | {own:.0f} |")
    met = own / theirs >= LEAST_RATIO
    print(
        f"\n{'met' if met else 'NOT MET'}: at least {LEAST_RATIO:g} times as fast: "
        f"{own / theirs:.1f}."
    )
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
