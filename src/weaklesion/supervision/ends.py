"""Targets made from the four ends of RECIST marks."""

import logging
from pathlib import Path

from weaklesion.data.ellipse_table import read_ellipses, read_ends
from weaklesion.supervision.ellipses import drawn_target
from weaklesion.support.files import array_written, read_array
from weaklesion.support.progress import progress

logger = logging.getLogger(__name__)


def draw_ends(
    *,
    images_npy: str | Path,
    ellipses_csv: str | Path,
    target_npy: str | Path,
    exponent: float,
) -> None:
    """Draw the shape through the four ends of every sample's RECIST mark.

    What becomes of ends that define no shape, `weaklesion.data.ellipse_table.read_ends` says. Where
    a shape contains no pixel centre, the mark's ellipse is drawn instead
    (`weaklesion.supervision.ellipses.drawn_target`).

    Args:
        images_npy: the patches, (N, H, W, 3); only their size is read.
        ellipses_csv: M marks, px of the patch (`weaklesion.data.ellipse_table`).
        target_npy: written: (M, H, W) uint8 of 0 and 1, in the rows' order of `ellipses_csv`.
        exponent: see `weaklesion.quadrants.quadrant_shape`.
    """
    marks, ellipses = read_ends(ellipses_csv, exponent), read_ellipses(ellipses_csv)
    shape_hw = read_array(images_npy).shape[1:3]
    empty = 0
    with array_written(target_npy, (len(marks), *shape_hw)) as target:
        for row, (name, mark) in enumerate(
            progress(marks.items(), total=len(marks), what="quadrant shapes")
        ):
            target[row] = mark.drawn(shape_hw)
            if not target[row].any():
                target[row] = drawn_target(ellipses[name], shape_hw)
                empty += 1
    logger.info(
        "drew %d quadrant shapes with exponent %g, and %d ellipses where the shape contains no"
        " pixel centre",
        len(marks) - empty,
        exponent,
        empty,
    )
