"""From `.npz` volumes that draw marks to masks in three dimensions, and to `.npz` again."""

import cv2
import nibabel
import numpy as np
import pandas as pd
import pytest
from safetensors.torch import save_file
from segmenting import add_settings, calls_of_script, run_script
from typer.testing import CliRunner

from weaklesion.cli import app
from weaklesion.errors import DataError
from weaklesion.models import build_model
from weaklesion.recist import measure_recist
from weaklesion.segment.npz_masks import write_npz_masks

SHAPE = (20, 100, 120)  # D, H, W
SPACING = (0.8, 0.8, 3.0)
MIDDLES = {3: (9, 46, 36), 7: (11, 50, 86)}
WINDOW = (-160.0, 240.0)


def case(path):
    """Two ellipsoids as levels, each with its two diameters drawn in its middle slice."""
    z, y, x = np.mgrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    truth, recist = np.zeros((2, *SHAPE), dtype=np.uint8)
    for number, (cz, cy, cx) in MIDDLES.items():
        radius = np.hypot(np.hypot((x - cx) / 17, (y - cy) / 13), (z - cz) / 4)
        truth[radius <= 1] = number
        ends = measure_recist(truth[cz] == number).points.astype(int).tolist()
        for start, stop in (ends[:2], ends[2:]):
            recist[cz] = cv2.line(recist[cz].copy(), start, stop, number)
    noise = np.random.default_rng(0).normal(0, 8, SHAPE)
    levels = (np.where(truth > 0, 180, 60) + noise).clip(0, 255).round().astype(np.uint8)
    np.savez_compressed(path, imgs=levels, recist=recist, spacing=np.array(SPACING), gts=truth)
    return truth


def call(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def segmented(grey_model, tmp_path):
    truth = case(tmp_path / "case_a.npz")
    drawn, masks = tmp_path / "drawn", tmp_path / "masks"
    result = call("npz", tmp_path / "case_a.npz", "--out", drawn, "--volume", "--window", *WINDOW)
    assert result.exit_code == 0, result.output
    result = call("segment", "--model", grey_model, "--marks", drawn / "marks.csv", "--out", masks,
                  "--volume")  # fmt: skip
    assert result.exit_code == 0, result.output
    return tmp_path, truth


def test_masks_come_back_on_the_grid_of_their_volume(segmented):
    folder, truth = segmented
    words = ("npz-masks", folder / "case_a.npz", "--masks", folder / "masks")
    result = call(*words, "--out", folder / "segs")
    assert result.exit_code == 0, result.output
    assert "1 files with 2 lesions" in result.output
    with np.load(folder / "segs/case_a.npz") as arrays:
        assert list(arrays) == ["segs"]
        segs = arrays["segs"]
    assert (segs.shape, segs.dtype) == (SHAPE, np.uint8)
    assert np.unique(segs).tolist() == [0, 3, 7]
    rows = pd.read_csv(folder / "masks/measurements.csv").set_index("id")
    for number in MIDDLES:
        found, lesion = segs == number, truth == number
        assert 2 * (found & lesion).sum() / (found.sum() + lesion.sum()) > 0.9
        row = rows.loc[f"case_a_{number}"]
        volume = nibabel.load(folder / "masks" / row["volume"])
        assert np.array_equal(np.asarray(volume.dataobj).T > 0, found)
        assert row["volume_mm3"] == pytest.approx(found.sum() * np.prod(SPACING))


@pytest.mark.parametrize("array", ["gts", "segs"])
def test_masks_of_others_are_not_written_over(tmp_path, array, monkeypatch):
    """Its own masks are; a file of reference masks, or of another method's, is not."""
    paths = [flat(tmp_path, name, {}, monkeypatch) for name in ("a.npz", "b.npz")]
    tables(tmp_path, ["a_1", "b_1"])
    for _ in range(2):
        write_npz_masks(paths, tmp_path / "masks", tmp_path / "segs")
    (tmp_path / "other").mkdir()
    np.savez(tmp_path / "other/b.npz", **{array: np.full((2, 8, 8), 9)})
    with pytest.raises(DataError, match=r"other: has b\.npz, which this command did not write"):
        write_npz_masks(paths, tmp_path / "masks", tmp_path / "other")
    assert (np.load(tmp_path / "other/b.npz")[array] == 9).all()
    assert not (tmp_path / "other/a.npz").exists()


def flat(tmp_path, name, changes, monkeypatch):
    """A file with its lesions, and the tables of `npz` and `segment` without a network."""
    recist = np.zeros((2, 8, 8), np.int16)
    recist[0, 2, 2:4], recist[1, 2, 2:4] = 1, 2
    arrays = {"imgs": np.zeros(recist.shape, np.uint8), "recist": recist, "spacing": np.ones(3)}
    np.savez(tmp_path / name, **arrays | changes)
    (tmp_path / "drawn").mkdir(exist_ok=True)
    (tmp_path / "masks").mkdir(exist_ok=True)
    monkeypatch.setattr(
        "weaklesion.segment.npz_masks.mask_of", lambda _, row: np.ones((2, 8, 8), bool)
    )
    return tmp_path / name


def tables(tmp_path, measured=(), refused=(), refused_by_npz=()):
    image = str(tmp_path / "drawn/images/x.nii")
    for name, rows, columns in (
        ("masks/measurements.csv", [(one, image) for one in measured], ["id", "image"]),
        ("masks/refused.csv", [(one, "cause") for one in refused], ["id", "cause"]),
        ("drawn/refused.csv", refused_by_npz, ["file", "lesion"]),
    ):
        pd.DataFrame(rows, columns=columns).to_csv(tmp_path / name, index=False)


@pytest.mark.parametrize("name", ["-dash.npz", "=eq.npz"])
def test_lesions_are_found_by_the_ids_that_the_table_shows(tmp_path, name, monkeypatch):
    path = flat(tmp_path, name, {}, monkeypatch)
    tables(tmp_path, [f"'{path.stem}_2"], [f"'{path.stem}_1"])
    assert write_npz_masks([path], tmp_path / "masks", tmp_path / "segs") == (1, 1)
    assert (np.load(tmp_path / "segs" / name)["segs"] == 2).all()


@pytest.mark.parametrize(
    ("measured", "refused", "refused_by_npz", "lesions"),
    [
        (["case_1"], [], [], 1),
        (["other_1"], ["case_1", "case_2"], [], 0),
        (["other_1"], [], [("case.npz", 1), ("case.npz", 2)], 0),
        (["other_1"], [], [("case.npz", None)], 0),
        (["other_1"], ["other_2"], [("other.npz", 1)], None),
        ([], [], [], None),
    ],
)
def test_masks_of_other_files_are_not_taken_for_empty_ones(
    tmp_path, measured, refused, refused_by_npz, lesions, monkeypatch
):
    path = flat(tmp_path, "case.npz", {}, monkeypatch)
    tables(tmp_path, measured, refused, refused_by_npz)
    if lesions is not None:
        assert write_npz_masks([path], tmp_path / "masks", tmp_path / "segs") == (1, lesions)
        return
    with pytest.raises(DataError, match=r"case.npz: its lesions case_1, case_2 are neither in"):
        write_npz_masks([path], tmp_path / "masks", tmp_path / "segs")
    assert not (tmp_path / "segs/case.npz").exists()


def test_a_file_in_which_nothing_is_drawn_has_no_masks(tmp_path, monkeypatch):
    path = flat(tmp_path, "case.npz", {"recist": np.zeros((2, 8, 8), bool)}, monkeypatch)
    tables(tmp_path, ["other_1"])
    assert write_npz_masks([path], tmp_path / "masks", tmp_path / "segs") == (1, 0)


def test_two_files_of_one_name_are_refused(tmp_path, monkeypatch):
    (tmp_path / "b").mkdir()
    paths = [flat(tmp_path, name, {}, monkeypatch) for name in ("case.npz", "b/case.npz")]
    tables(tmp_path, ["case_1"])
    with pytest.raises(DataError, match=r"case.npz, .*b/case.npz: two files have the same name"):
        write_npz_masks(paths, tmp_path / "masks", tmp_path / "segs")


def test_the_containers_script_gives_the_same_masks(segmented, grey_model):
    folder, _ = segmented
    inputs, outputs = folder / "inputs", folder / "outputs"
    inputs.mkdir()
    (inputs / "case_a.npz").write_bytes((folder / "case_a.npz").read_bytes())
    calls = calls_of_script("predict_npz.sh", folder, inputs, outputs, grey_model)
    window = calls[0].index("--window")
    assert tuple(map(float, calls[0][window + 1 :])) == WINDOW  # the network's own
    for words in calls:
        result = call(*words)
        assert result.exit_code == 0, result.output
    call("npz-masks", folder / "case_a.npz", "--masks", folder / "masks", "--out", folder / "segs")
    with np.load(folder / "segs/case_a.npz") as wanted, np.load(outputs / "case_a.npz") as made:
        assert np.array_equal(wanted["segs"], made["segs"])
        assert made["segs"].any()


@pytest.mark.parametrize("drawn", [0, 5])
def test_the_containers_script_gives_empty_masks_if_no_lesion_can_be_used(
    tmp_path, grey_model, drawn
):
    """Because nothing is drawn, or lesions 1 and 2 as lines without a short diameter."""
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    recist = np.zeros((2, 20, 20), np.uint8)
    recist[0, 4, 2 : 2 + drawn], recist[1, 9, 2 : 2 + drawn] = 1, 2
    levels = np.full(recist.shape, 60, np.uint8)
    np.savez(inputs / "case.npz", imgs=levels, recist=recist, spacing=np.ones(3))
    done = run_script("predict_npz.sh", tmp_path, inputs, tmp_path / "outputs", grey_model)
    assert done.returncode == 0, done.stderr
    assert "no mark can be used" in done.stderr
    assert ("lesion 2: only one diameter" in done.stderr) == bool(drawn)
    with np.load(tmp_path / "outputs/case.npz") as made:
        assert made["segs"].shape == recist.shape
        assert not made["segs"].any()


def test_the_containers_script_gives_empty_masks_if_segment_refuses_all_marks(tmp_path, grey_model):
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    recist = np.zeros((2, 60, 60), np.uint8)
    recist[0, 30, 15:45], recist[0, 20:40, 30] = 1, 1
    levels = np.full(recist.shape, 60, np.uint8)  # nothing is seen where the lesion is marked
    np.savez(inputs / "case.npz", imgs=levels, recist=recist, spacing=np.ones(3))
    add_settings(grey_model, "prompted_ends")
    weights = build_model("prompted").state_dict()
    contiguous = {name: tensor.contiguous() for name, tensor in weights.items()}
    save_file(contiguous, grey_model / "model.safetensors")
    done = run_script("predict_npz.sh", tmp_path, inputs, tmp_path / "outputs", grey_model)
    assert done.returncode == 0, done.stderr
    assert "the image has a single level near the mark" in done.stderr
    with np.load(tmp_path / "outputs/case.npz") as made:
        assert not made["segs"].any()


def test_the_containers_script_gives_nothing_if_a_program_fails(tmp_path, grey_model):
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    case(inputs / "case.npz")
    done = run_script("predict_npz.sh", tmp_path, inputs, tmp_path / "outputs", grey_model)
    assert done.returncode != 0
    assert "run.json: not the description of a run" in done.stderr
    assert not (tmp_path / "outputs").exists()


def test_masks_without_results_are_empty_only_if_there_was_no_mark(tmp_path, monkeypatch):
    path = flat(tmp_path, "case.npz", {}, monkeypatch)
    tables(tmp_path, refused_by_npz=[("case.npz", 1), ("case.npz", 2)])
    (tmp_path / "masks/measurements.csv").unlink()
    words = [path], tmp_path / "masks", tmp_path / "segs"
    for marks in ("", "id\ncase_1\n"):
        (tmp_path / "drawn/marks.csv").write_text(marks)
        if not marks:
            (tmp_path / "drawn/marks.csv").unlink()
        with pytest.raises(DataError, match=r"measurements\.csv: does not exist"):
            write_npz_masks(*words, drawn_dir=tmp_path / "drawn")
    (tmp_path / "drawn/marks.csv").write_text("id\n")
    assert write_npz_masks(*words, drawn_dir=tmp_path / "drawn") == (1, 0)


def test_what_does_not_fit_is_refused(segmented):
    folder, _ = segmented
    again = call("npz-masks", folder / "case_a.npz", "--masks", folder / "masks", "--out", folder)
    assert again.exit_code == 1
    assert "contains the files to be read" in again.output
    nothing = call("npz-masks", folder / "case_a.npz", "--masks", folder, "--out", folder / "segs")
    assert nothing.exit_code == 1
    assert "measurements.csv" in nothing.output
    with np.load(folder / "case_a.npz") as arrays:
        changed = {name: arrays[name][1:] for name in ("imgs", "recist")}
    np.savez(folder / "case_a.npz", spacing=np.array(SPACING), **changed)
    other = call("npz-masks", folder / "case_a.npz", "--masks", folder / "masks", "--out",
                 folder / "segs")  # fmt: skip
    assert other.exit_code == 1
    assert "imgs of" in other.output
