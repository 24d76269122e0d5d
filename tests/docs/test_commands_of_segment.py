"""Documented calls of the `weaklesion` command have options that exist, and runs that are made."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
from conftest import ROOT
from PIL import Image
from segmenting import add_settings, run
from typer.testing import CliRunner

from weaklesion.cli import app
from weaklesion.marks.columns import parse_columns
from weaklesion.recist import RECIST_COLUMNS
from weaklesion.study.items import Run
from weaklesion.study.protocols import merge
from weaklesion.study.study import Study
from weaklesion.support.yaml_files import read_yaml

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


PHANTOM_EXPORT = "my-export"  # which a documented command before it writes
EXPORTED = "exported"  # the same, of a network


def documented():
    """Words of every documented call, without the program's name; each once."""
    lines = []
    for page in PAGES:
        text = page.read_text().replace("\\\n", " ")
        lines += re.findall(r"^ {4}(?:\.venv/bin/)?(weaklesion [a-z].*)$", text, re.M)
        lines += re.findall(r"`(weaklesion [a-z][^`]* [^`]+)`", text)
    return list(dict.fromkeys(tuple(shlex.split(line)[1:]) for line in lines))


def test_the_documents_have_calls():
    names = {"segment", "manifest", "npz", "npz-masks", "uls23", "uls23-masks", "describe-run"}
    names |= {"export", "plan"}
    assert {words[0] for words in documented()} == names
    assert len([words for words in documented() if "--model" in words]) >= 2


@pytest.mark.parametrize("words", [w for w in documented() if "--model" in w], ids=" ".join)
def test_a_documented_call_is_understood(words):
    command = typer.main.get_command(app).commands[words[0]]
    options = command.make_context(words[0], list(words[1:])).params
    assert {"model", "marks", "dicom", "out"} <= set(options)
    if options["model"] == Path(EXPORTED):
        assert [each for each in documented() if each[0] == "export" and each[-1] == EXPORTED]
        return
    results, name, dataset, protocol, folder, arm, seed = options["model"].parts
    assert (results, folder) == ("results", "runs")
    study = ROOT / f"workflow/studies/{name}.yaml"
    paper = read_yaml(ROOT / "config.yaml")
    trained = Study(merge(paper, read_yaml(study)), paper).all_trainings
    assert Run(dataset, protocol, arm, int(seed.removeprefix("seed-"))) in trained
    given = options["marks"] or options["dicom"]
    made = [PHANTOM_EXPORT] if options["dicom"] else []
    assert "FOLDER" in given.parts or str(given) in made or (ROOT / given).is_file()


@pytest.mark.parametrize("words", [w for w in documented() if "--columns" in w], ids=" ".join)
def test_a_documented_call_with_own_columns_runs_as_it_stands(
    words, model, tmp_path, images, monkeypatch
):
    """On marks whose table is as the call says; they get the masks of the same marks in px."""
    _, rows = images
    spacing = {"spacing_x": 0.5, "spacing_y": 0.5}
    _, given = run(model, tmp_path, [row | spacing for row in rows])
    columns = parse_columns([words[words.index("--columns") + 1]])
    in_mm = "--units" in words
    points = [name for name in rows[0] if name[-2:] in ("_x", "_y")]
    table = [row | spacing | {name: row[name] * (0.5 if in_mm else 1) for name in points}
             | {"image": str(tmp_path / row["image"])} for row in rows]  # fmt: skip
    (tmp_path / "FOLDER").mkdir()
    pd.DataFrame(table).rename(columns=columns).to_csv(tmp_path / "FOLDER/marks.csv", index=False)
    call = list(words)
    call[call.index("--model") + 1] = str(model)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, call)
    assert result.exit_code == 0, result.output
    measured = pd.read_csv(tmp_path / "my-masks/measurements.csv").set_index("id")
    assert measured["area_px"].to_dict() == given["area_px"].to_dict()
    assert (tmp_path / "my-masks/index.html").is_file()


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    """The export that `python -m weaklesion.dicom.phantom FOLDER` writes."""
    folder = tmp_path_factory.mktemp("export") / "my-export"
    command = [sys.executable, "-m", "weaklesion.dicom.phantom", folder]
    subprocess.run(command, check=True, env=os.environ | {"PYTHONPATH": str(ROOT / "src")})
    return folder


@pytest.mark.parametrize("words", [w for w in documented() if "--dicom" in w], ids=" ".join)
def test_a_documented_call_on_an_export_runs_as_it_stands(
    words, export, grey_model, tmp_path, monkeypatch
):
    folder = words[words.index("--dicom") + 1]
    if folder == PHANTOM_EXPORT:
        pages = [page.read_text() for page in PAGES if f"--dicom {folder}" in page.read_text()]
        assert all(f"python -m weaklesion.dicom.phantom {folder}\n" in page for page in pages)
    monkeypatch.chdir(tmp_path)
    shutil.copytree(export, folder)
    if "--marks" in words:
        write_table(folder, words[words.index("--marks") + 1])
    call = list(words)
    call[call.index("--model") + 1] = str(grey_model)
    result = CliRunner().invoke(app, call)
    assert result.exit_code == 0, result.output
    page = (ROOT / "docs/how-to/dicom.md").read_text()
    table = page[
        page.index("## What is written") : page.index("SEG, SR and RT Structure Sets need")
    ]
    out = Path(words[words.index("--out") + 1])
    for pattern in re.findall(r"`((?:dicom|import)/[^`]*)`", table):
        wanted = "rtstruct" not in pattern or "--rtstruct" in words
        assert bool(list(out.glob(pattern.rstrip("/")))) == wanted, pattern
    table = page[page.index("## Lesions over time") :]
    for name in re.findall(r"^\| `([^`]+)` \|", table, re.M) if "--marks" not in words else ():
        assert (out / "response" / name).is_file(), name
    assert (out / "volumes").is_dir() == ("--volume" in words)


def write_table(folder, marks_csv):
    """Write the export's marks as a table that names images by their UIDs."""
    from weaklesion.dicom.importing import import_export  # the extra is for these tests only

    imported = import_export(folder, "imported")
    rows = [
        dict(zip(RECIST_COLUMNS, mark.ends.ravel(), strict=True)) | {"image": mark.image_uid}
        for mark in imported.marks.values()
    ]
    pd.DataFrame(rows).to_csv(marks_csv, index=False)


@pytest.mark.workflow
def test_documented_calls_export_a_network_and_run_it_as_they_stand(
    model_of_ends, tmp_path, images, monkeypatch
):
    """The call of `export`, then that of `segment` with what it wrote."""
    (export,) = [words for words in documented() if words[0] == "export"]
    (segment,) = [words for words in documented() if words[0] == "segment" and EXPORTED in words]
    monkeypatch.chdir(tmp_path)
    add_settings(model_of_ends, "prompted_ends_robust")
    Path(export[1]).parent.mkdir(parents=True)
    shutil.move(model_of_ends, export[1])
    Path("FOLDER").mkdir()
    rows = [row | {"image": f"../{row['image']}"} for row in images[1]]
    pd.DataFrame(rows).to_csv("FOLDER/marks.csv", index=False)
    for words in (export, segment):
        result = CliRunner().invoke(app, list(words))
        assert result.exit_code == 0, result.output
    assert "4 marks segmented" in result.output
    page = (ROOT / "docs/how-to/export.md").read_text()
    table = page[page.index("| Written |") : page.index("## Segment without PyTorch")]
    written = {name for line in re.findall(r"^\| (`[^|]*) \|", table, re.M)
               for name in re.findall(r"`([^`/]+)/?`", line)}  # fmt: skip
    assert {path.name for path in Path(EXPORTED).iterdir()} == written


def test_every_option_of_the_page_exists(root):
    page = (root / "docs/how-to/own-marks.md").read_text()
    section = page[page.index("## 4. Segment") : page.index("## Limits")]
    options = {option for parameter in typer.main.get_command(app).commands["segment"].params
               for option in parameter.opts}  # fmt: skip
    named = set(re.findall(r"`(--[a-z-]+)", section))
    assert {"--columns", "--units", "--first-slice", "--as-given", "--gate"} <= named
    assert named <= options


def test_documented_scoring_of_masks_runs_as_it_stands(tmp_path, monkeypatch, capsys):
    page = (ROOT / "docs/how-to/own-marks.md").read_text()
    (code,) = re.findall(r"^ {6}import numpy as np, weaklesion as wl\n(?: {6}.*\n)+", page, re.M)
    mask = np.zeros((20, 30), np.uint8)
    mask[5:15, 5:15] = 255
    reference = mask.copy()
    reference[5:15, 5:20] = 255
    (tmp_path / "my-masks/masks").mkdir(parents=True)
    Image.fromarray(mask).save(tmp_path / "my-masks/masks/mole.png")
    Image.fromarray(reference).save(tmp_path / "mole.png")
    monkeypatch.chdir(tmp_path)
    exec(textwrap.dedent(code), {})
    assert capsys.readouterr().out.split() == ["0.8", "5.0"]
