"""Shrunken ellipses and perturbed marks, for comparisons."""

import logging
import math
import zlib
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd

from weaklesion.data.ellipse_table import read_ellipses
from weaklesion.data.samples import read_rows, read_samples
from weaklesion.ellipse import draw_ellipse
from weaklesion.support.files import read_array, write_array, written_whole

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


def noise_of(sample_id: str, seed: int = 0) -> list[float]:
    """Draw five standard normal numbers that depend on the sample's id and the seed only."""
    rng = np.random.default_rng([seed, zlib.crc32(sample_id.encode())])
    return [float(value) for value in rng.normal(size=5)]


def perturb_marks(
    *,
    images_npy: str | Path,
    ellipses_csv: str | Path,
    mark_noise: float,
    perturbed_csv: str | Path,
    target_npy: str | Path,
) -> None:
    """Perturb every ellipse, to simulate less exact marks.

    Args:
        images_npy: the patches, (N, H, W, 3); only their size is read.
        ellipses_csv: M ellipses, px of the patch.
        mark_noise: see `weaklesion.ellipse.Ellipse.perturbed`.
        perturbed_csv: written: `id, cx, cy, width, height, angle_deg` of the perturbed ellipses.
        target_npy: written: (M, H, W) uint8 of 0 and 1, the perturbed ellipses drawn.
    """
    ellipses = {
        name: ellipse.perturbed(noise_of(name), mark_noise)
        for name, ellipse in read_ellipses(ellipses_csv).items()
    }
    shape_hw = read_array(images_npy).shape[1:3]
    masks = [draw_ellipse(ellipse, shape_hw) for ellipse in ellipses.values()]
    write_array(target_npy, np.stack(masks).astype(np.uint8))
    rows = [{"id": name, **asdict(ellipse)} for name, ellipse in ellipses.items()]
    with written_whole(perturbed_csv) as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False)
    logger.info("perturbed %d ellipses by %g", len(rows), mark_noise)
