import numpy as np
import pytest
import torch
from test_training import SETTINGS

from weaklesion.study.settings import TrainingSettings
from weaklesion.training.inputs import InputGeometry
from weaklesion.training.losses import classification_loss, segmentation_loss

FRAME = InputGeometry(side_px=16, input_px=16, pad_to_hw=(32, 32))


def settings(**changes):
    return TrainingSettings(**SETTINGS | {"input_px": 16} | changes)


@pytest.fixture
def maps():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(5, 1, 32, 32, generator=generator)
    targets = (torch.rand(5, 1, 16, 16, generator=generator) > 0.7).to(torch.uint8)
    return logits, targets


def test_dice_loss_by_its_formula(maps):
    logits, targets = maps
    loss = segmentation_loss(logits, targets, FRAME, settings(segmentation_loss="dice"))
    probability = logits[:, 0, 8:24, 8:24].sigmoid().numpy()
    reference = targets[:, 0].numpy()
    both = (probability * reference).sum(axis=(1, 2))
    sizes = probability.sum(axis=(1, 2)) + reference.sum(axis=(1, 2))
    assert float(loss) == pytest.approx(float(np.mean(1 - 2 * both / sizes)), abs=1e-6)


def test_dice_loss_of_nothing_found_where_nothing_is(maps):
    logits, targets = torch.full_like(maps[0], -100.0), torch.zeros_like(maps[1])
    loss = segmentation_loss(logits, targets, FRAME, settings(segmentation_loss="dice"))
    assert float(loss) == pytest.approx(0.0, abs=1e-6)


def test_only_the_dice_of_a_batch_learns_from_an_empty_target(maps):
    """See docs/reference/audit.md, C8."""
    targets = maps[1].clone()
    targets[0] = 0
    found = {}
    for kind in ("dice", "batch_dice"):
        logits = maps[0].clone().requires_grad_()
        segmentation_loss(logits, targets, FRAME, settings(segmentation_loss=kind)).backward()
        found[kind] = float(logits.grad[0].abs().sum())
    assert found["dice"] < 1e-6
    assert found["batch_dice"] > 1e-3


@pytest.mark.parametrize("weights", [None, (0.2, 0.3, 0.5)])
def test_focal_loss_by_its_formula(weights):
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(40, 3, generator=generator)
    labels = torch.randint(3, (40,), generator=generator)
    chosen = settings(
        model="cmu_net", num_classes=3, classification_loss="focal", focal_weights=weights
    )
    probability = logits.softmax(dim=1)[torch.arange(40), labels].double().numpy()
    factor = np.ones(40) if weights is None else np.array(weights)[labels.numpy()]
    expected = (factor * (1 - probability) ** 2 * -np.log(probability)).mean()
    assert float(classification_loss(logits, labels, chosen)) == pytest.approx(expected, abs=1e-6)


def test_losses_are_computed_in_float32(maps):
    logits, targets = maps
    for kind in ("bce", "dice"):
        loss = segmentation_loss(
            logits.bfloat16(), targets, FRAME, settings(segmentation_loss=kind)
        )
        assert loss.dtype == torch.float32
