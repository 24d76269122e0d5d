"""How well masks agree with their marks, for images without dense masks.

Masks are compared with marks as radiologists measure them: the four ends of a mask's own RECIST
mark with those of the given one. Agreement is not accuracy, because the shape through the mark's
own ends agrees by construction. The tables therefore do not rank arms by it, and compare nothing
with a mask that was made from the mark.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from weaklesion.data.ellipse_table import read_ends
from weaklesion.data.samples import read_rows, read_samples
from weaklesion.prediction.gate import mask_agreement
from weaklesion.recist import RECIST_COLUMNS, compare_diameters
from weaklesion.report.pages import write_table
from weaklesion.scoring.score import spacings_mm
from weaklesion.scoring.statistics import limits_of_agreement
from weaklesion.selection.recovery import mean_recovery
from weaklesion.support.files import read_json

logger = logging.getLogger(__name__)

ARM = ["dataset", "protocol", "arm", "network", "mark_noise"]
EXPONENT = 2.0  # of the shapes that are compared, whatever an arm is shown
MEASURES = {
    "agreement": "%",
    "long_difference_px": "px",
    "short_difference_px": "px",
    "long_difference_mm": "mm",
    "short_difference_mm": "mm",
}


def tabulate_mark_agreement(
    *,
    runs: Sequence[Mapping[str, Any]],
    blocks: Sequence[Mapping[str, str]],
    table_csv: str | Path,
    masks_csv: str | Path,
) -> None:
    """Compare the masks of test images with the marks of their lesions.

    Args:
        runs: dataset, protocol, arm, seed, network; `mark_noise`, the perturbation of the marks
            that the arm receives, 0 for exact marks; and the paths `predictions` and `ids`.
        blocks: dataset, protocol, and the paths `samples` and `ellipses` of their true marks.
        table_csv: written: one row per arm and measure, see `summarize`.
        masks_csv: written: one row per mask: `dataset, protocol, arm, network, mark_noise, seed,
            id, group, empty, agreement` (`weaklesion.prediction.gate.mask_agreement`) and the
            diameters, see `weaklesion.recist.compare_diameters`; px of the patch.
    """
    block_by_key = {(block["dataset"], block["protocol"]): block for block in blocks}
    rows = []
    for run in runs:
        block = block_by_key[(run["dataset"], run["protocol"])]
        run_cells = {key: run[key] for key in [*ARM, "seed"]}
        rows += [run_cells | row for row in _measure_masks(run, block)]
        logger.info("%s: masks of seed %d measured", run["arm"], run["seed"])
    masks = pd.DataFrame(rows)
    write_table(masks_csv, masks)
    write_table(table_csv, summarize(masks))


def _measure_masks(run: Mapping[str, Any], block: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Yield one row per test image of a run."""
    samples = read_samples(block["samples"])
    samples = samples[samples["split"] == "test"]
    shapes = read_ends(block["ellipses"], EXPONENT)
    masks = read_rows(run["predictions"], run["ids"], list(samples.index)) > 0
    points = samples[RECIST_COLUMNS].to_numpy(float).reshape(-1, 4, 2)
    for name, group, mark, mask, spacing in zip(
        samples.index, samples["group"], points, masks, spacings_mm(samples), strict=True
    ):
        yield {
            "id": name,
            "group": group,
            "empty": not mask.any(),
            "agreement": mask_agreement(mask, shapes[name]),
            **compare_diameters(mark, mask, spacing),
        }


def summarize(masks: pd.DataFrame) -> pd.DataFrame:
    """Return one row per arm and measure, every group counting once.

    Args:
        masks: one row per mask, see `tabulate_mark_agreement`.

    Returns:
        `dataset, protocol, arm, network, mark_noise, n_seeds, n_marks, n_empty, measure, unit, n,
        n_groups, mean, low, high`. `n_empty` counts masks of all seeds, `n` and `n_groups` the
        masks that have the measure and their groups: an empty mask has an agreement of 0 and no
        diameters. A measure that fewer than two groups have is left out. For the agreement, `low`
        and `high` are the 2.5 and 97.5 percentiles over masks; for differences (the mask's diameter
        minus the marked one) they are the 95 % limits of agreement, see
        `weaklesion.scoring.statistics.limits_of_agreement`.
    """
    rows = []
    for arm, of_arm in masks.groupby(ARM, sort=False):
        arm_cells = dict(zip(ARM, arm, strict=True)) | {
            "n_seeds": of_arm["seed"].nunique(),
            "n_marks": of_arm["id"].nunique(),
            "n_empty": int(of_arm["empty"].sum()),
        }
        for measure, unit in MEASURES.items():
            scale = 100.0 if unit == "%" else 1.0
            values = of_arm.reindex(columns=["group", measure]).dropna()
            values = values.assign(value=scale * values[measure].astype(float))
            means = values.groupby("group")["value"].mean()
            if len(means) < 2:
                continue
            if measure == "agreement":
                low, high = values["value"].quantile([0.025, 0.975])
            else:
                low, high = limits_of_agreement(values)
            counts = {"n": len(values), "n_groups": len(means)}
            numbers = {"mean": means.mean(), "low": low, "high": high}
            rows.append(arm_cells | {"measure": measure, "unit": unit} | counts | numbers)
    return pd.DataFrame(rows)


def tabulate_recovery(
    recoveries: Sequence[Mapping[str, Any]], table_csv: str | Path
) -> pd.DataFrame:
    """Tabulate how well true marks were recovered from perturbed ones when constants were chosen.

    Args:
        recoveries: dataset, protocol, `of` (the method that recovers: an arm, or pseudo-masks),
            `used_by` (arms that use the chosen value), `constant` (its name), and the paths
            `recovery` and `choice` of `weaklesion.selection.recovery` or
            `weaklesion.selection.warp_amplitude`.
        table_csv: written: one row per value of the constant: `dataset, protocol, of, used_by,
            constant, value, chosen, n_marks, given, recovered, closer`. `given` and `recovered` are
            the mean overlaps of the perturbed and of the recovered ellipse with the true one,
            `closer` is the share of marks whose recovered ellipse overlaps more; percent.

    Returns:
        The table.
    """
    rows = []
    for recovery in recoveries:
        choice = read_json(recovery["choice"])[recovery["constant"]]
        overlaps = pd.read_csv(recovery["recovery"], dtype={"id": str})
        for value, marks in overlaps.groupby(recovery["constant"]):
            closer = marks["recovered_iou"] > marks["given_iou"]
            rows.append(
                {key: recovery[key] for key in ("dataset", "protocol", "of")}
                | {"used_by": " ".join(recovery["used_by"]), "constant": recovery["constant"]}
                | {"value": value, "chosen": bool(np.isclose(float(value), choice))}
                | {"n_marks": len(marks), "given": 100 * marks["given_iou"].mean()}
                | {"recovered": 100 * mean_recovery(marks), "closer": 100 * closer.mean()}
            )
    columns = ["dataset", "protocol", "of", "used_by", "constant", "value", "chosen", "n_marks",
               "given", "recovered", "closer"]  # fmt: skip
    table = pd.DataFrame(rows, columns=columns)
    write_table(table_csv, table)
    return table
