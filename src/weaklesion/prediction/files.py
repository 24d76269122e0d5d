"""Files that a prediction reads and writes, and targets as predictions."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from weaklesion.data.samples import read_rows, split_ids
from weaklesion.support.files import write_array, written_whole

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class PredictionFiles:
    """The files that a prediction reads.

    Attributes:
        model_safetensors: the network's weights.
        run_json: description of the network's run, for the settings.
        images_npy: patches, (N, side, side, 3) uint8.
        samples_csv: their samples.
        ellipses_csv: ellipses of the samples' marks, or None. Networks that see the mark read those
            of the samples that they predict, co-segmentation only those of training.
        clusters_csv: clusters of the samples, or None. Co-segmentation reads those of training.
        embeddings_npy: embeddings of all samples, (N, C), or None. With embeddings, the partner in
            co-segmentation is the training sample with the nearest embedding.
    """

    model_safetensors: str | Path
    run_json: str | Path
    images_npy: str | Path
    samples_csv: str | Path
    ellipses_csv: str | Path | None = None
    clusters_csv: str | Path | None = None
    embeddings_npy: str | Path | None = None


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
    with written_whole(predictions_csv) as tmp:
        table.to_csv(tmp, index=False)
    logger.info(
        "predicted %d samples, %d of them empty",
        len(table),
        int((~masks.astype(bool).any(axis=(1, 2))).sum()),
    )
