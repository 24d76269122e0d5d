"""Documented calls of the `weaklesion` command have options that exist, and runs that are made."""

import re
import shlex

import pytest
import typer
import yaml
from conftest import ROOT

from weaklesion.cli import app
from weaklesion.study.items import Run
from weaklesion.study.protocols import merge
from weaklesion.study.study import Study

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def documented():
    """Words of every documented call, without the program's name; each once."""
    lines = []
    for page in PAGES:
        text = page.read_text().replace("\\\n", " ")
        lines += re.findall(r"^ {4}(?:\.venv/bin/)?(weaklesion [a-z].*)$", text, re.M)
        lines += re.findall(r"`(weaklesion [a-z][^`]* [^`]+)`", text)
    return list(dict.fromkeys(tuple(shlex.split(line)[1:]) for line in lines))


def test_the_documents_have_calls():
    assert {words[0] for words in documented()} == {"segment", "manifest"}
    assert len([words for words in documented() if "--model" in words]) >= 2


@pytest.mark.parametrize("words", [w for w in documented() if "--model" in w], ids=" ".join)
def test_a_documented_call_is_understood(words):
    command = typer.main.get_command(app).commands[words[0]]
    options = command.make_context(words[0], list(words[1:])).params
    assert {"model", "marks", "out"} <= set(options)
    results, name, dataset, protocol, folder, arm, seed = options["model"].parts
    assert (results, folder) == ("results", "runs")
    study = ROOT / f"workflow/studies/{name}.yaml"
    paper = yaml.safe_load((ROOT / "config.yaml").read_text())
    trained = Study(merge(paper, yaml.safe_load(study.read_text())), paper).all_trainings
    assert Run(dataset, protocol, arm, int(seed.removeprefix("seed-"))) in trained
    assert "FOLDER" in options["marks"].parts or (ROOT / options["marks"]).is_file()
