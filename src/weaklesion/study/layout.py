"""Paths of a study's files, relative to the working directory.

Uses only the standard library, because Snakemake's own interpreter reads it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from weaklesion.study.items import Run

# Figures of the main item, each a file per dataset and protocol.
FIGURES = ("training_curves", "contours", "scatter", "supervision", "clusters", "k_sweep", "angles")
FIGURE_NAMES = (*FIGURES, "examples", "warps")  # first parts of the names of such files


class Place(Protocol):
    """A dataset under a protocol, such as a run or the wildcards of a job."""

    dataset: str
    protocol: str


@dataclass(frozen=True)
class Layout:
    """Paths under `results/<study>/`.

    Without arguments a method returns the pattern of a rule's outputs.

    >>> Layout("paper").run_file(Run("lits", "released", "a1", 2), "run.json")
    'results/paper/lits/released/runs/a1/seed-2/run.json'
    >>> Layout("paper").patches().as_posix()
    'results/paper/{dataset}/{protocol}/patches'
    """

    study: str

    @property
    def results(self) -> Path:
        """Folder of the study."""
        return Path("results") / self.study

    @property
    def papers(self) -> Path:
        """Folder of the model card, the data sheet and the checklist."""
        return self.results / "papers"

    def stage(self, dataset: str = "{dataset}", protocol: str = "{protocol}") -> Path:
        """Folder of a dataset under a protocol."""
        return self.results / dataset / protocol

    def patches(self, dataset: str = "{dataset}", protocol: str = "{protocol}") -> Path:
        """Folder of the patches of a dataset under a protocol."""
        return self.stage(dataset, protocol) / "patches"

    def targets(self, dataset: str = "{dataset}", protocol: str = "{protocol}") -> Path:
        """Folder of the targets of a dataset under a protocol."""
        return self.stage(dataset, protocol) / "targets"

    def clusters(self, dataset: str = "{dataset}", protocol: str = "{protocol}") -> Path:
        """Folder of the clusterings of a dataset under a protocol."""
        return self.stage(dataset, protocol) / "clusters"

    def run(
        self,
        dataset: str = "{dataset}",
        protocol: str = "{protocol}",
        arm: str = "{arm}",
        seed: int | str = "{seed}",
    ) -> Path:
        """Folder of a run."""
        return self.stage(dataset, protocol) / "runs" / arm / f"seed-{seed}"

    def run_file(self, run: Run, name: str) -> str:
        """Path of a file of a run."""
        return str(self.run(*run) / name)

    def run_files(self, name: str, runs: list[Run]) -> list[str]:
        """Paths of the same file of several runs."""
        return [self.run_file(run, name) for run in runs]
