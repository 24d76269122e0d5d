"""How long a training takes on a CPU, where no run of its network was measured.

`workflow/resources/training_rates.csv` has seconds per step, measured on one CPU thread with A1,
ten images per batch, in bfloat16. Sizes between two that were measured are interpolated by their
pixels; outside them a step takes as long per pixel as at the nearest size. An image takes as long
in a batch of any other size.
"""

import csv
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

MEASURED_BATCH = 10
VALIDATION = 1 / 3  # of the time of training, on top


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
        rates: of `read_rates`.
        settings: `encoder`, `pad_to` and `batch_size` of a training.
    """
    measured = rates.get(settings["encoder"])
    if measured is None:
        return None
    pixels = math.prod(settings["pad_to"])
    sizes = sorted(measured)
    nearest = min(max(pixels, sizes[0]), sizes[-1])
    seconds = float(np.interp(nearest, sizes, [measured[size] for size in sizes]))
    return seconds * pixels / nearest * settings["batch_size"] / MEASURED_BATCH


def images_of_epoch(settings: Mapping[str, Any], train_samples: int) -> int:
    """Return how many images an epoch shows, each counted once however many steps it is in.

    Args:
        settings: `iterations`, `train_samples` and `batch_size` of a training.
        train_samples: samples of the training split.
    """
    if settings["iterations"] is not None:
        return int(settings["iterations"] * settings["batch_size"])
    return min(train_samples, settings["train_samples"] or train_samples)


def training_hours(seconds: float, settings: Mapping[str, Any], train_samples: int) -> float:
    """Return the hours of all epochs with their validation, if none is saved by early stopping.

    Args:
        seconds: of one step.
        settings: those above, `epochs` and `steps_per_batch`.
        train_samples: samples of the training split.
    """
    batches = math.ceil(images_of_epoch(settings, train_samples) / settings["batch_size"])
    steps = settings["epochs"] * batches * settings["steps_per_batch"]
    return float(steps * seconds * (1 + VALIDATION) / 3600)
