"""What a run says of its training data, and what `segment` makes of it."""

import json
import math
from dataclasses import replace
from pathlib import Path

import cv2
import nibabel
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from segmenting import AROUND_HU, INSIDE_HU, SHAPE, describe, lobed, mark_of, run
from typer.testing import CliRunner

from weaklesion.cli import app
from weaklesion.errors import DataError
from weaklesion.marks.table import read_marks
from weaklesion.segment import describing
from weaklesion.segment.crops import open_mark
from weaklesion.segment.describing import write_trained_on
from weaklesion.segment.predictor import load_predictor
from weaklesion.segment.training_range import DEFAULT_WINDOW_HU, outside_training, window_for
from weaklesion.study.trained_on import TrainedOn, read_trained_on

CT = {
    "licence": "CC0-1.0",
    "modality": "CT",
    "channels": "grey",
    "window_hu": [-100, 200],
    "marks": "recist",
}


def trained(**values):
    return TrainedOn(**(CT | values))


@pytest.fixture
def slices(tmp_path):
    """One lesion as a slice of CT, 0.8 x 0.8 mm, and the row of its mark."""
    rng = np.random.default_rng(8)
    mask = lobed(rng)
    hounsfield = np.where(mask, INSIDE_HU, AROUND_HU) + rng.normal(0, 15, SHAPE)
    volume = nibabel.Nifti1Image(
        hounsfield.T[..., None].astype(np.int16), np.diag([0.8, 0.8, 2, 1])
    )
    volume.header.set_xyzt_units("mm")
    nibabel.save(volume, tmp_path / "v.nii")
    return mask, {"id": "l", "image": "v.nii"} | mark_of(mask)


def causes(folder):
    return pd.read_csv(folder / "out/refused.csv")["cause"].tolist()


def test_a_network_of_colours_refuses_grey_ct_by_name(model, tmp_path, slices):
    result, measured = run(model, tmp_path, [slices[1]])
    assert result.exit_code == 1
    assert len(measured) == 0
    (cause,) = causes(tmp_path)
    assert "v.nii is grey, as CT is," in cause
    assert "the network was trained on dermoscopy (colours)" in cause


def test_a_network_of_ct_refuses_colours_by_name(grey_model, tmp_path, images, slices):
    result, measured = run(grey_model, tmp_path, [*images[1], slices[1]])
    assert result.exit_code == 0, result.output  # the mark on CT is segmented
    assert list(measured.index) == ["l"]
    assert len(causes(tmp_path)) == 4
    for cause in causes(tmp_path):
        assert "is coloured near the mark, but the network was trained on CT (grey levels)" in cause


def test_a_run_of_before_is_refused_with_a_command_that_brings_it_up_to_date(
    model, tmp_path, images
):
    (model / "run.json").write_text("{}")
    result, _ = run(model, tmp_path, images[1])
    assert result.exit_code == 1
    assert "does not say what the network was trained on" in result.output
    assert "weaklesion describe-run" in result.output
    call = ["describe-run", str(model), "--modality", "dermoscopy", "--channels", "rgb"]
    asked = CliRunner().invoke(app, call)
    assert asked.exit_code == 1
    assert "--licence, --marks" in asked.output
    assert "--modality" not in asked.output
    call += ["--licence", "CC BY-NC 4.0", "--marks", "drawn", "--long-px", "10", "50"]
    done = CliRunner().invoke(app, call)
    assert done.exit_code == 0, done.output
    assert "dermoscopy (colours); licence CC BY-NC 4.0" in done.output
    result, measured = run(model, tmp_path, images[1])
    assert result.exit_code == 0, result.output
    assert len(measured) == 4


def test_describing_again_changes_only_what_is_given(model):
    (model / "run.json").write_text(json.dumps({"seed": 7}))
    first = ["--modality", "CT", "--channels", "grey", "--licence", "x", "--marks", "recist"]
    lacking = CliRunner().invoke(app, ["describe-run", str(model), *first])
    assert "--window" in lacking.output
    given = [*first, "--window", "-10", "90", "--spacing-mm", "0.5", "1"]
    assert CliRunner().invoke(app, ["describe-run", str(model), *given]).exit_code == 0
    changed = CliRunner().invoke(app, ["describe-run", str(model), "--licence", "CC0-1.0"])
    assert changed.exit_code == 0, changed.output
    assert json.loads((model / "run.json").read_text())["seed"] == 7
    assert read_trained_on(model / "run.json") == TrainedOn(
        licence="CC0-1.0",
        modality="CT",
        channels="grey",
        marks="recist",
        window_hu=(-10, 90),
        spacing_mm=(0.5, 1),
    )
    for option in ("--long-px", "--long-mm"):
        reversed_ends = ["describe-run", str(model), option, "60", "20"]
        assert "ascending order" in CliRunner().invoke(app, reversed_ends).output
    wrong = CliRunner().invoke(app, ["describe-run", str(model), "--window", "90", "-10"])
    assert wrong.exit_code == 1
    assert "window_hu: the lower number comes first" in wrong.output


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["--licence", "a\nb"], r"licence: needs to be one line of text, not 'a\nb'"),
        (["--licence", "a\n"], r"licence: needs to be one line of text, not 'a\n'"),
        (["--spacing-mm", "-1", "1"], "spacing_mm: needs numbers above 0, not [-1.0, 1.0]"),
        (["--spacing-mm", "0", "1"], "spacing_mm: needs numbers above 0, not [0.0, 1.0]"),
    ],
)
def test_values_that_no_data_have_are_refused(model, given, says):
    before = (model / "run.json").read_text()
    result = CliRunner().invoke(app, ["describe-run", str(model), *given])
    assert result.exit_code == 1, result.output
    assert says in result.output
    assert (model / "run.json").read_text() == before


@pytest.mark.parametrize("settings", [[1], 3, {"train_samples": "x"}, {"train_samples": True}])
def test_damaged_settings_of_a_run_are_named_where_sizes_are_measured(tmp_path, settings):
    patches = tmp_path / "patches"
    patches.mkdir()
    (patches / "samples.csv").write_text("id,split\na,train\n")
    np.save(patches / "images.npy", np.zeros((1, 8, 8, 1), np.uint8))
    (tmp_path / "run.json").write_text(json.dumps({"settings": settings}))
    with pytest.raises(DataError, match=r"run\.json: its settings are damaged"):
        write_trained_on(tmp_path, CT, patches)


def test_a_run_in_a_folder_near_the_root_is_described(monkeypatch, tmp_path):
    (tmp_path / "run.json").write_text("{}")
    monkeypatch.setattr(describing.Path, "resolve", lambda path: Path("/run"))
    assert write_trained_on(tmp_path, CT) == trained()


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"channels": "cmyk"}, "channels: 'cmyk' is none of rgb, bgr, grey"),
        ({"window_hu": [1]}, "window_hu: two numbers are needed"),
        ({"spacing_mm": [0.5, math.nan]}, "spacing_mm: two numbers are needed"),
        ({"long_px": {"p5": 1}}, "long_px: percentiles"),
        ({"licence": ""}, "licence: a text is needed"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_damaged_record_is_named(model, values, problem):
    describe(model, **values)
    with pytest.raises(DataError, match="`data` is damaged") as caught:
        read_trained_on(model / "run.json")
    assert problem in str(caught.value)


def test_the_window_is_that_of_the_training(grey_model, tmp_path, slices):
    """With the window -160 to 240 there is a lesion; with -1000 to -500 all is white."""
    _, row = slices
    run(grey_model, tmp_path, [row])
    assert causes(tmp_path) == []
    describe(grey_model, window_hu=[-1000, -500])
    run(grey_model, tmp_path, [row])
    assert "a single level near the mark" in causes(tmp_path)[0]


def test_another_window_is_refused_or_told(caplog):
    assert window_for(None, trained()) == window_for((-100, 200), trained()) == (-100, 200)
    for modality in ("CT", "unknown"):
        with pytest.raises(DataError, match="0 to 80 is not that of the training, -100 to 200"):
            window_for((0, 80), trained(modality=modality))
    assert not caplog.text
    assert window_for((0, 80), trained(modality="MR")) == (0, 80)
    assert "0 to 80, but the network was trained with -100 to 200" in caplog.text
    several = trained(window_hu=None)  # each image of DeepLesion had its own
    assert window_for(None, several) == DEFAULT_WINDOW_HU
    assert window_for((0, 80), several) == (0, 80)


def test_a_network_of_bgr_is_shown_bgr(model, tmp_path, images):
    """A picture whose colours are exchanged, so that the network of bgr sees the plain one."""
    _, rows = images
    levels = cv2.imread(str(tmp_path / rows[0]["image"]))  # BGR
    Image.fromarray(levels).save(tmp_path / "turned.png")
    network = load_predictor(model)
    pd.DataFrame([rows[0], rows[0] | {"id": "t", "image": "turned.png"}]).to_csv(
        tmp_path / "marks.csv", index=False
    )
    (plain, turned), _ = read_marks(tmp_path / "marks.csv")
    shown = [
        open_mark(mark, network.trained, replace(network.data, channels=channels), (0, 1))
        for mark, channels in ((plain, "rgb"), (turned, "bgr"), (turned, "rgb"))
    ]
    assert (shown[0].crop.image == shown[1].crop.image).all()
    assert (shown[0].crop.image != shown[2].crop.image).any()
    assert (shown[1].around == shown[2].around).all()  # the overlay has the picture's own colours


@pytest.mark.parametrize(
    ("row", "spacing", "words"),
    [
        ({"given_long_px": 30, "given_long_mm": 24}, (0.8, 0.8), ""),
        ({"given_long_px": 60.3}, None, ""),  # within rounding
        (
            {"given_long_px": 90, "given_long_mm": 24},
            (0.8, 0.8),
            "long diameter of 90 px, trained on 10 to 60",
        ),
        (
            {"given_long_px": 30, "given_long_mm": 75.5},
            (0.8, 2.5),
            "long diameter of 75.5 mm, trained on 8 to 50;"
            " 0.8 x 2.5 mm per px, trained on 0.6 to 1",
        ),
    ],
)
def test_where_a_mark_lies_outside_the_training(row, spacing, words):
    data = trained(
        long_px={"p0": 10, "p100": 60}, long_mm={"p0": 8, "p100": 50}, spacing_mm=[0.6, 1]
    )
    assert outside_training(row, spacing, data) == words
    assert outside_training(row, spacing, trained()) == ""  # nothing is known


def test_the_command_tells_which_marks_lie_outside(grey_model, tmp_path, slices, caplog):
    _, row = slices
    describe(grey_model, spacing_mm=[0.5, 0.7], long_px={"p0": 1, "p100": 500})
    result, measured = run(grey_model, tmp_path, [row])
    assert measured.loc["l", "outside_training"] == "0.8 mm per px, trained on 0.5 to 0.7"
    assert "line 2, l: outside what the network was trained on: 0.8 mm per px" in caplog.text
    assert "1 of 1 marks lie outside what the network was trained on" in result.output
    assert (
        "Outside what the network was trained on: 0.8 mm"
        in (tmp_path / "out/index.html").read_text()
    )
    describe(grey_model, spacing_mm=[0.5, 0.9])
    result, measured = run(grey_model, tmp_path, [row])
    assert measured["outside_training"].isna().all()
    assert "lie outside" not in result.output
