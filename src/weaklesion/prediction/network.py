"""A run's trained network."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from weaklesion.errors import DataError
from weaklesion.models import build_model
from weaklesion.prediction.run_folder import (
    RUN_FILES,
    check_reads_marks,
    no_network,
    read_settings,
)
from weaklesion.study.settings import TrainingSettings
from weaklesion.training.cpu_convolutions import speed_up_on_cpu


def load_prompted_run(folder: Path, device: torch.device) -> tuple[nn.Module, TrainingSettings]:
    """Return the network of a run that reads marks, see `load_network`.

    Args:
        folder: of a trained run, with `model.safetensors` and `run.json`.
        device: where it computes.

    Raises:
        DataError: if the run cannot be used, or its network does not read marks.
    """
    for name in RUN_FILES:
        if not (folder / name).is_file():
            raise DataError(f"{folder}: has no {name}. Give the folder of a trained run.")
    model, trained = load_network(folder / RUN_FILES[0], folder / RUN_FILES[1], device)
    check_reads_marks(folder, trained)
    return model, trained


def load_network(
    model_safetensors: str | Path, run_json: str | Path, device: torch.device | str
) -> tuple[nn.Module, TrainingSettings]:
    """Return a run's trained network, ready to predict, and its settings.

    Args:
        model_safetensors: the weights, `model.safetensors` of the run's folder.
        run_json: the settings of the training, `run.json` of the same folder.
        device: where it computes: `cpu`, `cuda` or a device of PyTorch.

    Returns:
        The network on its device, in evaluation mode; and the settings of its training. What it
        takes and returns is in `build_model`, by the settings' `model`.

    Raises:
        DataError: if another version made the run, or the weights are truncated or belong to
            another network or are not finite, or the settings describe no network.
    """
    device = torch.device(device)
    settings = read_settings(run_json)
    try:
        model = build_model(
            settings.model,
            num_classes=settings.num_classes,
            encoder=settings.encoder,
            options=settings.network,
        )
    except (TypeError, ValueError) as error:
        raise no_network(run_json, error) from error
    try:
        weights = load_file(model_safetensors)
        model.load_state_dict(weights)
    except (SafetensorError, RuntimeError) as error:
        raise DataError(
            f"{model_safetensors}: not the weights of {settings.model} "
            f"({str(error)[:300]}). Delete it and train again."
        ) from error
    for name, tensor in weights.items():
        if not torch.isfinite(tensor).all():
            raise DataError(
                f"{model_safetensors}: {name} has values that are not finite. Copy the file again"
                " from the trained run, or train again."
            )
    if device.type == "cpu":
        speed_up_on_cpu(model)
    return model.to(device).eval(), settings
