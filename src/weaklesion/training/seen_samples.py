"""The sizes of a network's training samples, with which `segment` compares the marks of users."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from weaklesion.data.samples import read_samples
from weaklesion.recist_columns import RECIST_COLUMNS

PERCENTS = (0, 5, 50, 95, 100)


def describe_sizes(
    samples_csv: str | Path, ids: Sequence[str], shape_hw: tuple[int, int]
) -> dict[str, Any]:
    """Return what `run.json` says of the sizes of training samples.

    Args:
        samples_csv: table of the patches (`weaklesion.data.patches`).
        ids: ids of the training samples.
        shape_hw: height and width of a patch, px.

    Returns:
        `image_px`, `crop_px`, `spacing_mm`, `long_px` and `long_mm`, as in
        `weaklesion.study.trained_on.TrainedOn`; null where no sample has a spacing or a mark.
    """
    samples = read_samples(samples_csv).loc[list(ids)]
    spacing = _numbers(samples, ["mm_per_px_x", "mm_per_px_y"])
    crop = _numbers(samples, ["crop_x0", "crop_y0", "crop_x1", "crop_y1"])
    points = _numbers(samples, RECIST_COLUMNS).reshape(len(samples), 4, 2)
    axes = points[:, 1::2] - points[:, ::2]  # both diameters of each mark
    return {
        "image_px": list(shape_hw),
        "crop_px": _range(crop[:, 2:] - crop[:, :2]),
        "spacing_mm": _range(spacing),
        "long_px": _percentiles(axes),
        "long_mm": _percentiles(axes * spacing[:, None]),
    }


def _numbers(samples: pd.DataFrame, columns: Sequence[str]) -> np.ndarray:
    """Return columns as numbers, NaN where a cell or the whole column is absent."""
    table = samples.reindex(columns=list(columns))
    return table.apply(pd.to_numeric, errors="coerce").to_numpy(dtype=float)


def _range(values: np.ndarray) -> list[float] | None:
    known = values[np.isfinite(values)]
    return [float(known.min()), float(known.max())] if len(known) else None


def _percentiles(axes: np.ndarray) -> dict[str, float] | None:
    """Return percentiles of the longer of two diameters, of (N, 2, 2) vectors."""
    lengths = np.linalg.norm(axes, axis=2).max(axis=1)
    known = lengths[np.isfinite(lengths)]
    if not len(known):
        return None
    found = np.percentile(known, PERCENTS).tolist()
    return {f"p{percent}": value for percent, value in zip(PERCENTS, found, strict=True)}
