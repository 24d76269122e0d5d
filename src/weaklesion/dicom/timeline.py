"""Lesions over time: the marks of a patient's studies.

Patients are numbered, and days count from the first study: neither names nor dates are written.
"""

import datetime
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.cluster.hierarchy import DisjointSet

from weaklesion.dicom.areas import Area, sum_of
from weaklesion.dicom.export import Export
from weaklesion.dicom.found import FoundMark
from weaklesion.dicom.image_objects import NO_ID
from weaklesion.dicom.lines import length_mm
from weaklesion.dicom.response import Target, Visit

logger = logging.getLogger(__name__)

UNCLEAR = "several documents measure it"
NO_SCALE = "its image has no spacing in mm"
ALONE = "only its long diameter was drawn"


@dataclass(frozen=True)
class Measured:
    """A lesion at a visit.

    Attributes:
        long_mm: long diameters of its parts.
        short_mm: short diameters of its parts; none if one of them was not drawn.
        area: area of its masks, or None.
        marks: ids of the marks of its parts.
        cause: why it was not evaluated, or "".
    """

    long_mm: tuple[float, ...] = ()
    short_mm: tuple[float, ...] = ()
    area: Area | None = None
    marks: tuple[str, ...] = ()
    cause: str = ""


@dataclass(frozen=True)
class Course:
    """The lesions of a patient.

    Attributes:
        subject: number of the patient, as `P01`.
        days: days of the visits, from 1.
        lesions: per lesion, such as `T01`, or `N01` for one that is new: its measurements by index
            of the visit.
        nodes: lesions that are lymph nodes.
    """

    subject: str
    days: tuple[int, ...]
    lesions: dict[str, dict[int, Measured]]
    nodes: frozenset[str]


def courses_of(marks: dict[str, FoundMark], areas: dict[str, Area], export: Export) -> list[Course]:
    """Return the course of every patient with at least two visits that have tracked lesions.

    A visit is a day. Marks with the same tracking UID (AIM: or the same name) are one lesion, and
    so are those that a mark which several documents hold joins; one that is first marked after the
    baseline is new. Several marks of a lesion on one day are its parts if one document holds them;
    if several do, the lesion is not evaluated on that day.
    Studies without a patient's ID are nobody's course, and neither are those of one ID with
    different dates of birth.

    Args:
        marks: marks with both diameters, by id.
        areas: areas of their masks, by id.
        export: the export.
    """
    patients: dict[str, list[str]] = {}
    births: dict[str, set[str]] = {}
    for name, mark in marks.items():
        image = export.images[mark.image_uid]
        if mark.lesion and _date(image.day) is not None:
            patients.setdefault(image.patient, []).append(name)
            births.setdefault(image.patient, set()).update({image.born} - {""})
    for patient in [patient for patient, born in births.items() if len(born) > 1]:
        logger.warning(
            "%d marks are not followed over time: images with one patient's ID have different"
            " dates of birth",
            len(patients.pop(patient)),
        )
    if unnamed := [patient for patient in patients if patient.startswith(NO_ID)]:
        logger.warning("%d studies without a patient's ID are not followed over time", len(unnamed))
    first_study = {
        patient: min(export.images[marks[name].image_uid].study_uid for name in names)
        for patient, names in patients.items()
    }
    courses = []
    for number, patient in enumerate(sorted(patients, key=first_study.__getitem__), start=1):
        course = _course(f"P{number:02d}", patients[patient], marks, areas, export)
        if len(course.days) > 1:
            courses.append(course)
    return courses


def _date(day: str) -> datetime.date | None:
    try:
        return datetime.datetime.strptime(day, "%Y%m%d").date()
    except ValueError:
        return None


def _course(
    subject: str,
    names: Sequence[str],
    marks: dict[str, FoundMark],
    areas: dict[str, Area],
    export: Export,
) -> Course:
    dates = {name: _date(export.images[marks[name].image_uid].day) for name in names}
    ordered = sorted({date for date in dates.values() if date is not None})
    lesions_of = DisjointSet()
    for name in names:
        lesions_of.add(marks[name].lesion)
        for other in marks[name].other_lesions:
            lesions_of.add(other)
            lesions_of.merge(marks[name].lesion, other)
    parts: dict[str, dict[int, list[str]]] = {}
    for name in sorted(names):
        date = dates[name]
        if date is not None:
            visit = ordered.index(date)
            lesion = min(lesions_of.subset(marks[name].lesion))
            parts.setdefault(lesion, {}).setdefault(visit, []).append(name)
    lesions: dict[str, dict[int, Measured]] = {}
    nodes = set()
    counts = {"T": 0, "N": 0}
    for lesion in sorted(parts, key=lambda lesion: (min(parts[lesion]), lesion)):
        kind = "T" if 0 in parts[lesion] else "N"
        counts[kind] += 1
        label = f"{kind}{counts[kind]:02d}"
        lesions[label] = {
            visit: _measured([(name, marks[name]) for name in here], areas, export)
            for visit, here in parts[lesion].items()
        }
        if any(marks[name].node for here in parts[lesion].values() for name in here):
            nodes.add(label)
    days = tuple((date - ordered[0]).days + 1 for date in ordered)
    return Course(subject, days, lesions, frozenset(nodes))


def _measured(
    parts: Sequence[tuple[str, FoundMark]], areas: dict[str, Area], export: Export
) -> Measured:
    """Return the measurements of the parts of a lesion at one visit."""
    names = tuple(name for name, _ in parts)
    if len({mark.source_uid for _, mark in parts}) > 1:
        return Measured(marks=names, cause=UNCLEAR)
    long, short = [], []
    for _, mark in parts:
        spacing = export.spacing_xy(mark.image_uid, mark.frame, mark.ends)
        if spacing is None:
            return Measured(marks=names, cause=NO_SCALE)
        long.append(length_mm(mark.ends[:2], spacing))
        short.append(length_mm(mark.ends[2:], spacing))
    if any(mark.short_assumed for _, mark in parts):
        short = []
    known = [areas[name] for name in names if name in areas]
    area = sum_of(known) if len(known) == len(names) else None
    return Measured(tuple(long), tuple(short), area, names)


def visits_of(course: Course) -> list[Visit]:
    """Return what RECIST 1.1 needs of each visit; nodes count by their short axis.

    A new lesion counts from the first visit at which it is marked beside one of the baseline;
    otherwise it may be that one under another name.
    """
    visits = []
    new = False
    for visit in range(len(course.days)):
        targets = {}
        for label, measured in course.lesions.items():
            here = measured.get(visit)
            if label.startswith("T") and here is not None:
                node = label in course.nodes
                targets[label] = Target(here.short_mm if node else here.long_mm, node=node)
        beside = any(
            label.startswith("N") and visit in measured
            for label, measured in course.lesions.items()
        )
        new |= beside and bool(targets)
        visits.append(Visit(targets, new_lesion=new))
    return visits
