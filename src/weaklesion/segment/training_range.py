"""Whether images and marks are like those that the network was trained on."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from weaklesion.errors import DataError
from weaklesion.marks.table import BadMarkError
from weaklesion.segment.visibility import is_grey
from weaklesion.study.trained_on import UNKNOWN, TrainedOn
from weaklesion.support.tables import read_column

logger = logging.getLogger(__name__)

DEFAULT_WINDOW_HU = (-160.0, 240.0)  # of networks whose images had a window each, or none
SLACK = 0.01  # part by which a number may leave a range, for rounding


def window_for(given: tuple[float, float] | None, data: TrainedOn) -> tuple[float, float]:
    """Return the window through which grey values become levels: the one of the training.

    Args:
        given: the window that the user asks for, or None.
        data: what the network was trained on.

    Raises:
        DataError: if another window is given to a network of CT, or of an unknown modality. For
            scans whose values have no common scale, such as MR, it is only logged.
    """
    trained = data.window_hu
    if trained is None:
        window = given or DEFAULT_WINDOW_HU
        if data.is_grey:
            logger.info("values from %g to %g become black to white", *window)
        return window
    if given is None or tuple(given) == trained:
        return trained
    numbers = f"{given[0]:g} to {given[1]:g}", f"{trained[0]:g} to {trained[1]:g}"
    if data.modality in ("CT", UNKNOWN):
        raise DataError(
            f"window: {numbers[0]} is not that of the training, {numbers[1]}, and the network knows"
            " no other. Leave --window out. If its images are not CT, say so with weaklesion"
            " describe-run --modality."
        )
    logger.warning("window: %s, but the network was trained with %s", *numbers)
    return given


def check_kind(around: np.ndarray, name: str, data: TrainedOn) -> None:
    """Check that an image is of the kind that the network was trained on.

    Args:
        around: (h, w, 3) uint8, the image near a mark.
        name: of the image.
        data: what the network was trained on.

    Raises:
        BadMarkError: if one of the two is grey, and the other coloured.
    """
    if is_grey(around) != data.is_grey:
        kind = "coloured" if data.is_grey else "grey, as CT is,"
        raise BadMarkError(
            f"{name} is {kind} near the mark, but the network was trained on {data.named()}: give"
            " the run of a network for this kind of image"
        )


def outside_training(
    row: dict[str, Any], spacing: tuple[float, float] | None, data: TrainedOn
) -> str:
    """Return in words where a mark lies outside what the network was trained on; "" if inside.

    Args:
        row: row of `measurements.csv`, with the mark's diameters.
        spacing: mm per px of x and y, or None.
        data: what the network was trained on.
    """
    notes = []
    for unit, trained in (("px", data.long_px), ("mm", data.long_mm)):
        length = row.get(f"given_long_{unit}")
        if trained is not None and length is not None:
            ends = trained["p0"], trained["p100"]
            notes.append(_outside(f"long diameter of {length:.4g} {unit}", [length], ends))
    if data.spacing_mm is not None and spacing is not None:
        text = " x ".join(f"{mm:.4g}" for mm in dict.fromkeys(spacing))
        notes.append(_outside(f"{text} mm per px", spacing, data.spacing_mm))
    return "; ".join(filter(None, notes))


def _outside(what: str, values: Sequence[float], ends: tuple[float, float]) -> str:
    low, high = ends[0] * (1 - SLACK), ends[1] * (1 + SLACK)
    if all(low <= value <= high for value in values):
        return ""
    return f"{what}, trained on {ends[0]:.4g} to {ends[1]:.4g}"


def count_outside(measurements_csv: Path) -> int:
    """Return the number of marks in `measurements.csv` that lie outside the training."""
    return sum(text != "" for text in read_column(measurements_csv, "outside_training"))
