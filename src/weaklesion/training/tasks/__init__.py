"""The three tasks that a network can have: the only place where training runs differ by task.

`segmentation` takes single images, `pairs` images with a partner, and `prompted` images with a
mark. `TrainingSettings.task` says which one a run has. Each has a module of its own, so a change of
one does not repeat the runs of the others.
"""

from importlib import import_module
from typing import Any, ClassVar, Protocol

import torch
from torch import nn

from weaklesion.study.settings import TrainingSettings
from weaklesion.training.data import SplitData, TrainingFiles
from weaklesion.training.inputs import input_geometry
from weaklesion.training.tasks.results import Losses, Outcome


class Task(Protocol):
    """What training loop, steps and validation need of a task.

    Attributes:
        stays_on_device: whether a step never waits for a value of the device, so that it can be
            recorded as a CUDA graph.
    """

    stays_on_device: ClassVar[bool]

    @property
    def settings(self) -> TrainingSettings:
        """Settings of the training."""

    def load_split(self, split: str, files: TrainingFiles, device: torch.device) -> SplitData:
        """Load one split to the device, joined by sample id.

        Raises:
            DataError: if the split is too small, or files are not what `settings` say.
        """

    def with_partners(
        self, val: SplitData, train: SplitData, generator: torch.Generator
    ) -> SplitData:
        """Return `val` with the images that its images are segmented with, if the task has any."""

    def draw_batches(self, train: SplitData, generator: torch.Generator) -> list[torch.Tensor]:
        """Draw the batches of one pass over `train`: sample numbers, (B,) int64 each."""

    def draw(self, count: int, generator: torch.Generator) -> torch.Tensor | None:
        """Draw all random numbers of `count` samples, on the CPU; None if the task needs none."""

    def losses(
        self, model: nn.Module, train: SplitData, index: torch.Tensor, draws: torch.Tensor | None
    ) -> Losses:
        """Run the network on a training batch, and return its losses.

        Args:
            model: in training mode.
            train: the training split.
            index: (B,) int64 on the device, a batch of `draw_batches`.
            draws: random draws of the batch, of `draw`, on the device.
        """

    def evaluate(self, model: nn.Module, val: SplitData, index: torch.Tensor) -> Outcome:
        """Run the network on validation samples `index`, (B,) int64 on the device."""

    def describe(self, train: SplitData) -> dict[str, Any]:
        """Return what `run.json` says of the training split for this task only."""


def make_task(settings: TrainingSettings, side_px: int) -> Task:
    """Return the task of a run.

    Args:
        settings: settings of the training.
        side_px: height and width of the run's patches, px.

    Raises:
        ValueError: if `pad_to` and `input_px` do not go together.
    """
    module = import_module(f"weaklesion.training.tasks.{settings.task}")
    task: Task = module.make(settings, input_geometry(settings, side_px))
    return task
