import os
import sys
from importlib.util import find_spec

import numpy as np
import pytest

from weaklesion.errors import DataError
from weaklesion.prediction.crf import CRFSettings, apply_crf, apply_crf_to_image
from weaklesion.support.yaml_files import read_yaml

INSTALLED = find_spec("pydensecrf") is not None


@pytest.fixture
def settings(root):
    return CRFSettings(**read_yaml(root / "config.yaml")["crf"])


@pytest.fixture
def disc():
    """An image with a bright disc, and probabilities that are sure of a larger, rough one."""
    rng = np.random.default_rng(0)
    yy, xx = np.mgrid[:96, :96]
    distance = np.hypot(yy - 48, xx - 48)
    truth = distance < 24
    image = np.where(truth[..., None], 190, 60) + rng.normal(0, 3, (96, 96, 3))
    probability = np.clip(0.5 + (27 - distance) / 16 + rng.normal(0, 0.05, (96, 96)), 0.02, 0.98)
    return image.round().astype(np.uint8), probability, truth


def test_installed_where_the_project_is_tested():
    assert INSTALLED or not os.environ.get("CI"), "make crf"


def test_a_constant_image_gives_the_decision_of_the_probabilities(settings, disc):
    _, probability, _ = disc
    flat = np.full((96, 96, 3), 77, np.uint8)
    assert np.array_equal(apply_crf_to_image(flat, probability, settings), probability >= 0.5)


@pytest.mark.skipif(not INSTALLED, reason="pydensecrf2 takes a compiler: make crf")
def test_the_edge_of_the_image_is_found(settings, disc):
    image, probability, truth = disc
    before = probability >= 0.5
    after = apply_crf(image[None], probability[None], settings)[0]

    def dice(mask):
        return 2 * (mask & truth).sum() / (mask.sum() + truth.sum())

    assert after.dtype == bool
    assert dice(before) < 0.91
    assert dice(after) > 0.97


def test_without_the_package_the_message_says_what_to_do(settings, disc, monkeypatch):
    monkeypatch.setitem(sys.modules, "pydensecrf.densecrf", None)
    with pytest.raises(DataError, match="make crf"):
        apply_crf_to_image(*disc[:2], settings)
