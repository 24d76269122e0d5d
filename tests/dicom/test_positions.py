"""Results as DICOM of series in which several images or frames have one position."""

import copy
import errno
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest
from pydicom.uid import generate_uid
from solid_series import MARKED, solid_series
from test_dicom_volumes import call, same_points, seg_points
from test_stacks import enhanced
from test_writing import MAKER, lesion_of

from weaklesion.dicom.causes import cause_of
from weaklesion.dicom.export import read_export
from weaklesion.dicom.found import FoundMark
from weaklesion.dicom.phantom import PERSON, make_series, save
from weaklesion.dicom.results import SolidMask
from weaklesion.dicom.structured_reports import marks_of_report
from weaklesion.dicom.writing import write_dicom
from weaklesion.ellipse import fit_ellipse
from weaklesion.recist import RECIST_COLUMNS, recist_from_ellipse

WHOLE = "1.2.3.4"  # the enhanced object


def other_phase(image):
    """The same image, taken again at the same place a little later."""
    again = copy.deepcopy(image)
    again.SOPInstanceUID = generate_uid(entropy_srcs=[str(image.SOPInstanceUID), "again"])
    again.file_meta.MediaStorageSOPInstanceUID = again.SOPInstanceUID
    again.AcquisitionNumber, again.ContentTime = 2, "120030"
    return again


def marked(name, place, mask, folder):
    ends = recist_from_ellipse(fit_ellipse(mask))
    return lesion_of(name, FoundMark("table", "", 0, *place, ends), mask, folder)


def two_phases(folder):
    """Marks `a` and `b` on both phases at one position, and `c` on the second one elsewhere."""
    series = make_series(np.random.default_rng(5), 0, 5)
    images = [image for image, _ in series] + [other_phase(image) for image, _ in series]
    for number, image in enumerate(images):
        save(image, folder / f"in/{number}")
    marks = {"a": (2, series[2][1]), "b": (7, series[1][1]), "c": (8, series[3][1])}
    lesions = [
        marked(name, (str(images[number].SOPInstanceUID), 0), mask, folder)
        for name, (number, mask) in marks.items()
    ]
    return lesions, read_export(folder / "in")


def enhanced_twice(folder):
    """Write an object in which each position has two frames; return series and its numbers."""
    series = solid_series()
    whole, numbers = enhanced(series, np.random.default_rng(1).permutation(len(series.images)))
    groups = list(whole.PerFrameFunctionalGroupsSequence)
    whole.PerFrameFunctionalGroupsSequence = [*groups, *copy.deepcopy(groups)]
    whole.NumberOfFrames = 2 * len(groups)
    whole.PixelData = 2 * whole.PixelData
    save(whole, folder / "in/whole")
    return series, numbers


def frames_of(dataset):
    """Number of the segment and source, UID and frame from 0, of each frame of a SEG."""
    shared = dataset.SharedFunctionalGroupsSequence[0]
    for groups in dataset.PerFrameFunctionalGroupsSequence:
        holder = groups if "SegmentIdentificationSequence" in groups else shared
        (derivation,) = groups.DerivationImageSequence
        (source,) = derivation.SourceImageSequence
        place = (source.ReferencedSOPInstanceUID, source.get("ReferencedFrameNumber", 1) - 1)
        yield holder.SegmentIdentificationSequence[0].ReferencedSegmentNumber, place


def points_of(lesion, export):
    """The lesion's pixels in the patient, mm."""
    points = []
    for (uid, frame), mask in lesion.planes():
        y, x = np.nonzero(mask)
        flat = np.column_stack([x, y, 0 * x, 0 * x + 1])
        points.append((export.frame_of(uid, frame).matrix() @ flat.T)[:3].T)
    return np.concatenate(points)


def check(written, folder, lesions, export):
    """Check that every lesion is in one SEG and its SR, at its place and from its images."""
    by_id, found = {lesion.id: lesion for lesion in lesions}, []
    assert (written["cause"] == "").all(), written
    assert written["file"].is_unique
    reports = [pydicom.dcmread(folder / name) for name in written.query("kind == 'SR'")["file"]]
    for name, ids in written.loc[written["kind"] == "SEG", ["file", "ids"]].to_numpy():
        dataset = pydicom.dcmread(folder / name)
        places = {}
        for number, place in frames_of(dataset):
            places.setdefault(number, set()).add(place)
        for segment in dataset.SegmentSequence:
            lesion, number = by_id[segment.TrackingID], segment.SegmentNumber
            assert places[number] == set(lesion.places)
            assert same_points(seg_points(dataset, number), points_of(lesion, export))
            found.append(lesion.id)
        assert ids == " ".join(segment.TrackingID for segment in dataset.SegmentSequence)
        (report,) = [each for each in reports if dataset.SOPInstanceUID in str(each)]
        measured = {(mark.image_uid, mark.frame) for mark in marks_of_report(report, export)[0]}
        marks = [by_id[segment.TrackingID].mark for segment in dataset.SegmentSequence]
        assert measured == {(mark.image_uid, mark.frame) for mark in marks}
    assert sorted(found) == sorted(by_id)


def test_marks_on_both_phases_of_a_series_are_in_two_segmentations(tmp_path):
    lesions, export = two_phases(tmp_path)
    written = write_dicom(lesions, export, tmp_path / "out", MAKER, structure_sets=True)
    check(written, tmp_path / "out", lesions, export)
    ids = written.groupby("kind")["ids"].apply(sorted).to_dict()
    parts = ["a c", "b"]
    assert ids == {"SEG": parts, "SR": parts, "RTSTRUCT": ["a b c"], "SC": ["a", "b", "c"]}
    again = write_dicom(lesions[::-1], export, tmp_path / "again", MAKER, structure_sets=True)
    pd.testing.assert_frame_equal(again, written)


def test_marks_of_one_phase_stay_in_one_segmentation(tmp_path):
    (_, *lesions), export = two_phases(tmp_path)
    written = write_dicom(lesions, export, tmp_path / "out", MAKER)
    check(written, tmp_path / "out", lesions, export)
    assert written.loc[written["kind"] == "SEG", "ids"].tolist() == ["b c"]


def test_images_of_two_spacings_are_in_two_segmentations(tmp_path):
    """A segmentation has one spacing, by which the pixels of other images would be displaced."""
    series = make_series(np.random.default_rng(5), 0, 5)
    series[3][0].PixelSpacing = [1.6, 1.4]
    for number, (image, _) in enumerate(series):
        save(image, tmp_path / f"in/{number}")
    export = read_export(tmp_path / "in")
    lesions = [
        marked(f"m{number}", (str(series[number][0].SOPInstanceUID), 0), mask, tmp_path)
        for number, (_, mask) in enumerate(series)
    ]
    written = write_dicom(lesions, export, tmp_path / "out", MAKER, structure_sets=True)
    check(written, tmp_path / "out", lesions, export)
    assert written["kind"].value_counts().to_dict() == {"SEG": 2, "SR": 2, "RTSTRUCT": 1, "SC": 5}


@pytest.mark.parametrize("names", ["b", "ac", "abc"])
def test_frames_that_repeat_positions_are_named_as_in_their_object(names, tmp_path):
    series, numbers = enhanced_twice(tmp_path)
    export = read_export(tmp_path / "in")
    at, beside = numbers.index(MARKED), numbers.index(MARKED + 2)
    frames = {"a": at, "b": at + len(numbers), "c": beside + len(numbers)}
    masks = {"a": MARKED, "b": MARKED, "c": MARKED + 2}
    lesions = [
        marked(name, (WHOLE, frames[name]), series.masks[masks[name]], tmp_path) for name in names
    ]
    written = write_dicom(lesions, export, tmp_path / "out", MAKER, structure_sets=True)
    check(written, tmp_path / "out", lesions, export)
    assert (written["kind"] == "SEG").sum() == (2 if names == "abc" else 1)


def test_a_mask_over_frames_of_one_phase_keeps_them(tmp_path):
    series, numbers = enhanced_twice(tmp_path)
    export = read_export(tmp_path / "in")
    lesions = []
    for name, first in (("a", 0), ("b", len(numbers))):
        slices = range(MARKED - 2, MARKED + 3)
        places = tuple((WHOLE, first + numbers.index(number)) for number in slices)
        lesion = marked(name, places[2], series.masks[MARKED], tmp_path)
        part = np.array([series.masks[number] for number in slices])
        solid = SolidMask(places, part, (0, 0), part.shape[1:])
        row = dict(lesion.row) | {"volume_answer": "levels", "volume_mm3": 1.0}
        lesions.append(replace(lesion, solid=solid, row=row))
    written = write_dicom(lesions, export, tmp_path / "out", MAKER)
    check(written, tmp_path / "out", lesions, export)
    assert written.loc[written["kind"] == "SEG", "ids"].tolist() == ["a", "b"]


@pytest.mark.parametrize("options", [(), ("--volume",)], ids=["slice", "volume"])
def test_the_command_writes_all_objects_of_a_mark_in_two_phases(grey_model, tmp_path, options):
    series, numbers = enhanced_twice(tmp_path)
    frame = numbers.index(MARKED) + len(numbers)
    ends = dict(zip(RECIST_COLUMNS, series.ends.ravel(), strict=True))
    pd.DataFrame([{"id": "l", "image": WHOLE, "slice": frame} | ends]).to_csv(
        tmp_path / "marks.csv", index=False
    )
    call(grey_model, tmp_path, "--marks", tmp_path / "marks.csv", *options)
    written = pd.read_csv(tmp_path / "out/dicom/written.csv", keep_default_na=False)
    assert written["kind"].tolist() == ["SEG", "SR", "SC"]
    assert (written["cause"] == "").all()
    dataset = pydicom.dcmread(tmp_path / "out/dicom" / written["file"][0])
    assert list(frames_of(dataset)) == [(1, (WHOLE, frame))]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("Plane positions must not contain duplicates."), "have the same position"),
        (AttributeError(f"no {PERSON}", name="PatientName"), "needs (PatientName)"),
        (AttributeError(f"no {PERSON}", name=PERSON), "needs (AttributeError)"),
        (KeyError(pydicom.tag.Tag(0x00200032)), "needs (ImagePositionPatient)"),
        (KeyError(PERSON), "needs (KeyError)"),
        (ValueError(f"{PERSON} is not a number"), "not as DICOM defines it (ValueError)"),
        (FileNotFoundError(2, "No such file", PERSON), "cannot be read (No such file)"),
    ],
)
def test_causes_name_attributes_and_quote_no_file(error, words):
    assert cause_of(error).endswith(words)
    assert PERSON not in cause_of(error)


def test_a_full_disk_is_no_fault_of_the_source(tmp_path, monkeypatch):
    (image, mask), *_ = make_series(np.random.default_rng(0), 0, 1)
    save(image, tmp_path / "in/0")
    lesion = marked("a", (str(image.SOPInstanceUID), 0), mask, tmp_path)

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match=r"No space left.*seg-\w+\.dcm"):
        write_dicom([lesion], read_export(tmp_path / "in"), tmp_path / "out", MAKER)
