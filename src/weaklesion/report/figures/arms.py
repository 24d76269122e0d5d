"""Figures of arms: training curves, contours on test images, and Dice against hours."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from weaklesion.data.samples import read_rows
from weaklesion.report.durations import time_unit
from weaklesion.report.figures.patches import case_grid, outline, score_lines, show
from weaklesion.report.figures.style import (
    DARK_LEGEND,
    MARKERS,
    REFERENCE_COLOR,
    arm_colors,
    contour_looks,
    distinct_colors,
    save,
    style,
)
from weaklesion.study.labels import Labels, called, network_in_words

Outline = tuple[np.ndarray, dict[str, Any], float]  # mask, look, and width in points


def plot_training_curves(
    *,
    runs: Sequence[Mapping[str, Any]],
    all_arms: Sequence[str],
    title: str,
    labels: Labels | None = None,
    figures: Sequence[str | Path],
) -> None:
    """Plot losses and Dice over the epochs, one line per seed.

    Args:
        runs: `arm`, `seed` and `history` (path of history.csv) of each run.
        all_arms: all arms of the configuration, for their colours.
        title: the figure's title.
        labels: what the figure calls arms, see `weaklesion.study.labels.labels_of`.
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
        "val_dice": "Validation Dice\nagainst the target",
    }
    arms = list(dict.fromkeys(histories["arm"]))
    colors = distinct_colors(arms, all_arms)
    looks: dict[str, dict[str, Any]] = {
        arm: {"color": colors[arm], "marker": MARKERS[place % len(MARKERS)], "ms": 4}
        for place, arm in enumerate(arms)
    }
    with style():
        figure, axes = plt.subplots(1, 3, figsize=(12, 4.2), layout="constrained")
        for axis, (column, label) in zip(axes, panels.items(), strict=True):
            for (arm, _), history in histories.groupby(["arm", "seed"], sort=False):
                axis.plot(history["epoch"], history[column], **looks[str(arm)])
            axis.set(xlabel="Epoch", title=label)
            axis.xaxis.get_major_locator().set_params(integer=True)
        handles = [
            Line2D([], [], label=called(labels, "arms", arm), **look) for arm, look in looks.items()
        ]
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
    labels: Labels | None = None,
    figures: Sequence[str | Path],
    strip_png: str | Path,
) -> None:
    """Draw test images with the contours of the reference and of each arm.

    One row each shows the images with the worst Dice of the arm `ranked_by`, with its median Dice,
    with its best Dice, and those on which the networks differ most. An image for which the arm's
    Dice is undefined, because reference and prediction are empty, is not drawn. The strip has the
    worst image of all, the median one and the best one.

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
        labels: what the figure calls arms, see `weaklesion.study.labels.labels_of`.
        figures: files to write.
        strip_png: written: a strip of few images, for the front page.
    """
    dice = {arm["arm"]: _dice_by_id(arm["scores"]) for arm in arms}
    networks = [arm["arm"] for arm in arms if arm["network"] != "no network"]
    label = called(labels, "arms", ranked_by)
    cases = choose_cases(pd.DataFrame(dice)[networks], ranked_by, num_images, label)
    shown_ids = [name for names in cases.values() for name in names]
    images = dict(zip(shown_ids, read_rows(images_npy, samples_csv, shown_ids), strict=True))
    looks = contour_looks(list(dice), all_arms)
    references = read_rows(reference_npy, reference_ids_csv, shown_ids)
    masks: dict[str, list[Outline]] = {
        name: [(mask, {"color": REFERENCE_COLOR}, 2.2)]
        for name, mask in zip(shown_ids, references, strict=True)
    }
    for arm in arms:
        of_arm = read_rows(arm["predictions"], arm["ids"], shown_ids)
        for name, mask in zip(shown_ids, of_arm, strict=True):
            masks[name].append((mask, looks[arm["arm"]], 1.2))

    def draw(rows: Mapping[str, Sequence[str]], titles: Sequence[str], width_in: float) -> Figure:
        figure, axes = case_grid(rows, images[shown_ids[0]].shape, len(dice), width_in)
        names = [name for ids in rows.values() for name in ids]
        for axis, name, text in zip(axes.flat, names, titles, strict=True):
            show(axis, images[name], channel_order)
            for mask, look, width in masks[name]:
                outline(axis, mask, width=width, **look)
            axis.set_title(text, fontsize=9)
            scores = {arm: of_arm[name] for arm, of_arm in dice.items()}
            score_lines(axis, scores, looks, labels, width_in)
        return figure

    lines = [Line2D([], [], color=REFERENCE_COLOR, lw=2.2, label=f"{reference_name} (white)")]
    for arm in arms:
        text = called(labels, "arms", arm["arm"])
        if arm["network"] != "no network":
            text += f": {network_in_words(arm['network'])}"
        lines.append(Line2D([], [], **looks[arm["arm"]], label=text))
    strip = dict(zip(cases, strip_ids(list(cases.values())), strict=False))
    with style():
        # 1,200 px wide: half the bytes, and text of 12 px
        with plt.rc_context({"figure.dpi": 100}):
            figure = draw(cases, shown_ids, 2.4)
        figure.legend(handles=lines, loc="outside lower left", ncol=2, **DARK_LEGEND)
        figure.suptitle(f"{title}\nUnder each image the Dice of each arm")
        save(figure, figures)
        save(draw({"": list(strip.values())}, list(strip), 1.5), [strip_png])


def choose_cases(
    dice: pd.DataFrame, ranked_by: str, per_case: int, label: str | None = None
) -> dict[str, list[str]]:
    """Choose samples to show: the worst, the middle, the best, and those that differ most.

    Args:
        dice: Dice of each sample (rows) and network (columns); samples for which the Dice of
            `ranked_by` is undefined are not chosen.
        ranked_by: arm whose Dice ranks the samples.
        per_case: samples per case; fewer if fewer than four times as many exist.
        label: what readers call that arm; its name by default.

    Returns:
        Case to sample ids; one network alone has none that differ. No sample belongs to two cases,
        and a case for which none is left is absent; those that differ most are the ones among
        samples that the other cases lack.
    """
    label = label or ranked_by
    dice = dice[dice[ranked_by].notna()]
    order = list(dice[ranked_by].sort_values(kind="stable").index)
    count = min(per_case, max(1, len(order) // 4))
    worst, rest = order[:count], order[count:]
    best, rest = rest[max(0, len(rest) - count) :], rest[: max(0, len(rest) - count)]
    first = max(0, len(rest) - count) // 2
    middle, rest = rest[first : first + count], rest[:first] + rest[first + count :]
    spread = (dice.max(axis=1) - dice.min(axis=1)).loc[rest if dice.shape[1] > 1 else []]
    cases = {
        f"Worst of {label}": worst,
        f"Median of {label}": middle,
        f"Best of {label}": best,
        "Networks differ most": list(spread.sort_values(ascending=False, kind="stable").index),
    }
    return {case: ids[:count] for case, ids in cases.items() if ids}


def strip_ids(cases: Sequence[Sequence[str]]) -> list[str]:
    """Return the worst sample of all, the median one and the best one.

    Args:
        cases: ids of the worst, the median and the best samples, each in the order of their scores,
            as `choose_cases` returns them; later ones may be absent.

    >>> strip_ids([["a", "b", "c"], ["d", "e", "f"], ["g", "h", "i"], ["f", "d"]])
    ['a', 'e', 'i']
    """
    places = (0, len(cases[0]) // 2, -1)
    return [ids[place] for ids, place in zip(cases, places, strict=False)]


def _dice_by_id(scores_csv: str | Path) -> pd.Series:
    scores = pd.read_csv(scores_csv, dtype={"id": str})
    return scores[scores["metric"] == "dice"].set_index("id")["value"]


def plot_cost(
    *,
    table_csv: str | Path,
    all_arms: Sequence[str],
    title: str,
    labels: Labels | None = None,
    figures: Sequence[str | Path],
) -> None:
    """Plot the test Dice of each arm against the time of one training.

    Args:
        table_csv: table of `weaklesion.report.tables.cost`.
        all_arms: all arms of the configuration, for their colours.
        title: the figure's title.
        labels: what the figure calls datasets and arms, see `weaklesion.study.labels.labels_of`.
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
            unit, factor = time_unit(float(block["hours"].max()))
            for number, row in enumerate(block.to_dict("records")):
                epochs = "1 epoch" if row["epochs"] == 1 else f"{row['epochs']:.0f} epochs"
                axis.errorbar(
                    factor * row["hours"],
                    row["dice"],
                    xerr=factor * row["hours_std"],
                    yerr=row["dice_std"],
                    color=colors[row["arm"]],
                    marker=MARKERS[number % len(MARKERS)],
                    markersize=7,
                    capsize=3,
                    label=f"{called(labels, 'arms', row['arm'])} ({epochs})",
                )
            axis.set(xlabel=f"Time of one training, {unit}", ylabel="Test Dice, %")
            axis.set_title(f"{called(labels, 'datasets', dataset)}, protocol {protocol}")
            _fit_dice(axis, block["dice"], block["dice_std"])
            axis.margins(x=0.2)
            axis.legend(fontsize="small")
        for axis in axes.flat[len(blocks) :]:
            axis.set_axis_off()
        figure.suptitle(f"{title}\nbars: standard deviation over seeds", fontsize="medium")
        save(figure, figures)


def _fit_dice(axis: plt.Axes, dice: pd.Series, std: pd.Series) -> None:
    """Limit the axis of Dice to its values and bars, with a margin, about 0 to 100 at most."""
    low, high = (dice - std.fillna(0)).min(), (dice + std.fillna(0)).max()
    margin = max(0.15 * (high - low), 1.0)
    axis.set_ylim(max(-1.0, low - margin), min(101.0, high + margin))
