"""Train one arm with one seed, from files to files."""

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from safetensors.torch import save
from torch import nn

from weaklesion.errors import DataError
from weaklesion.models import build_model, load_trained_encoder, num_parameters
from weaklesion.networks.names import NETWORK_MODULES
from weaklesion.study.code_tracking import module_files
from weaklesion.study.settings import TrainingSettings, images_of_epoch, task_of, with_choice
from weaklesion.support.files import file_digest, read_array, read_json, write_json, written_whole
from weaklesion.support.provenance import describe_start, peak_memory_bytes, settings_digest
from weaklesion.training.checkpoints import FORMAT
from weaklesion.training.cpu_convolutions import speed_up_on_cpu
from weaklesion.training.data import TrainingFiles
from weaklesion.training.device import compute_device, emulates_bfloat16
from weaklesion.training.learner import Learner, make_learner
from weaklesion.training.loop import Saving, Splits, count_steps, fit
from weaklesion.training.seeding import seed_everything
from weaklesion.training.seen_samples import describe_sizes
from weaklesion.training.state import TrainingState, weights_of
from weaklesion.training.steps import can_record
from weaklesion.training.tasks import Task, make_task

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How a training is run.

    Attributes:
        threads: CPU threads.
        save_every_s: seconds between writing `last.pt` at the ends of epochs; it is always written
            at the end of the first.
        save_in_epoch_every_s: seconds after which it is also written within an epoch.
        tensorboard: also write the history for TensorBoard, to `run_dir/tensorboard`.
        keep_last: also write the weights after the last epoch, to `last.safetensors`.
    """

    threads: int = 1
    save_every_s: float = 60.0
    save_in_epoch_every_s: float = 300.0
    tensorboard: bool = False
    keep_last: bool = False


def train_arm(
    *,
    files: TrainingFiles,
    run_dir: str | Path,
    settings: TrainingSettings,
    seed: int,
    warp_json: str | Path | None = None,
    epochs_of_json: str | Path | None = None,
    data: Mapping[str, Any] | None = None,
    options: RunOptions,
) -> None:
    """Train one arm with one seed; write `model.safetensors`, `history.csv` and `run.json`.

    Only the train and val splits are read. A training that was killed goes on from `last.pt` in
    `run_dir`, bit for bit on a CPU; if code, libraries, settings or data have changed since, it
    starts afresh. The file is removed at the end. `wall_s` of `run.json` adds up the seconds of all
    processes: of a killed process up to its last save, of the last process up to its end. The time
    that a killed process spent after its last save is unknown.

    Args:
        files: files that are read.
        run_dir: folder of the three files that are written.
        settings: see `TrainingSettings`.
        seed: seed of weights, order and augmentation.
        warp_json: the amplitude that was chosen for the arm's warps; None for that of `settings`.
        epochs_of_json: `run.json` of another run; the training takes as many epochs as that run,
            without patience. None for the epochs of `settings`.
        data: what the images and marks are (`weaklesion.study.data_facts`), which `segment` needs;
            None leaves it out of `run.json`.
        options: see `RunOptions`.

    Raises:
        DataError: if samples, targets and labels do not belong together, the loss is not finite,
            memory does not suffice, or `run_dir` cannot be written.
    """
    settings = with_choice(settings, warp_json)
    state = TrainingState()
    device = prepare_device(settings, options.threads)
    if epochs_of_json is not None:
        epochs = read_json(epochs_of_json)["epochs_run"]
        settings = replace(settings, epochs=epochs, patience=None)
    run = describe_start(settings=asdict(settings), seed=seed, inputs=files.by_role())
    task = make_task(settings, read_array(files.images_npy).shape[1])
    folder = Path(run_dir)
    with _clear_errors(settings, run_dir):
        folder.mkdir(parents=True, exist_ok=True)
        with state.timed("data"):
            splits = Splits(*(task.load_split(name, files, device) for name in ("train", "val")))
        learner = start_learner(task, splits, files, seed)
        fit(
            learner,
            splits,
            task,
            state,
            saving=_saving(folder, run, device, options),
            on_epoch=tensorboard_writer(run_dir) if options.tensorboard else lambda row: None,
        )
        run |= describe_training(state, splits, learner.model, task)
        run |= describe_device(device, options)
        if data is not None:
            shape_hw = read_array(files.images_npy).shape[1:3]
            run["data"] = {
                **data,
                **describe_sizes(files.samples_csv, splits.train.ids, shape_hw),
            }
        if options.keep_last:
            write_weights(folder / "last.safetensors", weights_of(learner.validated))
        write_run(folder, state, run)
        (folder / "last.pt").unlink(missing_ok=True)


def start_learner(task: Task, splits: Splits, files: TrainingFiles, seed: int) -> Learner:
    """Return the run's network at the start of its training.

    Raises:
        DataError: if a file of weights belongs to another network.
    """
    seed_everything(seed)
    settings, device = task.settings, splits.train.images.device
    model = start_network(settings, files, device)
    logger.info(
        "%s with %d parameters on %s; %d training and %d validation samples",
        settings.model,
        num_parameters(model),
        device.type,
        len(splits.train.ids),
        len(splits.val.ids),
    )
    if emulates_bfloat16(settings, device):
        logger.warning(
            "this CPU has no instructions for bfloat16: `precision: float32` is faster on it"
        )
    return make_learner(
        model,
        settings,
        seed,
        steps_per_epoch=count_steps(splits.train, task),
        recorded=can_record(device, task),
    )


def start_network(
    settings: TrainingSettings, files: TrainingFiles, device: torch.device
) -> nn.Module:
    """Return the network that a training starts from, on the device.

    Raises:
        DataError: if a file of weights belongs to another network.
    """
    model = build_model(
        settings.model,
        num_classes=settings.num_classes,
        encoder=settings.encoder,
        options=settings.network,
        weights=files.weights_pth,
    ).to(device)
    if files.start_safetensors is not None:
        load_trained_encoder(model, files.start_safetensors)
    if device.type == "cuda":
        return model.to(memory_format=torch.channels_last)
    return speed_up_on_cpu(model)


def _saving(folder: Path, run: dict[str, Any], device: torch.device, options: RunOptions) -> Saving:
    """Return how a training is saved, with a digest of all that it depends on."""
    digest = settings_digest(
        {key: run[key] for key in ("settings", "seed", "inputs_sha256", "versions")}
        | {"code": _code_digest(run["settings"]["model"]), "on": device.type, "last_pt": FORMAT}
    )
    return Saving(
        last_pt=folder / "last.pt",
        digest=digest,
        every_s=options.save_every_s,
        in_epoch_every_s=options.save_in_epoch_every_s,
    )


def _code_digest(model: str) -> str:
    """Return a digest of the code by which a network is trained, as rules track it."""
    task, network = f"training.tasks.{task_of(model)}", f"networks.{NETWORK_MODULES[model]}"
    files = module_files("training.train", task, network)
    return settings_digest({"files": [file_digest(path) for path in files]})  # not their folder


def describe_training(
    state: TrainingState, splits: Splits, model: nn.Module, task: Task
) -> dict[str, Any]:
    """Return what `run.json` says of a finished training."""
    epochs, num_train = len(state.history), len(splits.train.ids)
    images = epochs * images_of_epoch(asdict(task.settings), num_train)
    return task.describe(splits.train) | {
        "num_parameters": num_parameters(model),
        "num_samples": {"train": num_train, "val": len(splits.val.ids)},
        "epochs_run": epochs,
        "best_epoch": state.best_epoch,
        "kept_epoch": state.kept_epoch,
        "stopped_by_patience": state.stopped,
        "images_per_second": images / state.seconds["steps"],
        "seconds": state.seconds,
        "wall_s": state.wall_s(),
    }


def describe_device(device: torch.device, options: RunOptions) -> dict[str, Any]:
    """Return what `run.json` says of the device, and of the memory that was needed."""
    on_gpu = device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name() if on_gpu else "cpu",
        "threads": options.threads,
        "peak_memory_bytes": peak_memory_bytes(),
        "peak_gpu_memory_bytes": torch.cuda.max_memory_allocated() if on_gpu else None,
    }


def prepare_device(settings: TrainingSettings, threads: int) -> torch.device:
    """Choose GPU or CPU, and how torch computes on it."""
    if settings.deterministic:  # read when CUDA starts
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(settings.deterministic, warn_only=True)
    torch.backends.cudnn.deterministic = settings.deterministic
    torch.backends.cudnn.benchmark = not settings.deterministic
    return compute_device()


@contextmanager
def _clear_errors(settings: TrainingSettings, run_dir: str | Path) -> Iterator[None]:
    """Turn errors of memory and disk into messages that name what to change."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if not isinstance(error, torch.OutOfMemoryError | MemoryError) and (
            "not enough memory" not in str(error)
        ):
            raise
        raise DataError(
            f"{run_dir}: memory does not suffice ({str(error)[:200]}). Lower batch_size "
            f"({settings.batch_size}), or pad_to ({list(settings.pad_to)})."
        ) from error
    except OSError as error:
        raise DataError(
            f"{error.filename or run_dir}: cannot be written or read ({error.strerror or error}). "
            "Check permissions and space, and run again; the training goes on from its last.pt."
        ) from error


def write_run(folder: Path, state: TrainingState, run: dict[str, Any]) -> None:
    """Write weights, history and description of a finished training."""
    write_weights(folder / "model.safetensors", state.kept)
    with written_whole(folder / "history.csv") as tmp:
        pd.DataFrame(state.history).set_index("epoch").to_csv(tmp)
    write_json(folder / "run.json", run)


def write_weights(path: Path, weights: dict[str, torch.Tensor]) -> None:
    """Write a network's weights as safetensors."""
    with written_whole(path) as tmp:
        tmp.write_bytes(save(weights))


def tensorboard_writer(run_dir: str | Path) -> Callable[[dict[str, float]], None]:
    """Return a function that writes a row of the history to `run_dir/tensorboard`.

    Raises:
        DataError: if TensorBoard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise DataError(
            "tensorboard: the package is not installed. Install it, or set tensorboard to false."
        ) from error
    writer = SummaryWriter(Path(run_dir) / "tensorboard")

    def write(row: dict[str, float]) -> None:
        for key in sorted(row.keys() - {"epoch"}):
            writer.add_scalar(key, row[key], row["epoch"])
        writer.flush()

    return write
