"""Provenance of a run: commit, versions, digests, device."""

import hashlib
import json
import os
import platform
import resource
import site
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from weaklesion.support.files import file_digest

REPORTED_PACKAGES = (
    "monai",
    "numpy",
    "opencv-python-headless",
    "pandas",
    "safetensors",
    "scikit-image",
    "scikit-learn",
    "scipy",
    "segmentation-models-pytorch",
    "torch",
    "torchvision",
)


ROOT = Path(__file__).resolve().parents[3]
CODE = ("src", "workflow", "envs", "config", "Snakefile", "config.yaml", ":(glob)*.lock")


def settings_digest(settings: dict[str, Any]) -> str:
    """Return a SHA-256 digest of nested settings, independent of the order of their keys."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def git_state(root: Path = ROOT) -> dict[str, Any]:
    """Return the commit of the running code, and whether the files of `CODE` have changes.

    Both are None if the package is not in a git checkout. Other files, such as masks that a user
    wrote there, are no changes.
    """

    def git(*arguments: str) -> str | None:
        command = ["git", "-C", str(root), *arguments]
        try:
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout
        except (OSError, subprocess.CalledProcessError):
            return None

    commit = git("rev-parse", "HEAD")
    status = git("status", "--porcelain", "--", *CODE)
    return {
        "commit": commit.strip() if commit else None,
        "dirty": bool(status.strip()) if commit and status is not None else None,
    }


def package_versions() -> dict[str, str]:
    """Return the versions of Python and of all packages that may affect a result.

    Only the running Python's own packages count. In a job's conda environment `sys.path` also names
    the packages of Snakemake's environment.
    """
    folders = site.getsitepackages()
    if site.ENABLE_USER_SITE:
        folders.insert(0, site.getusersitepackages())  # as in `sys.path`
    versions = {"python": platform.python_version()}
    for name in REPORTED_PACKAGES:
        for package in distributions(name=name, path=folders):
            versions[name] = package.version
            break  # the first is what Python imports
    return versions


def peak_memory_bytes() -> int:
    """Return the largest resident memory of this process so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def describe_start(
    *, settings: dict[str, Any], seed: int, inputs: dict[str, str | Path]
) -> dict[str, Any]:
    """Describe a run before it starts; the caller adds its own measurements.

    Args:
        settings: everything else on which the result depends.
        seed: the run's seed.
        inputs: role to path of each input file; their SHA-256 digests are recorded.
    """
    return {
        "code": git_state(),
        "settings": settings,
        "settings_sha256": settings_digest(settings),
        "seed": seed,
        "inputs_sha256": {role: file_digest(path) for role, path in inputs.items()},
        "versions": package_versions(),
        "host_cpus": os.cpu_count(),
    }
