"""How well the volumes of lesions are found from their marks, method by method.

The unit is the volume, which is the patient: the mean over a volume's lesions counts once.
"""

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from weaklesion.report.pages import write_page, write_table
from weaklesion.scoring.pairs import UNTRAINED_SEED
from weaklesion.scoring.statistics import (
    compare,
    estimate,
    group_means,
    limits_of_agreement,
)
from weaklesion.study.labels import Labels

logger = logging.getLogger(__name__)

BASELINE = "ellipsoid"
# Means of columns of `weaklesion.volumes.lits_lesions`, and of what is made of them, by unit.
MEASURES = {
    "dice": "%",
    "nsd_2mm": "%",
    "asd_mm": "mm",
    "hd95_mm": "mm",
    "volume_error": "%",
    "absolute_volume_error": "%",
    "in_interval": "%",
}
SIGNED = "volume_error"  # has limits of agreement, and no gain: less is not better
# Smallest and largest possible value, at which intervals end; 0 and infinity of all others.
WITHIN = {
    "dice": (0.0, 100.0),
    "nsd_2mm": (0.0, 100.0),
    "volume_error": (-100.0, math.inf),
    "in_interval": (0.0, 100.0),
}
LABELS = {
    "dice": "Dice, %",
    "nsd_2mm": "NSD at 2 mm, %",
    "asd_mm": "ASSD, mm",
    "hd95_mm": "HD95, mm",
    "volume_error": "Volume error, %",
    "absolute_volume_error": "Absolute volume error, %",
    "in_interval": "Volumes in their interval, %",
}
METHOD = ["dataset", "protocol", "method"]


def tabulate_volumes(
    *,
    blocks: Sequence[Mapping[str, str]],
    title: str,
    labels: Labels | None = None,
    table_csv: str | Path,
    left_out_csv: str | Path,
    table_html: str | Path,
) -> None:
    """Tabulate the scores of each method, and the lesions that are left out.

    Args:
        blocks: dataset, protocol, and the paths `lesions` and `left_out` of
            `weaklesion.volumes.lits_lesions`.
        title: the page's title.
        labels: what the page calls datasets, see `weaklesion.study.labels.labels_of`.
        table_csv: written: one row per dataset, protocol, method and measure, see `summarize`.
        left_out_csv: written: `dataset, protocol, reason, lesions, volumes`: how many lesions, of
            how many volumes, are left out.
        table_html: written: both for reading.
    """
    tables, left_out = [], []
    for block in blocks:
        place = {key: block[key] for key in ("dataset", "protocol")}
        tables.append(summarize(pd.read_csv(block["lesions"]).assign(**place)))
        left_out.append(_counted(pd.read_csv(block["left_out"])).assign(**place))
    table = pd.concat(tables, ignore_index=True)
    missing = pd.concat(left_out, ignore_index=True)
    missing = missing[["dataset", "protocol", "reason", "lesions", "volumes"]]
    write_table(table_csv, table)
    write_table(left_out_csv, missing)
    shown = [
        {key: block[key] for key in ("dataset", "protocol")}
        | {"methods": _shown(_of(table, block)), "left_out": _of(missing, block).to_dict("records")}
        for block in blocks
    ]
    write_page(
        table_html,
        "volumes.html",
        labels,
        title=title,
        blocks=shown,
        measures=LABELS,
        baseline=BASELINE,
    )
    logger.info("%d rows; %d lesions left out", len(table), missing["lesions"].sum())


def _of(table: pd.DataFrame, block: Mapping[str, str]) -> pd.DataFrame:
    place = (table["dataset"] == block["dataset"]) & (table["protocol"] == block["protocol"])
    return table[place]


def _counted(left_out: pd.DataFrame) -> pd.DataFrame:
    """Return lesions and volumes by reason, the most frequent reason first."""
    of_reason = left_out.groupby("reason")
    counts = of_reason.agg(lesions=("lesions", "sum"), volumes=("volume", "nunique"))
    return counts.sort_values("lesions", ascending=False, kind="stable").reset_index()


def _shown(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of each method by measure."""
    return [
        {"method": method, "cells": {row["measure"]: row for row in rows.to_dict("records")}}
        for method, rows in table.groupby("method", sort=False)
    ]


def summarize(lesions: pd.DataFrame) -> pd.DataFrame:
    """Return one row per method and measure.

    Args:
        lesions: one row per lesion and method, with `dataset` and `protocol`, see
            `weaklesion.volumes.lits_lesions.measure_volumes`.

    Returns:
        `dataset, protocol, method, measure, unit, n_volumes, n_lesions, n_undecided, mean, ci_low,
        ci_high, unknown, limit_low, limit_high, gain, gain_ci_low, gain_ci_high, p_value,
        gain_unknown`. `mean` is that of the volumes' means. `n_lesions` have the measure;
        `n_undecided` of the method's lesions have the ellipsoid's mask in place of their own.
        `limit_low` and `limit_high` are the 95 % limits of agreement, see
        `weaklesion.scoring.statistics.limits_of_agreement`.
        `gain` is the method minus the ellipsoid, volume by volume, over the lesions in which both
        have the measure. A measure that no lesion of a method has is left out.
    """
    columns = [*METHOD, "measure", "unit", "n_volumes", "n_lesions", "n_undecided", "mean",
               "ci_low", "ci_high", "unknown", "limit_low", "limit_high", "gain", "gain_ci_low",
               "gain_ci_high", "p_value", "gain_unknown"]  # fmt: skip
    return pd.DataFrame(list(_rows(_with_errors(lesions))), columns=columns)


def _with_errors(lesions: pd.DataFrame) -> pd.DataFrame:
    """Return the table with the columns of `MEASURES` that follow from others."""
    inside = lesions["reference_mm3"].between(lesions["low_mm3"], lesions["high_mm3"])
    error = lesions["volume_error_percent"]
    return lesions.assign(
        volume_error=error,
        absolute_volume_error=error.abs(),
        in_interval=(100.0 * inside).where(lesions["low_mm3"].notna()),
    )


def _rows(lesions: pd.DataFrame) -> Iterator[dict[str, Any]]:
    values = {
        (method, measure): _values(of_method, measure)
        for method, of_method in lesions.groupby("method", sort=False)
        for measure in MEASURES
    }
    for (method, measure), own in values.items():
        if own.empty:
            continue
        of_method = lesions[lesions["method"] == method]
        means = group_means(own)
        found = estimate(means, WITHIN.get(measure, (0.0, math.inf)))
        low, high = limits_of_agreement(own) if measure == SIGNED else (math.nan, math.nan)
        row = {key: of_method[key].iloc[0] for key in METHOD}
        row |= {"measure": measure, "unit": MEASURES[measure]}
        row |= {"n_volumes": found.n_groups, "n_lesions": len(own)}
        row |= {"n_undecided": int((of_method["undecided"] == True).sum())}  # noqa: E712 - or nan
        row |= {"mean": found.mean, "ci_low": found.ci_low, "ci_high": found.ci_high}
        row |= {"unknown": found.unknown, "limit_low": low, "limit_high": high}
        baseline = values[BASELINE, measure]
        if method != BASELINE and measure != SIGNED and not baseline.empty:
            row |= _gain_cells(own, baseline)
        yield row


def _values(lesions: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Return the lesions that have a measure, as `weaklesion.scoring.statistics` takes them."""
    own = lesions.dropna(subset=[measure])
    return pd.DataFrame(
        {
            "arm": own["method"],
            "seed": UNTRAINED_SEED,
            "metric": measure,
            "id": own["lesion"],
            "group": own["volume"],
            "value": own[measure],
        }
    )


def _gain_cells(own: pd.DataFrame, baseline: pd.DataFrame) -> dict[str, Any]:
    """Compare a method with the baseline, volume by volume, on the lesions that both measured."""
    measured, of_baseline = (
        pd.MultiIndex.from_frame(table[["group", "id"]]) for table in (own, baseline)
    )
    own, baseline = own[measured.isin(of_baseline)], baseline[of_baseline.isin(measured)]
    if own.empty:
        return {}
    comparison = compare(group_means(own), group_means(baseline))
    return {
        "gain": comparison.difference,
        "gain_ci_low": comparison.ci_low,
        "gain_ci_high": comparison.ci_high,
        "p_value": comparison.p_value,
        "gain_unknown": comparison.unknown,
    }
