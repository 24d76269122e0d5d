"""Predict the test split with a trained nnU-Net by its own command."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from weaklesion.data.samples import read_rows, split_ids
from weaklesion.nnunet.cases import DATASET, read_masks, write_images
from weaklesion.nnunet.prepare import CONFIGURATION
from weaklesion.nnunet.program import run_program
from weaklesion.nnunet.train import MODEL, TRAINER
from weaklesion.prediction.files import write_predictions
from weaklesion.support.files import read_json
from weaklesion.training.device import compute_device


def predict_nnunet(
    *,
    model_dir: str | Path,
    trainer_py: str | Path,
    images_npy: str | Path,
    samples_csv: str | Path,
    mirroring: bool,
    predictions_npy: str | Path,
    predictions_csv: str | Path,
    threads: int = 1,
) -> None:
    """Predict the test split; no reference is read, and masks come back by the samples' ids.

    Args:
        model_dir: folder of `weaklesion.nnunet.train.train_nnunet`.
        trainer_py: the trainer, in a folder of its own.
        images_npy: patches, (N, side, side, 3) uint8.
        samples_csv: their samples.
        mirroring: whether a prediction is the mean over mirrored images.
        predictions_npy: written: (T, side, side) uint8 of 0 and 1, for the T test samples.
        predictions_csv: written: `id` of each prediction.
        threads: CPU threads.

    Raises:
        DataError: if nnU-Net is not installed or fails, predicts other cases than the test samples,
            or was trained on grey images and these are not.
    """
    ids = split_ids(samples_csv, "test")
    images = read_rows(images_npy, samples_csv, ids)
    described = read_json(Path(model_dir) / MODEL / "dataset.json")
    with TemporaryDirectory() as scratch:
        given, predicted = Path(scratch) / "images", Path(scratch) / "masks"
        write_images(given, ids, images, grey=len(described["channel_names"]) == 1)
        run_program(
            "nnUNetv2_predict",
            *("-i", str(given), "-o", str(predicted), "-d", DATASET, "-c", CONFIGURATION),
            *("-f", "0", "-tr", TRAINER, "-device", compute_device().type),
            *("-npp", "0", "-nps", "0", "--disable_progress_bar"),  # in one process
            *([] if mirroring else ["--disable_tta"]),
            folders={
                "raw": Path(scratch),
                "preprocessed": Path(scratch),
                "results": Path(model_dir),
                "extTrainer": Path(trainer_py).parent,
            },
            threads=threads,
        )
        masks = read_masks(predicted, ids, images.shape[1:3])
    write_predictions(masks, pd.DataFrame({"id": ids}), predictions_npy, predictions_csv)
