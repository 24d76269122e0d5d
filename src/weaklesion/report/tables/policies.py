"""How far a table depends on what empty masks count as."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from weaklesion.metrics.catalogue import measure_of
from weaklesion.report.pages import write_page, write_table
from weaklesion.report.tables.scores import read_scores, scaled
from weaklesion.scoring.statistics import UndefinedPolicy, compare, estimate, resolve_undefined

logger = logging.getLogger(__name__)

METRICS = ("dice", "hausdorff")
POLICIES: tuple[UndefinedPolicy, ...] = (
    "correct_empty",
    "with_reference",
    "exclude",
    "worst_possible",
)


def tabulate_policies(
    *,
    runs: Sequence[Mapping[str, Any]],
    baseline: str,
    title: str,
    table_csv: str | Path,
    table_html: str | Path,
) -> None:
    """Tabulate Dice and Hausdorff distance of the same predictions under every policy.

    Args:
        runs: dataset, protocol, arm, seed, and the path `scores`.
        baseline: arm that the others are compared with.
        title: the page's title.
        table_csv: written: a row a policy, arm and metric; overlaps in percent, distances in px.
        table_html: written: the same for reading.
    """
    scores = read_scores([run["scores"] for run in runs], runs, METRICS)
    rows = []
    for (dataset, protocol), block in scores.groupby(["dataset", "protocol"], sort=False):
        for policy in POLICIES:
            resolved = resolve_undefined(block, policy)
            for (arm, metric), cell in resolved.groupby(["arm", "metric"], sort=False):
                scale = measure_of(str(metric)).scale
                of_baseline = (resolved["arm"] == baseline) & (resolved["metric"] == metric)
                row = {
                    "dataset": dataset,
                    "protocol": protocol,
                    "policy": policy,
                    "arm": arm,
                    "metric": metric,
                    **scaled(asdict(estimate(cell)), scale),
                    "n_counted": int(cell["value"].notna().sum() / cell["seed"].nunique()),
                }
                if arm != baseline and of_baseline.any():
                    found = compare(cell, resolved[of_baseline])
                    row |= {
                        "gain": scale * found.difference,
                        "gain_ci_low": scale * found.ci_low,
                        "gain_ci_high": scale * found.ci_high,
                        "p_value": found.p_value,
                        "gain_unknown": found.unknown,
                    }
                rows.append(row)
    table = pd.DataFrame(rows)
    write_table(table_csv, table)
    blocks = [
        {"dataset": dataset, "protocol": protocol, "metric": measure_of(str(metric)),
         "rows": block.to_dict("records")}
        for (dataset, protocol, metric), block in table.groupby(
            ["dataset", "protocol", "metric"], sort=False
        )
    ]  # fmt: skip
    write_page(table_html, "policies.html", title=title, blocks=blocks, baseline=baseline)
    logger.info("%d arms under %d policies", table["arm"].nunique(), len(POLICIES))
