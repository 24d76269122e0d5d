"""The same runs under three definitions of the paper's six metrics."""

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from weaklesion.report.pages import write_page, write_table
from weaklesion.report.tables.cells import scaled
from weaklesion.report.tables.run_scores import read_scores
from weaklesion.scoring.catalogue import measure_of
from weaklesion.scoring.statistics import UndefinedPolicy, estimate, resolve_undefined
from weaklesion.study.labels import Labels
from weaklesion.study.published import printed_cells, read_published

logger = logging.getLogger(__name__)

OVERLAPS = {"IoU": "iou", "Dice": "dice", "VS": "volumetric_similarity"}


@dataclass(frozen=True)
class Definition:
    """One way to compute the paper's columns.

    Attributes:
        metrics: the paper's column to our metric.
        undefined: the value that an empty prediction counts as.
        text: the definition's source, in words.
    """

    metrics: Mapping[str, str]
    undefined: UndefinedPolicy
    text: str


DEFINITIONS = {
    "paper": Definition(
        OVERLAPS
        | {
            "CenterError": "center_error",
            "PerimeterError": "perimeter_error",
            "AVD": "average_hausdorff",
        },
        "stated",
        "section 7.1 of the paper, as its text says",
    ),
    "released": Definition(
        OVERLAPS
        | {
            "CenterError": "center_error",
            "PerimeterError": "perimeter_error_canny_half",
            "AVD": "hausdorff",
        },
        "released",
        "what the released code computes (M1, M2, M3)",
    ),
    "textbook": Definition(
        OVERLAPS
        | {
            "CenterError": "centroid_error",
            "PerimeterError": "perimeter_error_contour",
            "AVD": "average_hausdorff_mean",
        },
        "worst_possible",
        "centres of mass, lengths of contours, and the average Hausdorff distance of Taha and"
        " Hanbury 2015; failures count as the worst possible value",
    ),
}


def tabulate_definitions(
    *,
    scores_csvs: Sequence[str | Path],
    expected: Sequence[Mapping[str, Any]],
    published_yaml: str | Path,
    published_datasets: Mapping[str, str],
    published_arms: Mapping[str, str],
    labels: Labels | None = None,
    mark_note: str = "",
    table_csv: str | Path,
    table_html: str | Path,
) -> None:
    """Compute the six columns of Table 1 under each definition, from the same scores.

    Args:
        scores_csvs: scores of all runs.
        expected: dataset, protocol, arm and seed of all runs.
        published_yaml: published numbers.
        published_datasets: our dataset's name to the paper's.
        published_arms: our arm's name to the paper's.
        labels: what the page calls datasets and arms, see `weaklesion.study.labels.labels_of`.
        mark_note: how marks were simulated, if not as in the paper; the page says so.
        table_csv: written: one row per dataset, protocol, arm, column and definition.
        table_html: written: the three definitions side by side.
    """
    scores = read_scores(scores_csvs, expected)
    paper_cells = printed_cells(read_published(published_yaml), "table1", published_arms)
    rows = []
    for (dataset, protocol), block in scores.groupby(["dataset", "protocol"], sort=False):
        paper_dataset = published_datasets.get(str(dataset), "")
        for cells in _cells(block):
            key = paper_dataset, cells["arm"], cells["column"]
            mean, std = paper_cells.get(key, (math.nan, math.nan))
            rows.append(
                {
                    "dataset": dataset,
                    "protocol": protocol,
                    **cells,
                    "published_mean": mean,
                    "published_std": std,
                }
            )
    table = pd.DataFrame(rows)
    write_table(table_csv, table)
    blocks = [
        {"dataset": dataset, "protocol": protocol, "arms": _arms(block)}
        for (dataset, protocol), block in table.groupby(["dataset", "protocol"], sort=False)
    ]
    write_page(
        table_html,
        "definitions.html",
        labels,
        blocks=blocks,
        mark_note=mark_note,
        definitions=DEFINITIONS,
        measure_of=measure_of,
    )
    logger.info("%d cells under %d definitions", len(table), len(DEFINITIONS))


def _cells(block: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield the cells of one dataset and protocol: one per definition, arm and column."""
    for name, definition in DEFINITIONS.items():
        resolved = resolve_undefined(block, definition.undefined)
        for arm, of_arm in resolved.groupby("arm", sort=False):
            for column, metric in definition.metrics.items():
                measure = measure_of(metric)
                values = of_arm[of_arm["metric"] == metric]
                yield {
                    "arm": str(arm),
                    "column": column,
                    "definition": name,
                    "metric": metric,
                    "undefined_policy": definition.undefined,
                    "unit": measure.unit,
                    **scaled(asdict(estimate(values, measure.within)), measure.scale),
                }


def _arms(block: pd.DataFrame) -> list[dict[str, Any]]:
    """Return each arm's columns, with the three values of each."""
    return [
        {
            "name": arm,
            "columns": {
                column: cells.set_index("definition").to_dict("index")
                for column, cells in of_arm.groupby("column", sort=False)
            },
        }
        for arm, of_arm in block.groupby("arm", sort=False)
    ]
