"""Figures 2 and 5: test and validation Dice against a setting, and which value each chooses."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from weaklesion.report.figures.style import PALETTE, line_through, save, style
from weaklesion.study.labels import Labels, called

SWEPT = {
    "k": "Number of clusters K",
    "alpha": "Weight of the segmentation loss, alpha",
    "samples": "Number of training images",
}
TEST, VALIDATION = PALETTE[0], PALETTE[1]
# Curve, marker and colour of each criterion of `weaklesion.report.tables.sweep.CHOOSERS`.
CHOICES: dict[str, dict[str, Any]] = {
    "test": {"column": "mean", "marker": "*", "s": 190, "color": TEST},
    "validation_dice": {"column": "val_dice", "marker": "*", "s": 190, "color": VALIDATION},
    "validation_loss": {
        "column": "val_dice", "marker": "s", "s": 110, "facecolors": "none", "color": VALIDATION,
    },
}  # fmt: skip
NAMES = {
    "test": "highest test Dice",
    "validation_dice": "highest validation Dice",
    "validation_loss": "lowest validation loss",
}


def plot_sweep(
    *,
    table_csv: str | Path,
    over: str,
    own: Mapping[str, Mapping[str, float]],
    title: str,
    labels: Labels | None = None,
    figures: Sequence[str | Path],
) -> None:
    """Plot test and validation Dice against a setting that was swept, and mark the chosen values.

    With several protocols, each dataset is a row and each protocol a column. The title of a panel
    gives the values that validation, the test set and the paper chose, and how much higher the test
    Dice is at the value that the test set chose than at the one that the validation loss chose.

    Args:
        table_csv: table of `weaklesion.report.tables.sweep`.
        over: `k`, `alpha` or `samples`; no number of samples is chosen.
        own: dataset and protocol to the arm's own value; infinite for all samples.
        title: the figure's title.
        labels: what the figure calls datasets, see `weaklesion.study.labels.labels_of`.
        figures: files to write.
    """
    table = pd.read_csv(table_csv, keep_default_na=False, na_values=[""])
    blocks = list(table.groupby(["dataset", "protocol"], sort=False))
    protocols = {protocol for (_, protocol), _ in blocks}
    columns = len(protocols) if len(protocols) > 1 else len(blocks)
    rows = math.ceil(len(blocks) / columns)
    with style():
        figure, axes = plt.subplots(
            rows, columns, figsize=(6.2 * columns, 4.2 * rows), squeeze=False, layout="constrained"
        )
        for axis, ((dataset, protocol), block) in zip(axes.flat, blocks, strict=True):
            _draw_curves(axis, block, over)
            value = own[str(dataset)][str(protocol)]
            if math.isfinite(value):
                axis.axvline(value, color="0.4", ls="--", lw=1, label="value of the other tables")
            lines = [f"{called(labels, 'datasets', dataset)}, protocol {protocol}"]
            if over != "samples":
                lines += _draw_choices(axis, block, over)
            axis.set_title("\n".join(lines), fontsize="small")
            axis.set(xlabel=SWEPT[over], ylabel="Dice, %")
            _set_ticks(axis, block[over], over)
        entries: dict[str, Any] = {}  # of all panels: a phantom has no value of the paper
        for axis in axes.flat:
            for handle, name in zip(*axis.get_legend_handles_labels(), strict=True):
                entries.setdefault(name, handle)
        figure.legend(
            entries.values(), entries.keys(), loc="outside lower center", ncol=3, frameon=False
        )
        seeds = table["n_seeds"].min()
        has_band = table["ci_low"].notna().any()
        shape = "band" if len(blocks[0][1]) > 2 else "bars"
        reason = f"no interval: {table['unknown'].iloc[0]}"
        band = f"{shape}: 95 % interval" if has_band else reason
        figure.suptitle(
            f"{title}\n{seeds} seed{'s' if seeds > 1 else ''}; {band}", fontsize="medium"
        )
        save(figure, figures)


def _draw_curves(axis: plt.Axes, block: pd.DataFrame, over: str) -> None:
    line = line_through(len(block))
    low, high = block["ci_low"], block["ci_high"]
    if line == "none":
        bars = np.maximum(0, [block["mean"] - low, high - block["mean"]])
        axis.errorbar(block[over], block["mean"], yerr=bars, ls="none", color=TEST, capsize=4)
    else:
        axis.fill_between(block[over], low, high, color=TEST, alpha=0.2, lw=0)
    axis.plot(block[over], block["mean"], marker="o", ls=line, color=TEST,
              label="test, scored as in the tables")  # fmt: skip
    axis.plot(block[over], block["val_dice"], marker="D", ls=":" if line == "-" else line,
              color=VALIDATION, label="validation, against the training target")  # fmt: skip
    axis.margins(x=0.1, y=0.15)


def _draw_choices(axis: plt.Axes, block: pd.DataFrame, over: str) -> list[str]:
    """Mark the chosen values, and return them in words."""
    if not block["chosen_by_test"].any():
        return ["no test Dice is defined"]
    points = {chooser: block[block[f"chosen_by_{chooser}"]].iloc[0] for chooser in CHOICES}
    for chooser, point in points.items():
        look = dict(CHOICES[chooser])
        height = point[look.pop("column")]
        axis.scatter([point[over]], [height], zorder=3, label=NAMES[chooser], **look)
    gain = points["test"]["mean"] - points["validation_loss"]["mean"]
    dice, loss, test = (
        f"{points[name][over]:g}" for name in ("validation_dice", "validation_loss", "test")
    )
    against = "" if math.isnan(gain) else f" ({gain:+.2f} points against {loss})"
    paper = block["paper_value"].iloc[0]
    if not math.isnan(paper):
        axis.axvline(paper, color="#7a3e00", ls="-.", lw=1, label="the paper's value")
    return [
        f"chosen by validation: {loss} (loss), {dice} (Dice)",
        f"by test: {test}{against}" + ("" if math.isnan(paper) else f"; by the paper: {paper:g}"),
    ]


def _set_ticks(axis: plt.Axes, values: pd.Series, over: str) -> None:
    if over == "k":
        if len(values) < 8:
            axis.set_xticks(sorted(set(values)))
        else:
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        return
    axis.set_xscale("log")
    ticks = sorted(set(values))
    axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks], rotation=45)
    axis.set_xticks([], minor=True)
