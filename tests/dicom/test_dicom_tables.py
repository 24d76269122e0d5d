"""A user's table of marks on the images of an export."""

import copy

import nibabel
import numpy as np
import pandas as pd
import pytest
from test_import import ENDS, enhanced
from test_writing import call

from weaklesion.dicom.export import read_export
from weaklesion.dicom.phantom import make_series, save
from weaklesion.dicom.tables import NO_SPACING, marks_of_table
from weaklesion.recist import RECIST_COLUMNS

NOT_THERE = (
    "its image is not in the export: write the path of one of its files, relative to the table, or"
    " the UID of an image or of a series"
)
NUMBERS = dict(zip(RECIST_COLUMNS, ENDS.ravel(), strict=True))


@pytest.fixture
def series():
    return [image for image, _ in make_series(np.random.default_rng(0), 0, 5)]


def write(images, folder):
    """Write images in an order that is not that of the slices."""
    for number, image in enumerate(images):
        save(image, folder / f"image-{(number * 3) % 5}")
    return read_export(folder)


def table(folder, *rows):
    path = folder / "marks.csv"
    pd.DataFrame([NUMBERS | row for row in rows]).to_csv(path, index=False)
    return path


def causes(folder, export, row, **options):
    marks, refused = marks_of_table(table(folder, row), export, **options)
    assert not marks
    return [each.cause for each in refused]


def test_an_image_is_named_by_file_by_its_uid_or_by_series_and_slice(series, tmp_path):
    export = write(series, tmp_path / "in")
    wanted = series[3].SOPInstanceUID
    path = export.images[wanted].path.relative_to(tmp_path)
    along = len(series) - 1 - 3 if reversed_along_normal(series) else 3
    rows = [
        {"id": "a", "image": path},
        {"id": "b", "image": wanted},
        {"id": "c", "image": series[0].SeriesInstanceUID, "slice": along},
    ]
    marks, refused = marks_of_table(table(tmp_path, *rows), export)
    assert not refused
    assert [(mark.image_uid, mark.frame, mark.name) for mark in marks] == [
        (wanted, 0, name) for name in "abc"
    ]
    np.testing.assert_array_equal(marks[0].ends, ENDS)


def reversed_along_normal(series):
    rows, columns = np.array(series[0].ImageOrientationPatient, float).reshape(2, 3)
    places = np.array([image.ImagePositionPatient for image in series], float)
    return (np.diff(places @ np.cross(rows, columns)) < 0).all()


def test_frames_of_one_object_are_slices(series, tmp_path):
    image = enhanced(series)
    export = write([image], tmp_path / "in")
    row = {"image": image.SOPInstanceUID, "slice": 4}
    ((mark,), _) = marks_of_table(table(tmp_path, row), export)
    assert mark.frame == 4
    assert causes(tmp_path, export, row | {"slice": 5}) == [
        "slice 5 is not one of the 5 frames, 0 to 4"
    ]
    assert causes(tmp_path, export, row | {"slice": 6}, first_slice=1) == [
        "slice 6 is not one of the 5 frames, 1 to 5"
    ]
    assert causes(tmp_path, export, {"image": image.SOPInstanceUID}) == [
        "the image has 5 frames, but the row has no slice"
    ]


def test_an_image_of_one_slice_has_no_other(series, tmp_path):
    export = write(series[:1], tmp_path / "in")
    row = {"image": series[0].SOPInstanceUID, "slice": 5}
    assert causes(tmp_path, export, row, first_slice=1) == [
        "the row names slice 5, but the image is a single slice: leave slice empty, or name"
        " the series instead of the image"
    ]


def test_rows_that_name_no_single_image_are_refused(series, tmp_path):
    export = write(series, tmp_path / "in")
    uid = series[0].SeriesInstanceUID
    assert causes(tmp_path, export, {"image": "1.2.3"}) == [NOT_THERE]
    assert causes(tmp_path, export, {"image": uid}) == [
        "the series has 5 images, but the row has no slice"
    ]
    row = {"image": series[0].SOPInstanceUID, "spacing_x": 0.8, "spacing_y": 0.7}
    assert "does the mark belong to another image" in causes(tmp_path, export, row)[0]


def test_a_spacing_that_is_not_used_is_told(series, tmp_path):
    del series[1].PixelSpacing
    export = write(series, tmp_path / "in")
    spacing = {"spacing_x": 0.7, "spacing_y": 0.8}
    rows = [{"image": image.SOPInstanceUID} | spacing for image in series[:2]]
    rows.append({"image": series[1].SOPInstanceUID})
    marks, _ = marks_of_table(table(tmp_path, *rows), export)
    assert [mark.notes for mark in marks] == [(), (NO_SPACING,), ()]


@pytest.mark.parametrize("name", ["aa/copy", "zz/copy"])
@pytest.mark.parametrize("cut", [0, 2000], ids=["whole", "truncated"])
def test_a_copy_of_a_file_names_its_image(series, tmp_path, name, cut):
    write(series, tmp_path / "in")
    content = (tmp_path / "in/image-0").read_bytes()
    path = tmp_path / "in" / name
    path.parent.mkdir()
    path.write_bytes(content[: len(content) - cut])
    export = read_export(tmp_path / "in")
    ((mark,), refused) = marks_of_table(table(tmp_path, {"image": f"in/{name}"}), export)
    assert not refused
    assert mark.image_uid == series[0].SOPInstanceUID


def test_a_path_that_is_spelt_otherwise_is_told_so_without_a_name(series, tmp_path):
    export = write(series, tmp_path / "in")
    assert causes(tmp_path, export, {"image": "in\\image-0"}) == [
        "its image is not in the export: write its path with / instead of \\"
    ]
    assert causes(tmp_path, export, {"image": "in/Image-0"}) == [
        "its image is not in the export: its folder has a file of this name with other capital"
        " letters"
    ]
    (tmp_path / "outside").write_bytes(b"")
    assert causes(tmp_path, export, {"image": "outside"}) == [NOT_THERE]


@pytest.mark.parametrize("number", [0, 4])
def test_rounded_directions_and_a_localiser_leave_a_series_its_order(series, tmp_path, number):
    along = series[::-1] if reversed_along_normal(series) else series
    scout = copy.deepcopy(series[2])
    scout.SOPInstanceUID = scout.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    scout.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    scout.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
    save(scout, tmp_path / "in/scout")
    for place, image in enumerate(series):
        image.ImageOrientationPatient = [
            float(x) + 1e-6 * place for x in image.ImageOrientationPatient
        ]
    export = write(series, tmp_path / "in")
    row = {"image": series[0].SeriesInstanceUID, "slice": number}
    ((mark,), _) = marks_of_table(table(tmp_path, row), export)
    assert mark.image_uid == along[number].SOPInstanceUID


@pytest.mark.parametrize("wrong", ["place", "twice", "turned"])
def test_a_series_that_has_no_order_is_refused(series, tmp_path, wrong):
    if wrong == "place":
        del series[1].ImagePositionPatient
    elif wrong == "twice":
        series[1].ImagePositionPatient = series[2].ImagePositionPatient
    else:
        series[1].ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    export = write(series, tmp_path / "in")
    row = {"image": series[0].SeriesInstanceUID, "slice": 1}
    (cause,) = causes(tmp_path, export, row)
    assert cause.endswith(": name one image")


def test_the_command_takes_a_table_with_an_export(grey_model, tmp_path, series):
    slices = make_series(np.random.default_rng(0), 0, 5)
    write([image for image, _ in slices], tmp_path / "in")
    row = {"Name": "mine", "image": slices[2][0].SOPInstanceUID}
    result = call(grey_model, tmp_path, "--marks", table(tmp_path, row), "--columns", "id=Name",
                  "--gate", "0", "--as-given")  # fmt: skip
    assert result.exit_code == 0, result.output
    mask = nibabel.load(tmp_path / "out/masks/mine.nii.gz")
    assert np.asarray(mask.dataobj).any()
    assert len(list((tmp_path / "out/dicom").glob("seg-*.dcm"))) == 1


def test_an_id_that_a_spreadsheet_computes_is_refused(series, tmp_path):
    export = write(series, tmp_path / "in")
    row = {"id": "=1+1", "image": series[3].SOPInstanceUID}
    assert causes(tmp_path, export, row) == [
        "the id '=1+1' is one that spreadsheets compute: begin it with a letter or digit"
    ]
