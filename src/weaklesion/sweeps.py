"""Figures 2 and 5: Dice against the number of clusters, and against the weight of the loss."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd

from weaklesion.figures import PALETTE, save, style
from weaklesion.files import written_whole
from weaklesion.statistics import estimate, resolve_undefined
from weaklesion.tables import read_scores

logger = logging.getLogger(__name__)

LABELS = {"k": "Number of clusters K", "alpha": "Weight of the segmentation loss, alpha"}


def plot_sweep(
    *,
    runs: Sequence[Mapping[str, Any]],
    points: Sequence[Mapping[str, Any]],
    over: str,
    own: Mapping[str, float],
    undefined: Mapping[str, str],
    draws: int,
    seed: int,
    title: str,
    table_csv: str | Path,
    figures: Sequence[str | Path],
) -> None:
    """Plot the test Dice against a setting that was swept, with intervals.

    The paper prints no numbers for these figures.

    Args:
        runs: dataset, protocol, arm, seed, and the path `scores`.
        points: dataset, protocol, arm and `value` of the setting.
        over: `k` or `alpha`.
        own: dataset to the value that the arm itself has.
        undefined: protocol to what an empty prediction counts as.
        draws: bootstrap draws of the intervals.
        seed: their seed.
        title: the figure's title.
        table_csv: written: a row a point.
        figures: files to write.
    """
    scores = read_scores([run["scores"] for run in runs], runs)
    rows = []
    for point in points:
        place = {key: point[key] for key in ("dataset", "protocol", "arm")}
        here = scores[(scores[list(place)] == pd.Series(place)).all(axis=1)]
        cell = resolve_undefined(
            here[here["metric"] == "dice"],
            undefined[point["protocol"]],  # type: ignore[arg-type]
        )
        rows.append(
            {**place, over: point["value"], **asdict(estimate(cell, draws=draws, seed=seed))}
        )
    table = pd.DataFrame(rows).sort_values(["dataset", "protocol", over], kind="stable")
    table[["mean", "std", "std_population", "ci_low", "ci_high"]] *= 100
    with written_whole(table_csv) as beside:
        table.to_csv(beside, index=False, float_format="%.6g")
    blocks = list(table.groupby(["dataset", "protocol"], sort=False))
    with style():
        figure, axes = plt.subplots(
            1, len(blocks), figsize=(4.6 * len(blocks), 3.8), squeeze=False, layout="constrained"
        )
        for axis, ((dataset, protocol), block) in zip(axes.flat, blocks, strict=True):
            axis.fill_between(
                block[over], block["ci_low"], block["ci_high"], color=PALETTE[0], alpha=0.2, lw=0
            )
            axis.plot(block[over], block["mean"], marker="o", color=PALETTE[0])
            axis.axvline(own[str(dataset)], color="0.4", ls="--", lw=1)
            axis.set(xlabel=LABELS[over], ylabel="Test Dice, %", title=f"{dataset}, {protocol}")
            if over == "alpha":
                axis.set_xscale("log")
        figure.suptitle(
            f"{title}\n{block['n_seeds'].min()} seeds; band: 95 % interval over groups;"
            " dashed: the value of the other tables",
            fontsize="medium",
        )
        save(figure, figures)
