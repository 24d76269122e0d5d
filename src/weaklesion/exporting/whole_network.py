"""A network that reads marks with all that surrounds it, as one function of tensors for export.

From an image and its mark to logits in the image's pixels: crop, prompt, the eight views of the
crop, their mean, and the way back. `weaklesion segment` does the same (`segment.predictor`).
"""

from typing import Any

import torch
from torch import nn
from torch.export import Dim, ExportedProgram

from weaklesion.study.settings import TrainingSettings
from weaklesion.training.inputs import normalise
from weaklesion.training.prompt_settings import prompt_settings
from weaklesion.training.prompts import (
    mean_of_views,
    plain_inputs,
    to_source_logits,
    views,
)

LARGEST_PX = 1 << 20


class WholeNetwork(nn.Module):
    """Logits of an image in which one lesion is marked."""

    def __init__(self, network: nn.Module, settings: TrainingSettings) -> None:
        """Take a network that reads marks, and the settings of its training."""
        super().__init__()
        self.network = network
        self.prompt = prompt_settings(settings)
        self.input_px = settings.input_px

    def forward(
        self,
        image: torch.Tensor,
        mark: torch.Tensor,
        result_mark: torch.Tensor,
        rows: torch.Tensor,
        columns: torch.Tensor,
    ) -> torch.Tensor:
        """Return the logits of a mark; at least 0 is lesion.

        Args:
            image: (1, 3, h, w) uint8 in the network's order of channels.
            mark: (1, 5, 2) float32, px of the image: where the diameters cross, and the vectors
                from there to both ends of the long and of the short one.
            result_mark: the same in px of the result, which may have another resolution.
            rows: (H,) float32, whose length alone counts: rows of the result.
            columns: (W,) float32, the same of its columns.

        Returns:
            (1, H, W) float32; -10 outside the crop that the network reads.
        """
        inputs, _ = plain_inputs(image, mark, self.input_px, self.prompt)
        logits = self.network(views(inputs).flatten(0, 1)).unflatten(0, (1, 8))
        return to_source_logits(
            mean_of_views(logits),
            inputs[:, 3:4],
            result_mark,
            self.prompt.margin,
            (rows.shape[0], columns.shape[0]),
        )


def example(side: int = 160) -> dict[str, torch.Tensor]:
    """Return inputs of a `WholeNetwork`, all of different size and none of them shared."""
    generator = torch.Generator().manual_seed(0)
    levels = torch.randint(0, 256, (1, 3, side, side + 40), generator=generator)
    arms = [[side / 2, side / 2 - 9], [-30.0, 2.0], [28.0, -3.0], [-1.0, -15.0], [2.0, 18.0]]
    mark = torch.tensor([arms])
    return {
        "image": levels.to(torch.uint8),
        "mark": mark,
        "result_mark": mark.clone(),  # the same tensor would become one input
        "rows": torch.arange(side, dtype=torch.float32),
        "columns": torch.arange(side + 40, dtype=torch.float32),
    }


def export_program(network: nn.Module, settings: TrainingSettings) -> ExportedProgram:
    """Return a network that reads marks, with all that surrounds it, as `torch.export` has it.

    Args:
        network: on the CPU, ready to predict.
        settings: settings of its training.
    """
    whole = WholeNetwork(network, settings).eval()
    inputs = example()
    normalise(inputs["image"])  # its constants are made once, and not while it is exported
    sizes: Any = {
        "image": {2: _size("image_height"), 3: _size("image_width")},
        "mark": {},
        "result_mark": {},
        "rows": {0: _size("height")},
        "columns": {0: _size("width")},
    }
    with torch.no_grad():
        return torch.export.export(whole, tuple(inputs.values()), dynamic_shapes=sizes)


def _size(name: str) -> Any:
    return Dim(name, min=2, max=LARGEST_PX)


def without_solver(program: ExportedProgram) -> ExportedProgram:
    """Return a program whose 3x3 systems are solved by cofactors, because ONNX has no solver."""
    table = torch.export.default_decompositions()
    table[torch.ops.aten.linalg_solve.default] = solved_by_cofactors
    return program.run_decompositions(table)


def solved_by_cofactors(
    matrix: torch.Tensor, right: torch.Tensor, *, left: bool = True
) -> torch.Tensor:
    """Solve 3x3 systems as `torch.linalg.solve` does.

    Args:
        matrix: (B, 3, 3).
        right: (B, 3, 1).
        left: as of `torch.linalg.solve`; True.

    Returns:
        (B, 3, 1).
    """
    assert left
    a, b, c = matrix.unbind(dim=2)  # columns

    def cross(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return x.roll(-1, 1) * y.roll(-2, 1) - x.roll(-2, 1) * y.roll(-1, 1)

    adjugate = torch.stack([cross(b, c), cross(c, a), cross(a, b)], dim=1)
    determinant = (a * adjugate[:, 0]).sum(dim=1)[:, None, None]
    return adjugate @ right / determinant
