"""The marks of samples, for networks that see them."""

from collections.abc import Sequence
from pathlib import Path

import torch

from weaklesion.data.ellipse_table import read_mark_shapes
from weaklesion.errors import DataError
from weaklesion.mark_shapes import MarkShape
from weaklesion.training.prompt_settings import PromptSettings
from weaklesion.training.prompts import mark_rows


def marks_of(
    ellipses_csv: str | Path | None, ids: Sequence[str], settings: PromptSettings
) -> list[MarkShape]:
    """Return the marks of N samples as a network sees them, by id.

    Args:
        ellipses_csv: table of the marks (`weaklesion.data.ellipse_table`).
        ids: the samples.
        settings: how the network is prompted.

    Raises:
        DataError: if no table is named, or a sample is not in it.
    """
    if ellipses_csv is None:
        raise DataError("a network that sees the mark needs marks, and no table of marks is named.")
    marks = read_mark_shapes(ellipses_csv, settings.shape, settings.exponent)
    missing = [name for name in ids if name not in marks]
    if missing:
        raise DataError(f"{ellipses_csv}: sample {missing[0]} is not in it. Draw again.")
    return [marks[name] for name in ids]


def load_marks(
    ellipses_csv: str | Path | None,
    ids: Sequence[str],
    settings: PromptSettings,
    device: torch.device,
) -> torch.Tensor:
    """Load the marks of N samples onto the device, (N, 5, 2) float32 px; see `marks_of`."""
    return mark_rows(marks_of(ellipses_csv, ids, settings)).to(device)
