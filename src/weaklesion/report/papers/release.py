"""The folder that leaves: tables, figures, papers, models, licences, checksums, provenance."""

import logging
import shutil
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from weaklesion.errors import DataError
from weaklesion.report.papers.checklist import write_checklist_page
from weaklesion.report.papers.crate import METADATA, write_crate
from weaklesion.report.papers.evidence import REPOSITORY
from weaklesion.report.papers.facts import facts_of
from weaklesion.report.papers.release_texts import licences_text, readme_text, zenodo_metadata
from weaklesion.study.labels import Labels
from weaklesion.support.files import file_digest, read_json, write_json, written_whole
from weaklesion.support.yaml_files import read_yaml

logger = logging.getLogger(__name__)

FOLDERS = ("tables", "figures", "papers")
PAGES = ("index.html", "overview.html", "report.html")  # as far as the study has them
OF_RUN = ("run.json", "scores.csv", "history.csv")
OF_MODEL = ("model.safetensors", "export")  # `export` is a folder, if somebody made it
OF_REPOSITORY = ("CITATION.cff", "LICENSE")
CHECKSUMS = "SHA256SUMS"


def gather_release(
    *,
    study: str,
    results: str | Path,
    citation_cff: str | Path,
    runs: Sequence[Mapping[str, Any]],
    carded: Sequence[Mapping[str, Any]],
    models: Sequence[Mapping[str, Any]],
    blocks: Sequence[Mapping[str, str]],
    origins: Mapping[str, Mapping[str, str]],
    datasets_yaml: str | Path,
    checklists_yaml: str | Path,
    statements: Mapping[str, str],
    labels: Labels | None = None,
    release_dir: str | Path,
) -> None:
    """Copy what is worth publishing of a study into one folder, and describe it.

    Args:
        study: name of the study.
        results: folder of the study.
        citation_cff: `CITATION.cff` of the repository, whose folder is the repository's.
        runs: dataset, protocol, arm, seed, and the path `run` of every training.
        carded: the same of those of the model card; a cross-validated one has its pooled results.
        models: the same of the training runs, or folds, whose weights are published.
        blocks: dataset, protocol, and the paths `samples` and `patches`.
        origins: dataset to its key in `datasets_yaml`, see `facts_of`.
        datasets_yaml: what is known of each dataset's origin.
        checklists_yaml: titles of the checklists.
        statements: what the authors say, by topic.
        labels: what pages call datasets, see `weaklesion.study.labels.labels_of`.
        release_dir: written: the folder.

    Raises:
        DataError: if the weights of a training are not there.
    """
    results, clone = Path(results), Path(citation_cff).parent
    known = facts_of(datasets_yaml, origins, [block["dataset"] for block in blocks])
    about = _about(study, clone, runs, statements) | {"num_models": len(models)}
    with written_whole(release_dir) as folder:
        _copy(results, folder, [*_of_study(results), *_of_blocks(results, blocks)])
        _copy(results, folder, _of_runs(results, [*runs, *carded], models))
        _copy(results, folder, (_samples_of(run) for run in models))
        _copy(clone, folder, OF_REPOSITORY)
        _copy_evidence(clone, folder, study, read_yaml(checklists_yaml), labels)
        (folder / "LICENSES.md").write_text(licences_text(known, about), encoding="utf-8")
        (folder / "README.md").write_text(readme_text(known, about), encoding="utf-8")
        write_json(folder / ".zenodo.json", zenodo_metadata(known, about))
        digests = _digests(folder)
        described = [
            {
                "name": " ".join(str(run[key]) for key in ("dataset", "protocol", "arm", "seed")),
                "run": Path(run["run"]).relative_to(results).as_posix(),
                "samples": _samples_of(run),
            }
            for run in models
        ]
        write_crate(
            folder,
            digests,
            described,
            {"title": about["title"], "description": about["abstract"]}
            | {"creators": about["creators"], "version": about["version"]}
            | {"licence": "LICENSES.md", "date": datetime.now(UTC).date().isoformat()},
        )
        lines = [f"{digest}  {path}\n" for path, digest in _digests(folder).items()]
        (folder / CHECKSUMS).write_text("".join(lines), encoding="utf-8")
    logger.info("%d files in %s", len(lines) + 1, release_dir)


def _about(
    study: str, clone: Path, runs: Sequence[Mapping[str, Any]], statements: Mapping[str, str]
) -> dict[str, Any]:
    """Return what the texts of a release say of the study and the code, see `readme_text`."""
    citation = read_yaml(clone / "CITATION.cff")
    codes = [read_json(run["run"])["code"] for run in runs]
    return {
        "study": study,
        "title": statements.get("title") or f"WeakLesion: results of the study {study}",
        "abstract": statements.get("abstract") or citation["abstract"],
        "creators": [_name(author) for author in citation["authors"]],
        "version": str(citation["version"]),
        "commits": sorted({str(code["commit"]) for code in codes}),
        "changed": any(code["dirty"] for code in codes),
        "num_trainings": len(runs),
    }


def _name(author: Mapping[str, str]) -> str:
    if "name" in author:
        return author["name"]
    return f"{author['family-names']}, {author['given-names']}"


def _of_study(results: Path) -> Iterable[str]:
    """Yield the pages, and all files of tables, figures and papers."""
    yield from (name for name in PAGES if (results / name).is_file())
    for name in FOLDERS:
        for path in sorted((results / name).rglob("*")):
            if path.is_file() and not path.name.startswith("."):
                yield path.relative_to(results).as_posix()


def _of_blocks(results: Path, blocks: Iterable[Mapping[str, str]]) -> Iterable[str]:
    """Yield the tables of samples and the accounts; no image leaves."""
    for block in blocks:
        for key in ("samples", "patches"):
            yield Path(block[key]).relative_to(results).as_posix()


def _samples_of(run: Mapping[str, Any]) -> str:
    return f"{run['dataset']}/{run['protocol']}/patches/samples.csv"


def _of_runs(
    results: Path, runs: Iterable[Mapping[str, Any]], models: Iterable[Mapping[str, Any]]
) -> Iterable[str]:
    """Yield descriptions and scores of every training, and the weights of those to publish."""
    for run in runs:
        folder = Path(run["run"]).parent
        for name in OF_RUN:
            if (folder / name).is_file():
                yield (folder / name).relative_to(results).as_posix()
    for run in models:
        folder = Path(run["run"]).parent
        if not (folder / OF_MODEL[0]).is_file():
            raise DataError(
                f"{folder / OF_MODEL[0]}: the weights are not there, and a release needs them."
                " Train again, or copy them back."
            )
        for name in OF_MODEL:
            place = folder / name
            for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
                if path.is_file():
                    yield path.relative_to(results).as_posix()


def _copy(source: Path, folder: Path, paths: Iterable[str]) -> None:
    for path in dict.fromkeys(paths):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source / path, folder / path)


def _copy_evidence(
    clone: Path, folder: Path, study: str, checklists: Mapping[str, Any], labels: Labels | None
) -> None:
    """Copy the repository's files that the checklist names, and make its links lead to them."""
    table = pd.read_csv(folder / "papers/checklist.csv", dtype=str).fillna("")
    named = " ".join(table["evidence"]).split()
    paths = {
        path.removeprefix(REPOSITORY).partition("#")[0]
        for path in named
        if path.startswith(REPOSITORY)
    }
    _copy(clone, folder / REPOSITORY, sorted(paths))
    page = folder / "papers/checklist.html"
    write_checklist_page(table, checklists, page, study, f"../{REPOSITORY.rstrip('/')}", labels)


def _digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 digest of every file by its path, without the list of them."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    names = {path: path.relative_to(folder).as_posix() for path in paths}
    return {name: file_digest(path) for path, name in names.items() if name != CHECKSUMS}


__all__ = ["CHECKSUMS", "METADATA", "gather_release"]
