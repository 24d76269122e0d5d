"""The training loop on networks of one or two numbers, whose every step is worked out by hand.

A network that says the logit b everywhere has the loss log(1 + exp(-b)) where all is lesion, with
the slope -sigmoid(-b), and log(1 + exp(b)) where nothing is.
"""

import math
from contextlib import nullcontext
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from test_training import SETTINGS
from torch import nn

from weaklesion.errors import DataError
from weaklesion.study.settings import TrainingSettings
from weaklesion.training import loop
from weaklesion.training.checkpoints import load_last
from weaklesion.training.data import SplitData
from weaklesion.training.learner import make_learner
from weaklesion.training.loop import (
    Saving,
    Splits,
    _finite,
    _mean_losses,
    count_steps,
    fit,
    make_batches,
    validate,
)
from weaklesion.training.loop import train_epoch as run_epoch
from weaklesion.training.optimizers import make_optimizer, make_schedule
from weaklesion.training.state import TrainingState, keep
from weaklesion.training.steps import training_step
from weaklesion.training.tasks import make_task
from weaklesion.training.tasks.results import Outcome
from weaklesion.training.train import describe_training

SIDE = 16
SMALL = {"input_px": SIDE, "pad_to": (SIDE, SIDE), "augmentation": "none", "batch_size": 2}
PLAIN = {"optimizer": "sgd", "learning_rate": 1.0}


def settings_of(**changes):
    return TrainingSettings(**SETTINGS | SMALL | PLAIN | changes)


def split(count, target, labels=None):
    images = torch.zeros(count, 3, SIDE, SIDE, dtype=torch.uint8)
    targets = torch.full((count, 1, SIDE, SIDE), target, dtype=torch.uint8)
    labels = None if labels is None else torch.tensor(labels)
    return SplitData([str(number) for number in range(count)], images, targets, labels)


class Constant(nn.Module):
    """Says the same logit everywhere, and of two classes the logits `of_class` and 0."""

    def __init__(self, logit=0.0, of_class=None):
        super().__init__()
        self.logit = nn.Parameter(torch.tensor(logit))
        self.of_class = None if of_class is None else nn.Parameter(torch.tensor(of_class))

    def forward(self, images):
        logits = self.logit.expand(len(images), 1, SIDE, SIDE)
        if self.of_class is None:
            return logits
        classes = torch.stack([self.of_class, torch.zeros_like(self.of_class)])
        return logits, classes.expand(len(images), 2)


def loss_of(logit):
    """The loss where all is lesion."""
    return math.log(1 + math.exp(-logit))


def step_of(logit):
    """What a step of plain gradient descent with a learning rate of 1 adds to the logit there."""
    return 1 / (1 + math.exp(logit))


def saving_of(path, *, every_s, in_epoch_every_s=1e9):
    return Saving(last_pt=path, digest="d", every_s=every_s, in_epoch_every_s=in_epoch_every_s)


def trained(folder, settings, *, model=None, every_s=1e9, on_epoch=lambda row: None, seed=1):
    """Train on two patches of lesion; in the two of validation there is none."""
    task, state = make_task(settings, SIDE), TrainingState()
    splits = Splits(split(2, 1), split(2, 0))
    learner = make_learner(
        Constant() if model is None else model,
        settings,
        seed,
        steps_per_epoch=count_steps(splits.train, task),
        recorded=False,
    )
    saving = saving_of(folder / "last.pt", every_s=every_s)
    fit(learner, splits, task, state, saving=saving, on_epoch=on_epoch)
    return state


FIRST = step_of(0.0)  # the logit after one step: a half
SECOND = FIRST + step_of(FIRST)
THIRD = SECOND + step_of(SECOND)


@pytest.mark.parametrize(
    ("changes", "epochs", "kept", "logit", "stopped"),
    [
        ({"checkpoint": "best_loss"}, 5, 0, FIRST, False),
        ({"checkpoint": "best_loss", "patience": 2}, 3, 0, FIRST, True),
        ({"checkpoint": "last_if_stopped", "patience": 2}, 3, 2, THIRD, True),
        ({"checkpoint": "last_if_stopped", "patience": 4, "epochs": 3}, 3, 0, FIRST, False),
        ({"checkpoint": "last", "epochs": 2}, 2, 1, SECOND, False),
    ],
)
def test_a_training_whose_validation_only_gets_worse(
    tmp_path, changes, epochs, kept, logit, stopped
):
    rows = []
    state = trained(tmp_path, settings_of(**{"epochs": 5} | changes), on_epoch=rows.append)
    assert [row["epoch"] for row in state.history] == list(range(epochs))
    assert rows == state.history
    assert (state.best_epoch, state.kept_epoch, state.stopped) == (0, kept, stopped)
    assert state.kept["logit"].item() == pytest.approx(logit, abs=1e-6)
    # losses of training are those before its step, losses of validation those after it
    before = [0.0, FIRST, SECOND][:epochs]
    after = [FIRST, SECOND, THIRD][:epochs]
    history = state.history[:3]
    assert [row["train_loss"] for row in history] == pytest.approx(list(map(loss_of, before)))
    assert [row["val_segmentation_loss"] for row in history] == pytest.approx(
        [loss_of(-value) for value in after]
    )
    assert {row["val_dice"] for row in history} == {0.0}  # all is found, and nothing is there
    assert {row["learning_rate"] for row in history} == {1.0}


def test_the_moving_average_is_what_is_validated_and_kept(tmp_path):
    """It starts as the network after the first step, and then takes in a quarter of each."""
    state = trained(tmp_path, settings_of(epochs=2, ema=0.75))
    average = 0.75 * FIRST + 0.25 * SECOND
    assert state.kept["logit"].item() == pytest.approx(average, abs=1e-6)
    assert state.history[1]["val_segmentation_loss"] == pytest.approx(loss_of(-average))


@pytest.mark.parametrize(("every_s", "saved"), [(1e9, 1), (0.0, 3)])
def test_the_first_epoch_is_saved_and_later_ones_when_it_is_time(tmp_path, every_s, saved):
    trained(tmp_path, settings_of(epochs=3), every_s=every_s)
    last = load_last(tmp_path / "last.pt", "d")
    assert len(last["seen"]["history"]) == saved
    assert load_last(tmp_path / "last.pt", "of another training") is None


class Broken(Constant):
    """Says nothing in validation."""

    def forward(self, images):
        return super().forward(images) * (1.0 if self.training else math.nan)


def test_a_validation_loss_that_is_no_number_ends_the_training(tmp_path):
    with pytest.raises(DataError, match="epoch 1/2: the validation loss is nan"):
        trained(tmp_path, settings_of(), model=Broken())


@pytest.mark.parametrize("alpha", [3.0, 0.5])
def test_alpha_weighs_the_masks_loss_and_beta_that_of_the_classes(alpha):
    """All is lesion and of the first class; the logits are 0 and 1, the learning rate is 0.1."""
    beta = 0.25
    settings = settings_of(
        model="a1l", num_classes=2, segmentation_weight=alpha, classification_weight=beta,
        learning_rate=0.1,
    )  # fmt: skip
    model, task = Constant(0.0, 1.0), make_task(settings, SIDE)
    optimizer = make_optimizer(model, settings, recorded=False)
    data = split(2, 1, labels=[0, 0])
    losses = training_step(model, optimizer, data, torch.arange(2), None, task)
    of_masks, of_classes = loss_of(0.0), loss_of(1.0)
    total = alpha * of_masks + beta * of_classes
    assert losses.tolist() == pytest.approx([total, of_masks, of_classes])
    assert model.logit.item() == pytest.approx(0.1 * alpha * step_of(0.0))
    assert model.of_class.item() == pytest.approx(1 + 0.1 * beta * step_of(1.0))


@pytest.mark.parametrize(
    ("changes", "logit"),
    [
        ({}, SECOND),
        ({"zero_gradients": False}, FIRST + FIRST + step_of(FIRST)),
        ({"clip_norm": 0.1}, 0.2),
    ],
)
def test_two_steps_with_gradients_that_are_cleared_kept_or_clipped(changes, logit):
    settings = settings_of(**changes)
    model, task = Constant(), make_task(settings, SIDE)
    optimizer = make_optimizer(model, settings, recorded=False)
    for _ in range(2):
        training_step(model, optimizer, split(2, 1), torch.arange(2), None, task)
    assert model.logit.item() == pytest.approx(logit, abs=1e-5)


@pytest.mark.parametrize(
    ("changes", "weights"),
    [
        # the decay 0.1 w is a gradient, of which 0.9 is carried on
        ({"optimizer": "sgd", "momentum": 0.9}, (0.95, 0.95 - 0.5 * (0.9 * 0.1 + 0.095))),
        # it is a gradient, and a step is as long as the learning rate
        ({"optimizer": "adam"}, (0.5,)),
        # it is no gradient
        ({"optimizer": "adamw"}, (0.95, 0.95 * 0.95)),
    ],
)
def test_weight_decay_alone(changes, weights):
    settings = settings_of(**{"learning_rate": 0.5, "weight_decay": 0.1} | changes)
    model = Constant(1.0)
    optimizer = make_optimizer(model, settings, recorded=False)
    for weight in weights:
        model.logit.grad = torch.zeros(())
        optimizer.step()
        assert model.logit.item() == pytest.approx(weight, abs=1e-6)


def rates_of(schedule, epochs, steps_per_epoch):
    settings = settings_of(schedule=schedule, epochs=epochs)
    optimizer = make_optimizer(Constant(), settings, recorded=False)
    schedule = make_schedule(optimizer, settings, steps_per_epoch)
    rates = []
    for _ in range(epochs * steps_per_epoch):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step() if len(rates) < epochs * steps_per_epoch else None
    return rates


def test_schedules_are_as_long_as_the_training():
    """Agarwal's falls as (1 - t)^0.9; the cycle is highest after three tenths of its 20 steps."""
    assert rates_of("poly", 3, 2) == pytest.approx([(1 - step / 6) ** 0.9 for step in range(6)])
    rates = rates_of("one_cycle", 5, 4)
    assert rates.index(max(rates)) == 5
    assert (rates[0], rates[5], rates[19]) == pytest.approx((1 / 25, 1, 1 / 25e4))
    settings = settings_of()
    assert make_schedule(make_optimizer(Constant(), settings, recorded=False), settings, 4) is None


def test_the_rule_of_the_best_accuracy():
    settings = settings_of(model="a1l", num_classes=2, checkpoint="best_accuracy")
    state = TrainingState()
    for accuracy, dice in ((0.2, 0.9), (0.5, 0.8), (0.5, 0.7), (0.4, 0.95)):
        row = {"val_segmentation_loss": 1 - dice, "val_dice": dice, "val_accuracy": accuracy}
        state.history.append(row)
        keep(state, Constant(), settings)
    assert (state.best_epoch, state.kept_epoch, state.best_value) == (1, 1, -0.5)


def test_the_number_of_batches_of_an_epoch():
    """Five samples in pairs are two batches, because a single one joins the last."""
    train = split(5, 1)
    for changes, sizes in (
        ({}, [2, 3]),
        ({"drop_last": True}, [2, 2]),
        ({"iterations": 1}, [2]),
        ({"iterations": 5}, [2, 3, 2, 3, 2]),
    ):
        task = make_task(settings_of(**changes), SIDE)
        batches = make_batches(train, task, torch.Generator().manual_seed(0))
        assert [len(batch) for batch in batches] == sizes
        assert count_steps(train, task) == len(sizes)
        if len(sizes) > 1 and "drop_last" not in changes:
            assert sorted(torch.cat(batches[:2]).tolist()) == list(range(5))


def test_of_two_steps_on_a_batch_the_second_has_its_halves_swapped(tmp_path):
    settings = settings_of(steps_per_batch=2, batch_size=6)
    task, train, taken = make_task(settings, SIDE), split(6, 1), []
    assert count_steps(train, task) == 2
    learner = make_learner(Constant(), settings, 1, steps_per_epoch=2, recorded=False)

    def take_step(index, draws):
        taken.append(index.tolist())
        return torch.ones(3)

    saving = saving_of(tmp_path / "last.pt", every_s=1e9)
    run_epoch(learner, train, task, take_step, TrainingState(), saving)
    first, second = taken
    assert sorted(first) == list(range(6))
    assert second == first[3:] + first[:3]


def test_each_epoch_draws_its_own_batches(tmp_path):
    task, train, taken = make_task(settings_of(), SIDE), split(6, 1), []
    learner = make_learner(Constant(), task.settings, 1, steps_per_epoch=3, recorded=False)
    state, saving = TrainingState(), saving_of(tmp_path / "last.pt", every_s=1e9)

    def take_step(index, draws):
        taken.append(index.tolist())
        return torch.ones(3)

    for _ in range(2):
        run_epoch(learner, train, task, take_step, state, saving)
        state.end_epoch()
    generator = torch.Generator().manual_seed(1)
    drawn = [make_batches(train, task, generator) for _ in range(2)]
    assert taken == [batch.tolist() for batches in drawn for batch in batches]
    assert taken[:3] != taken[3:]


def test_the_mean_loss_counts_samples():
    """A batch of one and a batch of three: (1 + 3 * 4) / 4."""
    losses = torch.tensor([[1.0, 2.0, 0.0], [4.0, 6.0, 8.0]])
    assert _mean_losses(losses, [1, 3]) == {
        "train_loss": 3.25, "train_segmentation_loss": 5.0, "train_classification_loss": 6.0,
    }  # fmt: skip


def test_the_first_loss_that_is_not_finite_is_named():
    losses = [torch.tensor([value] * 3) for value in (1.5, math.nan, math.inf)]
    assert _finite(losses[:1], 7, "e").tolist() == [[1.5] * 3]
    with pytest.raises(DataError, match=r"e, step 2 of 7: the training loss is nan, after 1\.5"):
        _finite(losses, 7, "e")
    with pytest.raises(DataError, match="e, step 1 of 7: the training loss is nan, from the first"):
        _finite(losses[1:], 7, "e")


@pytest.mark.parametrize(("in_epoch_every_s", "steps"), [(300, [4, 8]), (1e9, [])])
def test_steps_are_saved_when_it_is_time(tmp_path, monkeypatch, in_epoch_every_s, steps):
    """Steps of 100 s: more than 300 s have passed after the fourth and after the eighth."""
    now, saved = 5.0, []
    monkeypatch.setattr(loop.time, "perf_counter", lambda: now)
    settings = settings_of(batch_size=2)
    task, train, state = make_task(settings, SIDE), split(20, 1), TrainingState()
    learner = make_learner(Constant(), settings, 1, steps_per_epoch=10, recorded=False)
    path = tmp_path / "last.pt"
    saving = saving_of(path, every_s=0.0, in_epoch_every_s=in_epoch_every_s)

    def take_step(index, draws):
        nonlocal now
        if path.exists():
            saved.append(len(load_last(path, "d")["seen"]["epoch_losses"]))
            path.unlink()
        now += 100
        return torch.ones(3)

    run_epoch(learner, train, task, take_step, state, saving)
    assert saved == steps
    assert not path.exists()
    assert state.seconds["steps"] == 1000


def test_a_broken_loss_is_never_saved(tmp_path):
    settings = settings_of(batch_size=2)
    task, train, state = make_task(settings, SIDE), split(8, 1), TrainingState()
    learner = make_learner(Constant(), settings, 1, steps_per_epoch=4, recorded=False)
    values = iter([0.5, 0.25, math.inf, 0.0])
    saving = saving_of(tmp_path / "last.pt", every_s=0.0, in_epoch_every_s=0.0)

    def take_step(index, draws):
        return torch.full((3,), next(values))

    with pytest.raises(DataError, match=r"epoch 1/\d+, step 3 of 4: the .* is inf, after 0\.25"):
        run_epoch(learner, train, task, take_step, state, saving)
    losses = load_last(tmp_path / "last.pt", "d")["seen"]["epoch_losses"]
    assert losses[:, 0].tolist() == [0.5, 0.25]


def test_validation_counts_samples_whatever_the_batches(tmp_path, monkeypatch):
    """Three samples in batches of two.

    Losses are 1, 2 and 6. Two px are found of which one is right: Dice 2/3; nothing is found and
    nothing is there: 1; one px is found where nothing is: 0. Two of three classes are right.
    """
    monkeypatch.setattr(loop, "EVALUATION_BATCH", 2)
    losses = torch.tensor([1.0, 2.0, 6.0])
    found = torch.tensor([[[1, 1]], [[0, 0]], [[0, 1]]]).bool()
    there = torch.tensor([[[1, 0]], [[0, 0]], [[0, 0]]]).bool()
    classes = torch.tensor([[2.0, 1.0], [0.0, 3.0], [5.0, 4.0]])  # 0, 1, 0

    def outcome(model, data, index):
        return Outcome(losses[index].mean(), found[index], there[index], classes[index])

    task = SimpleNamespace(settings=SimpleNamespace(num_classes=2), evaluate=outcome)
    learner = make_learner(Constant(), settings_of(), 1, steps_per_epoch=1, recorded=False)
    saving = saving_of(tmp_path / "last.pt", every_s=0.0)
    val = split(3, 0, labels=[0, 1, 1])
    scores = validate(learner, val, task, TrainingState(), saving)
    assert scores == pytest.approx(
        {"val_segmentation_loss": 3.0, "val_dice": 5 / 9, "val_accuracy": 2 / 3}
    )
    assert not saving.last_pt.exists()
    task.settings.num_classes = None
    assert math.isnan(validate(learner, val, task, TrainingState(), saving)["val_accuracy"])


def test_what_run_json_says_of_a_training():
    """Three epochs of five images in two seconds of steps."""
    row = {"train_loss": 1.0}
    state = TrainingState(history=[row] * 3, best_epoch=1, kept_epoch=2, stopped=True)
    state.seconds |= {"data": 50.0, "steps": 2.0, "validation": 40.0}
    splits = Splits(split(5, 1), split(3, 0))
    said = describe_training(state, splits, Constant(0.0, 1.0), make_task(settings_of(), SIDE))
    assert said["num_samples"] == {"train": 5, "val": 3}
    assert (said["epochs_run"], said["best_epoch"], said["kept_epoch"]) == (3, 1, 2)
    assert said["stopped_by_patience"]
    assert said["num_parameters"] == 2
    assert said["images_per_second"] == 7.5


class Linear(nn.Module):
    """Two numbers, and a part of the image left out at random."""

    def __init__(self, weight):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight))
        self.bias = nn.Parameter(torch.zeros(()))
        self.dropped = nn.Dropout(0.5)

    def forward(self, images):
        return self.weight * self.dropped(images[:, :1]) + self.bias


def different(count, seed):
    """Patches and targets of noise, so that order, flips and dropped px all matter."""
    generator = torch.Generator().manual_seed(seed)
    data = split(count, 0)
    data.images = torch.randint(256, data.images.shape, generator=generator).to(torch.uint8)
    data.targets = torch.randint(2, data.targets.shape, generator=generator).to(torch.uint8)
    return data


@pytest.mark.parametrize(
    "changes",
    [
        {"momentum": 0.9, "schedule": "poly", "ema": 0.9},
        {"optimizer": "adam", "zero_gradients": False, "clip_norm": 0.5},
    ],
    ids=["sgd", "adam"],
)
@pytest.mark.parametrize("saves", [1, 2, 3, 4, 5, 10, 13])
def test_a_training_that_is_resumed_ends_as_if_it_had_never_stopped(
    tmp_path, monkeypatch, changes, saves
):
    """Killed after a save: of a step or a batch of validation, of an epoch's end, or later."""
    monkeypatch.setattr(loop, "EVALUATION_BATCH", 2)
    settings = settings_of(
        **{"epochs": 5, "checkpoint": "best_loss", "learning_rate": 0.1, "augmentation": "flips"}
        | changes
    )
    task, splits = make_task(settings, SIDE), Splits(different(5, 1), different(3, 2))

    class Killed(Saving):
        """Ends the process after some saves."""

        def save(self, *args):
            super().save(*args)
            self.saves_left -= 1
            if not self.saves_left:
                raise KeyboardInterrupt

    def run(name, *, seed=1, saves=-1):
        torch.manual_seed(seed)
        learner = make_learner(
            Linear(float(seed)), settings, seed, steps_per_epoch=2, recorded=False
        )
        state = TrainingState()
        state.seconds["data"] = 10.0 * seed
        saving = Killed(last_pt=tmp_path / name, digest="d", every_s=0.0, in_epoch_every_s=0.0)
        saving.saves_left = saves
        ended = nullcontext() if saves < 0 else pytest.raises(KeyboardInterrupt)
        with ended:
            fit(learner, splits, task, state, saving=saving, on_epoch=lambda row: None)
        return state

    straight = run("straight")
    killed = run("killed", saves=saves)
    epochs, saves_within = divmod(saves, 5)
    assert len(killed.history) == epochs
    steps = 0 if killed.epoch_losses is None else len(killed.epoch_losses)
    assert (steps, killed.validated) == [(0, 0), (1, 0), (2, 0), (2, 2), (2, 3)][saves_within]
    resumed = run("killed", seed=7)  # of another start, of which nothing may remain
    assert len({row["train_loss"] for row in straight.history}) == 5
    histories = [pd.DataFrame(state.history) for state in (resumed, straight)]
    pd.testing.assert_frame_equal(*histories, check_exact=True)
    assert (resumed.best_epoch, resumed.kept_epoch) == (straight.best_epoch, straight.kept_epoch)
    assert resumed.best_value == straight.best_value
    assert resumed.kept.keys() == straight.kept.keys()
    for name, weights in straight.kept.items():
        assert torch.equal(resumed.kept[name], weights)
    assert resumed.seconds["data"] == 10 + 70  # read twice
