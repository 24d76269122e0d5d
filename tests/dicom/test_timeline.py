"""Marks of several visits become the courses of patients, on exports worked by hand."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from weaklesion.dicom.areas import Area
from weaklesion.dicom.found import FoundMark
from weaklesion.dicom.image_objects import NO_ID
from weaklesion.dicom.timeline import (
    NO_SCALE,
    UNCLEAR,
    Course,
    Measured,
    courses_of,
    doubts_in_time,
    visits_of,
)

ENDS = np.array([[0.0, 0.0], [60.0, 0.0], [30.0, -10.0], [30.0, 10.0]])  # 30 mm and 20 mm
FIRST, SECOND = "20240130", "20240301"  # in a leap year: days 1 and 32


def image(day, patient="A", study="1"):
    return SimpleNamespace(day=day, patient=patient, study_uid=study, born="")


def export(spacing=(0.5, 1.0), **images):
    return SimpleNamespace(images=images, spacing_xy=lambda uid, frame, ends: spacing)


def mark(image_uid, lesion="a", **given):
    document = f"document of {image_uid}"
    return FoundMark("SR", document, 1, image_uid, 0, ENDS, lesion=lesion, **given)


TWO_VISITS = {"i": image(FIRST), "j": image(SECOND)}
LATER = mark("j")


def at_the_baseline(parts, areas=None, **given):
    """The only lesion at its first visit, at which it has some parts."""
    marks = {f"m{number}": part for number, part in enumerate(parts)} | {"later": LATER}
    (course,) = courses_of(marks, areas or {}, export(**given, **TWO_VISITS))
    (label,) = course.lesions
    return course.lesions[label][0]


def test_days_and_diameters_by_hand():
    (course,) = courses_of({"m": mark("i"), "n": LATER}, {}, export(**TWO_VISITS))
    assert course.days == (1, 32)
    assert course.lesions == {
        "T01": {visit: Measured((30.0,), (20.0,), None, (name,)) for visit, name in enumerate("mn")}
    }
    assert course.nodes == frozenset()


def test_a_lesion_on_an_image_without_a_scale_is_not_evaluated():
    assert at_the_baseline([mark("i")], spacing=None) == Measured(marks=("m0",), cause=NO_SCALE)


def test_marks_of_documents_that_only_their_files_tell_apart_are_no_parts():
    one, other = (mark("i", document=name) for name in ("a.json", "b.json"))
    assert at_the_baseline([one, other]) == Measured(marks=("m0", "m1"), cause=UNCLEAR)
    assert at_the_baseline([one, one]).long_mm == (30.0, 30.0)


def test_one_part_without_its_short_diameter_leaves_the_lesion_without_short_ones():
    found = at_the_baseline([mark("i"), mark("i", short_assumed=True)])
    assert (found.long_mm, found.short_mm) == ((30.0, 30.0), ())


@pytest.mark.parametrize(
    ("areas", "whole"),
    [
        ({}, None),
        ({"m0": Area(4.0, 1.0, ("network",))}, None),
        (
            {"m0": Area(4.0, 1.0, ("network",)), "m1": Area(9.0, 2.0, ("network",))},
            Area(13.0, 3.0, ("network", "network")),
        ),
    ],
    ids=["no mask", "a mask of one part", "masks of both parts"],
)
def test_the_area_of_a_lesion_needs_the_masks_of_all_its_parts(areas, whole):
    found = at_the_baseline([mark("i"), mark("i")], areas).area
    assert (found and found.mm2) == (whole and whole.mm2)
    assert (found and found.sd_mm2) == (whole and whole.sd_mm2)


def test_one_mark_that_says_so_makes_a_lesion_a_node():
    marks = {"m": mark("i"), "n": replace(LATER, node=True)}
    (course,) = courses_of(marks, {}, export(**TWO_VISITS))
    assert course.nodes == {"T01"}


def test_patients_are_numbered_by_their_first_study():
    """A has the studies 1 and 4, B 2 and 3."""
    images = {
        "k": image(FIRST, "B", "2"),
        "l": image(SECOND, "B", "3"),
        "i": image(FIRST, "A", "1"),
        "j": image(SECOND, "A", "4"),
    }
    marks = {uid: mark(uid) for uid in images}
    courses = courses_of(marks, {}, export(**images))
    names = {course.subject: course.lesions["T01"][0].marks for course in courses}
    assert names == {"P01": ("i",), "P02": ("k",)}


def test_only_a_tracking_uid_of_known_patients_is_doubtful():
    """Without a UID, nothing says that the lesions of two patients are one."""
    images = {"i": image(FIRST), "j": image(FIRST, "B"), "k": image(FIRST, f"{NO_ID} 1")}
    for uids, doubtful in (({"i": "1", "j": "1"}, {"i", "j"}), ({"i": "1", "k": "1"}, set())):
        marks = {name: mark(name, tracking_uid=uid) for name, uid in uids.items()}
        assert doubts_in_time(marks, export(**images)).keys() == doubtful
    assert doubts_in_time({"i": mark("i"), "j": mark("j")}, export(**images)) == {}


@pytest.mark.parametrize(
    ("shorts_mm", "response"),
    [
        ((), None),
        (((9.9,), (9.9,)), "CR"),
        (((9.9,), (10.0,)), "NON-CR/NON-PD"),
        (((10.0,), ()), "NON-CR/NON-PD"),
        (((9.9,), ()), "NE"),
    ],
)
def test_non_target_nodes_are_gone_only_if_all_are_known_to_be(shorts_mm, response):
    """By their short axes at the second visit; at the first, each has 12 mm."""
    lesions = {"T01": {visit: Measured((30.0,), (20.0,)) for visit in (0, 1)}}
    for number, short_mm in enumerate(shorts_mm, start=1):
        lesions[f"NT{number:02d}"] = {0: Measured((15.0,), (12.0,)), 1: Measured((15.0,), short_mm)}
    course = Course("P01", (1, 32), lesions, frozenset(lesions) - {"T01"})
    assert visits_of(course)[1].non_target == response
