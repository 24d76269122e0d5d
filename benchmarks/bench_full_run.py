"""Time whole trainings of A1+L on all of HAM10000, as released and at native size, on one GPU.

One command, given the folder with the files of `workflow/resources/ham10k_dataverse.csv` (or the
same archives with smaller images):

    python benchmarks/bench_full_run.py resources/ham10k/dataverse/archives --out /tmp/full_run

Writes `times.json` as each run ends. Where no ImageNet weights are given, training starts from
scratch, and says so.
"""

import argparse
import json
import logging
from pathlib import Path

import yaml

from weaklesion.data.archives import extract
from weaklesion.data.loaders import ham10k
from weaklesion.study import arms
from weaklesion.study import items as experiments
from weaklesion.study.settings import TrainingSettings
from weaklesion.supervision.classes import cluster_lesions
from weaklesion.supervision.ellipses import draw_ellipses
from weaklesion.training.data import TrainingFiles
from weaklesion.training.train import RunOptions, train_arm

ROOT = Path(__file__).resolve().parents[1]
LIMITS_MIN = {"released": 6.0, "corrected": 3.0}


def main() -> None:
    """Make patches, targets and clusters of each protocol, and train A1+L once on them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("archives", type=Path)
    parser.add_argument("--weights", type=Path, help="resnet101-5d3b4d8f.pth of torchvision")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    if given.weights is None:
        config["training"]["weights"] = "none"
    folders = []
    for archive in sorted(given.archives.glob("*.zip")):
        folders.append(given.out / "extracted" / archive.stem)
        extract(archive, folders[-1])
    times = {}
    for protocol, limit in LIMITS_MIN.items():
        times[protocol] = train(config, protocol, folders, given) | {"limit_min": limit}
        (given.out / "times.json").write_text(json.dumps(times, indent=2))
        print(json.dumps(times[protocol], indent=2), flush=True)


def train(
    config: experiments.Config, protocol: str, folders: list[Path], given: argparse.Namespace
) -> dict[str, object]:
    """Train A1+L with seed 1 under one protocol; return what its run.json measured."""
    folder = given.out / protocol
    ham10k.make_patches(
        folders=folders,
        table_csv=given.archives / "HAM10000_metadata.csv",
        patches_dir=folder,
        settings=ham10k.Settings(**experiments.patch_settings(config, "ham10k", protocol)),
        workers=8,
    )
    stages = {
        stage: experiments.stage_settings(config, "ham10k", protocol, stage)
        for stage in ("supervision", "clusters")
    }
    draw_ellipses(
        samples_csv=folder / "samples.csv",
        images_npy=folder / "images.npy",
        ellipses_csv=folder / "ellipses.csv",
        target_npy=folder / "ellipse.npy",
        center=stages["supervision"]["center"],
        outline_px=stages["supervision"]["outline_px"],
    )
    settings = TrainingSettings(**arms.training_settings(config, "ham10k", protocol, "a1l"))
    assert settings.num_classes is not None
    cluster_lesions(
        samples_csv=folder / "samples.csv",
        images_npy=folder / "images.npy",
        ellipses_csv=folder / "ellipses.csv",
        clusters_csv=folder / "clusters.csv",
        quality_json=folder / "clusters.json",
        k=settings.num_classes,
        **stages["clusters"],
    )
    files = TrainingFiles(
        images_npy=folder / "images.npy",
        samples_csv=folder / "samples.csv",
        target_npy=folder / "ellipse.npy",
        target_ids_csv=folder / "ellipses.csv",
        clusters_csv=folder / "clusters.csv",
        weights_pth=given.weights,
    )
    train_arm(
        files=files,
        run_dir=folder / "run",
        settings=settings,
        seed=1,
        options=RunOptions(threads=8),
    )
    run = json.loads((folder / "run" / "run.json").read_text())
    keys = ("device", "wall_s", "seconds", "images_per_second", "epochs_run", "stopped_by_patience",
            "peak_gpu_memory_bytes")  # fmt: skip
    return {key: run[key] for key in keys} | {"weights": settings.weights}


if __name__ == "__main__":
    main()
