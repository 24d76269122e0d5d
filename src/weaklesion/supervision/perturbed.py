"""Shrunken ellipses and perturbed marks, for comparisons."""

import logging
import math
import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from weaklesion.data.ellipse_table import read_ellipses, read_ends, write_marks
from weaklesion.data.samples import read_rows, read_samples
from weaklesion.ellipse import draw_ellipse
from weaklesion.four_ends import FourEnds
from weaklesion.recist import Center, ellipse_from_recist
from weaklesion.support.files import read_array, write_array

logger = logging.getLogger(__name__)


def draw_shrunken(
    *,
    samples_csv: str | Path,
    ellipses_csv: str | Path,
    refined_npy: str | Path,
    target_npy: str | Path,
) -> None:
    """Draw every ellipse shrunken to the area of pseudo-masks.

    A lesion is smaller than the ellipse of its hull. The shrink factor is the median area
    ratio of the training pseudo-masks, because dense masks are off limits here.

    Args:
        samples_csv: table of the samples, for their splits.
        ellipses_csv: M ellipses, px of the patch.
        refined_npy: pseudo-masks, (M, H, W), in the order of `ellipses_csv`.
        target_npy: written: (M, H, W) uint8 of 0 and 1, in the same order.
    """
    samples, ellipses = read_samples(samples_csv), read_ellipses(ellipses_csv)
    train = [str(name) for name in samples.index[samples["split"] == "train"]]
    areas = read_rows(refined_npy, ellipses_csv, train).sum(axis=(1, 2))
    full = [math.pi / 4 * ellipses[name].width * ellipses[name].height for name in train]
    area_ratio = float(np.median(areas / np.array(full)))
    scale = math.sqrt(area_ratio)
    shape_hw = read_array(refined_npy).shape[1:3]
    masks = [
        draw_ellipse(replace(e, width=scale * e.width, height=scale * e.height), shape_hw)
        for e in ellipses.values()
    ]
    write_array(target_npy, np.stack(masks).astype(np.uint8))
    logger.info("drew %d ellipses with %.4f of their area", len(masks), area_ratio)


def noise_of(sample_id: str, count: int, seed: int = 0) -> list[float]:
    """Draw standard normal numbers that depend on the sample's id and the seed only."""
    rng = np.random.default_rng([seed, zlib.crc32(sample_id.encode())])
    return [float(value) for value in rng.normal(size=count)]


def perturb_marks(
    *,
    images_npy: str | Path,
    ellipses_csv: str | Path,
    mark_noise: float,
    center: Center,
    ends_exponent: float,
    perturbed_csv: str | Path,
    ellipse_npy: str | Path,
    ends_npy: str | Path,
) -> None:
    """Perturb the four ends of every mark, to simulate less exact readers.

    The ellipse of a perturbed mark is made of its ends, as that of a drawn mark.

    Args:
        images_npy: the patches, (N, H, W, 3); only their size is read.
        ellipses_csv: M marks, px of the patch (`weaklesion.data.ellipse_table`).
        mark_noise: see `weaklesion.four_ends.FourEnds.perturbed`.
        center: of the ellipses, see `weaklesion.recist.ellipse_from_recist`.
        ends_exponent: of the shapes through the four ends that are drawn.
        perturbed_csv: written: the perturbed marks, with the columns of `ellipses_csv`.
        ellipse_npy: written: (M, H, W) uint8 of 0 and 1, the ellipses drawn.
        ends_npy: written: the same of the shapes through the four ends.
    """
    marks = read_ends(ellipses_csv, ends_exponent)
    perturbed = [
        mark.perturbed(noise_of(name, mark.NUM_DRAWS), mark_noise) for name, mark in marks.items()
    ]
    shape_hw = read_array(images_npy).shape[1:3]
    write_shapes(
        dict(zip(marks, perturbed, strict=True)),
        shape_hw,
        center,
        perturbed_csv,
        ellipse_npy,
        ends_npy,
    )
    logger.info("perturbed %d marks by %g", len(perturbed), mark_noise)


def write_shapes(
    marks: Mapping[str, FourEnds],
    shape_hw: tuple[int, int],
    center: Center,
    marks_csv: str | Path,
    ellipse_npy: str | Path,
    ends_npy: str | Path,
) -> None:
    """Write marks, and draw their ellipses and the shapes through their ends.

    Args:
        marks: M marks by sample id, px of the patch.
        shape_hw: height and width of the patches, px.
        center: of the ellipses, see `weaklesion.recist.ellipse_from_recist`.
        marks_csv: written, see `weaklesion.data.ellipse_table.write_marks`.
        ellipse_npy: written: (M, H, W) uint8 of 0 and 1, the ellipses drawn.
        ends_npy: written: the same of the shapes through the four ends.
    """
    ellipses = [ellipse_from_recist(mark.points, center=center) for mark in marks.values()]
    for path, shapes in ((ellipse_npy, ellipses), (ends_npy, marks.values())):
        write_array(path, np.stack([shape.drawn(shape_hw) for shape in shapes]).astype(np.uint8))
    points = [mark.points for mark in marks.values()]
    write_marks(marks_csv, zip(marks, ellipses, points, strict=True))
