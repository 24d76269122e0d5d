"""Where WeakLesion runs is said in its metadata, and Windows is refused by name."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from weaklesion import cli
from weaklesion.errors import DataError
from weaklesion.support.systems import refuse_windows

PYTHONS = ("3.11", "3.12", "3.13")


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_linux_and_macos_are_not_refused(platform):
    refuse_windows(platform)


def test_windows_is_refused_by_name():
    with pytest.raises(DataError, match=r"not on Windows itself.*Subsystem"):
        refuse_windows("win32")


def test_the_command_refuses_windows(monkeypatch):
    monkeypatch.setattr(cli, "refuse_windows", lambda: refuse_windows("win32"))
    done = CliRunner().invoke(cli.app, ["plan"])
    assert done.exit_code == 1
    assert "not on Windows itself" in done.output


def test_documents_and_metadata_name_the_same_pythons(root):
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    stated = [line.rsplit(" ", 1)[1] for line in project["classifiers"] if ":: 3." in line]
    assert stated == list(PYTHONS)
    assert "Python 3.11 to 3.13" in (root / "README.md").read_text()
    makefile = (root / "Makefile").read_text()
    assert "PYTHONS ?= " + " ".join(f"python{version}" for version in PYTHONS) in makefile


def test_make_refuses_an_old_python_and_windows(root, tmp_path):
    """With a stand-in that runs the checks of the Makefile as if elsewhere."""
    for name, lie in (("old", "sys.version_info = (3, 10)"), ("win", "sys.platform = 'win32'")):
        stand_in = tmp_path / name
        code = f"#!{sys.executable}\nimport sys\n{lie}\nexec(sys.argv[2])\n"
        stand_in.write_text(code)
        stand_in.chmod(0o755)
        command = ["make", "-C", str(root), f"PYTHON={stand_in}", "--always-make", ".venv/.ready"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode != 0
        expected = {"old": "Python 3.11 or later is needed", "win": "Windows is not supported"}
        assert expected[name] in done.stderr


@pytest.mark.parametrize("owner", ["another clone", "this clone"])
def test_make_spares_an_environment_of_another_clone_behind_a_link(root, tmp_path, owner):
    """Make would change, or empty, the folder that the link leads to."""
    clone, environment = tmp_path / "clone", tmp_path / "environment"
    packages = environment / "lib/python3.11/site-packages"
    packages.mkdir(parents=True)
    clone.mkdir()
    for name in ("Makefile", "pyproject.toml", "requirements.lock", "requirements-cpu.lock"):
        (clone / name).write_bytes((root / name).read_bytes())
    (clone / ".venv").symlink_to(environment)
    (environment / "pyvenv.cfg").touch()
    installed_from = clone if owner == "this clone" else tmp_path / "elsewhere"
    (packages / "__editable__.weaklesion-0.1.0.pth").write_text(f"{installed_from}/src\n")
    stand_in = tmp_path / "python"
    stand_in.write_text('#!/bin/sh\n[ "$2" != venv ] || { touch reached; exit 1; }\n')
    stand_in.chmod(0o755)
    command = ["make", "-C", str(clone), f"PYTHON={stand_in}", ".venv/.ready"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert (clone / "reached").exists() == (owner == "this clone")
    refused = f".venv is a link to {environment}, an environment that was not installed from this"
    assert (refused in done.stderr) == (owner == "another clone")


def stand_ins(root, clone, version="3.12"):
    """Return a folder with an environment of stand-ins, and the command that updates it."""
    (clone / ".venv/bin").mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "requirements.lock", "requirements-cpu.lock"):
        (clone / name).write_bytes((root / name).read_bytes())
    ready = clone / ".venv/.ready"
    ready.touch()
    os.utime(ready, (0, 0))
    programs = {
        ".venv/bin/python": f'case "$2" in *print*) echo {version};; *) [ ! -e broken ];; esac',
        ".venv/bin/uv": "[ ! -e broken ]",
        "python": 'case "$2" in *print*) echo 3.12;; venv) touch cleared;; esac',
    }
    for name, code in programs.items():
        (clone / name).write_text(f"#!/bin/sh\n{code}\n")
        (clone / name).chmod(0o755)
    return ["make", "-C", str(clone), "PYTHON=./python", ".venv/.ready"], ready


@pytest.mark.parametrize(("version", "cleared"), [("3.12", False), ("3.11", True)])
def test_make_keeps_an_environment_of_the_same_python_when_requirements_change(
    root, tmp_path, version, cleared
):
    """It would have to be fetched again, and other processes may use it."""
    command, ready = stand_ins(root, tmp_path, version)
    subprocess.run(command, capture_output=True, check=True)
    assert ready.stat().st_mtime > 0
    assert (tmp_path / "cleared").exists() == cleared


def test_make_replaces_an_environment_whose_installation_was_interrupted(root, tmp_path):
    command, ready = stand_ins(root, tmp_path)
    (tmp_path / "broken").touch()
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0
    assert not ready.exists()
    (tmp_path / "broken").unlink()
    assert not (tmp_path / "cleared").exists()
    subprocess.run(command, capture_output=True, check=True)
    assert ready.exists()
    assert (tmp_path / "cleared").exists()


def test_make_says_what_to_do_where_pytorchs_index_cannot_be_reached(root, tmp_path):
    """With a stand-in for Python, pip and uv, of which uv fails."""
    for name in ("Makefile", "pyproject.toml", "requirements.lock", "requirements-cpu.lock"):
        (tmp_path / name).write_bytes((root / name).read_bytes())
    for name, code in (("python", "exit 0"), ("uv", "echo dns error >&2; exit 2")):
        stand_in = tmp_path / "bin" / name
        stand_in.parent.mkdir(exist_ok=True)
        stand_in.write_text(f"#!/bin/sh\n{code}\n")
        stand_in.chmod(0o755)
    command = ["make", "-C", str(tmp_path), "PYTHON=bin/python", "BIN=bin", "CPU=1", ".venv/.ready"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "dns error" in done.stderr
    assert "needs PyTorch's own package index (download.pytorch.org). Where it" in done.stderr
    assert "leave CPU=1 out" in done.stderr


def test_make_spares_the_folder_behind_a_link_in_place_of_nnunets_environment(root, tmp_path):
    clone, environment = tmp_path / "clone", tmp_path / "environment"
    (clone / ".venv").mkdir(parents=True)
    environment.mkdir()
    (environment / "kept").touch()
    for name in ("Makefile", "requirements-nnunet.lock"):
        (clone / name).write_bytes((root / name).read_bytes())
    (clone / ".nnunet").symlink_to(environment)
    command = [
        "make",
        "-C",
        str(clone),
        "--assume-old",
        ".venv/.ready",
        f"BIN={Path(sys.executable).parent}",
    ]
    done = subprocess.run([*command, ".nnunet/.ready"], capture_output=True, text=True, check=False)
    assert f".nnunet is a link to {environment}, which make would empty" in done.stderr
    assert done.returncode != 0
    assert (environment / "kept").exists()


def makefile_in(root, folder):
    folder.mkdir()
    (folder / "Makefile").write_bytes((root / "Makefile").read_bytes())
    (folder / ".venv").mkdir()
    for name in (".ready", ".dev"):
        (folder / ".venv" / name).touch()
    return folder


def test_make_clean_removes_results_behind_a_link(root, tmp_path):
    clone, scratch = makefile_in(root, tmp_path / "clone"), tmp_path / "scratch"
    (scratch / "paper/tables").mkdir(parents=True)
    (scratch / "README.md").touch()
    (clone / "results").symlink_to(scratch)
    (clone / ".snakemake").mkdir()
    subprocess.run(["make", "-C", str(clone), "clean"], capture_output=True, check=True)
    assert [path.name for path in scratch.iterdir()] == ["README.md"]
    assert not (clone / ".snakemake").exists()
    assert (clone / "results").is_symlink()


@pytest.mark.parametrize(
    ("study", "words"),
    [(None, []), ("my study.yaml", ["my study.yaml"]), ("it's.yaml", ["it's.yaml"])],
)
def test_make_plan_takes_a_study_with_a_space_in_its_name(root, tmp_path, study, words):
    clone = makefile_in(root, tmp_path / "clone")
    program = clone / "bin/weaklesion"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@" > words\n')
    program.chmod(0o755)
    command = ["make", "-C", str(clone), "--assume-old", ".venv/.ready", "BIN=bin", "plan"]
    command += [f"STUDY={study}"] if study else []
    subprocess.run(command, capture_output=True, check=True)
    assert (clone / "words").read_text().splitlines() == ["plan", *words]
