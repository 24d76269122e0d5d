"""Where the files of a study lie, from the folder in which one works.

Uses only the standard library, for it is read wherever Snakemake itself runs.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from weaklesion.study.items import Run


class Place(Protocol):
    """A dataset under a protocol: a run, or the wildcards of a job."""

    dataset: str
    protocol: str


@dataclass(frozen=True)
class Layout:
    """Paths under `results/<study>/`.

    Without arguments a method returns the pattern that a rule's outputs have.

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

    def stage(self, dataset: str = "{dataset}", protocol: str = "{protocol}") -> Path:
        """Folder of a dataset under a protocol."""
        return self.results / dataset / protocol

    def patches(self, dataset: str = "{dataset}", protocol: str = "{protocol}") -> Path:
        """Folder of its patches."""
        return self.stage(dataset, protocol) / "patches"

    def targets(self, dataset: str = "{dataset}", protocol: str = "{protocol}") -> Path:
        """Folder of its targets."""
        return self.stage(dataset, protocol) / "targets"

    def clusters(self, dataset: str = "{dataset}", protocol: str = "{protocol}") -> Path:
        """Folder of its clusterings."""
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
        """A file of a run."""
        return str(self.run(*run) / name)

    def run_files(self, name: str, runs: list[Run]) -> list[str]:
        """A file of each of some runs."""
        return [self.run_file(run, name) for run in runs]
