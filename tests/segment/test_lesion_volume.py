"""`weaklesion segment --volume`, with a network whose answer is known."""

import cv2
import nibabel
import numpy as np
import pandas as pd
import pytest
from documented_columns import PAGE, documented
from PIL import Image
from segmenting import colored, lobed, mark_of, run

from weaklesion.recist import RECIST_COLUMNS, measure_recist
from weaklesion.segment.outputs import MEASURED, MEASURED_IN_3D

SIZES = (0.8, 0.8, 4.0)
SHAPE = (110, 90, 16)
INDEX = 8


def lesion(waves=0.12):
    """A lobed lesion of 40 by 36 by 40 mm, and its image in Hounsfield units."""
    x, y, z = np.mgrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    x, y, z = (x - 54) * 0.8 / 20, (y - 44) * 0.8 / 18, (z - INDEX) * 4 / 20
    mask = np.sqrt(x**2 + y**2 + z**2) <= 1 + waves * np.cos(3 * np.arctan2(y, x))
    noise = np.random.default_rng(1).normal(0, 15, SHAPE)
    return mask, (np.where(mask, 120.0, -60.0) + noise).astype(np.int16)


def save(path, image, affine=None):
    affine = np.diag([*SIZES, 1.0]) if affine is None else affine
    affine[:3, 3] = (-40, 12, 300)
    nibabel.save(nibabel.Nifti1Image(image, affine), path)


def row_of(mask, name="v.nii.gz"):
    mark = measure_recist(mask[:, :, INDEX].T).points.ravel()
    return {"id": "l", "image": name, "slice": INDEX} | dict(zip(RECIST_COLUMNS, mark, strict=True))


def overlap(first, second):
    return 2 * (first & second).sum() / (first.sum() + second.sum())


@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, -1, -1)], ids=str)
def test_the_lesion_is_written_on_the_grid_of_its_volume(grey_model, tmp_path, signs):
    mask, image = lesion()
    affine = np.diag([*np.multiply(SIZES, signs), 1.0])
    save(tmp_path / "v.nii.gz", image, affine)
    result, measured = run(grey_model, tmp_path, [row_of(mask)], "--volume")
    assert result.exit_code == 0, result.output
    row = measured.loc["l"]
    assert row["volume_answer"] == "levels"
    assert "the network's slices overlap the levels by 0.9" in row["volume_reason"]
    written = nibabel.load(tmp_path / "out" / row["volume"])
    assert written.get_data_dtype() == np.uint8
    assert written.affine == pytest.approx(nibabel.load(tmp_path / "v.nii.gz").affine)
    found = np.asarray(written.dataobj) > 0
    assert overlap(mask, found) > 0.9
    assert row["volume_mm3"] == pytest.approx(found.sum() * 2.56)
    assert row["volume_low_mm3"] < row["volume_mm3"] < row["volume_high_mm3"]
    assert row["axis_long_mm"] == pytest.approx(44, abs=6)
    filled = np.flatnonzero(found.any(axis=(0, 1)))
    assert (row["first_slice"], row["last_slice"]) == (filled[0], filled[-1])
    for method in ("network", "levels", "ellipsoid"):
        assert row[f"volume_{method}_mm3"] == pytest.approx(mask.sum() * 2.56, rel=0.3)
    # the marked slice's own mask stays in the file that it has without the option
    slice_alone = np.asarray(nibabel.load(tmp_path / "out" / row["mask"]).dataobj)
    assert np.flatnonzero(slice_alone.any(axis=(0, 1))).tolist() == [INDEX]


def test_the_sheet_shows_all_slices_and_two_cuts(grey_model, tmp_path):
    mask, image = lesion()
    save(tmp_path / "v.nii.gz", image)
    _, measured = run(grey_model, tmp_path, [row_of(mask)], "--volume")
    row = measured.loc["l"]
    sheet = np.asarray(Image.open(tmp_path / "out" / row["sheet"]))
    shown = row["last_slice"] - row["first_slice"] + 3
    assert sheet.shape[0] == 128 * -(-(shown + 2) // 8)
    assert (sheet == (0, 220, 90)).all(axis=2).sum() > 500
    framed = (sheet == (255, 200, 0)).all(axis=2).astype(np.uint8)
    assert cv2.connectedComponentsWithStats(framed)[2][1:, cv2.CC_STAT_WIDTH].max() > 100


def test_where_the_gate_closes_the_network_is_not_followed(grey_model, tmp_path):
    mask, image = lesion()
    save(tmp_path / "v.nii.gz", image)
    _, measured = run(grey_model, tmp_path, [row_of(mask)], "--volume", "--gate", "1")
    row = measured.loc["l"]
    assert row["volume_answer"] == "levels"
    assert "does not fit the mark" in row["volume_reason"]
    assert np.isnan(row["volume_network_mm3"])
    found = np.asarray(nibabel.load(tmp_path / "out" / row["volume"]).dataobj) > 0
    assert overlap(mask, found) > 0.9


def test_marks_without_a_volume_say_why(grey_model, tmp_path):
    rng = np.random.default_rng(4)
    mask = lobed(rng)
    Image.fromarray(colored(mask, rng)[..., 0]).save(tmp_path / "x.png")
    solid, image = lesion()
    nibabel.save(nibabel.Nifti1Image(image, np.eye(4)), tmp_path / "unknown.nii")
    rows = [{"id": "x", "image": "x.png"} | mark_of(mask), row_of(solid, "unknown.nii")]
    result, measured = run(grey_model, tmp_path, rows, "--volume")
    assert result.exit_code == 0, result.output
    assert measured.loc["x", "volume_reason"] == "the image is not a volume"
    assert "distance of its slices" in measured.loc["l", "volume_reason"]
    assert measured["volume"].isna().all()
    assert not list((tmp_path / "out/volumes").iterdir())


def test_without_the_option_nothing_changes(grey_model, tmp_path):
    mask, image = lesion()
    save(tmp_path / "v.nii.gz", image)
    run(grey_model, tmp_path, [row_of(mask)])
    table = pd.read_csv(tmp_path / "out/measurements.csv")
    assert list(table) == list(MEASURED)
    assert not (tmp_path / "out/volumes").exists()


@pytest.mark.workflow
def test_a_second_call_keeps_what_is_done_and_the_option_makes_it_again(grey_model, tmp_path):
    mask, image = lesion()
    save(tmp_path / "v.nii.gz", image)
    run(grey_model, tmp_path, [row_of(mask)])
    result, measured = run(grey_model, tmp_path, None, "--volume")
    assert result.exit_code == 0, result.output
    volume = tmp_path / "out" / measured.loc["l", "volume"]
    before = volume.stat().st_mtime_ns
    result, again = run(grey_model, tmp_path, None, "--volume")
    assert result.exit_code == 0, result.output
    assert volume.stat().st_mtime_ns == before
    pd.testing.assert_frame_equal(measured, again)
    volume.unlink()
    run(grey_model, tmp_path, None, "--volume")
    assert volume.is_file()


@pytest.mark.workflow
def test_slices_are_numbered_as_in_the_table(grey_model, tmp_path, monkeypatch):
    """In all that is shown; two marks on the same slice still touch, also in a second call."""
    shown = []

    def noting(image, text, *_):
        shown.append(text)
        return image

    monkeypatch.setattr("weaklesion.volumes.sheet.cv2.putText", noting)
    mask, image = lesion()
    save(tmp_path / "v.nii.gz", image)
    marks = [row_of(mask), row_of(mask) | {"id": "again"}]
    options = ("--volume", "--as-given")
    _, from_0 = run(grey_model, tmp_path, marks, *options)
    of_sheets_from_0 = [int(text) for text in shown if text.isdigit()]
    shown.clear()
    marks = [row | {"slice": INDEX + 1} for row in marks]
    result, from_1 = run(grey_model, tmp_path, marks, *options, "--first-slice", "1")
    assert result.exit_code == 0, result.output
    for column in ("slice", "first_slice", "last_slice"):
        assert (from_1[column] == from_0[column] + 1).all()
    assert (from_1["slice"] == INDEX + 1).all()
    assert [int(text) - 1 for text in shown if text.isdigit()] == of_sheets_from_0
    page = (tmp_path / "out/index.html").read_text("utf-8")
    assert f"v.nii.gz, slice {INDEX + 1}" in page
    assert from_1["touches"].to_dict() == {"l": "again", "again": "l"}
    written = nibabel.load(tmp_path / "out" / from_1.loc["l", "mask"])
    assert np.flatnonzero(np.asarray(written.dataobj).any(axis=(0, 1))).tolist() == [INDEX]
    shown.clear()
    _, again = run(grey_model, tmp_path, None, *options, "--first-slice", "1")
    pd.testing.assert_frame_equal(again, from_1)
    assert not shown


def test_a_result_is_numbered_as_the_table_of_the_call_that_reports_it(grey_model, tmp_path):
    mask, image = lesion()
    save(tmp_path / "v.nii.gz", image)
    run(grey_model, tmp_path, [row_of(mask)])
    before = (tmp_path / "out/masks/l.nii.gz").stat().st_mtime_ns
    late = row_of(mask) | {"slice": INDEX + 1}
    _, measured = run(grey_model, tmp_path, [late], "--first-slice", "1")
    assert measured.loc["l", "slice"] == INDEX + 1
    assert (tmp_path / "out/masks/l.nii.gz").stat().st_mtime_ns == before


@pytest.mark.workflow
def test_a_call_without_the_option_keeps_volumes_that_still_hold_and_no_others(
    grey_model, tmp_path, caplog
):
    mask, image = lesion()
    save(tmp_path / "v.nii.gz", image)
    row = row_of(mask)
    run(grey_model, tmp_path, [row], "--volume")
    files = [tmp_path / "out" / name for name in ("volumes/l.nii.gz", "volumes/l.png")]
    before = [path.read_bytes() for path in files]
    written = (tmp_path / "out/masks/l.nii.gz").stat().st_mtime_ns
    for _ in range(2):
        caplog.clear()
        result, measured = run(grey_model, tmp_path, [row])
        assert result.exit_code == 0, result.output
        assert "has volumes of 1 of these marks from an earlier call with --volume" in caplog.text
        assert list(measured.reset_index()) == list(MEASURED)
        assert [path.read_bytes() for path in files] == before
        assert (tmp_path / "out/masks/l.nii.gz").stat().st_mtime_ns == written
    moved = row | {"long_a_x": row["long_a_x"] + 2}
    caplog.clear()
    result, measured = run(grey_model, tmp_path, [moved])
    assert result.exit_code == 0, result.output
    assert "had volumes of 1 marks that were segmented again and have none now" in caplog.text
    assert "Give --volume to make them again" in caplog.text
    assert not any(path.exists() for path in files)
    assert (tmp_path / "out/masks/l.nii.gz").stat().st_mtime_ns > written
    _, measured = run(grey_model, tmp_path, [moved], "--volume")
    assert (tmp_path / "out" / measured.loc["l", "volume"]).is_file()


def test_a_volume_of_one_slice_has_none(grey_model, tmp_path):
    mask, image = lesion()
    save(tmp_path / "v.nii.gz", image[:, :, INDEX : INDEX + 1])
    result, measured = run(grey_model, tmp_path, [row_of(mask) | {"slice": 0}], "--volume")
    assert result.exit_code == 0, result.output
    assert measured.loc["l", "volume_reason"] == "the image has one slice: there is no volume in it"
    assert np.isnan(measured.loc["l", "volume_mm3"])


def test_its_columns_are_documented():
    section = documented(PAGE.read_text())["`measurements.csv`"]
    assert section.sometimes == set(MEASURED_IN_3D)
