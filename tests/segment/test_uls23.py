"""From the stacked volumes of ULS23, with marks of a table, to the stack of masks."""

import json
import re
import shlex

import numpy as np
import pandas as pd
import pytest
import SimpleITK
from conftest import ROOT
from segmenting import calls_of_script, run_script
from typer.testing import CliRunner

from weaklesion.cli import app
from weaklesion.recist import RECIST_COLUMNS, measure_recist

pytestmark = pytest.mark.workflow
SPACINGS = [[0.8, 0.8, 3.0], [0.7, 0.7, 1.0], [0.8, 0.8, 2.0]]
RADII = {0: (17, 13, 4), 2: (15, 12, 6)}  # of the lesions with a mark, px along x, y and z
NAME = "images/stacked-3d-ct-lesion-volumes/stacked.mha"


def call(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def stacked(tmp_path):
    """The challenge's input with three volumes, marks of the first and the third, and the truth."""
    z, y, x = np.mgrid[:128, :256, :256]
    truth, rows = np.zeros((3, 128, 256, 256), dtype=bool), []
    for voi, (rx, ry, rz) in RADII.items():
        truth[voi] = ((x - 128) / rx) ** 2 + ((y - 128) / ry) ** 2 + ((z - 64) / rz) ** 2 <= 1
        ends = measure_recist(truth[voi][64]).points.ravel().tolist()
        rows.append({"voi": voi, "slice": 64} | dict(zip(RECIST_COLUMNS, ends, strict=True)))
    noise = np.random.default_rng(0).normal(0, 12, truth.shape)
    values = (np.where(truth, 120, -70) + noise).round().astype(np.int16)
    image = SimpleITK.GetImageFromArray(values.reshape(-1, 256, 256))
    image.SetSpacing((1.0, 1.0, 1.5))
    image.SetOrigin((3.0, 4.0, 5.0))
    folder = tmp_path / "input"
    (folder / NAME).parent.mkdir(parents=True)
    SimpleITK.WriteImage(image, folder / NAME)
    (folder / "stacked-3d-volumetric-spacings.json").write_text(json.dumps(SPACINGS))
    pd.DataFrame(rows).to_csv(tmp_path / "given.csv", index=False)
    return folder, tmp_path / "given.csv", truth


def test_masks_come_back_as_the_challenges_stack(stacked, grey_model, tmp_path, monkeypatch):
    """By the documented commands, as they stand but for the network."""
    folder, marks, truth = stacked
    (tmp_path / "FOLDER").mkdir()
    folder.rename(tmp_path / "FOLDER/input")
    folder = tmp_path / "FOLDER/input"
    marks.rename(tmp_path / "FOLDER/marks.csv")
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs/how-to/own-marks.md").read_text().replace("\\\n", " ")
    section = page[page.index("### Volumes of the challenge ULS23") :]
    lines = re.findall(r"^    weaklesion (.*)$", section, re.M)[:3]
    for words in map(shlex.split, lines):
        if "--model" in words:
            words[words.index("--model") + 1] = str(grey_model)
        result = call(*words)
        assert result.exit_code == 0, result.output
    rows = pd.read_csv(tmp_path / "my-masks/measurements.csv").set_index("id")
    image = SimpleITK.ReadImage(tmp_path / "FOLDER/output/images/ct-binary-uls/stacked.mha")
    given = SimpleITK.ReadImage(folder / NAME)
    assert (image.GetOrigin(), image.GetSpacing()) == (given.GetOrigin(), given.GetSpacing())
    found = SimpleITK.GetArrayFromImage(image).reshape(truth.shape)
    assert np.unique(found).tolist() == [0, 1]
    assert not found[1].any()  # it has no mark
    for voi in RADII:
        overlap = 2 * (truth[voi] & (found[voi] > 0)).sum() / (truth[voi].sum() + found[voi].sum())
        assert overlap > 0.85
        measured = rows.loc[f"voi_{voi}", "volume_mm3"]
        assert measured == pytest.approx(found[voi].sum() * np.prod(SPACINGS[voi]), rel=1e-4)


def test_the_containers_script_writes_the_stack(stacked, grey_model, tmp_path):
    folder, marks, _ = stacked
    marks.rename(folder / "marks.csv")
    for words in calls_of_script(
        "predict_uls23.sh", tmp_path, folder, tmp_path / "out", grey_model
    ):
        result = call(*words)
        assert result.exit_code == 0, result.output
    image = SimpleITK.ReadImage(tmp_path / "out/images/ct-binary-uls/stacked.mha")
    assert SimpleITK.GetArrayFromImage(image).any()


def test_the_containers_script_writes_an_empty_stack_if_no_row_can_be_used(
    stacked, grey_model, tmp_path
):
    folder, _, truth = stacked
    (folder / "marks.csv").write_text(f"{HEADER}\n{row((2, 'nan'))}\n")
    done = run_script("predict_uls23.sh", tmp_path, folder, tmp_path / "out", grey_model)
    assert done.returncode == 0, done.stderr
    assert "long_a_x is 'nan', which is not finite" in done.stderr
    image = SimpleITK.ReadImage(tmp_path / "out/images/ct-binary-uls/stacked.mha")
    masks = SimpleITK.GetArrayFromImage(image)
    assert masks.size == truth.size
    assert not masks.any()


def test_a_stack_of_another_method_is_not_written_over(stacked, tmp_path):
    folder, _, _ = stacked
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks/measurements.csv").write_text("id,mask,volume\n")
    words = ("uls23-masks", folder, "--masks", tmp_path / "masks", "--out")
    for _ in range(2):
        assert call(*words, tmp_path / "out").exit_code == 0
    other = tmp_path / "other/images/ct-binary-uls/stacked.mha"
    other.parent.mkdir(parents=True)
    other.write_text("another method's")
    result = call(*words, tmp_path / "other")
    assert result.exit_code == 1
    assert "stacked.mha, which this command did not write" in " ".join(result.output.split())
    assert other.read_text() == "another method's"


def test_a_table_is_never_written_over_by_what_is_made_of_it(stacked, tmp_path):
    folder, given, _ = stacked
    marks = given.rename(tmp_path / "marks.csv")
    before = marks.read_text()
    result = call("uls23", folder, "--marks", marks, "--out", tmp_path)
    assert result.exit_code == 1
    assert "which this command did not write" in " ".join(result.output.split())
    assert marks.read_text() == before


def test_rows_of_no_volume_are_refused_by_line(stacked, tmp_path):
    folder, marks, _ = stacked
    table = pd.read_csv(marks)
    more = [
        table.iloc[0].to_dict() | change for change in ({"voi": 3}, {"slice": 128, "voi": 1}, {})
    ]
    every = pd.concat([table, pd.DataFrame(more)]).astype({"voi": int, "slice": int})
    every.to_csv(marks, index=False)
    result = call("uls23", folder, "--marks", marks, "--out", tmp_path / "drawn")
    assert result.exit_code == 0, result.output
    refused = pd.read_csv(tmp_path / "drawn/refused.csv")
    assert refused["line"].tolist() == [4, 5, 6]
    causes = ["voi is '3'", "slice is '128'", "voi 0 has a mark already"]
    assert all(cause in told for cause, told in zip(causes, refused["cause"], strict=True))


ENDS = [110, 128, 146, 128, 128, 114, 128, 142]
HEADER = ",".join(["voi", "slice", *RECIST_COLUMNS])


def row(*changes, voi=0):
    """A row of the table, with other fields at some places."""
    fields = [voi, 64, *ENDS]
    for place, field in changes:
        fields[place] = field
    return ",".join(map(str, fields))


def test_bad_rows_are_refused_by_line(stacked, tmp_path):
    folder, marks, _ = stacked
    bad = {
        row(voi=2)[:12]: "long_b_x, long_b_y, short_a_x, short_a_y, short_b_x, short_b_y: empty",
        row((2, "nan"), voi=2): "long_a_x is 'nan', which is not finite",
        row((2, ""), voi=2): "long_a_x: empty",
        row((9, "142,5,5"), voi=2): "12 fields, but the header has 10",
        row((1, "64.5"), voi=2): "slice is '64.5'",
        "2": "slice is ''",
    }
    marks.write_text("\n".join([HEADER, *bad, row((1, "64.0"))]))
    result = call("uls23", folder, "--marks", marks, "--out", tmp_path / "drawn")
    assert result.exit_code == 0, result.output
    refused = pd.read_csv(tmp_path / "drawn/refused.csv")
    assert refused["line"].tolist() == list(range(2, 2 + len(bad)))
    for found, cause in zip(refused["cause"], bad.values(), strict=True):
        assert cause in found
    assert pd.read_csv(tmp_path / "drawn/marks.csv")["id"].tolist() == ["voi_0"]


def test_a_volume_whose_pixels_are_not_square_is_refused_alone(stacked, tmp_path):
    folder, marks, _ = stacked
    spacings = [[0.8, 0.9, 3.0], *SPACINGS[1:]]
    (folder / "stacked-3d-volumetric-spacings.json").write_text(json.dumps(spacings))
    result = call("uls23", folder, "--marks", marks, "--out", tmp_path / "drawn")
    assert result.exit_code == 0, result.output
    (refused,) = pd.read_csv(tmp_path / "drawn/refused.csv").to_dict("records")
    assert refused["line"] == 2
    assert "not square" in refused["cause"]
    assert pd.read_csv(tmp_path / "drawn/marks.csv")["id"].tolist() == ["voi_2"]


def test_a_table_is_read_as_spreadsheets_export_it(stacked, tmp_path):
    """With a title, semicolons and decimal commas."""
    folder, marks, _ = stacked
    text = f"{HEADER}\n{row((2, 110.5))}\n".replace(",", ";").replace(".", ",")
    marks.write_text(f"My marks\n{text}")
    result = call("uls23", folder, "--marks", marks, "--out", tmp_path / "drawn")
    assert result.exit_code == 0, result.output
    (made,) = pd.read_csv(tmp_path / "drawn/marks.csv").to_dict("records")
    assert [made[name] for name in RECIST_COLUMNS] == [110.5, *ENDS[1:]]


def test_a_table_that_cannot_be_used_is_named(stacked, tmp_path):
    folder, marks, _ = stacked
    for text, said in (
        (f"{HEADER},voi\n{row()},1\n", "given.csv: has the column voi more than once"),
        (f"{HEADER}\n", "given.csv: has no row"),
        (HEADER.replace("voi", "VOI") + "\n", "has no column voi; it has VOI, slice"),
    ):
        marks.write_text(text)
        result = call("uls23", folder, "--marks", marks, "--out", tmp_path / "drawn")
        assert result.exit_code == 1
        assert said in " ".join(result.output.split())


def shorter(folder):
    image = SimpleITK.ReadImage(folder / NAME)
    SimpleITK.WriteImage(image[:, :, :130], folder / NAME)


def fewer(folder):
    (folder / "stacked-3d-volumetric-spacings.json").write_text(json.dumps(SPACINGS[:2]))


def two(folder):
    (folder / NAME).with_name("other.mha").write_bytes((folder / NAME).read_bytes())


def broken(folder):
    (folder / NAME).write_bytes(b"NDims = 3")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (shorter, "stacked on one another"),
        (fewer, "the stack has 3 volumes"),
        (two, "has 2 .mha files"),
        (broken, "cannot be read"),
    ],
)
def test_another_input_is_refused_by_name(stacked, tmp_path, damage, said):
    folder, marks, _ = stacked
    damage(folder)
    result = call("uls23", folder, "--marks", marks, "--out", tmp_path / "drawn")
    assert result.exit_code == 1
    assert said in " ".join(result.output.split())
