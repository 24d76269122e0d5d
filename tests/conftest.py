"""Shared fixtures: phantoms and their patches, made once; and real data where they are at hand."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from filelock import FileLock
from hypothesis import settings
from PIL import Image
from playwright.sync_api import sync_playwright
from segmenting import Discriminating, colored, describe, lobed, mark_of

from weaklesion.data.loaders import deeplesion, ham10k, lits
from weaklesion.data.manifest import is_archive, read_manifest
from weaklesion.data.phantoms import deeplesion as deeplesion_phantom
from weaklesion.data.phantoms import ham10k as ham10k_phantom
from weaklesion.data.phantoms import lits as lits_phantom
from weaklesion.download import extract, fetch
from weaklesion.models import build_model, num_parameters
from weaklesion.scoring.catalogue import MEASURES
from weaklesion.study import arms
from weaklesion.study.settings import TrainingSettings
from weaklesion.support.yaml_files import read_yaml

# The same examples in every run: a test that fails, fails for everybody.
settings.register_profile("reproducible", derandomize=True, deadline=None)
settings.load_profile("reproducible")

# Files that take minutes, the longest first: what is left for the end is short, and both workers
# end at about the same time. Beside every item's jobs goes Slurm, which mostly waits.
LONG = (
    "test_workflow_items",
    "test_slurm",
    "test_commands",
    "test_workflow",
    "test_faults",
    "test_training",
    "test_nnunet_workflow",
    "test_crash",
    "test_clone",
    "test_patches",
    "test_other_papers",
    "test_fuzz",
    "test_prompted_workflow",
    "test_reuse",
    "test_install",
    "test_export",
    "test_onnx",
    "test_mark_agreement",
    "test_extend",
)

ROOT = Path(__file__).resolve().parents[1]
REAL_DATA = Path(os.environ.get("WEAKLESION_REAL_DATA", "/nonexistent"))

HAM10K = {
    "side_px": 64,
    "on_bad_sample": "error",
    "frame": "squashed",
    "channel_order": "rgb",
    "image_resize": "area",
    "split": "group",
    "split_seed": 1,
    "limit": {},
}
LITS = {
    "side_px": 120,
    "on_bad_sample": "error",
    "split_seed": 1,
    "frame": "squashed",
    "window_hu": (-160, 240),
    "margin_px": 20,
    "border": "replicate",
    "min_ellipse_iou": 0.0,
    "split": "group",
    "limit": {},
}
DEEPLESION = {
    "side_px": 120,
    "on_bad_sample": "error",
    "scale_marks": True,
    "dropped_rows": (),
    "split": "official",
    "split_seed": 1,
    "strata": 5,
    "complete": True,
    "limit": {},
}


def pytest_collection_modifyitems(items):
    """Start with the files that take long; mark what runs Snakemake."""
    for item in items:
        if item.path.parent.name == "workflow" or "finished" in item.fixturenames:
            item.add_marker(pytest.mark.workflow)
    places = {name: number for number, name in enumerate(LONG)}
    items.sort(key=lambda item: places.get(item.path.stem, len(LONG)))


@pytest.fixture(scope="session")
def root():
    return ROOT


def real(name):
    folder = REAL_DATA / name
    if not (folder / "manifest.csv").is_file():
        pytest.skip(f"real {name} files are not at hand (WEAKLESION_REAL_DATA)")
    return folder


def unpack(manifest, folder):
    """Fetch and unpack the files of a manifest as the workflow does; return folders and table."""
    table = None
    folders = []
    for name, row in read_manifest(manifest).items():
        fetch(row, folder / "archives" / name)
        if is_archive(name):
            extract(folder / "archives" / name, folder / "extracted" / name)
            folders.append(folder / "extracted" / name)
        else:
            table = folder / "archives" / name
    return folders, table


@pytest.fixture(scope="session")
def phantom(tmp_path_factory):
    """Unpacked folders and metadata of a small phantom of HAM10000."""
    folder = tmp_path_factory.mktemp("ham10k")
    ham10k_phantom.make_phantom(
        folder=folder / "made", num_images=60, seed=3, width_px=120, height_px=90
    )
    return unpack(folder / "made" / "manifest.csv", folder)


@pytest.fixture(scope="session")
def lits_files(tmp_path_factory):
    """Unpacked folders of a small phantom of LiTS."""
    folder = tmp_path_factory.mktemp("lits")
    lits_phantom.make_phantom(
        folder=folder / "made", num_volumes=6, num_slices=5, side_px=96, seed=3
    )
    return unpack(folder / "made" / "manifest.csv", folder)[0]


@pytest.fixture(scope="session")
def deeplesion_files(tmp_path_factory):
    """Unpacked folders and table of a small phantom of DeepLesion."""
    folder = tmp_path_factory.mktemp("deeplesion")
    deeplesion_phantom.make_phantom(folder=folder / "made", num_series=10, seed=3)
    return unpack(folder / "made" / "manifest.csv", folder)


def make_ham10k(files, folder, **changes):
    chosen = ham10k.Settings(**HAM10K | changes)
    ham10k.make_patches(folders=files[0], table_csv=files[1], patches_dir=folder, settings=chosen)


def make_lits(folders, folder, **changes):
    chosen = lits.Settings(**LITS | changes)
    lits.make_patches(folders=folders, table_csv=None, patches_dir=folder, settings=chosen)


def make_deeplesion(files, folder, **changes):
    chosen = deeplesion.Settings(**DEEPLESION | changes)
    deeplesion.make_patches(
        folders=files[0], table_csv=files[1], patches_dir=folder, settings=chosen
    )


@pytest.fixture(scope="session")
def patches(phantom, tmp_path_factory):
    """Folder of the patches of the phantom of HAM10000."""
    folder = tmp_path_factory.mktemp("patches")
    make_ham10k(phantom, folder)
    return folder


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """Folder in which the tiny study has run, once for all workers; tests must not change it."""
    from running import TINY, snakemake

    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    folder = folder / "finished"
    with FileLock(folder.with_suffix(".lock")):
        if not (folder / "done").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            snakemake(folder, *TINY)
            (folder / "done").touch()
    return folder


@pytest.fixture
def copied(finished, tmp_path):
    """A copy of that folder, with its times, to change things in."""
    return shutil.copytree(finished, tmp_path / "copy")


@pytest.fixture(scope="session")
def browser():
    """Headless Chromium, which CI must have."""
    program = shutil.which("chromium")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("chromium is missing; CI installs it")
        pytest.skip("chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


def num_parameters_of(name, **settings):
    """Number of a network's parameters, for which none of them needs a value."""
    with torch.device("meta"):
        return num_parameters(build_model(name, **settings))


@pytest.fixture
def model(root, tmp_path, monkeypatch):
    """Folder of a run, whose network is `Discriminating` and is given the mark's ellipse."""
    return _known_run(root, tmp_path, monkeypatch, "prompted")


@pytest.fixture
def grey_model(model):
    """The same of a network that was trained on grey images, here of CT."""
    describe(model, modality="CT", channels="grey", window_hu=[-160.0, 240.0])
    return model


@pytest.fixture
def model_of_ends(root, tmp_path, monkeypatch):
    """The same of a network that is given the mark's four ends."""
    return _known_run(root, tmp_path, monkeypatch, "prompted_ends")


def _known_run(root, tmp_path, monkeypatch, arm):
    config = read_yaml(root / "config.yaml")
    settings = arms.training_settings(config, "ham10k", "source", arm)
    settings["prompt"] |= {"max_amplitude": 1.0}  # which short training runs choose
    trained = TrainingSettings(**settings)
    monkeypatch.setattr(
        "weaklesion.prediction.network.load_network", lambda *_: (Discriminating().eval(), trained)
    )
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "model.safetensors").write_text("{}")
    describe(folder)
    return folder


@pytest.fixture
def images(tmp_path):
    """Four lesions as PNG and JPG: masks by id, and rows of marks."""
    rng = np.random.default_rng(5)
    masks, rows = {}, []
    for number, ending in enumerate(("png", "jpg", "png", "jpg")):
        mask = lobed(rng)
        Image.fromarray(colored(mask, rng)).save(tmp_path / f"{number}.{ending}", quality=95)
        masks[f"m{number}"] = mask
        rows.append({"id": f"m{number}", "image": f"{number}.{ending}"} | mark_of(mask))
    return masks, rows


@pytest.fixture
def published(root):
    return root / "workflow/resources/published_numbers.yaml"


@pytest.fixture
def make_run(tmp_path):
    """Write one run's scores, run.json and history; return its description."""

    def make(
        arm,
        seed,
        dice,
        *,
        dataset="ham10k",
        protocol="p",
        hours=1.0,
        others=0.5,
        ids="s",
        groups=None,
        encoder="resnet101",
        classes=None,
        parameters=1,
        val=(0.5, 0.5),
        epochs=50,
        patience=None,
    ):
        run = {"dataset": dataset, "protocol": protocol, "arm": arm, "seed": seed}
        rows = [
            {
                **run,
                "id": f"{ids}{number}",
                "group": groups[number] if groups else f"g{ids}{number}",
                "metric": metric,
                "value": value if metric == "dice" else others,
                "status": "ok",
                "worst": 0.0 if measure.larger_is_better else 100.0,
            }
            for number, value in enumerate(dice)
            for metric, measure in MEASURES.items()
        ]
        folder = tmp_path / f"{dataset}-{protocol}-{arm}-{seed}"
        folder.mkdir()
        pd.DataFrame(rows).to_csv(folder / "scores.csv", index=False)
        told = {
            "device": "one GPU",
            "threads": 1,
            "wall_s": 3600 * hours,
            "epochs_run": 10 * seed,
            "kept_epoch": 1,
            "images_per_second": 100.0,
            "peak_gpu_memory_bytes": 2**31,
            "code": {"commit": "0123456789abcdef", "dirty": False},
            "versions": {"torch": f"2.{seed}"},
            "settings": {"encoder": encoder, "num_classes": classes}
            | {"epochs": epochs, "iterations": None, "patience": patience},
            "settings_sha256": "5e" * 32,
            "inputs_sha256": {"images": "1a" * 32, "target": "7b" * 32},
            "num_parameters": parameters,
        }
        (folder / "run.json").write_text(json.dumps(told))
        history = {"epoch": [0, 1, 2], "val_segmentation_loss": [9.0, val[0], 8.0]}
        history["val_dice"] = [0.1, val[1], 0.2]
        pd.DataFrame(history).to_csv(folder / "history.csv", index=False)
        return {
            **run,
            "network": "resnet101, ImageNet weights",
            "scores": folder / "scores.csv",
            "run": folder / "run.json",
            "history": folder / "history.csv",
        }

    return make
