"""The usual mix-ups of a table of marks are named, with the option that cures them."""

import io
import re
import shlex
import zipfile
from pathlib import Path

import cv2
import measure_readings
import nibabel
import numpy as np
import pandas as pd
import pytest
from conftest import real
from PIL import Image
from scipy import ndimage
from scipy.stats import wilcoxon
from segmenting import run

from weaklesion.ellipse import Ellipse, draw_ellipse
from weaklesion.errors import DataError
from weaklesion.marks.table import read_marks
from weaklesion.recist import RECIST_COLUMNS, measure_recist, recist_from_ellipse
from weaklesion.segment.readings import (
    OUTSIDE,
    Reading,
    best_guess,
    check_readings,
    lesions_of,
    signed_rank_p,
    usual_mix_ups,
)

HEIGHT, WIDTH = 120, 160
SPACING = 0.7
X = [name for name in RECIST_COLUMNS if name.endswith("x")]
Y = [name for name in RECIST_COLUMNS if name.endswith("y")]
MIX_UPS = {
    "mm": ("coordinates are mm", "--units mm"),
    "exchanged": ("x and y are exchanged", "--columns"),
    "bottom": ("y counts from the bottom of the image", "height - 1 - y"),
    "corner": ("x counts from the right and y from the bottom", "width - 1 - x"),
}


def row_of(points):
    return dict(zip(RECIST_COLUMNS, np.ravel(points).tolist(), strict=True))


def mixed_up(row, kind, shape=(HEIGHT, WIDTH), spacing=SPACING):
    row = dict(row)
    if kind == "mm":
        row |= {name: row[name] * spacing for name in RECIST_COLUMNS}
    if kind == "exchanged":
        row |= {x: row[y] for x, y in zip(X, Y, strict=True)} | {
            y: row[x] for x, y in zip(X, Y, strict=True)
        }
    if kind in ("bottom", "corner"):
        row |= {name: shape[0] - 1 - row[name] for name in Y}
    if kind == "corner":
        row |= {name: shape[1] - 1 - row[name] for name in X}
    return row


def lesion(rng, number):
    """An ellipse beside the middle, whose coordinates are inside the image when exchanged."""
    x, y = (30 + 8 * (number % 3), 80 - 6 * (number % 4))
    return Ellipse(x, y, rng.uniform(22, 30), rng.uniform(14, 20), rng.uniform(0, 180))


def tissue(rng, shape):
    """Grey tissue that varies slowly, with noise."""
    slow = cv2.GaussianBlur(rng.normal(0, 1, shape), (0, 0), 9)
    return 120 + 8 * slow / slow.std() + rng.normal(0, 6, shape)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Folder with ten grey images, and the right rows of their marks."""
    folder, rng = tmp_path_factory.mktemp("readings"), np.random.default_rng(4)
    rows = []
    for number in range(10):
        ellipse = lesion(rng, number)
        levels = tissue(rng, (HEIGHT, WIDTH)) + 30 * draw_ellipse(ellipse, (HEIGHT, WIDTH))
        levels = levels.clip(0, 255).astype(np.uint8)
        Image.fromarray(levels).save(folder / f"{number}.png")
        row = {"id": f"m{number}", "image": f"{number}.png"} | row_of(recist_from_ellipse(ellipse))
        rows.append(row | {"spacing_x": SPACING, "spacing_y": SPACING})
    return folder, rows


def in_folder(tmp_path, table):
    folder, rows = table
    for path in folder.glob("*.png"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return rows


def test_a_right_table_is_segmented_without_a_word(grey_model, tmp_path, table, caplog):
    rows = in_folder(tmp_path, table)
    result, measured = run(grey_model, tmp_path, rows)
    assert result.exit_code == 0, result.output
    assert "fit their images better" not in caplog.text
    assert "Less contrast" not in result.output
    assert measured["visible"].all()


@pytest.mark.parametrize("kind", MIX_UPS)
def test_a_mix_up_stops_the_call_before_anything_is_written(model, tmp_path, table, kind):
    rows = [mixed_up(row, kind) for row in in_folder(tmp_path, table)]
    result, measured = run(model, tmp_path, rows)
    condition, cure = MIX_UPS[kind]
    assert result.exit_code == 1
    assert f"of 10 lesions fit their images better if {condition}" in result.output
    assert cure in result.output
    assert "give --as-given" in result.output
    assert measured is None
    assert not (tmp_path / "out").exists()


@pytest.mark.workflow
def test_the_option_that_a_message_names_cures_it(grey_model, tmp_path, table):
    rows = in_folder(tmp_path, table)
    _, right = run(grey_model, tmp_path, rows)
    for kind in ("mm", "exchanged"):
        folder = tmp_path / kind
        folder.mkdir()
        wrong = [mixed_up(row, kind) for row in in_folder(folder, table)]
        result, _ = run(grey_model, folder, wrong)
        option = result.output.split("To read them so, give ")[1].split(". To use")[0]
        result, measured = run(grey_model, folder, wrong, *shlex.split(option))
        assert result.exit_code == 0, result.output
        for name in ("area_px", "given_long_px", "given_long_mm", "contrast"):
            assert measured[name].to_numpy() == pytest.approx(right[name].to_numpy(), abs=1e-3)


def test_px_given_as_mm_are_named_too(model, tmp_path, table):
    rows = in_folder(tmp_path, table)
    result, _ = run(model, tmp_path, rows, "--units", "mm")
    assert result.exit_code == 1
    assert "better if coordinates are px" in result.output
    assert "leave --units mm out" in result.output


def test_a_table_is_used_as_given_if_told_so(grey_model, tmp_path, table, caplog):
    rows = [mixed_up(row, "exchanged") for row in in_folder(tmp_path, table)]
    result, measured = run(grey_model, tmp_path, rows, "--as-given")
    assert result.exit_code == 0, result.output
    assert "10 of 10 lesions fit their images better if x and y are exchanged" in caplog.text
    assert len(measured) == 10
    unseen = (~measured["visible"]).sum()
    assert unseen >= 7
    said = f"Less contrast in the image than is usual: {unseen} of 10 marks"
    assert said in result.output
    assert "line 3, m1: less contrast in its image than is usual (" in caplog.text


def test_few_marks_are_warned_of_and_fewer_are_not_compared(grey_model, tmp_path, table, caplog):
    rows = [mixed_up(row, "exchanged") for row in in_folder(tmp_path, table)]
    result, measured = run(grey_model, tmp_path, rows[:6])
    assert result.exit_code == 0, result.output
    assert "6 of 6 lesions fit their images better if x and y are exchanged" in caplog.text
    assert len(measured) == 6
    caplog.clear()
    result, _ = run(grey_model, tmp_path, [row | {"id": f"n{i}"} for i, row in enumerate(rows[:4])])
    assert "fit their images better" not in caplog.text


def test_finished_marks_are_not_compared_again(grey_model, tmp_path, table):
    rows = [mixed_up(row, "mm") for row in in_folder(tmp_path, table)]
    run(grey_model, tmp_path, rows, "--as-given")
    result, measured = run(grey_model, tmp_path, rows)
    assert result.exit_code == 0, result.output
    assert len(measured) == 10


@pytest.fixture(scope="module")
def volumes(tmp_path_factory):
    """Folder with ten volumes of a ball, and the right rows of marks on its largest slice."""
    folder, rng = tmp_path_factory.mktemp("volumes"), np.random.default_rng(6)
    rows = []
    for number in range(10):
        ellipse = lesion(rng, number)
        middle = 1 + number % 3
        slices = [tissue(rng, (HEIGHT, WIDTH)) - 100 for _ in range(5)]
        for index in range(5):
            share = 1 - ((index - middle) / 1.2) ** 2
            if share > 0:
                part = Ellipse(ellipse.cx, ellipse.cy, *(share**0.5 * np.array(
                    [ellipse.width, ellipse.height])), ellipse.angle_deg)  # fmt: skip
                slices[index] += 40 * draw_ellipse(part, (HEIGHT, WIDTH))
        voxels = np.stack(slices, axis=-1).transpose(1, 0, 2).astype(np.float32)
        image = nibabel.Nifti1Image(voxels, np.diag([SPACING, SPACING, 5, 1]))
        nibabel.save(image, folder / f"{number}.nii.gz")
        row = {"id": f"v{number}", "image": str(folder / f"{number}.nii.gz"), "slice": middle}
        rows.append(row | row_of(recist_from_ellipse(ellipse)))
    return rows


def test_slices_that_count_from_1_are_named(grey_model, tmp_path, volumes, caplog):
    result, right = run(grey_model, tmp_path, volumes)
    assert result.exit_code == 0, result.output
    assert "fit their images better" not in caplog.text
    late = [row | {"slice": row["slice"] + 1} for row in volumes]
    (tmp_path / "late").mkdir()
    result, _ = run(grey_model, tmp_path / "late", late)
    assert result.exit_code == 1
    assert "10 of 10 lesions fit their images better if slices count from 1" in result.output
    assert "give --first-slice 1" in result.output
    result, measured = run(grey_model, tmp_path / "late", late, "--first-slice", "1")
    assert result.exit_code == 0, result.output
    assert measured["slice"].tolist() == [row["slice"] for row in late]
    assert measured["area_px"].tolist() == right["area_px"].tolist()


def test_readers_who_marked_one_lesion_are_one_witness(grey_model, tmp_path, volumes, caplog):
    """Eight right marks, in a slice where the lesion is paler than in the one before."""
    row = volumes[0] | {"slice": volumes[0]["slice"] + 1}
    rng = np.random.default_rng(2)
    readers = [
        row
        | {"id": f"r{number}"}
        | {name: row[name] + rng.uniform(-1, 1) for name in RECIST_COLUMNS}
        for number in range(8)
    ]
    result, measured = run(grey_model, tmp_path, readers)
    assert result.exit_code == 0, result.output
    assert "fit their images better" not in caplog.text
    assert len(measured) == 8


def test_marks_that_overlap_in_near_slices_are_one_lesion(tmp_path):
    """Boxes from x 0 to 20, 16 to 36 and 32 to 52 are a chain; one is apart, one far up.

    Another reader chose a slice ten further up, half the long diameter; the one far up is one more.
    """
    rows = [
        {"image": "a.nii", "slice": number}
        | row_of([[left, 10], [left + 20, 10], [left + 10, 0], [left + 10, 20]])
        for left, number in ((0, 3), (32, 3), (60, 3), (60, 14), (16, 3), (0, 13))
    ]
    first, second, apart, far, between, reader = lesions_of(readable(tmp_path, rows))
    assert first == second == between == reader
    assert len({first, apart, far}) == 3
    rows = [row | {"image": f"{number}.nii"} for number, row in enumerate(rows)]
    assert len(set(lesions_of(readable(tmp_path, rows)))) == 6


def test_the_gain_of_a_lesion_is_the_median_of_its_marks():
    lesions = np.repeat(np.arange(6), 3)
    gains = np.array([-1.0, 1.0, 2.0] * 5 + [-1.0, np.nan, 0.2])
    guess = best_guess(READING, np.array([np.zeros(18), gains]).T, lesions)
    assert (guess.better, guess.compared) == (5, 6)


def test_a_last_slice_that_counts_from_1_is_outside_its_volume_and_counts_as_evidence(volumes):
    readings = usual_mix_ups("px", {}, 0)
    gains = np.full((8, 1 + len(readings)), np.nan)
    gains[:, 0], gains[:, -1] = OUTSIDE, 1.0
    guess = best_guess(readings, gains, np.arange(8))
    assert guess.reading.condition == "slices count from 1"


def test_mm_need_a_spacing(model, tmp_path, table):
    rows = in_folder(tmp_path, table)
    bare = [{key: row[key] for key in row if "spacing" not in key} for row in rows[:2]]
    result, measured = run(model, tmp_path, bare, "--units", "mm")
    assert result.exit_code == 1
    assert len(measured) == 0
    causes = pd.read_csv(tmp_path / "out/refused.csv")["cause"]
    assert causes.str.contains("the spacing of the image is unknown: give spacing_x").all()


def test_0_mm_is_the_centre_of_the_first_pixel(model, tmp_path, table):
    """x runs along the row: a px of 0.5 by 2 mm."""
    rows = in_folder(tmp_path, table)[:1]
    stretched = rows[0] | {"spacing_x": 0.5, "spacing_y": 2.0}
    _, given = run(model, tmp_path, [stretched])
    in_mm = stretched | {name: 0.5 * rows[0][name] for name in X}
    in_mm |= {name: 2.0 * rows[0][name] for name in Y}
    _, measured = run(model, tmp_path, [in_mm], "--units", "mm")
    for name in ("given_long_px", "given_long_mm", "area_px", "contrast"):
        assert measured[name].tolist() == pytest.approx(given[name].tolist(), abs=1e-6)


READING = [Reading("it is so", "do so", lambda points, picture: points)]


@pytest.mark.parametrize(
    ("given", "other", "better"),
    [
        ([0.0] * 8, [1.0] * 8, 8),  # p 1/256: stops
        ([0.0] * 4, [1.0] * 4, None),  # too few
        ([5.0] * 8, [6.0] * 8, None),  # both are clear
        ([1.0] * 8, [0.0] * 8, None),
        ([0.0] * 8, [1.0] * 4 + [np.nan] * 4, None),  # four apply
        ([0.0] * 10, [1.0] * 9 + [-0.1], 9),
        ([0.0] * 10, [1.0] * 5 + [-0.1] * 5, None),  # no majority
    ],
    ids=str,
)
def test_a_reading_that_is_better_for_most_marks_is_a_guess(given, other, better):
    guess = best_guess(READING, np.array([given, other]).T, np.arange(len(given)))
    assert (guess and guess.better) == better


@pytest.mark.parametrize("count", [5, 8, 13, 24])
@pytest.mark.parametrize("decimals", [0, 1, 9], ids=["many ties", "ties", "no ties"])
def test_signed_ranks_are_those_of_scipy(count, decimals):
    for seed in range(20):
        gains = np.random.default_rng(seed).normal(seed / 10, 1.5, count).round(decimals)
        gains = gains[gains != 0]
        if len(gains):
            expected = wilcoxon(gains, alternative="greater", method="exact").pvalue
            assert signed_rank_p(gains) == pytest.approx(expected, rel=1e-9)


def readable(folder, rows):
    """The marks of a table that is written to a folder."""
    pd.DataFrame(rows).to_csv(folder / "marks.csv", index=False)
    marks, refused = read_marks(folder / "marks.csv")
    assert not refused
    return marks


def assert_named(folder, rows, kind, shapes, window=(-160.0, 240.0), spacings=None):
    spacings = spacings or [SPACING] * len(rows)
    wrong = [
        mixed_up(row, kind, shape, spacing)
        for row, shape, spacing in zip(rows, shapes, spacings, strict=True)
    ]
    with pytest.raises(DataError, match=MIX_UPS[kind][0]):
        check_readings(readable(folder, wrong), window)


def test_mix_ups_of_real_dermoscopy_are_named(tmp_path):
    folder = real("ham10000")
    masks = zipfile.ZipFile(folder / "HAM10000_segmentations_lesion_tschandl.zip")
    pictures = zipfile.ZipFile(folder / "HAM10000_images_part_1.zip")
    by_id = {Path(name).name[:12]: name for name in masks.namelist() if name.endswith(".png")}
    rows, shapes = [], []
    for name in [name for name in pictures.namelist() if name.endswith(".jpg")][::150]:
        image = Image.open(io.BytesIO(pictures.read(name)))
        mask = Image.open(io.BytesIO(masks.read(by_id[Path(name).stem]))).convert("L")
        image.save(tmp_path / f"{Path(name).stem}.png")
        points = measure_recist(np.asarray(mask.resize(image.size)) > 127).points
        rows.append({"image": f"{Path(name).stem}.png", "spacing_x": 0.7, "spacing_y": 0.7})
        rows[-1] |= row_of(points)
        shapes.append(image.size[::-1])
    assert len(rows) > 20
    check_readings(readable(tmp_path, rows), (-160.0, 240.0))
    for kind in ("mm", "exchanged"):
        assert_named(tmp_path, rows, kind, shapes)


@pytest.mark.workflow
def test_mix_ups_of_real_ct_are_named(tmp_path):
    folder = real("deeplesion")
    pictures = zipfile.ZipFile(folder / "Images_png_01.zip")
    names = {"_".join(Path(name).parts[-2:]): name for name in pictures.namelist()}
    rows, shapes, spacings = [], [], []
    for line in pd.read_csv(folder / "DL_info.csv").to_dict("records"):
        (tmp_path / line["File_name"]).write_bytes(pictures.read(names[line["File_name"]]))
        with Image.open(tmp_path / line["File_name"]) as image:
            shapes.append(image.size[::-1])
        spacings.append(float(line["Spacing_mm_px_"].split(",")[0]))
        points = [float(text) for text in line["Measurement_coordinates"].split(",")]
        row = {"image": line["File_name"], "spacing_x": spacings[-1], "spacing_y": spacings[-1]}
        rows.append(row | row_of(points))
    check_readings(readable(tmp_path, rows), (-160.0, 240.0))
    for kind in MIX_UPS:
        assert_named(tmp_path, rows, kind, shapes, spacings=spacings)


@pytest.mark.workflow
def test_slices_of_real_ct_that_count_from_1_are_named(tmp_path):
    folder = real("lits_slices")
    with zipfile.ZipFile(folder / "lits_23_volumes.zip") as archive:
        archive.extractall(tmp_path)
    rows = []
    for path in sorted(tmp_path.rglob("segmentation-*.nii.gz")):
        tumours = np.asarray(nibabel.load(path).dataobj) == 2
        labels, _ = ndimage.label(tumours)
        image = str(path).replace("segmentation-", "volume-")
        for label in range(1, labels.max() + 1):
            areas = (labels == label).sum(axis=(0, 1))
            index = int(areas.argmax())
            if areas[index] >= 30:
                points = measure_recist((labels[..., index] == label).T).points
                rows.append({"image": image, "slice": index} | row_of(points))
    assert len(rows) > 100
    window = (-40.0, 160.0)
    check_readings(readable(tmp_path, rows), window)
    late = [row | {"slice": row["slice"] + 1} for row in rows]
    with pytest.raises(DataError, match="slices count from 1"):
        check_readings(readable(tmp_path, late), window)


def test_the_tool_counts_the_tables_that_stop_a_run(tmp_path, table, monkeypatch, capsys):
    rows = in_folder(tmp_path, table)
    rows.append(rows[0] | {"id": "a second reader's"})
    pd.DataFrame(rows).to_csv(tmp_path / "marks.csv", index=False)
    words = [str(tmp_path / "marks.csv"), str(tmp_path / "out.csv"), "--window", "-160", "240"]
    monkeypatch.setattr("sys.argv", ["measure_readings.py", *words])
    measure_readings.main()
    printed = capsys.readouterr().out
    assert "10 lesions; 0 rows of the table refused" in printed
    assert re.search(
        r"Marks that are not visible, %:\nnone +\d+\nx and y exchanged +100\n", printed
    )
    found = pd.read_csv(tmp_path / "out.csv").set_index("mistake")
    assert found["marks"].unique().tolist() == [8]
    assert "slices from 1" not in found.index
    assert found.loc["none", ["stopped", "warned"]].tolist() == [0, 0]
    for mistake, true in measure_readings.MISTAKES.items():
        if true and mistake in found.index:
            assert found.loc[mistake, ["stopped", "rightly_named"]].tolist() == [100, 100]


@pytest.mark.parametrize("kind", MIX_UPS)
def test_the_tool_makes_each_mistake_as_a_table_does(tmp_path, table, kind):
    rows = in_folder(tmp_path, table)
    both = [rows[3], mixed_up(rows[3], kind) | {"id": "wrong"}]
    pd.DataFrame(both).to_csv(tmp_path / "marks.csv", index=False)
    right, wrong = read_marks(tmp_path / "marks.csv")[0]
    made = measure_readings.mistaken(right, (-160.0, 240.0))
    assert made.keys() == measure_readings.MISTAKES.keys()
    condition = MIX_UPS[kind][0]
    (name,) = [
        name for name, true in measure_readings.MISTAKES.items() if true and condition in true
    ]
    np.testing.assert_allclose(made[name].points, wrong.points)


def test_the_tool_refuses_a_table_of_fewer_lesions_than_its_smallest_tables(
    tmp_path, table, monkeypatch, capsys
):
    pd.DataFrame(in_folder(tmp_path, table)[:7]).to_csv(tmp_path / "marks.csv", index=False)
    words = [str(tmp_path / "marks.csv"), str(tmp_path / "out.csv")]
    monkeypatch.setattr("sys.argv", ["measure_readings.py", *words])
    with pytest.raises(SystemExit):
        measure_readings.main()
    assert "has 7 lesions; 8 are needed" in capsys.readouterr().err
    assert not (tmp_path / "out.csv").exists()


def test_the_tool_counts_stops_warnings_and_true_names_by_hand(table):
    """Of five lesions that all agree p is 1/32, a warning; of eight, 1/256, a stop."""
    folder, rows = table
    pd.DataFrame(rows).to_csv(folder / "hand.csv", index=False)
    marks = read_marks(folder / "hand.csv")[0]
    exchanged = np.zeros((10, 6))
    exchanged[:, 1] = np.arange(1, 11) / 4
    tables = [np.arange(5), np.arange(8), np.arange(4)]
    counted = measure_readings.noticed(marks, exchanged, tables, "x and y are exchanged")
    assert counted == {"stopped": 1, "warned": 1, "rightly_named": 2}
    counted = measure_readings.noticed(marks, exchanged, tables, "coordinates are mm")
    assert counted == {"stopped": 1, "warned": 1, "rightly_named": 0}


def test_the_tool_counts_marks_below_what_95_percent_of_correct_ones_have():
    correct = np.arange(1000.0)[:, None]
    contrasts = {
        "none": correct,
        "all": correct - 1000,
        "few": correct + 1000,
        "half": correct.copy(),
    }
    contrasts["half"][::2] = -1
    shares = measure_readings.not_visible(contrasts, np.random.default_rng(0))
    assert shares[["all", "few"]].tolist() == [100, 0]
    assert shares["none"] == pytest.approx(5, abs=1)
    assert shares["half"] == pytest.approx(50 + 5 / 2, abs=1)


def test_marks_that_are_not_visible_are_counted_in_the_half_that_was_not_trained_on():
    """Of two marks, the lower one is below the contrast of the other, if it is not the trained."""
    contrasts = {"none": np.array([[0.0], [1.0]]), "low": np.array([[-1.0], [0.5]])}
    shares = measure_readings.not_visible(contrasts, np.random.default_rng(0))
    lower_is_tested = shares["none"]
    assert 20 < lower_is_tested < 80
    assert shares["low"] == lower_is_tested  # 0.5 is above 0, and -1 is below 1
    unknown = {"none": np.array([[np.nan], [1.0], [1.0]]), "low": np.zeros((3, 1))}
    assert measure_readings.not_visible(unknown, np.random.default_rng(0))["low"] == 100


def test_the_tool_counts_slices_from_1(tmp_path):
    volume = nibabel.Nifti1Image(np.zeros((60, 50, 4), np.int16), np.diag([0.8, 0.8, 2.0, 1.0]))
    nibabel.save(volume, tmp_path / "v.nii")
    row = row_of([[10, 20], [30, 20], [20, 15], [20, 25]])
    table = pd.DataFrame([{"id": "m", "image": "v.nii", "slice": 2} | row])
    table.to_csv(tmp_path / "marks.csv", index=False)
    (mark,) = read_marks(tmp_path / "marks.csv")[0]
    made = measure_readings.mistaken(mark, (-160.0, 240.0))
    slices = {name: each.slice for name, each in made.items()}
    assert slices == dict.fromkeys(measure_readings.MISTAKES, 2) | {"slices from 1": 3}
    np.testing.assert_allclose(made["mm for px"].points, mark.points * 0.8)
    np.testing.assert_allclose(made["px divided by the spacing"].points, mark.points / 0.8)
