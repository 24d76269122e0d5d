"""Predictions of networks that take single images."""

import numpy as np
import pandas as pd
import torch
from torch import nn

from weaklesion.prediction.files import PredictionFiles
from weaklesion.prediction.settings import PredictionSettings
from weaklesion.prediction.tasks.patches import decide, load_split, predict_logits
from weaklesion.study.settings import TrainingSettings
from weaklesion.training.tasks.segmentation import segment_images


def predict(
    model: nn.Module,
    trained: TrainingSettings,
    files: PredictionFiles,
    settings: PredictionSettings,
    device: torch.device,
) -> tuple[np.ndarray, pd.DataFrame]:
    """Predict the test split; the table has `id`."""
    patches = load_split("test", files, trained, device)

    def segment(index: torch.Tensor) -> torch.Tensor:
        return segment_images(model, patches.inputs[index], patches.geometry, trained)[0]

    masks = decide(predict_logits(segment, patches), patches.images, settings.crf)
    return masks, pd.DataFrame({"id": patches.ids})
