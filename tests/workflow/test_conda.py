"""The workflow in conda environments that a stand-in for conda makes; see tests/conda/bin."""

import json
import os
import re
import subprocess
import sys
from importlib.metadata import requires, version
from pathlib import Path

import pytest
from conftest import ROOT
from packaging.requirements import Requirement
from running import TINY

STAND_IN = ROOT / "tests/conda/bin"
MANIFEST = "resources/phantom_ham10k/tiny/phantom/manifest.csv"
LOST = """
import sys

sys.path.insert(0, {scripts!r})
import job
import numpy
"""


def needed_by(requirement):
    """Names of a package and of all that it needs."""
    names, todo, done = set(), [Requirement(requirement)], set()
    while todo:
        need = todo.pop()
        name = re.sub(r"[-_.]+", "-", need.name).lower()
        names.add(name)
        for extra in {"", *need.extras} - {one for known, one in done if known == name}:
            done.add((name, extra))
            found = map(Requirement, requires(name) or [])
            todo += [
                new for new in found if not new.marker or new.marker.evaluate({"extra": extra})
            ]
    return sorted(names)


def environment_file(path, names):
    pins = "".join(f"      - '{name}=={version(name)}'\n" for name in names)
    path.write_text(f"channels: [conda-forge]\ndependencies:\n  - pip\n  - pip:\n{pins}")
    return path


def run(folder, python, *words, expect=0):
    """Run Snakemake with conda, without any package but those of its Python's environment."""
    variables = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}
    variables |= {"PATH": f"{STAND_IN}:{Path(sys.executable).parent}:{os.environ['PATH']}"}
    variables.pop("PYTHONPATH", None)
    words = ["-m", "snakemake", "--sdm", "conda", "--cores", "1", *map(str, words)]
    done = subprocess.run(
        [python, *words], capture_output=True, text=True, cwd=folder, env=variables, check=False
    )
    output = done.stdout + done.stderr
    assert done.returncode == expect, output[-4000:]
    return output


@pytest.fixture(scope="module")
def snakemake_alone(tmp_path_factory):
    """Python of an environment with Snakemake and what it needs, and nothing of WeakLesion's."""
    folder = tmp_path_factory.mktemp("alone")
    file = environment_file(folder / "snakemake.yaml", needed_by("snakemake"))
    create = [STAND_IN / "conda", "env", "create", "--file", file, "--prefix", folder / "env"]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    subprocess.run(create, check=True, env={**os.environ, "PATH": path})
    next((folder / "env/lib").glob("*/site-packages/sitecustomize.py")).unlink()
    return str(folder / "env/bin/python")


def test_conda_users_need_snakemake_only(snakemake_alone, tmp_path):
    """Neither `.venv` nor one package of the lock file beside Snakemake's own."""
    listing = [snakemake_alone, "-c", "import json, sys; print(json.dumps(sys.path))"]
    said = subprocess.run(listing, capture_output=True, text=True, check=True).stdout
    assert not any(str(Path(sys.prefix)) in path for path in json.loads(said))
    words = ["--snakefile", ROOT / "Snakefile", *TINY, "--config", "study=conda"]
    output = run(tmp_path, snakemake_alone, MANIFEST, *words)
    assert (tmp_path / MANIFEST).is_file(), output


def test_a_package_that_an_environment_lacks_is_not_taken_from_snakemakes(tmp_path):
    environment_file(tmp_path / "env.yaml", ["packaging"])
    (tmp_path / "lost.py").write_text(LOST.format(scripts=str(ROOT / "workflow/scripts")))
    (tmp_path / "Snakefile").write_text(
        'rule lost:\n    output: "x"\n    conda: "env.yaml"\n    script: "lost.py"\n'
    )
    output = run(tmp_path, sys.executable, expect=1)
    assert "No module named 'numpy'" in output
