"""`weaklesion segment`: masks, measurements and geometry, with a network whose answer is known."""

from dataclasses import replace
from html import unescape

import cv2
import nibabel
import numpy as np
import pandas as pd
import pytest
import SimpleITK
import torch
from PIL import Image
from segmenting import (
    AROUND_HU,
    INSIDE_HU,
    SHAPE,
    Discriminating,
    colored,
    describe,
    lobed,
    mark_of,
    read_png,
    run,
)

import weaklesion.prediction.network
from weaklesion.diameters import recist_from_mask
from weaklesion.ellipse import Ellipse, draw_ellipse, fit_ellipse
from weaklesion.four_ends import FourEnds
from weaklesion.metrics import dice
from weaklesion.prediction.gate import gated_mask
from weaklesion.prediction.tasks.prompted import predict_prompted
from weaklesion.recist import RECIST_COLUMNS, measure_recist, recist_from_ellipse
from weaklesion.segment.outputs import write_mask
from weaklesion.segment.run import segment_marks
from weaklesion.segment.settings import SegmentSettings
from weaklesion.training.prompts import mark_rows


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


def test_where_pixels_are_not_square_diameters_are_compared_as_they_are_in_the_patient(
    model, tmp_path
):
    """Along y a px is 3 mm: what is longer in px is shorter in mm, of the mask and of the mark."""
    rng = np.random.default_rng(11)
    mask = draw_ellipse(Ellipse(80.0, 60.0, 60.0, 36.0, 0.0), SHAPE)
    Image.fromarray(colored(mask, rng)).save(tmp_path / "x.png")
    row = {"id": "l", "image": "x.png", "spacing_x": 1.0, "spacing_y": 3.0} | mark_of(mask)
    _, measured = run(model, tmp_path, [row])
    found = measured.loc["l"]
    assert found["given_long_mm"] == pytest.approx(108, abs=2)
    assert found["given_short_mm"] == pytest.approx(60, abs=2)
    assert found["given_long_px"] == pytest.approx(36, abs=1)
    for which in ("long", "short"):
        for unit, most in (("px", 2), ("mm", 4)):
            difference = found[f"{which}_difference_{unit}"]
            assert difference == pytest.approx(
                found[f"{which}_{unit}"] - found[f"given_{which}_{unit}"], abs=1e-3
            )
            assert abs(difference) < most


@pytest.mark.parametrize("codes", [(0, 0), (1, 0), (1, 2), (0, 1)], ids=str)
def test_other_readers_see_a_mask_in_its_volumes_geometry(grey_model, tmp_path, codes):
    mask = lobed(np.random.default_rng(7))
    levels = np.where(mask, 100.0, 0.0).T.astype(np.float32)[..., None]
    volume = nibabel.Nifti1Image(levels, None)
    forms = [np.diag([-0.8, 0.6, 3.0, 1.0]), np.diag([-0.8, 0.6, 3.0, 1.0])]
    forms[0][:3, 3], forms[1][:3, 3] = (-30, 12, 400), (-40, 2, 410)
    volume.header.set_qform(forms[0], codes[0])
    volume.header.set_sform(forms[1], codes[1])
    volume = nibabel.Nifti1Image(levels, None, volume.header)
    nibabel.save(volume, tmp_path / "v.nii.gz")
    _, measured = run(grey_model, tmp_path, [{"id": "l", "image": "v.nii.gz"} | mark_of(mask)])
    read = [
        SimpleITK.ReadImage(str(path))
        for path in (tmp_path / "v.nii.gz", tmp_path / "out" / measured.loc["l", "mask"])
    ]
    for name in ("GetOrigin", "GetDirection", "GetSpacing", "GetSize"):
        image, written = (getattr(each, name)() for each in read)
        assert written == pytest.approx(image, abs=1e-6), name
    assert dice(mask, SimpleITK.GetArrayFromImage(read[1])[0] > 0) > 0.95


def test_a_mask_of_a_volume_is_of_its_kind_of_file_without_what_else_it_says(grey_model, tmp_path):
    mask = lobed(np.random.default_rng(7))
    levels = np.where(mask, 1000.0, 0.0).T.astype(np.int16)[..., None]
    volume = nibabel.Nifti2Image(levels, np.diag([0.8, 0.8, 3, 1]))
    volume.header.set_slope_inter(0.1, -5)
    volume.header["cal_max"] = 400
    volume.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"a name"))
    nibabel.save(volume, tmp_path / "v.nii")
    _, measured = run(grey_model, tmp_path, [{"id": "l", "image": "v.nii"} | mark_of(mask)])
    written = nibabel.load(tmp_path / "out" / measured.loc["l", "mask"])
    assert isinstance(written, nibabel.Nifti2Image)
    assert written.get_data_dtype() == np.uint8
    assert set(np.unique(written.dataobj)) == {0, 1}
    assert written.header["cal_max"] == 0
    assert len(written.header.extensions) == 0


@pytest.mark.parametrize("ending", ["nii", "nii.gz"])
def test_a_slice_of_a_turned_volume_with_anisotropic_spacing(grey_model, tmp_path, ending):
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
    result, measured = run(grey_model, tmp_path, [row])
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


def test_a_16_bit_png_holds_hounsfield_units(grey_model, tmp_path):
    rng = np.random.default_rng(8)
    mask = lobed(rng)
    hounsfield = np.where(mask, INSIDE_HU, AROUND_HU) + rng.normal(0, 15, SHAPE)
    cv2.imwrite(str(tmp_path / "slice.png"), (hounsfield + 32768).round().astype(np.uint16))
    result, measured = run(
        grey_model, tmp_path, [{"id": "l", "image": "slice.png"} | mark_of(mask)]
    )
    assert result.exit_code == 0, result.output
    assert dice(mask, read_png(tmp_path / "out" / measured.loc["l", "mask"])) > 0.95
    # a window in which both are white: nothing is to be seen, and nothing is made up
    describe(grey_model, window_hu=[-1000, -500])
    _, blind = run(grey_model, tmp_path, None)
    assert len(blind) == 0
    refused = pd.read_csv(tmp_path / "out" / "refused.csv")
    assert refused["cause"][0].endswith(
        "single level near the mark: are its Hounsfield units outside the window -1000 to -500?"
    )
    assert not list((tmp_path / "out" / "masks").iterdir())


@pytest.mark.parametrize("scale", [257, 200], ids=["full range", "most of the range"])
def test_grey_that_fills_16_bits_is_refused_by_name(grey_model, tmp_path, scale):
    """As programs export MR: neither wholly below the window nor of one level."""
    rng = np.random.default_rng(8)
    mask = lobed(rng)
    levels = (np.where(mask, 170, 90) + rng.normal(0, 8, SHAPE)).clip(0, 255)
    cv2.imwrite(str(tmp_path / "mr.png"), (levels * scale).astype(np.uint16))
    result, _ = run(grey_model, tmp_path, [{"id": "l", "image": "mr.png"} | mark_of(mask)])
    assert result.exit_code == 1
    cause = pd.read_csv(tmp_path / "out" / "refused.csv")["cause"][0]
    assert cause.startswith("mr.png has 16 bits, read as HU + 32768, but ")
    assert "does its grey fill the whole range from 0 to 65535" in cause
    assert cause.endswith("Save it with 8 bits (level / 257), or its scan as .nii.gz")


@pytest.mark.parametrize("padding", [-1024, -2000, -3024])
def test_padding_and_metal_in_16_bits_are_no_other_scale(grey_model, tmp_path, padding):
    rng = np.random.default_rng(8)
    mask = lobed(rng)
    hounsfield = np.where(mask, INSIDE_HU, AROUND_HU) + rng.normal(0, 15, SHAPE)
    hounsfield[:, 110:] = padding  # beside the lesion, outside the field of view
    hounsfield[50:60, 70:80] = 30000
    cv2.imwrite(str(tmp_path / "ct.png"), (hounsfield + 32768).round().astype(np.uint16))
    result, measured = run(grey_model, tmp_path, [{"id": "l", "image": "ct.png"} | mark_of(mask)])
    assert result.exit_code == 0, result.output
    assert list(measured.index) == ["l"]


class Dark(torch.nn.Module):
    """A network that ignores the mark: dark is lesion."""

    def forward(self, inputs):
        return 8 * (0.15 - inputs[:, 1:2])


@pytest.mark.parametrize("options", [[], ["--consistent"]])
def test_a_right_mask_agrees_with_its_mark_also_where_pixels_are_not_square(
    model_of_ends, tmp_path, monkeypatch, options
):
    """The mark is perpendicular in mm, so it is oblique in px."""
    _, trained = weaklesion.prediction.network.load_network()
    network = "weaklesion.prediction.network.load_network"
    monkeypatch.setattr(network, lambda *_: (Dark().eval(), trained))
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    y, x = (y - 60) * 3.0, x - 80.0
    turn = np.radians(120)
    along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    waves = 1 + 0.12 * np.cos(3 * np.arctan2(across, along) + 1)
    mask = np.hypot(along, across * 1.4) < 60 * waves
    Image.fromarray(colored(mask, np.random.default_rng(4))).save(tmp_path / "x.png")
    row = {"id": "l", "image": "x.png", "spacing_x": 1.0, "spacing_y": 3.0}
    row |= dict(zip(RECIST_COLUMNS, measure_recist(mask, (3.0, 1.0)).points.ravel(), strict=True))
    _, measured = run(model_of_ends, tmp_path, [row], *options)
    assert measured.loc["l", "answer"] == "network"
    assert measured.loc["l", "agreement"] > 0.93
    assert dice(mask, read_png(tmp_path / "out" / measured.loc["l", "mask"])) > 0.93


def test_the_command_segments_as_the_workflow_predicts(model, tmp_path, images):
    masks, rows = images
    ids = ["m0", "m2"]  # PNG
    network, trained = weaklesion.prediction.network.load_network()
    pictures = np.stack([np.asarray(Image.open(tmp_path / f"{name[1]}.png")) for name in ids])
    prompts = mark_rows([fit_ellipse(masks[name]) for name in ids])
    logits = predict_prompted(network, pictures, prompts, trained)
    run(model, tmp_path, [row for row in rows if row["id"] in ids])
    for name, scores in zip(ids, logits, strict=True):
        found = read_png(tmp_path / "out" / "masks" / f"{name}.png")
        expected = gated_mask(scores, fit_ellipse(masks[name]), gate=0.8).mask
        assert dice(expected, found) > 0.995


def test_the_callers_threads_are_left_as_they_are(model, tmp_path, images, monkeypatch):
    network, trained = weaklesion.prediction.network.load_network()
    seen = set()
    network.register_forward_pre_hook(lambda *_: seen.add(torch.get_num_threads()))
    load = "weaklesion.prediction.network.load_network"
    monkeypatch.setattr(load, lambda *_: (network, trained))
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        pd.DataFrame(images[1]).to_csv(tmp_path / "marks.csv", index=False)
        segment_marks(
            model_dir=model,
            marks_csv=tmp_path / "marks.csv",
            out_dir=tmp_path / "out",
            settings=SegmentSettings(threads=1),
        )
        assert seen == {1}
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_a_network_of_four_ends_is_given_them(model_of_ends, tmp_path, images):
    """Here the discriminant of the shape through the ends, and their gate."""
    masks, rows = images
    ids = ["m0", "m2"]  # PNG
    network, trained = weaklesion.prediction.network.load_network()
    pictures = np.stack([np.asarray(Image.open(tmp_path / f"{name[1]}.png")) for name in ids])
    ends = {name: recist_from_mask(masks[name]) for name in ids}
    marks = [FourEnds(ends[name], trained.prompt["exponent"]) for name in ids]
    logits = predict_prompted(network, pictures, mark_rows(marks), trained)
    rows = [
        row | dict(zip(RECIST_COLUMNS, ends[row["id"]].ravel(), strict=True))
        for row in rows
        if row["id"] in ids
    ]
    _, measured = run(model_of_ends, tmp_path, rows)
    assert set(measured["answer"]) == {"network"}
    for name, mark, scores in zip(ids, marks, logits, strict=True):
        found = read_png(tmp_path / "out" / "masks" / f"{name}.png")
        expected = gated_mask(scores, mark, gate=0.8)
        assert dice(expected.mask, found) > 0.995
        assert measured.loc[name, "agreement"] == pytest.approx(expected.agreement, abs=0.02)


def test_where_it_disagrees_the_shape_through_the_ends_is_returned(model_of_ends, tmp_path, images):
    masks, rows = images
    true = fit_ellipse(masks["m0"])
    wrong = Ellipse(true.cx, true.cy, true.width / 3, true.height / 6, true.angle_deg + 45)
    ends = recist_from_ellipse(wrong) + np.array([[0, 0], [0, 0], [1, 0], [1, 0]])
    given = dict(zip(RECIST_COLUMNS, ends.ravel(), strict=True))
    table = [rows[0], rows[0] | {"id": "wrong"} | given]
    result, measured = run(model_of_ends, tmp_path, table)
    assert measured.loc["wrong", "answer"] == "ends"
    assert "1 fell back to the mark's own shape" in result.output
    found = read_png(tmp_path / "out" / "masks" / "wrong.png")
    assert (found == FourEnds(ends, 1.6).drawn(found.shape)).all()
    page = unescape((tmp_path / "out" / "index.html").read_text())
    assert "the shape through the mark's four ends instead of the network's mask" in page


def test_units_of_a_volume_are_taken_into_account(grey_model, tmp_path):
    rng = np.random.default_rng(3)
    mask = lobed(rng)
    volume = nibabel.Nifti1Image(
        np.where(mask, 100.0, 0.0).T.astype(np.float32), np.diag([500, 500, 1, 1])
    )
    volume.header.set_xyzt_units("micron")
    nibabel.save(volume, tmp_path / "v.nii")
    _, measured = run(grey_model, tmp_path, [{"id": "l", "image": "v.nii"} | mark_of(mask)])
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
    assert "1 marks segmented by the network; 1 fell back to the mark's own" in result.output
    row = measured.loc["wrong"]
    assert (row["answer"], row["agrees"]) == ("ellipse", False)
    assert row["agreement"] < 0.8
    found = read_png(tmp_path / "out" / row["mask"])
    assert (found == draw_ellipse(wrong, SHAPE)).all()


def test_whether_a_mask_agrees_is_said_whatever_the_gate(model, tmp_path, images):
    masks, rows = images
    true = fit_ellipse(masks["m0"])
    wrong = Ellipse(true.cx, true.cy, true.width / 3, true.height / 6, true.angle_deg + 45)
    given = dict(zip(RECIST_COLUMNS, recist_from_ellipse(wrong).ravel(), strict=True))
    table = [rows[0], rows[0] | {"id": "wrong"} | given]
    _, measured = run(model, tmp_path, table, "--gate", "0")
    assert list(measured["answer"]) == ["network", "network"]
    assert list(measured["agrees"]) == [True, False]
    _, gated = run(model, tmp_path, table)
    assert list(gated["answer"]) == ["network", "ellipse"]
    assert list(gated["agreement"]) == list(measured["agreement"])
    # the mask that was not returned is in the overlay
    overlay = np.asarray(Image.open(tmp_path / "out/overlays/wrong.png"))
    red = (overlay == (230, 60, 60)).all(axis=2)
    assert red.sum() > 50
    assert cv2.connectedComponents(red.astype(np.uint8))[0] > 40  # dashes; 16 parts without


def test_a_network_that_sees_nothing_is_not_counted_as_an_answer(
    model, tmp_path, images, monkeypatch
):
    _, rows = images
    monkeypatch.setattr(Discriminating, "forward", lambda self, inputs: -5 + 0 * inputs[:, 5:6])
    result, measured = run(model, tmp_path, rows[:1], "--gate", "0")
    assert "The network found no lesion for 1 marks" in result.output
    assert (measured.loc["m0", "answer"], measured.loc["m0", "agrees"]) == ("empty", False)
    assert np.isnan(measured.loc["m0", "long_px"])
    result, measured = run(model, tmp_path, rows[:1])
    assert measured.loc["m0", "answer"] == "ellipse"


def test_mm_are_those_of_the_affine_that_the_mask_is_written_with(grey_model, tmp_path):
    rng = np.random.default_rng(3)
    mask = lobed(rng)
    levels = np.where(mask, 100.0, 0.0).T.astype(np.float32)
    volume = nibabel.Nifti1Image(levels, np.diag([0.8, 0.5, 1, 1]))
    nibabel.save(volume, tmp_path / "v.nii")
    content = bytearray((tmp_path / "v.nii").read_bytes())
    content[80:88] = np.array([2.0, 2.0], "<f4").tobytes()  # pixdim, which says something else
    (tmp_path / "v.nii").write_bytes(content)
    assert nibabel.load(tmp_path / "v.nii").header.get_zooms() == (2.0, 2.0)
    _, measured = run(grey_model, tmp_path, [{"id": "l", "image": "v.nii"} | mark_of(mask)])
    row = measured.loc["l"]
    assert row["area_mm2"] == pytest.approx(row["area_px"] * 0.4)


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
    _, trained = weaklesion.prediction.network.load_network()
    other = replace(trained, model="a1", prompt=None)
    monkeypatch.setattr(
        "weaklesion.prediction.network.load_network", lambda *_: (Discriminating(), other)
    )
    result, _ = run(model, tmp_path, images[1])
    assert result.exit_code == 1
    assert "a1 does not read marks" in result.output


def test_a_mask_carries_no_text_of_its_volumes_header(tmp_path):
    volume = nibabel.Nifti1Image(np.zeros((4, 5, 2), np.int16), np.eye(4))
    names = ("descrip", "aux_file", "db_name", "intent_name")
    for name in names:
        volume.header[name] = b"DOE JOHN"
    write_mask(tmp_path / "mask.nii", np.ones((5, 4), np.uint8), 0, volume)
    assert [nibabel.load(tmp_path / "mask.nii").header[name].item() for name in names] == [b""] * 4
    assert b"DOE" not in (tmp_path / "mask.nii").read_bytes()
