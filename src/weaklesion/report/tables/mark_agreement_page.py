"""The page about images that have marks and no dense mask."""

import base64
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from weaklesion.report.pages import write_page
from weaklesion.report.tables.mark_agreement import tabulate_recovery
from weaklesion.study.labels import Labels
from weaklesion.study.segment_command import segment_command

logger = logging.getLogger(__name__)

BLOCK = ["dataset", "protocol"]


def write_mark_agreement(
    *,
    labels: Labels | None = None,
    table_csv: str | Path,
    figures: Sequence[Mapping[str, str]],
    recoveries: Sequence[Mapping[str, Any]],
    recovery_noise: float,
    models: Sequence[Mapping[str, Any]],
    title: str,
    recovery_csv: str | Path,
    page_html: str | Path,
) -> None:
    """Write how well masks agree with marks, what this cannot show, and which commands come next.

    Args:
        labels: what the page calls datasets and arms, see `weaklesion.study.labels.labels_of`.
        table_csv: table of `weaklesion.report.tables.mark_agreement.tabulate_mark_agreement`.
        figures: dataset, protocol, and the path `figure` of a PNG, which is embedded in the page.
        recoveries: see `weaklesion.report.tables.mark_agreement.tabulate_recovery`.
        recovery_noise: perturbation of the marks of `recoveries`.
        models: dataset, protocol, arm, and the path `model` of the folder of each network that
            `weaklesion segment` accepts; `window_hu` for grey images, else None; and `saw_noise`,
            whether the network was trained on perturbed marks.
        title: the page's title.
        recovery_csv: written: the table of recoveries.
        page_html: written.
    """
    table = pd.read_csv(table_csv)
    recovery = tabulate_recovery(recoveries, recovery_csv)
    choices = recovery[recovery["chosen"]]
    blocks = []
    for figure in figures:
        key = [figure[name] for name in BLOCK]
        block_rows = table[(table[BLOCK] == key).all(axis=1)]
        block_recovery = choices[(choices[BLOCK] == key).all(axis=1)]
        commands = [
            {
                "arm": model["arm"],
                "saw_noise": model["saw_noise"],
                "command": segment_command(model["model"], model["window_hu"]),
            }
            for model in models
            if [model[name] for name in BLOCK] == key
        ]
        blocks.append(
            {
                **dict(zip(BLOCK, key, strict=True)),
                "exact": _rows(block_rows[block_rows["mark_noise"] == 0]),
                "perturbed": _rows(block_rows[block_rows["mark_noise"] > 0]),
                "recovered": block_recovery.to_dict("records"),
                "figure": base64.b64encode(Path(figure["figure"]).read_bytes()).decode(),
                "commands": commands,
            }
        )
        for command in commands:
            logger.info("to get masks for more marks, run: %s", command["command"])
    write_page(
        page_html, "mark_agreement.html", labels, title=title, blocks=blocks, noise=recovery_noise
    )


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return one row per arm, with its measures by name."""
    front = ["arm", "network", "mark_noise", "n_seeds", "n_marks", "n_empty"]
    return [
        dict(zip(front, of_arm, strict=True))
        | {"measures": rows.set_index("measure").to_dict("index")}
        for of_arm, rows in table.groupby(front, sort=False)
    ]
