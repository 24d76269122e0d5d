"""The three tasks: which one a run has, and what each tells the training loop."""

import math
from typing import get_args

import pytest
import torch
from conftest import ROOT

from weaklesion.ellipse import Ellipse
from weaklesion.networks.names import MODELS, MULTI_TASK_MODELS
from weaklesion.study.arms import training_settings
from weaklesion.study.settings import TaskName, TrainingSettings
from weaklesion.support.yaml_files import read_yaml
from weaklesion.training import steps
from weaklesion.training.data import SplitData
from weaklesion.training.prompts import mark_rows
from weaklesion.training.steps import can_record, evaluate, make_step
from weaklesion.training.tasks import make_task
from weaklesion.training.tasks.pairs import PairTask
from weaklesion.training.tasks.patches import network_input
from weaklesion.training.tasks.prompted import PromptedTask, plain_batch, prompted_loss
from weaklesion.training.tasks.segmentation import SegmentationTask
from weaklesion.training.warp_refit import Batch, num_draws

SIDE = 32
SMALL = {"encoder": "resnet18", "weights": "none", "input_px": SIDE, "pad_to": (SIDE, SIDE)}
PROMPT = {"margin": 1.4, "max_amplitude": 1.0, "clip": 0.8, "mark_noise": 0.0}


def settings_of(model, **changes):
    config = read_yaml(ROOT / "config.yaml")
    settings = training_settings(config, "ham10k", "released", "a1") | SMALL
    settings |= {
        "model": model,
        "network": {},
        "num_classes": 4 if model in MULTI_TASK_MODELS else None,
        "prompt": PROMPT if model == "prompted" else None,
        "checkpoint": "best_loss",
        "batch_size": 8,
    }
    if model == "drn_coseg":
        settings["network"] = {"danet": True}
    return TrainingSettings(**settings | changes)


def task_of(model, **changes):
    return make_task(settings_of(model, **changes), SIDE)


def split(count, *, level=0, labels=None):
    """Patches with a bright square that is the target; image n has the level `level` + n."""
    images = torch.zeros(count, 3, SIDE, SIDE, dtype=torch.uint8)
    targets = torch.zeros(count, 1, SIDE, SIDE, dtype=torch.uint8)
    targets[..., 8:24, 8:24] = 1
    images += (level + torch.arange(count, dtype=torch.uint8))[:, None, None, None]
    images += 120 * targets
    ids = [str(number) for number in range(count)]
    labels = None if labels is None else torch.tensor(labels)
    marks = mark_rows([Ellipse(15.5, 15.5, 18.0, 18.0, 0.0)] * count)
    return SplitData(ids, images, targets, labels, marks)


class Bright(torch.nn.Module):
    """Finds the square; of pairs it notes the levels, and of multi-task networks the classes."""

    def __init__(self, classes=None):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.classes, self.partners = classes, []

    def forward(self, images, partners=None):
        logits = 50 * self.weight * (images[:, :1] - images.mean())
        if partners is not None:
            self.partners.append(partners)
            return logits, -logits
        if self.classes is None:
            return logits
        return logits, torch.eye(self.classes)[torch.arange(len(images)) % self.classes]


@pytest.mark.parametrize("model", MODELS)
def test_every_network_has_one_task(model):
    task = task_of(model)
    expected = {"acoseg": PairTask, "acoseg_released": PairTask, "drn_coseg": PairTask}
    expected["prompted"] = PromptedTask
    assert type(task) is expected.get(model, SegmentationTask)
    assert task.settings.task in get_args(TaskName)
    assert task.settings.is_paired == (task.settings.task == "pairs")


def test_a_padding_that_cannot_be_is_refused_whatever_the_task():
    for model in ("a1", "prompted"):
        with pytest.raises(ValueError, match="pad_to"):
            task_of(model, pad_to=(16, 16))


def test_single_images_have_no_partners_and_no_second_loss_without_classes():
    task, train, val = task_of("a1"), split(8), split(4)
    assert task.with_partners(val, train, torch.Generator()) is val
    losses = task.losses(Bright(), train, torch.arange(8), None)
    assert losses.segmentation < 0.1
    assert losses.classification == 0


def test_a_second_task_adds_its_loss_and_its_accuracy():
    task = task_of("a1l", augmentation="none")
    data = split(8, labels=[0, 1, 2, 3] * 2)
    wrong = split(8, labels=[1, 2, 3, 0] * 2)
    right_loss, wrong_loss = (
        task.losses(Bright(4), each, torch.arange(8), None).classification for each in (data, wrong)
    )
    assert 0 < right_loss < wrong_loss
    assert evaluate(Bright(4), data, task, torch.arange(8))[2] == 8
    assert evaluate(Bright(4), wrong, task, torch.arange(8))[2] == 0
    assert evaluate(Bright(4), data, task, torch.arange(3))[2] == 3


@pytest.mark.parametrize("augmentation", ["none", "flips"])
def test_patches_are_flipped_where_the_settings_say_so(augmentation):
    for model in ("a1", "acoseg"):
        draws = task_of(model, augmentation=augmentation).draw(5, torch.Generator())
        assert draws is None if augmentation == "none" else draws.shape == (5, 2)


def test_in_training_the_halves_of_a_batch_are_partners_of_each_other():
    task, model, train = task_of("acoseg"), Bright(), split(8)
    losses = task.losses(model, train, torch.arange(8), None)
    (partners,) = model.partners
    assert len(partners) == 4
    # the network says the opposite of the second half, so that both halves count
    assert losses.segmentation > 1
    assert losses.classification == 0


class Halves(Bright):
    """Says lesion everywhere in the first image of a pair and nowhere in the second."""

    def forward(self, images, partners):
        everywhere = 50 * self.weight * torch.ones_like(images[:, :1])
        return everywhere, -everywhere


def test_of_a_pair_the_first_logits_are_those_of_the_first_image():
    train = split(4)
    train.targets[:2], train.targets[2:] = 1, 0
    task = task_of("acoseg", segmentation_loss="bce")
    for order, least, most in (([0, 1, 2, 3], 0, 0.01), ([2, 3, 0, 1], 40, 60)):
        loss = task.losses(Halves(), train, torch.tensor(order), None).segmentation
        assert least <= loss <= most


def test_validation_images_have_training_images_of_their_cluster_as_partners():
    train, val = split(4, labels=[0, 1, 2, 3]), split(3, level=100, labels=[2, 0, 3])
    paired = task_of("acoseg", pairs="cluster").with_partners(val, train, torch.Generator())
    assert paired.partners[:, 0, 0, 0].tolist() == [2, 0, 3]
    assert val.partners is None
    assert paired.images is val.images


def test_of_random_pairs_validation_images_are_partners_of_each_other():
    train, val = split(4), split(6, level=100)
    task = task_of("acoseg_released", pairs="random")
    paired = task.with_partners(val, train, torch.Generator().manual_seed(1))
    levels = paired.partners[:, 0, 0, 0].tolist()
    assert levels != sorted(levels)
    assert sorted(levels) == list(range(100, 106))
    model = Bright()
    for index in torch.arange(6).split(4):
        assert evaluate(model, paired, task, index)[1] == len(index)
    shown = network_input(paired.partners, task.geometry, task.settings)
    assert torch.equal(torch.cat(model.partners), shown)


def test_batches_of_pairs_are_drawn_within_clusters_or_at_random():
    labels = [0, 1] * 8
    train = split(16, labels=labels)
    batches = task_of("acoseg").draw_batches(train, torch.Generator().manual_seed(0))
    for batch in batches:
        first, second = batch.chunk(2)
        assert (train.labels[first] == train.labels[second]).all()
    odd = split(18, labels=[0, 1] * 9)  # nine to a cluster: five pairs of each
    for drop_last, expected in ((False, [8, 8, 4]), (True, [8, 8])):
        task = task_of("acoseg", drop_last=drop_last)
        assert list(map(len, task.draw_batches(odd, torch.Generator()))) == expected
    batches = task_of("acoseg", pairs="random").draw_batches(train, torch.Generator())
    assert sorted(torch.cat(batches).tolist()) == list(range(16))


class Prompted(torch.nn.Module):
    """Takes the prompt's ellipse as the mask."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, inputs):
        return 9 * self.weight * inputs[:, 4:5]


def test_a_prompted_network_is_trained_on_crops_about_the_mark():
    task, train = task_of("prompted"), split(8)
    draws = task.draw(8, torch.Generator().manual_seed(0))
    assert draws.shape == (8, num_draws(task.prompt))
    losses = task.losses(Prompted(), train, torch.arange(8), draws)
    assert losses.segmentation.requires_grad
    assert losses.classification == 0
    _, dice, right = evaluate(Prompted(), train, task, torch.arange(8)) / 8
    assert 0.9 < dice < 1  # a circle about a square
    assert right == 0


class Constant(torch.nn.Module):
    """Has the same logit everywhere."""

    def __init__(self, logit):
        super().__init__()
        self.logit = torch.nn.Parameter(torch.tensor(logit))

    def forward(self, inputs):
        return self.logit.expand(len(inputs), 1, *inputs.shape[2:])


def test_a_prompted_network_is_judged_inside_the_image_only():
    """Half of the crop is outside: cross entropies are log(2) inside, and large beyond."""
    logits = torch.tensor([[[[0.0, 9.0], [0.0, -9.0]]]])
    targets, valid = torch.tensor([[[[0.0, 0.0], [1.0, 1.0]]]]), torch.ones(1, 1, 2, 2)
    batch = Batch(torch.zeros(1, 6, 2, 2), targets, valid)
    assert prompted_loss(logits, batch).item() == pytest.approx((math.log(2) + 9) / 2, abs=1e-3)
    valid[..., 1] = 0
    assert prompted_loss(logits, batch).item() == pytest.approx(math.log(2))
    valid[:] = 0
    assert prompted_loss(logits, batch) == 0


def test_a_prompted_networks_masks_are_all_that_is_likelier_than_not():
    """The crop has a side of 1.4 * 18 px, of which the square has 16 by 16."""
    task, val = task_of("prompted"), split(2)
    share = 16**2 / (1.4 * 18) ** 2
    outcome = task.evaluate(Constant(0.25), val, torch.arange(2))
    assert outcome.pred.all()
    assert outcome.target.float().mean() == pytest.approx(share, rel=0.05)
    assert not task.evaluate(Constant(-0.25), val, torch.arange(2)).pred.any()


def test_only_the_part_of_a_crop_inside_the_image_is_valid():
    """The mark is at the image's left border, so that half of its crop is beyond it."""
    task, val = task_of("prompted"), split(1)
    val.marks[:] = mark_rows([Ellipse(-0.5, 15.5, 18.0, 18.0, 0.0)])
    valid = plain_batch(val, torch.arange(1), task.settings).valid
    assert valid.shape == (1, 1, SIDE, SIDE)
    assert valid.unique().tolist() == [0, 1]
    assert valid.mean().item() == pytest.approx(0.5)


def test_images_targets_and_marks_of_a_prompted_batch_are_those_of_its_samples():
    task, data = task_of("prompted"), split(3)
    data.images[2], data.targets[2] = data.images[2].roll(4, -1), data.targets[2].roll(4, -1)
    data.marks[2] = mark_rows([Ellipse(19.5, 15.5, 22.0, 14.0, 0.0)])[0]
    alone = SplitData(["2"], data.images[2:], data.targets[2:], None, data.marks[2:])
    draws = task.draw(1, torch.Generator().manual_seed(0))
    losses = [
        task.losses(Prompted(), each, torch.tensor([index]), draws).segmentation
        for each, index in ((data, 2), (alone, 0), (data, 0))
    ]
    assert losses[0] == losses[1] != losses[2]
    outcomes = [
        task.evaluate(Prompted(), each, torch.tensor([index]))
        for each, index in ((data, 2), (alone, 0), (data, 0))
    ]
    assert outcomes[0].loss == outcomes[1].loss != outcomes[2].loss
    assert torch.equal(outcomes[0].target, outcomes[1].target)


@pytest.mark.parametrize(
    ("model", "changes", "recorded"),
    [
        ("a1", {}, True),
        ("a1l", {}, True),
        ("acoseg", {}, True),
        ("prompted", {}, False),
        ("a1", {"schedule": "one_cycle"}, False),
        ("a1", {"ema": 0.9}, False),
        ("a1", {"segmentation_loss": "dice"}, False),
        ("a1", {"optimizer": "sgd"}, False),
    ],
)
def test_which_steps_are_recorded_on_a_gpu(model, changes, recorded):
    task = task_of(model, **changes)
    assert can_record(torch.device("cuda"), task) == recorded
    assert not can_record(torch.device("cpu"), task)


def test_the_first_batch_is_recorded_and_batches_of_another_size_are_not_replayed(monkeypatch):
    calls = []

    def noted(*args):
        calls.append(("plain", len(args[3])))

    def record(step, model, optimizer, index, draws, *, zero_gradients):
        calls.append(("recorded", len(index)))
        return lambda index, draws: calls.append(("replayed", len(index)))

    monkeypatch.setattr(steps, "can_record", lambda *_: True)
    monkeypatch.setattr(steps, "recorded", record)
    monkeypatch.setattr(steps, "training_step", noted)
    step = make_step(Bright(), None, split(8), task_of("a1"))
    assert calls == []
    for size in (4, 4, 3, 4):
        step(torch.arange(size), None)
    assert calls == [
        ("recorded", 4), ("replayed", 4), ("replayed", 4), ("plain", 3), ("replayed", 4),
    ]  # fmt: skip
