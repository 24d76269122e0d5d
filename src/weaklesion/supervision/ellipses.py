"""Targets made from RECIST marks: drawn ellipses."""

import logging
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from weaklesion.data.ellipse_table import read_ellipses, write_marks
from weaklesion.data.samples import read_samples
from weaklesion.ellipse import Ellipse, draw_ellipse
from weaklesion.errors import DataError
from weaklesion.recist import RECIST_COLUMNS, Center, ellipse_from_recist
from weaklesion.support.files import array_written, read_array
from weaklesion.support.progress import progress

logger = logging.getLogger(__name__)

SUBPIXELS = 4  # in each direction, for soft edges


def draw_ellipses(
    *,
    samples_csv: str | Path,
    images_npy: str | Path,
    ellipses_csv: str | Path,
    target_npy: str | Path,
    center: Center,
    outline_px: float,
    measured_in_source: bool = False,
    outside: Literal["refuse", "empty"] = "refuse",
) -> None:
    """Draw the ellipse of every sample's RECIST mark, see `drawn_target`.

    Args:
        samples_csv: table of the samples, with the marks in patch pixels.
        images_npy: the patches, (N, H, W, 3); only their size is read.
        ellipses_csv: written: `id, cx, cy, width, height, angle_deg`, px of the patch, and of the
            mark `clicked_angle_deg` and its four ends (`weaklesion.recist.RECIST_COLUMNS`).
        target_npy: written: (N, H, W) uint8 of 0 and 1, in the rows' order of `ellipses_csv`.
        center: see `weaklesion.recist.ellipse_from_recist`.
        outline_px: see `weaklesion.ellipse.draw_ellipse`.
        measured_in_source: whether the diameters are perpendicular in the source of a patch. An
            ellipse is then made there and resized with the patch, which matters where a patch does
            not keep the aspect ratio.
        outside: what becomes of an ellipse outside its patch. `empty`, for protocols in which some
            lie there as in the released code (G6, G7), makes its target empty and logs its id.

    Raises:
        DataError: if a mark does not define an ellipse, or its ellipse lies outside its patch and
            `outside` is `refuse`.
    """
    samples = read_samples(samples_csv)
    shape_hw = read_array(images_npy).shape[1:3]
    drawn: list[tuple[str, Ellipse, np.ndarray]] = []
    missed: list[str] = []
    with array_written(target_npy, (len(samples), *shape_hw)) as target:
        marks = samples[RECIST_COLUMNS].to_numpy().reshape(-1, 4, 2)
        sources_hw = _source_shapes(samples) if measured_in_source else [shape_hw] * len(samples)
        items = zip(samples.index, marks, sources_hw, strict=True)
        for row, (sample_id, points, source_hw) in enumerate(
            progress(items, total=len(samples), what="ellipses")
        ):
            try:
                ellipse = _ellipse_of(points, center, source_hw, shape_hw)
            except ValueError as error:
                raise DataError(
                    f"{samples_csv}: sample {sample_id}: {error}. Correct the mark "
                    "or leave the sample out."
                ) from error
            target[row] = drawn_target(ellipse, shape_hw, outline_px=outline_px)
            if not target[row].any():
                if outside == "refuse":
                    raise DataError(
                        f"{samples_csv}: sample {sample_id}: its ellipse {ellipse} covers "
                        "no pixel of the patch. Correct the mark."
                    )
                missed.append(str(sample_id))
            drawn.append((str(sample_id), ellipse, points))
    write_marks(ellipses_csv, drawn)
    if missed:
        logger.warning(
            "%d ellipses lie outside their patches, as in the released code (G6, G7), so that their"
            " targets are empty: %s",
            len(missed),
            ", ".join(missed),
        )
    logger.info("drew %d ellipses, centre by %s", len(drawn), center)


def drawn_target(
    ellipse: Ellipse, shape_hw: tuple[int, int], *, outline_px: float = 0.0
) -> np.ndarray:
    """Draw an ellipse as a target, which has at least one pixel.

    An ellipse between pixel centres, of a mark shorter than a pixel, becomes the pixel nearest to
    its centre. The target is empty only if the ellipse lies outside the patch.

    Args:
        ellipse: in pixels of the patch.
        shape_hw: height and width of the patch, px.
        outline_px: see `weaklesion.ellipse.draw_ellipse`.

    Returns:
        (H, W) bool.

    >>> drawn_target(Ellipse(1.4, 0.5, 0.6, 0.5, 0.0), (2, 3)).astype(int).tolist()
    [[0, 1, 0], [0, 0, 0]]
    """
    mask = draw_ellipse(ellipse, shape_hw, outline_px=outline_px)
    x, y = round(ellipse.cx), round(ellipse.cy)
    if not mask.any() and 0 <= y < shape_hw[0] and 0 <= x < shape_hw[1]:
        mask[y, x] = True
    return mask


def _source_shapes(samples: pd.DataFrame) -> list[tuple[float, float]]:
    """Return height and width of each sample's patch in its source, px."""
    heights, widths = (samples[f"crop_{axis}1"] - samples[f"crop_{axis}0"] for axis in "yx")
    return list(zip(heights.tolist(), widths.tolist(), strict=True))


def _ellipse_of(
    points: np.ndarray,
    center: Center,
    source_hw: tuple[float, float],
    shape_hw: tuple[int, int],
) -> Ellipse:
    """Return the ellipse of a mark in patch pixels, made in the patch's source."""
    if source_hw == shape_hw:
        return ellipse_from_recist(points, center=center)
    scale_x, scale_y = source_hw[1] / shape_hw[1], source_hw[0] / shape_hw[0]
    # in pixels of the source whose first one has its corner, not its centre, at 0
    ellipse = ellipse_from_recist((points + 0.5) * (scale_x, scale_y), center=center)
    return ellipse.scaled(1 / scale_x, 1 / scale_y).moved(-0.5, -0.5)


def draw_fixed_ellipse(
    *,
    samples_csv: str | Path,
    images_npy: str | Path,
    ellipses_csv: str | Path,
    target_npy: str | Path,
) -> None:
    """Draw the same ellipse for all samples, as a baseline that reads neither image nor mark.

    It lies in the centre of the patch. Its (2, 2) shape matrix is the mean of those of the training
    marks.

    Args:
        samples_csv: table of the samples, for their splits.
        images_npy: patches, for their number and size.
        ellipses_csv: ellipses of the samples; only training ellipses are used.
        target_npy: written: (N, H, W) uint8 of 0 and 1, in the order of `ellipses_csv`.
    """
    samples, ellipses = read_samples(samples_csv), read_ellipses(ellipses_csv)
    train = samples.index[samples["split"] == "train"]
    matrix = np.mean([ellipses[name].shape_matrix() for name in train], axis=0)
    count, height, width = read_array(images_npy).shape[:3]
    mean = Ellipse.from_shape_matrix((width - 1) / 2, (height - 1) / 2, matrix)
    with array_written(target_npy, (count, height, width)) as target:
        target[:] = draw_ellipse(mean, (height, width))
    logger.info("the mean of %d training marks: %s", len(train), mean)


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
    with array_written(target_npy, (len(ellipses), height, width)) as target:
        drawn = progress(ellipses.values(), total=len(ellipses), what="soft ellipses")
        for row, ellipse in enumerate(drawn):
            target[row] = draw_soft_ellipse(ellipse, (height, width))
    logger.info("drew %d ellipses with soft edges", len(ellipses))


def draw_soft_ellipse(ellipse: Ellipse, shape_hw: tuple[int, int]) -> np.ndarray:
    """Draw a filled ellipse with the grey edge of anti-aliasing.

    The released code keeps such edges in the targets of LiTS (discrepancy G14).

    Returns:
        (H, W) uint8: 255 times the covered fraction of each pixel, in steps of 1/16.
    """
    height, width = shape_hw
    fine_hw = height * SUBPIXELS, width * SUBPIXELS
    fine = draw_ellipse(ellipse.resized(shape_hw, fine_hw), fine_hw)
    covered = fine.reshape(height, SUBPIXELS, width, SUBPIXELS).mean(axis=(1, 3))
    return (covered * 255).round().astype(np.uint8)
