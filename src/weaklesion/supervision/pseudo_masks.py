"""Draw the pseudo-masks of all samples, see `weaklesion.pseudo_masks`."""

import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from weaklesion.data.ellipse_table import read_ellipses, read_mark_shapes
from weaklesion.errors import DataError
from weaklesion.mark_shapes import MarkShape, ShapeKind
from weaklesion.pseudo_masks import ChannelOrder, RefinedSettings, refine_scores, to_rgb
from weaklesion.supervision.ellipses import drawn_target
from weaklesion.support.files import read_array, read_json, write_array
from weaklesion.support.parallel import in_parallel

logger = logging.getLogger(__name__)


def draw_refined(
    *,
    images_npy: str | Path,
    samples_csv: str | Path,
    ellipses_csv: str | Path,
    target_npy: str | Path,
    choice_json: str | Path,
    constants: Mapping[str, Any],
    channel_order: ChannelOrder,
    shape: ShapeKind = "ellipse",
    exponent: float = 2.0,
    workers: int = 1,
) -> None:
    """Write the pseudo-mask of every sample.

    Where levels cannot decide, it is the mark's shape, and where that contains no pixel centre, the
    mark's ellipse (`weaklesion.supervision.ellipses.drawn_target`).

    Args:
        images_npy: patches, (N, H, W, 3) uint8.
        samples_csv: the N samples.
        ellipses_csv: marks of M samples (`weaklesion.data.ellipse_table`).
        target_npy: written: (M, H, W) uint8 of 0 and 1, in the rows' order of `ellipses_csv`.
        choice_json: `prior_weight`, as `choose_prior_weight` chose it.
        constants: the other fields of `RefinedSettings`.
        channel_order: channel order of the patches; `center` for CT, whose channels are slices.
        shape: what a mark is, see `weaklesion.data.ellipse_table.read_mark_shapes`.
        exponent: see there.
        workers: number of processes.
    """
    choice = read_json(choice_json)
    settings = RefinedSettings(prior_weight=choice["prior_weight"], **constants)
    rows = pd.Index(pd.read_csv(samples_csv, usecols=["id"], dtype=str)["id"])
    marks = read_mark_shapes(ellipses_csv, shape, exponent)
    images = read_array(images_npy)
    array_rows = rows.get_indexer(pd.Index(list(marks)))
    if (array_rows < 0).any():
        missing = list(marks)[int(np.flatnonzero(array_rows < 0)[0])]
        raise DataError(
            f"{ellipses_csv}: sample {missing} is not in {samples_csv}. Draw the ellipses again."
        )
    work = partial(
        _refine_row, images_npy=str(images_npy), settings=settings, channel_order=channel_order
    )
    items = list(zip(array_rows.tolist(), marks.values(), strict=True))
    drawn = list(in_parallel(work, items, workers, "pseudo-masks"))
    masks = np.stack([mask for mask, _ in drawn]).astype(np.uint8)
    ellipses = read_ellipses(ellipses_csv)
    for row, name in enumerate(marks):
        if not masks[row].any():
            masks[row] = drawn_target(ellipses[name], images.shape[1:3])
    write_array(target_npy, masks)
    kept = sum(is_mark for _, is_mark in drawn)
    logger.info(
        "%d pseudo-masks of %s patches; %d of them are the mark's shape itself",
        len(masks), images.shape[1:3], kept,
    )  # fmt: skip


def _refine_row(
    item: tuple[int, MarkShape],
    *,
    images_npy: str,
    settings: RefinedSettings,
    channel_order: ChannelOrder,
) -> tuple[np.ndarray, bool]:
    row, mark = item
    image = to_rgb(np.asarray(read_array(images_npy)[row]), channel_order)
    with threadpool_limits(1):  # faster for mixtures of so few pixels
        scores = refine_scores(image, mark, settings, ct=channel_order == "center")
    if scores is None:
        return mark.drawn(image.shape[:2]), True
    return scores > 0, False
