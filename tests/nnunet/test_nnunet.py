"""nnU-Net's data set and command line, with a stand-in for nnU-Net; joined by ids throughout."""

import importlib.util
import json
import math
import random
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import ROOT
from PIL import Image

from weaklesion.errors import DataError
from weaklesion.nnunet import program
from weaklesion.nnunet.cases import case_of, id_of, read_masks, write_masks
from weaklesion.nnunet.predict import predict_nnunet
from weaklesion.nnunet.prepare import prepare_nnunet
from weaklesion.nnunet.settings import Budget
from weaklesion.nnunet.train import MODEL, describe_training, train_nnunet
from weaklesion.study.trained_on import read_trained_on
from weaklesion.support.files import file_digest, write_array

STAND_IN = ROOT / "tests/nnunet/stand_in.py"
TRAINER = ROOT / "src/weaklesion/nnunet/trainer/weaklesion_trainer.py"
COMMANDS = ("nnUNetv2_plan_and_preprocess", "nnUNetv2_train", "nnUNetv2_predict")
BUDGET = Budget(epochs=3, iterations=5, val_iterations=2, batch_size=4)
SPLITS = ("train", "val", "test", "train", "val", "test", "train", "test")


@pytest.fixture
def nnunet(tmp_path, monkeypatch):
    """The stand-in, where the environment variable names it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in COMMANDS:
        (folder / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {STAND_IN} {name} "$@"\n')
        (folder / name).chmod(0o755)
    monkeypatch.setenv(program.VARIABLE, str(folder / "python"))
    return folder


@pytest.fixture
def files(tmp_path):
    """Patches with odd ids, and targets in another order; each image differs from all others."""
    rng = np.random.default_rng(0)
    ids = [f"patient {number}/slice.{number % 3}_ä" for number in range(len(SPLITS))]
    images = rng.integers(0, 256, (len(ids), 8, 8, 3), dtype=np.uint8)
    targets = rng.integers(0, 2, (len(ids), 8, 8), dtype=np.uint8)
    shuffled = rng.permutation(len(ids))
    write_array(tmp_path / "images.npy", images)
    write_array(tmp_path / "target.npy", targets[shuffled])
    samples = pd.DataFrame({"id": ids, "group": ids, "split": SPLITS})
    samples.to_csv(tmp_path / "samples.csv", index=False)
    pd.DataFrame({"id": np.array(ids)[shuffled]}).to_csv(tmp_path / "ids.csv", index=False)
    return SimpleNamespace(folder=tmp_path, ids=ids, images=images, targets=targets)


def prepare(files, **changes):
    prepare_nnunet(
        **{
            "images_npy": files.folder / "images.npy",
            "samples_csv": files.folder / "samples.csv",
            "target_npy": files.folder / "target.npy",
            "target_ids_csv": files.folder / "ids.csv",
            "is_ct": False,
            "prepared_dir": files.folder / "prepared",
        }
        | changes
    )
    return files.folder / "prepared"


def train(files, settings=BUDGET, seed=7, data=None, trainer_py=TRAINER):
    train_nnunet(
        prepared_dir=files.folder / "prepared",
        trainer_py=trainer_py,
        model_dir=files.folder / "model",
        history_csv=files.folder / "history.csv",
        run_json=files.folder / "run.json",
        settings=settings,
        seed=seed,
        data=data,
    )
    return json.loads((files.folder / "run.json").read_text())


def predict(files, **changes):
    predict_nnunet(
        **{
            "model_dir": files.folder / "model",
            "trainer_py": TRAINER,
            "images_npy": files.folder / "images.npy",
            "samples_csv": files.folder / "samples.csv",
            "mirroring": False,
            "predictions_npy": files.folder / "predictions.npy",
            "predictions_csv": files.folder / "predictions.csv",
        }
        | changes
    )
    table = pd.read_csv(files.folder / "predictions.csv")
    return list(table["id"]), np.load(files.folder / "predictions.npy")


@pytest.mark.parametrize("sample_id", ["a", "A b/c.d", "50%", "..", "ä_1-2~", "x%20y"])
def test_a_case_is_a_file_name_that_gives_the_id_back(sample_id):
    assert id_of(case_of(sample_id)) == sample_id
    assert not set(case_of(sample_id)) & set("/. \\")


def test_images_and_targets_are_exported_by_id(nnunet, files):
    raw = prepare(files) / "raw/Dataset001_patches"
    split = {name: [i for i, of in enumerate(SPLITS) if of == name] for name in set(SPLITS)}
    assert len(list((raw / "imagesTr").iterdir())) == len(split["train"] + split["val"])
    for row in split["train"] + split["val"]:
        case = case_of(files.ids[row])
        assert (
            np.asarray(Image.open(raw / f"imagesTr/{case}_0000.png")) == files.images[row]
        ).all()
        assert (np.asarray(Image.open(raw / f"labelsTr/{case}.png")) == files.targets[row]).all()
    (written,) = json.loads(
        (files.folder / "prepared/preprocessed/Dataset001_patches/splits_final.json").read_text()
    )
    for name in ("train", "val"):
        assert sorted(map(id_of, written[name])) == sorted(files.ids[row] for row in split[name])
    described = json.loads((raw / "dataset.json").read_text())
    assert described["channel_names"] == {"0": "level", "1": "level", "2": "level"}


def test_grey_ct_has_one_channel_with_the_name_of_its_normalisation(nnunet, files):
    write_array(files.folder / "images.npy", np.repeat(files.images[..., :1], 3, axis=3))
    raw = prepare(files, is_ct=True) / "raw/Dataset001_patches"
    assert json.loads((raw / "dataset.json").read_text())["channel_names"] == {"0": "CT"}
    for path in (raw / "imagesTr").iterdir():
        assert np.asarray(Image.open(path)).shape == (8, 8)
    train(files)
    assert len(predict(files)[1]) == 3
    write_array(files.folder / "images.npy", files.images)
    with pytest.raises(DataError, match=r"patient 2/slice.2_ä: has colours.*Train it again"):
        predict(files)


def test_a_soft_target_is_refused(nnunet, files):
    write_array(files.folder / "target.npy", files.targets * 100)
    with pytest.raises(DataError, match=r"values up to 100.*soft edges"):
        prepare(files)
    assert not (files.folder / "prepared").exists()


def test_a_target_of_another_run_is_refused(nnunet, files):
    pd.DataFrame({"id": [f"other {row}" for row in range(8)]}).to_csv(
        files.folder / "ids.csv", index=False
    )
    with pytest.raises(DataError, match=r"ids\.csv: sample patient 0/slice.0_ä is not in it"):
        prepare(files)


def test_budget_and_seed_reach_the_command_and_the_record(nnunet, files):
    prepare(files)
    run = train(files)
    given = json.loads((files.folder / "model" / MODEL / "fold_0/checkpoint_final.pth").read_text())
    settings = {"epochs": 3, "iterations": 5, "val_iterations": 2, "batch_size": 4}
    assert settings.items() <= given["budget"].items()
    assert (given["budget"]["seed"], given["budget"]["threads"]) == (7, 1)
    assert settings.items() <= run["settings"].items()
    assert (run["settings"]["model"], run["seed"], run["epochs_run"]) == ("nnunet", 7, 3)
    assert (run["best_epoch"], run["kept_epoch"], run["num_parameters"]) == (2, 2, 7)
    # three epochs of five batches of four in twelve seconds
    assert run["images_per_second"] == pytest.approx(60 / 12)
    assert run["num_samples"] == {"train": 3, "val": 2}
    assert run["inputs_sha256"]["target"] == file_digest(files.folder / "target.npy")
    history = pd.read_csv(files.folder / "history.csv")
    assert list(history["epoch"]) == [0, 1, 2]  # the stand-in lists them backwards
    assert list(history["val_dice"]) == pytest.approx([0.0, 0.1, 0.2])
    assert list(history["seconds"]) == [4.0, 4.0, 4.0]
    assert not (files.folder / ".nnunet").exists()


def test_a_run_says_what_its_images_and_marks_are(nnunet, files):
    """The training samples are 0, 3 and 6, with crops of 20, 80 and 140 px, and 0.5 to 3.5 mm."""
    samples = pd.read_csv(files.folder / "samples.csv")
    number = np.arange(len(samples))
    samples = samples.assign(crop_x0=0, crop_y0=0, crop_x1=20 + 20 * number, crop_y1=50)
    samples = samples.assign(mm_per_px_x=0.5 + number / 2, mm_per_px_y=0.5)
    samples.to_csv(files.folder / "samples.csv", index=False)
    prepare(files)
    assert "data" not in train(files)
    facts = {"licence": "mine", "modality": "CT", "channels": "grey", "marks": "none"}
    facts |= {"dataset": "lits", "window_hu": [-40.0, 160.0]}
    data = train(files, data=facts)["data"]
    assert facts.items() <= data.items()
    assert (data["image_px"], data["crop_px"]) == ([8, 8], [20, 140])
    assert data["spacing_mm"] == [0.5, 3.5]
    assert read_trained_on(files.folder / "run.json").named() == "CT (grey levels)"


def test_an_epoch_without_a_lesion_to_score_is_not_the_best():
    """Its Dice is nan, as where no batch of the validation split has a liver."""
    rows = [
        {"epoch": epoch, "val_dice": dice, "started": epoch, "ended": epoch + 1}
        for epoch, dice in enumerate([math.nan, 0.5, 0.7, math.nan, 0.6])
    ]
    trained = {"planned": {"batch_size": 2}}
    assert describe_training(rows, trained, BUDGET)["best_epoch"] == 2


def test_a_killed_training_goes_on_and_another_one_starts_anew(nnunet, files, monkeypatch):
    prepare(files)
    monkeypatch.setenv("STAND_IN_FAILS", "1")
    with pytest.raises(DataError, match=r"(?s)nnUNetv2_train: failed with 3.*out of memory"):
        train(files)
    kept = files.folder / ".nnunet/checkpoint"
    kept.write_text("of seed 7")
    with pytest.raises(DataError):
        train(files)
    assert kept.is_file()
    with pytest.raises(DataError):
        train(files, seed=8)
    assert not kept.exists()


def test_a_killed_training_with_another_trainer_starts_anew(nnunet, files, monkeypatch):
    prepare(files)
    monkeypatch.setenv("STAND_IN_FAILS", "1")
    with pytest.raises(DataError):
        train(files)
    kept = files.folder / ".nnunet/checkpoint"
    kept.write_text("of the first trainer")
    changed = files.folder / "trainer" / TRAINER.name
    changed.parent.mkdir()
    changed.write_text(f"{TRAINER.read_text()}\nEPOCHS_BETWEEN_SAVES = 5\n")
    with pytest.raises(DataError):
        train(files, trainer_py=changed)
    assert not kept.exists()


def test_predictions_come_back_by_id_in_the_order_of_the_samples(nnunet, files):
    prepare(files)
    train(files)
    tests = [row for row, name in enumerate(SPLITS) if name == "test"]
    for order in (tests, tests[::-1]):
        rows = [*order, *(row for row in range(len(SPLITS)) if row not in order)]
        write_array(files.folder / "images.npy", files.images[rows])
        samples = {"id": files.ids, "group": files.ids, "split": SPLITS}
        pd.DataFrame(samples).iloc[rows].to_csv(files.folder / "samples.csv", index=False)
        ids, masks = predict(files)
        assert ids == [files.ids[row] for row in order]
        assert masks.dtype == np.uint8
        assert (masks == (files.images[order, ..., 0] > 127)).all()


def test_a_mask_that_is_missing_or_of_another_sample_is_refused(tmp_path):
    masks = np.zeros((2, 4, 4), np.uint8)
    write_masks(tmp_path, ["a", "b"], masks)
    assert (read_masks(tmp_path, ["b", "a"], (4, 4)) == masks).all()
    with pytest.raises(DataError, match="predicted no mask of c"):
        read_masks(tmp_path, ["a", "b", "c"], (4, 4))
    with pytest.raises(DataError, match=r"b\.png belongs to no test sample"):
        read_masks(tmp_path, ["a"], (4, 4))
    with pytest.raises(DataError, match="not a mask"):
        read_masks(tmp_path, ["a", "b"], (8, 8))


def test_without_nnunet_the_first_job_says_how_to_install_it(files, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(program, "CHECKOUT", tmp_path)
    monkeypatch.delenv(program.VARIABLE, raising=False)
    with pytest.raises(DataError, match=r"nnU-Net is not installed.*make nnunet.*--sdm conda"):
        prepare(files)
    assert not (files.folder / "prepared").exists()


def test_the_trainer_takes_the_budget_and_writes_its_history(tmp_path, monkeypatch):
    """nnU-Net's own trainer is a stub here; the real one is trained in test_nnunet_workflow.py."""

    class Stub:
        def __init__(self, plans, configuration, fold, dataset_json, device):
            self.device, self.output_folder, self.current_epoch = device, str(tmp_path), 0
            self.num_epochs, self.num_iterations_per_epoch = 1000, 250
            self.configuration_manager = SimpleNamespace(patch_size=(64, 64))
            self.network = SimpleNamespace(parameters=lambda: [torch.zeros(3), torch.zeros(4)])
            self.logger = SimpleNamespace(get_value=lambda key, step: [0.5] * self.current_epoch)

        def _set_batch_size_and_oversample(self):
            self.batch_size = 9

        def on_epoch_end(self):
            self.current_epoch += 1

    name = "nnunetv2.training.nnUNetTrainer.nnUNetTrainer"
    for part in range(1, 5):
        monkeypatch.setitem(sys.modules, ".".join(name.split(".")[:part]), ModuleType(name))
    sys.modules[name].nnUNetTrainer = Stub
    spec = importlib.util.spec_from_file_location("weaklesion_trainer", TRAINER)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "version", lambda package: "1.0")
    budget = {"epochs": 3, "iterations": 5, "val_iterations": 2, "batch_size": None}
    for batch_size, used in ((None, 9), (4, 4)):
        given = json.dumps(budget | {"batch_size": batch_size, "seed": 7, "threads": 1})
        monkeypatch.setenv("WEAKLESION_NNUNET_BUDGET", given)
        trainer = module.WeakLesionTrainer({}, "2d", 0, {}, SimpleNamespace(type="other"))
        assert (trainer.num_epochs, trainer.num_iterations_per_epoch) == (3, 5)
        assert trainer.num_val_iterations_per_epoch == 2
        trainer._set_batch_size_and_oversample()
        assert trainer.batch_size == used
    trainer.on_epoch_end()
    trainer.on_epoch_end()
    history = json.loads((tmp_path / "history.json").read_text())
    assert [row["epoch"] for row in history["epochs"]] == [0, 1]
    assert history["planned"] == {"batch_size": 4, "patch_px": [64, 64]}
    assert (history["num_parameters"], history["device"]) == (7, "cpu")
    first = torch.rand(1), np.random.random(), random.random()  # noqa: NPY002
    module.WeakLesionTrainer({}, "2d", 0, {}, SimpleNamespace(type="other"))
    assert (torch.rand(1), np.random.random(), random.random()) == first  # noqa: NPY002
    assert trainer.perform_actual_validation() is None
