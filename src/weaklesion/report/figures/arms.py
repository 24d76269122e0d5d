"""Figures, all in one style that reads in print and to the colour-blind."""

import logging
import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from weaklesion.data.samples import read_rows
from weaklesion.support.files import written_whole

logger = logging.getLogger(__name__)

MARKERS = "osD^vPX*"  # so that arms differ without their colour

PALETTE = sns.color_palette("colorblind")
REFERENCE_COLOR = "white"


def arm_colors(arms: Sequence[str]) -> dict[str, Any]:
    """Return one colour an arm; an arm has the same one in every figure of a study.

    Args:
        arms: all arms of the configuration, in its order.
    """
    return {arm: PALETTE[index % len(PALETTE)] for index, arm in enumerate(arms)}


def distinct_colors(arms: Sequence[str], all_arms: Sequence[str]) -> dict[str, Any]:
    """Return colours that tell the arms of one figure apart.

    They are those of all other figures, where each of these arms has one that no other arm has;
    else the palette's first ones.

    Args:
        arms: arms of the figure, at most as many as the palette has colours.
        all_arms: all arms of the configuration, in its order.
    """
    has_own = set(arms) <= set(all_arms[: len(PALETTE)])
    return arm_colors(all_arms if has_own else arms)


@contextmanager
def style() -> Iterator[None]:
    """Apply the project's style; text stays text in SVG, and files do not carry the date."""
    settings: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": "weaklesion",
        "figure.dpi": 150,
        "axes.titlesize": "medium",
    }
    with (
        sns.axes_style("whitegrid"),
        sns.plotting_context("notebook", font_scale=0.9),
        plt.rc_context(settings),
    ):
        yield


def save(figure: Figure, paths: Sequence[str | Path]) -> None:
    """Write a figure to every path, in the format of its suffix; its title is the text for it."""
    title = {"Title": figure.get_suptitle().replace("\n", ". ")}
    for path in paths:
        no_date = {"Date": None} if Path(path).suffix == ".svg" else {}
        with written_whole(path) as beside:
            figure.savefig(beside, bbox_inches="tight", metadata={**title, **no_date})
        logger.info("drew %s", path)
    plt.close(figure)


def plot_training_curves(
    *,
    runs: Sequence[Mapping[str, Any]],
    all_arms: Sequence[str],
    title: str,
    figures: Sequence[str | Path],
) -> None:
    """Plot losses and Dice over the epochs, a line a seed.

    Args:
        all_arms: all arms of the configuration, for their colours.
        runs: `arm`, `seed` and `history` (path of history.csv) of each run.
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
    with style():
        figure, axes = plt.subplots(1, 3, figsize=(12, 3.6))
        for axis, (column, label) in zip(axes, panels.items(), strict=True):
            sns.lineplot(
                histories,
                x="epoch",
                y=column,
                hue="arm",
                units="seed",
                estimator=None,
                palette=arm_colors(all_arms),
                marker="o",
                markersize=4,
                ax=axis,
                legend=axis is axes[0],
            )
            axis.set(xlabel="Epoch", ylabel=label)
            axis.xaxis.get_major_locator().set_params(integer=True)
        axes[0].legend(title=None)
        figure.suptitle(title)
        figure.tight_layout()
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

    A row each: the worst of one arm's Dice, those about its median, its best, and those on which
    the networks differ most. An image for which that arm's Dice is undefined, because reference and
    prediction are empty, is not drawn.

    Args:
        images_npy: patches, (N, H, W, 3) uint8.
        reference_npy: (N, H, W) uint8 of 0 and 1.
        reference_ids_csv: `id` of each reference.
        reference_name: what the references are, for the legend.
        samples_csv: the N samples.
        channel_order: `rgb` or `bgr`, of the patches; `center` shows the middle channel in grey.
        all_arms: all arms of the configuration, for their colours.
        arms: `arm` (its name), `network` (or `no network`), `predictions` (path of
            predictions.npy), `ids` (path of predictions.csv) and `scores` (path of scores.csv), of
            one run each.
        ranked_by: name of the arm by whose Dice the images are chosen.
        num_images: number of images of a row.
        title: the figure's title.
        figures: files to write.
    """
    dice = {arm["arm"]: _dice_by_id(arm["scores"]) for arm in arms}
    networks = [arm["arm"] for arm in arms if arm["network"] != "no network"]
    cases = choose_cases(pd.DataFrame(dice)[networks], ranked_by, num_images)
    chosen = [name for names in cases.values() for name in names]
    images = read_rows(images_npy, samples_csv, chosen)
    references = read_rows(reference_npy, reference_ids_csv, chosen)
    masks = {arm["arm"]: read_rows(arm["predictions"], arm["ids"], chosen) for arm in arms}
    colors = distinct_colors([arm["arm"] for arm in arms], all_arms)
    with style():
        figure, axes = case_grid(cases, images[0].shape)
        for index, (axis, sample_id) in enumerate(zip(axes.flat, chosen, strict=True)):
            show(axis, images[index], channel_order)
            outline(axis, references[index], REFERENCE_COLOR, 2.2)
            for arm in arms:
                outline(axis, masks[arm["arm"]][index], colors[arm["arm"]], 1.2)
            values = [dice[arm["arm"]][sample_id] for arm in arms]
            scores = " ".join("none" if math.isnan(value) else f"{value:.2f}" for value in values)
            axis.set_title(f"{sample_id}\n{scores}", fontsize=7)
        handles = [Line2D([], [], color="0.75", lw=2.2, label=f"{reference_name} (white)")]
        handles += [Line2D([], [], color=colors[arm["arm"]], label=arm["arm"]) for arm in arms]
        figure.legend(handles=handles, loc="outside lower center", ncol=len(handles), frameon=False)
        names = ", ".join(arm["arm"] for arm in arms)
        figure.suptitle(f"{title}\nAbove each image the Dice of {names}")
        save(figure, figures)


def case_grid(
    cases: Mapping[str, Sequence[str]], image_shape: tuple[int, ...]
) -> tuple[Figure, np.ndarray]:
    """Return a figure and its (cases, images) axes for images, a labelled row a case.

    Args:
        cases: label to the ids of its images, equally many of each.
        image_shape: height and width of an image, px, first.
    """
    rows, columns = len(cases), len(next(iter(cases.values())))
    height_in = 2.4 * image_shape[0] / image_shape[1] + 0.4  # with a title
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(2.4 * columns, height_in * rows + 1.1),
        squeeze=False,
        layout="constrained",
    )
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, case in zip(axes[:, 0], cases, strict=True):
        lines = textwrap.fill(case, max(20, *map(len, case.split())))
        axis.text(-0.06, 0.5, lines, rotation=90, va="center", ha="right",
                  multialignment="center", transform=axis.transAxes)  # fmt: skip
    return figure, axes


def choose_cases(dice: pd.DataFrame, ranked_by: str, per_case: int) -> dict[str, list[str]]:
    """Choose samples to show, by a stated rule.

    Args:
        dice: Dice of each sample (rows) and network (columns); samples for which that of
            `ranked_by` is undefined are not chosen.
        ranked_by: arm by which the worst, the middle and the best are told.
        per_case: samples a case; fewer where there are not as many.

    Returns:
        Case to sample ids; a sample may stand for more than one.
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


def show(axis: plt.Axes, image: np.ndarray, channel_order: str) -> None:
    """Draw a patch: in its colours, or its middle channel in grey for `center`."""
    if channel_order == "center":
        image = image[:, :, 1]
    elif channel_order == "bgr":
        image = image[:, :, ::-1]
    axis.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="bilinear")


def _dice_by_id(scores_csv: str | Path) -> pd.Series:
    scores = pd.read_csv(scores_csv, dtype={"id": str})
    return scores[scores["metric"] == "dice"].set_index("id")["value"]


def outline(axis: plt.Axes, mask: np.ndarray, color: Any, width: float) -> None:
    """Draw a mask's contour; padded, so that it closes along the image's frame."""
    padded = np.pad(mask.astype(float), 1)
    coordinates = np.arange(-1, mask.shape[0] + 1), np.arange(-1, mask.shape[1] + 1)
    if mask.any():
        axis.contour(
            coordinates[1], coordinates[0], padded, levels=[0.5], colors=[color], linewidths=width
        )
    axis.set_xlim(-0.5, mask.shape[1] - 0.5)
    axis.set_ylim(mask.shape[0] - 0.5, -0.5)


def plot_cost(
    *, table_csv: str | Path, all_arms: Sequence[str], title: str, figures: Sequence[str | Path]
) -> None:
    """Plot the test Dice of each arm against the hours of one training.

    Args:
        table_csv: a row an arm, see `weaklesion.report.tables.cost`.
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
