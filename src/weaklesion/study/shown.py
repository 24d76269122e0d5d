"""What a study shows: titles and labels, and the files of its items and figures.

Uses only the standard library, because Snakemake's own interpreter reads it.
"""

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

from weaklesion.study import items, protocols
from weaklesion.study.arms import has_network, warp_arm
from weaklesion.study.items import Run
from weaklesion.study.labels import dataset_labels, labels_of
from weaklesion.study.layout import Place
from weaklesion.study.selection import Block, Selection, is_in

OF_IMAGES = ("contours", "clusters", "supervision")  # figures of many images, which SVG would embed


class Shown(Selection):
    """Titles, labels and files of a configuration's items and figures."""

    # Titles and labels.

    def title(self, item: str) -> str:
        """Title of an item, with a note on marks that are not simulated as the paper does."""
        note = self.note_of_marks(self.places(item))
        return f"{self.item(item)['title']} ({note})" if note else str(self.item(item)["title"])

    def mark_note(self, runs: Iterable[Run]) -> str:
        """Datasets whose marks are measured by RECIST's own definition, in words; empty without."""
        return self.note_of_marks(self.blocks(runs))

    def note_of_marks(self, blocks: Iterable[Block]) -> str:
        """The same for datasets and protocols."""
        places = [
            f"{dataset} under {protocol}"
            for dataset, protocol in blocks
            if protocols.measures_recist(self.config, dataset, protocol)
        ]
        return f"marks by RECIST's own definition: {', '.join(places)}" if places else ""

    def block_title(self, dataset: str, protocol: str) -> str:
        """Title of a figure of one dataset under one protocol."""
        recist = protocols.measures_recist(self.config, dataset, protocol)
        note = " (marks by RECIST's own definition)" if recist else ""
        name, *fold = protocol.split(protocols.FOLD)
        part = f", fold {fold[0]}" if fold else ""
        return f"{dataset_labels(self.config)[dataset]}, protocol {name}{part}{note}"

    def labels(self, runs: Iterable[Run]) -> dict[str, Any]:
        """What readers call the datasets and arms of the given runs, and which are phantoms."""
        runs = list(runs)
        return labels_of(self.config, [run.dataset for run in runs], [run.arm for run in runs])

    # Files of items and figures.

    def files_of(self, item: str) -> list[Path]:
        """Files of an item, which its target makes."""
        kind = self.item(item)["kind"]
        tables = [f"tables/{item}.csv", f"tables/{item}.html"]
        figures = [f"figures/{item}.svg", f"figures/{item}.png"]
        files = {
            "sweep": tables[:1] + figures,
            "cost": [*tables, *figures],
            "gap": [*tables, *figures],
            "mark_agreement": [*tables, f"tables/{item}.recovery.csv"],
            "volumes": [*tables, f"tables/{item}.left_out.csv"],
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
        """Files of a figure of the main item, one or two per dataset and protocol."""
        suffixes = ["png"] if figure in OF_IMAGES else ["svg", "png"]
        return [
            self.layout.results / f"figures/{figure}.{dataset}.{protocol}.{suffix}"
            for dataset, protocol in self.figure_blocks(figure)
            for suffix in suffixes
        ]

    def figure_blocks(self, figure: str) -> list[Block]:
        """Blocks with a figure; what is fitted to training samples is shown of the first fold."""
        if figure == "scatter":
            return self.scatter_blocks
        if figure == "contours":
            return self.main_blocks
        return [
            (dataset, protocols.trained_protocols(self.config, protocol)[0])
            for dataset, protocol in self.main_blocks
        ]

    @cached_property
    def example_strips(self) -> list[dict[str, str]]:
        """Strip of test images with contours of each block of the main item.

        A dataset that the main item lacks has one of its first block whose contours are drawn.
        """
        blocks = list(self.main_blocks)
        for dataset, protocol in self.contour_blocks:
            if dataset not in dict(blocks):
                blocks.append((dataset, protocol))
        return [
            {"dataset": dataset, "protocol": protocol}
            | {"figure": str(self.layout.results / f"figures/examples.{dataset}.{protocol}.png")}
            for dataset, protocol in blocks
        ]

    # Test images that are drawn with contours.

    @cached_property
    def drawn_items(self) -> dict[str, list[Run]]:
        """Items with figures of test images, and the runs of each."""
        return {
            item: self.runs(item) for item in self.items() if self.item(item).get("contours", False)
        }

    @cached_property
    def shown_blocks(self) -> list[Block]:
        """Blocks whose samples the report accounts for."""
        return self.blocks(run for runs in self.drawn_items.values() for run in runs)

    @cached_property
    def contour_blocks(self) -> list[Block]:
        """Blocks whose contours are drawn for an item of kind `scores`."""
        return self.blocks(
            run
            for item, runs in self.drawn_items.items()
            if self.item(item)["kind"] == "scores"
            for run in runs
        )

    def drawing_item(self, place: Place) -> str:
        """Item whose arms' contours are drawn: the job's, or the first of kind `scores` there."""
        if hasattr(place, "item"):
            return str(place.item)
        drawn = [
            item
            for item, runs in self.drawn_items.items()
            if self.item(item)["kind"] == "scores" and any(is_in(run, place) for run in runs)
        ]
        return drawn[0] if drawn else self.main_item  # its figures are targets of any study

    def drawn_runs(self, place: Place) -> list[Run]:
        """Runs of a block whose contours are drawn: the first seed of each arm."""
        item = self.drawing_item(place)
        drawn = items.drawn_arms(self.config, item)
        return [
            run
            for run in self.runs(item)
            if is_in(run, place)
            and run.arm in drawn
            and run.seed == items.seeds_of(self.config, item, run.arm)[0]
        ]

    def ranked_by(self, place: Place) -> str:
        """Arm that ranks the images of a block: the study's, or the last drawn network."""
        drawn = [run.arm for run in self.drawn_runs(place) if has_network(self.config, run.arm)]
        chosen = self.config["figures"]["ranked_by"]
        return chosen if chosen in drawn else drawn[-1]

    def warp_figures(self, runs: Iterable[Run]) -> list[str]:
        """Figures of warps, one per arm of the given runs that has a warp chosen for itself."""
        places = dict.fromkeys(
            run[:3]
            for run in self.trained_in_folds(runs)
            if warp_arm(self.config, run.dataset, run.protocol, run.arm) == run.arm
        )
        return [f"figures/warps.{'.'.join(place)}.png" for place in places]

    # Dice of test images, arm against arm.

    @cached_property
    def main_baseline(self) -> str:
        """Arm that the others of the main item are compared with; "" without a main item."""
        return str(self.item(self.main_item)["baseline"]) if self.has_main_item else ""

    def scatter_runs(self, place: Place) -> list[Run]:
        """Trained runs of a block of the main item, whose Dice is plotted image by image."""
        return [run for run in self.trained(self.main_runs) if is_in(run, place)]

    @cached_property
    def scatter_blocks(self) -> list[Block]:
        """Blocks of the main item with the baseline's network and another one."""
        arms: dict[Block, set[str]] = {}
        for run in self.trained(self.main_runs):
            arms.setdefault((run.dataset, run.protocol), set()).add(run.arm)
        return [
            block
            for block in self.main_blocks
            if len(arms.get(block, ())) > 1 and self.main_baseline in arms[block]
        ]
