"""The files of a study that the rules of a checklist look at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from weaklesion.support.files import read_json


@dataclass(frozen=True, kw_only=True)
class StudyFiles:
    """A study's files, and what is known beside them.

    Attributes:
        results: folder of the study.
        clone: the repository's folder.
        main_table: name of the study's main table, or "".
        items: kind to the items of the study of this kind.
        blocks: `dataset`, `protocol`, and the paths `patches` and `samples` of each block.
        runs: `arm`, `seed`, the path `run`, and the paths `weights` (one per fold) of the training
            runs that the model card is about.
        facts: dataset to what is known of its origin, see `workflow/resources/datasets.yaml`.
        statements: what the authors say, by topic (`statements` of the configuration).
    """

    results: Path
    clone: Path
    main_table: str
    items: Mapping[str, Sequence[str]]
    blocks: Sequence[Mapping[str, str]]
    runs: Sequence[Mapping[str, Any]]
    facts: Mapping[str, Mapping[str, str]]
    statements: Mapping[str, str]

    @cached_property
    def run_infos(self) -> list[dict[str, Any]]:
        """Content of the training runs' `run.json`."""
        return [read_json(run["run"]) for run in self.runs]

    @cached_property
    def accounts(self) -> list[dict[str, Any]]:
        """Content of the blocks' `patches.json`."""
        return [read_json(row["patches"]) for row in self.blocks]

    @cached_property
    def samples(self) -> list[pd.DataFrame]:
        """The blocks' samples."""
        return [pd.read_csv(row["samples"], dtype={"id": str, "group": str}) for row in self.blocks]

    def inside(self, path: str | Path) -> str:
        """Path of a file of the study, relative to its folder."""
        return Path(path).relative_to(self.results).as_posix()
