"""Recording a step, with a stand-in for the GPU: what stays as it was, and what is refused."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch

from weaklesion.training.cuda_graphs import recorded


@pytest.fixture
def gpu(monkeypatch):
    """A stand-in whose graph counts its replays, and computes nothing in them."""
    replays = []
    stream = SimpleNamespace(wait_stream=lambda other: None)
    stand_ins = {
        "Stream": lambda: stream,
        "current_stream": lambda: stream,
        "stream": lambda stream: nullcontext(),
        "graph": lambda graph: nullcontext(),
        "CUDAGraph": lambda: SimpleNamespace(replay=lambda: replays.append(1)),
        "get_rng_state": torch.get_rng_state,
        "set_rng_state": torch.set_rng_state,
        "synchronize": lambda: None,
    }
    for name, stand_in in stand_ins.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
    return replays


def trained(zero_gradients):
    """A network with a step that draws, trains and returns losses."""
    torch.manual_seed(0)
    model = torch.nn.Linear(2, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)

    def step(index, draws):
        loss = (model(torch.rand(len(index), 2)) - 1).square().mean()
        if zero_gradients:
            optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return torch.stack([loss, loss, loss * 0]).detach()

    step(torch.arange(3), None)
    return model, optimizer, step


def copied(model, optimizer):
    weights = [value.clone() for value in model.parameters()]
    moments = [value.clone() for state in optimizer.state.values() for value in state.values()]
    return [*weights, *moments, torch.get_rng_state()]


@pytest.mark.parametrize("zero_gradients", [True, False])
def test_recording_leaves_everything_as_it_was(gpu, zero_gradients):
    model, optimizer, step = trained(zero_gradients)
    before = copied(model, optimizer)
    gradients = [parameter.grad.clone() for parameter in model.parameters()]
    replay = recorded(step, model, optimizer, torch.arange(3), None, zero_gradients=zero_gradients)
    after = copied(model, optimizer)
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    if not zero_gradients:
        now = [parameter.grad for parameter in model.parameters()]
        assert all(torch.equal(a, b) for a, b in zip(gradients, now, strict=True))
    assert len(gpu) == 1  # to compare its loss
    assert replay(torch.arange(3), None).shape == (3,)
    assert len(gpu) == 2


def test_a_step_whose_recorded_loss_differs_is_not_replayed(gpu, caplog):
    model, optimizer, step = trained(zero_gradients=True)
    losses = iter([1.0] * 4 + [2.0])

    def other(index, draws):
        return step(index, draws) * 0 + next(losses)

    assert recorded(other, model, optimizer, torch.arange(3), None) is other
    assert "not recorded as a CUDA graph: the recorded step's loss is 2 instead of 1" in caplog.text


def test_a_step_that_cannot_be_recorded_is_not_replayed(gpu, caplog, monkeypatch):
    def refused(graph):
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(torch.cuda, "graph", refused)
    model, optimizer, step = trained(zero_gradients=True)
    before = copied(model, optimizer)
    assert recorded(step, model, optimizer, torch.arange(3), None) is step
    assert "not recorded as a CUDA graph: operation not permitted" in caplog.text
    assert all(torch.equal(a, b) for a, b in zip(before, copied(model, optimizer), strict=True))
