"""A training step recorded once as a CUDA graph and replayed, without one launch per kernel.

With batches of ten small patches, a GPU computes faster than Python can launch kernels; replaying a
recorded step takes a single launch. A recorded step is compared with a plain one before it is used.
"""

import logging
from collections.abc import Callable

import torch
from torch import nn

logger = logging.getLogger(__name__)

WARM_UP_STEPS = 3
TOLERANCE = 0.02  # of the loss; bfloat16 steps differ by about a thousandth
REFUSED = "steps are not recorded as a CUDA graph"

Step = Callable[[torch.Tensor, torch.Tensor | None], torch.Tensor]


def recorded(
    step: Step,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    index: torch.Tensor,
    draws: torch.Tensor | None,
    *,
    zero_gradients: bool = True,
) -> Step:
    """Record `step` for batches of one size; return a step that replays it.

    Weights, gradients, optimiser and random state keep their values.

    Args:
        step: takes a training step on (index, draws) and returns its losses; reads and writes only
            memory of the device.
        model: the network that the step trains.
        optimizer: the network's optimiser, capturable.
        index: (B,) a batch of the size to record, on the device.
        draws: random draws of that batch (`weaklesion.training.tasks.Task.draw`), or None.
        zero_gradients: whether each step starts without gradients; otherwise gradients add up from
            step to step, in the memory that they have when the step is recorded.

    Returns:
        A step for batches of B; `step` itself, with a warning, if recording fails or if the
        recorded step's loss differs from that of a plain step.
    """
    if not zero_gradients:
        _allocate_gradients(model)
    before = _State(model, optimizer, gradients=not zero_gradients)
    held_index, held_draws = index.clone(), None if draws is None else draws.clone()

    def step_on_held() -> torch.Tensor:
        return step(held_index, held_draws)

    try:
        expected = _plain_loss(step_on_held, before)
        if zero_gradients:
            optimizer.zero_grad(set_to_none=True)
        graph, held_losses = _record(step_on_held, before)
        graph.replay()
        loss = float(held_losses[0])
        before.restore()
    except RuntimeError as error:
        logger.warning("%s: %s", REFUSED, str(error)[:300])
        torch.cuda.synchronize()
        before.restore()
        return step
    if not abs(loss - expected) <= TOLERANCE * abs(expected):
        logger.warning("%s: the recorded step's loss is %g instead of %g", REFUSED, loss, expected)
        return step

    def replay(index: torch.Tensor, draws: torch.Tensor | None) -> torch.Tensor:
        held_index.copy_(index)
        if held_draws is not None and draws is not None:
            held_draws.copy_(draws)
        graph.replay()
        return held_losses.clone()

    return replay


def _allocate_gradients(model: nn.Module) -> None:
    """Give every parameter without a gradient a gradient of zeros."""
    for parameter in model.parameters():
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)


def _plain_loss(step: Callable[[], torch.Tensor], before: "_State") -> float:
    """Take some steps to warm up, and return the loss of a plain step from the state `before`."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP_STEPS):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    before.restore()
    expected = float(step()[0])
    before.restore()
    return expected


def _record(
    step: Callable[[], torch.Tensor], before: "_State"
) -> tuple[torch.cuda.CUDAGraph, torch.Tensor]:
    """Record a step from the state `before`; return graph and losses, (3,), that it writes to."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        losses = step()
    before.restore()
    return graph, losses


class _State:
    """A copy of weights, optimiser, random state and, on request, gradients."""

    def __init__(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, *, gradients: bool
    ) -> None:
        self.model, self.optimizer = model, optimizer
        self.gradients = {
            parameter: parameter.grad.clone()
            for parameter in model.parameters()
            if gradients and parameter.grad is not None
        }
        self.weights = {name: value.clone() for name, value in model.state_dict().items()}
        self.moments = {
            parameter: {key: value.clone() for key, value in state.items()}
            for parameter, state in optimizer.state.items()
        }
        self.random = torch.cuda.get_rng_state()

    @torch.no_grad()
    def restore(self) -> None:
        """Put the copy back into the same memory, because a recorded step writes there."""
        for name, value in self.model.state_dict().items():
            value.copy_(self.weights[name])
        for parameter, gradient in self.gradients.items():
            assert parameter.grad is not None
            parameter.grad.copy_(gradient)
        for trained, state in self.optimizer.state.items():
            for key, value in state.items():
                saved = self.moments.get(trained, {}).get(key)
                # state that the first step created starts from zero
                value.zero_() if saved is None else value.copy_(saved)
        torch.cuda.set_rng_state(self.random)
