"""The raw files of each dataset: their names and folders, and the inputs of its loader.

Read wherever Snakemake itself runs, so it imports neither numpy nor torch.
"""

import re
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from weaklesion.data.manifest import is_archive, read_manifest
from weaklesion.data.phantoms import FILES as PHANTOM_FILES
from weaklesion.errors import DataError
from weaklesion.marks.files import state_of_files
from weaklesion.study import protocols
from weaklesion.study.protocols import Config


class Job(Protocol):
    """The wildcards of a job."""

    dataset: str
    protocol: str
    file: str


class Sources:
    """Raw files of the datasets of one configuration.

    Args:
        config: the configuration.
        workflow_folder: folder to which manifests' paths are relative, if they exist there.
    """

    def __init__(self, config: Config, workflow_folder: str | Path) -> None:
        self.config, self.workflow_folder = config, Path(workflow_folder)
        self._rows: dict[str, dict[str, dict[str, str]]] = {}

    def files_of(self, dataset: str) -> str:
        """Name of the dataset whose raw files a dataset uses: itself or another."""
        return str(self.config["datasets"][dataset].get("files_of", dataset))

    def label(self, dataset: str) -> str:
        """Label of the source of a dataset's raw files."""
        return str(self.config["datasets"][self.files_of(dataset)]["source"])

    @cached_property
    def labels(self) -> dict[str, str]:
        """Label of the source of every dataset."""
        return {name: self.label(name) for name in self.config["datasets"]}

    def folder(self, dataset: str) -> Path:
        """Folder of a dataset's raw files."""
        return Path("resources") / self.files_of(dataset) / self.label(dataset)

    def loader(self, dataset: str) -> str:
        """Name of the module that loads a dataset."""
        return str(self.config["datasets"][dataset]["loader"])

    def loaded_by(self, loader: str, *, negate: bool = False) -> str:
        """Pattern of the datasets of one loader, or of all others."""
        names = [
            name for name in self.config["datasets"] if (self.loader(name) == loader) != negate
        ]
        return "|".join(map(re.escape, names)) or "none"

    def is_phantom(self, dataset: str) -> bool:
        """Whether the workflow itself makes a dataset."""
        return "phantom" in self.config["datasets"].get(dataset, {})

    def manifest_rows(self, dataset: str) -> dict[str, dict[str, str]]:
        """Rows of the manifest of a dataset, or of the ImageNet weights, by file name."""
        if dataset not in self._rows:
            holder = self.config["datasets"].get(dataset, self.config["imagenet_weights"])
            shipped = self.workflow_folder / holder["manifest"]
            path = shipped if shipped.exists() else holder["manifest"]
            _refuse_brace(f"datasets.{dataset}.manifest", path)
            self._rows[dataset] = read_manifest(str(path))
        return self._rows[dataset]

    def manifest_row(self, job: Job) -> dict[str, str]:
        """Row of a file, whose change alone repeats its download; {} of a phantom.

        Raises:
            DataError: if the manifest does not have the file.
        """
        if self.is_phantom(job.dataset):
            return {}
        rows = self.manifest_rows(job.dataset)
        if job.file not in rows:
            is_dataset = job.dataset in self.config["datasets"]
            key = f"datasets.{job.dataset}.parts" if is_dataset else "imagenet_weights.files"
            protocols.check_known(key, job.file, rows)
        return rows[job.file]

    def phantom_manifest(self, job: Job) -> Path | list[Path]:
        """Manifest of a phantom, which the workflow makes; [] for other datasets."""
        is_phantom = self.is_phantom(job.dataset)
        return self.folder(job.dataset) / "phantom/manifest.csv" if is_phantom else []

    def names(self, dataset: str) -> tuple[list[str], list[str], list[str]]:
        """Raw files of a dataset: archives, tables, others, as paths below `archives/`."""
        holder = self.files_of(dataset)
        definition = self.config["datasets"][holder]
        if self.is_phantom(holder):
            names = list(PHANTOM_FILES[definition["loader"]])
        else:
            names = list(self.manifest_rows(holder))
        archives = [name for name in names if is_archive(name)]
        tables = [name for name in names if name.endswith(".csv")]
        others = [name for name in names if name not in [*archives, *tables]]
        return list(definition.get("parts", archives)), tables, others

    def downloaded(self, dataset: str) -> list[Path]:
        """Downloaded raw files; for DeepLesion, the folder of slices kept from each archive."""
        if self.loader(dataset) == "custom":
            return []
        archives, tables, others = self.names(dataset)
        kept = "extracted" if self.loader(dataset) == "deeplesion" else "archives"
        return [self.folder(dataset) / kept / name for name in archives] + [
            self.folder(dataset) / "archives" / name for name in [*tables, *others]
        ]

    def unpacked(self, job: Job) -> list[Path]:
        """Folders of a dataset's unpacked archives, and files that need no unpacking."""
        if self.loader(job.dataset) == "custom":
            return []
        archives, _, others = self.names(job.dataset)
        folder = self.folder(job.dataset)
        return [folder / "extracted" / name for name in archives] + [
            folder / "archives" / name for name in others
        ]

    def table(self, job: Job) -> Path | list[Path]:
        """Table of a dataset, if it has one.

        Raises:
            DataError: if the dataset has several.
        """
        if self.loader(job.dataset) == "custom":
            return self.table_of_marks(job.dataset)
        _, tables, _ = self.names(job.dataset)
        if len(tables) > 1:
            names = ", ".join(tables)
            raise DataError(f"{job.dataset}: one table is needed, not {names}.")
        return self.folder(job.dataset) / "archives" / tables[0] if tables else []

    def index_files(self, job: Job) -> list[str]:
        """Index files of the released split; none where the job's protocol splits otherwise.

        Raises:
            DataError: if the dataset names none.
        """
        settings = protocols.patch_settings(self.config, job.dataset, job.protocol)
        if settings.get("split") != "published":
            return []
        if not settings["published_split"]:
            raise DataError(
                f"config: datasets.{job.dataset}.published_split: the protocol {job.protocol}"
                " splits by index files (`split: published`), and the dataset names none. Name"
                " them, or set `split: group`."
            )
        for split, path in settings["published_split"].items():
            _refuse_brace(f"datasets.{job.dataset}.published_split.{split}", path)
        return list(settings["published_split"].values())

    def table_of_marks(self, dataset: str) -> Path:
        """The user's own table of marks, relative to the working directory.

        Raises:
            DataError: if it does not exist, or Snakemake cannot take its name.
        """
        table = Path(self.config["datasets"][dataset]["marks"]).expanduser()
        _refuse_brace(f"datasets.{dataset}.marks", table)
        if not table.is_file():
            raise DataError(
                f"config: datasets.{dataset}.marks: there is no file {table}. Put the table of"
                f" marks there, or name it: --config 'datasets={{{dataset}: {{marks: FILE}}}}'."
            )
        return table

    def patch_settings(self, job: Job) -> dict[str, Any]:
        """Settings of a dataset's loader; for a table of marks, with the state of its images.

        The images are not inputs of the rule, because Snakemake would print all their names.
        """
        settings = protocols.patch_settings(self.config, job.dataset, job.protocol)
        if self.loader(job.dataset) == "custom":
            settings["state"] = state_of_files(
                self.table_of_marks(job.dataset),
                *(["image", "mask"] if settings["dense"] else ["image"]),
                all_needed=settings["on_bad_sample"] == "error",
            )
        return settings


def _refuse_brace(key: str, path: str | Path) -> None:
    """Check that Snakemake can take a path."""
    if {"{", "}"} & set(str(path)):
        raise DataError(
            f"config: {key}: {path} has a brace, which Snakemake reads as a wildcard. Rename the"
            " file or folder."
        )
