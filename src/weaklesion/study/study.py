"""The configuration, resolved: which runs each table, figure and page is made of.

Uses only the standard library, for it is read wherever Snakemake itself runs.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from weaklesion.study import items, protocols
from weaklesion.study.arms import (
    arm_definition,
    has_network,
    is_prompted,
    is_trained,
    training_settings,
    warp_arm,
)
from weaklesion.study.checks import check_config
from weaklesion.study.claims import claimed_arms
from weaklesion.study.items import Run
from weaklesion.study.layout import Layout, Place
from weaklesion.study.paper_claims import CLAIMS
from weaklesion.study.paper_settings import other_settings
from weaklesion.study.protocols import Config

JUDGED_KINDS = ("scores", "cost", "parameters", "sweep")  # items that claims are judged by
FIGURES = ("training_curves", "contours", "supervision", "clusters", "k_sweep", "angles")
Block = tuple[str, str]  # a dataset and a protocol


class Study:
    """Answers for one configuration, which is checked first.

    Args:
        config: the configuration, with the study's overlay.
        paper: the paper's own, without it.

    Raises:
        DataError: if the configuration is not one.
    """

    def __init__(self, config: Config, paper: Config) -> None:
        check_config(config)
        self.config, self.paper = config, paper
        self.layout = Layout(config["study"])

    # Items and their runs.

    def items(self, *kinds: str) -> list[str]:
        """Items of some kinds, or of all, that the study selects and has datasets for."""
        return items.items_of(self.config, *(kinds or items.KINDS))

    def items_matching(self, *kinds: str) -> str:
        """Pattern of the items of some kinds."""
        return "|".join(map(re.escape, self.items(*kinds))) or "none"

    def item(self, name: str) -> dict[str, Any]:
        """What the configuration says of an item."""
        definition: dict[str, Any] = self.config["experiments"][name]
        return definition

    def runs(self, item: str) -> list[Run]:
        """Runs of an item."""
        return items.runs_of(self.config, [item])

    def trained(self, runs: Iterable[Run]) -> list[Run]:
        """Those of some runs that are trained."""
        return [run for run in runs if is_trained(self.config, run.arm)]

    @cached_property
    def all_runs(self) -> list[Run]:
        """Runs of all items, each once."""
        return items.runs_of(self.config, self.items())

    @cached_property
    def all_trainings(self) -> list[Run]:
        """All trainings, with those that runs start from."""
        return items.trainings_of(self.config, self.items())

    @cached_property
    def main_item(self) -> str:
        """The item whose runs the overview and the figures of the whole study show."""
        return items.main_item_of(self.config)

    @property
    def has_main_item(self) -> bool:
        """Whether the study selects that item."""
        return self.main_item in self.items()

    @cached_property
    def main_runs(self) -> list[Run]:
        """Runs of that item."""
        return self.runs(self.main_item)

    def main_trainings(self, place: Place) -> list[Run]:
        """Its trainings on a dataset under a protocol."""
        return [run for run in self.trained(self.main_runs) if _is_of(run, place)]

    def blocks(self, runs: Iterable[Run]) -> list[Block]:
        """Datasets and protocols of some runs, each once."""
        return list(dict.fromkeys((run.dataset, run.protocol) for run in runs))

    @cached_property
    def main_blocks(self) -> list[Block]:
        """Those of the main item."""
        return self.blocks(self.main_runs)

    def files_of(self, item: str) -> list[Path]:
        """Files that an item's target makes."""
        kind = self.item(item)["kind"]
        tables = [f"tables/{item}.csv", f"tables/{item}.html"]
        figures = [f"figures/{item}.svg", f"figures/{item}.png"]
        files = {
            "sweep": tables[:1] + figures,
            "cost": [*tables, *figures],
            "gap": [*tables, *figures],
            "mark_agreement": [*tables, f"tables/{item}.recovery.csv"],
        }.get(kind, tables)
        if item in self.drawn_items:
            drawn = "contours" if kind == "scores" else item
            runs = self.drawn_items[item]
            files = [
                *files,
                *(f"figures/{drawn}.{'.'.join(block)}.png" for block in self.blocks(runs)),
                *self.warp_figures(runs),
            ]
        return [self.layout.results / file for file in files]

    def figure_files(self, figure: str) -> list[Path]:
        """Files of a figure of the main item, one or two of each dataset and protocol."""
        suffixes = ["png"] if figure == "contours" else ["svg", "png"]
        return [
            self.layout.results / f"figures/{figure}.{dataset}.{protocol}.{suffix}"
            for dataset, protocol in self.main_blocks
            for suffix in suffixes
        ]

    # Test images that are drawn with contours.

    @cached_property
    def drawn_items(self) -> dict[str, list[Run]]:
        """Items whose test images are drawn, and the runs of each."""
        return {
            item: self.runs(item) for item in self.items() if self.item(item).get("contours", False)
        }

    @cached_property
    def shown_blocks(self) -> list[Block]:
        """Whose samples are accounted for in the report."""
        return self.blocks(run for runs in self.drawn_items.values() for run in runs)

    @cached_property
    def contour_blocks(self) -> list[Block]:
        """Whose contours are drawn for an item of scores."""
        return self.blocks(
            run
            for item, runs in self.drawn_items.items()
            if self.item(item)["kind"] == "scores"
            for run in runs
        )

    def drawing_item(self, place: Place) -> str:
        """Item whose arms' contours are drawn: the job's, or the first of scores with the block."""
        if hasattr(place, "item"):
            return str(place.item)
        drawn = [
            item
            for item, runs in self.drawn_items.items()
            if self.item(item)["kind"] == "scores" and any(_is_of(run, place) for run in runs)
        ]
        return drawn[0] if drawn else self.main_item  # whose figures any study can ask for

    def drawn_runs(self, place: Place) -> list[Run]:
        """Runs of a block whose contours are drawn, the first seed of each arm."""
        item = self.drawing_item(place)
        drawn = items.drawn_arms(self.config, item)
        return [
            run
            for run in self.runs(item)
            if _is_of(run, place)
            and run.arm in drawn
            and run.seed == items.seeds_of(self.config, item, run.arm)[0]
        ]

    def ranked_by(self, place: Place) -> str:
        """Arm by which images of a block are ranked: the study's, or its last with a network."""
        drawn = [run.arm for run in self.drawn_runs(place) if has_network(self.config, run.arm)]
        chosen = self.config["figures"]["ranked_by"]
        return chosen if chosen in drawn else drawn[-1]

    def warp_figures(self, runs: Iterable[Run]) -> list[str]:
        """Figures of the warps of those arms among some runs for which a warp is chosen."""
        places = dict.fromkeys(
            run[:3]
            for run in self.trained(runs)
            if warp_arm(self.config, run.dataset, run.protocol, run.arm) == run.arm
        )
        return [f"figures/warps.{'.'.join(place)}.png" for place in places]

    # What the papers' claims are judged by.

    @cached_property
    def claimed_runs(self) -> list[Run]:
        """Runs that a claim is about; not those with one switch flipped."""
        runs = items.runs_of(self.config, self.items(*JUDGED_KINDS))
        return items.runs_of_arms(runs, claimed_arms(CLAIMS))

    @cached_property
    def judged_runs(self) -> list[Run]:
        """The same; of a study without any those of its main item, whose page says so."""
        return self.claimed_runs or self.main_runs

    def judged_training(self, run: Run) -> dict[str, Any]:
        """A training as verdicts need it, with what is not as in the paper."""
        (described,) = self.described([run], scores="scores.csv", run="run.json")
        return described | {"other_settings": other_settings(self.config, self.paper, run)}

    def judging_choices(self, runs: Sequence[Run]) -> dict[str, dict[str, Any]]:
        """How each protocol of some runs scores, and whether it is the released code's."""
        return {
            protocol: choice
            | {"is_released": "released" in protocols.bases_of(self.config, "protocols", protocol)}
            for protocol, choice in self.scoring_choices(runs).items()
        }

    # Runs and blocks as scripts take them: plain settings.

    def described(self, runs: Sequence[Run], **files: str) -> list[dict[str, Any]]:
        """Runs, each with its network and some of its files."""
        return [
            run._asdict()
            | {"network": items.network_of(self.config, run)}
            | {key: self.layout.run_file(run, name) for key, name in files.items()}
            for run in runs
        ]

    def published_names(self, kind: str) -> dict[str, str]:
        """Our `datasets` or `arms` to their names in the paper's tables."""
        entries = self.config[kind].items()
        return {name: entry["published"] for name, entry in entries if "published" in entry}

    def scoring_choices(self, runs: Sequence[Run]) -> dict[str, dict[str, Any]]:
        """How each protocol of some runs treats undefined values and names metrics."""
        return {
            protocol: protocols.protocol_settings(self.config, protocol)["scoring"]
            for protocol in dict.fromkeys(run.protocol for run in runs)
        }

    def undefined_policies(self, runs: Sequence[Run]) -> dict[str, str]:
        """What an empty prediction counts as under each protocol of some runs."""
        choices = self.scoring_choices(runs)
        return {protocol: choice["undefined"] for protocol, choice in choices.items()}

    def patch_accounts(
        self, blocks: Iterable[Block], sources: Mapping[str, str]
    ) -> list[dict[str, str]]:
        """Account of the samples of some blocks, with the label of each dataset's source."""
        return [
            {"dataset": dataset, "protocol": protocol, "source": sources[dataset]}
            | {"patches": str(self.layout.patches(dataset, protocol) / "patches.json")}
            for dataset, protocol in blocks
        ]

    def traits(self, item: str) -> list[dict[str, str]]:
        """Table of the test samples' traits of each block of an item."""
        return [
            {"dataset": dataset, "protocol": protocol}
            | {"traits": str(self.layout.stage(dataset, protocol) / "traits.csv")}
            for dataset, protocol in self.blocks(self.runs(item))
        ]

    def figures(self, item: str) -> list[dict[str, str]]:
        """Figure of an item of each of its blocks."""
        return [
            {"dataset": dataset, "protocol": protocol}
            | {"figure": str(self.layout.results / f"figures/{item}.{dataset}.{protocol}.png")}
            for dataset, protocol in self.blocks(self.runs(item))
        ]

    def marked_blocks(self, item: str) -> list[dict[str, str]]:
        """Samples and true marks of each block of an item."""
        return [
            {"dataset": dataset, "protocol": protocol}
            | {"samples": str(self.layout.patches(dataset, protocol) / "samples.csv")}
            | {"ellipses": str(self.layout.targets(dataset, protocol) / "ellipses.csv")}
            for dataset, protocol in self.blocks(self.runs(item))
        ]

    def marked_runs(self, item: str) -> list[dict[str, Any]]:
        """Runs of an item with their masks, and how far the marks that each was given are off."""
        runs = self.runs(item)
        described = self.described(runs, predictions="predictions.npy", ids="predictions.csv")
        noises = [arm_definition(self.config, run.arm).get("marks") for run in runs]
        return [
            run | {"mark_noise": self.config["mark_noise"][noise] if noise else 0.0}
            for run, noise in zip(described, noises, strict=True)
        ]

    def sweep_points(self, item: str) -> list[dict[str, Any]]:
        """Points of a sweep: dataset, protocol, arm and value."""
        return items.sweep_points(self.config, item)

    def own_values(self, item: str) -> dict[str, dict[str, float]]:
        """Value that the arm of a sweep has elsewhere, by dataset and protocol."""
        return items.own_values(self.config, item)

    def flips(self, item: str) -> list[dict[str, Any]]:
        """Each switch that an attribution flips, with the protocol that each arm then has."""
        return items.flips_of_item(self.config, item)

    def answered_pairs(self, item: str) -> list[dict[str, Any]]:
        """Comparisons of an item of answers."""
        return items.answered_pairs(self.config, item)

    def recoveries(self, item: str) -> list[dict[str, Any]]:
        """How well marks were recovered when the constants of an item's arms were chosen."""
        found = []
        for recovery in items.recoveries_of_item(self.config, item):
            place = recovery["dataset"], recovery["protocol"]
            targets, warps = self.layout.targets(*place), self.layout.stage(*place) / "warps"
            measured, choice = {
                "prior_weight": (targets / "refined_recovery.csv", targets / "refined_choice.json"),
                "max_amplitude": (
                    warps / f"{recovery['of']}_recovery.csv",
                    warps / f"{recovery['of']}.json",
                ),
            }[recovery["constant"]]
            found.append(recovery | {"recovery": str(measured), "choice": str(choice)})
        return found

    def models(self, item: str) -> list[dict[str, Any]]:
        """Networks of an item that `weaklesion segment` takes, the first seed of each."""
        first: dict[tuple[str, ...], Run] = {}
        for run in self.trained(self.runs(item)):
            if is_prompted(self.config, run.arm):
                first.setdefault(run[:3], run)
        models = []
        for run in first.values():
            prompt = training_settings(self.config, run.dataset, run.protocol, run.arm)["prompt"]
            settings = protocols.patch_settings(self.config, run.dataset, run.protocol)
            grey = settings.get("channel_order", "center") == "center"
            models.append(
                {"dataset": run.dataset, "protocol": run.protocol, "arm": run.arm}
                | {"model": str(self.layout.run(*run))}
                | {"window_hu": settings.get("window_hu") if grey else None}
                | {"saw_noise": prompt["mark_noise"] > 0}
            )
        return models


def _is_of(run: Run, place: Place) -> bool:
    return (run.dataset, run.protocol) == (place.dataset, place.protocol)
