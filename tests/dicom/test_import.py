"""From an export to marks and images: what is taken, what is refused, what is told."""

import os
import shutil
import tracemalloc
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pydicom
import pytest
from conftest import REAL_DATA
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEG2000Lossless, RLELossless

from weaklesion.dicom import importing
from weaklesion.dicom.documents import find_marks
from weaklesion.dicom.export import read_export
from weaklesion.dicom.importing import ImportSettings, import_export
from weaklesion.dicom.phantom import (
    INSIDE_HU,
    SPACING_RC,
    STEP_MM,
    PhantomMark,
    bidirectional_report,
    make_export,
    make_series,
    save,
)
from weaklesion.dicom.pixels import read_frames, read_pixels, series_notes
from weaklesion.errors import DataError
from weaklesion.marks.table import BadMarkError, read_marks
from weaklesion.segment.of_export import segment_export
from weaklesion.segment.settings import SegmentSettings

ENDS = np.array([[30.0, 50.0], [70.0, 50.0], [50.0, 40.0], [50.0, 62.0]])
PERSONAL = ("PHANTOM^PERSON", "PHANTOM HOSPITAL", "PHANTOM-ID", "19500101", "20200101")


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    """The phantom export, its good marks, and what an import made of it."""
    folder = tmp_path_factory.mktemp("export")
    marks = make_export(folder / "in")
    return folder / "in", marks, import_export(folder / "in", folder / "out"), folder / "out"


@pytest.fixture
def series():
    return [image for image, _ in make_series(np.random.default_rng(0), 0, 5)]


def with_report(images, folder, ends=ENDS):
    """Write images and a report on the first one."""
    for number, image in enumerate(images):
        save(image, folder / f"image-{number}")
    mark = PhantomMark(images[0].SOPInstanceUID, ends, np.zeros((1, 1), bool), "1.2.3", "SR")
    save(bidirectional_report([mark], [images[0]]), folder / "report")
    return folder


def causes(folder, out, **settings):
    """Import an export without a good mark; return the causes."""
    with pytest.raises(DataError, match="no mark in it can be used"):
        import_export(folder, out, ImportSettings(**settings))
    return pd.read_csv(out / "found.csv")["cause"].tolist()


def test_every_good_mark_comes_back_to_a_hundredth_of_a_pixel(export):
    _, marks, imported, _ = export
    assert len(imported.marks) == len(marks) == 6
    for mark in marks:
        (found,) = [m for m in imported.marks.values() if m.image_uid == mark.image_uid]
        np.testing.assert_allclose(found.ends, mark.ends, atol=0.01)
        assert (found.source, found.tracking_uid) == (mark.source, mark.tracking_uid)


def test_the_table_is_one_that_segment_reads(export):
    _, _, imported, out = export
    marks, refused = read_marks(imported.marks_csv)
    assert not refused
    assert {mark.id for mark in marks} == set(imported.marks)
    assert imported.marks_csv == out / "marks.csv"
    assert all(mark.image.is_file() for mark in marks)


def test_images_hold_hounsfield_units_where_they_are_in_the_patient(export):
    folder, marks, imported, out = export
    table = pd.read_csv(out / "marks.csv").set_index("id")
    for mark in marks:
        (name,) = [n for n, m in imported.marks.items() if m.image_uid == mark.image_uid]
        volume = nibabel.load(out / table.loc[name, "image"])
        values = volume.get_fdata()[..., 0].T
        assert abs(values[mark.mask].mean() - INSIDE_HU) < 3
        np.testing.assert_allclose(volume.header.get_zooms(), [*SPACING_RC[::-1], STEP_MM],
                                   rtol=1e-5)  # fmt: skip
        dataset = pydicom.dcmread(read_export(folder).images[mark.image_uid].path)
        corner = volume.affine @ [0, 0, 0, 1]  # NIfTI has x and y the other way round
        np.testing.assert_allclose(
            corner[:3] * [-1, -1, 1], dataset.ImagePositionPatient, atol=1e-4
        )
        last = volume.affine @ [0, 9, 0, 1] - corner
        direction = np.array(dataset.ImageOrientationPatient[3:], float)
        np.testing.assert_allclose(last[:3] * [-1, -1, 1], 9 * 0.8 * direction, atol=1e-4)


def test_everything_else_is_reported_with_its_cause(export):
    _, _, _, out = export
    found = pd.read_csv(out / "found.csv")
    assert found.loc[~found["taken"], "cause"].tolist() == ["its image is not in the export"]
    skipped = pd.read_csv(out / "skipped.csv")["cause"].tolist()
    assert sorted(skipped) == sorted(
        [
            "neither DICOM, XML nor JSON",
            "empty",
            "its UID is also that of a different file",
            "a copy of another file",
            "the UID of its SOP class or instance is missing or invalid",
        ]
    )
    series = pd.read_csv(out / "series.csv")
    assert series["marked"].sum() == 2
    assert "1 positions occur more than once" in series["notes"].tolist()


def test_hundreds_of_other_files_are_named_and_the_marks_go_through(tmp_path):
    marks = make_export(tmp_path / "in")
    import_export(tmp_path / "in", tmp_path / "before")
    rng = np.random.default_rng(0)
    contents = {
        b"": "empty",
        b"<html><body>report</body></html>": "no AIM annotation",
        b"<html><body>cut": "damaged XML",
        b'{"a": 1}': "no AIM annotation",
        b'\n[{"a": 1}]': "no AIM annotation",
        rng.bytes(5000): "neither DICOM, XML nor JSON",
        b"%PDF-1.7": "neither DICOM, XML nor JSON",
    }
    for number in range(50):
        folder = tmp_path / "in" / f"viewer{number}"
        folder.mkdir()
        for place, content in enumerate(contents):
            (folder / f"file{place}{('', '.dcm')[number % 2]}").write_bytes(content)
    imported = import_export(tmp_path / "in", tmp_path / "out")
    assert len(imported.marks) == len(marks)
    skipped, before = (
        pd.read_csv(tmp_path / name / "skipped.csv")["cause"].value_counts()
        for name in ("out", "before")
    )
    expected = pd.Series(list(contents.values())).value_counts() * 50
    assert skipped.sub(before, fill_value=0).pipe(lambda more: more[more > 0]).to_dict() == (
        expected.to_dict()
    )


def test_folders_that_are_not_walked_are_told(series, tmp_path, monkeypatch):
    folder = with_report(series, tmp_path / "in")
    (folder / "closed").mkdir()
    other = tmp_path / "elsewhere"
    save(series[0], other / "visit/image")
    (folder / "linked").symlink_to(other, target_is_directory=True)
    walked = os.scandir

    def scandir(path):
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", path)
        return walked(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert [each.cause for each in read_export(folder).skipped] == [
        "a link to a folder, which is not followed",
        "a folder that cannot be read",
    ]


def test_no_word_about_a_person_leaves_the_export(export, tmp_path, caplog):
    folder, _, _, _ = export
    caplog.set_level(0)
    import_export(folder, tmp_path / "out")
    assert caplog.text
    content = caplog.text.encode()
    for path in (tmp_path / "out").rglob("*"):
        content += path.name.encode() + (path.read_bytes() if path.is_file() else b"")
    for text in PERSONAL:
        assert text.encode() not in content


def test_where_files_lie_does_not_matter(export, tmp_path):
    folder, _, imported, _ = export
    flat = tmp_path / "flat"
    flat.mkdir()
    for number, path in enumerate(sorted(folder.rglob("*"), reverse=True)):
        if path.is_file():
            shutil.copy(path, flat / f"{number:03d}")
    again = import_export(flat, tmp_path / "out")
    assert set(again.marks) == set(imported.marks)


def test_a_second_import_leaves_images_untouched(export):
    folder, _, _, out = export
    times = {path: path.stat().st_mtime_ns for path in (out / "images").iterdir()}
    import_export(folder, out)
    assert {path: path.stat().st_mtime_ns for path in (out / "images").iterdir()} == times


def test_a_mark_that_two_documents_hold_is_taken_once(series, tmp_path):
    folder = with_report(series, tmp_path / "in")
    mark = PhantomMark(series[0].SOPInstanceUID, ENDS[[1, 0, 2, 3]], np.zeros((1, 1), bool),
                       "1.2.3", "SR")  # fmt: skip
    other = bidirectional_report([mark], [series[0]])
    other.SOPInstanceUID = other.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    save(other, folder / "other")
    assert len(import_export(folder, tmp_path / "out").marks) == 1
    report = pd.read_csv(tmp_path / "out/found.csv")
    assert report["cause"].dropna().str.startswith("the same mark as mark-").tolist() == [True]


@pytest.mark.parametrize("uid", ["1.2.3.4", "9.2.3.4"], ids=["read first", "read last"])
def test_a_mark_that_two_documents_hold_has_what_each_says_of_its_lesion(
    series, tmp_path, monkeypatch, uid
):
    """One knows its tracking UID and that it is a node, the other, under any UID, only its name."""
    folder = with_report(series, tmp_path / "in")
    (known,), refused = find_marks(read_export(folder))
    known = replace(known, node=True)
    named = replace(known, source_uid=uid, tracking_uid="", lesion="liver 1", node=False)
    for marks in ([known, named], [named, known]):
        monkeypatch.setattr(importing, "find_marks", lambda _, m=marks: (m, refused))
        imported = import_export(folder, tmp_path / "out")
        (mark,) = imported.marks.values()
        assert (mark.tracking_uid, mark.node) == (known.tracking_uid, True)
        assert {mark.lesion, *mark.other_lesions} == {known.lesion, "liver 1"}
        assert imported.refused == []


def test_pixels_that_are_not_square_need_a_spacing(series, tmp_path):
    for image in series:
        image.PixelAspectRatio = [2, 1]
    assert len(import_export(with_report(series, tmp_path / "in"), tmp_path / "out").marks) == 1
    for image in series:
        del image.PixelSpacing
    (cause,) = causes(with_report(series, tmp_path / "again"), tmp_path / "out2")
    assert cause.startswith("its image has pixels that are not square")


def test_two_images_with_one_uid_are_used_by_no_mark(series, tmp_path):
    folder = with_report(series, tmp_path / "in")
    series[0].PixelData = bytes(len(series[0].PixelData))
    save(series[0], folder / "other")
    assert causes(folder, tmp_path / "out") == ["two different files have the UID of its image"]


def test_a_frame_that_the_image_does_not_have(series, tmp_path):
    folder = with_report(series, tmp_path / "in")
    report = pydicom.dcmread(folder / "report")
    text = [report]
    for item in text:
        text += item.get("ContentSequence") or []
        if item.get("ValueType") == "IMAGE":
            item.ReferencedSOPSequence[0].ReferencedFrameNumber = 7
    save(report, folder / "report")
    assert causes(folder, tmp_path / "out") == ["its image has 1 frames, not 7"]


def test_truncated_pixels_are_refused(series, tmp_path):
    folder = with_report(series, tmp_path / "in")
    content = (folder / "image-0").read_bytes()
    (folder / "image-0").write_bytes(content[:-5000])
    (cause,) = causes(folder, tmp_path / "out")
    assert cause.startswith("the pixels of the image cannot be read: missing, truncated")


def test_a_frame_of_more_pixels_than_the_limit_is_refused(series, tmp_path, monkeypatch):
    monkeypatch.setenv("WEAKLESION_MAX_PIXELS", str(series[0].Rows * series[0].Columns))
    folder = with_report(series[:1], tmp_path / "in")
    assert len(import_export(folder, tmp_path / "out").marks) == 1
    monkeypatch.setenv("WEAKLESION_MAX_PIXELS", str(series[0].Rows * series[0].Columns - 1))
    (cause,) = causes(folder, tmp_path / "again")
    assert "px; if that is right, set the environment variable WEAKLESION_MAX_PIXELS" in cause


def test_different_documents_with_one_uid_are_both_read_and_it_is_told(series, tmp_path):
    folder = with_report(series, tmp_path / "in")
    shutil.move(folder / "report", folder / "first")
    with_report(series, folder, ENDS + 3)
    marks = import_export(folder, tmp_path / "out").marks.values()
    assert len(marks) == 2
    assert {mark.notes for mark in marks} == {("a different document has the same UID",)}
    assert len({mark.document for mark in marks}) == 2


@pytest.mark.parametrize("name", ["0-before", "z-behind"])
def test_of_a_truncated_copy_and_the_whole_file_the_whole_is_used(series, tmp_path, name):
    folder = with_report(series[:2], tmp_path / "in")
    (folder / name).write_bytes((folder / "image-0").read_bytes()[:3000])
    assert len(import_export(folder, tmp_path / "out").marks) == 1
    skipped = pd.read_csv(tmp_path / "out/skipped.csv")
    assert skipped["cause"].tolist() == ["a truncated copy of another file"]
    assert skipped["file"].tolist() == [1 if name == "0-before" else 4]


@pytest.mark.parametrize("where", range(132, 1400, 60))
def test_a_file_truncated_anywhere_stops_nothing(series, tmp_path, where):
    folder = with_report(series[:2], tmp_path / "in")
    (folder / "cut").write_bytes((folder / "report").read_bytes()[:where])
    (folder / "cut-too").write_bytes((folder / "image-1").read_bytes()[:where])
    assert len(import_export(folder, tmp_path / "out").marks) == 1


def test_an_element_that_claims_more_than_its_file_has_takes_no_memory(series, tmp_path):
    """The last element of a report, or of an image before its pixels, claims to be 2 GiB long."""
    folder = with_report(series[:2], tmp_path / "in")
    for name, element in {
        "report": b"\x08\x00\x60\x00CS",
        "image-1": b"\x28\x00\x10\x00US",
    }.items():
        content = (folder / name).read_bytes()
        start, _, rest = content.partition(element)
        assert rest
        claim = b"\xe1\x7f\x10\x00OB\0\0" + (2**31 - 2).to_bytes(4, "little")
        (folder / f"{name}-claim").write_bytes(start + claim + element + rest)
    tracemalloc.start()
    try:
        assert len(import_export(folder, tmp_path / "out").marks) == 1
        assert tracemalloc.get_traced_memory()[1] < 2**27
    finally:
        tracemalloc.stop()


def test_a_single_diameter_is_used_only_by_a_stated_rule(series, tmp_path):
    folder = with_report(series, tmp_path / "in")
    report = pydicom.dcmread(folder / "report")
    items = [report]
    for item in items:
        items += item.get("ContentSequence") or []
    group = next(i for i in items if i.get("ContentSequence")
                 and i.ContentSequence[-1].ValueType == "NUM")  # fmt: skip
    del group.ContentSequence[-1]
    save(report, folder / "report")
    (cause,) = causes(folder, tmp_path / "out")
    assert "--single-diameters" in cause
    (mark,) = import_export(
        folder, tmp_path / "out", ImportSettings(short_of_long=0.5)
    ).marks.values()
    # half of 40 px of 0.7 mm: 14 mm, 17.5 px of 0.8 mm
    np.testing.assert_allclose(mark.ends[2:], [[50, 41.25], [50, 58.75]], atol=1e-5)
    assert "the short one is 0.5 of it" in mark.notes[-1]


def read_one(image, tmp_path, frame=0, levels=None):
    save(image, tmp_path / "one")
    (found,) = read_export(tmp_path).images.values()
    return read_pixels(found, frame, levels), found


def test_signed_values_and_each_slices_own_slope(series, tmp_path):
    image = series[0]
    image.PixelRepresentation = 1
    image.PixelData = np.full((image.Rows, image.Columns), -3, np.int16).tobytes()
    image.RescaleSlope, image.RescaleIntercept = 0.5, 10
    pixels, _ = read_one(image, tmp_path)
    assert pixels.hounsfield
    assert np.unique(pixels.array).tolist() == [8.5]


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_compressed_pixels(series, tmp_path, syntax):
    plain, _ = read_one(series[0], tmp_path)
    series[0].compress(syntax)
    compressed, _ = read_one(series[0], tmp_path)
    assert np.array_equal(plain.array, compressed.array)


@pytest.mark.parametrize("kind", ["deflated", "implicit", "explicit"])
def test_files_that_are_deflated_or_begin_without_a_header_of_the_file(series, tmp_path, kind):
    """Old archives store the dataset alone, which states no transfer syntax."""
    image = series[0]
    plain, _ = read_one(image, tmp_path)
    if kind == "deflated":
        image.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
        read, found = read_one(image, tmp_path)
    else:
        image.file_meta, image.preamble = FileMetaDataset(), None
        path = tmp_path / "one"
        pydicom.dcmwrite(path, image, implicit_vr=kind == "implicit", little_endian=True)
        (found,) = read_export(tmp_path).images.values()
        read = read_pixels(found, 0)
    assert np.array_equal(plain.array, read.array)
    assert np.array_equal(plain.array, read_frames(found, [0])[0].array)


def test_other_modalities_are_shown_through_their_window(series, tmp_path):
    image = series[0]
    image.Modality = "MR"
    image.PixelData = np.tile(np.arange(image.Columns, dtype=np.uint16), image.Rows).tobytes()
    image.RescaleSlope, image.RescaleIntercept = 2, 0
    with pytest.raises(BadMarkError, match="--levels"):
        read_one(image, tmp_path)
    assert read_one(image, tmp_path, levels=(0, 510))[0].array[0, :3].tolist() == [0, 1, 2]
    image.WindowCenter, image.WindowWidth = 100.5, 101  # 50 to 150 by the standard's formula
    pixels, _ = read_one(image, tmp_path)
    assert pixels.array[0, [25, 50, 75]].tolist() == [0, 128, 255]
    image.PhotometricInterpretation = "MONOCHROME1"
    assert read_one(image, tmp_path)[0].array[0, [25, 50, 75]].tolist() == [255, 128, 0]


def test_levels_are_a_window_that_shows_a_negative_as_a_viewer_does(series, tmp_path):
    """MONOCHROME1 is stored as a negative: its low values are shown white."""
    image = series[0]
    image.Modality = "CR"
    image.PixelData = np.tile(np.arange(image.Columns, dtype=np.uint16), image.Rows).tobytes()
    image.RescaleSlope, image.RescaleIntercept = 2, 0
    for photometric, shown in (("MONOCHROME2", [0, 128, 255]), ("MONOCHROME1", [255, 128, 0])):
        image.PhotometricInterpretation = photometric
        by_levels, _ = read_one(image, tmp_path, levels=(50, 150))
        assert by_levels.array[0, [25, 50, 75]].tolist() == shown
        image.WindowCenter, image.WindowWidth = 100.5, 101  # the same as a stored window
        assert np.array_equal(read_one(image, tmp_path)[0].array, by_levels.array)


def test_a_window_of_the_function_linear_exact_has_no_half_steps(series, tmp_path):
    """The function is meant for values that are no whole numbers, such as uptake in PET."""
    image = series[0]
    image.Modality = "PT"
    image.PixelData = np.tile(np.arange(image.Columns, dtype=np.uint16), image.Rows).tobytes()
    image.RescaleSlope, image.RescaleIntercept = 0.02, 0
    image.WindowCenter, image.WindowWidth = 1, 1  # 0.5 to 1.5
    image.VOILUTFunction = "LINEAR_EXACT"
    pixels, _ = read_one(image, tmp_path)
    assert pixels.array[0, [25, 50, 75]].tolist() == [0, 128, 255]


def test_a_colour_image_becomes_a_png_with_its_spacing(series, tmp_path):
    image = series[0]
    image.Modality, image.PhotometricInterpretation, image.SamplesPerPixel = "OT", "RGB", 3
    image.PlanarConfiguration, image.BitsAllocated, image.BitsStored, image.HighBit = 0, 8, 8, 7
    image.PixelData = bytes([200, 100, 50]) * (image.Rows * image.Columns)
    import_export(with_report([image], tmp_path / "in"), tmp_path / "out")
    row = pd.read_csv(tmp_path / "out/marks.csv").iloc[0]
    assert (row["spacing_x"], row["spacing_y"]) == (0.7, 0.8)
    with Image.open(tmp_path / "out" / row["image"]) as png:
        assert png.getpixel((3, 3)) == (200, 100, 50)


@pytest.mark.parametrize(
    ("modality", "told"),
    [("MR", "MR (MR)"), ("DX", "DX (X-ray)"), ("", "missing or not a word of DICOM")]
    + [(name, name) for name in ("NM", "XA", "RF", "OT", "ES", "OP", "OPT", "IVUS")],
)
def test_a_network_of_a_known_modality_refuses_every_other_one(series, tmp_path, modality, told):
    series[0].Modality = modality
    folder = with_report(series[:1], tmp_path / "in")
    (cause,) = causes(folder, tmp_path / "out", modality="CT")
    assert cause.startswith(
        f"the Modality of its image is {told}, but the network was trained on CT: give the run"
    )


def test_a_network_of_an_unknown_modality_takes_all(series, tmp_path):
    series[0].Modality = "NM"
    folder = with_report(series[:1], tmp_path / "in")
    settings = ImportSettings(modality="unknown", levels=(0, 2000))
    assert len(import_export(folder, tmp_path / "out", settings).marks) == 1


@pytest.mark.parametrize(
    ("modality", "trained_on"), [("CT", "CT"), ("CR", "X-ray"), ("DX", "X-ray"), ("PT", "PET")]
)
def test_a_network_takes_images_of_its_modality(series, tmp_path, modality, trained_on):
    series[0].Modality = modality
    folder = with_report(series[:1], tmp_path / "in")
    settings = ImportSettings(modality=trained_on, levels=(0, 2000))
    assert len(import_export(folder, tmp_path / "out", settings).marks) == 1


@pytest.mark.parametrize("name", ["RescaleSlope", "RescaleIntercept"])
def test_ct_whose_values_may_be_no_hounsfield_units_is_refused(series, tmp_path, name):
    """A secondary capture of a CT has levels of a screen; its modality is still CT."""
    delattr(series[0], name)
    with pytest.raises(BadMarkError, match="CT without a rescale slope other than 0 and an"):
        read_one(series[0], tmp_path)
    series[0].Modality = "MR"
    assert read_one(series[0], tmp_path, levels=(0, 510))[0].array.max() > 0


def test_a_slope_of_0_gives_no_hounsfield_units(series, tmp_path):
    series[0].RescaleSlope = 0
    with pytest.raises(BadMarkError, match="CT without a rescale slope other than 0"):
        read_one(series[0], tmp_path)


@pytest.mark.parametrize("of_each_frame", [False, True])
def test_maps_of_dual_energy_ct_are_no_hounsfield_units(series, tmp_path, of_each_frame):
    image = enhanced(series) if of_each_frame else series[0]
    holder = image
    if of_each_frame:
        holder = image.PerFrameFunctionalGroupsSequence[0].PixelValueTransformationSequence[0]
        del image.RescaleType
    for name in ("HU", "HU_MOD", "US", ""):
        holder.RescaleType = name
        assert read_one(image, tmp_path)[0].hounsfield
    for name in ("MGML", "Z_EFF", "ED"):
        holder.RescaleType = name
        with pytest.raises(BadMarkError, match="not Hounsfield units"):
            read_one(image, tmp_path)


def test_a_table_of_values_is_refused_by_name(series, tmp_path):
    image = series[0]
    image.Modality = "MR"
    table = Dataset()
    table.LUTDescriptor, table.ModalityLUTType = [256, 0, 8], "US"
    table.LUTData = np.arange(255, -1, -1, dtype=np.uint16).tobytes()
    image.ModalityLUTSequence = Sequence([table])
    with pytest.raises(BadMarkError, match="Modality LUT"):
        read_one(image, tmp_path, levels=(0, 510))


@pytest.mark.parametrize(
    ("name", "value", "note"),
    [
        ("VOILUTFunction", "SIGMOID", "its window is sigmoid, but is taken as linear"),
        ("PresentationLUTShape", "INVERSE", "its levels are to be shown inverted, but are not"),
        ("PresentationLUTShape", "IDENTITY", ""),
    ],
)
def test_what_a_viewer_would_do_with_levels_is_told(series, tmp_path, name, value, note):
    image = series[0]
    image.Modality = "MR"
    setattr(image, name, value)
    folder = with_report([image], tmp_path / "in")
    import_export(folder, tmp_path / "out", ImportSettings(levels=(0, 2000)))
    (told,) = pd.read_csv(tmp_path / "out/found.csv", keep_default_na=False)["notes"]
    assert told == note


def test_pixels_of_one_mm_at_the_origin_keep_their_mm(series, tmp_path):
    image = series[0]
    image.PixelSpacing, image.SliceThickness = [1, 1], 1
    image.ImagePositionPatient, image.ImageOrientationPatient = [0, 0, 0], [1, 0, 0, 0, 1, 0]
    import_export(with_report([image], tmp_path / "in"), tmp_path / "out")
    (mark,), refused = read_marks(tmp_path / "out/marks.csv")
    assert mark.spacing == (1.0, 1.0)
    assert not refused


def enhanced(images):
    """The images of a series as one enhanced multi-frame object."""
    image = images[0]
    shared, groups = Dataset(), []
    for number, each in enumerate(images):
        group = Dataset()
        for sequence, names in {
            "PlanePositionSequence": ["ImagePositionPatient"],
            "PixelMeasuresSequence": ["PixelSpacing", "SliceThickness"],
            "PixelValueTransformationSequence": ["RescaleSlope", "RescaleIntercept"],
        }.items():
            inner = Dataset()
            for name in names:
                setattr(inner, name, getattr(each, name))
            setattr(group, sequence, Sequence([inner]))
        group.PixelValueTransformationSequence[0].RescaleIntercept = 100 * number
        groups.append(group)
    orientation = Dataset()
    orientation.ImageOrientationPatient = image.ImageOrientationPatient
    shared.PlaneOrientationSequence = Sequence([orientation])
    image.SharedFunctionalGroupsSequence = Sequence([shared])
    image.PerFrameFunctionalGroupsSequence = Sequence(groups)
    image.NumberOfFrames = len(images)
    image.PixelData = b"".join(each.PixelData for each in images)
    for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing",
                 "SliceThickness", "RescaleSlope", "RescaleIntercept"):  # fmt: skip
        delattr(image, name)
    return image


def test_a_frame_of_an_enhanced_object_has_its_own_place_and_slope(series, tmp_path):
    values = [np.frombuffer(i.PixelData, np.uint16).reshape(i.Rows, i.Columns) for i in series]
    places = [list(image.ImagePositionPatient) for image in series]
    pixels, found = read_one(enhanced(series), tmp_path, frame=3)
    assert np.array_equal(pixels.array, values[3].astype(int) * 2 + 300)
    assert [list(frame.position) for frame in found.frames] == places
    assert found.frames[3].spacing_rc == SPACING_RC


def test_a_sigmoid_window_of_the_frames_of_an_enhanced_object_is_told(series, tmp_path):
    image = enhanced(series)
    image.Modality = "MR"
    for group in image.PerFrameFunctionalGroupsSequence:
        window = Dataset()
        window.WindowCenter, window.WindowWidth, window.VOILUTFunction = 500, 1000, "SIGMOID"
        group.FrameVOILUTSequence = Sequence([window])
    _, found = read_one(image, tmp_path)
    assert found.display == ("its window is sigmoid, but is taken as linear",)


def notes_of(images, tmp_path):
    for number, image in enumerate(images):
        save(image, tmp_path / str(number))
    return series_notes(list(read_export(tmp_path).images.values()))


def test_a_good_series_has_nothing_to_be_told(series, tmp_path):
    assert notes_of(series, tmp_path) == []


def test_rounded_directions_and_a_localiser_are_no_news(series, tmp_path):
    for number, image in enumerate(series):
        image.ImageOrientationPatient = [
            float(x) + 1e-6 * number for x in image.ImageOrientationPatient
        ]
    series[0].ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    series[0].ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
    series[0].PixelSpacing = [1, 1]
    assert notes_of(series, tmp_path) == []


def test_gaps_tilt_and_a_detectors_spacing_are_told(series, tmp_path):
    series[0].GantryDetectorTilt = 12.5
    del series[2].PixelSpacing
    series[2].ImagerPixelSpacing = [0.1, 0.1]
    (tmp_path / "gap").mkdir()
    notes = notes_of([series[i] for i in (0, 1, 2, 4)], tmp_path / "gap")
    assert notes[:3] == [
        "the gantry was tilted",
        "only the detector's spacing is known, which is not mm in the patient",
        "slices differ in size or spacing",
    ]
    (tmp_path / "gaps").mkdir()
    del series[0].GantryDetectorTilt
    assert notes_of([series[i] for i in (0, 1, 3, 4)], tmp_path / "gaps") == [
        "1 gaps between slices"
    ]


def test_a_detectors_spacing_is_not_used_for_mm(series, tmp_path):
    del series[0].PixelSpacing
    series[0].ImagerPixelSpacing = [0.1, 0.1]
    import_export(with_report(series[:1], tmp_path / "in"), tmp_path / "out")
    (path,) = (tmp_path / "out/images").iterdir()
    assert np.array_equal(nibabel.load(path).affine, np.eye(4))


def projection(image, **tags):
    """The image as an X-ray whose detector has pixels of 0.7 mm."""
    image.Modality, image.ImagerPixelSpacing, image.PixelSpacing = "DX", [0.7, 0.7], [0.7, 0.7]
    for name in ("ImagePositionPatient", "ImageOrientationPatient"):
        delattr(image, name)
    for name, value in tags.items():
        setattr(image, name, value)
    return image


def taken_in(folder, image):
    """Import one marked image; return what is told of its detector, twice, and mm per px of x."""
    settings = ImportSettings(levels=(0, 2000))
    import_export(with_report([image], folder / "in"), folder / "out", settings)
    found, series, marks = (
        pd.read_csv(folder / f"out/{name}.csv", keep_default_na=False).iloc[0]
        for name in ("found", "series", "marks")
    )
    told = [note for note in found["notes"].split("; ") if "detector" in note]
    return "; ".join(told), series["notes"], marks["spacing_x"]


ON_DETECTOR = "only the detector's spacing is known, which is not mm in the patient"


@pytest.mark.parametrize(
    ("tags", "told"),
    [
        ({}, ON_DETECTOR),
        ({"PixelSpacing": None}, ON_DETECTOR),
        ({"PixelSpacing": [0.7001, 0.7]}, ON_DETECTOR),  # rounded elsewhere
        (
            {"EstimatedRadiographicMagnificationFactor": 1.5},
            f"{ON_DETECTOR}: EstimatedRadiographicMagnificationFactor (1.5) is not used",
        ),
    ],
    ids=str,
)
def test_a_spacing_that_repeats_the_detectors_gives_no_mm(series, tmp_path, tags, told):
    assert taken_in(tmp_path, projection(series[0], **tags)) == (told, told, "")


@pytest.mark.parametrize(
    "tags",
    [
        {"PixelSpacingCalibrationType": "GEOMETRY"},
        {"PixelSpacingCalibrationType": "FIDUCIAL"},
        {"ImagerPixelSpacing": [0.8, 0.8]},
        {"ImagerPixelSpacing": None},
    ],
    ids=str,
)
def test_a_calibrated_spacing_of_a_projection_is_in_mm(series, tmp_path, tags):
    assert taken_in(tmp_path, projection(series[0], **tags)) == ("", "", 0.7)


def test_a_plane_in_the_patient_keeps_its_spacing_beside_a_detectors(series, tmp_path):
    series[0].ImagerPixelSpacing = series[0].PixelSpacing
    assert taken_in(tmp_path, series[0]) == ("", "", 0.7)


def test_a_mark_on_a_detector_whose_pixels_are_not_square_is_refused(series, tmp_path):
    sides = {"ImagerPixelSpacing": [0.8, 0.7], "PixelSpacing": [0.8, 0.7]}
    folder = with_report([projection(series[0], **sides)], tmp_path / "in")
    (cause,) = causes(folder, tmp_path / "out", levels=(0.0, 2000.0))
    assert "not square (PixelAspectRatio, ImagerPixelSpacing)" in cause


def test_impossible_tags_are_named(series, tmp_path):
    series[1].PixelSpacing = [0, 0.7]
    series[2].ImageOrientationPatient = [1, 0, 0, 1, 0, 0]
    for number, image in enumerate(series):
        save(image, tmp_path / str(number))
    images = read_export(tmp_path).images
    assert images[series[1].SOPInstanceUID].frames[0].spacing_rc is None
    assert images[series[2].SOPInstanceUID].frames[0].orientation is None


def test_a_folder_that_is_none(tmp_path):
    with pytest.raises(DataError, match="is not a folder"):
        import_export(tmp_path / "absent", tmp_path / "out")


@pytest.mark.parametrize(
    "wrong", [{"short_of_long": 0.0}, {"short_of_long": 1.5}, {"levels": (3.0, 3.0)}]
)
def test_impossible_settings(wrong):
    with pytest.raises(DataError):
        ImportSettings(**wrong)


@pytest.mark.parametrize(
    ("settings", "importing", "cause"),
    [
        ({"columns": {"id": "ID"}}, {}, "settings: columns, first_slice and units"),
        ({"first_slice": 1}, {}, "settings: columns, first_slice and units"),
        ({"units": "mm"}, {}, "settings: columns, first_slice and units"),
        ({}, {"modality": "CT"}, "import_settings: modality: segment_export sets"),
        ({}, {"around": 1.0, "window_hu": (0.0, 9.0)}, "import_settings: around, window_hu: seg"),
    ],
)
def test_settings_that_segment_export_does_not_use_are_refused(
    tmp_path, settings, importing, cause
):
    with pytest.raises(DataError, match=cause):
        segment_export(
            model_dir=tmp_path,
            export_dir=tmp_path,
            out_dir=tmp_path / "out",
            settings=SegmentSettings(**settings),
            import_settings=ImportSettings(**importing),
        )
    assert not (tmp_path / "out").exists()


def clinical():
    folder = REAL_DATA / "clinical"
    if not folder.is_dir():
        pytest.skip("genuine files of other programs are not at hand (WEAKLESION_REAL_DATA)")
    return folder


def test_every_genuine_file_ends_in_marks_or_a_named_refusal(tmp_path):
    folder = clinical()
    imported = import_export(folder, tmp_path / "out", ImportSettings(short_of_long=0.75))
    found = pd.read_csv(tmp_path / "out/found.csv")
    skipped = pd.read_csv(tmp_path / "out/skipped.csv")
    num_files = sum(path.is_file() for path in folder.rglob("*"))
    documents = len(imported.export.documents)
    damaged = skipped["kind"].isin(["SR", "GSPS", "xml", "json"]).sum()
    assert len(imported.export.images) + documents + len(skipped) - damaged == num_files
    assert found.loc[~found["taken"], "cause"].notna().all()
    assert skipped["cause"].notna().all()
    sources = found["source_uid"].nunique() + damaged
    assert sources >= documents - 8  # AIM holds eight of its annotations twice: as XML and as SR
    # eight lesions of AIM 3, whose stored lengths contradict six of their coordinates
    assert found["taken"].sum() == 8
    assert found.loc[found["taken"], "notes"].str.contains("contradicts").sum() == 6


def test_genuine_bidirectional_marks_are_read(tmp_path):
    folder = clinical() / "sr_bidirectional"
    with pytest.raises(DataError, match="no mark in it can be used"):
        import_export(folder, tmp_path / "out")
    found = pd.read_csv(tmp_path / "out/found.csv")
    assert (found["cause"] == "its image is not in the export").sum() == 3
