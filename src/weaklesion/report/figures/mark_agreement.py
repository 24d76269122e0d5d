"""Test images with their marks and masks, where there is no dense mask to draw."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.lines import Line2D

from weaklesion.data.crops import surroundings
from weaklesion.data.ellipse_table import read_ellipses
from weaklesion.data.samples import read_rows, read_samples
from weaklesion.ellipse import Ellipse
from weaklesion.recist import RECIST_COLUMNS, recist_from_ellipse
from weaklesion.report.figures.arms import case_grid, distinct_colors, outline, save, show, style

MARK_COLOR = "white"
REACH = 0.75  # major axes that are shown on each side of a lesion


def plot_mark_agreement(
    *,
    images_npy: str | Path,
    samples_csv: str | Path,
    ellipses_csv: str | Path,
    masks_csv: str | Path,
    arms: Sequence[Mapping[str, Any]],
    all_arms: Sequence[str],
    channel_order: str,
    ranked_by: str,
    num_images: int,
    title: str,
    figures: Sequence[str | Path],
) -> None:
    """Draw test images with the mark, its ellipse and the contour of each arm's mask.

    A row each: the images whose mask, of one arm, agrees least with the mark, those about the
    median, and those on which the arms' masks differ most.

    Args:
        images_npy: patches, (N, H, W, 3) uint8.
        samples_csv: the N samples, with the marks.
        ellipses_csv: ellipses of the marks.
        masks_csv: of `weaklesion.report.tables.mark_agreement.tabulate_mark_agreement`.
        arms: dataset, protocol, arm, seed, and the paths `predictions` and `ids`, of one run each.
        all_arms: all arms of the configuration, for their colours.
        channel_order: see `weaklesion.report.figures.arms.show`.
        ranked_by: arm by whose agreement images are chosen.
        num_images: number of images of a row.
        title: the figure's title.
        figures: files to write.
    """
    samples = read_samples(samples_csv)
    ids = list(samples.index[samples["split"] == "test"])
    masks = {run["arm"]: read_rows(run["predictions"], run["ids"], ids) > 0 for run in arms}
    measured = pd.read_csv(masks_csv, dtype={"id": str})
    agreement = pd.DataFrame({run["arm"]: _agreement(measured, run) for run in arms}).loc[ids]
    overlap = pd.Series(overlaps(list(masks.values())), index=ids)
    cases = choose_cases(agreement[ranked_by], overlap, ranked_by, num_images)
    chosen = [name for names in cases.values() for name in names]
    images = read_rows(images_npy, samples_csv, chosen)
    place_of = {name: place for place, name in enumerate(ids)}
    ellipses = read_ellipses(ellipses_csv)
    colors = distinct_colors(list(masks), all_arms)
    with style():
        figure, axes = case_grid(cases, images[0].shape)
        for axis, image, name in zip(axes.flat, images, chosen, strict=True):
            show(axis, image, channel_order)
            for arm, of_arm in masks.items():
                outline(axis, of_arm[place_of[name]], colors[arm], 1.4)
            points = samples.loc[name, RECIST_COLUMNS].to_numpy(float).reshape(4, 2)
            _draw_mark(axis, points, ellipses[name])
            rows, columns = surroundings(ellipses[name], REACH)
            axis.set_xlim(columns.start - 0.5, min(columns.stop, image.shape[1]) - 0.5)
            axis.set_ylim(min(rows.stop, image.shape[0]) - 0.5, rows.start - 0.5)
            shown = " ".join(f"{100 * agreement.loc[name, arm]:.0f}" for arm in masks)
            axis.set_title(f"{name}\n{shown}", fontsize=7)
        handles = [
            Line2D([], [], color="0.75", lw=1.2, label="mark (white)"),
            Line2D([], [], color="0.75", lw=1.2, ls="--", label="its ellipse (white)"),
            *(Line2D([], [], color=colors[arm], label=arm) for arm in masks),
        ]
        figure.legend(handles=handles, loc="outside lower center", ncol=3, frameon=False)
        names = ", ".join(masks)
        figure.suptitle(f"{title}\nAbove each image the agreement with the mark, %: {names}")
        save(figure, figures)


def _agreement(measured: pd.DataFrame, run: Mapping[str, Any]) -> pd.Series:
    same = [measured[key] == run[key] for key in ("dataset", "protocol", "arm", "seed")]
    return measured[np.logical_and.reduce(same)].set_index("id")["agreement"]


def overlaps(masks: Sequence[np.ndarray]) -> np.ndarray:
    """Return how far several arms' masks of each image are the same.

    Args:
        masks: of each arm, (N, H, W) bool.

    Returns:
        (N,) area that all have in common over that which any has; 1 where all are empty.
    """
    common = np.logical_and.reduce(masks).sum(axis=(1, 2))
    union = np.logical_or.reduce(masks).sum(axis=(1, 2))
    return np.where(union > 0, common / np.maximum(union, 1), 1.0)


def choose_cases(
    agreement: pd.Series, overlap: pd.Series, ranked_by: str, per_case: int
) -> dict[str, list[str]]:
    """Choose images to show, by a stated rule.

    Args:
        agreement: of one arm's mask of each image with its mark.
        overlap: see `overlaps`, of the same images.
        ranked_by: the arm.
        per_case: images a case; fewer where there are not as many.

    Returns:
        Case to ids; an image may stand for more than one.
    """
    order = agreement.sort_values(kind="stable").index
    count = min(per_case, len(order))
    middle = (len(order) - count) // 2
    return {
        f"{ranked_by} agrees least": list(order[:count]),
        f"median of {ranked_by}": list(order[middle : middle + count]),
        "masks differ most": list(overlap.sort_values(kind="stable").index[:count]),
    }


def _draw_mark(axis: plt.Axes, points: np.ndarray, ellipse: Ellipse) -> None:
    for ends in (points[:2], points[2:]):
        axis.plot(ends[:, 0], ends[:, 1], color=MARK_COLOR, lw=0.9)
    axes = recist_from_ellipse(ellipse)
    center = axes.mean(axis=0)
    t = np.linspace(0, 2 * np.pi, 121)[:, None]
    curve = center + np.cos(t) * (axes[1] - center) + np.sin(t) * (axes[3] - center)
    axis.plot(curve[:, 0], curve[:, 1], color=MARK_COLOR, lw=0.9, ls="--")
