"""How far the sizes of masks are from those of the dense reference.

Trials follow diameters rather than overlaps, so sizes are compared as those of two readers are: by
the mean difference and its limits of agreement.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from weaklesion.data.samples import read_rows, read_samples
from weaklesion.recist import measure_recist
from weaklesion.report.pages import write_page, write_table
from weaklesion.scoring.score import spacings_mm
from weaklesion.scoring.statistics import estimate, group_means, limits_of_agreement
from weaklesion.study.labels import Labels

logger = logging.getLogger(__name__)

ARM = ["dataset", "protocol", "arm"]
# Label of each size, and the units of its differences.
SIZES = {
    "long_diameter": ("Long diameter", ("px", "mm")),
    "short_diameter": ("Short diameter", ("px", "mm")),
    "area": ("Area", ("px²", "mm²")),
}
PERCENT = "%"


def tabulate_sizes(
    *,
    runs: Sequence[Mapping[str, Any]],
    blocks: Sequence[Mapping[str, str]],
    title: str,
    labels: Labels | None = None,
    table_csv: str | Path,
    table_html: str | Path,
) -> None:
    """Compare the sizes of the masks of test samples with those of their references.

    Args:
        runs: dataset, protocol, arm, seed, and the paths `predictions` and `ids`.
        blocks: dataset, protocol, and the paths `samples` and `reference`.
        title: the page's title.
        labels: what the page calls datasets and arms, see `weaklesion.study.labels.labels_of`.
        table_csv: written: one row per arm, size and unit, see `summarize`.
        table_html: written: the same for reading.
    """
    block_by_key = {(block["dataset"], block["protocol"]): block for block in blocks}
    measured = []
    for run in runs:
        block = block_by_key[(run["dataset"], run["protocol"])]
        masks = pd.DataFrame(list(compare_sizes(run, block)))
        measured.append(masks.assign(**{key: run[key] for key in [*ARM, "seed"]}))
        logger.info("%s: sizes of seed %d measured", run["arm"], run["seed"])
    table = summarize(pd.concat(measured, ignore_index=True))
    write_table(table_csv, table)
    shown = [
        {"dataset": dataset, "protocol": protocol, "arms": _shown(rows)}
        for (dataset, protocol), rows in table.groupby(["dataset", "protocol"], sort=False)
    ]
    write_page(table_html, "sizes.html", labels, title=title, blocks=shown, sizes=SIZES)


def compare_sizes(run: Mapping[str, Any], block: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Yield one row per test sample of a run.

    Args:
        run: paths `predictions` and `ids`.
        block: paths `samples` and `reference`.

    Yields:
        `id`, `group`, `empty` (whether the mask is), `no_reference` (whether the reference is
        empty), and what `differences` returns.
    """
    samples = read_samples(block["samples"])
    samples = samples[samples["split"] == "test"]
    ids = list(samples.index)
    masks = read_rows(run["predictions"], run["ids"], ids) > 0
    references = read_rows(block["reference"], block["samples"], ids) > 0
    for name, group, mask, reference, spacing in zip(
        ids, samples["group"], masks, references, spacings_mm(samples), strict=True
    ):
        yield {
            "id": name,
            "group": group,
            "empty": not mask.any(),
            "no_reference": not reference.any(),
            **differences(mask, reference, spacing),
        }


def differences(
    mask: np.ndarray, reference: np.ndarray, spacing: tuple[float, float] | None
) -> dict[str, float]:
    """Return how much larger a mask is than its reference.

    Args:
        mask: (H, W) bool.
        reference: (H, W) bool.
        spacing: mm per pixel of rows and columns, or None.

    Returns:
        For each size the difference in px, in mm where there is a spacing (areas: px² and mm²),
        and in percent of the mean of both, as between two readers: keys `long_diameter px` and so
        on. Diameters are those of `weaklesion.recist.measure_recist`, longest in the patient where
        there is a spacing. Empty if mask or reference is.

    >>> mask, reference = np.zeros((2, 9, 9), dtype=bool)
    >>> mask[4, 1:8], reference[4, 2:7] = True, True  # 6 and 4 px from centre to centre
    >>> found = differences(mask, reference, (2.0, 0.5))
    >>> found["long_diameter px"], found["long_diameter mm"], found["long_diameter %"]
    (2.0, 1.0, 40.0)
    """
    if not mask.any() or not reference.any():
        return {}
    of_mask, of_reference = _sizes(mask, spacing), _sizes(reference, spacing)
    found = {}
    for size, (_, units) in SIZES.items():
        for unit in units:
            if f"{size} {unit}" in of_mask:
                own, true = of_mask[f"{size} {unit}"], of_reference[f"{size} {unit}"]
                found[f"{size} {unit}"] = own - true
                # the last unit, mm where it is known, is that of the percentage
                found[f"{size} {PERCENT}"] = (
                    200 * (own - true) / (own + true) if own + true else 0.0
                )
    return found


def _sizes(mask: np.ndarray, spacing: tuple[float, float] | None) -> dict[str, float]:
    measured, pixels = measure_recist(mask, spacing or (1.0, 1.0)), float(mask.sum())
    sizes = {
        "long_diameter px": measured.long_px,
        "short_diameter px": measured.short_px,
        "area px²": pixels,
    }
    if spacing is not None:
        sizes["long_diameter mm"] = measured.long_mm
        sizes["short_diameter mm"] = measured.short_mm
        sizes["area mm²"] = pixels * spacing[0] * spacing[1]
    return sizes


def summarize(masks: pd.DataFrame) -> pd.DataFrame:
    """Return one row per arm, size and unit, every group counting once.

    Args:
        masks: one row per mask: `dataset, protocol, arm, seed` and what `compare_sizes` yields.

    Returns:
        `dataset, protocol, arm, size, unit, n_seeds, n_samples, n_groups, n_empty, n_no_reference,
        mean, ci_low, ci_high, unknown, limit_low, limit_high, mean_absolute`. `n_empty` and
        `n_no_reference` count the masks of all seeds that are empty or whose reference is; neither
        has a size, so they are left out of the other columns. `n_samples` and `n_groups` are the
        other test samples and their groups. `limit_low` and `limit_high` are the 95 % limits of
        agreement, see `weaklesion.scoring.statistics.limits_of_agreement`, and `mean_absolute` is
        the mean of the differences without their sign. A unit that no sample has is left out, other
        than percent, in which an arm without any size has rows without numbers.
    """
    columns = [*ARM, "size", "unit", "n_seeds", "n_samples", "n_groups", "n_empty",
               "n_no_reference", "mean", "ci_low", "ci_high", "unknown", "limit_low", "limit_high",
               "mean_absolute"]  # fmt: skip
    return pd.DataFrame(list(_rows(masks)), columns=columns)


def _rows(masks: pd.DataFrame) -> Iterator[dict[str, Any]]:
    for arm, of_arm in masks.groupby(ARM, sort=False):
        counts = {"n_seeds": of_arm["seed"].nunique()}
        counts |= {f"n_{what}": int(of_arm[what].sum()) for what in ("empty", "no_reference")}
        percents = of_arm.reindex(columns=[f"{size} {PERCENT}" for size in SIZES])
        all_empty = bool(percents.isna().all(axis=None))
        for size, (_, units) in SIZES.items():
            for unit in (*units, PERCENT):
                name = f"{size} {unit}"
                measured = of_arm.get(name, pd.Series(np.nan, of_arm.index)).astype(float)
                if measured.isna().all() and not (all_empty and unit == PERCENT):
                    continue
                values = of_arm.assign(value=measured, metric=name)
                absolute = group_means(values.assign(value=values["value"].abs()))
                found = estimate(group_means(values))
                values = values.dropna(subset="value")
                low, high = limits_of_agreement(values)
                yield (
                    dict(zip(ARM, arm, strict=True))
                    | counts
                    | {
                        "size": size,
                        "unit": unit,
                        "n_samples": values["id"].nunique(),
                        "n_groups": found.n_groups,
                        "mean": found.mean,
                        "ci_low": found.ci_low,
                        "ci_high": found.ci_high,
                        "unknown": found.unknown,
                        "limit_low": low,
                        "limit_high": high,
                        "mean_absolute": absolute["value"].mean(),
                    }
                )


def _shown(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of each arm by size and unit."""
    return [
        {"arm": arm, "cells": {(row["size"], row["unit"]): row for row in rows.to_dict("records")}}
        for arm, rows in table.groupby("arm", sort=False)
    ]
