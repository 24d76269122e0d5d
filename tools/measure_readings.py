r"""Measure how often `segment` notices that a table of marks is read in a wrong way.

    python tools/measure_readings.py marks.csv OUT.csv --window -160 240

`marks.csv` is a table of correct marks, as `weaklesion segment` takes it; their images need a
spacing, from the file or from the columns `spacing_x` and `spacing_y`. One mark per lesion is drawn
at random, because marks of one lesion count once, then 100 tables of 8, 12 and 24 of these marks,
and each is written with every usual mistake. OUT.csv has a row per mistake and number of marks: how
many of the tables stop the run, how many only get a warning, and for how many of both the named
reading is the true one. Of correct tables, and of px that were divided by the spacing, which no
reading explains, every stop is wrong.

A second table, which is printed only, has the marks that are not `visible`, in percent: random
halves of the correct marks stand for those that the network was trained on.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from weaklesion.marks.images import read_picture
from weaklesion.marks.table import BadMarkError, Mark, grouped_by_image, read_marks
from weaklesion.segment import readings as checks
from weaklesion.support.progress import progress

TABLES, SIZES, HALVES = 100, (8, 12, 24), 50
MISTAKES = {  # and the condition by which the true reading is named
    "none": None,
    "x and y exchanged": "x and y are exchanged",
    "mm for px": "coordinates are mm",
    "y from the bottom": "y counts from the bottom of the image",
    "x from the right, y from the bottom": (
        "x counts from the right and y from the bottom of the image"
    ),
    "slices from 1": "slices count from 1",
    "px divided by the spacing": None,
}


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("marks", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--window", type=float, nargs=2, default=(-160, 240))
    parser.add_argument("--count", type=int, default=400, help="largest number of lesions")
    options = parser.parse_args()
    marks, refused = read_marks(options.marks)
    random = np.random.default_rng(0)
    drawn = [marks[index] for index in random.permutation(len(marks))]
    _, first = np.unique(checks.lesions_of(drawn), return_index=True)
    used = grouped_by_image([drawn[index] for index in sorted(first)[: options.count]])
    if len(used) < SIZES[0]:
        parser.error(f"{options.marks}: has {len(used)} lesions; {SIZES[0]} are needed")
    rows = []
    contrasts = contrasts_of(used, tuple(options.window))
    if all(mark.slice is None for mark in used):
        del contrasts["slices from 1"]
    for size in (size for size in SIZES if size <= len(used)):
        tables = [random.permutation(len(used))[:size] for _ in range(TABLES)]
        for mistake, of_marks in contrasts.items():
            row = noticed(used, of_marks, tables, MISTAKES[mistake])
            rows.append({"mistake": mistake, "marks": size} | row)
    table = pd.DataFrame(rows)
    table.to_csv(options.out, index=False)
    print(table.to_string())
    print("\nMarks that are not visible, %:")
    print(not_visible(contrasts, random).round().astype(int).to_string())
    print(f"{len(used)} lesions; {len(refused)} rows of the table refused")


def contrasts_of(marks: Sequence[Mark], window_hu: tuple[float, float]) -> dict[str, np.ndarray]:
    """Return the contrasts that `best_guess` compares, by mistake, (marks, 1 + readings).

    A mark without a slice is left as it is by mistakes in slices.
    """
    usual = checks.usual_mix_ups("px", {}, 0)
    found: dict[str, list[list[float]]] = {mistake: [] for mistake in MISTAKES}
    for mark in progress(marks, total=len(marks), what="marks"):
        for mistake, wrong in mistaken(mark, window_hu).items():
            found[mistake].append(checks.contrasts_by_reading(wrong, usual, window_hu, "px"))
    return {mistake: np.array(rows) for mistake, rows in found.items()}


def mistaken(mark: Mark, window_hu: tuple[float, float]) -> dict[str, Mark]:
    """Return a correct mark as a table with each mistake gives it.

    Raises:
        SystemExit: if the mark's image cannot be read or has no spacing.
    """
    try:
        picture = read_picture(mark, window_hu)
    except BadMarkError as error:
        raise SystemExit(f"{mark.id}: {error}") from error
    if picture.spacing is None:
        raise SystemExit(f"{mark.id}: its image has no spacing. Add spacing_x and spacing_y.")
    height, width = picture.levels.shape[:2]
    x, y = mark.points.T
    upside_down = height - 1 - y
    points: Mapping[str, Any] = {
        "none": (x, y),
        "x and y exchanged": (y, x),
        "mm for px": (x * picture.spacing[0], y * picture.spacing[1]),
        "y from the bottom": (x, upside_down),
        "x from the right, y from the bottom": (width - 1 - x, upside_down),
        "px divided by the spacing": (x / picture.spacing[0], y / picture.spacing[1]),
    }
    marks = {name: replace(mark, points=np.stack(each, axis=1)) for name, each in points.items()}
    later = None if mark.slice is None else mark.slice + 1
    return marks | {"slices from 1": replace(mark, slice=later)}


def noticed(
    marks: Sequence[Mark], contrasts: np.ndarray, tables: Sequence[np.ndarray], true: str | None
) -> dict[str, int]:
    """Return how many tables stop, how many only get a warning, and how many get the true name.

    Args:
        marks: all marks.
        contrasts: (marks, 1 + readings), with the mistake.
        tables: the marks of each table, by their place.
        true: condition of the reading that explains the mistake; None without one.
    """
    usual = checks.usual_mix_ups("px", {}, 0)
    guesses = [
        checks.best_guess(usual, contrasts[rows], checks.lesions_of([marks[row] for row in rows]))
        for rows in tables
    ]
    named = [guess for guess in guesses if guess is not None]
    stopped = sum(guess.p <= checks.STOPS for guess in named)
    rightly = sum(guess.reading.condition == true for guess in named)
    return {"stopped": stopped, "warned": len(named) - stopped, "rightly_named": rightly}


def not_visible(
    contrasts: Mapping[str, np.ndarray], random: np.random.Generator
) -> "pd.Series[float]":
    """Return the marks below the contrast that 95 % of training marks have, %, by mistake."""
    correct = contrasts["none"][:, 0]
    shares: dict[str, list[float]] = {mistake: [] for mistake in contrasts}
    for _ in range(HALVES):
        trained, others = np.array_split(random.permutation(len(correct)), 2)
        least = np.nanpercentile(correct[trained], 5)
        for mistake, values in contrasts.items():
            shares[mistake].append(100 * float((values[others, 0] < least).mean()))
    return pd.Series({mistake: float(np.mean(each)) for mistake, each in shares.items()})


if __name__ == "__main__":
    main()
