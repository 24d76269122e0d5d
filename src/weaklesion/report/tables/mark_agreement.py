"""How well masks agree with their marks: what can be said where there is no dense mask.

Agreement is not accuracy: the mark's own ellipse agrees by construction. So arms are not ranked by
it, and nothing is compared with a mask that was made from the mark.
"""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from weaklesion.data.ellipse_table import read_ellipses
from weaklesion.data.samples import read_rows, read_samples
from weaklesion.prediction.gate import mask_agreement
from weaklesion.recist import RECIST_COLUMNS, compare_diameters
from weaklesion.report.pages import write_table
from weaklesion.scoring.score import spacings_mm
from weaklesion.selection.recovery import mean_recovery

logger = logging.getLogger(__name__)

ARM = ["dataset", "protocol", "arm", "network", "mark_noise"]
LIMITS_SD = 1.96  # of limits of agreement: 95 % of differences, where these are normal
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
        runs: dataset, protocol, arm, seed, network; `mark_noise`, how far the marks that the arm
            was given are perturbed, 0 for exact ones; and the paths `predictions` and `ids`.
        blocks: dataset, protocol, and the paths `samples` and `ellipses` of their true marks.
        table_csv: written: a row an arm and measure, see `summarize`.
        masks_csv: written: a row a mask: `dataset, protocol, arm, network, mark_noise, seed, id,
            group, empty, agreement` (`weaklesion.prediction.gate.mask_agreement`) and the
            diameters, see `weaklesion.recist.compare_diameters`; px of the patch.
    """
    places = {(block["dataset"], block["protocol"]): block for block in blocks}
    rows = []
    for run in runs:
        place = places[(run["dataset"], run["protocol"])]
        of_run = {key: run[key] for key in [*ARM, "seed"]}
        rows += [of_run | row for row in _masks_of(run, place)]
        logger.info("%s: masks of seed %d measured", run["arm"], run["seed"])
    masks = pd.DataFrame(rows)
    write_table(masks_csv, masks)
    write_table(table_csv, summarize(masks))


def _masks_of(run: Mapping[str, Any], place: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    samples = read_samples(place["samples"])
    samples = samples[samples["split"] == "test"]
    ellipses = read_ellipses(place["ellipses"])
    masks = read_rows(run["predictions"], run["ids"], list(samples.index)) > 0
    points = samples[RECIST_COLUMNS].to_numpy(float).reshape(-1, 4, 2)
    for name, group, mark, mask, spacing in zip(
        samples.index, samples["group"], points, masks, spacings_mm(samples), strict=True
    ):
        yield {
            "id": name,
            "group": group,
            "empty": not mask.any(),
            "agreement": mask_agreement(mask, ellipses[name]),
            **compare_diameters(mark, mask, spacing),
        }


def summarize(masks: pd.DataFrame) -> pd.DataFrame:
    """Return a row an arm and measure, over all masks of all seeds.

    Args:
        masks: of `tabulate_mark_agreement`.

    Returns:
        `dataset, protocol, arm, network, mark_noise, n_seeds, n_marks, n_empty, measure, unit, n,
        mean, low, high`. `n_empty` counts masks of all seeds. An empty mask agrees by 0 and has no
        diameters, so that `n` masks have the measure; what fewer than two have is left out. `low`
        and `high` are, of the agreement, the 2.5 and 97.5 percentiles; of differences (the mask's
        minus the marked diameter) the 95 % limits of agreement, 1.96 sample deviations about the
        mean (Bland and Altman 1986).
    """
    rows = []
    for arm, of_arm in masks.groupby(ARM, sort=False):
        of_all = dict(zip(ARM, arm, strict=True)) | {
            "n_seeds": of_arm["seed"].nunique(),
            "n_marks": of_arm["id"].nunique(),
            "n_empty": int(of_arm["empty"].sum()),
        }
        for measure, unit in MEASURES.items():
            values = of_arm[measure].dropna() if measure in of_arm else of_arm["agreement"][:0]
            if len(values) < 2:
                continue
            mean = float(values.mean())
            if measure == "agreement":
                numbers = 100 * np.array([mean, *values.quantile([0.025, 0.975])])
            else:
                reach = LIMITS_SD * float(values.std())
                numbers = np.array([mean, mean - reach, mean + reach])
            named = dict(zip(("mean", "low", "high"), numbers.tolist(), strict=True))
            rows.append(of_all | {"measure": measure, "unit": unit, "n": len(values)} | named)
    return pd.DataFrame(rows)


def tabulate_recovery(
    recoveries: Sequence[Mapping[str, Any]], table_csv: str | Path
) -> pd.DataFrame:
    """Tabulate how well true marks were recovered from perturbed ones when constants were chosen.

    Args:
        recoveries: dataset, protocol, `of` (what recovers: an arm, or pseudo-masks), `used_by`
            (arms that take the choice), `constant` (its name), and the paths `recovery` and
            `choice` of `weaklesion.selection.recovery` or `weaklesion.selection.warp_amplitude`.
        table_csv: written: a row a value: `dataset, protocol, of, used_by, constant, value, chosen,
            n_marks, given, recovered, closer`. `given` and `recovered` are the mean overlaps of the
            perturbed and of the recovered ellipse with the true one, `closer` the share of marks
            whose recovered ellipse overlaps more; percent.

    Returns:
        The table.
    """
    rows = []
    for recovery in recoveries:
        chosen = json.loads(Path(recovery["choice"]).read_text())[recovery["constant"]]
        measured = pd.read_csv(recovery["recovery"], dtype={"id": str})
        for value, marks in measured.groupby(recovery["constant"]):
            closer = marks["recovered_iou"] > marks["given_iou"]
            rows.append(
                {key: recovery[key] for key in ("dataset", "protocol", "of")}
                | {"used_by": " ".join(recovery["used_by"]), "constant": recovery["constant"]}
                | {"value": value, "chosen": bool(np.isclose(float(value), chosen))}
                | {"n_marks": len(marks), "given": 100 * marks["given_iou"].mean()}
                | {"recovered": 100 * mean_recovery(marks), "closer": 100 * closer.mean()}
            )
    columns = ["dataset", "protocol", "of", "used_by", "constant", "value", "chosen", "n_marks",
               "given", "recovered", "closer"]  # fmt: skip
    table = pd.DataFrame(rows, columns=columns)
    write_table(table_csv, table)
    return table
