"""The files of a trained network, and the settings of its training. Imports no torch."""

from importlib.util import find_spec
from pathlib import Path

from weaklesion.errors import DataError
from weaklesion.study.settings import TrainingSettings
from weaklesion.support.files import read_json
from weaklesion.training.prompt_settings import prompt_settings

# A damaged description must not take all memory: largest side of an input, and number of classes.
MOST_PX, MOST_CLASSES = 8192, 10_000
RUN_FILES = ("model.safetensors", "run.json")
ONNX = "model.onnx"


def network_files(model: str | Path) -> tuple[Path, Path]:
    """Return the file of a trained network, and the description of its run beside it.

    Args:
        model: folder of a trained run or of an exported network, or an exported `.onnx` file. Of a
            folder with both, `model.safetensors` is the network where PyTorch is installed.

    Raises:
        DataError: if one of the two files does not exist.
    """
    model = Path(model)
    if model.suffix == ".onnx" and not model.is_dir():
        if not model.is_file():
            raise DataError(f"{model}: does not exist. Give a file that weaklesion export wrote.")
        network = model
    else:
        network = model / RUN_FILES[0]
        if (model / ONNX).is_file() and not (network.is_file() and has_torch()):
            network = model / ONNX
        if not network.is_file():
            raise DataError(
                f"{model}: has no {RUN_FILES[0]}, and no {ONNX}. Give the folder of a trained run."
            )
    run_json = network.with_name(RUN_FILES[1])
    if not run_json.is_file():
        raise DataError(
            f"{network.parent}: has no {RUN_FILES[1]}. Give the folder of a trained run, or all"
            " files of an exported network."
        )
    return network, run_json


def has_torch() -> bool:
    """Return whether the extra `torch` is installed, without importing it."""
    return all(find_spec(name) is not None for name in ("torch", "monai", "safetensors"))


def read_settings(run_json: str | Path) -> TrainingSettings:
    """Return the settings of a run's training.

    Raises:
        DataError: if another version made the run, or its settings describe no network.
    """
    try:
        settings = TrainingSettings(**read_json(run_json)["settings"])
    except (TypeError, KeyError, ValueError, RecursionError) as error:
        raise DataError(
            f"{run_json}: not the description of a run of this version ({error}). Train again."
        ) from error
    if max(settings.input_px, *settings.pad_to) > MOST_PX:
        raise DataError(
            f"{run_json}: input_px or pad_to is above {MOST_PX}. It is damaged: copy it again."
        )
    if (settings.num_classes or 0) > MOST_CLASSES:
        raise DataError(
            f"{run_json}: num_classes is above {MOST_CLASSES}. It is damaged: copy it again."
        )
    try:
        if settings.prompt is not None:
            prompt_settings(settings)
    except (TypeError, ValueError) as error:
        raise no_network(run_json, error) from error
    return settings


def no_network(run_json: str | Path, error: Exception) -> DataError:
    """Return the error of settings that describe no network."""
    return DataError(
        f"{run_json}: its settings describe no network ({error}). Copy it again from the"
        " trained run, or train again."
    )


def check_reads_marks(folder: Path, settings: TrainingSettings) -> None:
    """Check that a network reads marks.

    Raises:
        DataError: if it does not.
    """
    if settings.prompt is None:
        raise DataError(
            f"{folder}: {settings.model} does not read marks. Give a run of an arm such as"
            " prompted_ends."
        )
