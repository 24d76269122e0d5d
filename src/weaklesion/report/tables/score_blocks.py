"""What the page of a table of scores shows: a block per dataset and protocol."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from weaklesion.report.tables.cells import direction
from weaklesion.scoring.catalogue import measure_of

# Metrics that the page shows, without a test, beside the paper's six; the file has all others.
EXTRA_METRICS = ("hausdorff_95", "surface_dice", "long_diameter_error")


def page_values(
    table: pd.DataFrame,
    protocols: Mapping[str, Mapping[str, Any]],
    columns: Sequence[str],
    limits: Mapping[str, float],
) -> dict[str, Any]:
    """Return the blocks of the page, and all metrics that these show."""
    blocks = _page_blocks(table, protocols, columns, limits)
    measures = {name: measure for block in blocks for name, measure in block["measures"].items()}
    return {"blocks": blocks, "measures": measures}


def _page_blocks(
    table: pd.DataFrame,
    protocols: Mapping[str, Mapping[str, Any]],
    columns: Sequence[str],
    limits: Mapping[str, float],
) -> list[dict[Any, Any]]:
    """Return one block per dataset and protocol, with one entry per arm.

    A detectable difference that exceeds what the metric can reach becomes nan.
    """
    blocks = []
    for (dataset, protocol), block in table.groupby(["dataset", "protocol"], sort=False):
        names = protocols[str(protocol)]["published_as"]
        scored = set(block["metric"])
        extra = [f"{name}_mm" if f"{name}_mm" in scored else name for name in EXTRA_METRICS]
        compared = [names[column] for column in columns]
        shown = [*compared, *extra]
        arms = []
        for arm, rows in block.groupby("arm", sort=False):
            cells = rows.set_index("metric").to_dict("index")
            for metric, cell in cells.items():
                most = _largest_difference(str(metric), limits)
                if cell["detectable"] > most:
                    cell["detectable"] = math.nan
                cell["direction"] = direction(cell["gain"], str(metric), cell["p_holm"])
            arms.append({"name": arm, "cells": cells, **cells["dice"]})
        first = block.iloc[0]
        n_samples, n_groups = int(block["n_samples"].max()), int(block["n_groups"].max())
        fewer = block[block["metric"].isin(shown) & (block["n_samples"] < n_samples)]
        blocks.append(
            {
                "dataset": dataset,
                "protocol": protocol,
                "measures": {name: measure_of(name) for name in shown},
                "untested": [measure_of(name).label for name in extra if name not in compared],
                "arms": arms,
                "comparisons": int(table.loc[table["protocol"] == protocol, "p_holm"].count()),
                **first[["undefined_policy", "reference", "source"]].to_dict(),
                "n_samples": n_samples,
                "n_groups": n_groups,
                "fewer": fewer.drop_duplicates("metric").to_dict("records"),
            }
        )
    return blocks


def _largest_difference(metric: str, limits: Mapping[str, float]) -> float:
    """Return the largest difference of two means that a metric can have, in the table's unit."""
    measure = measure_of(metric)
    return measure.scale * (1.0 if measure.scale == 100 else limits[metric])
