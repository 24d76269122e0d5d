"""How a network that sees the mark is prompted, and marks as arrays. Imports no torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from weaklesion.four_ends import FourEnds
from weaklesion.mark_shapes import MarkShape, ShapeKind
from weaklesion.recist import ellipse_from_recist
from weaklesion.study.settings import TrainingSettings
from weaklesion.support.limits import CheckedSettings, above, at_least


@dataclass(frozen=True, kw_only=True)
class PromptSettings(CheckedSettings):
    """How a network is prompted."""

    margin: Annotated[float, at_least(1), "Side of the crop, in long diameters of the mark."]
    max_amplitude: Annotated[
        float | None,
        at_least(0),
        "Strongest warp of training images. With 0 the network learns to copy the mark; at 1 a"
        " displacement along an axis has a standard deviation of about a sixth of the lesion's"
        " radius. Null lets `short_training` choose it.",
    ]
    clip: Annotated[float, above(0), "Bound of the displacement, in radii of the lesion."]
    mark_noise: Annotated[
        float,
        at_least(0),
        "Perturbation of the marks in training, as in `recovery.mark_noise`; 0 is none.",
    ]
    shape: Annotated[
        ShapeKind,
        "What the network is shown of a mark, and what is measured on warped targets: the"
        " `ellipse`, or the shape through the four `ends` of the RECIST mark.",
    ] = "ellipse"
    exponent: Annotated[
        float, at_least(1), "Of the shape through the four ends; 2 for ellipses."
    ] = 2.0

    def shape_of(self, points: np.ndarray) -> MarkShape:
        """Return the shape of a mark, (4, 2) px, that the network is shown.

        Raises:
            ValueError: if the mark defines none.
        """
        if self.shape == "ellipse":
            return ellipse_from_recist(points)
        return FourEnds(points, self.exponent)


def prompt_settings(settings: TrainingSettings) -> PromptSettings:
    """Return how the network of `settings` is prompted; it must be one that sees the mark."""
    assert settings.prompt is not None
    return PromptSettings(**settings.prompt)


def mark_arrays(marks: Sequence[MarkShape]) -> np.ndarray:
    """Return N marks as an array, (N, 5, 2) float32 px (`weaklesion.training.prompts`)."""
    rows = [np.vstack(mark.arms()) for mark in marks]
    return np.array(rows, dtype=np.float32).reshape(-1, 5, 2)
