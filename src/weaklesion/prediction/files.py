"""Predictions as files, and targets taken as predictions."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd

from weaklesion.data.samples import read_rows, split_ids
from weaklesion.support.files import write_array, written_whole

logger = logging.getLogger(__name__)


def predict_target(
    *,
    target_npy: str | Path,
    target_ids_csv: str | Path,
    samples_csv: str | Path,
    predictions_npy: str | Path,
    predictions_csv: str | Path,
) -> None:
    """Take a target, such as the RECIST ellipse, as the prediction of the test split."""
    ids = split_ids(samples_csv, "test")
    masks = read_rows(target_npy, target_ids_csv, ids)
    write_predictions(masks, pd.DataFrame({"id": ids}), predictions_npy, predictions_csv)


def write_predictions(
    masks: np.ndarray,
    table: pd.DataFrame,
    predictions_npy: str | Path,
    predictions_csv: str | Path,
) -> None:
    """Write (T, H, W) masks and the table of ids that they belong to."""
    write_array(predictions_npy, masks.astype(np.uint8))
    with written_whole(predictions_csv) as beside:
        table.to_csv(beside, index=False)
    logger.info(
        "predicted %d samples, %d of them empty",
        len(table),
        int((~masks.astype(bool).any(axis=(1, 2))).sum()),
    )
