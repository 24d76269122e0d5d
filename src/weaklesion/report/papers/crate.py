"""Provenance of a release folder as an RO-Crate: `ro-crate-metadata.json`.

After Process Run Crate 0.5: each training is an action of the software at a commit, from samples to
weights and scores. The digests of inputs that are not in the folder (images, targets) are in each
training's `run.json`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rocrate.model.contextentity import ContextEntity
from rocrate.model.creativework import CreativeWork
from rocrate.rocrate import ROCrate

from weaklesion.support.files import read_json

VERSION = "1.1"  # of RO-Crate
PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
METADATA = "ro-crate-metadata.json"
FORMATS = {
    ".cff": "application/yaml",
    ".csv": "text/csv",
    ".html": "text/html",
    ".json": "application/json",
    ".md": "text/markdown",
    ".onnx": "application/octet-stream",
    ".png": "image/png",
    ".pt2": "application/octet-stream",
    ".safetensors": "application/octet-stream",
    ".svg": "image/svg+xml",
}


def write_crate(
    folder: Path,
    digests: Mapping[str, str],
    runs: Sequence[Mapping[str, str]],
    metadata: Mapping[str, Any],
) -> None:
    """Describe a folder's files, and the training runs that made some of them.

    Args:
        folder: the release folder; the file is written into it.
        digests: path of each file below the folder to its SHA-256 digest.
        runs: `name`, and the paths `run` (its run.json) and `samples` below the folder.
        metadata: `title`, `description`, `creators`, `version`, `licence` (the path of the file
            about licences) and `date` (ISO).
    """
    crate = ROCrate(version=VERSION)
    crate.name, crate.description = metadata["title"], metadata["description"]
    crate.datePublished = metadata["date"]
    files = {
        path: crate.add_file(folder / path, path, properties=_properties(folder / path, digest))
        for path, digest in digests.items()
    }
    crate.license = files[metadata["licence"]]
    organization = {"@type": "Organization"}
    authors = [
        crate.add(ContextEntity(crate, f"#author-{number}", organization | {"name": name}))
        for number, name in enumerate(metadata["creators"], start=1)
    ]
    crate.root_dataset["author"] = authors if len(authors) > 1 else authors[0]
    crate.publisher = authors[0]
    profile = {"name": "Process Run Crate", "version": PROFILE.rsplit("/", 1)[-1]}
    crate.root_dataset["conformsTo"] = crate.add(CreativeWork(crate, PROFILE, profile))
    software: dict[str, ContextEntity] = {}
    actions = []
    for run in runs:
        info = read_json(folder / run["run"])
        commit = info["code"]["commit"] or "unknown"
        if commit not in software:
            version = f"{metadata['version']}, commit {commit}"
            properties = {"@type": "SoftwareApplication", "name": "WeakLesion"}
            properties |= {"softwareVersion": version}
            software[commit] = crate.add(ContextEntity(crate, f"#weaklesion-{commit}", properties))
        made = [files[path] for path in _results_of(run["run"]) if path in files]
        action = crate.add_action(
            software[commit],
            f"#train-{run['name'].replace(' ', '/')}",  # names have hyphens, but no slash
            object=files[run["samples"]],
            result=made,
            properties={
                "name": f"Training {run['name']}",
                "description": f"{info['epochs_run']} epochs, {info['wall_s']:.0f} s, on"
                f" {info['device']}; digests of all inputs are in {run['run']}",
            },
        )
        action["agent"] = authors[0]
        action["actionStatus"] = "http://schema.org/CompletedActionStatus"
        actions.append(action)
    crate.root_dataset["mentions"] = actions
    crate.metadata.write(folder)


def _results_of(run_json: str) -> list[str]:
    folder = Path(run_json).parent
    names = ("model.safetensors", "run.json", "history.csv", "scores.csv")
    return [(folder / name).as_posix() for name in names]


def _properties(path: Path, digest: str) -> dict[str, str]:
    return {
        "name": path.name,
        "contentSize": str(path.stat().st_size),
        "encodingFormat": FORMATS.get(path.suffix, "text/plain"),
        "sha256": digest,
    }
