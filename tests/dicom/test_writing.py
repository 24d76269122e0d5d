"""Results as DICOM, read back by highdicom, by SimpleITK-free arithmetic, and by ourselves."""

import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import highdicom as hd
import nibabel
import numpy as np
import pandas as pd
import pydicom
import pytest
from PIL import Image
from segmenting import read_png
from skimage.draw import polygon2mask
from test_import import with_report
from typer.testing import CliRunner

from weaklesion.cli import app
from weaklesion.dicom import importing
from weaklesion.dicom.documents import find_marks
from weaklesion.dicom.export import read_export
from weaklesion.dicom.found import FoundMark
from weaklesion.dicom.importing import import_export
from weaklesion.dicom.phantom import (
    PERSON,
    SPACING_RC,
    PhantomMark,
    bidirectional_report,
    make_export,
    make_series,
    save,
)
from weaklesion.dicom.results import Lesion, Maker
from weaklesion.dicom.structure_sets import outlines
from weaklesion.dicom.structured_reports import marks_of_report
from weaklesion.dicom.writing import write_dicom
from weaklesion.ellipse import fit_ellipse
from weaklesion.recist import RECIST_COLUMNS, compare_diameters, recist_from_ellipse
from weaklesion.support.own_files import OwnFiles

MAKER = Maker("1.2.3", "0123456789abcdef" * 4)
AREA_MM2 = SPACING_RC[0] * SPACING_RC[1]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """The true masks of a phantom export, written as DICOM."""
    folder = tmp_path_factory.mktemp("written")
    truth = {mark.image_uid: mark for mark in make_export(folder / "in")}
    imported = import_export(folder / "in", folder / "out/import")
    lesions = [
        lesion_of(name, mark, truth[mark.image_uid].mask, folder)
        for name, mark in imported.marks.items()
    ]
    written = write_dicom(
        lesions, imported.export, folder / "out/dicom", MAKER, structure_sets=True
    )
    return folder, lesions, imported.export, written


def lesion_of(name, mark, mask, folder):
    overlay = folder / f"{name}.png"
    shutil.copy(overlay_png(folder), overlay)
    row = {"answer": "network", "agreement": 0.9, "area_px": int(mask.sum()),
           "area_mm2": mask.sum() * AREA_MM2}  # fmt: skip
    return Lesion(name, mark, mask, row | compare_diameters(mark.ends, mask, SPACING_RC), overlay)


def overlay_png(folder):
    path = folder / "overlay.png"
    if not path.is_file():
        Image.fromarray(np.full((384, 384, 3), 90, np.uint8)).save(path)
    return path


def written_of(results, kind):
    folder, _, _, written = results
    files = written.loc[written["kind"] == kind, "file"]
    assert (files != "").all()
    return [pydicom.dcmread(folder / "out/dicom" / name) for name in files]


def test_one_segmentation_report_and_structure_set_a_series_and_one_capture_a_lesion(results):
    _, lesions, _, written = results
    kinds = written["kind"].value_counts().to_dict()
    assert kinds == {"SEG": 2, "SR": 2, "RTSTRUCT": 2, "SC": 6}
    assert (written["cause"] == "").all()
    assert set(" ".join(written.loc[written["kind"] == "SEG", "ids"]).split()) == {
        lesion.id for lesion in lesions
    }


def test_segments_land_on_their_lesions_to_the_pixel(results):
    _, lesions, _, _ = results
    by_id = {lesion.id: lesion for lesion in lesions}
    for dataset in written_of(results, "SEG"):
        seg = hd.seg.Segmentation.from_dataset(dataset)
        for number in seg.segment_numbers:
            lesion = by_id[seg.get_segment_description(number).tracking_id]
            masks = seg.get_pixels_by_source_instance(
                [lesion.mark.image_uid], segment_numbers=[number]
            )
            assert np.array_equal(masks[0, ..., 0] > 0, lesion.mask)


def test_a_second_reader_finds_them_where_they_are_in_the_patient(results):
    """By position, orientation and spacing of the segmentation's own frames alone."""
    _, lesions, export, _ = results
    by_id = {lesion.id: lesion for lesion in lesions}
    for dataset in written_of(results, "SEG"):
        shared = dataset.SharedFunctionalGroupsSequence[0]
        orientation = shared.PlaneOrientationSequence[0].ImageOrientationPatient
        rows, columns = np.array(orientation, float).reshape(2, 3)
        spacing = shared.PixelMeasuresSequence[0].PixelSpacing
        frames = dataset.pixel_array.reshape(-1, dataset.Rows, dataset.Columns)
        for frame, groups in zip(frames, dataset.PerFrameFunctionalGroupsSequence, strict=True):
            number = groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber
            lesion = by_id[dataset.SegmentSequence[number - 1].SegmentLabel]
            place = np.array(groups.PlanePositionSequence[0].ImagePositionPatient, float)
            yy, xx = np.nonzero(frame)
            points = place + xx[:, None] * spacing[1] * rows + yy[:, None] * spacing[0] * columns
            image = export.images[lesion.mark.image_uid].frames[0]
            px, off = image.to_px(points)
            assert off.max() < 1e-3
            again = np.zeros_like(lesion.mask)
            again[px[:, 1].round().astype(int), px[:, 0].round().astype(int)] = True
            assert np.array_equal(again, lesion.mask)
            assert np.abs(px - px.round()).max() < 1e-3


def test_a_segment_says_what_made_it_and_of_which_lesion(results):
    _, lesions, _, _ = results
    tracking = {lesion.id: lesion.mark.tracking_uid for lesion in lesions}
    for dataset in written_of(results, "SEG"):
        for segment in dataset.SegmentSequence:
            assert segment.TrackingUID == tracking[segment.TrackingID]
            assert segment.SegmentedPropertyTypeCodeSequence[0].CodingSchemeDesignator == "SCT"
            algorithm = segment.SegmentationAlgorithmIdentificationSequence[0]
            assert algorithm.AlgorithmName == "WeakLesion network"
            assert algorithm.AlgorithmVersion == MAKER.version
            assert MAKER.model_digest in algorithm.AlgorithmParameters


def test_a_report_reads_back_its_own_numbers(results):
    _, lesions, _, _ = results
    by_uid = {lesion.mark.tracking_uid + lesion.mark.image_uid: lesion for lesion in lesions}
    found = 0
    for dataset in written_of(results, "SR"):
        sr = hd.sr.Comprehensive3DSR.from_dataset(dataset)
        for group in sr.content.get_volumetric_roi_measurement_groups():
            values = {m.name.meaning: m.value for m in group.get_measurements()}
            (source,) = group.referenced_segment.source_images_for_segmentation
            image = source.referenced_sop_instance_uid
            lesion = by_uid[group.tracking_uid + image]
            assert values["Long axis"] == pytest.approx(lesion.row["long_mm"])
            assert values["Short axis"] == pytest.approx(lesion.row["short_mm"])
            assert values["Area"] == pytest.approx(lesion.row["area_mm2"])
            assert values["Agreement of mask and mark"] == 0.9
            found += 1
    assert found == len(lesions)


def test_axes_of_a_report_come_back_to_a_hundredth_of_a_pixel(results):
    _, lesions, export, _ = results
    marks = [m for d in written_of(results, "SR") for m in marks_of_report(d, export)[0]]
    assert len(marks) == len(lesions)
    for mark in marks:
        (lesion,) = [each for each in lesions if each.mark.image_uid == mark.image_uid]
        compared = compare_diameters(mark.ends, lesion.mask, SPACING_RC)
        assert compared["long_difference_px"] == pytest.approx(0, abs=0.01)
        assert compared["short_difference_px"] == pytest.approx(0, abs=0.01)
        assert not mark.notes


def test_our_own_reports_are_no_marks_of_another_import(results, tmp_path):
    folder, _, _, _ = results
    shutil.copytree(folder / "out/dicom", tmp_path / "again")
    marks, refused = find_marks(read_export(tmp_path / "again"))
    assert not marks
    assert {each.cause for each in refused} == {"a result of this program, not a mark"}


def test_a_capture_shows_outline_and_numbers_and_no_name(results):
    _, lesions, _, _ = results
    captures = written_of(results, "SC")
    assert len(captures) == len(lesions)
    for dataset in captures:
        assert dataset.pixel_array.shape == (384 + 60, 384, 3)
        assert dataset.pixel_array[384:].max() == 255
        assert dataset.Modality == "OT"


def test_results_belong_to_the_study_of_their_images_and_copy_no_more(results):
    _, _, export, _ = results
    studies = {image.study_uid for image in export.images.values()}
    for kind in ("SEG", "SR", "SC"):
        for dataset in written_of(results, kind):
            assert dataset.StudyInstanceUID in studies
            assert dataset.PatientName == PERSON
            assert not dataset.get("InstitutionName")


def test_what_is_there_is_kept_and_what_is_stale_is_removed(results):
    folder, lesions, export, _ = results
    out = folder / "out/dicom"
    times = {path: path.stat().st_mtime_ns for path in out.glob("*.dcm")}
    with OwnFiles(out).writing("seg-0123456789ab.dcm") as temporary:
        temporary.write_bytes(b"")
    write_dicom(lesions, export, out, MAKER, structure_sets=True)
    assert {path: path.stat().st_mtime_ns for path in out.glob("*.dcm")} == times


def test_images_whose_uids_are_only_in_the_header_of_the_file_are_used(tmp_path):
    truth = {mark.image_uid: mark for mark in make_export(tmp_path / "in")}
    export = read_export(tmp_path / "in")
    for uid in truth:
        path = export.images[uid].path
        dataset = pydicom.dcmread(path)
        del dataset.SOPInstanceUID, dataset.SOPClassUID
        dataset.save_as(path)
    imported = import_export(tmp_path / "in", tmp_path / "import")
    assert len(imported.marks) == len(truth)
    lesions = [
        lesion_of(name, mark, truth[mark.image_uid].mask, tmp_path)
        for name, mark in imported.marks.items()
    ]
    written = write_dicom(lesions, imported.export, tmp_path / "dicom", MAKER, structure_sets=True)
    assert set(written["kind"]) == {"SEG", "SR", "SC", "RTSTRUCT"}
    assert (written["cause"] == "").all()


def test_overlapping_masks_are_two_segments(results, tmp_path):
    _, lesions, export, _ = results
    one = lesions[0]
    other = Lesion("mark-other", one.mark, np.roll(one.mask, 3, axis=0), one.row, one.overlay)
    write_dicom([one, other], export, tmp_path, MAKER)
    (path,) = tmp_path.glob("seg-*.dcm")
    seg = hd.seg.segread(path)
    masks = seg.get_pixels_by_source_instance([one.mark.image_uid], segment_numbers=[1, 2])[0] > 0
    for number in (1, 2):
        expected = {one.id: one, other.id: other}[seg.get_segment_description(number).tracking_id]
        assert np.array_equal(masks[..., number - 1], expected.mask)


def test_enhanced_objects_of_one_frame_each_have_objects_of_their_own(tmp_path):
    """A SEG may be of several single-frame images, but only of one enhanced object."""
    slices = make_series(np.random.default_rng(5), 0, 2)
    lesions = []
    for number, (image, _) in enumerate(slices):
        whole = hd.legacy.LegacyConvertedEnhancedCTImage(
            [image], series_instance_uid="1.2.3", series_number=2,
            sop_instance_uid=f"1.2.3.{number}", instance_number=number + 1,
        )  # fmt: skip
        save(whole, tmp_path / f"in/{number}")
    export = read_export(tmp_path / "in")
    for number, (_, mask) in enumerate(slices):
        mark = FoundMark(
            "table", "", 2, f"1.2.3.{number}", 0, recist_from_ellipse(fit_ellipse(mask))
        )
        lesions.append(lesion_of(f"L{number}", mark, mask, tmp_path))
    written = write_dicom(lesions, export, tmp_path / "dicom", MAKER)
    assert set(written["cause"]) == {""}
    assert written["kind"].value_counts().to_dict() == {"SEG": 2, "SR": 2, "SC": 2}
    for path in (tmp_path / "dicom").glob("seg-*.dcm"):
        seg = hd.seg.segread(path)
        (label,) = [seg.get_segment_description(1).tracking_id]
        (uid,) = {str(uid) for *_, uid in seg.get_source_image_uids()}
        found = seg.get_pixels_by_source_frame(uid, [1], segment_numbers=[1])[0, ..., 0] > 0
        assert np.array_equal(found, slices[int(label[1])][1])


def test_segments_of_an_enhanced_object_are_on_their_frames(tmp_path):
    slices = make_series(np.random.default_rng(5), 0, 5)
    images = [image for image, _ in slices]
    whole = hd.legacy.LegacyConvertedEnhancedCTImage(
        images, series_instance_uid="1.2.3", series_number=2, sop_instance_uid="1.2.3.4",
        instance_number=1,
    )  # fmt: skip
    save(whole, tmp_path / "in/enhanced")
    places = [list(image.ImagePositionPatient) for image in images]
    frames = {}
    for number, each in enumerate(whole.PerFrameFunctionalGroupsSequence, start=1):
        frames[number] = places.index(list(each.PlanePositionSequence[0].ImagePositionPatient))
    marked = {number: slices[frames[number]][1] for number in (2, 4)}
    for number, mask in marked.items():
        ends = recist_from_ellipse(fit_ellipse(mask))
        report = bidirectional_report(
            [PhantomMark("1.2.3.4", ends, mask, f"1.2.{number}", "SR")], [whole]
        )
        report.SOPInstanceUID = report.file_meta.MediaStorageSOPInstanceUID = f"1.2.9.{number}"
        items = [report]
        for item in items:
            items += item.get("ContentSequence") or []
            if item.get("ValueType") == "IMAGE":
                item.ReferencedSOPSequence[0].ReferencedFrameNumber = number
        save(report, tmp_path / f"in/report-{number}")
    imported = import_export(tmp_path / "in", tmp_path / "import")
    lesions = [
        lesion_of(name, mark, marked[mark.frame + 1], tmp_path)
        for name, mark in imported.marks.items()
    ]
    assert len(lesions) == 2
    written = write_dicom(lesions, imported.export, tmp_path / "dicom", MAKER, structure_sets=True)
    assert written.loc[written["kind"] == "SC", "cause"].tolist() == ["", ""]
    for path in (tmp_path / "dicom").glob("sc-*.dcm"):
        assert pydicom.dcmread(path).PatientOrientation == ["L", "F"]
    (path,) = (tmp_path / "dicom").glob("rtstruct-*.dcm")
    outlined = pydicom.dcmread(path)
    for item, roi in zip(
        outlined.StructureSetROISequence, outlined.ROIContourSequence, strict=True
    ):
        mark = imported.marks[item.ROIName]
        (contour,) = roi.ContourSequence
        assert contour.ContourImageSequence[0].ReferencedFrameNumber == mark.frame + 1
        points = np.array(contour.ContourData, dtype=float).reshape(-1, 3)
        geometry = imported.export.images["1.2.3.4"].frames[mark.frame]
        assert geometry.to_px(points)[1].max() < 1e-6
    (path,) = (tmp_path / "dicom").glob("seg-*.dcm")
    seg = hd.seg.segread(path)
    for segment in seg.segment_numbers:
        name = seg.get_segment_description(segment).tracking_id
        number = imported.marks[name].frame + 1
        found = seg.get_pixels_by_source_frame("1.2.3.4", [number], segment_numbers=[segment])
        assert np.array_equal(found[0, ..., 0] > 0, marked[number])
    (path,) = (tmp_path / "dicom").glob("sr-*.dcm")
    marks, _ = marks_of_report(pydicom.dcmread(path), imported.export)
    assert sorted(mark.frame + 1 for mark in marks) == [2, 4]


def test_directions_that_differ_in_the_last_digit_are_one_object(tmp_path):
    slices = make_series(np.random.default_rng(5), 0, 5)
    for number, (image, _) in enumerate(slices):
        image.ImageOrientationPatient = [
            float(x) + 1e-6 * number for x in image.ImageOrientationPatient
        ]
        save(image, tmp_path / f"in/{number}")
    export = read_export(tmp_path / "in")
    lesions = []
    for number in (2, 3):
        image, mask = slices[number]
        ends = recist_from_ellipse(fit_ellipse(mask))
        mark = FoundMark("table", "", number, image.SOPInstanceUID, 0, ends)
        lesions.append(lesion_of(f"m{number}", mark, mask, tmp_path))
    written = write_dicom(lesions, export, tmp_path / "dicom", MAKER, structure_sets=True)
    assert (written["cause"] == "").all()
    assert written["kind"].value_counts().to_dict() == {"SEG": 1, "SR": 1, "RTSTRUCT": 1, "SC": 2}


def test_a_long_id_is_whole_in_the_tracking_id_and_cut_in_the_label(tmp_path):
    (image, mask), *_ = make_series(np.random.default_rng(0), 0, 1)
    export = read_export(with_report([image], tmp_path / "in"))
    ends = recist_from_ellipse(fit_ellipse(mask))
    name = "é" * 65
    lesion = lesion_of(
        name, FoundMark("table", "", 2, image.SOPInstanceUID, 0, ends), mask, tmp_path
    )
    write_dicom([lesion], export, tmp_path / "dicom", MAKER)
    (path,) = (tmp_path / "dicom").glob("seg-*.dcm")
    (segment,) = pydicom.dcmread(path).SegmentSequence
    assert (segment.SegmentLabel, segment.TrackingID) == (name[:64], name)


@pytest.mark.parametrize("directions", [["L", "F"], None])
def test_an_image_without_a_place_gets_a_capture_at_most(tmp_path, directions):
    (image, mask), *_ = make_series(np.random.default_rng(0), 0, 1)
    if directions:
        image.PatientOrientation = directions
    for name in ("ImagePositionPatient", "ImageOrientationPatient", "FrameOfReferenceUID"):
        delattr(image, name)
    imported = import_export(with_report([image], tmp_path / "in"), tmp_path / "import")
    ((name, mark),) = imported.marks.items()
    lesion = lesion_of(name, mark, mask, tmp_path)
    written = write_dicom([lesion], imported.export, tmp_path / "dicom", MAKER)
    assert written.set_index("kind")["cause"].to_dict() == {
        "SEG": "the image has no place in the patient",
        "SR": "the image has no place in the patient",
        "SC": "" if directions else "the image's directions in the patient are unknown",
    }


def test_empty_masks_are_left_out(results, tmp_path):
    _, lesions, export, _ = results
    one = lesions[0]
    empty = Lesion(one.id, one.mark, np.zeros_like(one.mask), one.row, one.overlay)
    assert write_dicom([empty], export, tmp_path, MAKER).empty


def call(model, folder, *options):
    words = ["segment", "--model", model, "--dicom", folder / "in", "--out", folder / "out",
             *options]  # fmt: skip
    return CliRunner().invoke(app, [str(word) for word in words])


def test_refused_marks_of_an_export_and_its_table_are_counted_and_listed(grey_model, tmp_path):
    (first, second, *_) = make_export(tmp_path / "in")
    rows = [
        {"id": name, "image": uid} | dict(zip(RECIST_COLUMNS, mark.ends.ravel(), strict=True))
        for name, uid, mark in (
            ("a", first.image_uid, first), ("twin", first.image_uid, first),
            ("b", second.image_uid, second), ("lost", "1.2.3", first),
            ("bad/id", first.image_uid, first),
        )
    ]  # fmt: skip
    pd.DataFrame(rows).to_csv(tmp_path / "marks.csv", index=False)
    result = call(grey_model, tmp_path, "--marks", tmp_path / "marks.csv", "--gate", "0")
    assert result.exit_code == 0, result.output
    assert "2 refused" in result.output
    assert set(pd.read_csv(tmp_path / "out/measurements.csv")["id"]) == {"a", "twin", "b"}
    refused = pd.read_csv(tmp_path / "out/refused.csv")
    assert refused[["line", "id"]].to_numpy().tolist() == [[5, "lost"], [6, "bad/id"]]
    assert refused["cause"].str.contains("not in the export|cannot name a file").all()
    found = pd.read_csv(tmp_path / "out/import/found.csv").set_index("id")
    assert not found.loc["lost", "taken"]


def test_a_short_diameter_that_nobody_drew_is_not_in_the_results(grey_model, tmp_path, monkeypatch):
    make_export(tmp_path / "in")
    (whole, *others), _ = find_marks(read_export(tmp_path / "in"))
    lines = [whole, *(replace(one, ends=one.ends[:2]) for one in others)]
    monkeypatch.setattr(importing, "find_marks", lambda _: (lines, []))
    result = call(grey_model, tmp_path, "--gate", "0")
    assert f"{len(others)} refused" in result.output
    refused = pd.read_csv(tmp_path / "out/refused.csv")
    assert refused[["line", "id"]].isna().all(axis=None)
    (elsewhere,) = refused.loc[~refused["cause"].str.contains("number 1: only one"), "cause"]
    assert elsewhere == "SR, number 1: its image is not in the export"
    result = call(grey_model, tmp_path, "--single-diameters", "0.7", "--gate", "0")
    assert "1 refused" in result.output
    assert result.exit_code == 0, result.output
    measured = pd.read_csv(tmp_path / "out/measurements.csv")
    assert len(measured) == len(lines) - 1
    assert measured["given_long_mm"].notna().all()
    for column in ("given_short_px", "given_short_mm", "short_difference_px"):
        assert measured[column].notna().sum() == 1
    assert not re.search(r"\bnan\b", (tmp_path / "out/index.html").read_text())


def test_one_command_from_an_export_to_dicom(grey_model, tmp_path):
    truth = {mark.image_uid: mark for mark in make_export(tmp_path / "in")}
    result = call(grey_model, tmp_path, "--gate", "0")
    assert result.exit_code == 0, result.output
    measured = pd.read_csv(tmp_path / "out/measurements.csv").set_index("id")
    found = pd.read_csv(tmp_path / "out/import/found.csv").set_index("id")
    assert len(measured) == len(truth)
    by_id = {}
    for name, row in measured.iterrows():
        volume = nibabel.load(tmp_path / "out" / row["mask"])
        by_id[name] = np.asarray(volume.dataobj)[..., 0].T > 0
        mask = truth[found.loc[name, "image_uid"]].mask
        overlap = 2 * (by_id[name] & mask).sum() / (by_id[name].sum() + mask.sum())
        assert overlap > 0.9
        assert read_png(tmp_path / "out" / row["overlay"]).any()
    for path in (tmp_path / "out/dicom").glob("seg-*.dcm"):
        seg = hd.seg.segread(path)
        for number in seg.segment_numbers:
            name = seg.get_segment_description(number).tracking_id
            masks = seg.get_pixels_by_source_instance(
                [found.loc[name, "image_uid"]], segment_numbers=[number]
            )
            assert np.array_equal(masks[0, ..., 0] > 0, by_id[name])
    areas = pd.read_csv(tmp_path / "out/response/areas.csv").set_index("marks")
    for name, row in measured.iterrows():
        assert areas.loc[name, "area_mm2"] == pytest.approx(row["area_mm2"], abs=0.01)
        assert areas.loc[name, "answer"] == row["answer"]
    assert areas["baseline_detectable_mm2"].notna().sum() == len(truth) / 2
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "out/masks").iterdir()}
    assert call(grey_model, tmp_path, "--gate", "0").exit_code == 0
    assert {path: path.stat().st_mtime_ns for path in written} == written


def test_files_that_are_a_users_own_survive(grey_model, tmp_path):
    """A corrected copy, another program's object, and the table that the guide says to correct."""
    make_export(tmp_path / "in")
    assert call(grey_model, tmp_path, "--gate", "0").exit_code == 0
    out = tmp_path / "out"
    (seg, *_) = sorted(out.glob("dicom/seg-*.dcm"))
    own = {
        seg.with_name("seg-corrected.dcm"): b"mine",
        out / "dicom/other.dcm": b"another program's",
    }
    for path, content in own.items():
        path.write_bytes(content)
    assert call(grey_model, tmp_path, "--gate", "1").exit_code == 0  # other masks: other objects
    assert not seg.exists()
    assert {path: path.read_bytes() for path in own} == own
    marks = out / "import/marks.csv"
    corrected = marks.read_text() + "\n"
    marks.write_text(corrected)
    result = call(grey_model, tmp_path, "--gate", "0")
    assert result.exit_code == 1
    assert "has marks.csv, which this command did not write" in " ".join(result.output.split())
    assert marks.read_text() == corrected


def files_in(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("place", ["out/dicom", "out/dicom/visit", "out/import"])
def test_an_export_is_never_in_a_folder_of_results(grey_model, tmp_path, place):
    make_export(tmp_path / place)
    files = files_in(tmp_path / "out")
    words = ["segment", "--model", grey_model, "--dicom", tmp_path / place, "--out",
             tmp_path / "out"]  # fmt: skip
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 1
    assert "where results are written" in " ".join(result.output.split())
    assert files_in(tmp_path / "out") == files


def test_an_export_that_holds_the_results_loses_nothing(grey_model, tmp_path):
    """Images in `pat/dicom`, results in `pat`: objects are written beside the images."""
    make_export(tmp_path / "pat/dicom")
    files = files_in(tmp_path / "pat")
    words = ["segment", "--model", grey_model, "--dicom", tmp_path / "pat", "--out",
             tmp_path / "pat", "--gate", "0"]  # fmt: skip
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    assert len(files) > 4
    assert files.items() <= files_in(tmp_path / "pat").items()


def test_ids_that_are_numbers_stay_as_they_are(grey_model, tmp_path):
    make_export(tmp_path / "in")
    marks = list(import_export(tmp_path / "in", tmp_path / "import").marks.values())[:2]
    rows = [
        {"id": f"00{number}", "image": mark.image_uid, "slice": mark.frame}
        | dict(zip(RECIST_COLUMNS, mark.ends.ravel(), strict=True))
        for number, mark in enumerate(marks)
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "marks.csv", index=False)
    result = call(grey_model, tmp_path, "--gate", "0", "--marks", tmp_path / "marks.csv")
    assert result.exit_code == 0, (result.output, result.exception)
    written = pd.read_csv(tmp_path / "out/dicom/written.csv", dtype=str)
    assert set(written.loc[written["kind"] == "SC", "ids"]) == {"000", "001"}


def test_options_that_do_not_fit(model, tmp_path):
    make_export(tmp_path / "in")
    for options, words in {
        ("--units", "mm"): "--units mm cannot be used with --dicom",
        ("--first-slice", "1"): "apply to --marks only",
        ("--columns", "image=File"): "apply to --marks only",
    }.items():
        result = call(model, tmp_path, *options)
        assert (result.exit_code, words in result.output) == (1, True)
    words = ["segment", "--model", model, "--out", tmp_path / "out"]
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert (result.exit_code, "give --marks, --dicom, or both" in result.output) == (1, True)
    words += ["--marks", tmp_path / "marks.csv"]
    for options in (["--single-diameters", "0.5"], ["--levels", "0", "9"], ["--rtstruct"]):
        result = CliRunner().invoke(app, [str(word) for word in [*words, *options]])
        assert (result.exit_code, "apply to --dicom only" in result.output) == (1, True)


def test_without_the_extra_the_command_says_what_to_install(model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "weaklesion.segment.of_export", None)
    result = call(model, tmp_path)
    assert result.exit_code == 1
    assert "pip install 'weaklesion[dicom]'" in result.output


def test_structure_sets_outline_their_lesions_to_the_pixel(results):
    """Contours in mm, put onto the image again and filled: pixels by the centre inside."""
    _, lesions, export, _ = results
    by_id = {lesion.id: lesion for lesion in lesions}
    found = 0
    for dataset in written_of(results, "RTSTRUCT"):
        names = {item.ROINumber: item.ROIName for item in dataset.StructureSetROISequence}
        for roi in dataset.ROIContourSequence:
            lesion = by_id[names[roi.ReferencedROINumber]]
            frame = export.images[lesion.mark.image_uid].frames[0]
            (contour,) = roi.ContourSequence
            assert contour.ContourGeometricType == "CLOSED_PLANAR"
            (image,) = contour.ContourImageSequence
            assert image.ReferencedSOPInstanceUID == lesion.mark.image_uid
            points = np.array(contour.ContourData, dtype=float).reshape(-1, 3)
            assert len(points) == contour.NumberOfContourPoints
            px, off = frame.to_px(points)
            assert off.max() < 1e-6
            assert np.array_equal(polygon2mask(lesion.mask.shape, px[:, ::-1]), lesion.mask)
            assert area_of(px) == pytest.approx(lesion.mask.sum(), abs=0.5001)
            found += 1
        patient = {names[item.ReferencedROINumber] for item in dataset.RTROIObservationsSequence}
        assert patient == set(names.values())
    assert found == len(lesions)


def area_of(polygon):
    x, y = polygon.T
    return abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def test_holes_and_parts_are_outlined_each():
    mask = np.zeros((12, 20), dtype=bool)
    mask[2:9, 2:9] = True
    mask[4:6, 4:6] = False
    mask[9, 9] = True  # touches a corner: the same part
    mask[3:5, 14:17] = True
    filled = np.zeros_like(mask)
    polygons = outlines(mask)
    for polygon in polygons:
        filled ^= polygon2mask(mask.shape, polygon[:, ::-1])
    assert len(polygons) == 3
    assert np.array_equal(filled, mask)
    assert sorted(round(area_of(polygon), 1) for polygon in polygons) == [3.5, 5.5, 49.5]


def test_a_mask_with_a_hole_is_an_exclusive_or(results, tmp_path):
    _, lesions, export, _ = results
    lesion = lesions[0]
    mask = lesion.mask.copy()
    row, column = np.argwhere(mask).mean(axis=0).round().astype(int)
    mask[row, column] = False
    hollow = replace(lesion, mask=mask)
    written = write_dicom([hollow], export, tmp_path, MAKER, structure_sets=True)
    (name,) = written.loc[written["kind"] == "RTSTRUCT", "file"]
    (roi,) = pydicom.dcmread(tmp_path / name).ROIContourSequence
    kinds = [contour.ContourGeometricType for contour in roi.ContourSequence]
    assert kinds == ["CLOSEDPLANAR_XOR"] * 2


@pytest.mark.parametrize("kind", ["SEG", "SR", "SC", "RTSTRUCT"])
def test_dciodvfy_finds_no_error(results, kind):
    checker = shutil.which("dciodvfy")
    if checker is None:
        pytest.skip("dciodvfy (dicom3tools) is not installed")
    folder, _, _, written = results
    names = written.loc[written["kind"] == kind, "file"]
    assert len(names) >= 2
    for name in names:
        checked = subprocess.run([checker, folder / "out/dicom" / name], capture_output=True)
        assert b"Error" not in checked.stderr + checked.stdout


def test_dcmqi_finds_the_lesions_where_they_are(results, tmp_path):
    reader = shutil.which("segimage2itkimage", path=Path(sys.executable).parent)
    if reader is None:
        pytest.skip("dcmqi is not installed")
    folder, lesions, export, written = results
    by_id = {lesion.id: lesion for lesion in lesions}
    found = 0
    for name in written.loc[written["kind"] == "SEG", "file"]:
        path = folder / "out/dicom" / name
        words = ["--inputDICOM", path, "--outputDirectory", tmp_path, "--outputType", "nii",
                 "--prefix", name]  # fmt: skip
        subprocess.run([reader, *words], check=True, capture_output=True)
        for segment in pydicom.dcmread(path).SegmentSequence:
            volume = nibabel.load(tmp_path / f"{name}-{segment.SegmentNumber}.nii.gz")
            voxels = np.argwhere(np.asarray(volume.dataobj))
            points = nibabel.affines.apply_affine(volume.affine, voxels) * [-1, -1, 1]
            lesion = by_id[segment.SegmentLabel]
            px, off = export.images[lesion.mark.image_uid].frames[0].to_px(points)
            again = np.zeros_like(lesion.mask)
            again[px[:, 1].round().astype(int), px[:, 0].round().astype(int)] = True
            assert np.array_equal(again, lesion.mask)
            assert max(off.max(), np.abs(px - px.round()).max()) < 1e-3
            found += 1
    assert found == len(lesions)
