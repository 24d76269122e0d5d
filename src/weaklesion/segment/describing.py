"""`weaklesion describe-run`: say what the network of a run was trained on, where it does not."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from weaklesion.errors import DataError
from weaklesion.prediction.run_folder import RUN_FILES
from weaklesion.study.trained_on import TrainedOn, read_run
from weaklesion.support.files import read_array, write_json
from weaklesion.training.data import ids_of_split
from weaklesion.training.seen_samples import describe_sizes

NEEDED = ("modality", "channels", "licence", "marks")


def write_trained_on(
    folder: str | Path, values: Mapping[str, Any], patches_dir: str | Path | None = None
) -> TrainedOn:
    """Write what the network of a run was trained on to its `run.json`.

    Args:
        folder: of a trained run.
        values: values of `TrainedOn` by name, which replace those of `run.json`; None keeps them.
            Ranges of sizes are two numbers.
        patches_dir: the patches that the network was trained on, whose sizes are measured; None for
            those of the study that the run lies in, if they are there.

    Returns:
        What `run.json` says now.

    Raises:
        DataError: naming the options whose values are missing or wrong. Nothing is written then.
    """
    run_json = Path(folder) / RUN_FILES[1]
    if not run_json.is_file():
        raise DataError(f"{folder}: has no {RUN_FILES[1]}. Give the folder of a trained run.")
    told = read_run(run_json)
    data = dict(told["data"]) if isinstance(told.get("data"), dict) else {}
    beside = Path(folder).resolve() / "../../../patches"  # of the study that the run lies in
    if patches_dir is not None or (beside / "samples.csv").is_file():
        data |= _measured(Path(patches_dir or beside), run_json, told)
    data |= {name: value for name, value in values.items() if value is not None}
    for name in ("long_px", "long_mm"):
        if isinstance(data.get(name), list | tuple):
            data[name] = dict(zip(("p0", "p100"), data[name], strict=True))
    missing = [name for name in NEEDED if name not in data]
    if data.get("modality") == "CT" and data.get("window_hu") is None and "data" not in told:
        missing.append("window")
    if missing:
        options = ", ".join(f"--{name}" for name in missing)
        raise DataError(f"{run_json}: lacks the values of these options: {options}. Give them.")
    try:
        described = TrainedOn(**data)
    except (TypeError, ValueError) as error:
        raise DataError(f"{run_json}: {error}. Give it as an option.") from error
    write_json(run_json, told | {"data": described.as_json()})
    return described


def _measured(patches: Path, run_json: Path, told: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sizes of the training samples of a run."""
    samples_csv = patches / "samples.csv"
    if not samples_csv.is_file():
        raise DataError(f"{patches}: has no samples.csv. Give the folder of a study's patches.")
    settings = told.get("settings") or {}
    whole = isinstance(settings, dict) and type(settings.get("train_samples")) in (int, type(None))
    if not whole:
        raise DataError(f"{run_json}: its settings are damaged. Copy it again.")
    count = settings.get("train_samples")
    ids = ids_of_split("train", samples_csv, count)
    return describe_sizes(samples_csv, ids, read_array(patches / "images.npy").shape[1:3])
