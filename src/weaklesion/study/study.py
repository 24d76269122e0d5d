"""The study of a configuration: runs, files and settings of each table, figure and page.

Uses only the standard library, because Snakemake's own interpreter reads it.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

from weaklesion.study import items, protocols, sweeps
from weaklesion.study.arms import (
    arm_definition,
    describe_network,
    has_network,
    is_nnunet,
    is_prompted,
    network_arm,
    training_settings,
)
from weaklesion.study.claims import claimed_arms
from weaklesion.study.items import Run
from weaklesion.study.labels import is_phantom
from weaklesion.study.paper_claims import CLAIMS
from weaklesion.study.paper_settings import other_settings
from weaklesion.study.selection import Block
from weaklesion.study.shown import Shown

JUDGED_KINDS = ("scores", "cost", "parameters", "sweep")  # kinds of items that judge claims


class Study(Shown):
    """Answers for one configuration: its runs, files, figures, claims, and plain settings.

    Args:
        config: the configuration with the changes of the study.
        paper: the configuration of the paper, without them.

    Raises:
        DataError: if the configuration is not valid.
    """

    # Runs that judge the papers' claims.

    @cached_property
    def claimed_runs(self) -> list[Run]:
        """Runs that a claim is about, without those with a flipped switch."""
        runs = items.runs_of(self.config, self.items(*JUDGED_KINDS))
        return items.runs_of_arms(runs, claimed_arms(CLAIMS))

    @cached_property
    def judged_runs(self) -> list[Run]:
        """The same runs, or those of the main item where no claim is about any run."""
        return self.claimed_runs or self.main_runs

    @property
    def judged_unit(self) -> str:
        """What counts once in verdicts: as in the main item, or else in the first scores."""
        shown = [self.main_item] if self.has_main_item else self.items("scores")[:1]
        return str(self.item(shown[0]).get("unit", "sample")) if shown else "sample"

    def judged_training(self, run: Run) -> dict[str, Any]:
        """A training as verdicts need it, with its settings that differ from the paper's."""
        (described,) = self.described([run], scores="scores.csv", run="run.json")
        return described | {"other_settings": other_settings(self.config, self.paper, run)}

    def judging_choices(self, runs: Sequence[Run]) -> dict[str, dict[str, Any]]:
        """How each protocol of the given runs scores, and whether it is the released code's."""
        return {
            protocol: choice
            | {"is_released": "released" in protocols.bases_of(self.config, "protocols", protocol)}
            for protocol, choice in self.scoring_choices(runs).items()
        }

    # What the model card, the data sheet and the checklists are about.

    @cached_property
    def carded_runs(self) -> list[Run]:
        """Training runs of the score tables whose test images are drawn, each once.

        An nnU-Net is not among them: it is a peer, and its weights are in nnU-Net's own form.
        """
        drawn = [item for item in self.drawn_items if self.item(item)["kind"] == "scores"]
        trained = self.trained(items.runs_of(self.config, drawn))
        return [run for run in trained if not is_nnunet(self.config, run.arm)]

    @cached_property
    def published_networks(self) -> list[Run]:
        """Training runs whose weights are published: those of the model card, or of their folds."""
        return self.trained_in_folds(self.carded_runs)

    @cached_property
    def checked_runs(self) -> list[dict[str, Any]]:
        """Training runs of the model card, each with its files of weights: one, or one per fold."""
        return [
            described | {"weights": self.layout.run_files("model.safetensors", networks)}
            for run in self.carded_runs
            for networks in [self.trained_in_folds([run])]
            for described in self.described([run], run="run.json")
        ]

    @cached_property
    def carded_blocks(self) -> list[Block]:
        """Pairs of dataset and protocol of these training runs."""
        return self.blocks(self.carded_runs)

    @property
    def paper_files(self) -> list[Path]:
        """Model card, data sheet and checklist; none of a study without such training runs."""
        names = ("model_card", "data_sheet", "checklist") if self.carded_runs else ()
        return [self.layout.papers / f"{name}.html" for name in names]

    @cached_property
    def origins(self) -> dict[str, dict[str, str]]:
        """Origin of each of the same datasets."""
        return {name: self.origin(name) for name, _ in self.carded_blocks}

    def origin(self, dataset: str) -> dict[str, str]:
        """Return a dataset's key in `workflow/resources/datasets.yaml`, and what its entry states.

        A licence that is not the paper's has no name in SPDX here, as the file has for that one.
        """
        datasets = self.config["datasets"]
        entry = datasets[dataset]
        holder = entry.get("files_of", dataset)
        key = "phantom" if is_phantom(self.config, dataset) else holder
        facts = {"licence": datasets[holder].get("licence")} | entry
        stated = {fact: facts[fact] for fact in ("licence", "modality") if facts.get(fact)}
        of_paper = self.paper["datasets"].get(key, {}).get("licence")
        other = "licence" in stated and stated["licence"] != of_paper
        return {"key": key, **stated} | ({"spdx": ""} if other else {})

    @cached_property
    def items_by_kind(self) -> dict[str, list[str]]:
        """Items of the study by kind."""
        found: dict[str, list[str]] = {}
        for item in self.items():
            found.setdefault(self.item(item)["kind"], []).append(item)
        return found

    # Runs and blocks as the plain values that scripts take.

    def networks(self, runs: Iterable[Run]) -> list[dict[str, Any]]:
        """The given runs that have a network, each with the `run.json` of its training.

        An arm may predict with the network of another (`network_of`), which it then names.
        """
        return [
            run._asdict()
            | {
                "run": self.layout.run_file(
                    run._replace(arm=network_arm(self.config, run.arm)), "run.json"
                )
            }
            for run in runs
            if has_network(self.config, run.arm)
        ]

    def described(self, runs: Sequence[Run], **files: str) -> list[dict[str, Any]]:
        """The given runs, each with its network in words and the named files."""
        return [
            run._asdict()
            | {"network": describe_network(self.config, *run[:3])}
            | {key: self.layout.run_file(run, name) for key, name in files.items()}
            for run in runs
        ]

    def published_names(self, kind: str) -> dict[str, str]:
        """Names in the papers' tables of our `datasets` or `arms`, by our names."""
        entries = self.config[kind].items()
        return {name: entry["published"] for name, entry in entries if "published" in entry}

    @cached_property
    def main_columns(self) -> dict[str, dict[str, str]]:
        """Columns of the main item, each with its metric, by protocol."""
        columns = self.item(self.main_item)["columns"]
        choices = self.scoring_choices(self.main_runs)
        return {
            protocol: {column: choice["published_as"][column] for column in columns}
            for protocol, choice in choices.items()
        }

    def scoring_choices(self, runs: Sequence[Run]) -> dict[str, dict[str, Any]]:
        """How each protocol of the given runs treats undefined values and names metrics."""
        return {
            protocol: protocols.protocol_settings(self.config, protocol)["scoring"]
            for protocol in dict.fromkeys(run.protocol for run in runs)
        }

    def undefined_policies(self, runs: Sequence[Run]) -> dict[str, str]:
        """Policy for empty predictions of each protocol of the given runs."""
        choices = self.scoring_choices(runs)
        return {protocol: choice["undefined"] for protocol, choice in choices.items()}

    def patch_accounts(
        self, blocks: Iterable[Block], sources: Mapping[str, str]
    ) -> list[dict[str, str]]:
        """Sample counts of the given blocks, with the label of each dataset's source."""
        return [
            {"dataset": dataset, "protocol": protocol, "source": sources[dataset]}
            | {"patches": str(self.layout.patches(dataset, protocol) / "patches.json")}
            for dataset, protocol in blocks
        ]

    def traits(self, item: str) -> list[dict[str, str]]:
        """Tables of the test samples' traits, one per block of an item."""
        return _with_files(self.blocks(self.runs(item)), traits=self.layout.stage() / "traits.csv")

    def gap_pairs(self, item: str) -> list[tuple[str, str]]:
        """Pairs of arms of a gap: one that is measured, and one that it is compared with.

        They are one param, because two lists of arms could change places (`prediction_settings`).
        """
        definition = self.item(item)
        pairs = product(definition["arms"], definition["against"])
        return [(arm, other) for arm, other in pairs if arm != other]

    def volume_blocks(self, item: str) -> list[dict[str, str]]:
        """Tables of the lesions' volumes, and of lesions left out, one of each per block."""
        stage = self.layout.stage()
        return _with_files(
            self.places(item),
            lesions=stage / "volumes.csv",
            left_out=stage / "volumes_left_out.csv",
        )

    def figures(self, item: str) -> list[dict[str, str]]:
        """Figures of an item, one per block."""
        figure = self.layout.results / f"figures/{item}.{{dataset}}.{{protocol}}.png"
        return _with_files(self.blocks(self.runs(item)), figure=figure)

    def sized_blocks(self, item: str) -> list[dict[str, str]]:
        """Samples and references of each block of an item."""
        patches = self.layout.patches()
        return _with_files(
            self.blocks(self.runs(item)),
            samples=patches / "samples.csv",
            reference=patches / "reference.npy",
        )

    def marked_blocks(self, item: str) -> list[dict[str, str]]:
        """Samples and true marks of each block of an item."""
        return _with_files(
            self.blocks(self.runs(item)),
            samples=self.layout.patches() / "samples.csv",
            ellipses=self.layout.targets() / "ellipses.csv",
        )

    def marked_runs(self, item: str) -> list[dict[str, Any]]:
        """Runs of an item with their masks and the noise of the marks that each of them sees."""
        runs = self.runs(item)
        described = self.described(runs, predictions="predictions.npy", ids="predictions.csv")
        noises = [arm_definition(self.config, run.arm).get("marks") for run in runs]
        return [
            run | {"mark_noise": self.config["mark_noise"][noise] if noise else 0.0}
            for run, noise in zip(described, noises, strict=True)
        ]

    def sweep_points(self, item: str) -> list[dict[str, Any]]:
        """Points of a sweep: dataset, protocol, arm and value."""
        return sweeps.sweep_points(self.config, item)

    def own_values(self, item: str) -> dict[str, dict[str, float]]:
        """Value that the arm of a sweep has in other items, by dataset and protocol."""
        return sweeps.own_values(self.config, item)

    def flips(self, item: str) -> list[dict[str, Any]]:
        """Switches that an attribution flips, each with the protocol that each arm then has."""
        return sweeps.flips_of_item(self.config, item)

    def answered_pairs(self, item: str) -> list[dict[str, Any]]:
        """Comparisons of an item of kind `answers`."""
        return items.answered_pairs(self.config, item)

    def recoveries(self, item: str) -> list[dict[str, Any]]:
        """Files of the recoveries that chose the constants of an item's arms."""
        found = []
        for recovery in items.recoveries_of_item(self.config, item):
            place = recovery["dataset"], recovery["protocol"]
            targets, warps = self.layout.targets(*place), self.layout.stage(*place) / "warps"
            measured, choice = {
                "prior_weight": tuple(
                    targets / f"{items.PSEUDO_MASK_TARGETS.get(recovery['of'])}_{file}"
                    for file in ("recovery.csv", "choice.json")
                ),
                "max_amplitude": (
                    warps / f"{recovery['of']}_recovery.csv",
                    warps / f"{recovery['of']}.json",
                ),
            }[recovery["constant"]]
            found.append(recovery | {"recovery": str(measured), "choice": str(choice)})
        return found

    def models(self, item: str) -> list[dict[str, Any]]:
        """Networks of an item that `weaklesion segment` accepts, the first run of each arm."""
        first: dict[tuple[str, ...], Run] = {}
        for run in self.trained_in_folds(self.runs(item)):
            if is_prompted(self.config, run.arm):
                key = run.dataset, protocols.whole(run.protocol), run.arm
                first.setdefault(key, run)
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


def _with_files(blocks: Iterable[Block], **patterns: Path) -> list[dict[str, str]]:
    """Return blocks as scripts take them, each with files whose paths have its names filled in."""
    places = [{"dataset": dataset, "protocol": protocol} for dataset, protocol in blocks]
    return [
        place | {name: str(pattern).format(**place) for name, pattern in patterns.items()}
        for place in places
    ]
