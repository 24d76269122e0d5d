"""Lesions over time: the marks of a patient's studies.

Patients are numbered, and days count from the first study: neither names nor dates are written.
"""

import datetime
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from weaklesion.dicom.areas import Area, sum_of
from weaklesion.dicom.export import Export
from weaklesion.dicom.found import FoundMark, joined_names
from weaklesion.dicom.image_objects import NO_ID
from weaklesion.dicom.lines import length_mm
from weaklesion.dicom.response import TARGET_NODE_MM, Target, Visit

logger = logging.getLogger(__name__)

UNCLEAR = "several documents measure it"
NO_SCALE = "its image has no spacing in mm"
ALONE = "only its long diameter was drawn"
NO_DATE = (
    "not followed over time, because its image has no valid StudyDate: give the image its date"
)
TWO_PATIENTS = (
    "its tracking UID occurs under several patients, between whom no lesion is followed: if they"
    " are one, give their images the same PatientID and IssuerOfPatientID"
)
TARGET, NON_TARGET, NORMAL_NODE, NEW = "TARGET", "NON-TARGET", "NORMAL NODE", "NEW"


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
        lesions: per lesion: its measurements by index of the visit. `T01` was marked at the
            baseline, `NT01` too, but is no target, because it is a node below 15 mm; `N01` is new.
        nodes: lesions that are lymph nodes.
    """

    subject: str
    days: tuple[int, ...]
    lesions: dict[str, dict[int, Measured]]
    nodes: frozenset[str]

    def kind(self, label: str) -> str:
        """Return `TARGET`, `NON-TARGET`, `NORMAL NODE` (at the baseline) or `NEW`."""
        if label.startswith("T"):
            return TARGET
        if not label.startswith("NT"):
            return NEW
        start = Target(self.lesions[label][0].short_mm, node=True)
        return NON_TARGET if start.present else NORMAL_NODE

    def labels(self, *kinds: str) -> list[str]:
        """Return the lesions of some kinds."""
        return [label for label in self.lesions if self.kind(label) in kinds]

    def baseline_is_marked(self, visit: int) -> bool:
        """Return whether a lesion of the baseline is marked at a visit too."""
        return any(
            visit in measured for label, measured in self.lesions.items() if self.kind(label) != NEW
        )


def courses_of(marks: dict[str, FoundMark], areas: dict[str, Area], export: Export) -> list[Course]:
    """Return the course of every patient with at least two visits that have tracked lesions.

    A visit is a day. Marks with the same tracking UID (AIM: or the same name) are one lesion, and
    so are those that a mark which several documents hold joins; one that is first marked after the
    baseline is new. Several marks of a lesion on one day are its parts if one document holds them;
    if several do, the lesion is not evaluated on that day.
    Studies without a patient's ID are nobody's course, and neither are those of one ID with
    different dates of birth. Marks on images without a date are in no course.

    Args:
        marks: marks with both diameters, by id.
        areas: areas of their masks, by id.
        export: the export.
    """
    for cause, count in Counter(doubts_in_time(marks, export).values()).items():
        logger.warning("%d marks: %s", count, cause)
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
            if small := course.labels(NON_TARGET, NORMAL_NODE):
                logger.warning(
                    "%s: %d nodes are no target lesions, because their short axis is below %g mm at"
                    " the baseline (rs.csv)",
                    course.subject,
                    len(small),
                    TARGET_NODE_MM,
                )
    return courses


def doubts_in_time(marks: dict[str, FoundMark], export: Export) -> dict[str, str]:
    """Return what is to be told of marks of lesions that are not or not wholly followed, by id.

    Args:
        marks: marks, by id.
        export: the export.
    """
    images = {name: export.images[mark.image_uid] for name, mark in marks.items()}
    patients: dict[str, set[str]] = {}
    for name, mark in marks.items():
        if mark.tracking_uid and not images[name].patient.startswith(NO_ID):
            patients.setdefault(mark.tracking_uid, set()).add(images[name].patient)
    doubts = {}
    for name, mark in marks.items():
        if mark.lesion and _date(images[name].day) is None:
            doubts[name] = NO_DATE
        elif len(patients.get(mark.tracking_uid, ())) > 1:
            doubts[name] = TWO_PATIENTS
    return doubts


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
    lesions_of = joined_names(marks[name] for name in names)
    parts: dict[str, dict[int, list[str]]] = {}
    for name in sorted(names):
        date = dates[name]
        if date is not None:
            visit = ordered.index(date)
            lesion = min(lesions_of.subset(marks[name].lesion))
            parts.setdefault(lesion, {}).setdefault(visit, []).append(name)
    lesions: dict[str, dict[int, Measured]] = {}
    nodes = set()
    counts = {"T": 0, "NT": 0, "N": 0}
    for lesion in sorted(parts, key=lambda lesion: (min(parts[lesion]), lesion)):
        measured = {
            visit: _measured([(name, marks[name]) for name in here], areas, export)
            for visit, here in parts[lesion].items()
        }
        node = any(marks[name].node for here in parts[lesion].values() for name in here)
        kind = ("NT" if node and _is_small(measured[0]) else "T") if 0 in measured else "N"
        counts[kind] += 1
        label = f"{kind}{counts[kind]:02d}"
        lesions[label] = measured
        if node:
            nodes.add(label)
    days = tuple((date - ordered[0]).days + 1 for date in ordered)
    return Course(subject, days, lesions, frozenset(nodes))


def _is_small(start: Measured) -> bool:
    """Return whether a node is known to be too small for a target at the baseline."""
    node = Target(start.short_mm, node=True)
    return node.evaluated and not node.reaches(TARGET_NODE_MM)


def _measured(
    parts: Sequence[tuple[str, FoundMark]], areas: dict[str, Area], export: Export
) -> Measured:
    """Return the measurements of the parts of a lesion at one visit."""
    names = tuple(name for name, _ in parts)
    if len({(mark.source_uid, mark.document) for _, mark in parts}) > 1:
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
    otherwise it may be that one under another name. A new node counts from a short axis of 10 mm;
    below it, a node is normal (EORTC's FAQ "Abnormal lymph node"). Of non-target lesions, only the
    nodes of the course are known, which tell whether they are all of normal size; their progression
    is not judged.
    """
    visits = []
    new = False
    for visit in range(len(course.days)):
        targets = {}
        for label in course.labels(TARGET):
            here = course.lesions[label].get(visit)
            if here is not None:
                node = label in course.nodes
                targets[label] = Target(here.short_mm if node else here.long_mm, node=node)
        beside = any(_is_a_lesion(course, label, visit) for label in course.labels(NEW))
        new |= beside and course.baseline_is_marked(visit)
        visits.append(Visit(targets, new_lesion=new, non_target=_non_target(course, visit)))
    return visits


def _is_a_lesion(course: Course, label: str, visit: int) -> bool:
    """Return whether a lesion is marked at a visit, and is no node that is known to be normal."""
    here = course.lesions[label].get(visit)
    if here is None or label not in course.nodes:
        return here is not None
    node = Target(here.short_mm, node=True)
    return node.present or not node.evaluated


def _non_target(course: Course, visit: int) -> str | None:
    """Return `CR`, `NON-CR/NON-PD` or `NE` of the non-target nodes; None without any."""
    here = [
        Target(course.lesions[label].get(visit, Measured()).short_mm, node=True)
        for label in course.labels(NON_TARGET)
    ]
    if not here:
        return None
    if any(node.present for node in here):
        return "NON-CR/NON-PD"
    return "CR" if all(node.evaluated for node in here) else "NE"
