"""What needs a GPU: a recorded training step against a plain one. Skipped where there is none."""

import numpy as np
import pytest
import torch
from conftest import ROOT

from weaklesion.models import build_model
from weaklesion.study.arms import training_settings
from weaklesion.study.settings import TrainingSettings
from weaklesion.support.yaml_files import read_yaml
from weaklesion.training.data import SplitData
from weaklesion.training.optimizers import make_optimizer
from weaklesion.training.seeding import seed_everything
from weaklesion.training.steps import make_step, training_step
from weaklesion.training.tasks import make_task

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")

SMALL = {"encoder": "resnet18", "weights": "none", "input_px": 64, "pad_to": (64, 64)}
STEPS = 12


def settings_of(arm, **changes):
    config = read_yaml(ROOT / "config.yaml")
    settings = training_settings(config, "ham10k", "released", arm)
    return TrainingSettings(**settings | SMALL | changes)


def samples(num_classes):
    """Blobs whose place and size differ from sample to sample."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:64, :64]
    centres, radii = rng.uniform(20, 44, (60, 2)), rng.uniform(6, 18, 60)
    masks = np.stack(
        [
            (rows - y) ** 2 + (columns - x) ** 2 < radius**2
            for (y, x), radius in zip(centres, radii, strict=True)
        ]
    ).astype(np.uint8)
    noise = rng.integers(0, 60, (60, 3, 64, 64))
    images = (noise + 120 * masks[:, None]).astype(np.uint8)
    labels = None if num_classes is None else rng.integers(0, num_classes, 60)
    return SplitData(
        [str(number) for number in range(60)],
        torch.from_numpy(images).cuda(),
        torch.from_numpy(masks[:, None]).cuda(),
        None if labels is None else torch.from_numpy(labels).cuda(),
    )


def train(settings, *, recorded):
    seed_everything(1)
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    task = make_task(settings, 64)
    data = samples(settings.num_classes)
    model = build_model(
        settings.model, num_classes=settings.num_classes, encoder=settings.encoder
    ).cuda()
    model = model.to(memory_format=torch.channels_last).train()
    optimizer = make_optimizer(model, settings, recorded=recorded)
    generator = torch.Generator().manual_seed(1)
    step, losses = make_step(model, optimizer, data, task), []
    for _ in range(STEPS):
        index = torch.randperm(60, generator=generator)[: settings.batch_size].cuda()
        if recorded:
            losses.append(step(index, None))
        else:
            losses.append(training_step(model, optimizer, data, index, None, task))
    return torch.stack(losses).cpu().numpy()


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("arm", ["a1", "a1l", "acoseg", "acoseg_released"])
def test_a_recorded_step_trains_as_a_plain_one(arm, precision, caplog):
    settings = settings_of(arm, precision=precision, learning_rate=1e-4)
    plain, recorded = (train(settings, recorded=recorded) for recorded in (False, True))
    assert "not recorded" not in caplog.text
    # Rounding differs from run to run, and grows with the steps.
    assert recorded == pytest.approx(plain, rel=0.02 if precision == "float32" else 0.05)
    assert plain[-1, 1] < 0.9 * plain[0, 1]  # it learns, so that equal losses mean something
