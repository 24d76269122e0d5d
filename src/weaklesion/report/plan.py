"""The plan of a study: jobs, hours, downloads and disk; and, after a run, the time it took.

The hours of a training are, in this order: measured on a run with the same network and frame, times
the largest possible number of epochs; for the paper's network, which is planned for a GPU, the
paper's own hours (Table 2, on a GPU that the paper does not name), which apply to the released
frame and are therefore an upper bound for `corrected`; for another encoder, hours of one CPU
thread, from the measured time per step (`weaklesion.report.training_rates`). The hours of other
jobs are a time per job plus a time per sample, each with its basis in
`workflow/resources/job_costs.csv`.
"""

import csv
import json
import statistics
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from weaklesion.networks.names import NNUNET, PAIR_MODELS
from weaklesion.report.plan_storage import disk_bytes, download_bytes, files_of
from weaklesion.report.sample_counts import split_samples
from weaklesion.report.training_rates import (
    read_rates,
    seconds_per_step,
    training_hours,
)
from weaklesion.study.arms import keeps_last, training_settings
from weaklesion.study.items import Run, items_of, places_of, runs_of, trainings_of
from weaklesion.study.layout import Layout
from weaklesion.study.protocols import Config, folds_of, whole
from weaklesion.study.published import PAPER_ENCODER, read_published
from weaklesion.study.settings import images_of_epoch

GPU_RULES = (  # the rules with `gpu=1`, which the Slurm profile names as well
    "train_arm",
    "train_arm_keeping_last",
    "choose_warp",
    "predict_arm",
    "predict_arm_with_crf",
    "teach_arm",
    "measure_accuracy",
    "embed_lesions",
    "train_nnunet",
    "predict_nnunet",
)
# Networks to which the hours that the paper prints apply.
PAPER_NETWORKS = ("a1", "a1l", "unet", "unetl", "acoseg", "acoseg_released")


@dataclass(frozen=True)
class Training:
    """One training that is still to do.

    Attributes:
        run: dataset, protocol, arm and seed.
        rule: the rule that trains it.
        hours: hours on a GPU, or hours of one CPU thread; nan if unknown.
        on: the device of these hours.
        basis: source of the hours, in words.
    """

    run: Run
    rule: str
    hours: float
    on: Literal["GPU", "CPU"]
    basis: str


@dataclass(frozen=True)
class Plan:
    """The jobs that a study still needs, with their time, downloads and disk space.

    Attributes:
        jobs: rule to number of jobs.
        trainings: the training runs that are still to do.
        cpu_hours: rule to hours of one core, for rules without a GPU.
        download_bytes: size of the files that are still to be downloaded.
        disk_bytes: upper bounds of disk space, by kind of file.
    """

    jobs: Mapping[str, int]
    trainings: Sequence[Training]
    cpu_hours: Mapping[str, float]
    download_bytes: float
    disk_bytes: Mapping[str, float]


def make_plan(
    config: Config,
    jobs: Mapping[str, int],
    folder: str | Path,
    root: str | Path,
    again: Collection[Run] = (),
) -> Plan:
    """Plan the rest of a study.

    Args:
        config: the merged configuration.
        jobs: rule to number of jobs that a dry run shows.
        folder: the folder that contains `results/` and `resources/`.
        root: the workflow's folder.
        again: training runs that a dry run shows, also those that have run before.
    """
    folder, root = Path(folder), Path(root)
    published = read_published(root / "workflow/resources/published_numbers.yaml")
    speeds = measured_speeds(folder)
    runs = runs_of(config, items_of(config))
    layout = Layout(config["study"])
    pending = [
        run
        for run in trainings_of(config, items_of(config))
        if run in again or not (folder / layout.run_file(run, "run.json")).is_file()
    ]
    places = places_of(config, items_of(config))
    datasets = list(dict.fromkeys(dataset for dataset, _ in places))
    splits = {name: split_samples(config, name, published, folder) for name in datasets}
    samples = {name: sum(split.values()) for name, split in splits.items()}
    rates = read_rates(root / "workflow/resources/training_rates.csv")
    trainings = [
        _training(config, run, _train_samples(config, run, splits), speeds, rates, published)
        for run in pending
    ]
    blocks = set(places)
    return Plan(
        jobs=dict(jobs),
        trainings=trainings,
        cpu_hours=_cpu_hours(jobs, root, splits, blocks),
        download_bytes=sum(
            download_bytes(config, name, folder, root) for name in files_of(config, datasets)
        ),
        disk_bytes=disk_bytes(config, runs, samples, blocks, root),
    )


def _train_samples(config: Config, run: Run, splits: Mapping[str, Mapping[str, int]]) -> int:
    """Return the number of training samples of a run, in a fold all except those of two folds."""
    folds = len(folds_of(config, whole(run.protocol)))
    split = splits[run.dataset]
    return round(sum(split.values()) * (folds - 2) / folds) if folds else split["train"]


def network_key(settings: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the settings that determine the speed of a training."""
    keys = ("model", "encoder", "batch_size", "steps_per_batch", "precision")
    return (*(settings[key] for key in keys), tuple(settings["pad_to"]))


def measured_speeds(folder: str | Path) -> dict[tuple[Any, ...], tuple[float, str]]:
    """Return images per second, and the device, of every network trained under `results/`.

    The speed of a device is the median of its runs; the fastest device counts.
    """
    speeds: dict[tuple[Any, ...], dict[str, list[float]]] = {}
    for path in sorted(Path(folder).glob("results/*/*/*/runs/*/seed-*/run.json")):
        run = json.loads(path.read_text())
        if run["settings"]["model"] == NNUNET:
            continue  # its speed is that of a plan, which is made from the data
        devices = speeds.setdefault(network_key(run["settings"]), {})
        devices.setdefault(run["device"], []).append(run["images_per_second"])
    return {
        key: max((statistics.median(values), device) for device, values in devices.items())
        for key, devices in speeds.items()
    }


def _training(
    config: Config,
    run: Run,
    train_samples: int,
    speeds: Mapping[tuple[Any, ...], tuple[float, str]],
    rates: Mapping[str, Mapping[int, float]],
    published: Mapping[str, Any],
) -> Training:
    """Return a training with its hours, see the module's docstring."""
    settings = training_settings(config, run.dataset, run.protocol, run.arm)
    if settings["model"] == NNUNET:
        basis = "unknown: nnU-Net plans its network from the data"
        return Training(run, "train_nnunet", float("nan"), "GPU", basis)
    rule = "train_arm_keeping_last" if keeps_last(config, run.arm) else "train_arm"
    with_hours = partial(Training, run, rule)
    measurement = speeds.get(network_key(settings))
    if measurement is not None:
        speed, device = measurement
        images = settings["epochs"] * images_of_epoch(settings, train_samples)
        hours = images / speed / 3600
        basis = f"measured on {device}, if all {settings['epochs']} epochs run"
        return with_hours(hours, "CPU" if device.startswith("cpu") else "GPU", basis)
    if settings["model"] in PAPER_NETWORKS and settings["encoder"] != PAPER_ENCODER:
        seconds = seconds_per_step(rates, settings)
        if seconds is not None:
            return with_hours(
                training_hours(seconds, settings, train_samples),
                "CPU",
                f"estimate: {seconds:.2g} s per step of {settings['batch_size']} images of"
                f" {settings['pad_to'][0]}x{settings['pad_to'][1]} px, as measured with"
                f" {settings['encoder']} in A1 on one CPU thread, and a third more for"
                " validation",
            )
    paper_hours = published["table2_training_gpu_hours"].get(
        config["datasets"][run.dataset].get("published", "")
    )
    of_paper = settings["model"] in PAPER_NETWORKS and settings["encoder"] == PAPER_ENCODER
    if paper_hours is None or not of_paper:
        return with_hours(float("nan"), "GPU", "unknown: no such network was trained here yet")
    arm = "ACoseg" if settings["model"] in PAIR_MODELS else "A1_L"
    basis = f"upper bound: the paper's hours of {arm}, on an unnamed GPU"
    return with_hours(float(paper_hours[arm]), "GPU", basis)


def job_costs(root: Path) -> dict[str, dict[str, str]]:
    """Return the rows of `job_costs.csv`, by rule."""
    with (root / "workflow/resources/job_costs.csv").open(newline="") as stream:
        return {row["rule"]: row for row in csv.DictReader(stream)}


def _cpu_hours(
    jobs: Mapping[str, int],
    root: Path,
    splits: Mapping[str, Mapping[str, int]],
    blocks: Collection[tuple[str, str]],
) -> dict[str, float]:
    """Return hours of one core by rule, with the mean number of samples of all blocks per job."""
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


def time_spent(folder: str | Path, study: str) -> dict[str, tuple[int, float, float]]:
    """Return the number of finished jobs, their hours, and their hours of one core, by rule."""
    jobs: Counter[str] = Counter()
    hours: dict[str, float] = defaultdict(float)
    cpu_hours: dict[str, float] = defaultdict(float)
    base = Path(folder) / Layout(study).results / "benchmarks"
    for path in sorted(base.rglob("*.tsv")):
        rule = path.relative_to(base).parts[0].removesuffix(".tsv")
        with path.open(newline="") as stream:
            for row in csv.DictReader(stream, delimiter="\t"):
                jobs[rule] += 1
                hours[rule] += float(row["s"]) / 3600
                cpu_hours[rule] += _number(row.get("cpu_time")) / 3600
    return {rule: (jobs[rule], hours[rule], cpu_hours[rule]) for rule in sorted(jobs)}


def _number(text: str | None) -> float:
    """Parse a benchmark's value, which is NA or - if the job was too short to be measured."""
    try:
        return float(text or 0)
    except ValueError:
        return 0.0
