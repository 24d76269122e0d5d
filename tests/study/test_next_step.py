"""What a finished run tells its user to do next."""

import shlex
from pathlib import Path

import pytest
import typer
from conftest import ROOT

from weaklesion.cli import app
from weaklesion.study.next_step import next_step
from weaklesion.study.protocols import merge
from weaklesion.study.study import Study
from weaklesion.support.yaml_files import read_yaml


def study_of(name):
    paper = read_yaml(ROOT / "config.yaml")
    study = read_yaml(ROOT / f"workflow/studies/{name}.yaml")
    return Study(merge(paper, study), paper)


@pytest.fixture
def own_marks(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return study_of("own-marks")


def finish(study):
    for item in study.items():
        for model in study.models(item):
            folder = Path(model["model"])
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "model.safetensors").touch()


def test_own_marks_end_with_commands_that_are_understood(own_marks):
    assert next_step(own_marks) == ""  # nothing is trained
    finish(own_marks)
    lines = next_step(own_marks).splitlines()
    commands = [line.partition("  #")[0].strip() for line in lines if "weaklesion segment" in line]
    assert "prompted_ends_robust/seed-1" in commands[0]
    assert lines[1].endswith("# for hand-drawn marks")
    assert len(commands) == 2
    for words in map(shlex.split, commands):
        command = typer.main.get_command(app).commands[words[1]]
        options = command.make_context(words[1], words[2:]).params
        assert (options["model"] / "model.safetensors").is_file()


@pytest.mark.parametrize("name", ["demo", "ham10k-small", "ham10k-gpu"])
def test_any_study_has_one_if_a_network_of_it_sees_the_mark(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = study_of(name)
    finish(study)
    text = next_step(study)
    trained = any(study.models(item) for item in study.items())
    assert ("weaklesion segment --model results/" in text) == trained
    assert len(text.splitlines()) <= 7
