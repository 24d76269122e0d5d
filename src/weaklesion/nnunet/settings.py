"""The budget of an nnU-Net, and how it predicts; all else is its own plan."""

from dataclasses import dataclass
from typing import Annotated

from weaklesion.support.limits import CheckedSettings, at_least


@dataclass(frozen=True, kw_only=True)
class Budget(CheckedSettings):
    """The budget of an nnU-Net's training; all else is its own plan.

    Raises:
        ValueError: naming the setting, the allowed values and its value.
    """

    epochs: Annotated[int, at_least(1), "Epochs; nnU-Net's own number is 1000."]
    iterations: Annotated[int, at_least(1), "Batches per epoch; nnU-Net's own number is 250."]
    val_iterations: Annotated[
        int,
        at_least(1),
        "Batches of the validation split after each epoch, which choose nothing; nnU-Net's own"
        " number is 50.",
    ]
    batch_size: Annotated[
        int | None, at_least(2), "Images per batch; null is the number that nnU-Net plans."
    ]


@dataclass(frozen=True, kw_only=True)
class NNUNetSettings(Budget):
    """The budget, and how an nnU-Net predicts, which no training reads.

    Raises:
        ValueError: naming the setting, the allowed values and its value.
    """

    mirroring: Annotated[
        bool, "Whether a prediction is the mean over mirrored images, as is nnU-Net's default."
    ]
