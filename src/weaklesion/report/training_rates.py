"""The time of a training on a CPU, for networks of which no run was measured.

`workflow/resources/training_rates.csv` has seconds per step of ten images, measured on one CPU
thread with A1, in bfloat16 where its last column names nothing else. Between two measured sizes,
the time is interpolated by pixels; outside them, the time per pixel is that of the nearest size.
The time per image does not depend on the size of the batch.
"""

import csv
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from weaklesion.study.settings import images_of_epoch

MEASURED_BATCH = 10
VALIDATION = 1 / 3  # time of validation over the time of training


def read_rates(path: str | Path) -> dict[str, dict[int, float]]:
    """Read the table: encoder to pixels of its input to seconds per step of ten images."""
    rates: dict[str, dict[int, float]] = {}
    with Path(path).open(newline="") as stream:
        for row in csv.DictReader(stream):
            seconds = float(row["seconds_per_step"])
            rates.setdefault(row["encoder"], {})[int(row["side_px"]) ** 2] = seconds
    return rates


def seconds_per_step(
    rates: Mapping[str, Mapping[int, float]], settings: Mapping[str, Any]
) -> float | None:
    """Return the seconds of one step on one CPU thread; None for an encoder that has no rate.

    Args:
        rates: table of `read_rates`.
        settings: `encoder`, `pad_to` and `batch_size` of a training.
    """
    seconds_by_pixels = rates.get(settings["encoder"])
    if seconds_by_pixels is None:
        return None
    pixels = math.prod(settings["pad_to"])
    sizes = sorted(seconds_by_pixels)
    nearest = min(max(pixels, sizes[0]), sizes[-1])
    seconds = float(np.interp(nearest, sizes, [seconds_by_pixels[size] for size in sizes]))
    return seconds * pixels / nearest * settings["batch_size"] / MEASURED_BATCH


def training_hours(seconds: float, settings: Mapping[str, Any], train_samples: int) -> float:
    """Return the hours of all epochs with their validation, without early stopping.

    Args:
        seconds: seconds of one step.
        settings: those of `images_of_epoch`, `epochs` and `steps_per_batch`.
        train_samples: samples of the training split.
    """
    batches = math.ceil(images_of_epoch(settings, train_samples) / settings["batch_size"])
    steps = settings["epochs"] * batches * settings["steps_per_batch"]
    return float(steps * seconds * (1 + VALIDATION) / 3600)
