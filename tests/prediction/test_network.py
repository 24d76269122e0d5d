"""A model folder is data: what is damaged or foreign is refused before it is used."""

import json
import socket
from dataclasses import asdict

import pytest
import torch
from conftest import ROOT
from safetensors.torch import save_file

from weaklesion.errors import DataError
from weaklesion.models import build_model
from weaklesion.prediction.network import load_network
from weaklesion.study import arms
from weaklesion.study.settings import TrainingSettings
from weaklesion.support.yaml_files import read_yaml

pytestmark = pytest.mark.workflow  # each builds a network


@pytest.fixture
def saved(tmp_path):
    """A run of a network that sees the mark: its folder, and a function that writes it."""
    config = read_yaml(ROOT / "config.yaml")
    chosen = arms.training_settings(config, "ham10k", "source", "prompted")
    chosen["prompt"] |= {"max_amplitude": 1.0}
    settings = asdict(TrainingSettings(**chosen))
    model = build_model(settings["model"], encoder=settings["encoder"], options=settings["network"])

    def write(weights=None, **changes):
        tensors = model.state_dict() | (weights or {})
        contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
        save_file(contiguous, tmp_path / "model.safetensors")
        told = {"settings": settings | changes}
        (tmp_path / "run.json").write_text(json.dumps(told))
        return load_network(
            tmp_path / "model.safetensors", tmp_path / "run.json", torch.device("cpu")
        )

    return write, model


def test_a_whole_run_is_loaded(saved):
    write, model = saved
    loaded, settings = write()
    assert settings.model == "prompted"
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)


def test_a_device_may_be_given_by_name(saved, tmp_path):
    write, _ = saved
    write()
    loaded, _ = load_network(tmp_path / "model.safetensors", tmp_path / "run.json", "cpu")
    assert {tensor.device for tensor in loaded.parameters()} == {torch.device("cpu")}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(saved, value):
    write, model = saved
    name, tensor = next(iter(model.state_dict().items()))
    damaged = tensor.contiguous().clone()
    damaged.view(-1)[0] = value
    with pytest.raises(DataError, match="has values that are not finite"):
        write({name: damaged})


@pytest.mark.parametrize(
    "changes",
    [
        {"encoder": "tu-hf-hub:someone/model"},
        {"encoder": "../../etc"},
        {"model": "os.system"},
        {"input_px": 10**9},
        {"pad_to": [64, 10**9]},
        {"prompt": {"margin": "wide"}},
        {"network": {"unknown": 1}},
        {"model": "a1l", "encoder": "resnet18", "num_classes": 10**9, "prompt": None},
        {"model": "a1l", "encoder": "resnet18", "num_classes": 10_001, "prompt": None},
        {"model": "drn_coseg", "network": {"danet": 5}, "prompt": None},
        {"model": "drn_coseg", "network": {"danet": True, "decoder": "d9"}, "prompt": None},
        {"model": "drn_coseg", "network": {"channels": {}, "places": "aspp"}, "prompt": None},
    ],
)
def test_settings_that_describe_no_network_are_refused_without_the_net(saved, changes, monkeypatch):
    def no_net(*_arguments, **_options):
        raise AssertionError("went to the network")

    monkeypatch.setattr(socket.socket, "connect", no_net)
    write, _ = saved
    with pytest.raises(DataError, match=r"run\.json: "):
        write(**changes)
