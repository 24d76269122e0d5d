"""All metrics of many pairs of masks; `weaklesion.scoring.catalogue` defines them."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from joblib import Parallel, delayed

from weaklesion.metric_names import DIAMETERS, IN_MM
from weaklesion.metrics import formulas
from weaklesion.metrics.pair import MaskPair
from weaklesion.support.progress import progress

TOLERANCE_PX = 2.0
CHUNK = 64  # pairs per task of a worker

# How each metric of `weaklesion.scoring.catalogue` is computed from a pair; the diameters follow.
COMPUTED: dict[str, Callable[[MaskPair], float]] = {
    "iou": formulas.iou,
    "dice": formulas.dice,
    "volumetric_similarity": formulas.volumetric_similarity,
    "center_error": lambda pair: formulas.center_error(pair, "box"),
    "perimeter_error": lambda pair: formulas.perimeter_error(pair, "boundary"),
    "perimeter_error_canny_half": lambda pair: formulas.perimeter_error(pair, "canny_half"),
    "hausdorff": formulas.hausdorff,
    "average_hausdorff": lambda pair: formulas.average_hausdorff(pair, "max", "foreground"),
    "precision": formulas.precision,
    "recall": formulas.recall,
    "surface_dice": lambda pair: formulas.surface_dice(
        pair, TOLERANCE_PX * pair.spacing[0], "pixels"
    ),
    "centroid_error": lambda pair: formulas.center_error(pair, "centroid"),
    "perimeter_error_contour": lambda pair: formulas.perimeter_error(pair, "contour"),
    "hausdorff_95": lambda pair: formulas.hausdorff_percentile(pair, 95.0),
    "average_hausdorff_mean": lambda pair: formulas.average_hausdorff(pair, "mean", "foreground"),
    "average_hausdorff_border": lambda pair: formulas.average_hausdorff(pair, "max", "border"),
    "average_hausdorff_border_mean": lambda pair: formulas.average_hausdorff(
        pair, "mean", "border"
    ),
    "average_surface_distance": formulas.average_surface_distance,
}
# Fractions from 0 to 1; all others are distances.
OVERLAPS = (
    "iou",
    "dice",
    "volumetric_similarity",
    "precision",
    "recall",
    "surface_dice",
)


def measure_pair(
    ref: np.ndarray,
    pred: np.ndarray,
    marked_px: tuple[float, float],
    marked_mm: tuple[float, float],
    spacing_mm: tuple[float, float] | None,
) -> dict[str, float]:
    """Return all measures of one pair by name; measures in mm only if the spacing is known.

    Args:
        ref: (H, W) reference.
        pred: (H, W) prediction.
        marked_px: long and short marked diameter, px.
        marked_mm: the same in mm; ignored without `spacing_mm`.
        spacing_mm: mm per pixel of rows and columns, or None.

    >>> values = measure_pair(np.eye(4) > 0, np.eye(4) > 0, (4.0, 1.0), (0.0, 0.0), None)
    >>> values["dice"], values["short_diameter_error"]
    (1.0, 1.0)
    """
    pair = MaskPair(ref, pred)
    values = {name: compute(pair) for name, compute in COMPUTED.items()}
    values |= _diameter_errors(pair, marked_px)
    if spacing_mm is not None:
        scaled = MaskPair(ref, pred, spacing_mm)
        in_mm = {name: COMPUTED[name](scaled) for name in IN_MM if name in COMPUTED}
        in_mm |= _diameter_errors(scaled, marked_mm)
        values |= {f"{name}_mm": value for name, value in in_mm.items()}
    return values


def _diameter_errors(pair: MaskPair, marked: tuple[float, float]) -> dict[str, float]:
    return {
        name: formulas.diameter_error(pair, marked[axis], axis)
        for axis, name in enumerate(DIAMETERS)
    }


def measure_pairs(
    refs: np.ndarray,
    preds: np.ndarray,
    marked_px: np.ndarray,
    marked_mm: np.ndarray,
    spacings_mm: Sequence[tuple[float, float] | None],
    *,
    workers: int = 1,
) -> Iterator[dict[str, float]]:
    """Measure many pairs, on several cores.

    Args:
        refs: (N, H, W) references.
        preds: (N, H, W) predictions.
        marked_px: (N, 2) long and short marked diameters, px.
        marked_mm: (N, 2) the same in mm; nan where unknown.
        spacings_mm: N spacings or None, see `measure_pair`.
        workers: processes.

    Yields:
        The measures of each pair, in order.
    """

    def chunk(start: int) -> list[tuple]:
        rows = range(start, min(start + CHUNK, len(refs)))
        return [
            (refs[i], preds[i], tuple(marked_px[i]), tuple(marked_mm[i]), spacings_mm[i])
            for i in rows
        ]

    starts = range(0, len(refs), CHUNK)
    results = Parallel(n_jobs=workers, return_as="generator")(
        delayed(_measure_all)(chunk(start)) for start in starts
    )
    for measured in progress(results, total=len(starts), what="chunks of samples scored"):
        yield from measured


def _measure_all(pairs: list[tuple]) -> list[dict[str, float]]:
    return [measure_pair(*pair) for pair in pairs]
