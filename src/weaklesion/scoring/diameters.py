"""Lengths of the marked diameters in a table of samples."""

import numpy as np
import pandas as pd


def marked_diameters(
    samples: pd.DataFrame, mm_x: float | pd.Series, mm_y: float | pd.Series
) -> np.ndarray:
    """Return (N, 2) lengths of the long and short marked diameters; nan if a factor is nan."""
    lengths = []
    for axis in ("long", "short"):
        dx = (samples[f"{axis}_b_x"] - samples[f"{axis}_a_x"]) * mm_x
        dy = (samples[f"{axis}_b_y"] - samples[f"{axis}_a_y"]) * mm_y
        lengths.append(np.hypot(dx, dy))
    return np.sort(np.column_stack(lengths).astype(float), axis=1)[:, ::-1]
