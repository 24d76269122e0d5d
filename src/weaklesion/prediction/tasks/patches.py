"""What predictions on resized patches share: single images and pairs of images."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from weaklesion.data.samples import read_rows
from weaklesion.prediction.crf import CRFSettings, apply_crf
from weaklesion.prediction.files import PredictionFiles
from weaklesion.study.settings import TrainingSettings
from weaklesion.support.progress import progress
from weaklesion.training.data import ids_of_split
from weaklesion.training.inputs import EVALUATION_BATCH, InputGeometry, input_geometry


class Patches(NamedTuple):
    """The patches of a split.

    Attributes:
        ids: N sample ids, the order of the others.
        images: (N, side, side, 3) uint8.
        inputs: (N, 3, input, input) uint8, on the device.
        geometry: from patch to input.
    """

    ids: list[str]
    images: np.ndarray
    inputs: torch.Tensor
    geometry: InputGeometry


def load_split(
    split: str, files: PredictionFiles, trained: TrainingSettings, device: torch.device
) -> Patches:
    """Load the patches of one split for a network of `trained`, of `train` those it was shown."""
    ids = ids_of_split(split, files.samples_csv, trained.train_samples)
    images = read_rows(files.images_npy, files.samples_csv, ids)
    geometry = input_geometry(trained, images.shape[1])
    return Patches(ids, images, geometry.load_images(images, device), geometry)


@torch.inference_mode()
def predict_logits(segment: Callable[[torch.Tensor], torch.Tensor], patches: Patches) -> np.ndarray:
    """Segment patches in batches.

    Args:
        segment: returns the map logits, (B, 1, *pad_to), of the patches of some numbers, (B,).
        patches: N patches.

    Returns:
        (N, side, side) float32 logits.
    """
    rows = []
    numbers = torch.arange(len(patches.inputs), device=patches.inputs.device)
    batches = numbers.split(EVALUATION_BATCH)
    for index in progress(batches, total=len(batches), what="batches predicted"):
        rows.append(patches.geometry.patch_logits(segment(index)).cpu().numpy())
    return np.concatenate(rows)


def decide(logits: np.ndarray, images: np.ndarray, crf: CRFSettings | None) -> np.ndarray:
    """Return the masks, (N, side, side) bool: logits of at least 0, or what the CRF decides."""
    if crf is None:
        return logits >= 0
    from scipy.special import expit  # slow to import, and few arms have a CRF

    return apply_crf(images, expit(logits), crf)
