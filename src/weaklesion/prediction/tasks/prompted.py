"""Predictions of networks that see the mark, gated by the agreement with the mark."""

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from torch import nn

from weaklesion.data.samples import read_rows, split_ids
from weaklesion.mark_shapes import MarkShape
from weaklesion.prediction.files import PredictionFiles
from weaklesion.prediction.gate import gated_mask
from weaklesion.prediction.settings import PredictionSettings
from weaklesion.prediction.sized import sized_scores
from weaklesion.pseudo_masks import ChannelOrder, RefinedSettings, refine_scores, to_rgb
from weaklesion.study.settings import TrainingSettings
from weaklesion.support.progress import progress
from weaklesion.training.inputs import EVALUATION_BATCH
from weaklesion.training.marks import marks_of
from weaklesion.training.prompt_settings import prompt_settings
from weaklesion.training.prompts import (
    mark_rows,
    mean_of_views,
    plain_inputs,
    to_source_logits,
    views,
)
from weaklesion.training.tasks.prompted import prompted_logits

logger = logging.getLogger(__name__)


def predict(
    model: nn.Module,
    trained: TrainingSettings,
    files: PredictionFiles,
    settings: PredictionSettings,
    device: torch.device,
) -> tuple[np.ndarray, pd.DataFrame]:
    """Predict the splits of `settings` with their marks.

    Returns:
        Masks; and a table of `id`, `agreement` and `from_network`
        (`weaklesion.prediction.gate.GatedMask`).

    Raises:
        DataError: if no table of marks is named, or a sample is not in it.
    """
    ids = [name for split in settings.splits for name in split_ids(files.samples_csv, split)]
    images = read_rows(files.images_npy, files.samples_csv, ids)
    prompt = prompt_settings(trained)
    marks = marks_of(files.ellipses_csv, ids, prompt)
    ends = replace(prompt, shape="ends") if settings.compare_ends else prompt
    compared = marks if ends == prompt else marks_of(files.ellipses_csv, ids, ends)
    logits = predict_prompted(model, images, mark_rows(marks).to(device), trained)
    if settings.levels is not None:
        logits = with_levels(logits, images, marks, settings.levels, settings.channel_order)
    if settings.sized:
        logits = np.stack([sized_scores(*each) for each in zip(logits, marks, strict=True)])
    results = [
        gated_mask(scores, mark, gate=settings.gate, consistent=settings.consistent, compared=other)
        for mark, other, scores in zip(marks, compared, logits, strict=True)
    ]
    table = pd.DataFrame(
        {
            "id": ids,
            "agreement": [result.agreement for result in results],
            "from_network": [result.from_network for result in results],
        }
    )
    return np.stack([result.mask for result in results]), table


def with_levels(
    logits: np.ndarray,
    images: np.ndarray,
    marks: Sequence[MarkShape],
    settings: RefinedSettings,
    channel_order: ChannelOrder,
) -> np.ndarray:
    """Let each image's own levels decide together with the network.

    The logits take the place of the prior of pseudo-masks (`weaklesion.pseudo_masks`); its weight
    is therefore not used. Where levels cannot decide, the logits stay.

    Args:
        logits: (N, H, W) float32.
        images: (N, H, W, 3) uint8.
        marks: N shapes of marks, px.
        settings: how levels decide.
        channel_order: order of the images' channels; `center` for CT, whose channels are slices.

    Returns:
        (N, H, W) float32; at least 0 is lesion.
    """
    scored, undecided = [], 0
    rows = zip(logits, images, marks, strict=True)
    for prior, image, mark in progress(rows, total=len(images), what="images with levels"):
        scores = refine_scores(
            to_rgb(image, channel_order),
            mark,
            settings,
            ct=channel_order == "center",
            consistent=False,
            prior=prior,
        )
        undecided += scores is None
        scored.append(prior if scores is None else scores)
    logger.info("levels cannot decide on %d of %d images", undecided, len(images))
    return np.stack(scored).astype(np.float32)


@torch.inference_mode()
def predict_prompted(
    model: nn.Module, images: np.ndarray, marks: torch.Tensor, settings: TrainingSettings
) -> np.ndarray:
    """Segment images with their marks, as the mean over eight views of each crop.

    Args:
        model: a network that sees the mark.
        images: (N, H, W, 3) uint8.
        marks: (N, 5, 2) marks on the device, px (`weaklesion.training.prompts`).
        settings: settings of the training.

    Returns:
        (N, H, W) float32 logits in the images' own pixels.
    """
    prompt = prompt_settings(settings)
    rows = []
    batches = torch.arange(len(images)).split(EVALUATION_BATCH)
    for index in progress(batches, total=len(batches), what="batches predicted"):
        batch = torch.from_numpy(images[index.numpy()]).to(marks.device).permute(0, 3, 1, 2)
        shown = marks[index.to(marks.device)]
        inputs, _ = plain_inputs(batch, shown, settings.input_px, prompt)
        logits = crop_logits(model, inputs, settings)
        shape_hw = images.shape[1:3]
        merged = to_source_logits(logits, inputs[:, 3:4], shown, prompt.margin, shape_hw)
        rows.append(merged.cpu().numpy())
    return np.concatenate(rows)


def crop_logits(model: nn.Module, inputs: torch.Tensor, settings: TrainingSettings) -> torch.Tensor:
    """Return the mean of a network's logits over eight views of each crop, (B, 1, input, input).

    Args:
        model: a network that sees the mark.
        inputs: (B, 6, input, input), of `weaklesion.training.prompts.plain_inputs`.
        settings: settings of the training.
    """
    logits = [prompted_logits(model, view, settings) for view in views(inputs).unbind(1)]
    return mean_of_views(torch.stack(logits, dim=1))
