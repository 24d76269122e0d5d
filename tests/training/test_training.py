import errno
import hashlib
import json
import math
import os
import shutil
import signal
import subprocess
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from flipping import cluster_with_flipped_copies, name_of_copy
from preloaded_python import preloaded_python
from safetensors.torch import load_file

from weaklesion.data.samples import read_rows, read_samples, split_ids
from weaklesion.errors import DataError
from weaklesion.flips import FLIPS
from weaklesion.prediction.files import PredictionFiles, predict_target
from weaklesion.prediction.predict import predict_arm
from weaklesion.prediction.settings import PredictionSettings
from weaklesion.selection.recovery import RecoverySettings
from weaklesion.selection.warp_amplitude import ShortTraining, choose_warp
from weaklesion.study.code_tracking import PACKAGE, module_files
from weaklesion.study.settings import TrainingSettings, with_choice
from weaklesion.supervision.classes import cluster_lesions
from weaklesion.supervision.ellipses import draw_ellipses, draw_soft_ellipses
from weaklesion.support.files import file_digest, read_array
from weaklesion.training.data import TrainingFiles, epoch_batches, some_ids
from weaklesion.training.optimizers import make_optimizer, make_schedule
from weaklesion.training.state import TrainingState, keep
from weaklesion.training.steps import evaluate, training_step
from weaklesion.training.tasks import make_task
from weaklesion.training.tasks.segmentation import SegmentationTask
from weaklesion.training.train import RunOptions, train_arm

SETTINGS = {
    "model": "a1",
    "network": {},
    "prompt": None,
    "encoder": "tu-tf_mobilenetv3_small_minimal_100",
    "weights": "none",
    "input_px": 32,
    "pad_to": (32, 32),
    "loss_region": "patch",
    "soft_targets": False,
    "segmentation_loss": "bce",
    "classification_loss": "cross_entropy",
    "focal_weights": None,
    "segmentation_weight": 1.0,
    "classification_weight": 0.0,
    "epochs": 2,
    "iterations": None,
    "patience": None,
    "train_samples": None,
    "batch_size": 10,
    "drop_last": False,
    "clip_norm": None,
    "zero_gradients": True,
    "steps_per_batch": 1,
    "pairs": "cluster",
    "optimizer": "adam",
    "momentum": 0.0,
    "weight_decay": 0.0,
    "learning_rate": 0.001,
    "schedule": "constant",
    "checkpoint": "last",
    "ema": None,
    "augmentation": "flips",
    "precision": "float32",
    "deterministic": True,
}
A1L = {"model": "a1l", "num_classes": 4, "segmentation_weight": 50.0, "classification_weight": 1.0}
ACOSEG = {"model": "acoseg", "batch_size": 8, "segmentation_weight": 2.0, "learning_rate": 1e-4}
ACOSEG_RELEASED = ACOSEG | {
    "model": "acoseg_released",
    "pairs": "random",
    "steps_per_batch": 2,
    "zero_gradients": False,
    "clip_norm": 0.05,
    "drop_last": True,
}
COSEG = {
    "model": "drn_coseg",
    "encoder": "resnet18",
    "network": {"multi_grid": True, "channels": "eca", "places": "mean", "decoder": "d2"},
    "batch_size": 8,
    "iterations": 7,  # more than one pass, and not a whole number of them
    "optimizer": "sgd",
    "learning_rate": 0.01,
    "momentum": 0.9,
    "weight_decay": 0.0005,
    "schedule": "poly",
}
CMU = {
    "model": "cmu_net",
    "num_classes": 4,
    "segmentation_loss": "dice",
    "classification_loss": "focal",
    "focal_weights": (0.2, 0.3, 0.4, 0.1),
    "segmentation_weight": 0.5,
    "classification_weight": 0.5,
    "schedule": "cosine_restarts",
}
PROMPTED = {
    "model": "prompted",
    "prompt": {"margin": 1.4, "max_amplitude": 1.0, "clip": 0.8, "mark_noise": 0.05},
    "optimizer": "adamw",
    "learning_rate": 0.003,
    "weight_decay": 0.01,
    "schedule": "one_cycle",
    "ema": 0.9,
}
LEARNS = ("training.train", "training.tasks.segmentation", "networks.deeplab")  # a1's code
ARMS = {
    "a1": {},
    "a1l": A1L,
    "unet": {"model": "unet"},
    "unetl": A1L | {"model": "unetl"},
    "acoseg": ACOSEG,
    "acoseg_released": ACOSEG_RELEASED,
    "coseg": COSEG,
    "cmu_net": CMU,
    "prompted": PROMPTED,
}


@pytest.fixture(scope="module")
def supervised(patches, tmp_path_factory):
    """Folder with ellipses and clusters of the phantom's patches."""
    folder = tmp_path_factory.mktemp("supervised")
    draw_ellipses(
        samples_csv=patches / "samples.csv",
        images_npy=patches / "images.npy",
        ellipses_csv=folder / "ellipses.csv",
        target_npy=folder / "ellipse.npy",
        center="midpoint",
        outline_px=0.0,
    )
    cluster_lesions(
        samples_csv=patches / "samples.csv",
        images_npy=patches / "images.npy",
        ellipses_csv=folder / "ellipses.csv",
        clusters_csv=folder / "clusters.csv",
        quality_json=folder / "q.json",
        k=4,
        encoding="raw",
        fit_on="train",
        seed=0,
    )
    return folder


def training_files(patches, supervised, settings):
    return {
        "images_npy": patches / "images.npy",
        "samples_csv": patches / "samples.csv",
        "target_npy": supervised / "ellipse.npy",
        "target_ids_csv": supervised / "ellipses.csv",
        "clusters_csv": supervised / "clusters.csv" if settings.needs_clusters else None,
        "ellipses_csv": supervised / "ellipses.csv" if settings.prompt else None,
    }


def run_training(patches, supervised, folder, files=None, options=None, seed=1, **changes):
    epochs_of_json = changes.pop("epochs_of_json", None)
    settings = TrainingSettings(**SETTINGS | changes)
    given = training_files(patches, supervised, settings) | (files or {})
    train_arm(
        files=TrainingFiles(**given),
        run_dir=folder,
        settings=settings,
        seed=seed,
        epochs_of_json=epochs_of_json,
        options=RunOptions(**options or {}),
    )
    return folder


@pytest.fixture
def train(patches, supervised, tmp_path):
    """Train in a folder of the test's own."""
    return lambda name="run", **how: run_training(patches, supervised, tmp_path / name, **how)


@pytest.fixture(scope="module")
def trained(patches, supervised, tmp_path_factory):
    """Folder of a finished training, of which there is one by seed and settings; it stays as is."""

    def run(**how):
        name = hashlib.sha256(json.dumps(how, sort_keys=True).encode()).hexdigest()[:16]
        folder = tmp_path_factory.getbasetemp() / "trained" / name
        if not (folder / "run.json").exists():
            run_training(patches, supervised, folder, **how)
        return folder

    return run


def history(folder):
    return pd.read_csv(folder / "history.csv")


@pytest.mark.workflow
@pytest.mark.parametrize("arm", [A1L, ACOSEG], ids=["a1l", "acoseg"])
def test_same_seed_same_bytes_other_seed_other_bytes(train, trained, arm):
    first, again, other = trained(**arm), train("again", **arm), train("o", seed=2, **arm)
    weights = [(run / "model.safetensors").read_bytes() for run in (first, again, other)]
    assert weights[0] == weights[1]
    assert weights[0] != weights[2]
    pd.testing.assert_frame_equal(history(first), history(again), check_exact=True)


@pytest.mark.parametrize(
    ("precision", "instructions", "warned"),
    [
        ("bfloat16", {"avx512_f": True}, True),
        ("bfloat16", {"avx512_f": True, "avx512_bf16": False, "amx_bf16": False}, True),
        ("bfloat16", {"avx512_bf16": True}, False),
        ("bfloat16", {"amx_bf16": True}, False),
        ("bfloat16", {"neon": True, "bf16": True}, False),  # ARM
        ("float32", {"avx512_f": True}, False),
    ],
)
def test_bfloat16_on_a_cpu_without_it_is_said_to_be_slow(
    train, monkeypatch, caplog, precision, instructions, warned
):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: instructions)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with caplog.at_level("WARNING"):
        train(epochs=1, precision=precision)
    assert ("this CPU has no instructions for bfloat16" in caplog.text) is warned


# Losses of the first epochs as this code computed them; a change that moves them says so.
GOLDEN = {
    "a1": [0.5524, 0.3451],
    "a1l": [29.422, 18.513],
    "unet": [0.5215, 0.3001],
    "unetl": [28.418, 19.022],
    "acoseg": [1.2155, 1.1029],
    "acoseg_released": [1.1736, 0.9965],
    "coseg": [0.5058, 0.3082],
    "cmu_net": [0.4637, 0.4049],
    "prompted": [0.8695, 0.6919],
}


@pytest.mark.workflow
@pytest.mark.parametrize("name", list(ARMS))
def test_golden_loss_curve(train, name):
    losses = history(train(**ARMS[name] | {"encoder": "resnet18"}))["train_loss"]
    assert losses.tolist() == pytest.approx(GOLDEN[name], rel=0.02)


class TwoTasks(torch.nn.Module):
    """A network with two weights: map logits of the image's brightness, and class logits of 0."""

    def __init__(self):
        super().__init__()
        self.weights = torch.nn.Parameter(torch.zeros(2))

    def forward(self, images):
        brightness = images.mean(dim=1, keepdim=True)
        classes = torch.zeros(len(images), 4) * self.weights[1]
        return brightness * self.weights[0], classes


@pytest.mark.parametrize("encoding", ["raw", "opencv", "clicked", "periodic"])
@pytest.mark.workflow
def test_a_flipped_image_is_shown_with_the_class_of_its_flipped_mark(
    encoding, patches, tmp_path, monkeypatch
):
    clusters = cluster_with_flipped_copies(patches, tmp_path, encoding=encoding)["cluster"]
    side = {"input_px": 64, "pad_to": (64, 64)}
    settings = TrainingSettings(**SETTINGS | A1L | side)
    files = TrainingFiles(
        images_npy=patches / "images.npy",
        samples_csv=patches / "samples.csv",
        target_npy=tmp_path / "ellipse.npy",
        target_ids_csv=tmp_path / "samples.csv",
        clusters_csv=tmp_path / "clusters.csv",
    )
    task = make_task(settings, 64)
    data = task.load_split("train", files, torch.device("cpu"))
    shown = {}

    def noted(name):
        def loss(logits, wanted, *rest):
            shown[name] = wanted.clone()
            return logits.sum() * 0

        return loss

    for name in ("segmentation_loss", "classification_loss"):
        monkeypatch.setattr(f"weaklesion.training.tasks.segmentation.{name}", noted(name))
    model = TwoTasks()
    index = torch.arange(len(data.ids)).repeat_interleave(len(FLIPS))
    flips = torch.tensor(list(FLIPS.values())).repeat(len(data.ids), 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    training_step(model, optimizer, data, index, flips, task)
    copies = [name_of_copy(name, column) for name in data.ids for column in FLIPS]
    assert shown["classification_loss"].tolist() == clusters[copies].tolist()
    assert shown["classification_loss"].tolist() != data.labels[index].tolist()
    # and with the flipped mark as its target, whose outline is that of the copy's
    targets = shown["segmentation_loss"][:, 0].numpy()
    marks = read_rows(tmp_path / "ellipse.npy", tmp_path / "samples.csv", copies)
    assert (targets != marks).sum(axis=(1, 2)).max() <= 2
    # as it is, where nothing is flipped
    training_step(model, optimizer, data, index, None, task)
    assert shown["classification_loss"].tolist() == data.labels[index].tolist()
    assert data.labels.tolist() == clusters[data.ids].tolist()


@pytest.mark.workflow
def test_classes_without_those_under_flips_are_refused_where_images_are_flipped(
    train, supervised, tmp_path
):
    classes = pd.read_csv(supervised / "clusters.csv")
    classes[["id", "cluster"]].to_csv(tmp_path / "c.csv", index=False)
    files = {"clusters_csv": tmp_path / "c.csv"}
    with pytest.raises(DataError, match=r"c\.csv: has no column cluster_left_right.*Cluster again"):
        train(files=files, **A1L)
    # neither a training without flips nor pairs read them
    train("plain", files=files, **A1L | {"augmentation": "none", "epochs": 1})
    train("pairs", files=files, **ACOSEG | {"epochs": 1})


@pytest.mark.workflow
def test_gradients_that_are_never_cleared_add_up(train):
    changes = ACOSEG_RELEASED | {"clip_norm": None, "epochs": 1}
    cleared, added = (
        history(train(str(zero), **changes | {"zero_gradients": zero})) for zero in (True, False)
    )
    assert cleared["train_loss"].iloc[0] != added["train_loss"].iloc[0]


@pytest.mark.workflow
def test_second_step_on_a_batch_has_its_halves_swapped(train, monkeypatch):
    step, seen = training_step, []

    def noted(model, optimizer, data, index, *rest):
        seen.append(index.tolist())
        return step(model, optimizer, data, index, *rest)

    monkeypatch.setattr("weaklesion.training.steps.training_step", noted)
    train(**ACOSEG_RELEASED | {"epochs": 1})
    assert len(seen) % 2 == 0
    for first, second in zip(seen[::2], seen[1::2], strict=True):
        assert len(first) == 8
        assert second == first[4:] + first[:4]


TRAIN_IN_A_PROCESS = """
import json, logging, sys
from weaklesion.training.train import RunOptions, train_arm
from weaklesion.training.data import TrainingFiles
from weaklesion.study.settings import TrainingSettings
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
given = json.loads(sys.argv[1])
train_arm(files=TrainingFiles(**given["files"]), run_dir=given["run_dir"], seed=1,
          options=RunOptions(save_every_s=0, save_in_epoch_every_s=0),
          settings=TrainingSettings(**given["settings"]))
"""


@pytest.mark.workflow
@pytest.mark.parametrize("name", ["a1l", "acoseg_released", "coseg", "cmu_net", "prompted"])
def test_a_killed_training_goes_on_bit_for_bit(name, train, patches, supervised, tmp_path):
    changes = {"schedule": "one_cycle"} | ARMS[name] | {"epochs": 4, "checkpoint": "best_loss"}
    straight = train("straight", **changes)
    settings = TrainingSettings(**SETTINGS | changes)
    files = training_files(patches, supervised, settings)
    given = {
        "files": {role: path and str(path) for role, path in files.items()},
        "run_dir": str(tmp_path / "killed"),
        "settings": SETTINGS | changes,
    }
    command = [preloaded_python(), "-c", TRAIN_IN_A_PROCESS, json.dumps(given)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if line.startswith("epoch 2/4: loss"):
                process.kill()
        assert process.wait() == -signal.SIGKILL
    assert os.listdir(tmp_path / "killed") == ["last.pt"]
    done = len(torch.load(tmp_path / "killed" / "last.pt", weights_only=True)["seen"]["history"])
    assert 2 <= done < 4
    killed = train("killed", **changes)
    pd.testing.assert_frame_equal(history(killed), history(straight), check_exact=True)
    weights = [(run / "model.safetensors").read_bytes() for run in (killed, straight)]
    assert weights[0] == weights[1]
    assert not (killed / "last.pt").exists()


@pytest.mark.workflow
@pytest.mark.parametrize(("in_epoch_every_s", "steps_saved"), [(1e9, 0), (0, 4)])
def test_wall_time_adds_up_over_killed_processes(train, monkeypatch, in_epoch_every_s, steps_saved):
    # reading a split takes 3 s, a step 1 s, a validation 10 s: each epoch of four steps 14 s
    now = 0.0
    clock = SimpleNamespace(perf_counter=lambda: now)
    for module in ("loop", "state"):
        monkeypatch.setattr(f"weaklesion.training.{module}.time", clock)

    def taking(seconds, function):
        def slow(*args):
            nonlocal now
            now += seconds
            return function(*args)

        return slow

    loading = taking(3, SegmentationTask.load_split)
    monkeypatch.setattr(SegmentationTask, "load_split", loading)
    monkeypatch.setattr("weaklesion.training.steps.training_step", taking(1, training_step))
    monkeypatch.setattr("weaklesion.training.loop.evaluate", taking(10, evaluate))
    options = {
        "options": {"save_every_s": 0, "save_in_epoch_every_s": in_epoch_every_s},
        "epochs": 4,
    }
    # the first process is killed in the validation of the third epoch, the second in the fourth's
    for started_at, validations in ((1000.0, 3), (50.0, 2)):
        now = started_at  # clocks of two processes have nothing to do with each other
        calls = iter(range(validations))

        def killed(*args, calls=calls, validations=validations):
            if next(calls) == validations - 1:
                raise KeyboardInterrupt
            return taking(10, evaluate)(*args)

        with monkeypatch.context() as patched:
            patched.setattr("weaklesion.training.loop.evaluate", killed)
            with pytest.raises(KeyboardInterrupt):
                train(**options)
    now = 7000.0
    run = json.loads((train(**options) / "run.json").read_text())
    # steps are taken once, if they are saved: the second process begins with a validation
    first, second = 6 + 2 * 14 + steps_saved, 6 + (14 - steps_saved) + steps_saved
    assert run["wall_s"] == first + second + 6 + (14 - steps_saved)
    assert run["seconds"] == {"data": 3 * 6, "steps": 4 * 4, "validation": 4 * 10, "saving": 0}


def leave_last_pt(train, monkeypatch, name, **changes):
    """Train one epoch of two, as if killed then."""

    def killed(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("weaklesion.training.loop._report", killed)
        with pytest.raises(KeyboardInterrupt):
            train(name, **changes)


@pytest.mark.workflow
@pytest.mark.parametrize("changes", [{"learning_rate": 0.002}, A1L])
def test_a_training_of_other_settings_starts_afresh(train, trained, monkeypatch, caplog, changes):
    leave_last_pt(train, monkeypatch, "run")
    with caplog.at_level("WARNING"):
        resumed = train("run", **changes)
    assert "belongs to other code, libraries, settings, data or format" in caplog.text
    pd.testing.assert_frame_equal(history(resumed), history(trained(**changes)))


@pytest.mark.workflow
@pytest.mark.parametrize("changed", ["code", "library"])
def test_a_training_of_other_code_or_libraries_starts_afresh(
    train, trained, monkeypatch, caplog, tmp_path, changed
):
    losses = shutil.copy(PACKAGE / "training/losses.py", tmp_path)
    with monkeypatch.context() as before:
        if changed == "code":
            with open(losses, "a") as file:
                file.write("FOCAL_GAMMA = 3.0\n")
            files = [losses if "/losses.py" in each else each for each in module_files(*LEARNS)]
            before.setattr("weaklesion.training.train.module_files", lambda *modules: files)
        else:
            before.setattr(
                "weaklesion.support.provenance.package_versions", lambda: {"torch": "1.0"}
            )
        leave_last_pt(train, monkeypatch, "run")
    with caplog.at_level("WARNING"):
        resumed = train("run")
    assert "belongs to other code, libraries, settings, data or format" in caplog.text
    pd.testing.assert_frame_equal(history(resumed), history(trained()))


@pytest.mark.workflow
def test_a_broken_last_pt_is_left_aside(train, monkeypatch, tmp_path, caplog):
    leave_last_pt(train, monkeypatch, "run")
    whole = (tmp_path / "run" / "last.pt").read_bytes()
    (tmp_path / "run" / "last.pt").write_bytes(whole[: len(whole) // 2])
    with caplog.at_level("WARNING"):
        train("run")
    assert "last.pt is damaged" in caplog.text


@pytest.mark.workflow
def test_a_pickle_in_place_of_last_pt_is_not_run(train, tmp_path, caplog):
    class Trap:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "sprung"),))

    (tmp_path / "run").mkdir()
    torch.save({"digest": Trap()}, tmp_path / "run" / "last.pt")
    with (tmp_path / "run" / "last.pt").open("r+b") as stream:
        stream.write(hashlib.sha256(stream.read()).digest())  # a checksum that holds
    with caplog.at_level("WARNING"):
        train("run")
    assert "last.pt cannot be read" in caplog.text
    assert not (tmp_path / "sprung").exists()


@pytest.mark.workflow
def test_as_many_epochs_as_another_run_took(train, tmp_path):
    (tmp_path / "other.json").write_text('{"epochs_run": 3}')
    run = train(epochs_of_json=tmp_path / "other.json", patience=1, epochs=1)
    assert len(history(run)) == 3
    assert json.loads((run / "run.json").read_text())["settings"]["patience"] is None


@pytest.mark.workflow
def test_history_for_tensorboard(train):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = train(options={"tensorboard": True})
    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    values = [event.value for event in events.Scalars("val_dice")]
    assert values == pytest.approx(history(run)["val_dice"].tolist())


def test_too_little_memory_says_what_to_lower(train, monkeypatch):
    def full(*args):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    monkeypatch.setattr("weaklesion.training.steps.training_step", full)
    with pytest.raises(DataError, match=r"memory does not suffice .* Lower batch_size \(10\)"):
        train()


def test_output_folder_that_cannot_be_written(train, tmp_path):
    (tmp_path / "run").write_text("a file where the folder should be")
    with pytest.raises(DataError, match="run: cannot be written"):
        train()


@pytest.mark.workflow
def test_full_disk_says_so_and_keeps_the_last_state(train, monkeypatch, tmp_path):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("weaklesion.training.train.save", full)
    with pytest.raises(DataError, match="No space left on device"):
        train()
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["last.pt"]


def test_batch_larger_than_the_split(train):
    with pytest.raises(DataError, match=r"fewer than one batch. Lower batch_size, 1000"):
        train(batch_size=1000)


@pytest.mark.workflow
def test_co_segmentation_records_its_partners(trained, patches, supervised, tmp_path):
    run = trained(**ACOSEG)
    masks, ids = predict(
        run,
        patches,
        tmp_path,
        ellipses_csv=supervised / "ellipses.csv",
        clusters_csv=supervised / "clusters.csv",
    )
    assert len(masks) == len(ids)
    table = pd.read_csv(tmp_path / "p.csv")
    clusters = pd.read_csv(supervised / "clusters.csv").set_index("id")["cluster"]
    assert set(table["partner"]) <= set(split_ids(patches / "samples.csv", "train"))
    assert (clusters[table["partner"]].to_numpy() == table["partner_cluster"]).all()
    with pytest.raises(DataError, match="needs ellipses and clusters"):
        predict(run, patches, tmp_path)


@pytest.mark.workflow
def test_what_a_run_leaves(trained, patches):
    folder = trained(**A1L)
    assert sorted(path.name for path in folder.iterdir()) == [
        "history.csv",
        "model.safetensors",
        "run.json",
    ]
    run = json.loads((folder / "run.json").read_text())
    assert run["seed"] == 1
    assert run["settings"]["num_classes"] == 4
    assert run["num_samples"] == {
        split: len(split_ids(patches / "samples.csv", split)) for split in ("train", "val")
    }
    assert set(run["inputs_sha256"]) == {"images", "samples", "target", "target_ids", "clusters"}
    assert run["epochs_run"] == 2
    assert run["peak_memory_bytes"] > 1e8
    assert {"torch", "numpy", "segmentation-models-pytorch"} <= set(run["versions"])


@pytest.mark.workflow
def test_targets_and_labels_are_found_by_id(train, trained, supervised, tmp_path):
    straight = trained(**A1L)
    table = pd.read_csv(supervised / "ellipses.csv")
    order = np.random.default_rng(0).permutation(len(table))
    table.iloc[order].to_csv(tmp_path / "ids.csv", index=False)
    np.save(tmp_path / "target.npy", read_array(supervised / "ellipse.npy")[order])
    pd.read_csv(supervised / "clusters.csv").iloc[order[::-1]].to_csv(
        tmp_path / "clusters.csv", index=False
    )
    shuffled = train(
        "shuffled",
        files={
            "target_npy": tmp_path / "target.npy",
            "target_ids_csv": tmp_path / "ids.csv",
            "clusters_csv": tmp_path / "clusters.csv",
        },
        **A1L,
    )
    pd.testing.assert_frame_equal(history(straight), history(shuffled), check_exact=True)


@pytest.mark.parametrize("name", ["a1", "prompted"])
@pytest.mark.workflow
def test_test_split_is_never_read(name, train, trained, patches, supervised, tmp_path):
    straight = trained(**ARMS[name])
    samples = read_samples(patches / "samples.csv")
    rows = samples.loc[samples["split"] == "test", "row"]
    images, targets = (
        np.array(read_array(path)) for path in (patches / "images.npy", supervised / "ellipse.npy")
    )
    images[rows], targets[rows] = 0, 0
    np.save(tmp_path / "images.npy", images)
    np.save(tmp_path / "target.npy", targets)
    blind = train(
        "blind",
        files={"images_npy": tmp_path / "images.npy", "target_npy": tmp_path / "target.npy"},
        **ARMS[name],
    )
    pd.testing.assert_frame_equal(history(straight), history(blind), check_exact=True)


def test_training_on_some_samples_takes_the_same_ones_for_every_seed(
    train, patches, supervised, monkeypatch
):
    ids = split_ids(patches / "samples.csv", "train")
    few, more = (some_ids(ids, count, "samples.csv") for count in (12, 20))
    assert set(few) < set(more) < set(ids)
    assert some_ids(ids[::-1], 12, "samples.csv") == few[::-1]
    run = train(train_samples=12, epochs=1, seed=2)
    assert json.loads((run / "run.json").read_text())["num_samples"]["train"] == 12
    with pytest.raises(DataError, match=f"has {len(ids)} samples"):
        train(train_samples=1000)


@pytest.mark.workflow
def test_the_average_of_the_weights_is_what_is_kept(trained):
    plain, averaged = (
        load_file(trained(**PROMPTED | {"ema": decay}) / "model.safetensors")
        for decay in (None, 0.9)
    )
    assert plain.keys() == averaged.keys()
    assert any((plain[key] != averaged[key]).any() for key in plain)


def test_a_chosen_warp_takes_the_place_of_none(tmp_path):
    (tmp_path / "choice.json").write_text('{"max_amplitude": 2.0}')
    open_ = TrainingSettings(
        **SETTINGS | PROMPTED | {"prompt": PROMPTED["prompt"] | {"max_amplitude": None}}
    )
    assert with_choice(open_, None) == open_
    assert with_choice(open_, tmp_path / "choice.json").prompt["max_amplitude"] == 2.0


@pytest.mark.workflow
def test_the_warp_is_chosen_by_the_marks_of_validation_samples(patches, supervised, tmp_path):
    def choose(name, **files):
        settings = TrainingSettings(**SETTINGS | PROMPTED)
        choose_warp(
            files=TrainingFiles(**training_files(patches, supervised, settings) | files),
            settings=settings,
            short=ShortTraining(amplitudes=[0.3, 2.0], steps=4, seed=1),
            recovery=RecoverySettings(mark_noise=0.06, images=9, seed=0),
            recovery_csv=tmp_path / f"{name}.csv",
            choice_json=tmp_path / f"{name}.json",
        )
        return json.loads((tmp_path / f"{name}.json").read_text())

    choice = choose("first")
    table = pd.read_csv(tmp_path / "first.csv", dtype={"id": str})
    assert set(table["id"]) < set(split_ids(patches / "samples.csv", "val"))
    means = table.groupby("max_amplitude")["recovered_iou"].mean()
    assert len(means) == 2
    assert table.groupby("max_amplitude").size().tolist() == [9, 9] == [choice["images"]] * 2
    assert means[choice["max_amplitude"]] == means.max()
    # nothing of the test split is read
    samples = read_samples(patches / "samples.csv")
    targets = np.array(read_array(supervised / "ellipse.npy"))
    targets[samples.loc[samples["split"] == "test", "row"]] = 0
    np.save(tmp_path / "target.npy", targets)
    assert choose("blind", target_npy=tmp_path / "target.npy") == choice


def test_a_network_that_sees_the_mark_needs_its_ellipses(train):
    with pytest.raises(DataError, match="needs marks"):
        train(**PROMPTED, files={"ellipses_csv": None})


@pytest.mark.workflow
def test_released_frame_and_whole_map_loss(train):
    run = train(pad_to=(64, 80), loss_region="map", epochs=1, segmentation_weight=100)
    row = history(run).iloc[0]
    assert row["train_loss"] == pytest.approx(100 * row["train_segmentation_loss"], rel=1e-5)


@pytest.mark.workflow
def test_an_epoch_of_so_many_batches(train, monkeypatch):
    sizes = []
    monkeypatch.setattr(
        "weaklesion.training.steps.training_step",
        lambda *given: (sizes.append(len(given[3])), training_step(*given))[1],
    )
    train("whole", epochs=1)
    whole = len(sizes)
    for passes in (0.4, 1, 2.6):
        sizes.clear()
        train(f"counted-{passes}", epochs=1, iterations=round(passes * whole))
        assert len(sizes) == round(passes * whole)


@pytest.mark.workflow
def test_poly_schedule_by_its_formula(train):
    rates = history(train(**COSEG | {"epochs": 3}))["learning_rate"]
    expected = [0.01 * (1 - epoch / 3) ** 0.9 for epoch in (1, 2, 3)]
    np.testing.assert_allclose(rates, expected, atol=1e-9)


def test_cosine_schedule_restarts_every_ten_epochs():
    settings = TrainingSettings(**SETTINGS | {"schedule": "cosine_restarts", "epochs": 20})
    network = torch.nn.Linear(1, 1)
    optimizer = make_optimizer(network, settings, recorded=False)
    schedule = make_schedule(optimizer, settings, steps_per_epoch=3)
    rates = []
    for _ in range(31):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates[0] == rates[30] == 0.001
    assert rates[15] == pytest.approx(0.0005)
    assert rates[29] < 0.00001
    assert rates[:30] == sorted(rates[:30], reverse=True)


@pytest.mark.workflow
def test_a_training_may_start_from_another_ones_encoder(train, tmp_path):
    classes = CMU | {"segmentation_weight": 0.0, "checkpoint": "best_accuracy"}
    encoder = train("encoder", **classes) / "model.safetensors"
    plain = {"model": "cmu_unet", "epochs": 1, "learning_rate": 1e-12}
    started = load_file(
        train("started", files={"start_safetensors": encoder}, **plain) / "model.safetensors"
    )
    trained = load_file(encoder)
    for name, tensor in trained.items():
        if name.startswith("encoder."):
            torch.testing.assert_close(started[name], tensor)
    told = json.loads((tmp_path / "started" / "run.json").read_text())
    assert told["inputs_sha256"]["start"] == file_digest(encoder)
    # nothing of the segmentation was trained with the classes alone
    fresh = load_file(train("fresh", **CMU | {"learning_rate": 1e-12}) / "model.safetensors")
    torch.testing.assert_close(
        trained["segmentation_head.weight"], fresh["segmentation_head.weight"]
    )
    with pytest.raises(DataError, match="not an encoder for this network"):
        train("foreign", files={"start_safetensors": encoder})


@pytest.mark.workflow
def test_one_cycle_ends_low(train):
    rates = history(train(schedule="one_cycle", epochs=3))["learning_rate"]
    assert rates.iloc[-1] < 1e-4 < rates.iloc[0]


@pytest.mark.workflow
def test_bfloat16_is_near_float32(trained):
    losses = [
        history(trained(**changes))["val_segmentation_loss"].iloc[-1]
        for changes in ({}, {"precision": "bfloat16"})
    ]
    assert losses[0] == pytest.approx(losses[1], rel=0.1)


def test_single_sample_left_joins_the_last_batch():
    sizes = [len(batch) for batch in epoch_batches(21, 10, torch.Generator())]
    assert sizes == [10, 11]
    batches = epoch_batches(25, 10, torch.Generator().manual_seed(0))
    assert [len(batch) for batch in batches] == [10, 10, 5]
    assert sorted(torch.cat(batches).tolist()) == list(range(25))


@pytest.mark.parametrize(
    ("rule", "losses", "dices", "kept", "epochs"),
    [
        ("best_loss", [3, 1, 2, 2], [0, 0, 0, 1], 1, 4),
        ("best_dice", [3, 1, 2, 2], [0.1, 0.3, 0.2, 0.4], 3, 4),
        ("last", [3, 1, 2, 2], [0, 0, 0, 1], 3, 4),
        ("best_loss", [1, 2, 3, 4], [0, 0, 0, 0], 0, 3),
        ("last_if_stopped", [1, 2, 3, 4], [0, 0, 0, 0], 2, 3),
        ("last_if_stopped", [4, 3, 2, 2], [0, 0, 0, 0], 2, 4),
    ],
)
def test_checkpoint_rules_and_patience(rule, losses, dices, kept, epochs):
    settings = TrainingSettings(**SETTINGS | {"checkpoint": rule, "patience": 2})
    state, model = TrainingState(), torch.nn.Linear(1, 1)
    for loss, dice in zip(losses, dices, strict=True):
        state.history.append({"val_segmentation_loss": loss, "val_dice": dice})
        with torch.no_grad():
            model.bias.fill_(len(state.history) - 1)
        keep(state, model, settings)
        if state.stopped:
            break
    assert len(state.history) == epochs
    assert state.kept_epoch == kept
    assert state.kept["bias"].item() == kept


def test_target_with_other_values_is_refused(train, supervised, tmp_path):
    np.save(tmp_path / "target.npy", read_array(supervised / "ellipse.npy") * 255)
    with pytest.raises(DataError, match=r"target\.npy: has values up to 255"):
        train(files={"target_npy": tmp_path / "target.npy"})


@pytest.mark.workflow
def test_soft_targets_are_levels_and_are_floored_where_a_mask_is_needed(
    train, patches, supervised, tmp_path
):
    hard = read_array(supervised / "ellipse.npy")
    np.save(tmp_path / "hard.npy", hard * 255)
    native = {"input_px": 64, "pad_to": (64, 64)}
    files = {"target_npy": tmp_path / "hard.npy"}
    full = train("full", files=files, soft_targets=True, **native)
    plain = train("plain", **native)
    pd.testing.assert_frame_equal(history(full), history(plain), check_exact=True)
    draw_soft_ellipses(
        images_npy=patches / "images.npy",
        ellipses_csv=supervised / "ellipses.csv",
        target_npy=tmp_path / "soft.npy",
    )
    soft = read_array(tmp_path / "soft.npy")
    assert len(np.unique(soft)) > 10
    assert (np.abs(soft / 255.0 - hard) <= 1).all()
    assert soft.sum() / 255 == pytest.approx(hard.sum(), rel=0.02)
    losses = history(train("soft", files={"target_npy": tmp_path / "soft.npy"}, soft_targets=True))
    assert np.isfinite(losses["train_loss"]).all()


def test_labels_out_of_range_or_missing_are_refused(train, supervised, tmp_path):
    clusters = pd.read_csv(supervised / "clusters.csv")
    clusters.assign(**clusters[list(FLIPS)] + 1).to_csv(tmp_path / "c.csv", index=False)
    with pytest.raises(DataError, match=r"c\.csv: clusters 1 to 4 do not fit 4 classes"):
        train(files={"clusters_csv": tmp_path / "c.csv"}, **A1L)
    clusters.iloc[:10].to_csv(tmp_path / "c.csv", index=False)
    with pytest.raises(DataError, match="is not in it"):
        train(files={"clusters_csv": tmp_path / "c.csv"}, **A1L)


@pytest.mark.workflow
def test_diverging_loss_names_the_step_and_leaves_the_last_good_state(train, monkeypatch, tmp_path):
    step, calls = training_step, iter(range(1000))

    def breaks(*args):
        losses = step(*args)
        return losses * math.nan if next(calls) == 5 else losses

    monkeypatch.setattr("weaklesion.training.steps.training_step", breaks)
    with pytest.raises(DataError, match=r"epoch 2/2, step 2 of 4: the .* loss is nan, after 0\."):
        train("nan")
    assert [path.name for path in (tmp_path / "nan").iterdir()] == ["last.pt"]
    state = torch.load(tmp_path / "nan" / "last.pt", weights_only=True)
    assert [row["epoch"] for row in state["seen"]["history"]] == [0]
    with pytest.raises(DataError, match="from the first step on"):
        train("inf", segmentation_weight=math.inf)


def test_empty_split_is_refused(train, patches, tmp_path):
    table = pd.read_csv(patches / "samples.csv")
    table["split"] = table["split"].replace("val", "train")
    table.to_csv(tmp_path / "samples.csv", index=False)
    with pytest.raises(DataError, match="split val has 0 samples"):
        train(files={"samples_csv": tmp_path / "samples.csv"})


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": 0},
        {"batch_size": 1},
        {"batch_size": 9, "model": "acoseg"},
        {"patience": 0},
        {"learning_rate": 0.0},
        {"clip_norm": -1.0},
        {"steps_per_batch": 0},
        {"pad_to": (48, 64), "model": "unet"},
        {"encoder": SETTINGS["encoder"]} | {k: v for k, v in COSEG.items() if k != "encoder"},
        {"iterations": 0},
        {"weights": "imagenet", "model": "cmu_unet"},
        {"focal_weights": (0.5, 0.5)},
        {"checkpoint": "best_accuracy"},
        {"prompt": PROMPTED["prompt"]},
        {"prompt": None, "model": "prompted"},
        {"ema": 1.0},
        {"soft_targets": True} | PROMPTED,
        {"train_samples": 1},
    ],
)
def test_impossible_settings(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        TrainingSettings(**SETTINGS | change)


def predict(run, patches, folder, **files):
    predict_arm(
        files=PredictionFiles(
            model_safetensors=run / "model.safetensors",
            run_json=run / "run.json",
            images_npy=patches / "images.npy",
            samples_csv=patches / "samples.csv",
            **files,
        ),
        predictions_npy=folder / "p.npy",
        predictions_csv=folder / "p.csv",
        settings=PredictionSettings(),
    )
    return read_array(folder / "p.npy"), list(pd.read_csv(folder / "p.csv")["id"])


@pytest.mark.parametrize("arm", [{}, A1L], ids=["a1", "a1l"])
@pytest.mark.workflow
def test_predictions_are_of_the_test_split_at_patch_size(trained, patches, tmp_path, arm):
    masks, ids = predict(trained(**arm), patches, tmp_path)
    assert ids == split_ids(patches / "samples.csv", "test")
    assert masks.shape == (len(ids), 64, 64)
    assert masks.dtype == np.uint8
    assert masks.max() <= 1


@pytest.mark.workflow
def test_truncated_and_foreign_weights_are_refused(trained, patches, tmp_path):
    run = shutil.copytree(trained(), tmp_path / "run")
    weights = run / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-100])
    with pytest.raises(DataError, match=r"model\.safetensors: not the weights of a1"):
        predict(run, patches, tmp_path)
    shutil.copy(trained(**A1L) / "model.safetensors", weights)
    with pytest.raises(DataError, match=r"model\.safetensors: not the weights of a1"):
        predict(run, patches, tmp_path)
    assert "classification_head.3.weight" in load_file(weights)


def test_a_target_as_the_prediction(patches, supervised, tmp_path):
    predict_target(
        target_npy=supervised / "ellipse.npy",
        target_ids_csv=supervised / "ellipses.csv",
        samples_csv=patches / "samples.csv",
        predictions_npy=tmp_path / "p.npy",
        predictions_csv=tmp_path / "p.csv",
    )
    samples = read_samples(patches / "samples.csv")
    ids = pd.read_csv(tmp_path / "p.csv")["id"]
    np.testing.assert_array_equal(
        read_array(tmp_path / "p.npy"),
        read_array(supervised / "ellipse.npy")[samples.loc[ids, "row"]],
    )


@pytest.mark.workflow
def test_the_last_weights_are_those_that_the_rule_last_keeps(train):
    """A training that keeps its last epoch, and one that keeps its best but also its last."""
    last = train("last", epochs=4, checkpoint="last")
    best = train("best", epochs=4, checkpoint="best_loss", options={"keep_last": True})
    assert (best / "last.safetensors").read_bytes() == (last / "model.safetensors").read_bytes()
    assert not (last / "last.safetensors").exists()


@pytest.mark.workflow
def test_the_last_weights_of_an_averaged_network_are_its_average(train):
    last = train("last", checkpoint="last", ema=0.9)
    best = train("best", checkpoint="best_loss", ema=0.9, options={"keep_last": True})
    assert (best / "last.safetensors").read_bytes() == (last / "model.safetensors").read_bytes()
