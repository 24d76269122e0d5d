"""Choose the amplitude of warps by the recovery of perturbed marks after short training runs.

See `weaklesion.selection.recovery` for the criterion. The perturbed marks are those of the
validation split, which no training reads; no dense mask is read.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import pandas as pd

from weaklesion.data.samples import read_rows, split_ids
from weaklesion.mark_shapes import MarkShape
from weaklesion.prediction.network import load_network
from weaklesion.prediction.tasks.prompted import predict_prompted
from weaklesion.pseudo_masks import main_part
from weaklesion.selection.recovery import (
    RecoverySettings,
    mean_recovery,
    perturbed_mark,
    shape_or,
)
from weaklesion.study.settings import TrainingSettings
from weaklesion.support.files import write_json, written_whole
from weaklesion.support.limits import CheckedSettings, MinItems, at_least, at_most
from weaklesion.training.data import TrainingFiles
from weaklesion.training.device import compute_device
from weaklesion.training.marks import marks_of
from weaklesion.training.prompt_settings import prompt_settings
from weaklesion.training.prompts import mark_rows
from weaklesion.training.train import RunOptions, train_arm

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ShortTraining(CheckedSettings):
    """How the short training runs, one per amplitude, differ from the arm's own training."""

    amplitudes: Annotated[
        tuple[float, ...],
        MinItems(1),
        at_least(0),
        "Strongest warps to choose from; if several are equally good, the smallest is chosen.",
    ]
    steps: Annotated[int, at_least(1), "Steps of each training."]
    seed: Annotated[
        int, at_least(0), at_most(2**32 - 1), "Seed of each, whatever seeds the study has."
    ]


def choose_warp(
    *,
    files: TrainingFiles,
    settings: TrainingSettings,
    short: ShortTraining,
    recovery: RecoverySettings,
    recovery_csv: str | Path,
    choice_json: str | Path,
    threads: int = 1,
) -> None:
    """Train with each amplitude for a short time, and choose the amplitude that recovers most.

    Args:
        files: files of the arm's training.
        settings: settings of the arm's training; its own amplitude is ignored.
        short: amplitudes to choose from, and the length of the training runs.
        recovery: see `weaklesion.selection.recovery.RecoverySettings`.
        recovery_csv: written: `id, max_amplitude, given_iou, recovered_iou`.
        choice_json: written: `max_amplitude`, and the mean of `recovered_iou` per amplitude.
        threads: CPU threads.
    """
    assert settings.prompt is not None
    ids = sorted(split_ids(files.samples_csv, "val"))
    order = np.random.default_rng(recovery.seed).permutation(ids)
    names = [str(name) for name in order[: recovery.images]]
    images = read_rows(files.images_npy, files.samples_csv, names)
    true = marks_of(files.ellipses_csv, names, prompt_settings(settings))
    marks = [perturbed_mark(mark, name, recovery) for mark, name in zip(true, names, strict=True)]
    rows = []
    for amplitude in short.amplitudes:
        short_settings = replace(
            settings,
            prompt={**settings.prompt, "max_amplitude": amplitude},
            epochs=1,
            iterations=short.steps,
        )
        logits = _train_and_predict(files, short_settings, short.seed, threads, images, marks)
        for name, exact, mark, scores in zip(names, true, marks, logits, strict=True):
            recovered = shape_or(main_part(scores >= 0, mark), mark)
            rows.append(
                {
                    "id": name,
                    "max_amplitude": amplitude,
                    "given_iou": mark.iou(exact),
                    "recovered_iou": recovered.iou(exact),
                }
            )
    _write_choice(pd.DataFrame(rows), short.amplitudes, recovery_csv, choice_json)


def _train_and_predict(
    files: TrainingFiles,
    settings: TrainingSettings,
    seed: int,
    threads: int,
    images: np.ndarray,
    marks: Sequence[MarkShape],
) -> np.ndarray:
    """Train a network in a temporary folder; return its logits for images with marks, (N, H, W)."""
    device = compute_device()
    with TemporaryDirectory() as folder:
        options = RunOptions(threads=threads)
        train_arm(files=files, run_dir=folder, settings=settings, seed=seed, options=options)
        model, _ = load_network(f"{folder}/model.safetensors", f"{folder}/run.json", device)
    return predict_prompted(model, images, mark_rows(marks).to(device), settings)


def _write_choice(
    table: pd.DataFrame,
    amplitudes: Sequence[float],
    recovery_csv: str | Path,
    choice_json: str | Path,
) -> None:
    """Write the recovery of every mark, and the amplitude that recovers most."""
    with written_whole(recovery_csv) as tmp:
        table.to_csv(tmp, index=False, float_format="%.6g")
    means = {
        amplitude: mean_recovery(table[table["max_amplitude"] == amplitude])
        for amplitude in amplitudes
    }
    best = max(means, key=lambda amplitude: (means[amplitude], -amplitude))
    recoveries = {f"{amplitude:g}": round(mean, 6) for amplitude, mean in means.items()}
    num_marks = table["id"].nunique()
    write_json(
        choice_json,
        {"max_amplitude": best, "recovered_iou": recoveries, "images": num_marks},
    )
    logger.info("recovery of %d marks by amplitude: %s; %g chosen", num_marks, recoveries, best)
