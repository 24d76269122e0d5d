"""The whole Snakefile, run as a user runs it, on tiny phantoms: what several test files share."""

import os
import re
import shutil
import subprocess

import yaml
from conftest import ROOT
from preloaded_python import preloaded_python

TINY = ("--configfile", ROOT / "workflow/studies/demo.yaml", ROOT / "tests/tiny.yaml")
RUNS = "results/tiny/phantom_ham10k/demo/runs"


SHIPPED = (
    "CITATION.cff",
    "LICENSE",
    "Snakefile",
    "config",
    "config.yaml",
    "Makefile",
    "workflow",
    "src",
    "envs",
    "tools",
    "docs",
)
LINKS = ("profiles", "gpu", "slurm")  # to the profiles


def clone(folder):
    """Copy what a clone has and a run needs."""
    folder.mkdir(parents=True)
    for name in SHIPPED:
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, folder / name)
    for name in LINKS:
        shutil.copy(ROOT / name, folder / name, follow_symlinks=False)
    return folder


def command(folder, *arguments, python=None):
    words = [python or preloaded_python(), "-m", "snakemake", "--snakefile", ROOT / "Snakefile"]
    words += ["--directory", folder, "--cores", "2", *arguments]
    return [str(word) for word in words]


def environment(folder):
    return {**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}


def snakemake(folder, *arguments, expect=0, timeout=3000, **variables):
    done = subprocess.run(
        command(folder, *arguments),
        capture_output=True,
        text=True,
        env=environment(folder) | variables,
        cwd=folder,
        timeout=timeout,
        check=False,
    )
    output = done.stdout + done.stderr
    assert done.returncode == expect, output[-6000:]
    return output


def planned(folder, *arguments, **variables):
    """Number of jobs by rule that a run would have."""
    output = snakemake(folder, "-n", *arguments, **variables)
    if "Nothing to be done" in output:
        return {}
    table = output[output.index("Job stats:") :].split("total")[0]
    return {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)}


def overlay(folder, content):
    """One more configuration file, with what a test changes."""
    (folder / "change.yaml").write_text(yaml.safe_dump(content))
    return (*TINY, folder / "change.yaml")
