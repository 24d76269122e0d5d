"""Everything that decides a training, besides its seed and its data."""

from dataclasses import dataclass
from typing import Literal

# Networks of `weaklesion.models.build_model`, each with its module of `weaklesion.networks`.
NETWORK_MODULES = {
    "a1": "deeplab",
    "a1l": "deeplab",
    "unet": "unet",
    "unetl": "unet",
    "acoseg": "cosegmentation",
    "acoseg_released": "cosegmentation",
}
MODELS = tuple(NETWORK_MODULES)
MULTI_TASK_MODELS = ("a1l", "unetl")
PAIR_MODELS = ("acoseg", "acoseg_released")


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """Everything that decides a training, besides its seed and its data.

    Attributes:
        model: name of a network of `weaklesion.models.build_model`.
        num_classes: number of clusters, for the multi-task networks.
        encoder: encoder's name.
        weights: `imagenet`, or `none` to start from scratch.
        input_px: height and width to which patches are resized, px.
        pad_to: height and width of the network's input, px.
        loss_region: `patch`, or `map` for the whole padded map.
        soft_targets: whether targets have levels of 0 to 255 instead of 0 and 1; where a mask is
            needed they are floored (discrepancy G14).
        segmentation_weight: weight of the segmentation loss (alpha_seg); with pairs of images the
            loss is the mean over both, so that 2 gives the sum of two losses.
        classification_weight: weight of the classification loss (alpha_cls).
        epochs: number of epochs at most.
        patience: epochs without improvement after which to stop, of the validation loss or, with
            `best_dice`, of the validation Dice; None for never.
        batch_size: samples a step; a single sample left over joins the last batch, because
            batch normalisation cannot train on one.
        drop_last: leave out the last batch of an epoch if it is not full.
        learning_rate: Adam's, or the peak of the one-cycle schedule.
        schedule: `constant` or `one_cycle`.
        clip_norm: largest norm of the gradient, or None (T14).
        zero_gradients: whether gradients are cleared between steps; without it they add up over the
            whole training (T13).
        steps_per_batch: steps taken on each batch, every other one with its halves swapped (T8).
        pairs: for co-segmentation, which images make a pair: `cluster` (two of one cluster) or
            `random` (two of a batch; T10).
        checkpoint: which epoch's weights are kept: `best_loss` (lowest validation segmentation
            loss), `best_dice` (highest validation Dice), `last`, or `last_if_stopped`
            (`best_loss`, unless patience ended the training; discrepancy T1).
        augmentation: `none` or `flips`.
        precision: `float32` or `bfloat16` (autocast).
        deterministic: take deterministic operations; a GPU's that have no such form are logged.

    Raises:
        ValueError: naming the setting, its value and what is allowed.
    """

    model: str
    num_classes: int | None = None
    encoder: str
    weights: Literal["imagenet", "none"]
    input_px: int
    pad_to: tuple[int, int]
    loss_region: Literal["patch", "map"]
    soft_targets: bool
    segmentation_weight: float
    classification_weight: float
    epochs: int
    patience: int | None
    batch_size: int
    drop_last: bool
    learning_rate: float
    schedule: Literal["constant", "one_cycle"]
    clip_norm: float | None
    zero_gradients: bool
    steps_per_batch: int
    pairs: Literal["cluster", "random"]
    checkpoint: Literal["best_loss", "best_dice", "last", "last_if_stopped"]
    augmentation: Literal["none", "flips"]
    precision: Literal["float32", "bfloat16"]
    deterministic: bool

    def __post_init__(self) -> None:
        object.__setattr__(self, "pad_to", tuple(self.pad_to))
        limits = (("epochs", 1), ("batch_size", 2), ("input_px", 16), ("steps_per_batch", 1))
        for key, least in limits:
            if getattr(self, key) < least:
                raise ValueError(f"{key}: at least {least} is needed, not {getattr(self, key)}")
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

    @property
    def full_target(self) -> int:
        """Value of a target's pixel that is wholly foreground."""
        return 255 if self.soft_targets else 1

    @property
    def is_paired(self) -> bool:
        """Whether the network segments pairs of images."""
        return self.model in PAIR_MODELS

    @property
    def needs_clusters(self) -> bool:
        """Whether training reads the clusters, as classes or to draw pairs."""
        return self.num_classes is not None or (self.is_paired and self.pairs == "cluster")
