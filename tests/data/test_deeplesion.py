import csv
import json
import shutil
import zipfile
from types import SimpleNamespace

import cv2
import numpy as np
import pandas as pd
import pytest
from conftest import DEEPLESION, REAL_DATA, make_deeplesion, real, unpack

from weaklesion.data.loaders.deeplesion import Settings, read_key_slice, shape_clusters
from weaklesion.data.loaders.deeplesion_slices import find_series, nearest_slice
from weaklesion.data.loaders.deeplesion_table import (
    needed_members,
    parse_row,
    read_table,
    slice_weights,
)
from weaklesion.data.patches import BadSampleError, Sample
from weaklesion.data.phantoms.deeplesion import make_phantom
from weaklesion.data.samples import read_samples
from weaklesion.ellipse import Ellipse, draw_ellipse
from weaklesion.errors import DataError
from weaklesion.metrics import dice
from weaklesion.recist import RECIST_COLUMNS, ellipse_from_recist, recist_from_ellipse
from weaklesion.supervision.ellipses import drawn_target
from weaklesion.support.files import read_array


@pytest.fixture(scope="module")
def made(deeplesion_files, tmp_path_factory):
    folder = tmp_path_factory.mktemp("patches")
    make_deeplesion(deeplesion_files, folder)
    return folder


def report_of(folder):
    return json.loads((folder / "patches.json").read_text())


def direct_center(row, png):
    """The centre channel of a lesion's patch, computed step by step."""
    hounsfield = cv2.imread(str(png), cv2.IMREAD_UNCHANGED).astype(float) - 32768
    low, high = (float(value) for value in row["DICOM_windows"].split(","))
    grey = np.clip((hounsfield - low) / (high - low), 0, 1) * 255
    x0, y0, x1, y1 = (float(value) - 1 for value in row["Bounding_boxes"].split(","))
    left, top = round((x0 + x1) / 2) - 60, round((y0 + y1) / 2) - 60
    padded = np.pad(grey, 120, mode="edge")
    return padded[top + 120 : top + 240, left + 120 : left + 240]


def test_center_channel_is_the_windowed_key_slice(deeplesion_files, made):
    folders, table = deeplesion_files
    samples = read_samples(made / "samples.csv")
    images = read_array(made / "images.npy")
    series = find_series(folders)
    compared = 0
    for row in read_table(table):
        if row["Image_size"] != "512, 512":
            continue
        name, _, key = row["File_name"].removesuffix(".png").rpartition("_")
        expected = direct_center(row, series[name][int(key)])
        center = images[samples.loc[row["id"], "row"]][..., 1]
        assert np.abs(center - expected).max() <= 0.51
        compared += 1
    assert compared == 27


def test_image_of_another_size_is_scaled_with_its_mark(deeplesion_files, made):
    samples = read_samples(made / "samples.csv")
    images = read_array(made / "images.npy")
    scaled = samples[samples["note"].str.contains("scaled", na=False)]
    assert len(scaled) == 3
    for sample in scaled.itertuples():
        points = np.array([getattr(sample, column) for column in RECIST_COLUMNS]).reshape(4, 2)
        inside = draw_ellipse(ellipse_from_recist(points), (120, 120))
        center = images[sample.row][..., 1].astype(float)
        assert abs(center[inside].mean() - center[~inside].mean()) > 15
        assert 0 < points.min() < points.max() < 119
    wrong = Settings(**DEEPLESION | {"scale_marks": False})
    folders, table = deeplesion_files
    row = next(r for r in read_table(table) if r["id"] == scaled.index[0])
    lesion = parse_row(row, table)
    (item,) = read_key_slice(([lesion], find_series(folders)[lesion.series]), settings=wrong)
    right = scaled.loc[scaled.index[0], RECIST_COLUMNS].to_numpy(dtype=float).reshape(4, 2)
    assert np.abs(item.recist - right).max() > 20  # G7


def test_official_split_and_patients(deeplesion_files, made):
    samples = read_samples(made / "samples.csv")
    table = pd.DataFrame(read_table(deeplesion_files[1])).set_index("id")
    codes = table.loc[samples.index, "Train_Val_Test"].map({"1": "train", "2": "val", "3": "test"})
    assert (samples["split"] == codes).all()
    assert (samples.groupby("group")["split"].agg(set).map(len) == 1).all()
    spacing = table.loc[samples.index, "Spacing_mm_px_"].str.split(",").str[0].astype(float)
    native = table.loc[samples.index, "Image_size"] == "512, 512"
    np.testing.assert_allclose(samples.loc[native, "mm_per_px_x"], spacing[native])


def test_missing_neighbours_are_recorded(made):
    report = report_of(made)
    notes = {entry["reason"]: entry["count"] for entry in report["notes"]}
    assert notes["neighbour slices missing: the nearest one taken"] == 3
    assert report["dense_reference"] is False
    assert sum(report["kept"].values()) == 30


def test_channels_are_2_mm_apart():
    assert slice_weights(10, 5.0, -2.0) == [(9, 0.4), (10, 0.6)]
    assert slice_weights(10, 5.0, 2.0) == [(10, 0.6), (11, 0.4)]
    assert slice_weights(10, 1.0, 2.0) == [(12, 1.0)]
    assert slice_weights(10, 0.25, -2.0) == [(2, 1.0)]
    assert slice_weights(10, 3.0, 0.0) == [(10, 1.0)]
    for unknown in (float("nan"), 0.0, -1.0):
        assert slice_weights(10, unknown, 2.0) == [(10, 1.0)]


def test_interpolation_by_hand(tmp_path):
    paths = {}
    for index, level in ((9, 0), (10, 100), (11, 50)):
        paths[index] = str(tmp_path / f"{index:03d}.png")
        cv2.imwrite(paths[index], np.full((512, 512), 32768 + level, np.uint16))
    row = dict(zip(HEADER, GOOD, strict=True)) | {"id": "a", "row": 0, "Spacing_mm_px_": "1, 1, 5"}
    lesion = parse_row(row, "t.csv")
    (sample,) = read_key_slice(([lesion], paths), settings=Settings(**DEEPLESION))
    # window -100 to 100: HU 60, 100 and 80 are 0.8, 1 and 0.9 of 255
    assert sample.image[50, 50].tolist() == [204, 255, 230]


@pytest.mark.parametrize(
    ("side_px", "to_left", "scaled", "released"),
    [
        (512, 0, (50, 60), (50, 60)),  # the patch starts at 50, 40
        (512, 90, (50, 60), (10, 60)),  # at -40, 40, which the released code takes for 0, 40
        (768, 0, (53.5, 60.5), (87, 94)),  # at 13, 6 of the image of 512 px
    ],
)
def test_released_marks_are_moved_only_and_not_out_of_the_image(
    tmp_path, side_px, to_left, scaled, released
):
    """By hand: the first end, at 100 - to_left, 100 of the image; and the box's middle (G7)."""
    path = tmp_path / "010.png"
    cv2.imwrite(str(path), np.full((side_px, side_px), 32768, np.uint16))
    row = dict(zip(HEADER, GOOD, strict=True)) | {"id": "a", "row": 0}
    for column in ("Measurement_coordinates", "Bounding_boxes"):
        numbers = [int(field) for field in row[column].split(",")]
        moved = [value - to_left * (place % 2 == 0) for place, value in enumerate(numbers)]
        row[column] = ", ".join(map(str, moved))
    lesion = parse_row(row, "t.csv")
    for scale_marks, expected in ((True, scaled), (False, released)):
        settings = Settings(**DEEPLESION | {"scale_marks": scale_marks})
        (sample,) = read_key_slice(([lesion], {10: str(path)}), settings=settings)
        assert sample.recist[0] == pytest.approx(expected)


def test_nearest_slice_lies_towards_the_key_slice():
    paths = {5: "", 9: "", 10: "", 12: ""}
    assert nearest_slice(8, 10, paths) == 9
    assert nearest_slice(14, 10, paths) == 12
    assert nearest_slice(11, 10, {10: ""}) == 10


HEADER = [
    "File_name",
    "Patient_index",
    "Measurement_coordinates",
    "Bounding_boxes",
    "Spacing_mm_px_",
    "DICOM_windows",
    "Train_Val_Test",
]
GOOD = [
    "000001_01_01_010.png",
    "1",
    "101, 101, 121, 101, 111, 96, 111, 106",
    "96, 91, 126, 111",
    "0.8, 0.8, 1",
    "-100, 100",
    "1",
]


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("Measurement_coordinates", "1, 2, 3, 4, 5, 6, 7", "RECIST mark"),
        ("Measurement_coordinates", "1, 2, 3, 4, 5, 6, 7, nan", "RECIST mark"),
        ("Measurement_coordinates", "1, 1, 9, 1, 2, 2, 8, 2", "RECIST mark"),
        ("Measurement_coordinates", "5, 5, 5, 5, 2, 2, 8, 2", "RECIST mark"),
        ("Bounding_boxes", "10, 10, 5, 20", "invalid bounding box"),
        ("Bounding_boxes", "10, 10, 20", "invalid bounding box"),
        ("Spacing_mm_px_", "0, 0.8, 1", "invalid pixel spacing"),
        ("DICOM_windows", "100, -100", "invalid DICOM window"),
        ("DICOM_windows", "", "invalid DICOM window"),
        ("Train_Val_Test", "4", "Train_Val_Test"),
        ("File_name", "nonsense.png", "File_name"),
    ],
)
def test_bad_rows_stop_or_are_left_out(deeplesion_files, tmp_path, column, value, reason):
    folders, table = deeplesion_files
    rows = pd.read_csv(table, dtype=str, keep_default_na=False)
    rows.loc[4, column] = value
    rows.to_csv(tmp_path / "DL_info.csv", index=False)
    files = (folders, tmp_path / "DL_info.csv")
    with pytest.raises(DataError, match=rf"DL_info\.csv, line 6 \(\S+\): {reason}.*Correct"):
        make_deeplesion(files, tmp_path / "out")
    make_deeplesion(files, tmp_path / "out", on_bad_sample="drop")
    (dropped,) = report_of(tmp_path / "out")["dropped"]
    assert dropped["reason"].startswith(reason)
    assert dropped["count"] == 1


def spoil_truncated(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def spoil_8_bit(path):
    cv2.imwrite(str(path), np.zeros((512, 512), np.uint8))


def spoil_missing(path):
    path.unlink()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_truncated, "cannot be read as PNG"),
        (spoil_8_bit, "16-bit grey is needed"),
        (spoil_missing, "is not there. Fetch"),
    ],
)
def test_bad_key_slices_stop_or_are_left_out(deeplesion_files, tmp_path, spoil, message):
    folders, table = deeplesion_files
    copy = shutil.copytree(folders[0], tmp_path / "copy")
    spoil(next(copy.rglob("000001_01_01/020.png")))
    files = ([copy, folders[1]], table)
    with pytest.raises(DataError, match=rf"000001_01_01/020\.png: .*{message}"):
        make_deeplesion(files, tmp_path / "out")
    make_deeplesion(files, tmp_path / "out", on_bad_sample="drop")
    (dropped,) = report_of(tmp_path / "out")["dropped"]
    assert dropped["count"] == 3


def test_box_outside_the_image(deeplesion_files, tmp_path):
    folders, table = deeplesion_files
    rows = pd.read_csv(table, dtype=str, keep_default_na=False)
    rows.loc[0, "Bounding_boxes"] = "700, 10, 720, 30"
    rows.loc[0, "Measurement_coordinates"] = "705, 20, 715, 20, 710, 16, 710, 24"
    rows.to_csv(tmp_path / "DL_info.csv", index=False)
    with pytest.raises(DataError, match="lies outside the image of 512x512"):
        make_deeplesion((folders, tmp_path / "DL_info.csv"), tmp_path / "out")


def test_part_of_the_archives_leaves_the_others_out(deeplesion_files, tmp_path):
    folders, table = deeplesion_files
    rows = pd.read_csv(table, dtype=str, keep_default_na=False)
    rows.loc[:5, "Train_Val_Test"] = "2"
    rows.loc[6:8, "Train_Val_Test"] = "3"
    rows.to_csv(tmp_path / "DL_info.csv", index=False)
    files = (folders[:1], tmp_path / "DL_info.csv")
    make_deeplesion(files, tmp_path / "out", complete=False)
    (dropped,) = report_of(tmp_path / "out")["dropped"]
    assert dropped["reason"] == "in an archive that the study does not use"
    assert dropped["count"] == 15


def test_patient_in_two_splits_is_an_error(deeplesion_files, tmp_path):
    folders, table = deeplesion_files
    rows = pd.read_csv(table, dtype=str, keep_default_na=False)
    rows.loc[0, "Train_Val_Test"] = "3"
    rows.to_csv(tmp_path / "DL_info.csv", index=False)
    with pytest.raises(DataError, match="group patient-1 is in the splits test, train"):
        make_deeplesion((folders, tmp_path / "DL_info.csv"), tmp_path / "out")


def test_a_patient_in_two_splits_by_spelling_is_the_same_error(deeplesion_files, tmp_path):
    folders, table = deeplesion_files
    rows = pd.read_csv(table, dtype=str, keep_default_na=False)
    rows.loc[1, "Train_Val_Test"], rows.loc[1, "Patient_index"] = "3", "001 "
    rows.to_csv(tmp_path / "DL_info.csv", index=False)
    with pytest.raises(DataError, match="group patient-1 is in the splits test, train"):
        make_deeplesion((folders, tmp_path / "DL_info.csv"), tmp_path / "out")


def test_key_slices_of_equal_bytes_are_named(deeplesion_files, tmp_path, caplog):
    """Two series that are one under two names, and whose lesions could be in two splits."""
    folders, table = deeplesion_files
    make_deeplesion((folders, table), tmp_path / "before")
    assert "equal key slices" not in caplog.text
    rows = pd.read_csv(table, dtype=str, keep_default_na=False)
    first, other = (rows.loc[i, "File_name"].rsplit("_", 1) for i in (0, len(rows) - 1))
    for number, folder in enumerate(folders):
        shutil.copytree(folder, tmp_path / f"in{number}")
    found = {
        series: next(tmp_path.glob(f"in*/**/{series}/{name}")) for series, name in (first, other)
    }
    shutil.copyfile(found[first[0]], found[other[0]])
    copied = [tmp_path / f"in{number}" for number in range(len(folders))]
    make_deeplesion((copied, table), tmp_path / "out", on_bad_sample="drop")
    shown = ", ".join(str(path) for path in sorted(found.values()))
    assert f"equal key slices under several names: {shown}" in caplog.text


def test_only_needed_slices_are_unpacked(tmp_path):
    with (tmp_path / "DL_info.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([HEADER, [*GOOD[:4], "0.8, 0.8, 5", *GOOD[5:]]])
    names = [f"Images_png/000001_01_01/{index:03d}.png" for index in range(6, 15)]
    others = ["Images_png/000002_01_01/010.png", "__MACOSX/x.png", "readme.txt"]
    needed = needed_members([*names, *others], tmp_path / "DL_info.csv")
    assert needed == [f"Images_png/000001_01_01/{index:03d}.png" for index in (9, 10, 11)]


def test_phantom_has_both_click_orders(deeplesion_files):
    table = pd.DataFrame(read_table(deeplesion_files[1]))
    points = table["Measurement_coordinates"].str.split(",", expand=True).astype(float)
    leftwards = points[0] > points[2]
    assert 5 < leftwards.sum() < 25


def test_real_rows_and_slices(tmp_path):
    folders, table = unpack(real("deeplesion") / "manifest.csv", tmp_path)
    series = find_series(folders)
    settings = Settings(**DEEPLESION)
    rows = read_table(table)
    assert len(rows) == 24
    overlaps = []
    for row in rows:
        lesion = parse_row(row, table)
        (sample,) = read_key_slice(([lesion], series[lesion.series]), settings=settings)
        assert isinstance(sample, Sample)
        assert sample.image.shape == (120, 120, 3)
        expected = direct_center(row, series[lesion.series][lesion.key_slice])
        assert np.abs(sample.image[..., 1] - expected).max() <= 0.51
        assert "neighbour slices missing" in sample.note
        mask_png = REAL_DATA / "deeplesion/masks_uls23_grabcut" / row["File_name"]
        if mask_png.is_file():
            mask = cv2.imread(str(mask_png), cv2.IMREAD_UNCHANGED) > 0
            x0, y0 = (round(value) for value in sample.crop[:2])
            padded = np.pad(mask, 120)[y0 + 120 : y0 + 240, x0 + 120 : x0 + 240]
            drawn = draw_ellipse(ellipse_from_recist(sample.recist), (120, 120))
            overlaps.append(dice(padded & dilate(drawn), drawn))
    assert len(overlaps) >= 20
    assert np.median(overlaps) > 0.7


def dilate(mask):
    """Other lesions of the same slice are not compared."""
    return cv2.dilate(mask.astype(np.uint8), np.ones((15, 15), np.uint8)) > 0


def test_all_9921_real_rows_parse_and_have_a_target():
    table = real("deeplesion") / "DL_info_9921_rows.csv"
    lesions = [parse_row(row, table) for row in read_table(table)]
    assert len(lesions) == 9921
    assert len({lesion.id for lesion in lesions}) == 9921
    for lesion in lesions:
        ellipse = ellipse_from_recist(lesion.recist)
        middle = ellipse.moved(60 - round(ellipse.cx), 60 - round(ellipse.cy))
        assert drawn_target(middle, (120, 120)).any(), lesion.id


def test_archives_are_not_unpacked_whole(deeplesion_files, tmp_path):
    """Names as an archive lists them find their slices."""
    folders, table = deeplesion_files
    archive = folders[0].parent.parent / "archives" / folders[0].name
    with zipfile.ZipFile(archive) as bundle:
        names = bundle.namelist()
    assert needed_members(names, table) == names


def test_phantom_is_decided_by_its_seed(tmp_path):
    def made(name, seed):
        make_phantom(folder=tmp_path / name, num_series=10, seed=seed)
        return [path.read_bytes() for path in sorted((tmp_path / name).iterdir())]

    assert made("a", 1) == made("b", 1) != made("c", 2)
    with pytest.raises(ValueError, match="num_series"):
        make_phantom(folder=tmp_path, num_series=9, seed=1)


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("Measurement_coordinates", "301, 301, 321, 301, 311, 296, 311, 306", "RECIST mark out"),
        ("Spacing_mm_px_", "0.8, 0.8, 1e-9", "slice interval"),
        ("Spacing_mm_px_", "0.8, 0.8, 1e-310", "slice interval"),
        ("Spacing_mm_px_", "1e-200, 0.8, 1", "invalid pixel spacing"),
        ("Spacing_mm_px_", "0_8, 0.8, 1", "invalid pixel spacing"),
        ("File_name", "000001_01_01_\u00b2.png", "File_name"),
        ("File_name", "", "File_name"),
    ],
)
def test_rows_that_no_scanner_gave_are_bad(column, value, reason):
    row = dict(zip(HEADER, GOOD, strict=True)) | {"id": "a", "row": 7}
    parse_row(row, "t.csv")
    with pytest.raises(BadSampleError, match=rf"t\.csv, line 9 \(a\): {reason}.*Correct the row"):
        parse_row(row | {column: value}, "t.csv")


def test_a_mark_outside_the_image_is_bad(tmp_path):
    cv2.imwrite(str(tmp_path / "010.png"), np.full((512, 512), 32768, np.uint16))
    moved = {
        "Measurement_coordinates": "501, 101, 521, 101, 511, 96, 511, 106",
        "Bounding_boxes": "496, 91, 526, 111",
    }
    row = dict(zip(HEADER, GOOD, strict=True)) | moved | {"id": "a", "row": 0}
    item = [parse_row(row, "t.csv")], {10: str(tmp_path / "010.png")}
    with pytest.raises(BadSampleError, match="the mark of a leaves the image of 512x512"):
        read_key_slice(item, settings=Settings(**DEEPLESION))
    (left,) = read_key_slice(item, settings=Settings(**DEEPLESION | {"on_bad_sample": "drop"}))
    assert left.reason == "RECIST mark outside the image"


def test_a_row_of_commas_needs_no_slice_and_is_counted(deeplesion_files, tmp_path):
    folders, table = deeplesion_files
    text = table.read_text().rstrip("\n")
    (tmp_path / "DL_info.csv").write_text(f"{text}\n{',' * text.splitlines()[0].count(',')}\n")
    lines = len(text.splitlines())
    names = ["Images_png/000001_01_01/020.png"]
    assert needed_members(names, tmp_path / "DL_info.csv") == needed_members(names, table)
    files = (folders, tmp_path / "DL_info.csv")
    with pytest.raises(DataError, match=rf"DL_info\.csv, line {lines + 1} .*names no slice"):
        make_deeplesion(files, tmp_path / "out")
    make_deeplesion(files, tmp_path / "out", on_bad_sample="drop")
    (dropped,) = report_of(tmp_path / "out")["dropped"]
    assert (dropped["reason"], dropped["count"]) == ("File_name that names no slice", 1)


@pytest.mark.parametrize("interval", [1e-9, 1e-310, -1.0, 0.0, float("nan"), float("inf"), 1e300])
def test_an_interval_that_is_none_leaves_the_key_slice(interval):
    assert slice_weights(109, interval, 2.0) == [(109, 1.0)]


def test_the_nearest_slice_is_found_at_once_however_far():
    assert nearest_slice(2_000_000_109, 109, {109: "", 111: "", 4: ""}) == 111
    assert nearest_slice(-(10**12), 109, {109: ""}) == 109


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"", "is empty"),
        ("a,b\n1,2\n".encode("utf-16"), "is not in UTF-8"),
        (b'a,b\n"1,2\n', "cannot be read as a table"),
        ((",".join(HEADER) + "\n" + "1," * 9 + "9\n").encode(), "line 2: has 10 fields"),
        ((",".join([*HEADER, "File_name"]) + "\n").encode(), "column File_name occurs twice"),
        (b"<html>\n", "column File_name"),
    ],
    ids=["empty", "UTF-16", "open quote", "ragged", "twice", "HTML"],
)
def test_a_table_that_is_none_is_named(tmp_path, content, cause):
    (tmp_path / "DL_info.csv").write_bytes(content)
    with pytest.raises(DataError, match=rf"DL_info\.csv.*{cause}"):
        read_table(tmp_path / "DL_info.csv")


def test_there_are_no_more_strata_than_shapes():
    """Two lesions of one shape are in one cluster, however many clusters there may be."""
    ellipses = [Ellipse(60.0, 60.0, size, 20.0, 0.0) for size in (30.0, 30.0, 80.0)]
    marks = {name: recist_from_ellipse(one) for name, one in zip("abc", ellipses, strict=True)}
    found = shape_clusters(marks, SimpleNamespace(strata=45))
    assert found["a"] == found["b"] != found["c"]
