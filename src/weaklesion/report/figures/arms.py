"""Figures of arms: training curves, contours on test images, and Dice against hours."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.lines import Line2D

from weaklesion.data.samples import read_rows
from weaklesion.report.figures.patches import case_grid, outline, show
from weaklesion.report.figures.style import (
    MARKERS,
    REFERENCE_COLOR,
    arm_colors,
    distinct_colors,
    save,
    style,
)


def plot_training_curves(
    *,
    runs: Sequence[Mapping[str, Any]],
    all_arms: Sequence[str],
    title: str,
    figures: Sequence[str | Path],
) -> None:
    """Plot losses and Dice over the epochs, one line per seed.

    Args:
        runs: `arm`, `seed` and `history` (path of history.csv) of each run.
        all_arms: all arms of the configuration, for their colours.
        title: the figure's title.
        figures: files to write.
    """
    histories = pd.concat(
        [pd.read_csv(run["history"]).assign(arm=run["arm"], seed=run["seed"]) for run in runs],
        ignore_index=True,
    )
    histories["epoch"] += 1
    panels = {
        "train_segmentation_loss": "Training loss (BCE)",
        "val_segmentation_loss": "Validation loss (BCE)",
        "val_dice": "Validation Dice against the target",
    }
    arms = list(dict.fromkeys(histories["arm"]))
    colors = distinct_colors(arms, all_arms)
    with style():
        figure, axes = plt.subplots(1, 3, figsize=(12, 3.8), layout="constrained")
        for axis, (column, label) in zip(axes, panels.items(), strict=True):
            for (arm, _), history in histories.groupby(["arm", "seed"], sort=False):
                axis.plot(history["epoch"], history[column], "o-", ms=4, color=colors[str(arm)])
            axis.set(xlabel="Epoch", title=label)
            axis.xaxis.get_major_locator().set_params(integer=True)
        handles = [Line2D([], [], marker="o", ms=4, color=colors[arm], label=arm) for arm in arms]
        figure.legend(handles=handles, loc="outside lower center", ncol=min(6, len(arms)))
        figure.suptitle(title)
        save(figure, figures)


def plot_contours(
    *,
    images_npy: str | Path,
    reference_npy: str | Path,
    reference_ids_csv: str | Path,
    reference_name: str,
    samples_csv: str | Path,
    channel_order: str,
    all_arms: Sequence[str],
    arms: Sequence[Mapping[str, Any]],
    ranked_by: str,
    num_images: int,
    title: str,
    figures: Sequence[str | Path],
) -> None:
    """Draw test images with the contours of the reference and of each arm.

    One row each shows the images with the worst Dice of the arm `ranked_by`, with its median Dice,
    with its best Dice, and those on which the networks differ most. An image for which the arm's
    Dice is undefined, because reference and prediction are empty, is not drawn.

    Args:
        images_npy: patches, (N, H, W, 3) uint8.
        reference_npy: (N, H, W) uint8 of 0 and 1.
        reference_ids_csv: `id` of each reference.
        reference_name: name of the references, for the legend.
        samples_csv: the N samples.
        channel_order: see `weaklesion.report.figures.patches.show`.
        all_arms: all arms of the configuration, for their colours.
        arms: one run per arm: `arm` (its name), `network` (or `no network`), and the paths
            `predictions` (predictions.npy), `ids` (predictions.csv) and `scores` (scores.csv).
        ranked_by: arm by whose Dice the images are chosen.
        num_images: number of images per row.
        title: the figure's title.
        figures: files to write.
    """
    dice = {arm["arm"]: _dice_by_id(arm["scores"]) for arm in arms}
    networks = [arm["arm"] for arm in arms if arm["network"] != "no network"]
    cases = choose_cases(pd.DataFrame(dice)[networks], ranked_by, num_images)
    shown_ids = [name for names in cases.values() for name in names]
    images = read_rows(images_npy, samples_csv, shown_ids)
    references = read_rows(reference_npy, reference_ids_csv, shown_ids)
    masks = {arm["arm"]: read_rows(arm["predictions"], arm["ids"], shown_ids) for arm in arms}
    palette = distinct_colors(list(dice), all_arms)
    colors = {arm: palette[arm] for arm in dice}
    with style():
        figure, axes = case_grid(cases, images[0].shape)
        for index, (axis, sample_id) in enumerate(zip(axes.flat, shown_ids, strict=True)):
            show(axis, images[index], channel_order)
            outline(axis, references[index], REFERENCE_COLOR, 2.2)
            for arm, of_arm in masks.items():
                outline(axis, of_arm[index], colors[arm], 1.2)
            values = [of_arm[sample_id] for of_arm in dice.values()]
            scores = " ".join("none" if math.isnan(value) else f"{value:.2f}" for value in values)
            axis.set_title(f"{sample_id}\n{scores}", fontsize=7)
        handles = [Line2D([], [], color="0.75", lw=2.2, label=f"{reference_name} (white)")]
        handles += [Line2D([], [], color=color, label=arm) for arm, color in colors.items()]
        figure.legend(handles=handles, loc="outside lower center", ncol=len(handles), frameon=False)
        figure.suptitle(f"{title}\nAbove each image the Dice of {', '.join(dice)}")
        save(figure, figures)


def choose_cases(dice: pd.DataFrame, ranked_by: str, per_case: int) -> dict[str, list[str]]:
    """Choose samples to show: the worst, the middle, the best, and those that differ most.

    Args:
        dice: Dice of each sample (rows) and network (columns); samples for which the Dice of
            `ranked_by` is undefined are not chosen.
        ranked_by: arm whose Dice ranks the samples.
        per_case: samples per case; fewer if fewer exist.

    Returns:
        Case to sample ids; a sample may belong to several cases.
    """
    dice = dice[dice[ranked_by].notna()]
    order = dice[ranked_by].sort_values(kind="stable").index
    count = min(per_case, len(order))
    middle = (len(order) - count) // 2
    spread = (dice.max(axis=1) - dice.min(axis=1)).sort_values(ascending=False, kind="stable")
    return {
        f"worst of {ranked_by}": list(order[:count]),
        f"median of {ranked_by}": list(order[middle : middle + count]),
        f"best of {ranked_by}": list(order[len(order) - count :]),
        "networks differ most": list(spread.index[:count]),
    }


def _dice_by_id(scores_csv: str | Path) -> pd.Series:
    scores = pd.read_csv(scores_csv, dtype={"id": str})
    return scores[scores["metric"] == "dice"].set_index("id")["value"]


def plot_cost(
    *, table_csv: str | Path, all_arms: Sequence[str], title: str, figures: Sequence[str | Path]
) -> None:
    """Plot the test Dice of each arm against the hours of one training.

    Args:
        table_csv: table of `weaklesion.report.tables.cost`.
        all_arms: all arms of the configuration, for their colours.
        title: the figure's title.
        figures: files to write.
    """
    blocks = list(pd.read_csv(table_csv).groupby(["dataset", "protocol"], sort=False))
    colors = arm_colors(all_arms)
    columns = min(3, len(blocks))
    rows = -(-len(blocks) // columns)
    with style():
        figure, axes = plt.subplots(
            rows, columns, figsize=(4.6 * columns, 3.8 * rows), squeeze=False, layout="constrained"
        )
        for axis, ((dataset, protocol), block) in zip(axes.flat, blocks, strict=False):
            for number, row in enumerate(block.to_dict("records")):
                axis.errorbar(
                    row["hours"],
                    row["dice"],
                    xerr=row["hours_std"],
                    yerr=row["dice_std"],
                    color=colors[row["arm"]],
                    marker=MARKERS[number % len(MARKERS)],
                    markersize=7,
                    capsize=3,
                    label=f"{row['arm']} ({row['epochs']:.0f} epochs)",
                )
            axis.set(xlabel="Hours of one training", ylabel="Test Dice, %")
            axis.set_title(f"{dataset}, {protocol}")
            axis.margins(0.2)
            axis.legend(fontsize="small")
        for axis in axes.flat[len(blocks) :]:
            axis.set_axis_off()
        figure.suptitle(f"{title}\nbars: standard deviation over seeds", fontsize="medium")
        save(figure, figures)
