"""The network of a run as `weaklesion segment` uses it: crops in, logits out. Imports no torch."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from weaklesion.errors import DataError
from weaklesion.prediction.run_folder import has_torch, network_files
from weaklesion.segment.crops import Crop
from weaklesion.study.settings import TrainingSettings
from weaklesion.study.trained_on import TrainedOn
from weaklesion.training.prompt_settings import PromptSettings, prompt_settings


@dataclass(frozen=True, kw_only=True)
class Predictor(ABC):
    """A network that reads marks.

    Attributes:
        files: its file, and the description of its run.
        trained: settings of its training.
        data: what it was trained on.
    """

    files: tuple[Path, Path]
    trained: TrainingSettings
    data: TrainedOn

    @property
    def prompt(self) -> PromptSettings:
        """How the network is prompted."""
        return prompt_settings(self.trained)

    @abstractmethod
    def logits(self, crops: Sequence[Crop]) -> list[np.ndarray]:
        """Return the logits of crops, (h, w) float32 each, in px of the image.

        Raises:
            DataError: if they are not finite.
        """


def load_predictor(model: str | Path, threads: int | None = None) -> Predictor:
    """Load the network of a run: with PyTorch, or with ONNX Runtime if it was exported.

    Args:
        model: folder of a trained run or of an exported network, or an exported `.onnx` file
            (`weaklesion.prediction.run_folder.network_files`).
        threads: CPU threads; None for what PyTorch or ONNX Runtime chooses.

    Raises:
        DataError: if the run cannot be used, its network does not read marks, it does not say what
            the network was trained on, or what runs it is not installed.
    """
    network, run_json = network_files(model)
    if network.suffix == ".onnx":
        from weaklesion.segment.onnx_predictor import load_onnx

        return load_onnx(network, run_json, threads)
    if not has_torch():
        raise DataError(
            f"{network}: runs with PyTorch, which is not installed: pip install"
            " 'weaklesion[torch]'. Without it, give the model.onnx that weaklesion export writes."
        )
    from weaklesion.segment.torch_predictor import load_run

    return load_run(network.parent, threads)
