"""Tracking UIDs of results: one per lesion that is followed, and no other lesion's."""

import json

import numpy as np
import pandas as pd
import pydicom
import pytest
from test_writing import MAKER, lesion_of

from weaklesion.dicom.importing import ImportSettings, import_export
from weaklesion.dicom.phantom import PhantomMark, aim_annotation, make_series, save, uid_for
from weaklesion.dicom.timeline import courses_of
from weaklesion.dicom.writing import write_dicom
from weaklesion.ellipse import fit_ellipse
from weaklesion.recist import RECIST_COLUMNS, recist_from_ellipse

IMAGES = (1, 2)  # marked in each series


def visits(folder, patient="P", born="19500101", count=2):
    """Write series of a patient without documents; return their marks, visit by visit."""
    marks = []
    for visit in range(count):
        series = make_series(np.random.default_rng(visit), visit, 3, seed=patient)
        for number, (image, _) in enumerate(series):
            image.PatientID, image.PatientBirthDate = patient, born
            save(image, folder / f"{visit}-{number}")
        for image, mask in (series[number] for number in IMAGES):
            ends = recist_from_ellipse(fit_ellipse(mask))
            marks.append(PhantomMark(image.SOPInstanceUID, ends, mask, "", "table"))
    return marks


def table_of(path, marks, lesions=None):
    rows = [
        {"image": mark.image_uid} | dict(zip(RECIST_COLUMNS, mark.ends.ravel(), strict=True))
        for mark in marks
    ]
    pd.DataFrame(rows).assign(lesion=lesions or "").to_csv(path, index=False)
    return path


def annotate(path, mark, name, tracking=""):
    """Write an AIM annotation of a mark, with a tracking UID or without one."""
    content = aim_annotation(mark)
    (inner,) = content["ImageAnnotationCollection"]["imageAnnotations"]["ImageAnnotation"]
    inner["name"]["value"] = f"{name}~1"
    inner["trackingUniqueIdentifier"]["root"] = tracking
    inner["uniqueIdentifier"]["root"] = uid_for(path.name)
    path.write_text(json.dumps(content))


def written(folder, marks, table=None):
    """Return what was imported, and the tracking UID of each id in SEG and SR."""
    masks = {mark.image_uid: mark.mask for mark in marks}
    taken = import_export(folder / "in", folder / "import", ImportSettings(marks_csv=table))
    lesions = [
        lesion_of(name, mark, masks[mark.image_uid], folder) for name, mark in taken.marks.items()
    ]
    write_dicom(lesions, taken.export, folder / "out", MAKER)
    uids = {}
    for path in (folder / "out").glob("seg-*.dcm"):
        for segment in pydicom.dcmread(path).SegmentSequence:
            uids[segment.TrackingID] = segment.TrackingUID
    reports = " ".join(str(pydicom.dcmread(path)) for path in (folder / "out").glob("sr-*.dcm"))
    assert all(uid in reports for uid in uids.values())
    assert set(uids) == set(taken.marks)
    return taken, uids


def followed(taken):
    """Return the ids of the marks of each lesion that `response/` follows."""
    return {
        frozenset(name for measured in lesion.values() for name in measured.marks)
        for course in courses_of(taken.marks, {}, taken.export)
        for lesion in course.lesions.values()
    }


def of_one_uid(uids):
    return {frozenset(name for name in uids if uids[name] == uid) for uid in uids.values()}


def test_marks_without_a_lesion_have_uids_of_their_own_that_stay(tmp_path):
    """Two patients' tables give their marks the same ids, by default the numbers of rows."""
    found = {}
    for patient in ("A", "B"):
        folder = tmp_path / patient
        marks = visits(folder / "in", patient, count=1)
        found[patient] = written(folder, marks, table_of(folder / "marks.csv", marks))[1]
    assert set(found["A"]) == set(found["B"])
    assert len({*found["A"].values(), *found["B"].values()}) == 4
    (tmp_path / "again").mkdir()
    (tmp_path / "A/in").rename(tmp_path / "again/in")
    marks = visits(tmp_path / "spare", "A", count=1)
    table = table_of(tmp_path / "again/marks.csv", marks)
    assert written(tmp_path / "again", marks, table)[1] == found["A"]


def test_a_named_lesion_of_a_table_has_one_uid_over_visits_and_patients_have_none_in_common(
    tmp_path,
):
    found = set()
    for patient, born in (("A", "19500101"), ("1", "19500101"), ("1", "19600101")):
        folder = tmp_path / patient / born
        marks = visits(folder / "in", patient, born)
        names = ["liver", "lung", "Liver ", "lung"]
        taken, uids = written(folder, marks, table_of(folder / "marks.csv", marks, names))
        assert of_one_uid(uids) == followed(taken)
        assert len(of_one_uid(uids)) == 2
        found |= set(uids.values())
    assert len(found) == 6


@pytest.mark.parametrize("born", [("", ""), ("", "19500101"), ("19500101", "19600101")])
def test_an_aim_lesion_that_is_followed_by_its_name_has_one_uid(tmp_path, born):
    marks = visits(tmp_path / "in", born="")
    for number, mark in enumerate(marks):
        annotate(tmp_path / f"in/{number}.json", mark, f"Lesion {number % 2}")
    for visit, date in enumerate(born):
        for path in (tmp_path / "in").glob(f"{visit}-*"):
            image = pydicom.dcmread(path)
            image.PatientBirthDate = date
            image.save_as(path)
    taken, uids = written(tmp_path, marks)
    if born[0] and born[0] != born[1]:  # two patients of one ID, who are not followed
        assert len(of_one_uid(uids)) == 4
    else:
        assert of_one_uid(uids) == followed(taken)
        assert len(of_one_uid(uids)) == 2


def test_a_lesion_that_has_a_uid_in_one_document_has_it_in_all_results(tmp_path):
    marks = visits(tmp_path / "in")
    for number, mark in enumerate(marks):
        annotate(tmp_path / f"in/{number}.json", mark, f"Lesion {number % 2}")
    annotate(tmp_path / "in/twin.json", marks[3], "Lesion 1", "1.2.3.4")
    taken, uids = written(tmp_path, marks)
    assert of_one_uid(uids) == followed(taken)
    assert list(uids.values()).count("1.2.3.4") == 2


def objects(folder):
    paths = (folder / "out").glob("*.dcm")
    return {path.name: path.stat().st_mtime_ns for path in paths}


def test_results_are_made_anew_if_lesions_or_the_patients_data_change_and_else_kept(tmp_path):
    marks = visits(tmp_path / "in", count=1)
    tables = [
        table_of(tmp_path / f"{number}.csv", marks, lesions)
        for number, lesions in enumerate([None, ["liver", "lung"], ["liver", "node"]])
    ]
    seen = []
    for table in tables:
        written(tmp_path, marks, table)
        seen.append(objects(tmp_path))
    assert not seen[0].keys() & seen[1].keys()
    assert not seen[1].keys() & seen[2].keys()
    written(tmp_path, marks, tables[-1])
    assert objects(tmp_path) == seen[-1]
    for path in (tmp_path / "in").iterdir():
        image = pydicom.dcmread(path)
        image.PatientName, image.PatientSex = "CORRECTED^NAME", "F"
        image.save_as(path)
    written(tmp_path, marks, tables[-1])
    corrected = objects(tmp_path)
    assert len(corrected) == len(seen[-1]) == 4
    for name in corrected:
        assert pydicom.dcmread(tmp_path / "out" / name).PatientName == "CORRECTED^NAME"
