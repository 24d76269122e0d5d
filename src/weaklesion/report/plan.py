"""What a study will take, before it is paid for; and, after a run, what it took.

Hours of a training are, in this order: measured on a run of the same network and frame, times the
most epochs that it may take; for the paper's network, which is planned for a GPU, the paper's own
hours (Table 2, on a GPU that it does not name), which stand for the released frame, and so are an
upper bound for `corrected`; for another encoder the hours of one CPU thread, from what a step of it
takes (`weaklesion.report.training_rates`). Hours of other jobs are a time per job and a time per
sample, each with its basis in `workflow/resources/job_costs.csv`.
"""

import csv
import json
import statistics
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from weaklesion.data.manifest import read_manifest
from weaklesion.networks.names import PAIR_MODELS
from weaklesion.report.sample_counts import split_samples
from weaklesion.report.training_rates import (
    images_of_epoch,
    read_rates,
    seconds_per_step,
    training_hours,
)
from weaklesion.study.arms import is_trained, keeps_last, training_settings
from weaklesion.study.items import KINDS, Run, items_of, runs_of, trainings_of
from weaklesion.study.protocols import Config, patch_settings
from weaklesion.study.published import read_published

GPU_RULES = (  # those with `gpu=1`; the Slurm profile names them, too
    "train_arm",
    "train_arm_keeping_last",
    "choose_warp",
    "predict_arm",
    "predict_arm_with_crf",
    "measure_accuracy",
    "embed_lesions",
)
OF_THE_PAPER = ("a1", "a1l", "unet", "unetl", "acoseg", "acoseg_released")  # whose hours it prints
PAPER_ENCODER = "resnet101"
HAM10K_PIXELS = 600 * 450
# Parameters, about, for the size of a model's file.
PARAMETERS = {"resnet101": 46e6, "resnet50": 27e6, "resnet34": 22e6, "resnet18": 12e6}
NEEDED_SLICES_BYTES = 27e9  # of DeepLesion: three slices a lesion, 0.28 MB each
DEEPLESION_AT_ONCE = 4 * 5.5e9  # archives that are on the disk before they are thinned out


@dataclass(frozen=True)
class Training:
    """One training that is still to do.

    Attributes:
        run: what is trained.
        rule: the rule that trains it.
        hours: on a GPU, or of one CPU thread; nan where nothing says.
        on: which of the two.
        basis: what the hours are based on, in words.
    """

    run: Run
    rule: str
    hours: float
    on: Literal["GPU", "CPU"]
    basis: str


@dataclass(frozen=True)
class Plan:
    """What a study will take.

    Attributes:
        jobs: rule to number of jobs that are left.
        trainings: those that are left.
        cpu_hours: rule to hours of one core, of the rules without a GPU.
        download_bytes: files that are not there yet.
        disk_bytes: what they come to on the disk: downloads, patches and targets, models; at most.
    """

    jobs: Mapping[str, int]
    trainings: Sequence[Training]
    cpu_hours: Mapping[str, float]
    download_bytes: float
    disk_bytes: Mapping[str, float]


def make_plan(
    config: Config, jobs: Mapping[str, int], folder: str | Path, root: str | Path
) -> Plan:
    """Plan what is left of a study.

    Args:
        config: the merged configuration.
        jobs: rule to number of jobs that a dry run shows.
        folder: where `results/` and `resources/` are.
        root: the workflow's folder.
    """
    folder, root = Path(folder), Path(root)
    published = read_published(root / "workflow/resources/published_numbers.yaml")
    speeds = measured_speeds(folder)
    runs = runs_of(config, items_of(config, *KINDS))
    results = folder / "results" / config["study"]
    left = [
        run
        for run in trainings_of(config, items_of(config, *KINDS))
        if not (results / run_folder(run) / "run.json").is_file()
    ]
    datasets = list(dict.fromkeys(run.dataset for run in runs))
    splits = {name: split_samples(config, name, published, folder) for name in datasets}
    samples = {name: sum(split.values()) for name, split in splits.items()}
    rates = read_rates(root / "workflow/resources/training_rates.csv")
    trainings = [
        _training(config, run, splits[run.dataset]["train"], speeds, rates, published)
        for run in left
    ]
    blocks = {(run.dataset, run.protocol) for run in runs}
    return Plan(
        jobs=dict(jobs),
        trainings=trainings,
        cpu_hours=_cpu_hours(jobs, root, splits, blocks),
        download_bytes=sum(
            _download_bytes(config, name, folder, root) for name in files_of(config, datasets)
        ),
        disk_bytes=_disk_bytes(config, runs, samples, blocks, folder, root),
    )


def files_of(config: Config, datasets: Iterable[str]) -> list[str]:
    """Return the datasets whose raw files some datasets take, each once."""
    return list(dict.fromkeys(config["datasets"][name].get("files_of", name) for name in datasets))


def run_folder(run: Run) -> str:
    """Return a run's folder, under the study's."""
    return f"{run.dataset}/{run.protocol}/runs/{run.arm}/seed-{run.seed}"


def pixels_of(config: Config, dataset: str, protocol: str) -> int:
    """Return how many pixels a patch has."""
    settings = patch_settings(config, dataset, protocol)
    if config["datasets"][dataset]["loader"] == "ham10k" and settings["frame"] == "source":
        made = config["datasets"][dataset].get("phantom")
        return int(made["width_px"] * made["height_px"]) if made else HAM10K_PIXELS
    return int(settings["side_px"] ** 2)


def network_key(settings: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what decides how fast a network trains."""
    keys = ("model", "encoder", "batch_size", "steps_per_batch", "precision")
    return (*(settings[key] for key in keys), tuple(settings["pad_to"]))


def measured_speeds(folder: str | Path) -> dict[tuple[Any, ...], tuple[float, str]]:
    """Return images a second of every network that was trained under `results/`, with the device.

    The fastest device counts where there are several, by its median run.
    """
    found: dict[tuple[Any, ...], dict[str, list[float]]] = {}
    for path in sorted(Path(folder).glob("results/*/*/*/runs/*/seed-*/run.json")):
        told = json.loads(path.read_text())
        devices = found.setdefault(network_key(told["settings"]), {})
        devices.setdefault(told["device"], []).append(told["images_per_second"])
    return {
        key: max((statistics.median(speeds), device) for device, speeds in devices.items())
        for key, devices in found.items()
    }


def _training(
    config: Config,
    run: Run,
    train_samples: int,
    speeds: Mapping[tuple[Any, ...], tuple[float, str]],
    rates: Mapping[str, Mapping[int, float]],
    published: Mapping[str, Any],
) -> Training:
    settings = training_settings(config, run.dataset, run.protocol, run.arm)
    rule = "train_arm_keeping_last" if keeps_last(config, run.arm) else "train_arm"
    planned = partial(Training, run, rule)
    measured = speeds.get(network_key(settings))
    if measured is not None:
        speed, device = measured
        images = settings["epochs"] * images_of_epoch(settings, train_samples)
        hours = images / speed / 3600
        basis = f"measured on {device}, if all {settings['epochs']} epochs run"
        return planned(hours, "CPU" if device.startswith("cpu") else "GPU", basis)
    if settings["model"] in OF_THE_PAPER and settings["encoder"] != PAPER_ENCODER:
        seconds = seconds_per_step(rates, settings)
        if seconds is not None:
            return planned(
                training_hours(seconds, settings, train_samples),
                "CPU",
                f"estimate: {seconds:.2g} s per step of {settings['batch_size']} images of"
                f" {settings['pad_to'][0]}x{settings['pad_to'][1]} px, as measured with"
                f" {settings['encoder']} in A1 in bfloat16 on one CPU thread, and a third more for"
                " validation",
            )
    printed = published["table2_training_gpu_hours"].get(
        config["datasets"][run.dataset].get("published", "")
    )
    of_paper = settings["model"] in OF_THE_PAPER and settings["encoder"] == PAPER_ENCODER
    if printed is None or not of_paper:
        return planned(float("nan"), "GPU", "unknown: no such network was trained here yet")
    arm = "ACoseg" if settings["model"] in PAIR_MODELS else "A1_L"
    basis = f"upper bound: the paper's hours of {arm}, on an unnamed GPU"
    return planned(float(printed[arm]), "GPU", basis)


def job_costs(root: Path) -> dict[str, dict[str, str]]:
    """Return the table of what a job takes, by rule."""
    with (root / "workflow/resources/job_costs.csv").open(newline="") as stream:
        return {row["rule"]: row for row in csv.DictReader(stream)}


def _cpu_hours(
    jobs: Mapping[str, int],
    root: Path,
    splits: Mapping[str, Mapping[str, int]],
    blocks: Collection[tuple[str, str]],
) -> dict[str, float]:
    """Hours of one core by rule; a job's samples are the mean over datasets and protocols."""
    costs = job_costs(root)
    mean = sum(sum(splits[dataset].values()) for dataset, _ in blocks) / len(blocks)
    mean_test = sum(splits[dataset]["test"] for dataset, _ in blocks) / len(blocks)
    hours = {}
    for rule, count in jobs.items():
        if rule in GPU_RULES or rule == "all":
            continue
        cost = costs.get(rule, {"seconds_per_job": "10", "seconds_per_sample": "0"})
        of_job = mean_test if rule == "score_predictions" else mean
        seconds = float(cost["seconds_per_job"]) + float(cost["seconds_per_sample"]) * of_job
        hours[rule] = count * seconds / 3600
    return hours


def _manifest(config: Config, dataset: str, root: Path) -> dict[str, dict[str, str]]:
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


def _download_bytes(config: Config, dataset: str, folder: Path, root: Path) -> float:
    source = folder / "resources" / dataset / config["datasets"][dataset]["source"]
    return sum(
        float(row["bytes"] or 0)
        for name, row in _manifest(config, dataset, root).items()
        if not (source / "archives" / name).exists() and not (source / "extracted" / name).exists()
    )


def _disk_bytes(
    config: Config,
    runs: Sequence[Run],
    samples: Mapping[str, int],
    blocks: Iterable[tuple[str, str]],
    folder: Path,
    root: Path,
) -> dict[str, float]:
    """Bytes at most: raw files, packed and unpacked; arrays; models and predictions."""
    raw = 0.0
    for dataset in files_of(config, samples):
        of_dataset = sum(
            float(row["bytes"] or 0) for row in _manifest(config, dataset, root).values()
        )
        if config["datasets"][dataset]["loader"] == "deeplesion" and of_dataset:
            raw += NEEDED_SLICES_BYTES + DEEPLESION_AT_ONCE
        else:
            raw += 2 * of_dataset
    # three channels and a reference; ellipse, soft, fixed and two GrabCut targets
    arrays = sum(
        samples[dataset] * pixels_of(config, dataset, protocol) * (4 + 5)
        for dataset, protocol in blocks
    )
    models = 0.0
    for run in runs:
        models += 0.2 * samples[run.dataset] * pixels_of(config, run.dataset, run.protocol)
        if is_trained(config, run.arm):
            settings = training_settings(config, run.dataset, run.protocol, run.arm)
            models += 4 * PARAMETERS[settings["encoder"]]
    return {"raw files": raw, "patches and targets": arrays, "models and predictions": models}


def spent(folder: str | Path, study: str) -> dict[str, tuple[int, float, float]]:
    """Return what a study took so far, by rule: jobs, hours, and hours of one core."""
    found: Counter[str] = Counter()
    hours: dict[str, float] = defaultdict(float)
    cpu_hours: dict[str, float] = defaultdict(float)
    base = Path(folder) / "results" / study / "benchmarks"
    for path in sorted(base.rglob("*.tsv")):
        rule = path.relative_to(base).parts[0].removesuffix(".tsv")
        with path.open(newline="") as stream:
            for row in csv.DictReader(stream, delimiter="\t"):
                found[rule] += 1
                hours[rule] += float(row["s"]) / 3600
                cpu_hours[rule] += _number(row.get("cpu_time")) / 3600
    return {rule: (found[rule], hours[rule], cpu_hours[rule]) for rule in sorted(found)}


def _number(text: str | None) -> float:
    """Parse a benchmark's value, which is NA or - for jobs that were too short."""
    try:
        return float(text or 0)
    except ValueError:
        return 0.0
