"""Draw the GrabCut masks of all samples."""

import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd

from weaklesion.data.samples import read_rows, read_samples
from weaklesion.grabcut import Init, grabcut_mask
from weaklesion.support.files import read_array, write_array
from weaklesion.support.limits import CheckedSettings, at_least
from weaklesion.support.parallel import in_parallel

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class GrabCutSettings(CheckedSettings):
    """How GrabCut is run."""

    init: Annotated[
        Init,
        "How GrabCut starts: from a trimap of the mark (the diameters are lesion, the ellipse is"
        " probably lesion, a ring around it probably background), or from the ellipse's bounding"
        " box (`rect`) as released.",
    ]
    iterations: Annotated[int, at_least(1), "Iterations of GrabCut."] = 5
    zero_outside: Annotated[
        bool, "Whether the image outside the ellipse is blackened first (G3)."
    ] = False
    shrink_px: Annotated[
        int,
        at_least(0),
        "Pixels by which the rectangle's left and upper sides move inwards; above 0, its right and"
        " lower sides move inwards by 1 (G4).",
    ] = 0
    cast_to_01: Annotated[bool, "Whether the image's levels are cut to 0 and 1 first (G2)."] = False
    min_px: Annotated[
        int, at_least(1), "Smallest number of pixels of a result; smaller ones become the ellipse."
    ] = 1


def draw_grabcut(
    *,
    samples_csv: str | Path,
    images_npy: str | Path,
    ellipses_csv: str | Path,
    ellipse_npy: str | Path,
    target_npy: str | Path,
    settings: GrabCutSettings,
    workers: int = 1,
) -> None:
    """Make the GrabCut mask of every sample, starting from its drawn ellipse.

    Args:
        samples_csv: table of the samples.
        images_npy: the patches, (N, H, W, 3) uint8.
        ellipses_csv: `id` of each of the M ellipses.
        ellipse_npy: (M, H, W) uint8 of 0 and 1: the drawn ellipses, with their outlines. An empty
            one, which lies outside its patch, stays empty.
        target_npy: written: (M, H, W) uint8 of 0 and 1, in the same order.
        settings: see `GrabCutSettings`.
        workers: number of processes; the result does not depend on it.
    """
    rows = read_samples(samples_csv)["row"]
    ids = list(pd.read_csv(ellipses_csv, usecols=["id"], dtype=str)["id"])
    ellipses = read_rows(ellipse_npy, ellipses_csv, ids)
    images = read_array(images_npy)
    items = [
        (np.asarray(images[rows[name]]), ellipse, settings)
        for name, ellipse in zip(ids, ellipses, strict=True)
    ]
    masks = np.empty(ellipses.shape, dtype=np.uint8)
    for row, mask in enumerate(in_parallel(_mask_of, items, workers, "GrabCut masks")):
        masks[row] = mask
    write_array(target_npy, masks)
    unchanged = int((masks == ellipses).all(axis=(1, 2)).sum())
    logger.info(
        "segmented %d samples by GrabCut (%s); %d are the ellipse itself",
        len(items),
        settings.init,
        unchanged,
    )


def _mask_of(item: tuple[np.ndarray, np.ndarray, GrabCutSettings]) -> np.ndarray:
    image, ellipse, settings = item
    if not ellipse.any():
        return ellipse
    return grabcut_mask(image, ellipse.astype(bool), **asdict(settings))
