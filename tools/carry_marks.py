r"""Carry the mark of one slice to the other slices of its lesion, for training without masks.

    python tools/carry_marks.py cases.csv marks.csv [--only-marked]

`cases.csv` is that of `tools/measure_volumes.py`. The training-free levels answer each mark in
three dimensions (`weaklesion.volumes.levels`); the mark of another slice is the RECIST measurement
of the answer there. `marks.csv` is a table for the study own-marks: the slices of every case whose
role is `chosen`, of which every fifth image validates; and the marked slice of all others, which
training does not read. With `--only-marked`, the marked slices alone.

Slices of the answer with a short diameter below 5 px are left out, and counted, as are cases in
which levels cannot decide: they keep their own mark alone. A case's mask is read only where the
table has no mark for it, and then only to measure that mark.
"""

import argparse
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from measure_volumes import mark_of, read_cases, reference_of, volume_of

from weaklesion.diameters import recist_from_mask
from weaklesion.recist import RECIST_COLUMNS
from weaklesion.support.progress import progress
from weaklesion.volumes.answer import answer_mark
from weaklesion.volumes.frame import frame_of

LEAST_PX = 5.0  # short diameter below which a carried mark says nothing
VALIDATES = 5  # every fifth image
SAME_SPACING = 0.001  # relative difference up to which pixels are square


def main() -> None:
    """Write the table of marks."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cases", type=Path)
    parser.add_argument("marks", type=Path)
    parser.add_argument("--only-marked", action="store_true")
    options = parser.parse_args()
    cases = read_cases(options.cases)
    split = split_of(cases)
    rows: list[dict[str, Any]] = []
    left_out, undecided = 0, 0
    for case in progress(cases.to_dict("records"), total=len(cases), what="lesions"):
        carried = case["role"] == "chosen" and not options.only_marked
        found, small = marks_of(case, options.cases.parent, carried=carried)
        left_out += small or 0
        undecided += small is None
        image = str((options.cases.parent / case["image"]).resolve())
        rows += [
            {"id": f"{case['id']}_{place}", "image": image, "slice": place}
            | dict(zip(RECIST_COLUMNS, points.ravel().tolist(), strict=True))
            | {"group": case["image"], "split": split[case["id"]]}
            for place, points in found.items()
        ]
    pd.DataFrame(rows).to_csv(options.marks, index=False, float_format="%.6g")
    print(
        f"{left_out} slices left out: a short diameter below {LEAST_PX:g} px; levels cannot decide"
        f" on {undecided} lesions"
    )
    print(pd.DataFrame(rows).groupby("split")["group"].agg(["size", "nunique"]).to_string())


def split_of(cases: pd.DataFrame) -> dict[str, str]:
    """Return the split of each case by its id: every fifth image that trains validates instead."""
    images = cases.loc[cases["role"] == "chosen", "image"].unique()
    split = dict.fromkeys(images, "train") | dict.fromkeys(
        images[VALIDATES - 1 :: VALIDATES], "val"
    )
    return {
        case["id"]: split[case["image"]] if case["role"] == "chosen" else "test"
        for case in cases.to_dict("records")
    }


def check_square(image: Any, path: Path) -> None:
    """Stop if pixels are not square, because diameters are measured in px here."""
    columns, rows = image.header.get_zooms()[:2]
    if not math.isclose(columns, rows, rel_tol=SAME_SPACING):
        raise SystemExit(
            f"{path}: its pixels are not square ({columns:g} x {rows:g} mm). Resample it first."
        )


def marks_of(
    case: dict[Any, Any], folder: Path, *, carried: bool
) -> tuple[dict[int, np.ndarray], int | None]:
    """Return the marks of a case by slice, (4, 2) px each: its own, and those carried from it.

    Also return how many slices are left out, or None if levels cannot decide.
    """
    image = volume_of(folder / case["image"])
    frame = frame_of(image)
    drawn = not pd.isna(case.get("slice", math.nan))
    reference = np.empty(0) if drawn else reference_of(case, folder)
    points, index = mark_of(case, reference, frame)
    if not carried:
        return {index: points}, 0
    check_square(image, folder / case["image"])
    levels = answer_mark(image.dataobj, image.shape, frame, points, index).masks.get("levels")
    if levels is None:
        return {index: points}, None
    marks = {
        place: recist_from_mask(levels[:, :, place].T)
        for place in np.flatnonzero(levels.any(axis=(0, 1))).tolist()
    } | {index: points}
    kept = {
        place: ends
        for place, ends in marks.items()
        if place == index or math.dist(*ends[2:]) >= LEAST_PX
    }
    return kept, len(marks) - len(kept)


if __name__ == "__main__":
    main()
