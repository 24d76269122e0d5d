"""`weaklesion segment`: marks on files of any kind, with a network whose answer is known."""

from dataclasses import replace

import cv2
import nibabel
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import ExifTags, Image
from typer.testing import CliRunner

import weaklesion.segment
from weaklesion import arms
from weaklesion.cli import app
from weaklesion.ellipse import Ellipse, draw_ellipse, fit_ellipse
from weaklesion.gate import answer
from weaklesion.inference import predict_prompted
from weaklesion.metrics import dice
from weaklesion.prompts import ellipse_rows
from weaklesion.recist import recist_from_ellipse
from weaklesion.samples import RECIST_COLUMNS
from weaklesion.training_settings import TrainingSettings

SHAPE = (120, 160)
INSIDE_HU, AROUND_HU = 120.0, -60.0


def lobed(rng, shape=SHAPE, size=1.0):
    """A lesion that is no ellipse: (H, W) bool."""
    yy, xx = np.mgrid[: shape[0], : shape[1]]
    cy, cx = shape[0] / 2 + size * rng.uniform(-8, 8), shape[1] / 2 + size * rng.uniform(-12, 12)
    waves = 1 + 0.22 * np.cos(3 * np.arctan2(yy - cy, xx - cx) + rng.uniform(0, 6))
    return np.hypot(yy - cy, (xx - cx) * rng.uniform(0.9, 1.3)) < size * rng.uniform(24, 32) * waves


def colored(mask, rng):
    """An image of a lesion, (H, W, 3) uint8."""
    levels = np.where(mask[..., None], (150, 90, 80), (205, 160, 140)) + rng.normal(
        0, 9, (*mask.shape, 3)
    )
    return cv2.GaussianBlur(levels, (0, 0), 1.0).clip(0, 255).round().astype(np.uint8)


def mark_of(mask):
    return dict(zip(RECIST_COLUMNS, recist_from_ellipse(fit_ellipse(mask)).ravel(), strict=True))


class Discriminating(torch.nn.Module):
    """A network whose answer is known: where the discriminant says inside."""

    def forward(self, inputs):
        return 8 * inputs[:, 5:6]


@pytest.fixture
def model(root, tmp_path, monkeypatch):
    """Folder of a run, whose network is the one above."""
    config = yaml.safe_load((root / "config.yaml").read_text())
    trained = TrainingSettings(**arms.training_settings(config, "ham10k", "source", "prompted"))
    monkeypatch.setattr(
        "weaklesion.segment.load_network", lambda *_: (Discriminating().eval(), trained)
    )
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("model.safetensors", "run.json"):
        (folder / name).write_text("{}")
    return folder


def run(model, folder, rows, *options):
    """Write marks, call the command, and return its result and its measurements by id."""
    table = folder / "marks.csv"
    if rows is not None:
        pd.DataFrame(rows).to_csv(table, index=False)
    call = ["segment", "--model", model, "--marks", table, "--out", folder / "out", *options]
    result = CliRunner().invoke(app, [str(part) for part in call])
    path = folder / "out" / "measurements.csv"
    return result, pd.read_csv(path).set_index("id") if path.is_file() else None


@pytest.fixture
def images(tmp_path):
    """Four lesions as PNG and JPG: masks by id, and rows of marks."""
    rng = np.random.default_rng(5)
    masks, rows = {}, []
    for number, ending in enumerate(("png", "jpg", "png", "jpg")):
        mask = lobed(rng)
        Image.fromarray(colored(mask, rng)).save(tmp_path / f"{number}.{ending}", quality=95)
        masks[f"m{number}"] = mask
        rows.append({"id": f"m{number}", "image": f"{number}.{ending}"} | mark_of(mask))
    return masks, rows


def read_png(path):
    return np.asarray(Image.open(path)) > 0


def test_masks_are_better_than_the_ellipses_of_marks(model, tmp_path, images):
    masks, rows = images
    result, measured = run(model, tmp_path, rows)
    assert result.exit_code == 0, result.output
    assert "4 marks segmented" in result.output
    for name, mask in masks.items():
        found = read_png(tmp_path / "out" / measured.loc[name, "mask"])
        ellipse = draw_ellipse(fit_ellipse(mask), SHAPE)
        assert dice(mask, found) > dice(mask, ellipse) + 0.01
        assert measured.loc[name, "area_px"] == found.sum()
        assert measured.loc[name, "answer"] == "network"
        overlay = np.asarray(Image.open(tmp_path / "out" / measured.loc[name, "overlay"]))
        assert overlay.shape[2] == 3
        assert (overlay == (0, 220, 90)).all(axis=2).sum() > 50


def test_measurements_in_mm_take_the_spacing_of_the_row(model, tmp_path, images):
    _, rows = images
    spaced = [row | {"spacing_x": 0.5, "spacing_y": 0.25} for row in rows[:1]] + rows[1:2]
    _, measured = run(model, tmp_path, spaced)
    row = measured.loc["m0"]
    assert row["area_mm2"] == pytest.approx(row["area_px"] * 0.125)
    assert 0.25 * row["long_px"] <= row["long_mm"] <= 0.5 * row["long_px"]
    assert np.isnan(measured.loc["m1", "long_mm"])


@pytest.mark.parametrize("ending", ["nii", "nii.gz"])
def test_a_slice_of_a_turned_volume_with_anisotropic_spacing(model, tmp_path, ending):
    """The mask has the volume's geometry, and lies on the lesion to the pixel."""
    rng = np.random.default_rng(7)
    mask = lobed(rng)
    volume = rng.normal(AROUND_HU, 15, (SHAPE[1], SHAPE[0], 6)).astype(np.float32)
    volume[..., 4][mask.T] += INSIDE_HU - AROUND_HU
    angle = np.radians(25)
    turn = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([-0.8, 0.6, 3.0])
    affine[:3, 3] = (31.0, -12.5, 400.0)
    nibabel.save(nibabel.Nifti1Image(volume, affine), tmp_path / f"volume.{ending}")
    row = {"id": "lesion", "image": f"volume.{ending}", "slice": 4} | mark_of(mask)
    result, measured = run(model, tmp_path, [row])
    assert result.exit_code == 0, result.output
    written = nibabel.load(tmp_path / "out" / measured.loc["lesion", "mask"])
    found = np.asarray(written.dataobj)
    assert found.shape == volume.shape
    assert written.affine == pytest.approx(affine, abs=1e-4)
    assert not np.delete(found, 4, axis=2).any()
    assert dice(mask, found[..., 4].T > 0) > 0.95
    # not moved by a pixel in any direction
    moved = {
        (dy, dx): dice(mask, np.roll(found[..., 4].T > 0, (dy, dx), (0, 1)))
        for dy in (-1, 0, 1)
        for dx in (-1, 0, 1)
    }
    assert max(moved, key=moved.get) == (0, 0)
    world = nibabel.affines.apply_affine(affine, np.argwhere(found).mean(axis=0))
    expected = nibabel.affines.apply_affine(affine, [*np.argwhere(mask.T).mean(axis=0), 4])
    assert np.linalg.norm(world - expected) < 0.8
    assert measured.loc["lesion", "area_mm2"] == pytest.approx(found.sum() * 0.48, rel=1e-4)


def test_a_16_bit_png_holds_hounsfield_units(model, tmp_path):
    rng = np.random.default_rng(8)
    mask = lobed(rng)
    hounsfield = np.where(mask, INSIDE_HU, AROUND_HU) + rng.normal(0, 15, SHAPE)
    cv2.imwrite(str(tmp_path / "slice.png"), (hounsfield + 32768).round().astype(np.uint16))
    result, measured = run(model, tmp_path, [{"id": "l", "image": "slice.png"} | mark_of(mask)])
    assert result.exit_code == 0, result.output
    assert dice(mask, read_png(tmp_path / "out" / measured.loc["l", "mask"])) > 0.95
    # a window in which both are white: nothing is to be seen, and nothing is made up
    _, blind = run(model, tmp_path, None, "--window", "-1000", "-500")
    assert len(blind) == 0
    refused = pd.read_csv(tmp_path / "out" / "refused.csv")
    assert "one level about the mark" in refused["cause"][0]
    assert not list((tmp_path / "out" / "masks").iterdir())


def test_the_command_segments_as_the_workflow_predicts(model, tmp_path, images):
    masks, rows = images
    ids = ["m0", "m2"]  # PNG
    network, trained = weaklesion.segment.load_network()
    pictures = np.stack([np.asarray(Image.open(tmp_path / f"{name[1]}.png")) for name in ids])
    prompts = ellipse_rows([fit_ellipse(masks[name]) for name in ids])
    logits = predict_prompted(network, pictures, prompts, trained)
    run(model, tmp_path, [row for row in rows if row["id"] in ids])
    for name, scores in zip(ids, logits, strict=True):
        found = read_png(tmp_path / "out" / "masks" / f"{name}.png")
        expected = answer(scores, fit_ellipse(masks[name]), gate=0.8).mask
        assert dice(expected, found) > 0.995


def test_units_of_a_volume_are_taken_into_account(model, tmp_path):
    rng = np.random.default_rng(3)
    mask = lobed(rng)
    volume = nibabel.Nifti1Image(
        np.where(mask, 100.0, 0.0).T.astype(np.float32), np.diag([500, 500, 1, 1])
    )
    volume.header.set_xyzt_units("micron")
    nibabel.save(volume, tmp_path / "v.nii")
    _, measured = run(model, tmp_path, [{"id": "l", "image": "v.nii"} | mark_of(mask)])
    row = measured.loc["l"]
    assert row["area_mm2"] == pytest.approx(row["area_px"] * 0.25)
    assert nibabel.load(tmp_path / "out" / row["mask"]).shape == (SHAPE[1], SHAPE[0])


def test_a_large_image_is_shrunk_for_the_network_and_its_mask_is_not(model, tmp_path):
    rng = np.random.default_rng(9)
    shape = (900, 1200)
    mask = lobed(rng, shape, size=7.0)
    Image.fromarray(colored(mask, rng)).save(tmp_path / "large.png")
    _, measured = run(model, tmp_path, [{"id": "l", "image": "large.png"} | mark_of(mask)])
    found = read_png(tmp_path / "out" / measured.loc["l", "mask"])
    assert found.shape == shape
    assert dice(mask, found) > dice(mask, draw_ellipse(fit_ellipse(mask), shape)) + 0.01


def test_a_mark_on_something_else_is_answered_by_its_ellipse(model, tmp_path, images):
    masks, rows = images
    true = fit_ellipse(masks["m0"])
    wrong = Ellipse(true.cx, true.cy, true.width / 3, true.height / 6, true.angle_deg + 45)
    given = dict(zip(RECIST_COLUMNS, recist_from_ellipse(wrong).ravel(), strict=True))
    result, measured = run(
        model, tmp_path, [rows[0], rows[0] | {"id": "wrong"} | given], "--gate", "0.8"
    )
    assert "1 marks segmented; 1 answered by their ellipse" in result.output
    row = measured.loc["wrong"]
    assert (row["answer"], row["agrees"]) == ("ellipse", False)
    assert row["agreement"] < 0.8
    found = read_png(tmp_path / "out" / row["mask"])
    assert (found == draw_ellipse(wrong, SHAPE)).all()


def test_each_bad_mark_is_refused_with_its_cause_and_the_rest_goes_through(model, tmp_path, images):
    _, rows = images
    good, first = rows[0], rows[1]
    ends = {name: first[name] for name in RECIST_COLUMNS}
    long_as_short = {name: ends[name.replace("short", "long")] for name in RECIST_COLUMNS}
    beside = dict(zip(RECIST_COLUMNS, [30, 60, 90, 60, 135, 40, 135, 80], strict=True))
    slanted = dict(zip(RECIST_COLUMNS, [30, 60, 90, 60, 40, 55, 80, 65], strict=True))
    unit = dict(zip(RECIST_COLUMNS, [0.3, 0.6, 0.9, 0.6, 0.5, 0.4, 0.5, 0.8], strict=True))
    no_length = ends | {"short_b_x": ends["short_a_x"], "short_b_y": ends["short_a_y"]}
    one_only = ends | {name: "" for name in RECIST_COLUMNS if name.startswith("short")}
    bad = {
        "outside": (first | {"long_a_x": 400.0}, "outside the image of 160x120 px"),
        "length": (first | no_length, "short diameter has no length"),
        "crossed": (first | beside, "do not cross"),
        "slanted": (first | slanted, "14 degrees apart"),
        "unit": (first | unit, "covers no pixel: are its numbers px"),
        "parallel": (first | long_as_short, "parallel"),
        "one": (first | one_only, "only one diameter is given, the short one is missing"),
        "none": (first | dict.fromkeys(RECIST_COLUMNS, ""), "no diameter is given"),
        "half": (first | {"short_b_y": ""}, "short_b_y: nothing is given"),
        "word": (first | {"long_a_y": "left"}, "long_a_y is 'left', which is no number"),
        "infinite": (first | {"long_a_y": "inf"}, "not finite"),
        "lost": (first | {"image": "nowhere.png"}, "there is no image"),
        "text": (first | {"image": "marks.csv"}, "cannot be read as an image"),
        "volume": (first | {"slice": 3}, "is no volume"),
        "spacing": (first | {"spacing_x": 1.0}, "one is given without the other"),
        "m0": (first, "the id m0 is that of line 2, too"),
        "../up": (first, "cannot name a file"),
        "ö" * 120: (first, "cannot name a file"),
    }
    table = [good, *(row | {"id": name} for name, (row, _) in bad.items())]
    result, measured = run(model, tmp_path, table)
    assert result.exit_code == 0, result.output
    assert (
        "1 marks segmented; 0 answered by their ellipse, for the network disagrees with the mark;"
        f" {len(bad)} refused" in result.output
    )
    assert list(measured.index) == ["m0"]
    refused = pd.read_csv(tmp_path / "out" / "refused.csv")
    assert refused["line"].tolist() == list(range(3, 3 + len(bad)))
    for (_, cause), row in zip(bad.values(), refused.itertuples(), strict=True):
        assert pd.Series([row.cause]).str.contains(cause).all(), (row.id, row.cause)


def test_files_that_cannot_be_used_are_refused(model, tmp_path, images):
    _, rows = images
    volume = nibabel.Nifti1Image(np.zeros((160, 120, 3), np.float32), np.eye(4))
    nibabel.save(volume, tmp_path / "v.nii.gz")
    (tmp_path / "cut.nii.gz").write_bytes((tmp_path / "v.nii.gz").read_bytes()[:60])
    table = [
        rows[0] | {"slice": ""},
        rows[1] | {"image": "v.nii.gz", "slice": 3},
        rows[2] | {"image": "v.nii.gz", "slice": ""},
        rows[3] | {"image": "cut.nii.gz", "slice": 0},
        rows[3] | {"id": "m4", "image": "v.nii.gz", "slice": 1.5},
        rows[3] | {"id": "m5", "image": "flipped.nii.gz", "slice": 2},
        rows[3] | {"id": "m6", "image": "rgb.nii", "slice": 0},
        rows[3] | {"id": "m7", "image": "turned.jpg"},
        rows[3] | {"id": "m8", "image": "float.tif"},
        rows[3] | {"id": "m9", "image": "black.png"},
        rows[3] | {"id": "m10", "image": "odd.nii", "slice": 0},
    ]
    noise = np.random.default_rng(0).normal(0, 50, (160, 120, 3)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(noise, np.eye(4)), tmp_path / "flipped.nii.gz")
    flipped = bytearray((tmp_path / "flipped.nii.gz").read_bytes())
    flipped[60:100] = b"\xff" * 40  # neither a block of data nor its length
    (tmp_path / "flipped.nii.gz").write_bytes(flipped)
    colors = np.zeros((160, 120, 3), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    nibabel.save(nibabel.Nifti1Image(colors, np.eye(4)), tmp_path / "rgb.nii")
    nibabel.save(nibabel.Nifti1Image(noise, np.eye(4)), tmp_path / "odd.nii")
    odd = bytearray((tmp_path / "odd.nii").read_bytes())
    odd[123] = 5  # xyzt_units
    (tmp_path / "odd.nii").write_bytes(odd)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.new("RGB", (160, 120)).save(tmp_path / "turned.jpg", exif=exif)
    Image.new("F", (160, 120)).save(tmp_path / "float.tif")
    Image.new("RGB", (160, 120)).save(tmp_path / "black.png")
    run(model, tmp_path, table)
    causes = pd.read_csv(tmp_path / "out" / "refused.csv").set_index("id")["cause"]
    assert "slice 3 is none of v.nii.gz, which has 3" in causes["m1"]
    assert "has 3 slices, and none is named" in causes["m2"]
    assert "cut.nii.gz" in causes["m3"]
    assert "no index from 0" in causes["m4"]
    assert "flipped.nii.gz cannot be read as NIfTI" in causes["m5"]
    assert "has values of type" in causes["m6"]
    assert causes["m7"].startswith("turned.jpg is stored turned (EXIF orientation 6)")
    assert causes["m8"].startswith("float.tif has levels of no known scale (32-bit floats)")
    assert "one level about the mark" in causes["m9"]
    assert causes["m10"].startswith("odd.nii has a unit of length that NIfTI does not know")


def test_a_call_that_was_stopped_goes_on(model, tmp_path, images):
    _, rows = images
    run(model, tmp_path, rows[:2])
    out = tmp_path / "out"
    first = {path.name: path.stat().st_mtime_ns for path in (out / "masks").iterdir()}
    with (out / "journal.jsonl").open("a") as journal:
        journal.write('{"key": "cut o')  # killed while writing
    (out / "measurements.csv").unlink()
    _, measured = run(model, tmp_path, rows)
    assert list(measured.index) == ["m0", "m1", "m2", "m3"]
    for name, time in first.items():
        assert (out / "masks" / name).stat().st_mtime_ns == time
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    for path in tmp_path.glob("[0-9].*"):
        (fresh / path.name).write_bytes(path.read_bytes())
    _, straight = run(model, fresh, rows)
    columns = [name for name in measured if name != "image"]
    pd.testing.assert_frame_equal(measured[columns], straight[columns])
    # lines of the table are those of this call; threads change nothing; other marks' masks are left
    _, measured = run(model, tmp_path, rows[::-1][:3], "--threads", "1")
    assert measured["line"].to_dict() == {"m3": 2, "m2": 3, "m1": 4}
    assert (out / "masks" / "m1.png").stat().st_mtime_ns == first["m1.png"]
    assert (out / "masks" / "m0.png").stat().st_mtime_ns == first["m0.png"]
    # another mark, or a mask that is gone, is done again
    (out / "masks" / "m1.png").unlink()
    moved = [rows[0] | {"long_a_x": rows[0]["long_a_x"] + 2}, *rows[1:]]
    run(model, tmp_path, moved)
    assert (out / "masks" / "m1.png").is_file()
    assert (out / "masks" / "m0.png").stat().st_mtime_ns > first["m0.png"]
    # what is done is kept, too, where the journal has earlier answers under the same id
    done = {path: path.stat().st_mtime_ns for path in (out / "masks").iterdir()}
    run(model, tmp_path, moved)
    assert {path: path.stat().st_mtime_ns for path in (out / "masks").iterdir()} == done
    run(model, tmp_path, moved, "--gate", "0.5")
    assert all(path.stat().st_mtime_ns > time for path, time in done.items())


def test_tables_as_spreadsheets_write_them(model, tmp_path, images):
    _, rows = images
    lines = pd.DataFrame(rows[:2]).to_csv(index=False).splitlines()
    head = lines[0].replace("image", " image ")
    text = "\ufeff" + "\r\n".join([head + ",", lines[1] + ",", "", lines[2] + ","]) + "\r\n"
    (tmp_path / "marks.csv").write_text(text, encoding="utf-8", newline="")
    result, measured = run(model, tmp_path, None)
    assert result.exit_code == 0, result.output
    assert measured["line"].to_dict() == {"m0": 2, "m1": 4}


def test_decimal_commas_are_refused_and_the_line_is_named(model, tmp_path, images):
    _, rows = images
    lines = pd.DataFrame(rows[:3]).to_csv(index=False).splitlines()
    lines[2] = lines[2].replace(".", ",").replace(",jpg", ".jpg")
    (tmp_path / "marks.csv").write_text("\n".join(lines) + "\n")
    _, measured = run(model, tmp_path, None)
    assert list(measured.index) == ["m0", "m2"]
    (row,) = pd.read_csv(tmp_path / "out/refused.csv").to_dict("records")
    assert (row["line"], row["id"]) == (3, "m1")
    assert "fields, and the header has 10: decimal commas?" in row["cause"]


def test_mm_are_those_of_the_affine_that_the_mask_is_written_with(model, tmp_path):
    rng = np.random.default_rng(3)
    mask = lobed(rng)
    levels = np.where(mask, 100.0, 0.0).T.astype(np.float32)
    volume = nibabel.Nifti1Image(levels, np.diag([0.8, 0.5, 1, 1]))
    nibabel.save(volume, tmp_path / "v.nii")
    content = bytearray((tmp_path / "v.nii").read_bytes())
    content[80:88] = np.array([2.0, 2.0], "<f4").tobytes()  # pixdim, which says something else
    (tmp_path / "v.nii").write_bytes(content)
    assert nibabel.load(tmp_path / "v.nii").header.get_zooms() == (2.0, 2.0)
    _, measured = run(model, tmp_path, [{"id": "l", "image": "v.nii"} | mark_of(mask)])
    row = measured.loc["l"]
    assert row["area_mm2"] == pytest.approx(row["area_px"] * 0.4)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("image\n", "lacks the column long_a_x"),
        (",".join(["image", *RECIST_COLUMNS]) + "\n", "has no row"),
        ("", "is empty"),
        ('image\n"x', "cannot be read as a table"),
    ],
)
def test_a_table_that_is_none_stops_the_call(model, tmp_path, text, cause):
    (tmp_path / "marks.csv").write_text(text)
    result, _ = run(model, tmp_path, None)
    assert result.exit_code == 1
    assert cause in result.output


def test_a_full_disk_stops_the_call(model, tmp_path, images, monkeypatch):
    _, rows = images
    monkeypatch.setattr("weaklesion.mark_files.cv2.imwrite", lambda *_: False)
    result, measured = run(model, tmp_path, rows)
    assert result.exit_code == 1
    assert "cannot be written. Check permissions and space; run it again." in result.output
    assert measured is None


def test_a_folder_without_a_network_that_sees_marks(tmp_path, images):
    _, rows = images
    result, _ = run(tmp_path, tmp_path, rows)
    assert result.exit_code == 1
    assert "has no model.safetensors" in result.output
    for name in ("model.safetensors", "run.json"):
        (tmp_path / name).write_text('{"settings": {"model": "prompted"}}')
    result, _ = run(tmp_path, tmp_path, rows)
    assert result.exit_code == 1
    assert "not the description of a run of this version" in result.output


def test_a_network_that_does_not_see_marks_is_refused(model, tmp_path, images, monkeypatch):
    _, trained = weaklesion.segment.load_network()
    other = replace(trained, model="a1", prompt=None)
    monkeypatch.setattr("weaklesion.segment.load_network", lambda *_: (Discriminating(), other))
    result, _ = run(model, tmp_path, images[1])
    assert result.exit_code == 1
    assert "a1 sees no marks" in result.output
