"""A real nnU-Net in the whole workflow, on a phantom with a budget of a few batches."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from documented_columns import assert_documented
from PIL import Image
from running import TINY, planned, snakemake

from weaklesion.nnunet.program import VARIABLE
from weaklesion.nnunet.train import FINAL, MODEL

pytestmark = pytest.mark.workflow

PYTHON = Path(os.environ.get(VARIABLE, ROOT / ".nnunet/bin/python"))
BUDGET = {"epochs": 2, "iterations": 3, "val_iterations": 1, "batch_size": 4, "mirroring": False}
STUDY = {
    "study": "peer",
    "nnunet": BUDGET,
    "select": {"items": ["nnunet", "costs", "sizes"], "datasets": ["phantom_ham10k"]},
    "experiments": {
        "nnunet": {"datasets": ["ham10k"], "arms": ["a1", "nnunet"], "seeds": [1]},
        "costs": {"kind": "cost", "title": "Cost", "datasets": ["ham10k"], "seeds": [1]}
        | {"protocols": ["demo"], "arms": ["a1", "nnunet"]},
        "sizes": {"kind": "parameters", "title": "Parameters", "datasets": ["ham10k"]}
        | {"protocols": ["demo"], "arms": ["a1", "nnunet"], "seeds": [1]},
    },
}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Folder in which a real nnU-Net was trained, predicted and scored beside A1."""
    if not (PYTHON.parent / "nnUNetv2_train").is_file():
        assert not os.environ.get("CI"), "make nnunet"
        pytest.skip(f"{PYTHON} has no nnU-Net: make nnunet, or name its Python in {VARIABLE}")
    folder = tmp_path_factory.mktemp("nnunet")
    (folder / "peer.yaml").write_text(json.dumps(STUDY))
    snakemake(folder, *TINY, folder / "peer.yaml", **{VARIABLE: str(PYTHON)})
    return folder / "results/peer"


def test_nnunet_is_trained_with_the_named_budget_and_scored_as_all_arms(study):
    run = study / "phantom_ham10k/demo/runs/nnunet/seed-1"
    described = json.loads((run / "run.json").read_text())
    trained = {key: value for key, value in BUDGET.items() if key != "mirroring"}
    assert trained.items() <= described["settings"].items()
    assert (described["epochs_run"], described["planned"]["batch_size"]) == (2, 4)
    assert described["versions"]["nnunetv2"] == "2.8.1"
    beside = json.loads((run.parents[1] / "a1/seed-1/run.json").read_text())
    assert described["data"] == beside["data"]
    assert len(pd.read_csv(run / "history.csv")) == 2
    samples = pd.read_csv(study / "phantom_ham10k/demo/patches/samples.csv", dtype=str)
    tests = samples.loc[samples["split"] == "test", "id"]
    assert list(pd.read_csv(run / "predictions.csv", dtype=str)["id"]) == list(tests)
    masks = np.load(run / "predictions.npy")
    assert masks.shape == (len(tests), 48, 48)
    assert set(np.unique(masks)) <= {0, 1}
    scores = pd.read_csv(run / "scores.csv", dtype={"id": str})
    assert set(scores["id"]) == set(tests)
    assert not (study / "phantom_ham10k/demo/nnunet").exists()  # prepared, and not needed any more


def test_another_way_to_predict_trains_nothing_again(study):
    folder = study.parents[1]
    (folder / "other.yaml").write_text(json.dumps(STUDY | {"nnunet": BUDGET | {"mirroring": True}}))
    jobs = planned(folder, *TINY, folder / "other.yaml", **{VARIABLE: str(PYTHON)})
    assert jobs["predict_nnunet"] == 1
    assert "train_nnunet" not in jobs


def test_tables_of_scores_cost_and_parameters_have_nnunet(study):
    tables = {
        name: pd.read_csv(study / f"tables/{name}.csv") for name in ("nnunet", "costs", "sizes")
    }
    for table in tables.values():
        assert set(table["arm"]) == {"a1", "nnunet"}
    dice = tables["nnunet"].set_index(["arm", "metric"])["mean"]
    assert dice["nnunet", "dice"] > 0
    assert (tables["sizes"]["parameters"] > 1e5).all()
    page = (study / "tables/nnunet.html").read_text()
    assert "2 epochs of 3 batches of 4" in page
    assert "Not comparable" not in page
    assert_documented(study)


def test_the_trained_folder_predicts_without_the_package(study, tmp_path):
    """As anybody with nnU-Net would use it; only the trainer's file is ours."""
    run = study / "phantom_ham10k/demo/runs/nnunet/seed-1"
    assert (run / "nnunet" / MODEL / "fold_0" / FINAL).is_file()
    (tmp_path / "in").mkdir()
    patches = study / "phantom_ham10k/demo/patches"
    samples = pd.read_csv(patches / "samples.csv", dtype=str)
    row = int(samples.index[samples["split"] == "test"][0])
    Image.fromarray(np.load(patches / "images.npy")[row]).save(tmp_path / "in/one_0000.png")
    trainer = shutil.copytree(ROOT / "src/weaklesion/nnunet/trainer", tmp_path / "trainer")
    folders = {"raw": tmp_path, "preprocessed": tmp_path, "results": run / "nnunet"}
    variables = {f"nnUNet_{name}": str(path) for name, path in folders.items()}
    variables |= {"nnUNet_extTrainer": str(trainer), "nnUNet_n_proc_DA": "1"}
    words = ["-i", tmp_path / "in", "-o", tmp_path / "out", "-d", MODEL.parts[0], "-c", "2d"]
    words += ["-f", "0", "-tr", "WeakLesionTrainer", "-device", "cpu", "-npp", "0", "-nps", "0"]
    command = [PYTHON.parent / "nnUNetv2_predict", *words, "--disable_tta"]
    inherited = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    subprocess.run(list(map(str, command)), env=inherited | variables, check=True)
    mask = np.asarray(Image.open(tmp_path / "out/one.png"))
    assert (mask == np.load(run / "predictions.npy")[0]).all()
