"""Train one arm with one seed: the only training loop.

The split's patches lie on the device as uint8; a batch is indexed, augmented, normalised and padded
there. The same code runs on a GPU and on a CPU.
"""

import logging
import math
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pandas as pd
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

from weaklesion.augmentation import apply_flips, draw_flips
from weaklesion.errors import DataError
from weaklesion.files import read_array, write_json, written_whole
from weaklesion.inputs import InputFrame, normalise
from weaklesion.models import build_model, num_parameters
from weaklesion.progress import progress
from weaklesion.provenance import describe_run, peak_memory_bytes
from weaklesion.seeding import seed_everything
from weaklesion.training_data import SplitData, epoch_batches, load_split
from weaklesion.training_settings import TrainingSettings

logger = logging.getLogger(__name__)

EVALUATION_BATCH = 64


@dataclass
class Progress:
    """What the loop has seen so far, and the weights that its checkpoint rule keeps."""

    history: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = -1
    best_value: float = math.inf
    kept_epoch: int = -1
    kept: dict[str, torch.Tensor] = field(default_factory=dict)
    stopped: bool = False


def train_arm(
    *,
    images_npy: str | Path,
    samples_csv: str | Path,
    target_npy: str | Path,
    target_ids_csv: str | Path,
    clusters_csv: str | Path | None,
    weights_pth: str | Path | None,
    run_dir: str | Path,
    settings: TrainingSettings,
    seed: int,
    threads: int = 1,
) -> None:
    """Train one arm with one seed; write `model.safetensors`, `history.csv` and `run.json`.

    Only the train and val splits are read.

    Args:
        images_npy: patches, (N, side, side, 3) uint8.
        samples_csv: their samples.
        target_npy: (M, side, side) uint8 of 0 and 1.
        target_ids_csv: `id` of each of the M targets.
        clusters_csv: `id, cluster`; for networks with classes only.
        weights_pth: verified ImageNet weights, where `settings.weights` is `imagenet`.
        run_dir: where the three files are written.
        settings: see `TrainingSettings`.
        seed: seed of weights, order and augmentation.
        threads: CPU threads.

    Raises:
        DataError: if samples, targets and labels do not belong together, or the loss is not finite.
    """
    started = time.perf_counter()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(settings.deterministic, warn_only=True)
    torch.backends.cudnn.deterministic = settings.deterministic
    torch.backends.cudnn.benchmark = not settings.deterministic
    seed_everything(seed)

    inputs = {
        "images": images_npy,
        "samples": samples_csv,
        "target": target_npy,
        "target_ids": target_ids_csv,
        "clusters": clusters_csv,
        "weights": weights_pth,
    }
    given = {role: path for role, path in inputs.items() if path is not None}
    run = describe_run(settings=asdict(settings), seed=seed, inputs=given)
    frame = InputFrame(
        side_px=read_array(images_npy).shape[1],
        input_px=settings.input_px,
        pad_to_hw=settings.pad_to,
    )
    splits = {
        split: load_split(
            split,
            images_npy,
            samples_csv,
            target_npy,
            target_ids_csv,
            clusters_csv,
            frame,
            settings,
            device,
        )
        for split in ("train", "val")
    }
    model = build_model(
        settings.model,
        num_classes=settings.num_classes,
        encoder=settings.encoder,
        weights=weights_pth,
    ).to(device)
    if device.type == "cuda":
        model = model.to(memory_format=torch.channels_last)
    logger.info(
        "%s with %d parameters on %s; %d training and %d validation samples",
        settings.model,
        num_parameters(model),
        device,
        len(splits["train"].ids),
        len(splits["val"].ids),
    )

    seen = fit(model, splits["train"], splits["val"], frame, settings, seed)

    folder = Path(run_dir)
    with written_whole(folder / "model.safetensors") as beside:
        save_file(seen.kept, beside)
    with written_whole(folder / "history.csv") as beside:
        pd.DataFrame(seen.history).to_csv(beside, index=False)
    seconds = sum(epoch["seconds"] for epoch in seen.history)
    run |= {
        "num_parameters": num_parameters(model),
        "num_samples": {split: len(data.ids) for split, data in splits.items()},
        "epochs_run": len(seen.history),
        "best_epoch": seen.best_epoch,
        "kept_epoch": seen.kept_epoch,
        "stopped_by_patience": seen.stopped,
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        "threads": threads,
        "images_per_second": len(seen.history) * len(splits["train"].ids) / seconds,
        "wall_s": time.perf_counter() - started,
        "peak_memory_bytes": peak_memory_bytes(),
        "peak_gpu_memory_bytes": torch.cuda.max_memory_allocated()
        if device.type == "cuda"
        else None,
    }
    write_json(folder / "run.json", run)


def fit(
    model: nn.Module,
    train: SplitData,
    val: SplitData,
    frame: InputFrame,
    settings: TrainingSettings,
    seed: int,
) -> Progress:
    """Run the epochs; return the history and the weights that the checkpoint rule keeps."""
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate, fused=True)
    steps = len(epoch_batches(len(train.ids), settings.batch_size, torch.Generator()))
    scheduler = None
    if settings.schedule == "one_cycle":
        scheduler = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=settings.learning_rate, total_steps=steps * settings.epochs
        )
    seen = Progress()
    for epoch in range(settings.epochs):
        started = time.perf_counter()
        model.train()
        totals = torch.zeros(3, device=train.images.device)
        batches = epoch_batches(len(train.ids), settings.batch_size, generator)
        what = f"epoch {epoch + 1}/{settings.epochs}, batches"
        for index in progress(batches, total=len(batches), what=what):
            losses = training_step(model, optimizer, train, index, frame, settings, generator)
            totals += losses * len(index)
            if scheduler is not None:
                scheduler.step()
        loss, segmentation, classification = (totals / len(train.ids)).tolist()
        seconds = time.perf_counter() - started
        seen.history.append(
            {
                "epoch": epoch,
                "train_loss": loss,
                "train_segmentation_loss": segmentation,
                "train_classification_loss": classification,
                **evaluate(model, val, frame, settings),
                "learning_rate": optimizer.param_groups[0]["lr"],
                "seconds": seconds,
            }
        )
        last = seen.history[-1]
        if not (math.isfinite(loss) and math.isfinite(last["val_segmentation_loss"])):
            raise DataError(
                f"epoch {epoch + 1}: the training loss is {loss} and the validation loss "
                f"{last['val_segmentation_loss']}. Lower learning_rate, or set precision to "
                "float32."
            )
        keep(seen, model, settings)
        each = sum(row["seconds"] for row in seen.history) / len(seen.history)
        logger.info(
            "epoch %d/%d: loss %.4f, validation loss %.4f, Dice against the target %.4f; "
            "%.0f s, at most %.0f s left",
            epoch + 1,
            settings.epochs,
            loss,
            last["val_segmentation_loss"],
            last["val_dice"],
            seconds,
            each * (settings.epochs - epoch - 1),
        )
        if seen.stopped:
            logger.info("no improvement in %d epochs: stopped", settings.patience)
            break
    return seen


def training_step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    data: SplitData,
    index: torch.Tensor,
    frame: InputFrame,
    settings: TrainingSettings,
    generator: torch.Generator,
) -> torch.Tensor:
    """Take one step; return (3,) total, segmentation and classification loss, detached."""
    flips = draw_flips(len(index), generator) if settings.augmentation == "flips" else None
    index = index.to(data.images.device)
    images, targets = data.images[index], data.targets[index]
    if flips is not None:
        images, targets = apply_flips(images, flips), apply_flips(targets, flips)
    segmentation, _, class_logits = forward(model, images, targets, frame, settings)
    classification = torch.zeros_like(segmentation)
    if class_logits is not None:
        assert data.labels is not None
        classification = F.cross_entropy(class_logits.float(), data.labels[index])
    loss = (
        settings.segmentation_weight * segmentation
        + settings.classification_weight * classification
    )
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    return torch.stack([loss.detach(), segmentation.detach(), classification.detach()])


def forward(
    model: nn.Module,
    images: torch.Tensor,
    targets: torch.Tensor,
    frame: InputFrame,
    settings: TrainingSettings,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """Return mean segmentation loss, logits of the padded map, and class logits if any."""
    logits, class_logits = network_outputs(model, images, frame, settings)
    logits = logits.float()  # binary cross entropy is kept out of bfloat16
    compared = logits if settings.loss_region == "map" else frame.crop(logits)
    wanted = frame.pad(targets) if settings.loss_region == "map" else targets
    loss = F.binary_cross_entropy_with_logits(compared, wanted.float() / settings.full_target)
    return loss, logits, class_logits


def network_outputs(
    model: nn.Module, images: torch.Tensor, frame: InputFrame, settings: TrainingSettings
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Run the network on (N, 3, input, input) uint8; return map logits and class logits if any."""
    batch = frame.pad(normalise(images))
    if batch.device.type == "cuda":
        batch = batch.contiguous(memory_format=torch.channels_last)
    with torch.autocast(
        batch.device.type, dtype=torch.bfloat16, enabled=settings.precision == "bfloat16"
    ):
        output = model(batch)
    return output if isinstance(output, tuple) else (output, None)


@torch.no_grad()
def evaluate(
    model: nn.Module, data: SplitData, frame: InputFrame, settings: TrainingSettings
) -> dict[str, float]:
    """Return segmentation loss and mean Dice against the target, and the classes' accuracy."""
    model.eval()
    totals = torch.zeros(3, device=data.images.device)
    for index in torch.arange(len(data.ids), device=data.images.device).split(EVALUATION_BATCH):
        targets = data.targets[index]
        loss, logits, class_logits = forward(model, data.images[index], targets, frame, settings)
        pred, ref = frame.crop(logits)[:, 0] >= 0, targets[:, 0] == settings.full_target
        both = (pred & ref).sum(dim=(1, 2))
        dice = 2 * both / (pred.sum(dim=(1, 2)) + ref.sum(dim=(1, 2))).clamp(min=1)
        totals[0] += loss * len(index)
        totals[1] += dice.sum()
        if class_logits is not None and data.labels is not None:
            totals[2] += (class_logits.argmax(dim=1) == data.labels[index]).sum()
    loss_mean, dice_mean, accuracy = (totals / len(data.ids)).tolist()
    return {
        "val_segmentation_loss": loss_mean,
        "val_dice": dice_mean,
        "val_accuracy": accuracy if data.labels is not None else math.nan,
    }


def keep(seen: Progress, model: nn.Module, settings: TrainingSettings) -> None:
    """Apply patience and the checkpoint rule after an epoch."""
    epoch = len(seen.history) - 1
    last = seen.history[-1]
    value = (
        -last["val_dice"] if settings.checkpoint == "best_dice" else (last["val_segmentation_loss"])
    )
    improved = value < seen.best_value
    if improved:
        seen.best_value, seen.best_epoch = value, epoch
    seen.stopped = settings.patience is not None and epoch - seen.best_epoch >= settings.patience
    take_last = settings.checkpoint == "last" or (
        settings.checkpoint == "last_if_stopped" and seen.stopped
    )
    if improved or take_last:
        seen.kept_epoch = epoch
        seen.kept = {
            name: tensor.detach().cpu().clone().contiguous()
            for name, tensor in model.state_dict().items()
        }
