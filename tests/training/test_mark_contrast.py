"""What `run.json` says of the contrast of a network's training marks."""

import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from segmenting import lobed
from test_training import SETTINGS

from weaklesion.ellipse import Ellipse, fit_ellipse
from weaklesion.segment.visibility import trained_contrast
from weaklesion.study.settings import TrainingSettings
from weaklesion.training.inputs import input_geometry
from weaklesion.training.mark_contrast import describe_contrast
from weaklesion.training.prompts import mark_rows
from weaklesion.training.state import TrainingState
from weaklesion.training.tasks import prompted, segmentation
from weaklesion.training.train import describe_training


def test_a_run_records_the_contrast_of_its_training_marks(tmp_path):
    rng = np.random.default_rng(2)
    shape = (96, 96)
    pictures, ellipses = [], []
    for step in np.linspace(10, 60, 21):
        mask = lobed(rng, shape, size=0.7)
        levels = (120 + step * mask + rng.normal(0, 8, shape)).clip(0, 255).astype(np.uint8)
        pictures.append(cv2.cvtColor(levels, cv2.COLOR_GRAY2RGB))
        ellipses.append(fit_ellipse(mask))
    images = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)
    recorded = describe_contrast(images, mark_rows(ellipses))
    assert recorded["marks"] == 21
    assert 0.5 < recorded["p5"] < 2 < recorded["p50"] < 4
    (tmp_path / "run.json").write_text(json.dumps({"mark_contrast": recorded}))
    assert trained_contrast(tmp_path / "run.json") == recorded["p5"]
    assert describe_contrast(images[:0], mark_rows([])) == {}


def test_networks_that_see_no_mark_record_none():
    images = torch.zeros(1, 3, 8, 8, dtype=torch.uint8)
    marks = mark_rows([Ellipse(4.0, 4.0, 4.0, 3.0, 0.0)])
    state = TrainingState()
    state.seconds["steps"] = 1.0
    split = SimpleNamespace(ids=["a"], images=images, marks=marks)
    splits = SimpleNamespace(train=split, val=split)
    settings = TrainingSettings(**SETTINGS)
    for task, recorded in ((segmentation, False), (prompted, True)):
        task = task.make(settings, input_geometry(settings, 8))
        run = describe_training(state, splits, torch.nn.Linear(1, 1), task)
        assert ("mark_contrast" in run) == recorded


@pytest.mark.parametrize(
    ("changes", "images"),
    [
        ({}, 16),
        ({"iterations": 20, "batch_size": 8}, 160),
        ({"train_samples": 5}, 5),
        ({"train_samples": 50}, 16),
        ({"batch_size": 5, "drop_last": True}, 15),
    ],
)
def test_the_speed_counts_the_images_that_were_trained_on(changes, images):
    state = TrainingState()
    state.history, state.seconds["steps"] = [{}, {}, {}], 6.0
    split = SimpleNamespace(ids=["a"] * 16, marks=None)
    settings = TrainingSettings(**SETTINGS | changes)
    splits = SimpleNamespace(train=split, val=split)
    task = segmentation.make(settings, input_geometry(settings, 64))
    run = describe_training(state, splits, torch.nn.Linear(1, 1), task)
    assert run["images_per_second"] == 3 * images / 6
