"""A run's trained network."""

import json
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from weaklesion.errors import DataError
from weaklesion.models import build_model
from weaklesion.study.settings import TrainingSettings
from weaklesion.training.cpu_convolutions import speed_up_on_cpu


def load_network(
    model_safetensors: str | Path, run_json: str | Path, device: torch.device
) -> tuple[nn.Module, TrainingSettings]:
    """Return a run's trained network, ready to predict, and its settings.

    Raises:
        DataError: if another version made the run, or the weights are truncated or belong to
            another network.
    """
    try:
        settings = TrainingSettings(**json.loads(Path(run_json).read_text())["settings"])
    except (TypeError, KeyError, ValueError) as error:
        raise DataError(
            f"{run_json}: not the description of a run of this version ({error}). Train again."
        ) from error
    model = build_model(
        settings.model,
        num_classes=settings.num_classes,
        encoder=settings.encoder,
        options=settings.network,
    )
    try:
        model.load_state_dict(load_file(model_safetensors))
    except (SafetensorError, RuntimeError) as error:
        raise DataError(
            f"{model_safetensors}: not the weights of {settings.model} "
            f"({str(error)[:300]}). Delete it and train again."
        ) from error
    if device.type == "cpu":
        speed_up_on_cpu(model)
    return model.to(device).eval(), settings
