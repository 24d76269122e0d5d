"""Choose how far images are warped, by the marks that short trainings recover.

See `weaklesion.selection.recovery` for the criterion. Marks of the validation split are perturbed,
which no training sees; no dense mask is read.
"""

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import pandas as pd

from weaklesion.data.ellipse_table import read_ellipses
from weaklesion.data.samples import read_rows, split_ids
from weaklesion.ellipse import ellipse_iou
from weaklesion.prediction.network import load_network
from weaklesion.prediction.tasks.prompted import predict_prompted
from weaklesion.pseudo_masks import main_part
from weaklesion.selection.recovery import RecoverySettings, ellipse_or, mean_recovery
from weaklesion.study.settings import TrainingSettings
from weaklesion.supervision.perturbed import noise_of
from weaklesion.support.files import write_json, written_whole
from weaklesion.support.limits import MinItems, at_least, check_settings
from weaklesion.training.data import TrainingFiles
from weaklesion.training.device import compute_device
from weaklesion.training.prompts import ellipse_rows
from weaklesion.training.train import RunOptions, train_arm

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ShortTraining:
    """How the short trainings, one per amplitude, differ from the arm's own training."""

    amplitudes: Annotated[
        tuple[float, ...],
        MinItems(1),
        at_least(0),
        "Strongest warps to choose from; of equally good ones the smallest is chosen.",
    ]
    steps: Annotated[int, at_least(1), "Steps of each training."]

    def __post_init__(self) -> None:
        check_settings(self)


def choose_warp(
    *,
    files: TrainingFiles,
    settings: TrainingSettings,
    short: ShortTraining,
    recovery: RecoverySettings,
    seed: int,
    recovery_csv: str | Path,
    choice_json: str | Path,
    threads: int = 1,
) -> None:
    """Train with each amplitude for a short time, and choose the one that recovers most.

    Args:
        files: of the arm's training.
        settings: of the arm's training; its amplitude is not read.
        short: see `ShortTraining`.
        recovery: see `weaklesion.selection.recovery.RecoverySettings`.
        seed: of the trainings.
        recovery_csv: written: `id, max_amplitude, given_iou, recovered_iou`.
        choice_json: written: `max_amplitude`, and the mean of `recovered_iou` of every amplitude.
        threads: CPU threads.
    """
    assert settings.prompt is not None
    assert files.ellipses_csv is not None
    device = compute_device()
    ids = sorted(split_ids(files.samples_csv, "val"))
    order = np.random.default_rng(recovery.seed).permutation(ids)
    drawn = [str(name) for name in order[: recovery.images]]
    images = read_rows(files.images_npy, files.samples_csv, drawn)
    ellipses = read_ellipses(files.ellipses_csv)
    given = {
        name: ellipses[name].perturbed(noise_of(name, recovery.seed), recovery.mark_noise)
        for name in drawn
    }
    prompts = ellipse_rows([given[name] for name in drawn]).to(device)
    rows = []
    for amplitude in short.amplitudes:
        chosen = replace(
            settings,
            prompt={**settings.prompt, "max_amplitude": amplitude},
            epochs=1,
            iterations=short.steps,
        )
        with TemporaryDirectory() as folder:
            train_arm(
                files=files,
                run_dir=folder,
                settings=chosen,
                seed=seed,
                options=RunOptions(threads=threads),
            )
            model, _ = load_network(f"{folder}/model.safetensors", f"{folder}/run.json", device)
        logits = predict_prompted(model, images, prompts, chosen)
        for name, scores in zip(drawn, logits, strict=True):
            found = ellipse_or(main_part(scores >= 0, given[name]), given[name])
            rows.append(
                {
                    "id": name,
                    "max_amplitude": amplitude,
                    "given_iou": ellipse_iou(given[name], ellipses[name]),
                    "recovered_iou": ellipse_iou(found, ellipses[name]),
                }
            )
    table = pd.DataFrame(rows)
    with written_whole(recovery_csv) as beside:
        table.to_csv(beside, index=False, float_format="%.6g")
    means = {
        amplitude: mean_recovery(table[table["max_amplitude"] == amplitude])
        for amplitude in short.amplitudes
    }
    best = max(means, key=lambda amplitude: (means[amplitude], -amplitude))
    shown = {f"{amplitude:g}": round(mean, 6) for amplitude, mean in means.items()}
    write_json(choice_json, {"max_amplitude": best, "recovered_iou": shown, "images": len(drawn)})
    logger.info("recovery of %d marks by amplitude: %s; %g taken", len(drawn), shown, best)
