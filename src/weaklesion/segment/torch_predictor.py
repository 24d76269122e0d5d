"""The network of a run, with PyTorch."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from weaklesion.errors import DataError
from weaklesion.prediction.network import load_prompted_run
from weaklesion.prediction.run_folder import RUN_FILES
from weaklesion.prediction.tasks.prompted import crop_logits
from weaklesion.segment.crops import Crop
from weaklesion.segment.predictor import Predictor
from weaklesion.study.trained_on import read_trained_on
from weaklesion.training.device import compute_device
from weaklesion.training.prompts import mark_rows, plain_inputs, to_source_logits


@dataclass(frozen=True, kw_only=True)
class TorchPredictor(Predictor):
    """A network that reads marks.

    Attributes:
        model: the network, on its device.
        device: where it computes.
        threads: CPU threads while it computes; None for PyTorch's own number.
    """

    model: torch.nn.Module
    device: torch.device
    threads: int | None

    @torch.inference_mode()
    def logits(self, crops: Sequence[Crop]) -> list[np.ndarray]:
        """Return the logits of crops, see `Predictor.logits`."""
        with _cpu_threads(self.threads):
            return self._logits(crops)

    def _logits(self, crops: Sequence[Crop]) -> list[np.ndarray]:
        inputs = torch.cat([self._input(crop) for crop in crops])
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

    def _input(self, crop: Crop) -> torch.Tensor:
        """Return the network's input of a crop, (1, 6, input, input)."""
        image = torch.from_numpy(crop.image).permute(2, 0, 1)[None].to(self.device)
        mark = mark_rows([crop.shrunk]).to(self.device)
        return plain_inputs(image, mark, self.trained.input_px, self.prompt)[0]


@contextmanager
def _cpu_threads(number: int | None) -> Iterator[None]:
    """Set PyTorch's number of CPU threads while the block runs, then restore the caller's."""
    before = torch.get_num_threads()
    torch.set_num_threads(number or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def load_run(folder: Path, threads: int | None) -> TorchPredictor:
    """Load the network of a run, see `weaklesion.segment.predictor.load_predictor`."""
    device = compute_device()
    model, trained = load_prompted_run(folder, device)
    network, run_json = (folder / name for name in RUN_FILES)
    return TorchPredictor(
        files=(network, run_json),
        trained=trained,
        data=read_trained_on(run_json),
        model=model,
        device=device,
        threads=threads,
    )
