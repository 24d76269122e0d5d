"""The figure of the Dice of each test image under two arms."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd

from weaklesion.report.figures.style import PALETTE, save, style
from weaklesion.scoring.statistics import UndefinedPolicy, resolve_undefined
from weaklesion.study.labels import Labels, called


def plot_scatter(
    *,
    runs: Sequence[Mapping[str, Any]],
    baseline: str,
    undefined: UndefinedPolicy,
    title: str,
    labels: Labels | None = None,
    figures: Sequence[str | Path],
) -> None:
    """Plot each test image's Dice under an arm against that under the baseline, a panel per arm.

    Args:
        runs: `arm`, `seed`, and the path `scores` of each run of one dataset and protocol.
        baseline: arm of the horizontal axis.
        undefined: what an undefined Dice counts as, see
            `weaklesion.scoring.statistics.resolve_undefined`.
        title: the figure's title.
        labels: what the figure calls arms, see `weaklesion.study.labels.labels_of`.
        figures: files to write.
    """
    dice = image_dice(runs, undefined)
    others = [arm for arm in dice if arm != baseline]
    columns = min(3, len(others))
    rows = -(-len(others) // columns)
    low = max(-3.0, dice.min().min() - 3)  # below 0, so that points of empty masks are whole
    base = called(labels, "arms", baseline)
    with style():
        figure, axes = plt.subplots(
            rows, columns, figsize=(4.6 * columns, 4.9 * rows), squeeze=False, layout="constrained"
        )
        for axis, arm in zip(axes.flat, others, strict=False):
            name = called(labels, "arms", arm)
            pairs = dice[[baseline, arm]].dropna()
            above, below = counts(pairs[arm], pairs[baseline])
            axis.plot([low, 100], [low, 100], color="0.4", lw=1, zorder=1)
            axis.scatter(pairs[baseline], pairs[arm], s=16, color=PALETTE[0], alpha=0.6, lw=0)
            axis.set(xlim=(low, 101), ylim=(low, 101), aspect="equal")
            axis.set(xlabel=f"Dice of {base}, %", ylabel=f"Dice of {name}, %")
            equal = len(pairs) - above - below
            axis.set_title(
                f"{name} is better on {above} of {len(pairs)} images,\n"
                f"{base} on {below}" + (f", neither on {equal}" if equal else "")
            )
        for axis in axes.flat[len(others) :]:
            axis.set_axis_off()
        figure.suptitle(f"{title}: one point per test image, means over seeds")
        save(figure, figures)


def image_dice(runs: Sequence[Mapping[str, Any]], undefined: UndefinedPolicy) -> pd.DataFrame:
    """Return each test image's Dice in percent, a mean over the seeds that all arms have.

    Args:
        runs: see `plot_scatter`.
        undefined: see `plot_scatter`.

    Returns:
        One row per image id, one column per arm; nan where the Dice is left undefined.
    """
    seeds: dict[str, set[int]] = {}
    for run in runs:
        seeds.setdefault(run["arm"], set()).add(run["seed"])
    shared = set.intersection(*seeds.values())
    tables = [
        pd.read_csv(run["scores"], dtype={"id": str}) for run in runs if run["seed"] in shared
    ]
    scores = pd.concat(table[table["metric"] == "dice"] for table in tables)
    resolved = resolve_undefined(scores.reset_index(drop=True), undefined)
    by_arm = 100 * resolved.pivot_table(index="id", columns="arm", values="value")
    return by_arm[list(seeds)]


def counts(arm: pd.Series, baseline: pd.Series) -> tuple[int, int]:
    """Return on how many images an arm is above and below its baseline, as scores are written.

    >>> counts(pd.Series([90.0, 80.0, 70.0]), pd.Series([80.0, 80.0, 90.0]))
    (1, 1)
    """
    difference = (arm - baseline).round(6)
    return int((difference > 0).sum()), int((difference < 0).sum())
