"""Whether marks have as much contrast in their image as is usual, without asking the network."""

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from weaklesion.support.files import read_json
from weaklesion.support.tables import read_column

logger = logging.getLogger(__name__)

# Least contrast of a mark (`weaklesion.contrast`) where the network's run records none. Of right
# marks, 0 of 24 on DeepLesion and 12 % on LiTS are below the first, 1 % on HAM10000 below the
# second; of wrong ones (mm for px, exchanged x and y) 81 to 92 % on CT and 71 to 81 % on HAM10000.
LEAST_GREY, LEAST_COLOUR = 0.5, 1.0


def trained_contrast(run_json: Path) -> float | None:
    """Return the contrast that 95 % of the network's training marks have; None if not recorded."""
    recorded = read_json(run_json).get("mark_contrast")
    least = recorded.get("p5") if isinstance(recorded, dict) else None
    if isinstance(least, bool) or not isinstance(least, int | float) or not math.isfinite(least):
        return None
    return float(least)


def is_visible(contrast: float, around: np.ndarray, trained: float | None) -> bool | None:
    """Return whether a mark has as much contrast as is usual; None if the contrast is undefined.

    Args:
        contrast: of the mark.
        around: (h, w, 3) uint8, the image near the mark.
        trained: least contrast by the network's training marks, see `trained_contrast`.
    """
    if math.isnan(contrast):
        return None
    least = LEAST_GREY if is_grey(around) else LEAST_COLOUR
    return contrast >= (least if trained is None else trained)


def is_grey(levels: np.ndarray) -> bool:
    """Return whether the three channels of an image, (H, W, 3), are the same everywhere."""
    return bool((levels == levels[..., :1]).all())


def not_visible(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of `measurements.csv` whose marks have less contrast than is usual."""
    return [row for row in rows if row["visible"] is False]


def count_not_visible(measurements_csv: Path) -> int:
    """Return the number of marks in `measurements.csv` with less contrast than is usual."""
    return read_column(measurements_csv, "visible").count("False")
