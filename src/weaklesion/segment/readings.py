"""Other readings of a table of marks: the usual mix-ups, and whether one explains the marks better.

Coordinates may be mm instead of px, x and y may be exchanged, slices may count from 1, and y may
count from the bottom. Each reading is judged by the contrast of the marks (`weaklesion.contrast`):
a right mark has something of its shape under it. Marks of one lesion, as of several readers, count
once, because they are right or wrong together. Nothing is changed; a reading that is clearly better
stops the run with the option that applies it.
"""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations

import numpy as np

from weaklesion.contrast import mark_contrast
from weaklesion.errors import DataError
from weaklesion.marks.columns import columns_option
from weaklesion.marks.images import Picture, read_picture
from weaklesion.marks.table import BadMarkError, Mark, grouped_by_image, mark_ellipse
from weaklesion.marks.volumes import SAME_SPACING
from weaklesion.recist import RECIST_COLUMNS
from weaklesion.segment.crops import mark_in_px

logger = logging.getLogger(__name__)

MOST_READ = 24  # marks of a table
LEAST_COMPARED = 5
MAJORITY = 2 / 3  # of the lesions, for which another reading is better
WARNS, STOPS = 0.05, 0.004  # largest p-values; eight lesions that all agree give 1 in 256
OUTSIDE, MOST = -2.0, 4.0  # contrast of a mark that cannot be used; contrast above which all fit


@dataclass(frozen=True)
class Reading:
    """Another way in which a table may be meant.

    Attributes:
        condition: what is then true of the table, in words that follow "if".
        cure: what then has to be done, in words.
        points: from the marked points and their image to the points in px; None where this reading
            is the same as that of the table.
        slices_back: by how many slices the marks are then further up.
    """

    condition: str
    cure: str
    points: Callable[[np.ndarray, Picture], np.ndarray | None]
    slices_back: int = 0


@dataclass(frozen=True)
class Guess:
    """How another reading compares with that of the table.

    Attributes:
        reading: the other reading.
        better: number of lesions with more contrast by it.
        compared: number of lesions that were compared.
        p: one-sided p-value of Wilcoxon's signed-rank test.
    """

    reading: Reading
    better: int
    compared: int
    p: float


def check_readings(
    marks: Sequence[Mark],
    window_hu: tuple[float, float],
    *,
    units: str = "px",
    columns: Mapping[str, str] | None = None,
    first_slice: int | None = 0,
    as_given: bool = False,
) -> None:
    """Compare the table's reading with others, on up to 24 marks spread over the table.

    Args:
        marks: the marks.
        window_hu: Hounsfield units that become 0 and 255, for NIfTI and 16-bit PNG.
        units: of the table's coordinates, px or mm.
        columns: the table's own names of columns, for the option that a message names.
        first_slice: number that the table gives to the first slice, for the same; None where no
            person counted slices.
        as_given: whether the table is used as it is, whatever fits better.

    Raises:
        DataError: if another reading is clearly better, unless the table is used as it is. If it is
            probably better, a warning is logged.
    """
    step = max(1, math.ceil(len(marks) / MOST_READ))
    readings = usual_mix_ups(units, columns or {}, first_slice)
    compared = grouped_by_image(marks[::step])
    contrasts = [contrasts_by_reading(mark, readings, window_hu, units) for mark in compared]
    guess = best_guess(
        readings, np.array(contrasts).reshape(-1, 1 + len(readings)), lesions_of(compared)
    )
    if guess is None:
        return
    text = (
        f"The marks of {guess.better} of {guess.compared} lesions fit their images better if"
        f" {guess.reading.condition} (p {guess.p:.2g})"
    )
    if guess.p <= STOPS and not as_given:
        raise DataError(
            f"{text}. Nothing was written. To read them so, {guess.reading.cure}. To use the table"
            " as it is, give --as-given."
        )
    logger.warning("%s. To read them so, %s", text, guess.reading.cure)


def lesions_of(marks: Sequence[Mark]) -> np.ndarray:
    """Return a number for the lesion of each mark, (N,).

    Marks of one image are one lesion if their boxes overlap, directly or through other marks. In a
    volume, readers may choose different slices of a lesion: these are then no farther apart than
    half its long diameter, in px, if slices are not thinner than px.
    """
    lesions = np.arange(len(marks))
    reach = [float(np.hypot(*(mark.points[1] - mark.points[0]))) / 2 for mark in marks]
    first = [mark.points.min(axis=0) for mark in marks]
    last = [mark.points.max(axis=0) for mark in marks]
    for one, other in combinations(range(len(marks)), 2):
        apart = (first[one] > last[other]) | (first[other] > last[one])
        slices = abs((marks[one].slice or 0) - (marks[other].slice or 0))
        near = slices <= max(reach[one], reach[other])
        if marks[one].image == marks[other].image and near and not apart.any():
            lesions[lesions == lesions[other]] = lesions[one]
    return lesions


def best_guess(
    readings: Sequence[Reading], contrasts: np.ndarray, lesions: np.ndarray
) -> Guess | None:
    """Return the reading that explains marks better than the table's, if there is one.

    Args:
        readings: the other readings.
        contrasts: (marks, 1 + readings) contrast by the table's reading, then by the others; nan
            where it is unknown or a reading does not apply, `OUTSIDE` where a mark cannot be used.
        lesions: (marks,) the lesion of each, whose gain is the median over its marks.

    Returns:
        The most significant guess with p of at most `WARNS` and a majority of the lesions; None
        without one, or with fewer than five lesions to compare.
    """
    guesses = []
    for reading, column in zip(readings, contrasts[:, 1:].T, strict=True):
        each = np.clip(column, OUTSIDE, MOST) - np.clip(contrasts[:, 0], OUTSIDE, MOST)
        known = np.isfinite(each)
        gain = np.array(
            [np.median(each[known & (lesions == one)]) for one in np.unique(lesions[known])]
        )
        gain = gain[gain != 0]
        if len(gain) < LEAST_COMPARED:
            continue
        p = signed_rank_p(gain)
        better = int((gain > 0).sum())
        if p <= WARNS and better >= MAJORITY * len(gain):
            guesses.append(Guess(reading, better, len(gain), p))
    return min(guesses, key=lambda guess: (guess.p, -guess.better), default=None)


def signed_rank_p(gains: np.ndarray) -> float:
    """Return the exact one-sided p-value of Wilcoxon's signed-rank test that gains are above 0.

    Equal to SciPy's `wilcoxon(gains, alternative="greater", method="exact")`. This is all that
    `weaklesion segment` would always need of SciPy's 145 MB. With ties, p is too large.

    Args:
        gains: (N,), none of them 0.

    >>> signed_rank_p(np.arange(1.0, 9.0)) == 1 / 256
    True
    """
    _, which, counts = np.unique(np.abs(gains), return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[which]  # of equal gains the mean
    ways = [1]  # in which ranks of gains above 0 have each sum
    for rank in range(1, len(gains) + 1):
        with_it, without = [0] * rank + ways, ways + [0] * rank
        ways = [first + second for first, second in zip(with_it, without, strict=True)]
    return sum(ways[math.floor(ranks[gains > 0].sum()) :]) / 2 ** len(gains)


def usual_mix_ups(units: str, columns: Mapping[str, str], first_slice: int | None) -> list[Reading]:
    """Return the readings that a table is compared with.

    Args:
        units: of the table's coordinates, px or mm.
        columns: the table's own names of columns.
        first_slice: number that the table gives to the first slice; None where no person counted
            slices.
    """
    exchanged = {
        name: columns.get(other, other)
        for name in RECIST_COLUMNS
        for other in (name[:-1] + ("y" if name.endswith("x") else "x"),)
    }
    readings = [
        Reading(
            "x and y are exchanged",
            f"give {columns_option({**columns, **exchanged})}",
            lambda points, picture: points[:, ::-1],
        ),
        Reading(
            "y counts from the bottom of the image",
            "replace each y in the table by the image's height - 1 - y",
            lambda points, picture: _from_far_edge(points, picture, np.array([False, True])),
        ),
        Reading(
            "x counts from the right and y from the bottom of the image",
            "replace each x by the image's width - 1 - x, and each y by its height - 1 - y",
            lambda points, picture: _from_far_edge(points, picture, np.array([True, True])),
        ),
    ]
    in_px = units == "px"
    other, cure = ("mm", "give --units mm") if in_px else ("px", "leave --units mm out")
    read = partial(_in_other_unit, from_mm=in_px)
    readings.append(Reading(f"coordinates are {other}", cure, read))
    if first_slice == 0:
        readings.append(
            Reading(
                "slices count from 1",
                "give --first-slice 1",
                lambda points, picture: None if picture.volume is None else points,
                slices_back=1,
            )
        )
    return readings


def _from_far_edge(points: np.ndarray, picture: Picture, far: np.ndarray) -> np.ndarray:
    height, width = picture.levels.shape[:2]
    return np.where(far, np.array([width - 1, height - 1]) - points, points)


def _in_other_unit(points: np.ndarray, picture: Picture, *, from_mm: bool) -> np.ndarray | None:
    spacing = picture.spacing
    if spacing is None or np.allclose(spacing, 1, rtol=SAME_SPACING):
        return None
    return points / np.array(spacing) if from_mm else points * np.array(spacing)


def contrasts_by_reading(
    mark: Mark, readings: Sequence[Reading], window_hu: tuple[float, float], units: str
) -> list[float]:
    """Return a mark's contrast by the table's reading and by others; see `best_guess`.

    Args:
        mark: the mark.
        readings: the other readings.
        window_hu: Hounsfield units that become 0 and 255, for NIfTI and 16-bit PNG.
        units: of the mark's coordinates, px or mm.
    """
    unknown = [math.nan] * (1 + len(readings))
    try:
        picture: Picture | None = read_picture(mark, window_hu)
    except BadMarkError:  # such as a slice beyond the last one, which may count from 1
        picture = None
    try:
        back = mark.slice is not None and mark.slice > 0
        above = (
            read_picture(replace(mark, slice=(mark.slice or 0) - 1), window_hu)
            if back and any(reading.slices_back for reading in readings)
            else None
        )
        any_picture = picture or above
        if any_picture is None:
            return unknown
        points = mark_in_px(mark, any_picture, units).points
    except BadMarkError:
        return unknown
    contrasts = [OUTSIDE if picture is None else _contrast(points, picture)]
    for reading in readings:
        shown = above if reading.slices_back else picture
        other = None if shown is None else reading.points(points, shown)
        contrasts.append(math.nan if shown is None or other is None else _contrast(other, shown))
    return contrasts


def _contrast(points: np.ndarray, picture: Picture) -> float:
    shape_hw = picture.levels.shape[0], picture.levels.shape[1]
    try:
        ellipse = mark_ellipse(points, shape_hw, picture.spacing)
    except BadMarkError:
        return OUTSIDE
    return mark_contrast(picture.levels, ellipse)
