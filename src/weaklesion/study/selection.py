"""The part of a study that says which items it has, and which runs they need.

Uses only the standard library, because Snakemake's own interpreter reads it.
"""

import re
from collections.abc import Iterable
from functools import cache, cached_property
from typing import Any

from weaklesion.study import items
from weaklesion.study.arms import is_trained
from weaklesion.study.checks import check_config
from weaklesion.study.items import Run
from weaklesion.study.layout import Layout, Place
from weaklesion.study.protocols import Config

Block = tuple[str, str]  # a dataset and a protocol


class Selection:
    """Items, runs and training runs of one configuration, which is checked first.

    Args:
        config: the configuration with the changes of the study.
        paper: the configuration of the paper, without them.

    Raises:
        DataError: if the configuration is not valid.
    """

    def __init__(self, config: Config, paper: Config) -> None:
        check_config(config)
        self.config, self.paper = config, paper
        self.layout = Layout(config["study"])
        self._runs = cache(lambda item: tuple(items.runs_of(config, [item])))  # rules ask often
        self._places = cache(lambda item: tuple(items.places_of(self.config, [item])))

    def items(self, *kinds: str) -> list[str]:
        """Items of the given kinds, or of all, that the study selects and has datasets for."""
        return items.items_of(self.config, *kinds)

    def items_matching(self, *kinds: str) -> str:
        """Pattern that the items of the given kinds match."""
        return "|".join(map(re.escape, self.items(*kinds))) or "none"

    def item(self, name: str) -> dict[str, Any]:
        """Definition of an item in the configuration."""
        definition: dict[str, Any] = self.config["experiments"][name]
        return definition

    def runs(self, item: str) -> list[Run]:
        """Runs of an item."""
        return list(self._runs(item))

    def trained(self, runs: Iterable[Run]) -> list[Run]:
        """The runs among the given ones that are trained."""
        return [run for run in runs if is_trained(self.config, run.arm)]

    def trained_in_folds(self, runs: Iterable[Run]) -> list[Run]:
        """The same, with the folds of a cross-validated protocol in its place."""
        return items.runs_of_folds(self.config, self.trained(runs))

    @cached_property
    def all_runs(self) -> list[Run]:
        """Runs of all items, each once."""
        return items.runs_of(self.config, self.items())

    @cached_property
    def all_trainings(self) -> list[Run]:
        """All training runs, including those that other runs depend on."""
        return items.trainings_of(self.config, self.items())

    def blocks(self, runs: Iterable[Run]) -> list[Block]:
        """Pairs of dataset and protocol of the given runs, each once."""
        return list(dict.fromkeys((run.dataset, run.protocol) for run in runs))

    def places(self, item: str) -> list[Block]:
        """Pairs of dataset and protocol of an item, with runs or without."""
        return list(self._places(item))

    def datasets(self, item: str) -> list[str]:
        """Datasets of an item, each once."""
        return list(dict.fromkeys(dataset for dataset, _ in self.places(item)))

    @cached_property
    def main_item(self) -> str:
        """Item whose runs the overview and the figures of the whole study show."""
        return items.main_item_of(self.config)

    @property
    def has_main_item(self) -> bool:
        """Whether the study selects the main item."""
        return self.main_item in self.items()

    @cached_property
    def main_runs(self) -> list[Run]:
        """Runs of the main item."""
        return self.runs(self.main_item)

    def main_trainings(self, place: Place) -> list[Run]:
        """Training runs of the main item on a dataset under a protocol."""
        return [run for run in self.trained_in_folds(self.main_runs) if is_in(run, place)]

    @cached_property
    def main_blocks(self) -> list[Block]:
        """Pairs of dataset and protocol of the main item."""
        return self.blocks(self.main_runs)


def is_in(run: Run, place: Place) -> bool:
    """Return whether a run is on the dataset and under the protocol of a place."""
    return (run.dataset, run.protocol) == (place.dataset, place.protocol)
