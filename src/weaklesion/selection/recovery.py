"""Recovery of a true mark from a perturbed mark: a criterion that needs no dense mask.

A training image's mark is perturbed. The method under test receives image and perturbed mark and
returns a mask, and that mask's own shape (`weaklesion.mark_shapes`) is compared with the true
mark's. A method that copies the perturbed mark recovers nothing; one that over-trusts the image
loses it. The constant with the highest recovery is chosen.
"""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from weaklesion.data.ellipse_table import read_mark_shapes
from weaklesion.data.samples import read_samples
from weaklesion.errors import DataError
from weaklesion.mark_shapes import MarkShape, ShapeKind
from weaklesion.pseudo_masks import ChannelOrder, RefinedSettings, main_part, refine_scores, to_rgb
from weaklesion.supervision.perturbed import noise_of
from weaklesion.support.files import read_array, write_json, written_whole
from weaklesion.support.limits import CheckedSettings, above, at_least
from weaklesion.support.parallel import in_parallel

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class RecoverySettings(CheckedSettings):
    """How recovery is measured."""

    mark_noise: Annotated[
        float,
        above(0),
        "Size of the perturbation of a mark: of its middle and diameters in parts of the diameters,"
        " and of its directions in radians (`weaklesion.ellipse.Ellipse.perturbed`,"
        " `weaklesion.four_ends.FourEnds.perturbed`).",
    ]
    images: Annotated[
        int, at_least(1), "Number of images, drawn at random; all if there are fewer."
    ]
    seed: Annotated[int, at_least(0), "Seed of the draws."]


def choose_prior_weight(
    *,
    images_npy: str | Path,
    samples_csv: str | Path,
    ellipses_csv: str | Path,
    recovery_csv: str | Path,
    choice_json: str | Path,
    prior_weights: Sequence[float],
    constants: dict[str, Any],
    recovery: RecoverySettings,
    channel_order: ChannelOrder,
    shape: ShapeKind = "ellipse",
    exponent: float = 2.0,
    workers: int = 1,
) -> None:
    """Choose the weight of the prior that recovers training marks best.

    Args:
        images_npy: patches, (N, H, W, 3) uint8.
        samples_csv: the N samples; training samples are used.
        ellipses_csv: table of their marks (`weaklesion.data.ellipse_table`).
        recovery_csv: written: `id, prior_weight, given_iou, recovered_iou`, the overlaps of the
            perturbed and of the recovered shape with the true one.
        choice_json: written: `prior_weight`, and the mean of `recovered_iou` per weight.
        prior_weights: candidates; the larger of two equally good ones is chosen.
        constants: the other fields of `weaklesion.pseudo_masks.RefinedSettings`.
        recovery: see `RecoverySettings`.
        channel_order: channel order of the patches; `center` for CT, whose channels are slices.
        shape: what a mark is, see `weaklesion.data.ellipse_table.read_mark_shapes`.
        exponent: see there.
        workers: number of processes.

    Raises:
        DataError: if no training sample has a mark.
    """
    samples, marks = read_samples(samples_csv), read_mark_shapes(ellipses_csv, shape, exponent)
    train = samples.index[(samples["split"] == "train") & samples.index.isin(list(marks))]
    if not len(train):
        raise DataError(
            f"{samples_csv}: no training sample has a mark in {ellipses_csv}. Draw the ellipses"
            " again."
        )
    order = np.random.default_rng(recovery.seed).permutation(sorted(train))
    drawn = [str(name) for name in order[: recovery.images]]
    work = partial(
        _recover,
        images_npy=str(images_npy),
        settings=[RefinedSettings(prior_weight=weight, **constants) for weight in prior_weights],
        recovery=recovery,
        channel_order=channel_order,
    )
    row_of = samples["row"].to_dict()
    items = [(name, row_of[name], marks[name]) for name in drawn]
    recovered = in_parallel(work, items, workers, "marks recovered")
    table = pd.DataFrame([row for rows in recovered for row in rows])
    with written_whole(recovery_csv) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")
    means = {
        weight: mean_recovery(table[table["prior_weight"] == weight]) for weight in prior_weights
    }
    chosen = max(means, key=lambda weight: (means[weight], weight))
    shown = {f"{weight:g}": round(mean, 6) for weight, mean in means.items()}
    write_json(choice_json, {"prior_weight": chosen, "recovered_iou": shown, "images": len(drawn)})
    logger.info("recovery of %d marks by prior weight: %s; %g chosen", len(drawn), shown, chosen)


def _recover(
    item: tuple[str, int, MarkShape],
    *,
    images_npy: str,
    settings: Sequence[RefinedSettings],
    recovery: RecoverySettings,
    channel_order: ChannelOrder,
) -> list[dict[str, Any]]:
    name, row, true = item
    image = to_rgb(np.asarray(read_array(images_npy)[row]), channel_order)
    perturbed = perturbed_mark(true, name, recovery)
    rows = []
    for candidate in settings:
        with threadpool_limits(1):
            scores = refine_scores(
                image, perturbed, candidate, ct=channel_order == "center", consistent=False
            )
        mask = None if scores is None else main_part(scores > 0, perturbed)
        rows.append(
            {
                "id": name,
                "prior_weight": candidate.prior_weight,
                "given_iou": perturbed.iou(true),
                "recovered_iou": shape_or(mask, perturbed).iou(true),
            }
        )
    return rows


def mean_recovery(rows: pd.DataFrame) -> float:
    """Return the mean of the column `recovered_iou`, exactly the same for any order of rows."""
    return math.fsum(rows["recovered_iou"]) / len(rows)


def perturbed_mark(true: MarkShape, name: str, recovery: RecoverySettings) -> MarkShape:
    """Return the perturbed mark of a sample, which depends on its id and the seed only."""
    draws = noise_of(name, true.NUM_DRAWS, recovery.seed)
    return true.perturbed(draws, recovery.mark_noise)


def shape_or(mask: np.ndarray | None, otherwise: MarkShape) -> MarkShape:
    """Return a mask's shape; `otherwise` if it has none, because a pseudo-mask is then that."""
    try:
        return otherwise if mask is None else otherwise.measured(mask)
    except ValueError:
        return otherwise
