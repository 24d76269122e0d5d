"""The page of images that have marks and no dense mask."""

import base64
import logging
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from weaklesion.report.pages import write_page
from weaklesion.report.tables.mark_agreement import tabulate_recovery

logger = logging.getLogger(__name__)

BLOCK = ["dataset", "protocol"]


def write_mark_agreement(
    *,
    table_csv: str | Path,
    figures: Sequence[Mapping[str, str]],
    recoveries: Sequence[Mapping[str, Any]],
    recovery_noise: float,
    models: Sequence[Mapping[str, Any]],
    title: str,
    recovery_csv: str | Path,
    page_html: str | Path,
) -> None:
    """Write what can be said of masks without a dense one, what cannot, and what comes next.

    Args:
        table_csv: of `weaklesion.report.tables.mark_agreement.tabulate_mark_agreement`.
        figures: dataset, protocol, and the path `figure` of a PNG, which the page then holds.
        recoveries: see `weaklesion.report.tables.mark_agreement.tabulate_recovery`.
        recovery_noise: how far the marks of `recoveries` were perturbed.
        models: dataset, protocol, arm, and the path `model` of the folder of each network that
            `weaklesion segment` takes; `window_hu` of grey images, else None; and `saw_noise`,
            whether it was trained on perturbed marks.
        title: the page's title.
        recovery_csv: written: the table of recoveries.
        page_html: written.
    """
    table = pd.read_csv(table_csv)
    recovered = tabulate_recovery(recoveries, recovery_csv)
    chosen = recovered[recovered["chosen"]]
    blocks = []
    for place in figures:
        here = table[(table[BLOCK] == [place[key] for key in BLOCK]).all(axis=1)]
        of_block = chosen[(chosen[BLOCK] == [place[key] for key in BLOCK]).all(axis=1)]
        commands = [
            {
                "arm": model["arm"],
                "saw_noise": model["saw_noise"],
                "command": segment_command(model["model"], model["window_hu"]),
            }
            for model in models
            if all(model[key] == place[key] for key in BLOCK)
        ]
        blocks.append(
            {
                **{key: place[key] for key in BLOCK},
                "exact": _rows(here[here["mark_noise"] == 0]),
                "perturbed": _rows(here[here["mark_noise"] > 0]),
                "recovered": of_block.to_dict("records"),
                "figure": base64.b64encode(Path(place["figure"]).read_bytes()).decode(),
                "commands": commands,
            }
        )
        for command in commands:
            logger.info("next, for masks of further marks: %s", command["command"])
    write_page(page_html, "mark_agreement.html", title=title, blocks=blocks, noise=recovery_noise)


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a row an arm, with its measures by name."""
    front = ["arm", "network", "mark_noise", "n_seeds", "n_marks", "n_empty"]
    return [
        dict(zip(front, of_arm, strict=True))
        | {"measures": rows.set_index("measure").to_dict("index")}
        for of_arm, rows in table.groupby(front, sort=False)
    ]


def segment_command(model: str | Path, window_hu: Sequence[float] | None) -> str:
    """Return the command that turns further marks into masks with a network.

    Args:
        model: folder of its run.
        window_hu: Hounsfield units that its images were shown through, of grey images.
    """
    words = ["weaklesion", "segment", "--model", str(model)]
    if window_hu is not None:
        words += ["--window", *(f"{level:g}" for level in window_hu)]
    return f"{shlex.join(words)} --marks TABLE.csv --out FOLDER"
