"""All metrics of many pairs of masks, with what each is called and means."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from joblib import Parallel, delayed

from weaklesion import metrics
from weaklesion.metrics.pair import MaskPair
from weaklesion.support.progress import progress

TOLERANCE_PX = 2.0
TOLERANCE_MM = 2.0
CHUNK = 64  # pairs that a worker takes at once


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A metric as tables name it.

    Attributes:
        label: its name for readers.
        unit: `%` (a fraction in files), `px` or `mm`.
        larger_is_better: whether it is an overlap, from 0 to 1.
        text: its definition in a line.
        of: computes it from a pair; the marked diameters are beside it.
    """

    label: str
    unit: Literal["%", "px", "mm"]
    larger_is_better: bool
    text: str
    of: Callable[[MaskPair, tuple[float, float]], float]


def _overlap(label: str, text: str, of: Callable[[MaskPair], float]) -> Measure:
    return Measure(
        label=label, unit="%", larger_is_better=True, text=text, of=lambda pair, _: of(pair)
    )


def _distance(label: str, text: str, of: Callable[[MaskPair], float]) -> Measure:
    return Measure(
        label=label, unit="px", larger_is_better=False, text=text, of=lambda pair, _: of(pair)
    )


def _diameter(label: str, axis: int) -> Measure:
    text = "of the prediction, against the mark; both perpendicular, between pixel centres"
    return Measure(
        label=label,
        unit="px",
        larger_is_better=False,
        text=f"{('long', 'short')[axis]} RECIST diameter {text}",
        of=lambda pair, marked: metrics.pair_diameter_error(pair, marked[axis], axis),
    )


# Those of the paper first. All are computed in px; those of `MM` also in mm, where mm are known.
MEASURES: dict[str, Measure] = {
    "iou": _overlap("IoU", "|R∩P| / |R∪P|", metrics.pair_iou),
    "dice": _overlap("Dice", "2 |R∩P| / (|R| + |P|)", metrics.pair_dice),
    "volumetric_similarity": _overlap(
        "VS", "1 − |FN − FP| / (2 TP + FP + FN)", metrics.pair_volumetric_similarity
    ),
    "center_error": _distance(
        "Centre error",
        "distance of the bounding boxes' centres",
        lambda pair: metrics.pair_center_error(pair, "box"),
    ),
    "perimeter_error": _distance(
        "Perimeter error",
        "difference of the numbers of border pixels",
        lambda pair: metrics.pair_perimeter_error(pair, "boundary"),
    ),
    "perimeter_error_canny_half": _distance(
        "½ Canny difference",
        "half the difference of Canny pixels, as released (M2)",
        lambda pair: metrics.pair_perimeter_error(pair, "canny_half"),
    ),
    "hausdorff": _distance(
        "Hausdorff",
        "maximum, both ways, of the 4-connected borders; what the released code prints as AVD (M1)",
        metrics.pair_hausdorff,
    ),
    "average_hausdorff": _distance(
        "Average Hausdorff",
        "larger of the two directed means over all foreground pixels; the paper's formula for AVD",
        lambda pair: metrics.pair_average_hausdorff(pair, "max", "foreground"),
    ),
    "precision": _overlap("Precision", "|R∩P| / |P|", metrics.pair_precision),
    "recall": _overlap("Recall", "|R∩P| / |R|", metrics.pair_recall),
    "surface_dice": _overlap(
        "Surface Dice",
        f"part of both borders within {TOLERANCE_PX:g} px of the other",
        lambda pair: metrics.pair_surface_dice(pair, TOLERANCE_PX * pair.spacing[0], "pixels"),
    ),
    "centroid_error": _distance(
        "Centroid error",
        "distance of the centres of mass",
        lambda pair: metrics.pair_center_error(pair, "centroid"),
    ),
    "perimeter_error_contour": _distance(
        "Contour error",
        "difference of the lengths of the contours between pixels",
        lambda pair: metrics.pair_perimeter_error(pair, "contour"),
    ),
    "hausdorff_95": _distance(
        "HD95",
        "95th percentile of the border distances of both directions together",
        lambda pair: metrics.pair_hausdorff_percentile(pair, 95.0),
    ),
    "average_hausdorff_mean": _distance(
        "Average Hausdorff, mean",
        "mean of the two directed means over all foreground pixels; EvaluateSegmentation's AVD",
        lambda pair: metrics.pair_average_hausdorff(pair, "mean", "foreground"),
    ),
    "average_hausdorff_border": _distance(
        "Average border distance, max",
        "larger of the two directed means over border pixels",
        lambda pair: metrics.pair_average_hausdorff(pair, "max", "border"),
    ),
    "average_hausdorff_border_mean": _distance(
        "Average border distance, mean",
        "mean of the two directed means over border pixels",
        lambda pair: metrics.pair_average_hausdorff(pair, "mean", "border"),
    ),
    "average_surface_distance": _distance(
        "ASSD",
        "mean distance of the border pixels of both masks, each counted once",
        metrics.pair_average_surface_distance,
    ),
    "long_diameter_error": _diameter("Long diameter error", 0),
    "short_diameter_error": _diameter("Short diameter error", 1),
}
MM = (
    "center_error",
    "hausdorff",
    "hausdorff_95",
    "average_hausdorff",
    "average_surface_distance",
    "long_diameter_error",
    "short_diameter_error",
)


def measure_of(name: str) -> Measure:
    """Return the measure of a name of `scores.csv`; one that ends in `_mm` is in mm.

    Raises:
        KeyError: if there is none.
    """
    if name.endswith("_mm") and name[:-3] in MM:
        measure = MEASURES[name[:-3]]
        return Measure(**{**vars(measure), "unit": "mm"})
    return MEASURES[name]


def measure_pair(
    ref: np.ndarray,
    pred: np.ndarray,
    marked_px: tuple[float, float],
    marked_mm: tuple[float, float],
    spacing_mm: tuple[float, float] | None,
) -> dict[str, float]:
    """Return all measures of one pair by name; those in mm only where mm are known.

    Args:
        ref: (H, W) reference.
        pred: (H, W) prediction.
        marked_px: long and short marked diameter, px.
        marked_mm: the same in mm; not read without `spacing_mm`.
        spacing_mm: mm per pixel of rows and columns, or None.
    """
    pair = MaskPair(ref, pred)
    values = {name: measure.of(pair, marked_px) for name, measure in MEASURES.items()}
    if spacing_mm is not None:
        scaled = MaskPair(ref, pred, spacing_mm)
        values |= {f"{name}_mm": MEASURES[name].of(scaled, marked_mm) for name in MM}
    return values


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
