import json
import math

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from weaklesion.clusters import cluster_lesions
from weaklesion.errors import DataError
from weaklesion.files import read_array
from weaklesion.inference import predict_arm, predict_target
from weaklesion.samples import read_samples, split_ids
from weaklesion.supervision import draw_ellipses, draw_soft_ellipses
from weaklesion.training import Progress, keep, train_arm
from weaklesion.training_data import epoch_batches
from weaklesion.training_settings import TrainingSettings

SETTINGS = {
    "model": "a1",
    "encoder": "resnet18",
    "weights": "none",
    "input_px": 32,
    "pad_to": (32, 32),
    "loss_region": "patch",
    "soft_targets": False,
    "segmentation_weight": 1.0,
    "classification_weight": 0.0,
    "epochs": 2,
    "patience": None,
    "batch_size": 10,
    "learning_rate": 0.001,
    "schedule": "constant",
    "checkpoint": "last",
    "augmentation": "flips",
    "precision": "float32",
    "deterministic": True,
}
A1L = {"model": "a1l", "num_classes": 4, "segmentation_weight": 50.0, "classification_weight": 1.0}


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
        ellipses_csv=folder / "ellipses.csv",
        clusters_csv=folder / "clusters.csv",
        quality_json=folder / "q.json",
        k=4,
        encoding="raw",
        fit_on="train",
        seed=0,
    )
    return folder


@pytest.fixture
def train(patches, supervised, tmp_path):
    def run(name="run", seed=1, files=None, **changes):
        settings = TrainingSettings(**SETTINGS | changes)
        given = {
            "images_npy": patches / "images.npy",
            "samples_csv": patches / "samples.csv",
            "target_npy": supervised / "ellipse.npy",
            "target_ids_csv": supervised / "ellipses.csv",
            "clusters_csv": supervised / "clusters.csv" if settings.num_classes else None,
            "weights_pth": None,
        }
        train_arm(**given | (files or {}), run_dir=tmp_path / name, settings=settings, seed=seed)
        return tmp_path / name

    return run


def history(folder):
    return pd.read_csv(folder / "history.csv").drop(columns="seconds")


@pytest.mark.parametrize("arm", [{}, A1L], ids=["a1", "a1l"])
def test_same_seed_same_bytes_other_seed_other_bytes(train, arm):
    first, again, other = train("first", **arm), train("again", **arm), train("o", seed=2, **arm)
    weights = [(run / "model.safetensors").read_bytes() for run in (first, again, other)]
    assert weights[0] == weights[1]
    assert weights[0] != weights[2]
    pd.testing.assert_frame_equal(history(first), history(again), check_exact=True)


# Losses of the first epochs as this code computed them; a change that moves them says so.
GOLDEN = {
    "a1": [0.5446, 0.3461],
    "a1l": [28.668, 19.005],
}


@pytest.mark.parametrize(("name", "arm"), [("a1", {}), ("a1l", A1L)])
def test_golden_loss_curve(train, name, arm):
    losses = history(train(**arm))["train_loss"]
    assert losses.tolist() == pytest.approx(GOLDEN[name], rel=0.02)


def test_what_a_run_leaves(train, patches):
    folder = train(**A1L)
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


def test_targets_and_labels_are_found_by_id(train, supervised, tmp_path):
    straight = train("straight", **A1L)
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


def test_test_split_is_never_read(train, patches, supervised, tmp_path):
    straight = train("straight")
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
    )
    pd.testing.assert_frame_equal(history(straight), history(blind), check_exact=True)


def test_released_frame_and_whole_map_loss(train):
    run = train(pad_to=(64, 80), loss_region="map", epochs=1, segmentation_weight=100)
    row = history(run).iloc[0]
    assert row["train_loss"] == pytest.approx(100 * row["train_segmentation_loss"], rel=1e-5)


def test_one_cycle_ends_low(train):
    rates = history(train(schedule="one_cycle", epochs=3))["learning_rate"]
    assert rates.iloc[-1] < 1e-4 < rates.iloc[0]


def test_bfloat16_is_near_float32(train):
    losses = [
        history(train(p, precision=p))["val_segmentation_loss"].iloc[-1]
        for p in ("float32", "bfloat16")
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
    seen, model = Progress(), torch.nn.Linear(1, 1)
    for loss, dice in zip(losses, dices, strict=True):
        seen.history.append({"val_segmentation_loss": loss, "val_dice": dice})
        with torch.no_grad():
            model.bias.fill_(len(seen.history) - 1)
        keep(seen, model, settings)
        if seen.stopped:
            break
    assert len(seen.history) == epochs
    assert seen.kept_epoch == kept
    assert seen.kept["bias"].item() == kept


def test_target_with_other_values_is_refused(train, supervised, tmp_path):
    np.save(tmp_path / "target.npy", read_array(supervised / "ellipse.npy") * 255)
    with pytest.raises(DataError, match=r"target\.npy: has values up to 255"):
        train(files={"target_npy": tmp_path / "target.npy"})


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
    clusters.assign(cluster=clusters["cluster"] + 1).to_csv(tmp_path / "c.csv", index=False)
    with pytest.raises(DataError, match=r"c\.csv: clusters 1 to 4 do not fit 4 classes"):
        train(files={"clusters_csv": tmp_path / "c.csv"}, **A1L)
    clusters.iloc[:10].to_csv(tmp_path / "c.csv", index=False)
    with pytest.raises(DataError, match="is not in it"):
        train(files={"clusters_csv": tmp_path / "c.csv"}, **A1L)


def test_diverging_loss_stops_and_leaves_no_weights(train, tmp_path):
    with pytest.raises(DataError, match="epoch 1: the training loss is"):
        train("nan", segmentation_weight=math.inf)
    assert not (tmp_path / "nan").exists()


def test_empty_split_is_refused(train, patches, tmp_path):
    table = pd.read_csv(patches / "samples.csv")
    table["split"] = table["split"].replace("val", "train")
    table.to_csv(tmp_path / "samples.csv", index=False)
    with pytest.raises(DataError, match="split val has 0 samples"):
        train(files={"samples_csv": tmp_path / "samples.csv"})


@pytest.mark.parametrize(
    "change", [{"epochs": 0}, {"batch_size": 1}, {"patience": 0}, {"learning_rate": 0.0}]
)
def test_impossible_settings(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        TrainingSettings(**SETTINGS | change)


def predict(run, patches, folder):
    predict_arm(
        model_safetensors=run / "model.safetensors",
        run_json=run / "run.json",
        images_npy=patches / "images.npy",
        samples_csv=patches / "samples.csv",
        predictions_npy=folder / "p.npy",
        predictions_csv=folder / "p.csv",
    )
    return read_array(folder / "p.npy"), list(pd.read_csv(folder / "p.csv")["id"])


@pytest.mark.parametrize("arm", [{}, A1L], ids=["a1", "a1l"])
def test_predictions_are_of_the_test_split_at_patch_size(train, patches, tmp_path, arm):
    masks, ids = predict(train(**arm), patches, tmp_path)
    assert ids == split_ids(patches / "samples.csv", "test")
    assert masks.shape == (len(ids), 64, 64)
    assert masks.dtype == np.uint8
    assert masks.max() <= 1


def test_truncated_and_foreign_weights_are_refused(train, patches, tmp_path):
    run = train()
    weights = run / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-100])
    with pytest.raises(DataError, match=r"model\.safetensors: not the weights of a1"):
        predict(run, patches, tmp_path)
    weights.write_bytes((train("other", **A1L) / "model.safetensors").read_bytes())
    with pytest.raises(DataError, match=r"model\.safetensors: not the weights of a1"):
        predict(run, patches, tmp_path)
    assert "classification_head.3.weight" in load_file(tmp_path / "other" / "model.safetensors")


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
