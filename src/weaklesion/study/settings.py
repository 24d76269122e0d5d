"""Everything that decides a training, apart from its seed and its data.

Uses only the standard library, because Snakemake's own interpreter reads it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from weaklesion.networks.names import OWN_ENCODERS, PAIR_MODELS, PROMPTED_MODELS
from weaklesion.support.limits import (
    CheckedSettings,
    MinItems,
    above,
    at_least,
    below,
    multiple_of,
)

NETWORK_PARTS = {  # keys of `network` that a network takes; the others take none
    **dict.fromkeys(("a1", "a1l", "acoseg", "acoseg_released"), ("decoder_channels",)),
    "drn_fcn32": ("multi_grid",),
    "drn_coseg": ("multi_grid", "channels", "places", "danet", "decoder"),
}

TaskName = Literal["segmentation", "pairs", "prompted"]


@dataclass(frozen=True, kw_only=True)
class TrainingSettings(CheckedSettings):
    """Everything that decides a training, apart from its seed and its data.

    Each field states its type, its limits and its meaning (`weaklesion.support.limits`). After a
    change, `python tools/update_reference.py` makes the schema of the configuration and
    docs/reference/config.md from the fields.

    Raises:
        ValueError: naming the setting, the allowed values and its value.
    """

    model: Annotated[str, "Name of a network of `weaklesion.models.build_model`."]
    network: Annotated[
        Mapping[str, Any], "Parts of the network that its `build` takes, such as its attention."
    ]
    prompt: Annotated[
        Mapping[str, Any] | None,
        "How a network that sees the mark is shown it; null for all other networks.",
    ]
    num_classes: Annotated[
        int | None,
        at_least(1),
        "Number of clusters, for the multi-task networks; null for all others.",
    ] = None
    encoder: Annotated[
        Literal[
            "resnet18",
            "resnet34",
            "resnet50",
            "resnet101",
            "timm-tf_efficientnet_lite0",
            "tu-tf_mobilenetv3_small_minimal_100",
        ],
        "Encoder of the network, by its name in segmentation_models_pytorch.",
    ]
    weights: Annotated[
        Literal["imagenet", "none"],
        "Weights that the encoder starts from: ImageNet's, or `none` for a random start.",
    ]
    normalisation: Annotated[
        Literal["imagenet", "half"],
        "How input levels are normalised: by ImageNet's mean and deviation, or by 0.5 and 0.5"
        " (`half`). ImageNet weights need the one that they were trained with: EfficientNet-Lite0"
        " `half`, ResNets `imagenet`.",
    ] = "imagenet"
    input_px: Annotated[
        int, at_least(16), "Height and width to which a patch is resized, in pixels."
    ]
    pad_to: Annotated[
        tuple[int, int],
        at_least(16),
        multiple_of(16),
        "Height and width to which the resized patch is then padded, in pixels. The network needs"
        " multiples of 16, a U-Net of 32.",
    ]
    loss_region: Annotated[
        Literal["patch", "map"],
        "Where the loss is taken: on the patch, or on the whole padded map.",
    ]
    soft_targets: Annotated[
        bool,
        "Whether targets have levels of 0 to 255 instead of 0 and 1; where a mask is needed they"
        " are floored (G14).",
    ]
    segmentation_loss: Annotated[
        Literal["bce", "dice", "batch_dice"],
        "Loss of the masks: binary cross entropy; 1 minus the soft Dice of each image, which has no"
        " gradient where the target is empty; or 1 minus the soft Dice of the batch (C8).",
    ]
    classification_loss: Annotated[
        Literal["cross_entropy", "focal"],
        "Loss of the classes: cross entropy, or focal loss with gamma 2.",
    ]
    focal_weights: Annotated[
        tuple[float, ...] | None,
        MinItems(2),
        at_least(0),
        "Weight of each class in the focal loss; null weighs all classes by 1.",
    ]
    segmentation_weight: Annotated[
        float,
        at_least(0),
        "Weight of the segmentation loss (alpha_seg). With pairs of images the loss is the mean of"
        " both images, so that 2 gives the sum.",
    ]
    classification_weight: Annotated[
        float, at_least(0), "Weight of the classification loss (alpha_cls)."
    ]
    epochs: Annotated[int, at_least(1), "Largest number of epochs."]
    iterations: Annotated[
        int | None,
        at_least(1),
        "Batches per epoch, drawn from as many passes as that takes; null is one pass through the"
        " training split.",
    ]
    patience: Annotated[
        int | None,
        at_least(1),
        "Epochs without improvement after which training stops; null never stops early. Improvement"
        " is of the value that `checkpoint` ranks epochs by, else of the validation loss.",
    ]
    train_samples: Annotated[
        int | None,
        at_least(2),
        "Number of training samples, the same for every seed and a subset of any larger number;"
        " null is all.",
    ]
    batch_size: Annotated[
        int,
        at_least(2),
        "Samples per step. A single sample left over joins the last batch, because batch"
        " normalisation cannot train on one.",
    ]
    drop_last: Annotated[bool, "Whether an epoch leaves out its last batch if that is not full."]
    optimizer: Annotated[Literal["adam", "adamw", "sgd"], "Optimiser."]
    momentum: Annotated[float, at_least(0), below(1), "Momentum of SGD."]
    weight_decay: Annotated[float, at_least(0), "L2 penalty of the weights."]
    learning_rate: Annotated[
        float, above(0), "Learning rate at the start, or at the peak of the one-cycle schedule."
    ]
    schedule: Annotated[
        Literal["constant", "one_cycle", "poly", "cosine_restarts"],
        "How the learning rate changes: not at all; in one cycle; by (1 - step / steps) to the"
        " power of 0.9 (`poly`); or along a cosine that restarts every 10 epochs.",
    ]
    clip_norm: Annotated[
        float | None, above(0), "Largest norm of the gradient; null does not clip (T14)."
    ]
    zero_gradients: Annotated[
        bool,
        "Whether gradients are cleared between steps; without it they add up over the whole"
        " training (T13).",
    ]
    steps_per_batch: Annotated[
        int,
        at_least(1),
        "Steps taken on each batch, every other one with the halves of the batch swapped (T8).",
    ]
    pairs: Annotated[
        Literal["cluster", "random"],
        "Which images co-segmentation pairs: two of one cluster, or any two of a batch (T10).",
    ]
    checkpoint: Annotated[
        Literal["best_loss", "best_dice", "best_accuracy", "last", "last_if_stopped"],
        "Epoch whose weights are kept: lowest segmentation loss, highest Dice or highest accuracy"
        " of the classes on the validation split; the last; or `last_if_stopped`, the last where"
        " patience ended the training and else the lowest loss (T1).",
    ]
    ema: Annotated[
        float | None,
        above(0),
        below(1),
        "Decay of a moving average of the weights, which is then validated and kept; null is none.",
    ]
    augmentation: Annotated[
        Literal["none", "flips"], "Augmentation of training images: none, or random flips."
    ]
    precision: Annotated[
        Literal["float32", "bfloat16"],
        "Precision of the network's operations; losses are computed in float32. `bfloat16` is"
        " slower than `float32` on a CPU without instructions for it.",
    ]
    deterministic: Annotated[
        bool,
        "Whether operations are deterministic; operations of a GPU that have no such form are"
        " logged.",
    ]

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_network()
        self._check_task()
        self._check_input()

    def _check_network(self) -> None:
        """Check the parts of the network and the weights that it starts from."""
        given = {key: value for key, value in self.network.items() if value is not None}
        odd = sorted(given.keys() - set(NETWORK_PARTS.get(self.model, ())))
        if odd:
            raise ValueError(f"network: {self.model} has no {', '.join(odd)}")
        parts = "channels" in given, "places" in given
        danet = bool(given.get("danet"))
        if self.model == "drn_coseg" and (parts[0] != parts[1] or danet == parts[0]):
            raise ValueError(
                "network: drn_coseg needs either `danet: true`, or both `channels` and `places`,"
                f" not {dict(self.network)}"
            )
        if self.model.startswith("drn_") and not self.encoder.startswith("resnet"):
            raise ValueError(f"encoder: {self.model} dilates a ResNet, not {self.encoder}")
        if self.model in OWN_ENCODERS and self.weights != "none":
            raise ValueError(f"weights: {self.model} has an encoder of its own and needs 'none'")
        needed = "half" if "efficientnet_lite" in self.encoder else "imagenet"
        if self.weights == "imagenet" and self.normalisation != needed:
            raise ValueError(
                f"normalisation: ImageNet weights of {self.encoder} were trained with {needed!r},"
                f" not {self.normalisation!r}"
            )

    def _check_task(self) -> None:
        """Check the settings of the mark and of the classes against the network."""
        if (self.prompt is None) == (self.model in PROMPTED_MODELS):
            raise ValueError(f"prompt: {self.model} and {self.prompt} do not go together")
        if self.prompt is not None and self.soft_targets:
            raise ValueError("soft_targets: networks that see the mark take masks of 0 and 1")
        if self.focal_weights is not None and len(self.focal_weights) != self.num_classes:
            raise ValueError(
                f"focal_weights: one per class is needed, and {self.num_classes} classes have"
                f" {len(self.focal_weights)}"
            )
        if self.checkpoint == "best_accuracy" and self.num_classes is None:
            raise ValueError(f"checkpoint: {self.model} has no classes whose accuracy could rise")

    def _check_input(self) -> None:
        """Check the sizes of batches and of the network's input."""
        if self.is_paired and self.batch_size % 2:
            raise ValueError(f"batch_size: {self.batch_size} cannot be split into pairs")
        if self.model.startswith("unet") and any(size % 32 for size in self.pad_to):
            raise ValueError(f"pad_to: a U-Net needs multiples of 32, not {list(self.pad_to)}")

    @property
    def full_target(self) -> int:
        """Value of a target's pixel that is wholly foreground."""
        return 255 if self.soft_targets else 1

    @property
    def task(self) -> TaskName:
        """What the network is trained for, see `weaklesion.training.tasks`."""
        return task_of(self.model)

    @property
    def is_paired(self) -> bool:
        """Whether the network segments pairs of images."""
        return self.model in PAIR_MODELS

    @property
    def needs_clusters(self) -> bool:
        """Whether training reads the clusters, as classes or to draw pairs."""
        return self.num_classes is not None or (self.is_paired and self.pairs == "cluster")

    @property
    def flips_classes(self) -> bool:
        """Whether training reads the classes of flipped samples as well as the plain ones."""
        return self.num_classes is not None and self.augmentation == "flips"


def task_of(model: str) -> TaskName:
    """Return what a network is trained for, see `weaklesion.training.tasks`."""
    if model in PROMPTED_MODELS:
        return "prompted"
    return "pairs" if model in PAIR_MODELS else "segmentation"


def images_of_epoch(settings: Mapping[str, Any], train_samples: int) -> int:
    """Return the number of images of an epoch; an image counts once, in however many steps.

    Args:
        settings: `iterations`, `train_samples`, `batch_size` and `drop_last` of a training.
        train_samples: samples of the training split.
    """
    if settings["iterations"] is not None:
        return int(settings["iterations"] * settings["batch_size"])
    images = min(train_samples, settings["train_samples"] or train_samples)
    return images - images % settings["batch_size"] if settings["drop_last"] else images


def with_choice(settings: TrainingSettings, choice_json: str | Path | None) -> TrainingSettings:
    """Return settings with the warp that `selection.warp_amplitude` chose, if it chose one.

    Args:
        settings: settings of a training.
        choice_json: file of the choice; None returns the settings as they are.
    """
    if choice_json is None:
        return settings
    assert settings.prompt is not None
    choice = json.loads(Path(choice_json).read_text(encoding="utf-8"))
    return replace(settings, prompt={**settings.prompt, "max_amplitude": choice["max_amplitude"]})
