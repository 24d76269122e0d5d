"""Lesions over time as tables in CDISC's names (SDTM: TR, TU, RS), and as a plot."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from weaklesion.dicom.response import Assessment, assess
from weaklesion.dicom.timeline import (
    ALONE,
    NEW,
    NON_TARGET,
    NORMAL_NODE,
    TARGET,
    Course,
    visits_of,
)
from weaklesion.support.own_files import OwnFiles

TR = ("DOMAIN", "USUBJID", "TRSEQ", "TRGRPID", "TRLNKID", "TRTESTCD", "TRTEST", "TRORRES",
      "TRORRESU", "TRSTRESC", "TRSTRESN", "TRSTRESU", "TRSTAT", "TRREASND", "TRNAM", "VISITNUM",
      "VISIT", "TRDY")  # fmt: skip
TU = ("DOMAIN", "USUBJID", "TUSEQ", "TULNKID", "TUTESTCD", "TUTEST", "TUORRES", "TUSTRESC",
      "TULOC", "VISITNUM", "VISIT", "TUDY")  # fmt: skip
RS = ("DOMAIN", "USUBJID", "RSSEQ", "RSTESTCD", "RSTEST", "RSCAT", "RSORRES", "RSSTRESC",
      "RSSTAT", "RSREASND", "VISITNUM", "VISIT", "RSDY")  # fmt: skip
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
NO_MARK = "no mark"
ONLY_NEW = "lesions are marked, but none of those at the baseline: were they renamed?"
NO_TARGET = "no lesion of the baseline is a target"
SMALL_NODES = "no targets, because these nodes are below 15 mm at the baseline"


def write_courses(courses: Sequence[Course], out_dir: str | Path) -> None:
    """Write `tr.csv`, `tu.csv` and `rs.csv`, and a plot per patient.

    The overall response is given only where target or new lesions decide it (PD), because an export
    does not hold the assessment of non-target lesions.

    Args:
        courses: courses of patients.
        out_dir: folder for the files.
    """
    out = OwnFiles(out_dir)
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
        with out.writing(f"{course.subject}.png") as temporary:
            _plot(course, results).savefig(temporary, dpi=120)
    for domain, columns in (("TR", TR), ("TU", TU), ("RS", RS)):
        with out.writing(f"{domain.lower()}.csv") as temporary:
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
            group = {"TRGRPID": course.kind(label), "TRLNKID": label}
            if here is None or here.cause:
                if here is not None or course.kind(label) != NEW:
                    cause = here.cause if here is not None else NO_MARK
                    rows.append(group | _test("LDIAM", None, "mm") | when
                                | {"TRSTAT": "NOT DONE", "TRREASND": cause})  # fmt: skip
                continue
            rows.append(group | _test("LDIAM", sum(here.long_mm), "mm") | when)
            if here.short_mm:
                rows.append(group | _test("LPERP", sum(here.short_mm), "mm") | when)
            else:
                rows.append(group | _test("LPERP", None, "mm") | when
                            | {"TRSTAT": "NOT DONE", "TRREASND": ALONE})  # fmt: skip
            if here.area is not None:
                rows.append(group | _test("AREA", here.area.mm2, "mm2") | when | {"TRNAM": MASK})
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
                rows.append({"TRGRPID": TARGET} | _test(code, value, unit) | when)
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
        for kind in [course.kind(label)]
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
        not_done = []
        if result.target is None:
            not_done.append(("TRGRESP", "Target Response", NO_TARGET))
        if small := _small_nodes(course, visit):
            not_done.append(("NTRGRESP", "Non-target Response", f"{SMALL_NODES}: {small}"))
        if result.overall != "PD" and not course.baseline_is_marked(visit):
            not_done.append(("OVRLRESP", "Overall Response", ONLY_NEW))
        rows += [
            {"RSTESTCD": code, "RSTEST": name, "RSCAT": "RECIST 1.1", "RSSTAT": "NOT DONE",
             "RSREASND": cause} | _visit(course, visit, "RS")
            for code, name, cause in not_done
        ]  # fmt: skip
    return rows


def _small_nodes(course: Course, visit: int) -> str:
    """Return the nodes that are too small for targets, with their short axes."""
    notes = []
    for label in course.labels(NON_TARGET, NORMAL_NODE):
        measured = course.lesions[label]
        start, here = sum(measured[0].short_mm), measured.get(visit)
        if here is None or not here.short_mm:
            now = NO_MARK if here is None else here.cause or ALONE
        else:
            now = f"{sum(here.short_mm):.1f} mm"
        notes.append(f"{label} ({start:.1f} mm at the baseline, now {now})")
    return ", ".join(notes)


def _plot(course: Course, results: Sequence[Assessment]) -> Figure:
    """Draw diameters and their sum over days."""
    figure = Figure(figsize=(5, 3.2), layout="constrained")
    axes = figure.subplots()
    for label, measured in course.lesions.items():
        points = [
            (course.days[visit], sum(counted))
            for visit, here in sorted(measured.items())
            if (counted := here.short_mm if label in course.nodes else here.long_mm)
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
