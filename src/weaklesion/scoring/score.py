"""Score the predictions of one run: one row per sample and metric, with a status."""

import logging
import math
from pathlib import Path

import numpy as np
import pandas as pd

from weaklesion.data.samples import read_rows, read_samples
from weaklesion.errors import DataError
from weaklesion.metric_names import DIAMETERS
from weaklesion.metrics.measures import OVERLAPS, measure_pairs
from weaklesion.scoring.diameters import marked_diameters
from weaklesion.support.files import written_whole

logger = logging.getLogger(__name__)


def score_predictions(
    *,
    predictions_npy: str | Path,
    predictions_csv: str | Path,
    reference_npy: str | Path,
    reference_ids_csv: str | Path,
    samples_csv: str | Path,
    scores_csv: str | Path,
    dataset: str,
    protocol: str,
    arm: str,
    seed: int,
    workers: int = 1,
) -> None:
    """Score every test sample.

    Args:
        predictions_npy: (T, H, W) uint8 of 0 and 1.
        predictions_csv: `id` of each prediction.
        reference_npy: (N, H, W) uint8 of 0 and 1.
        reference_ids_csv: `id` of each reference.
        samples_csv: the N samples.
        scores_csv: written: `dataset, protocol, arm, seed, id, group, metric, value, status,
            worst`. Metrics are those of `weaklesion.metrics.measures`, in mm only for samples with
            a spacing. The status is `ok`, `empty_prediction`, `empty_reference` or `both_empty`; a
            value is missing exactly if the metric is undefined. `worst` is the worst possible
            value: 0 for overlaps, the patch's diagonal for distances; missing for the diameters of
            a sample without a mark, which have nothing to be compared with.
        dataset: the run's dataset.
        protocol: the run's protocol.
        arm: the run's arm.
        seed: the run's seed.
        workers: number of processes.

    Raises:
        DataError: if a test sample has no prediction, or a prediction belongs to no test sample.
    """
    samples = read_samples(samples_csv)
    test = samples[samples["split"] == "test"]
    _check_ids(predictions_csv, list(test.index))
    predictions = read_rows(predictions_npy, predictions_csv, list(test.index))
    references = read_rows(reference_npy, reference_ids_csv, list(test.index))
    scores = _score(test, references, predictions, workers)
    run: dict[str, str | int] = {
        "dataset": dataset,
        "protocol": protocol,
        "arm": arm,
        "seed": seed,
    }
    for position, (column, value) in enumerate(run.items()):
        scores.insert(position, column, value)
    with written_whole(scores_csv) as temporary:
        scores.to_csv(temporary, index=False, float_format="%.9g")
    logger.info(
        "scored %d samples: mean Dice %.4f; %s",
        len(test),
        scores.loc[scores["metric"] == "dice", "value"].mean(),
        scores.drop_duplicates("id")["status"].value_counts().to_dict(),
    )


def _check_ids(predictions_csv: str | Path, test_ids: list[str]) -> None:
    predicted = pd.read_csv(predictions_csv, dtype={"id": str})["id"]
    if sorted(predicted) != sorted(test_ids):
        unmatched = sorted(set(predicted) ^ set(test_ids))
        raise DataError(
            f"{predictions_csv}: {len(unmatched)} test samples lack a prediction, or are not test"
            f" samples: {', '.join(unmatched[:10])}. Predict again."
        )


def _score(
    test: pd.DataFrame, references: np.ndarray, predictions: np.ndarray, workers: int
) -> pd.DataFrame:
    """Return the columns `id, group, metric, value, status, worst` of all test samples.

    Args:
        test: the T test samples.
        references: (T, H, W) uint8 of 0 and 1.
        predictions: (T, H, W) uint8 of 0 and 1.
        workers: number of processes.
    """
    spacings = spacings_mm(test)
    marked = marked_diameters(test, 1.0, 1.0)
    measured = measure_pairs(
        references,
        predictions,
        marked,
        marked_diameters(test, test["mm_per_px_x"], test["mm_per_px_y"]),
        spacings,
        workers=workers,
    )
    height, width = references.shape[1:]
    diagonals_mm = [
        math.hypot(height * rows, width * columns)
        for rows, columns in (spacing or (math.nan, math.nan) for spacing in spacings)
    ]
    rows = []
    has_mark = ~np.isnan(marked).any(axis=1)
    pairs = zip(
        test["group"].items(),
        references,
        predictions,
        diagonals_mm,
        has_mark,
        measured,
        strict=True,
    )
    for (sample_id, group), ref, pred, diagonal_mm, is_marked, values in pairs:
        state = status(ref, pred)
        for metric, value in values.items():
            diagonal = diagonal_mm if metric.endswith("_mm") else math.hypot(height, width)
            worst = 0.0 if metric in OVERLAPS else diagonal
            if metric.removesuffix("_mm") in DIAMETERS and not is_marked:
                worst = math.nan
            rows.append((sample_id, group, metric, value, state, worst))
    return pd.DataFrame(rows, columns=["id", "group", "metric", "value", "status", "worst"])


def spacings_mm(samples: pd.DataFrame) -> list[tuple[float, float] | None]:
    """Return mm per pixel of rows and columns of each sample; None if it is unknown."""
    steps = samples[["mm_per_px_y", "mm_per_px_x"]].astype(float).to_numpy()
    return [None if np.isnan(step).any() else (float(step[0]), float(step[1])) for step in steps]


def status(ref: np.ndarray, pred: np.ndarray) -> str:
    """Return which of the two masks is empty, because a metric may then be undefined."""
    if ref.any():
        return "ok" if pred.any() else "empty_prediction"
    return "empty_reference" if pred.any() else "both_empty"
