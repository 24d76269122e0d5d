"""Figure of the warped images and refitted prompts that a network with a prompt is trained on."""

import logging
from pathlib import Path

import cv2
import numpy as np
import torch

from weaklesion.data.samples import read_rows, split_ids
from weaklesion.study.settings import TrainingSettings, with_choice
from weaklesion.support.png import write_png
from weaklesion.training.inputs import IMAGENET_MEAN, IMAGENET_STD
from weaklesion.training.marks import load_marks
from weaklesion.training.prompt_settings import PromptSettings, prompt_settings
from weaklesion.training.warp_refit import num_draws, training_batch

logger = logging.getLogger(__name__)

TILE_PX = 192
GAP_PX = 4
HEAD_PX = 28
HEADS = ("sample", "first warp", "second warp", "prompt of second", "discriminant")
PROMPT, TARGET = (255, 200, 0), (0, 220, 90)


def draw_warps(
    *,
    images_npy: str | Path,
    samples_csv: str | Path,
    target_npy: str | Path,
    target_ids_csv: str | Path,
    ellipses_csv: str | Path,
    settings: TrainingSettings,
    warp_json: str | Path | None = None,
    num_samples: int,
    figure_png: str | Path,
) -> None:
    """Draw training samples, one row each: the sample, two warps of it, and two prompt channels.

    The prompt is yellow, the target green. The last two columns are the prompt and the discriminant
    of the second warp, as the network receives them.

    Args:
        images_npy: patches, (N, H, W, 3) uint8.
        samples_csv: their samples.
        target_npy: targets, (M, H, W).
        target_ids_csv: their ids.
        ellipses_csv: the marks.
        settings: settings of the arm's training.
        warp_json: file of the chosen amplitude; None for the amplitude of `settings`.
        num_samples: number of rows, evenly spaced over the training split.
        figure_png: written.
    """
    settings = with_choice(settings, warp_json)
    assert settings.prompt is not None
    ids = split_ids(samples_csv, "train")
    shown_ids = [ids[i] for i in np.linspace(0, len(ids) - 1, num_samples).round().astype(int)]
    images = torch.from_numpy(read_rows(images_npy, samples_csv, shown_ids)).permute(0, 3, 1, 2)
    targets = torch.from_numpy(read_rows(target_npy, target_ids_csv, shown_ids))[:, None]
    marks = load_marks(ellipses_csv, shown_ids, prompt_settings(settings), torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    columns = []
    for amplitude in (0.0, settings.prompt["max_amplitude"], settings.prompt["max_amplitude"]):
        prompt = PromptSettings(**{**settings.prompt, "max_amplitude": amplitude})
        draws = torch.randn(num_samples, num_draws(prompt), generator=generator)
        draws[:, 2] = 3.0  # the strongest warp of this amplitude
        if amplitude == 0:
            draws[:, 0] = -9.0  # no rotation
            draws[:, 1] = 9.0  # no reflection
        batch = training_batch(images, targets, marks, draws, TILE_PX, prompt)
        columns.append([_tile(*pair) for pair in zip(batch.inputs, batch.targets, strict=True)])
    columns += [[_grey(values) for values in batch.inputs[:, channel]] for channel in (4, 5)]
    rows = [np.concatenate(row, axis=1) for row in zip(*columns, strict=True)]
    heads = np.concatenate([_head(text) for text in HEADS], axis=1)
    write_png(figure_png, np.concatenate([heads, *rows]))
    logger.info("%d samples drawn, warped with an amplitude of %g", num_samples, amplitude)


def _tile(inputs: torch.Tensor, target: torch.Tensor) -> np.ndarray:
    """Draw a crop with the outlines of its prompt and target, (h, w, 3) uint8."""
    mean, std = (torch.tensor(values)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD))
    levels = (inputs[:3] * std + mean).clamp(0, 1) * inputs[3] + (1 - inputs[3])
    picture = np.ascontiguousarray((levels.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8))
    for mask, color in ((target[0] >= 0.5, TARGET), (inputs[4] >= 0, PROMPT)):
        contours, _ = cv2.findContours(
            mask.numpy().astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
        )
        cv2.drawContours(picture, contours, -1, color, 2, cv2.LINE_AA)
    return _framed(picture)


def _head(text: str) -> np.ndarray:
    """Draw the head of a column."""
    head = np.full((HEAD_PX, TILE_PX + 2 * GAP_PX, 3), 255, np.uint8)
    place = (GAP_PX, HEAD_PX - 9)
    cv2.putText(head, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.6, (30, 30, 30), 1, cv2.LINE_AA)
    return head


def _grey(values: torch.Tensor) -> np.ndarray:
    grey = ((values.clamp(-1, 1).numpy() + 1) * 127.5).round().astype(np.uint8)
    return _framed(np.repeat(grey[..., None], 3, axis=2))


def _framed(tile: np.ndarray) -> np.ndarray:
    return np.pad(tile, ((GAP_PX,), (GAP_PX,), (0,)), constant_values=255)
