"""The table of marks in patch pixels, `ellipses.csv`: each mark's ellipse and its four ends."""

import logging
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from weaklesion.ellipse import Ellipse
from weaklesion.four_ends import FourEnds
from weaklesion.mark_shapes import MarkShape, ShapeKind
from weaklesion.recist import RECIST_COLUMNS, clicked_angle_deg, recist_from_ellipse
from weaklesion.support.files import written_whole

logger = logging.getLogger(__name__)

MAX_LISTED = 5  # marks without a shape, in the log


def read_ellipses(ellipses_csv: str | Path) -> dict[str, Ellipse]:
    """Read `ellipses.csv` as sample id to ellipse."""
    return _ellipses(_read(ellipses_csv))


def read_mark_shapes(
    ellipses_csv: str | Path, kind: ShapeKind, exponent: float = 2.0
) -> dict[str, MarkShape]:
    """Read `ellipses.csv` as sample id to the shape of the mark.

    Args:
        ellipses_csv: the table.
        kind: `ellipse`, or `ends` for the shape through the mark's four ends, see `read_ends`.
        exponent: of the shape through four ends.
    """
    if kind == "ellipse":
        return dict(read_ellipses(ellipses_csv))
    return dict(read_ends(ellipses_csv, exponent))


def read_ends(ellipses_csv: str | Path, exponent: float) -> dict[str, FourEnds]:
    """Read `ellipses.csv` as sample id to the shape through the four ends of the mark.

    Where the ends define no shape, because the diameters do not cross or are nearly parallel, it is
    that of the ellipse's axes; the log names such marks.

    Args:
        ellipses_csv: the table.
        exponent: see `weaklesion.quadrants.quadrant_shape`.
    """
    table = _read(ellipses_csv)
    ellipses = _ellipses(table)
    ends = table[RECIST_COLUMNS].to_numpy(dtype=float).reshape(-1, 4, 2)
    marks: dict[str, FourEnds] = {}
    without: dict[str, str] = {}
    for (name, ellipse), points in zip(ellipses.items(), ends, strict=True):
        try:
            marks[name] = FourEnds(points, exponent)
        except ValueError as error:
            without[name] = str(error).removeprefix("points: ")
            marks[name] = FourEnds(recist_from_ellipse(ellipse), exponent)
    for name, cause in list(without.items())[:MAX_LISTED]:
        logger.warning("%s: the axes of its ellipse are taken, because %s", name, cause)
    if len(without) > MAX_LISTED:
        logger.warning("and those of %d more marks", len(without) - MAX_LISTED)
    return marks


def write_marks(ellipses_csv: str | Path, marks: Iterable[tuple[str, Ellipse, np.ndarray]]) -> None:
    """Write `ellipses.csv`.

    Args:
        ellipses_csv: written: `id, cx, cy, width, height, angle_deg`, px of the patch, and of the
            mark `clicked_angle_deg` (`weaklesion.recist`) and its four ends, `RECIST_COLUMNS`.
        marks: id, ellipse and (4, 2) ends of each mark.
    """
    rows = [
        {
            "id": name,
            **asdict(ellipse),
            "clicked_angle_deg": clicked_angle_deg(points),
            **dict(zip(RECIST_COLUMNS, points.ravel().tolist(), strict=True)),
        }
        for name, ellipse, points in marks
    ]
    with written_whole(ellipses_csv) as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False)


def _read(ellipses_csv: str | Path) -> pd.DataFrame:
    return pd.read_csv(ellipses_csv, dtype={"id": str}).set_index("id")


def _ellipses(table: pd.DataFrame) -> dict[str, Ellipse]:
    axes: np.ndarray = table[["cx", "cy", "width", "height", "angle_deg"]].to_numpy(dtype=float)
    rows = zip(table.index, axes.tolist(), strict=True)
    return {str(sample_id): Ellipse(*row) for sample_id, row in rows}
