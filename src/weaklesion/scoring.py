"""Score the predictions of one run: one row a sample and metric, with a status."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from weaklesion import metrics
from weaklesion.errors import DataError
from weaklesion.files import written_whole
from weaklesion.progress import progress
from weaklesion.samples import read_rows, read_samples

logger = logging.getLogger(__name__)

Metric = Callable[[np.ndarray, np.ndarray], float]

METRICS: dict[str, Metric] = {
    "iou": metrics.iou,
    "dice": metrics.dice,
    "volumetric_similarity": metrics.volumetric_similarity,
    "center_error": metrics.center_error,
    "perimeter_error": metrics.perimeter_error,
    "perimeter_error_canny_half": lambda ref, pred: metrics.perimeter_error(
        ref, pred, method="canny_half"
    ),
    "hausdorff": metrics.hausdorff,
    "average_hausdorff": metrics.average_hausdorff,
}


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
) -> None:
    """Score every test sample.

    Args:
        predictions_npy: (T, H, W) uint8 of 0 and 1.
        predictions_csv: `id` of each prediction.
        reference_npy: (N, H, W) uint8 of 0 and 1.
        reference_ids_csv: `id` of each reference.
        samples_csv: the N samples.
        scores_csv: written: `dataset, protocol, arm, seed, id, group, metric, value, status`. The
            status is `ok`, `empty_prediction`, `empty_reference` or `both_empty`; a value is
            missing exactly where the metric is undefined.
        dataset: the run's dataset.
        protocol: the run's protocol.
        arm: the run's arm.
        seed: the run's seed.

    Raises:
        DataError: if a test sample has no prediction, or a prediction is no test sample's.
    """
    samples = read_samples(samples_csv)
    test = samples[samples["split"] == "test"]
    predicted = pd.read_csv(predictions_csv, dtype={"id": str})["id"]
    if sorted(predicted) != sorted(test.index):
        odd = sorted(set(predicted) ^ set(test.index))
        raise DataError(
            f"{predictions_csv}: {len(odd)} test samples lack a prediction, or are no "
            f"test samples: {', '.join(odd[:10])}. Predict again."
        )
    predictions = read_rows(predictions_npy, predictions_csv, list(test.index))
    references = read_rows(reference_npy, reference_ids_csv, list(test.index))
    run = {"dataset": dataset, "protocol": protocol, "arm": arm, "seed": seed}
    rows = []
    pairs = zip(test["group"].items(), references, predictions, strict=True)
    for (sample_id, group), ref, pred in progress(pairs, total=len(test), what="samples scored"):
        state = status(ref, pred)
        for name, metric in METRICS.items():
            rows.append(
                {
                    **run,
                    "id": sample_id,
                    "group": group,
                    "metric": name,
                    "value": metric(ref, pred),
                    "status": state,
                }
            )
    scores = pd.DataFrame(rows)
    with written_whole(scores_csv) as beside:
        scores.to_csv(beside, index=False)
    dice = scores.loc[scores["metric"] == "dice", "value"].mean()
    logger.info(
        "scored %d samples: mean Dice %.4f; %s",
        len(test),
        dice,
        scores.drop_duplicates("id")["status"].value_counts().to_dict(),
    )


def status(ref: np.ndarray, pred: np.ndarray) -> str:
    """Return which of the two masks is empty: the cases in which a metric may be undefined."""
    if ref.any():
        return "ok" if pred.any() else "empty_prediction"
    return "empty_reference" if pred.any() else "both_empty"
