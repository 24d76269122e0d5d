"""The bytes that a study downloads and stores on the disk."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from weaklesion.data.manifest import read_manifest
from weaklesion.networks.names import NNUNET
from weaklesion.study.arms import is_trained, training_settings
from weaklesion.study.items import Run
from weaklesion.study.protocols import Config, patch_settings

HAM10K_PIXELS = 600 * 450
# Approximate number of parameters, for the size of a model's file.
PARAMETERS = {
    "resnet101": 46e6,
    "resnet50": 27e6,
    "resnet34": 22e6,
    "resnet18": 12e6,
    "timm-tf_efficientnet_lite0": 4.3e6,
    "tu-tf_mobilenetv3_small_minimal_100": 1.7e6,
}
NNUNET_BYTES = 0.3e9  # weights and momentum of a plan for large patches
NEEDED_SLICES_BYTES = 27e9  # DeepLesion: three slices per lesion, 0.28 MB each
DEEPLESION_AT_ONCE = 4 * 5.5e9  # archives on the disk before the needed slices are extracted
PREDICTION_BYTES = 0.2  # per pixel, compressed
# Bytes per pixel of a patch: three channels and a reference; ellipse, soft, fixed and two GrabCut
# targets.
PATCH_BYTES = 4 + 5


def files_of(config: Config, datasets: Iterable[str]) -> list[str]:
    """Return the datasets whose raw files the given datasets use, each once."""
    return list(dict.fromkeys(config["datasets"][name].get("files_of", name) for name in datasets))


def pixels_of(config: Config, dataset: str, protocol: str) -> int:
    """Return the number of pixels of a patch."""
    settings = patch_settings(config, dataset, protocol)
    if config["datasets"][dataset]["loader"] == "ham10k" and settings["frame"] == "source":
        phantom = config["datasets"][dataset].get("phantom")
        return int(phantom["width_px"] * phantom["height_px"]) if phantom else HAM10K_PIXELS
    return int(settings["side_px"] ** 2)


def download_bytes(config: Config, dataset: str, folder: Path, root: Path) -> float:
    """Return the size of a dataset's files that are still to be downloaded.

    Args:
        config: the merged configuration.
        dataset: name of the dataset.
        folder: the folder that contains `resources/`.
        root: the workflow's folder.
    """
    source = folder / "resources" / dataset / config["datasets"][dataset]["source"]
    return sum(
        float(row["bytes"] or 0)
        for name, row in _manifest(config, dataset, root).items()
        if not (source / "archives" / name).exists() and not (source / "extracted" / name).exists()
    )


def disk_bytes(
    config: Config,
    runs: Sequence[Run],
    samples: Mapping[str, int],
    blocks: Iterable[tuple[str, str]],
    root: Path,
) -> dict[str, float]:
    """Return upper bounds of disk space, by kind of file.

    Args:
        config: the merged configuration.
        runs: all runs of the study.
        samples: number of samples per dataset.
        blocks: the study's pairs of dataset and protocol.
        root: the workflow's folder.

    Returns:
        Bytes of raw files (packed and unpacked), of patches and targets, and of models and
        predictions.
    """
    raw = 0.0
    for dataset in files_of(config, samples):
        packed = sum(float(row["bytes"] or 0) for row in _manifest(config, dataset, root).values())
        if config["datasets"][dataset]["loader"] == "deeplesion" and packed:
            raw += NEEDED_SLICES_BYTES + DEEPLESION_AT_ONCE
        else:
            raw += 2 * packed
    arrays = sum(
        samples[dataset] * pixels_of(config, dataset, protocol) * PATCH_BYTES
        for dataset, protocol in blocks
    )
    models = 0.0
    for run in runs:
        pixels = pixels_of(config, run.dataset, run.protocol)
        models += PREDICTION_BYTES * samples[run.dataset] * pixels
        if is_trained(config, run.arm):
            settings = training_settings(config, run.dataset, run.protocol, run.arm)
            own_plan = settings["model"] == NNUNET
            models += NNUNET_BYTES if own_plan else 4 * PARAMETERS[settings["encoder"]]
    return {"raw files": raw, "patches and targets": arrays, "models and predictions": models}


def _manifest(config: Config, dataset: str, root: Path) -> dict[str, dict[str, str]]:
    """Return the rows of a dataset's manifest that the study uses; none without a manifest."""
    definition = config["datasets"][dataset]
    if "manifest" not in definition:
        return {}
    path = root / definition["manifest"]
    rows = read_manifest(path if path.is_file() else definition["manifest"])
    parts = definition.get("parts")
    return {
        name: row
        for name, row in rows.items()
        if parts is None or name in parts or name.endswith(".csv")
    }
