"""The network of a run as `weaklesion segment` uses it: crops in, logits out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from weaklesion.errors import DataError
from weaklesion.prediction.network import RUN_FILES, load_prompted_run
from weaklesion.prediction.tasks.prompted import crop_logits
from weaklesion.segment.crops import Crop
from weaklesion.study.settings import TrainingSettings
from weaklesion.study.trained_on import TrainedOn, read_trained_on
from weaklesion.training.device import compute_device
from weaklesion.training.prompts import (
    PromptSettings,
    mark_rows,
    plain_inputs,
    to_source_logits,
)
from weaklesion.training.tasks.prompted import prompt_settings


@dataclass(frozen=True)
class Predictor:
    """A network that reads marks.

    Attributes:
        model: the network, on its device.
        trained: settings of its training.
        device: where it computes.
        data: what it was trained on.
    """

    model: torch.nn.Module
    trained: TrainingSettings
    device: torch.device
    data: TrainedOn

    @property
    def prompt(self) -> PromptSettings:
        """How the network is prompted."""
        return prompt_settings(self.trained)

    @torch.inference_mode()
    def logits(self, crops: Sequence[Crop]) -> list[np.ndarray]:
        """Return the logits of crops, (h, w) float32 each, in px of the image.

        Raises:
            DataError: if they are not finite.
        """
        shown = [mark_rows([crop.shrunk]).to(self.device) for crop in crops]
        inputs = torch.cat(
            [
                plain_inputs(crop.image.to(self.device), mark, self.trained.input_px, self.prompt)[
                    0
                ]
                for crop, mark in zip(crops, shown, strict=True)
            ]
        )
        logits = crop_logits(self.model, inputs, self.trained)
        if not torch.isfinite(logits).all():
            raise DataError(
                "the network's outputs are not finite: its weights are damaged. Copy"
                " model.safetensors of the trained run again, or train again."
            )
        return [
            to_source_logits(
                crop_logit[None],
                crop_input[None, 3:4],
                mark_rows([crop.shape]).to(self.device),
                self.prompt.margin,
                crop.shape_hw,
            )[0]
            .cpu()
            .numpy()
            for crop_logit, crop_input, crop in zip(logits, inputs, crops, strict=True)
        ]


def load_predictor(folder: Path) -> Predictor:
    """Load the network of a run.

    Args:
        folder: of a trained run, with `model.safetensors` and `run.json`.

    Raises:
        DataError: if the run cannot be used, its network does not read marks, or it does not say
            what the network was trained on.
    """
    device = compute_device()
    model, trained = load_prompted_run(folder, device)
    return Predictor(model, trained, device, read_trained_on(folder / RUN_FILES[1]))
