"""How much a table depends on the value that an empty mask counts as."""

import logging
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from weaklesion.report.pages import write_page, write_table
from weaklesion.report.tables.cells import MAIN_METRICS, difference_cells, scaled
from weaklesion.report.tables.epochs import comparable, epochs_by_block
from weaklesion.report.tables.run_scores import read_scores
from weaklesion.report.tables.score_cells import UNEQUAL
from weaklesion.scoring.catalogue import measure_of
from weaklesion.scoring.statistics import UndefinedPolicy, compare, estimate, resolve_undefined
from weaklesion.study.labels import Labels

logger = logging.getLogger(__name__)

POLICIES: tuple[UndefinedPolicy, ...] = (
    "correct_empty",
    "with_reference",
    "exclude",
    "worst_possible",
)


def tabulate_policies(
    *,
    runs: Sequence[Mapping[str, Any]],
    trained: Sequence[Mapping[str, Any]],
    baseline: str,
    title: str,
    labels: Labels | None = None,
    table_csv: str | Path,
    table_html: str | Path,
) -> None:
    """Tabulate Dice and Hausdorff distance of the same predictions under every policy.

    Args:
        runs: dataset, protocol, arm, seed, and the path `scores`.
        trained: dataset, protocol, arm, and the path `run` of each training; networks that were not
            to be trained as long as the baseline have no gain.
        baseline: arm that the others are compared with.
        title: the page's title.
        labels: what the page calls datasets and arms, see `weaklesion.study.labels.labels_of`.
        table_csv: written: one row per policy, arm and metric; overlaps in percent, distances
            in px.
        table_html: written: the same for reading.
    """
    scores = read_scores([run["scores"] for run in runs], runs, MAIN_METRICS)
    epochs = epochs_by_block(trained)
    rows: list[dict[str, Any]] = []
    for (dataset, protocol), block in scores.groupby(["dataset", "protocol"], sort=False):
        of_block = epochs.get((str(dataset), str(protocol)), {})
        unequal = {
            arm
            for arm in block["arm"].unique()
            if not comparable(of_block.get(arm), of_block.get(baseline))
        }
        for policy in POLICIES:
            block_key = {"dataset": dataset, "protocol": protocol, "policy": policy}
            resolved = resolve_undefined(block, policy)
            rows += [block_key | cells for cells in _cells(resolved, baseline, unequal)]
    table = pd.DataFrame(rows)
    write_table(table_csv, table)
    blocks = [
        {"dataset": dataset, "protocol": protocol, "metric": measure_of(str(metric)),
         "rows": block.to_dict("records")}
        for (dataset, protocol, metric), block in table.groupby(
            ["dataset", "protocol", "metric"], sort=False
        )
    ]  # fmt: skip
    write_page(table_html, "policies.html", labels, title=title, blocks=blocks, baseline=baseline)
    logger.info("%d arms under %d policies", table["arm"].nunique(), len(POLICIES))


def _cells(
    resolved: pd.DataFrame, baseline: str, unequal: Collection[str]
) -> Iterator[dict[str, Any]]:
    """Yield one row per arm and metric, with the difference from the baseline's."""
    for (arm, metric), values in resolved.groupby(["arm", "metric"], sort=False):
        name = str(metric)
        of_baseline = (resolved["arm"] == baseline) & (resolved["metric"] == metric)
        row = {
            "arm": arm,
            "metric": name,
            **scaled(asdict(estimate(values, measure_of(name).within)), measure_of(name).scale),
            "n_counted": int(values["value"].notna().sum() / values["seed"].nunique()),
        }
        if arm != baseline and of_baseline.any():
            comparison = compare(values, resolved[of_baseline])
            row |= difference_cells(
                comparison, name, name="gain", prefix="gain_", omit=("detectable",)
            )
            if arm in unequal:
                row |= dict.fromkeys(("gain", "gain_ci_low", "gain_ci_high", "p_value"), math.nan)
                row["gain_unknown"] = UNEQUAL
        yield row
