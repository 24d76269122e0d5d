"""Everything that decides a training, besides its seed and its data."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from weaklesion.networks.names import OWN_ENCODERS, PAIR_MODELS, PROMPTED_MODELS

TaskName = Literal["segmentation", "pairs", "prompted"]


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """Everything that decides a training, besides its seed and its data.

    Attributes:
        model: name of a network of `weaklesion.models.build_model`.
        network: what the network's `build` takes beside its name, such as its attention.
        prompt: of networks that see the mark, see `weaklesion.training.prompts.PromptSettings`;
            else None.
        num_classes: number of clusters, for the multi-task networks.
        encoder: encoder's name.
        weights: `imagenet`, or `none` to start from scratch.
        normalisation: of the input's levels (`weaklesion.training.inputs.normalise`); for ImageNet
            weights the one that they were trained with.
        input_px: height and width to which patches are resized, px.
        pad_to: height and width of the network's input, px.
        loss_region: `patch`, or `map` for the whole padded map.
        soft_targets: whether targets have levels of 0 to 255 instead of 0 and 1; where a mask is
            needed they are floored (discrepancy G14).
        segmentation_loss: `bce`, binary cross entropy; `dice`, 1 minus each image's soft Dice,
            which has no gradient where the target is empty; or `batch_dice`, that of a batch.
        classification_loss: `cross_entropy`, or `focal` with gamma 2.
        focal_weights: weight of each class in the focal loss, or None for 1.
        segmentation_weight: weight of the segmentation loss (alpha_seg); with pairs of images the
            loss is the mean over both, so that 2 gives the sum of two losses.
        classification_weight: weight of the classification loss (alpha_cls).
        epochs: number of epochs at most.
        iterations: batches of an epoch, drawn from as many passes as that takes; None for one pass.
        patience: epochs without improvement after which to stop, of the validation loss or, with
            `best_dice` and `best_accuracy`, of those; None for never.
        train_samples: train on so many samples only, the same ones for every seed and a subset of
            those of any larger number; null for all.
        batch_size: samples a step; a single sample left over joins the last batch, because
            batch normalisation cannot train on one.
        drop_last: leave out the last batch of an epoch if it is not full.
        optimizer: `adam`, `adamw` or `sgd`.
        momentum: of SGD.
        weight_decay: L2 penalty.
        learning_rate: the optimiser's at first, or the peak of the one-cycle schedule.
        schedule: `constant`, `one_cycle`, `poly` ((1 - step / steps) to the power 0.9), or
            `cosine_restarts` (every 10 epochs).
        clip_norm: largest norm of the gradient, or None (T14).
        zero_gradients: whether gradients are cleared between steps; without it they add up over the
            whole training (T13).
        steps_per_batch: steps taken on each batch, every other one with its halves swapped (T8).
        pairs: for co-segmentation, which images make a pair: `cluster` (two of one cluster) or
            `random` (two of a batch; T10).
        checkpoint: which epoch's weights are kept: `best_loss` (lowest validation segmentation
            loss), `best_dice` (highest validation Dice), `best_accuracy` (of the classes), `last`,
            or `last_if_stopped` (`best_loss`, unless patience ended the training; discrepancy T1).
        ema: decay of the moving average of the weights that is validated and kept, or None.
        augmentation: `none` or `flips`.
        precision: `float32` or `bfloat16` (autocast).
        deterministic: take deterministic operations; a GPU's that have no such form are logged.

    Raises:
        ValueError: naming the setting, its value and what is allowed.
    """

    model: str
    network: Mapping[str, Any]
    prompt: Mapping[str, Any] | None
    num_classes: int | None = None
    encoder: str
    weights: Literal["imagenet", "none"]
    normalisation: Literal["imagenet", "half"] = "imagenet"
    input_px: int
    pad_to: tuple[int, int]
    loss_region: Literal["patch", "map"]
    soft_targets: bool
    segmentation_loss: Literal["bce", "dice", "batch_dice"]
    classification_loss: Literal["cross_entropy", "focal"]
    focal_weights: tuple[float, ...] | None
    segmentation_weight: float
    classification_weight: float
    epochs: int
    iterations: int | None
    patience: int | None
    train_samples: int | None
    batch_size: int
    drop_last: bool
    optimizer: Literal["adam", "adamw", "sgd"]
    momentum: float
    weight_decay: float
    learning_rate: float
    schedule: Literal["constant", "one_cycle", "poly", "cosine_restarts"]
    clip_norm: float | None
    zero_gradients: bool
    steps_per_batch: int
    pairs: Literal["cluster", "random"]
    checkpoint: Literal["best_loss", "best_dice", "best_accuracy", "last", "last_if_stopped"]
    ema: float | None
    augmentation: Literal["none", "flips"]
    precision: Literal["float32", "bfloat16"]
    deterministic: bool

    def __post_init__(self) -> None:
        object.__setattr__(self, "pad_to", tuple(self.pad_to))
        if self.focal_weights is not None:
            object.__setattr__(self, "focal_weights", tuple(self.focal_weights))
            if len(self.focal_weights) != self.num_classes:
                raise ValueError(
                    f"focal_weights: {self.num_classes} classes need as many, not"
                    f" {len(self.focal_weights)}"
                )
        self._check_network()
        if (self.prompt is None) == (self.model in PROMPTED_MODELS):
            raise ValueError(f"prompt: {self.model} and {self.prompt} do not go together")
        if self.prompt is not None and self.soft_targets:
            raise ValueError("soft_targets: networks that see the mark take masks of 0 and 1")
        if self.train_samples is not None and self.train_samples < 2:
            raise ValueError(f"train_samples: two are needed, not {self.train_samples}")
        if self.ema is not None and not 0 < self.ema < 1:
            raise ValueError(f"ema: between 0 and 1, or null, is needed, not {self.ema}")
        if self.model in OWN_ENCODERS and self.weights != "none":
            raise ValueError(f"weights: {self.model} has an encoder of its own: 'none' is needed")
        wanted = "half" if "efficientnet_lite" in self.encoder else "imagenet"
        if self.weights == "imagenet" and self.normalisation != wanted:
            raise ValueError(
                f"normalisation: ImageNet weights of {self.encoder} were trained with {wanted!r},"
                f" not {self.normalisation!r}"
            )
        if self.checkpoint == "best_accuracy" and self.num_classes is None:
            raise ValueError(f"checkpoint: {self.model} has no classes to be accurate in")
        limits = (("epochs", 1), ("batch_size", 2), ("input_px", 16), ("steps_per_batch", 1))
        for key, least in limits:
            if getattr(self, key) < least:
                raise ValueError(f"{key}: at least {least} is needed, not {getattr(self, key)}")
        if self.iterations is not None and self.iterations < 1:
            raise ValueError(f"iterations: at least 1, or null, is needed, not {self.iterations}")
        if self.patience is not None and self.patience < 1:
            raise ValueError(f"patience: at least 1, or null, is needed, not {self.patience}")
        for key in ("learning_rate", "clip_norm"):
            value = getattr(self, key)
            if value is not None and not value > 0:
                raise ValueError(f"{key}: above 0 is needed, not {value}")
        if self.is_paired and self.batch_size % 2:
            raise ValueError(f"batch_size: {self.batch_size} cannot be split into pairs")
        if self.model.startswith("unet") and any(size % 32 for size in self.pad_to):
            raise ValueError(f"pad_to: a U-Net needs multiples of 32, not {list(self.pad_to)}")

    def _check_network(self) -> None:
        given = {key: value for key, value in self.network.items() if value is not None}
        allowed = {
            "drn_fcn32": {"multi_grid"},
            "drn_coseg": {"multi_grid", "channels", "places", "danet", "decoder"},
        }.get(self.model, set())
        odd = sorted(given.keys() - allowed)
        if odd:
            raise ValueError(f"network: {self.model} has no {', '.join(odd)}")
        parts = "channels" in given, "places" in given
        danet = bool(given.get("danet"))
        if self.model == "drn_coseg" and (parts[0] != parts[1] or danet == parts[0]):
            raise ValueError(
                "network: drn_coseg needs either `danet: true`, or both `channels` and `places`,"
                f" not {dict(self.network)}"
            )

    @property
    def full_target(self) -> int:
        """Value of a target's pixel that is wholly foreground."""
        return 255 if self.soft_targets else 1

    @property
    def task(self) -> TaskName:
        """What the network is trained for, see `weaklesion.training.tasks`."""
        if self.model in PROMPTED_MODELS:
            return "prompted"
        return "pairs" if self.is_paired else "segmentation"

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
        """Whether training reads the classes of flipped samples, beside those as they are."""
        return self.num_classes is not None and self.augmentation == "flips"


def with_choice(settings: TrainingSettings, choice_json: str | Path | None) -> TrainingSettings:
    """Return settings with the warp that `selection.warp_amplitude` chose, if one was."""
    if choice_json is None:
        return settings
    assert settings.prompt is not None
    choice = json.loads(Path(choice_json).read_text(encoding="utf-8"))
    return replace(settings, prompt={**settings.prompt, "max_amplitude": choice["max_amplitude"]})
