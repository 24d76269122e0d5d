"""Targets made from the four ends of RECIST marks."""

import logging
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap

from weaklesion.data.ellipse_table import read_ellipses
from weaklesion.data.samples import read_samples
from weaklesion.ellipse import draw_ellipse
from weaklesion.quadrants import quadrant_shape
from weaklesion.recist import RECIST_COLUMNS
from weaklesion.support.files import read_array, written_whole
from weaklesion.support.progress import progress

logger = logging.getLogger(__name__)

MAX_LISTED = 5  # marks without a shape, in the log


def draw_ends(
    *,
    samples_csv: str | Path,
    images_npy: str | Path,
    ellipses_csv: str | Path,
    target_npy: str | Path,
    exponent: float,
) -> None:
    """Draw the shape through the four ends of every sample's RECIST mark.

    Where the ends define no shape, because the diameters do not cross or are nearly parallel, or
    where the shape contains no pixel centre, the mark's ellipse is drawn instead.

    Args:
        samples_csv: table of the samples, with the marks in patch pixels.
        images_npy: the patches, (N, H, W, 3); only their size is read.
        ellipses_csv: M ellipses, px of the patch.
        target_npy: written: (M, H, W) uint8 of 0 and 1, in the rows' order of `ellipses_csv`.
        exponent: see `weaklesion.quadrants.quadrant_shape`.
    """
    samples, ellipses = read_samples(samples_csv), read_ellipses(ellipses_csv)
    height, width = read_array(images_npy).shape[1:3]
    marks = samples.loc[list(ellipses), RECIST_COLUMNS].to_numpy(dtype=float).reshape(-1, 4, 2)
    without: dict[str, str] = {}
    with written_whole(target_npy) as temporary:
        shape = (len(ellipses), height, width)
        target = open_memmap(temporary, "w+", dtype=np.uint8, shape=shape)
        items = zip(ellipses.items(), marks, strict=True)
        for row, ((sample_id, ellipse), points) in enumerate(
            progress(items, total=len(ellipses), what="quadrant shapes")
        ):
            cause = "its shape contains no pixel centre"
            try:
                target[row] = quadrant_shape(points, (height, width), exponent=exponent)
            except ValueError as error:
                cause = str(error).removeprefix("points: ")
            if not target[row].any():
                target[row] = draw_ellipse(ellipse, (height, width))
                without[sample_id] = cause
        target.flush()
    for sample_id, cause in list(without.items())[:MAX_LISTED]:
        logger.warning("%s: the ellipse is drawn, because %s", sample_id, cause)
    logger.info(
        "drew %d quadrant shapes with exponent %g, and %d ellipses where the ends define none",
        len(ellipses) - len(without),
        exponent,
        len(without),
    )
