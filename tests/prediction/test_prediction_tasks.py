"""Prediction by task, with networks that are simple enough to know their masks."""

import json
from importlib import import_module
from inspect import signature
from typing import get_args

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import ROOT

from weaklesion.ellipse import Ellipse, draw_ellipse
from weaklesion.errors import DataError
from weaklesion.four_ends import FourEnds
from weaklesion.metrics import dice
from weaklesion.prediction.accuracy import measure_accuracy
from weaklesion.prediction.files import PredictionFiles
from weaklesion.prediction.predict import predict_arm
from weaklesion.prediction.settings import PredictionSettings
from weaklesion.prediction.sized import BOUND, sized_scores
from weaklesion.prediction.tasks import pairs, prompted, segmentation
from weaklesion.prediction.tasks.pairs import choose
from weaklesion.pseudo_masks import RefinedSettings
from weaklesion.recist import recist_from_ellipse
from weaklesion.study.arms import training_settings
from weaklesion.study.settings import TaskName, TrainingSettings
from weaklesion.support.yaml_files import read_yaml

SIDE = 32
MARK = Ellipse(15.5, 15.5, 16.0, 10.0, 0.0)
IDS = {"a": "train", "b": "train", "c": "train", "v": "val", "s": "test", "t": "test"}
TRAIN = [name for name, split in IDS.items() if split == "train"]
CPU = torch.device("cpu")


def trained(arm, **changes):
    config = read_yaml(ROOT / "config.yaml")
    protocol = "source" if arm == "prompted" else "corrected"
    settings = training_settings(config, "ham10k", protocol, arm)
    small = {"encoder": "resnet18", "weights": "none", "input_px": SIDE, "pad_to": (SIDE, SIDE)}
    return TrainingSettings(**settings | small | {"precision": "float32"} | changes)


@pytest.fixture
def files(tmp_path):
    """Six patches with a bright ellipse; each has its own number in the corner."""
    mask = draw_ellipse(MARK, (SIDE, SIDE))
    images = np.repeat((40 + 150 * mask)[None, ..., None], len(IDS), axis=0).repeat(3, axis=3)
    images[:, 0, 0] = np.arange(len(IDS))[:, None]
    np.save(tmp_path / "images.npy", images.astype(np.uint8))
    table = pd.DataFrame({"id": list(IDS), "group": list(IDS), "split": list(IDS.values())})
    table["row"] = range(len(IDS))
    table.to_csv(tmp_path / "samples.csv", index=False)
    return {
        "model_safetensors": tmp_path / "model.safetensors",
        "run_json": tmp_path / "run.json",
        "images_npy": tmp_path / "images.npy",
        "samples_csv": tmp_path / "samples.csv",
    }


@pytest.fixture
def marks(tmp_path):
    table = pd.DataFrame([vars(MARK)] * len(IDS)).assign(id=list(IDS))
    table.to_csv(tmp_path / "ellipses.csv", index=False)
    clusters = pd.DataFrame({"id": list(IDS), "cluster": [0, 1, 0, 1, 0, 1]})
    clusters.to_csv(tmp_path / "clusters.csv", index=False)
    return {
        "ellipses_csv": tmp_path / "ellipses.csv",
        "clusters_csv": tmp_path / "clusters.csv",
    }


@pytest.fixture
def embeddings(tmp_path):
    """Embeddings by which t is nearest to b, and s to c."""
    angles = np.radians([0, 90, 200, 0, 210, 80])
    np.save(tmp_path / "e.npy", np.stack([np.cos(angles), np.sin(angles)], axis=1))
    return {"embeddings_npy": tmp_path / "e.npy"}


class Single(torch.nn.Module):
    def forward(self, images):
        return images[:, :1] - images.mean()


class Pair(torch.nn.Module):
    """Segments the first image; notes the numbers of its partners."""

    def __init__(self):
        super().__init__()
        self.partners = []

    def forward(self, images, partners):
        scale = torch.tensor([0.229, 0.224, 0.225]).view(3, 1) * 255
        offset = torch.tensor([0.485, 0.456, 0.406]).view(3, 1) * 255
        corner = partners[:, :, 0, 0].T * scale + offset
        self.partners.append([list(IDS)[int(number)] for number in corner[0].round().tolist()])
        return images[:, :1] - images.mean(), None


class Prompted(torch.nn.Module):
    """Takes the prompt's ellipse as the mask, or all of the crop."""

    def __init__(self, *, fills):
        super().__init__()
        self.fills = fills

    def forward(self, inputs):
        return torch.ones_like(inputs[:, 4:5]) if self.fills else inputs[:, 4:5]


def test_every_task_has_a_prediction():
    for name in get_args(TaskName):
        task = import_module(f"weaklesion.prediction.tasks.{name}")
        assert signature(task.predict) == signature(segmentation.predict)


def test_single_images(files):
    masks, table = segmentation.predict(
        Single(), trained("a1"), PredictionFiles(**files), PredictionSettings(), CPU
    )
    assert table.to_dict("list") == {"id": ["s", "t"]}
    assert masks.dtype == bool
    assert (masks == draw_ellipse(MARK, (SIDE, SIDE))).all()


def test_a_pair_is_first_the_image_with_itself_and_then_with_its_partner(files, embeddings):
    model = Pair()
    masks, table = pairs.predict(
        model, trained("acoseg"), PredictionFiles(**files, **embeddings), PredictionSettings(), CPU
    )
    assert model.partners == [["s", "t"], ["c", "b"]]
    assert table.to_dict("list") == {"id": ["s", "t"], "partner": ["c", "b"]}
    assert (masks == draw_ellipse(MARK, (SIDE, SIDE))).all()


@pytest.mark.parametrize("by", ["random", "clusters", "embeddings"])
def test_partners_are_samples_that_the_network_was_trained_on(files, marks, embeddings, by):
    model, few = Pair(), trained("acoseg", train_samples=2)  # a and c
    settings = PredictionSettings(partner="random" if by == "random" else "nearest", seed=1)
    others = {"random": {}, "clusters": marks, "embeddings": embeddings}[by]
    pairs.predict(model, few, PredictionFiles(**files, **others), settings, CPU)
    assert set(model.partners[1]) <= {"a", "c"}


def test_accuracy_in_training_is_that_of_the_samples_that_the_network_was_trained_on(
    files, marks, monkeypatch, tmp_path
):
    """The network guesses class 0, which a and c have, and b has not."""

    class Guess(torch.nn.Module):
        def forward(self, images):
            return images[:, :1], torch.tensor([[1.0, 0.0]]).expand(len(images), 2)

    few = trained("a1l", train_samples=2, num_classes=2)
    monkeypatch.setattr("weaklesion.prediction.accuracy.load_network", lambda *_: (Guess(), few))
    measure_accuracy(files=PredictionFiles(**files, **marks), accuracy_json=tmp_path / "a.json")
    train = json.loads((tmp_path / "a.json").read_text())["train"]
    assert train == {"accuracy": 1.0, "majority": 1.0, "num_samples": 2}


@pytest.mark.parametrize(("arm", "partner"), [("acoseg", "itself"), ("acoseg_released", "nearest")])
def test_images_that_are_their_own_partners_are_predicted_once(files, arm, partner):
    model, settings = Pair(), PredictionSettings(partner=partner)
    _, table = pairs.predict(model, trained(arm), PredictionFiles(**files), settings, CPU)
    assert model.partners == [["s", "t"]]
    assert list(table) == ["id"]


def test_random_partners_are_training_samples_and_decided_by_the_seed(files):
    ids, masks = ["s", "t"] * 20, np.zeros((40, SIDE, SIDE), bool)
    first, again, other = (
        choose(
            ids,
            TRAIN,
            masks,
            PredictionFiles(**files),
            PredictionSettings(partner="random", seed=s),
        )
        for s in (1, 1, 2)
    )
    assert first["partner"].tolist() == again["partner"].tolist() != other["partner"].tolist()
    assert set(first["partner"]) == {"a", "b", "c"}


def test_nearest_partners_need_ellipses_and_clusters_or_embeddings(files, marks):
    masks = np.stack([draw_ellipse(MARK, (SIDE, SIDE))] * 2)
    of_marks = PredictionFiles(**files, **marks)
    chosen = choose(["s", "t"], TRAIN, masks, of_marks, PredictionSettings())
    assert set(chosen) == {"partner", "partner_cluster"}
    for missing in ("ellipses_csv", "clusters_csv"):
        few = PredictionFiles(**files, **marks | {missing: None})
        with pytest.raises(DataError, match="needs ellipses and clusters"):
            choose(["s", "t"], TRAIN, masks, few, PredictionSettings())


@pytest.mark.parametrize(("fills", "from_network"), [(False, True), (True, False)])
def test_a_mask_that_disagrees_with_its_mark_is_replaced(files, marks, fills, from_network):
    masks, table = prompted.predict(
        Prompted(fills=fills),
        trained("prompted"),
        PredictionFiles(**files, **marks),
        PredictionSettings(gate=0.7),
        CPU,
    )
    assert table["id"].tolist() == ["s", "t"]
    assert table["from_network"].tolist() == [from_network] * 2
    assert (table["agreement"] >= 0.7).tolist() == [from_network] * 2
    drawn = draw_ellipse(MARK, (SIDE, SIDE))
    assert ((masks & drawn).sum() / (masks | drawn).sum()) > 0.85


def test_a_teacher_predicts_the_images_that_its_pupil_is_trained_on(files, marks):
    _, table = prompted.predict(
        Prompted(fills=False),
        trained("prompted"),
        PredictionFiles(**files, **marks),
        PredictionSettings(splits=("train", "val")),
        CPU,
    )
    assert table["id"].tolist() == ["a", "b", "c", "v"]


def test_only_networks_that_see_the_mark_teach(files, monkeypatch, tmp_path):
    module = "weaklesion.prediction.predict.load_network"
    monkeypatch.setattr(module, lambda *_: (Single(), trained("a1")))
    outputs = {"predictions_npy": tmp_path / "p.npy", "predictions_csv": tmp_path / "p.csv"}
    with pytest.raises(ValueError, match="segmentation predicts only the test split"):
        predict_arm(
            files=PredictionFiles(**files), settings=PredictionSettings(splits=["val"]), **outputs
        )


def test_networks_that_see_the_mark_need_ellipses(files):
    with pytest.raises(DataError, match="needs marks"):
        prompted.predict(
            Prompted(fills=False),
            trained("prompted"),
            PredictionFiles(**files),
            PredictionSettings(),
            CPU,
        )


def test_levels_correct_a_network_that_is_near(caplog):
    """The logits are those of an ellipse 3 px off; the image shows where the lesion is."""
    true, off = Ellipse(30, 30, 26, 18, 20), Ellipse(33, 30, 26, 18, 20)
    inside = draw_ellipse(true, (60, 60))
    noise = np.random.default_rng(0).normal(0, 8, (60, 60, 3))
    image = np.clip(np.where(inside[..., None], 90, 170) + noise, 0, 255).astype(np.uint8)
    logits = (3 * (1 - off.radius((60, 60)))).astype(np.float32)
    settings = RefinedSettings(prior_weight=99)  # the logits stand in its place
    (scores,) = prompted.with_levels(logits[None], image[None], [true], settings, "center")
    assert dice(inside, logits > 0) < 0.88
    assert dice(inside, scores > 0) > 0.95
    small = Ellipse(30, 30, 3, 2, 0)  # too few pixels to decide: the logits stay
    few = np.where(draw_ellipse(small, (60, 60)), 1, -1).astype(np.float32)
    with caplog.at_level("INFO"):
        (kept,) = prompted.with_levels(few[None], image[None], [small], settings, "rgb")
    assert (kept == few).all()
    assert "on 1 of 1 images" in caplog.text


@pytest.mark.parametrize("shape", ["ellipse", "ends"])
@pytest.mark.parametrize("factor", [0.85, 1.1])
def test_a_mask_is_cut_where_it_is_as_large_as_its_mark_says(shape, factor):
    """Scores of a lesion, cut too far inside or outside; its mark has the right size."""
    true = Ellipse(40, 35, 44, 28, 20)
    mark = true if shape == "ellipse" else FourEnds(recist_from_ellipse(true), 2.0)
    scores = 2 * (factor - true.radius((70, 80)))
    sized = sized_scores(scores, mark)
    inside = draw_ellipse(true, (70, 80))
    assert dice(inside, scores >= 0) < 0.92
    assert dice(inside, sized >= 0) > 0.985
    assert sized - scores == pytest.approx(
        np.full(scores.shape, sized[0, 0] - scores[0, 0]), abs=1e-6
    )


def test_no_mask_is_cut_far_from_the_networks_own():
    mark = Ellipse(40, 35, 44, 28, 20)
    for factor in (0.2, 3.0):
        scores = np.float32(10) * (factor - mark.radius((70, 80)))
        moved = sized_scores(scores, mark) - scores
        assert np.abs(moved) == pytest.approx(np.full(scores.shape, BOUND), abs=0.02)
        assert np.sign(moved[0, 0]) == (1 if factor < 1 else -1)
    nothing = np.full((70, 80), -9, np.float32)
    assert (sized_scores(nothing, mark) < 0).all()
