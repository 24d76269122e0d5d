"""Supervision: the targets that a network is trained on, made from RECIST marks."""

import logging
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.lib.format import open_memmap

from weaklesion.ellipse import Ellipse, draw_ellipse, draw_soft_ellipse
from weaklesion.errors import DataError
from weaklesion.files import read_array, written_whole
from weaklesion.progress import progress
from weaklesion.recist import Center, clicked_angle_deg, ellipse_from_recist
from weaklesion.samples import RECIST_COLUMNS, read_samples

logger = logging.getLogger(__name__)


def draw_ellipses(
    *,
    samples_csv: str | Path,
    images_npy: str | Path,
    ellipses_csv: str | Path,
    target_npy: str | Path,
    center: Center,
    outline_px: float,
) -> None:
    """Draw the ellipse of every sample's RECIST mark.

    Args:
        samples_csv: table of the samples, with the marks in patch pixels.
        images_npy: the patches, (N, H, W, 3); only their size is read.
        ellipses_csv: written: `id, cx, cy, width, height, angle_deg`, px of the patch, and
            `clicked_angle_deg` of the mark.
        target_npy: written: (N, H, W) uint8 of 0 and 1, in the rows' order of `ellipses_csv`.
        center: see `weaklesion.recist.ellipse_from_recist`.
        outline_px: see `weaklesion.ellipse.draw_ellipse`.

    Raises:
        DataError: if a mark is no ellipse, or its ellipse covers no pixel of the patch.
    """
    samples = read_samples(samples_csv)
    shape_hw = read_array(images_npy).shape[1:3]
    ellipses = []
    with written_whole(target_npy) as beside:
        target = open_memmap(beside, "w+", dtype=np.uint8, shape=(len(samples), *shape_hw))
        marks = samples[RECIST_COLUMNS].to_numpy().reshape(-1, 4, 2)
        for row, (sample_id, points) in enumerate(
            progress(zip(samples.index, marks, strict=True), total=len(samples), what="ellipses")
        ):
            try:
                ellipse = ellipse_from_recist(points, center=center)
            except ValueError as error:
                raise DataError(
                    f"{samples_csv}: sample {sample_id}: {error}. Correct the mark "
                    "or leave the sample out."
                ) from error
            target[row] = draw_ellipse(ellipse, shape_hw, outline_px=outline_px)
            if not target[row].any():
                raise DataError(
                    f"{samples_csv}: sample {sample_id}: its ellipse {ellipse} covers "
                    "no pixel of the patch. Correct the mark."
                )
            clicked = clicked_angle_deg(points)
            ellipses.append({"id": sample_id, **asdict(ellipse), "clicked_angle_deg": clicked})
        target.flush()
    with written_whole(ellipses_csv) as beside:
        pd.DataFrame(ellipses).to_csv(beside, index=False)
    logger.info("drew %d ellipses, centre by %s", len(ellipses), center)


def draw_soft_ellipses(
    *, images_npy: str | Path, ellipses_csv: str | Path, target_npy: str | Path
) -> None:
    """Draw every ellipse with soft edges (discrepancy G14).

    Args:
        images_npy: the patches, (N, H, W, 3); only their size is read.
        ellipses_csv: M ellipses, px of the patch.
        target_npy: written: (M, H, W) uint8 of 0 to 255, in the rows' order of `ellipses_csv`.
    """
    ellipses = read_ellipses(ellipses_csv)
    height, width = read_array(images_npy).shape[1:3]
    with written_whole(target_npy) as beside:
        shape = (len(ellipses), height, width)
        target = open_memmap(beside, "w+", dtype=np.uint8, shape=shape)
        drawn = progress(ellipses.values(), total=len(ellipses), what="soft ellipses")
        for row, ellipse in enumerate(drawn):
            target[row] = draw_soft_ellipse(ellipse, (height, width))
        target.flush()
    logger.info("drew %d ellipses with soft edges", len(ellipses))


def read_ellipses(ellipses_csv: str | Path) -> dict[str, Ellipse]:
    """Read `ellipses.csv` as sample id to ellipse."""
    table = pd.read_csv(ellipses_csv, dtype={"id": str}).set_index("id")
    axes = table[["cx", "cy", "width", "height", "angle_deg"]].to_numpy(dtype=float).tolist()
    return {sample_id: Ellipse(*row) for sample_id, row in zip(table.index, axes, strict=True)}
