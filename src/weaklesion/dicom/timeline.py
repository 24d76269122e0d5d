"""Lesions over time: the marks of a patient's studies, as tables in CDISC's names, and a plot.

Patients are numbered, and days count from the first study: neither names nor dates are written.
"""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from weaklesion.dicom.export import Export
from weaklesion.dicom.found import FoundMark
from weaklesion.dicom.lines import length_mm
from weaklesion.dicom.response import Assessment, Target, Visit, assess
from weaklesion.support.files import written_whole

TR = ("DOMAIN", "USUBJID", "TRSEQ", "TRGRPID", "TRLNKID", "TRTESTCD", "TRTEST", "TRORRES",
      "TRORRESU", "TRSTRESC", "TRSTRESN", "TRSTRESU", "TRSTAT", "TRREASND", "TRNAM", "VISITNUM",
      "VISIT", "TRDY")  # fmt: skip
TU = ("DOMAIN", "USUBJID", "TUSEQ", "TULNKID", "TUTESTCD", "TUTEST", "TUORRES", "TUSTRESC",
      "TULOC", "VISITNUM", "VISIT", "TUDY")  # fmt: skip
RS = ("DOMAIN", "USUBJID", "RSSEQ", "RSTESTCD", "RSTEST", "RSCAT", "RSORRES", "RSSTRESC",
      "VISITNUM", "VISIT", "RSDY")  # fmt: skip
TESTS = {
    "LDIAM": "Longest Diameter",
    "LPERP": "Longest Perpendicular",
    "AREA": "Area",
    "SUMDIAM": "Sum of Diameter",
    "PCBSD": "Percent Change Baseline in Sum of Diameter",
    "PCNSD": "Percent Change Nadir in Sum of Diameter",
    "ACNSD": "Absolute Change Nadir in Sum of Diameter",
}
MASK = "WEAKLESION"  # source of what was measured on masks
UNCLEAR = "several documents measure it"
NO_SCALE = "its image has no spacing in mm"
NO_MARK = "no mark"


@dataclass(frozen=True)
class Measured:
    """A lesion at a visit.

    Attributes:
        long_mm: long diameters of its parts.
        short_mm: short diameters of its parts.
        area_mm2: area of its masks, or None.
        cause: why it was not evaluated, or "".
    """

    long_mm: tuple[float, ...] = ()
    short_mm: tuple[float, ...] = ()
    area_mm2: float | None = None
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


def courses_of(
    marks: dict[str, FoundMark], areas_mm2: dict[str, float], export: Export
) -> list[Course]:
    """Return the course of every patient with at least two visits that have tracked lesions.

    A visit is a day. Marks with the same tracking UID (AIM: or the same name) are one lesion; one
    that is first marked after the baseline is new. Several marks of a lesion on one day are its
    parts if one document holds them; if several do, the lesion is not evaluated on that day.

    Args:
        marks: marks with both diameters, by id.
        areas_mm2: area of their masks, by id.
        export: the export.
    """
    patients: dict[str, list[str]] = {}
    for name, mark in marks.items():
        image = export.images[mark.image_uid]
        if mark.lesion and _date(image.day) is not None:
            patients.setdefault(image.patient, []).append(name)
    first_study = {
        patient: min(export.images[marks[name].image_uid].study_uid for name in names)
        for patient, names in patients.items()
    }
    courses = []
    for number, patient in enumerate(sorted(patients, key=first_study.__getitem__), start=1):
        course = _course(f"P{number:02d}", patients[patient], marks, areas_mm2, export)
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
    areas_mm2: dict[str, float],
    export: Export,
) -> Course:
    dates = {name: _date(export.images[marks[name].image_uid].day) for name in names}
    ordered = sorted({date for date in dates.values() if date is not None})
    parts: dict[str, dict[int, list[str]]] = {}
    for name in sorted(names):
        date = dates[name]
        if date is not None:
            visit = ordered.index(date)
            parts.setdefault(marks[name].lesion, {}).setdefault(visit, []).append(name)
    lesions: dict[str, dict[int, Measured]] = {}
    nodes = set()
    counts = {"T": 0, "N": 0}
    for lesion in sorted(parts, key=lambda lesion: (min(parts[lesion]), lesion)):
        kind = "T" if 0 in parts[lesion] else "N"
        counts[kind] += 1
        label = f"{kind}{counts[kind]:02d}"
        lesions[label] = {
            visit: _measured([(name, marks[name]) for name in here], areas_mm2, export)
            for visit, here in parts[lesion].items()
        }
        if any(marks[name].node for here in parts[lesion].values() for name in here):
            nodes.add(label)
    days = tuple((date - ordered[0]).days + 1 for date in ordered)
    return Course(subject, days, lesions, frozenset(nodes))


def _measured(
    parts: Sequence[tuple[str, FoundMark]], areas_mm2: dict[str, float], export: Export
) -> Measured:
    """Return the measurements of the parts of a lesion at one visit."""
    if len({mark.source_uid for _, mark in parts}) > 1:
        return Measured(cause=UNCLEAR)
    long, short, area = [], [], 0.0
    for name, mark in parts:
        spacing = export.spacing_xy(mark.image_uid, mark.frame)
        if spacing is None:
            return Measured(cause=NO_SCALE)
        long.append(length_mm(mark.ends[:2], spacing))
        short.append(length_mm(mark.ends[2:], spacing))
        area += areas_mm2.get(name, float("nan"))
    return Measured(tuple(long), tuple(short), area if area == area else None)


def visits_of(course: Course) -> list[Visit]:
    """Return what RECIST 1.1 needs of each visit; nodes count by their short axis."""
    visits = []
    for visit in range(len(course.days)):
        targets = {}
        for label, measured in course.lesions.items():
            here = measured.get(visit)
            if label.startswith("T") and here is not None:
                node = label in course.nodes
                targets[label] = Target(here.short_mm if node else here.long_mm, node=node)
        new = any(
            label.startswith("N") and any(first <= visit for first in measured)
            for label, measured in course.lesions.items()
        )
        visits.append(Visit(targets, new_lesion=new))
    return visits


def write_courses(courses: Sequence[Course], out_dir: str | Path) -> None:
    """Write `tr.csv`, `tu.csv` and `rs.csv`, and a plot per patient.

    The overall response is given only where target or new lesions decide it (PD), because an export
    does not hold the assessment of non-target lesions.

    Args:
        courses: courses of patients.
        out_dir: folder for the files.
    """
    out = Path(out_dir)
    out.mkdir(parents=True, exist_ok=True)
    tables: dict[str, list[dict[str, Any]]] = {"TR": [], "TU": [], "RS": []}
    for course in courses:
        results = assess(visits_of(course))
        rows = {
            "TR": _tr_rows(course, results),
            "TU": _tu_rows(course),
            "RS": _rs_rows(course, results),
        }
        for domain, table in rows.items():
            for number, row in enumerate(table, start=1):
                start = {"DOMAIN": domain, "USUBJID": course.subject, f"{domain}SEQ": number}
                tables[domain].append(start | row)
        with written_whole(out / f"{course.subject}.png") as temporary:
            _plot(course, results).savefig(temporary, dpi=120)
    for domain, columns in (("TR", TR), ("TU", TU), ("RS", RS)):
        with written_whole(out / f"{domain.lower()}.csv") as temporary:
            pd.DataFrame(tables[domain], columns=list(columns)).to_csv(temporary, index=False)


def _visit(course: Course, visit: int, prefix: str) -> dict[str, Any]:
    name = "BASELINE" if visit == 0 else f"FOLLOW-UP {visit}"
    return {"VISITNUM": visit + 1, "VISIT": name, f"{prefix}DY": course.days[visit]}


def _tr_rows(course: Course, results: Sequence[Assessment]) -> list[dict[str, Any]]:
    rows = []
    for visit, result in enumerate(results):
        when = _visit(course, visit, "TR")
        for label, measured in course.lesions.items():
            here = measured.get(visit)
            group = {"TRGRPID": "TARGET" if label.startswith("T") else "NEW", "TRLNKID": label}
            if here is None or here.cause:
                if here is not None or label.startswith("T"):
                    cause = here.cause if here is not None else NO_MARK
                    rows.append(group | _test("LDIAM", None, "mm") | when
                                | {"TRSTAT": "NOT DONE", "TRREASND": cause})  # fmt: skip
                continue
            rows.append(group | _test("LDIAM", sum(here.long_mm), "mm") | when)
            rows.append(group | _test("LPERP", sum(here.short_mm), "mm") | when)
            if here.area_mm2 is not None:
                rows.append(group | _test("AREA", here.area_mm2, "mm2") | when | {"TRNAM": MASK})
        increase = (
            result.sum_mm - result.nadir_mm
            if result.sum_mm is not None and result.nadir_mm is not None
            else None
        )
        for code, value, unit in (
            ("SUMDIAM", result.sum_mm, "mm"),
            ("PCBSD", result.from_baseline_pct, "%"),
            ("PCNSD", result.from_nadir_pct, "%"),
            ("ACNSD", increase, "mm"),
        ):
            if value is not None:
                rows.append({"TRGRPID": "TARGET"} | _test(code, value, unit) | when)
    return rows


def _test(code: str, value: float | None, unit: str) -> dict[str, Any]:
    row: dict[str, Any] = {"TRTESTCD": code, "TRTEST": TESTS[code]}
    if value is None:
        return row
    text = f"{value:.2f}"
    return row | {
        "TRORRES": text,
        "TRORRESU": unit,
        "TRSTRESC": text,
        "TRSTRESN": float(text),
        "TRSTRESU": unit,
    }


def _tu_rows(course: Course) -> list[dict[str, Any]]:
    return [
        {
            "TULNKID": label,
            "TUTESTCD": "TUMIDENT",
            "TUTEST": "Tumor Identification",
            "TUORRES": kind,
            "TUSTRESC": kind,
            "TULOC": "LYMPH NODE" if label in course.nodes else "",
        }
        | _visit(course, min(measured), "TU")
        for label, measured in course.lesions.items()
        for kind in ["TARGET" if label.startswith("T") else "NEW"]
    ]


def _rs_rows(course: Course, results: Sequence[Assessment]) -> list[dict[str, Any]]:
    rows = []
    for visit, result in enumerate(results[1:], start=1):
        answers = [("TRGRESP", "Target Response", result.target)]
        if result.overall == "PD":
            answers.append(("OVRLRESP", "Overall Response", "PD"))
        rows += [
            {"RSTESTCD": code, "RSTEST": name, "RSCAT": "RECIST 1.1", "RSORRES": answer,
             "RSSTRESC": answer} | _visit(course, visit, "RS")
            for code, name, answer in answers
            if answer is not None
        ]  # fmt: skip
    return rows


def _plot(course: Course, results: Sequence[Assessment]) -> Figure:
    """Draw diameters and their sum over days."""
    figure = Figure(figsize=(5, 3.2), layout="constrained")
    axes = figure.subplots()
    for label, measured in course.lesions.items():
        points = [
            (course.days[visit], sum(here.short_mm if label in course.nodes else here.long_mm))
            for visit, here in sorted(measured.items())
            if not here.cause
        ]
        axes.plot(*zip(*points, strict=True) if points else ([], []), marker="o", label=label)
    known = [(day, each) for day, each in zip(course.days, results, strict=True)
             if each.sum_mm is not None]  # fmt: skip
    axes.plot([day for day, _ in known], [each.sum_mm or 0.0 for _, each in known], "k--",
              marker="s", label="sum of targets")  # fmt: skip
    for day, each in known:
        if each.target is not None:
            axes.annotate(each.target, (day, each.sum_mm or 0.0), textcoords="offset points",
                          xytext=(4, 4))  # fmt: skip
    axes.set(xlabel="day", ylabel="diameter [mm]", title=course.subject)
    axes.set_ylim(bottom=0)
    axes.legend(fontsize="small")
    return figure
