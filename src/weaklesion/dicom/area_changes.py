"""Table of the areas of lesions over time, and of their changes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from weaklesion.dicom.areas import Area, change
from weaklesion.dicom.timeline import Course, Measured
from weaklesion.support.own_files import OwnFiles

BASELINE = 0  # index of the visit
EMPTY = "a mask is empty"  # the network saw nothing; the lesion need not be gone
OF_CHANGE = ("change_mm2", "change_pct", "detectable_mm2", "detected")
COLUMNS = (
    "subject", "lesion", "visit", "day", "marks", "answer", "area_mm2", "sd_mm2",
    *(f"baseline_{name}" for name in OF_CHANGE), "preceding_visit",
    *(f"preceding_{name}" for name in OF_CHANGE), "cause",
)  # fmt: skip


def write_areas(courses: Sequence[Course], out_dir: str | Path) -> None:
    """Write `areas.csv`: areas, and their changes since the baseline and the preceding visit.

    Args:
        courses: courses of patients.
        out_dir: folder for the file; it exists.
    """
    rows = [
        row
        for course in courses
        for label, measured in course.lesions.items()
        for row in _rows(course, label, measured)
    ]
    with OwnFiles(out_dir).writing("areas.csv") as temporary:
        pd.DataFrame(rows, columns=list(COLUMNS), dtype=object).to_csv(temporary, index=False)


def _rows(course: Course, label: str, measured: Mapping[int, Measured]) -> list[dict[str, Any]]:
    """Return the rows of a lesion, one per visit at which it is marked."""
    rows = []
    areas: dict[int, Area] = {}  # by visit, without empty masks
    for visit, here in sorted(measured.items()):
        area = here.area
        row: dict[str, Any] = {
            "subject": course.subject,
            "lesion": label,
            "visit": visit + 1,
            "day": course.days[visit],
            "marks": " ".join(here.marks),
            "cause": here.cause,
        }
        if area is not None:
            row |= {
                "answer": " ".join(dict.fromkeys(area.answers)),
                "area_mm2": round(area.mm2, 2),
                "sd_mm2": round(area.sd_mm2, 2),
            }
            if "empty" in area.answers or not area.mm2:
                row["cause"] = EMPTY
            else:
                if BASELINE in areas:
                    row |= _changed("baseline", areas[BASELINE], area)
                if areas:
                    preceding = max(areas)
                    row |= {"preceding_visit": preceding + 1}
                    row |= _changed("preceding", areas[preceding], area)
                areas[visit] = area
        rows.append(row)
    return rows


def _changed(name: str, earlier: Area, later: Area) -> dict[str, Any]:
    found = change(earlier, later)
    values = (
        round(found.mm2, 2),
        round(found.pct, 2),
        round(found.detectable_mm2, 2),
        found.detected,
    )
    return {f"{name}_{column}": value for column, value in zip(OF_CHANGE, values, strict=True)}
