"""Test images with their marks and predicted masks, for datasets without dense masks."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from weaklesion.data.crops import surroundings
from weaklesion.data.ellipse_table import read_ellipses
from weaklesion.data.samples import read_rows, read_samples
from weaklesion.ellipse import Ellipse
from weaklesion.recist import RECIST_COLUMNS
from weaklesion.report.figures.patches import case_grid, outline, score_lines, show
from weaklesion.report.figures.style import DARK_LEGEND, contour_looks, save, style
from weaklesion.study.labels import Labels, called

MARK_COLOR = "white"
COLUMN_IN = 2.4  # width of an image
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
    labels: Labels | None = None,
    figures: Sequence[str | Path],
) -> None:
    """Draw test images with the mark, its ellipse and the contour of each arm's mask.

    One row each shows the images on which the mask of the arm `ranked_by` agrees least with the
    mark, those with its median agreement, and those on which the arms' masks differ most.

    Args:
        images_npy: patches, (N, H, W, 3) uint8.
        samples_csv: the N samples, with the marks.
        ellipses_csv: ellipses of the marks.
        masks_csv: table by mask, see `weaklesion.report.tables.mark_agreement`.
        arms: one run per arm: dataset, protocol, arm, seed, and the paths `predictions` and `ids`.
        all_arms: all arms of the configuration, for their colours.
        channel_order: see `weaklesion.report.figures.patches.show`.
        ranked_by: arm by whose agreement images are chosen.
        num_images: number of images per row.
        title: the figure's title.
        labels: what the figure calls arms, see `weaklesion.study.labels.labels_of`.
        figures: files to write.
    """
    samples = read_samples(samples_csv)
    ids = list(samples.index[samples["split"] == "test"])
    masks = {run["arm"]: read_rows(run["predictions"], run["ids"], ids) > 0 for run in arms}
    table = pd.read_csv(masks_csv, dtype={"id": str})
    agreement = pd.DataFrame({run["arm"]: _agreement(table, run) for run in arms}).loc[ids]
    overlap = pd.Series(overlaps(list(masks.values())), index=ids)
    label = called(labels, "arms", ranked_by)
    cases = choose_cases(agreement[ranked_by], overlap, label, num_images)
    shown_ids = [name for names in cases.values() for name in names]
    images = read_rows(images_npy, samples_csv, shown_ids)
    index_of = {name: index for index, name in enumerate(ids)}
    ellipses = read_ellipses(ellipses_csv)
    looks = contour_looks(list(masks), all_arms)
    with style():
        figure, axes = case_grid(cases, images[0].shape, len(masks), COLUMN_IN)
        for axis, image, name in zip(axes.flat, images, shown_ids, strict=True):
            show(axis, image, channel_order)
            for arm, of_arm in masks.items():
                outline(axis, of_arm[index_of[name]], width=1.4, **looks[arm])
            points = samples.loc[name, RECIST_COLUMNS].to_numpy(float).reshape(4, 2)
            _draw_mark(axis, points, ellipses[name])
            _zoom(axis, ellipses[name], image.shape)
            axis.set_title(name, fontsize=9)
            of_image = {arm: float(agreement[arm][name]) for arm in masks}
            score_lines(axis, of_image, looks, labels, COLUMN_IN)
        _add_legend(figure, {called(labels, "arms", arm): looks[arm] for arm in masks})
        figure.suptitle(f"{title}\nUnder each image the agreement of each arm's mask with the mark")
        save(figure, figures)


def _add_legend(figure: Figure, looks: Mapping[str, Mapping[str, Any]]) -> None:
    """Add a legend of the mark, its ellipse and the arms, by label."""
    handles = [
        Line2D([], [], color=MARK_COLOR, lw=1.2, label="mark (white)"),
        Line2D([], [], color=MARK_COLOR, lw=1.2, ls="--", label="its ellipse (white)"),
        *(Line2D([], [], **look, label=label) for label, look in looks.items()),
    ]
    figure.legend(handles=handles, loc="outside lower left", ncol=2, **DARK_LEGEND)


def _agreement(table: pd.DataFrame, run: Mapping[str, Any]) -> pd.Series:
    same = [table[key] == run[key] for key in ("dataset", "protocol", "arm", "seed")]
    return table[np.logical_and.reduce(same)].set_index("id")["agreement"]


def overlaps(masks: Sequence[np.ndarray]) -> np.ndarray:
    """Return the overlap of several arms' masks of each image.

    Args:
        masks: (N, H, W) bool per arm.

    Returns:
        (N,) area of the masks' intersection over the area of their union; 1 where all are empty.
    """
    common = np.logical_and.reduce(masks).sum(axis=(1, 2))
    union = np.logical_or.reduce(masks).sum(axis=(1, 2))
    return np.where(union > 0, common / np.maximum(union, 1), 1.0)


def choose_cases(
    agreement: pd.Series, overlap: pd.Series, ranked_by: str, per_case: int
) -> dict[str, list[str]]:
    """Choose images to show: the least agreement, the median one, and masks that differ most.

    Args:
        agreement: agreement of one arm's mask of each image with the mark.
        overlap: overlap of all arms' masks of each image, see `overlaps`.
        ranked_by: what readers call the arm of `agreement`.
        per_case: images per case; fewer if fewer exist.

    Returns:
        Case to ids; an image may belong to several cases.
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
    """Draw both diameters of a mark and, dashed, its ellipse."""
    for ends in (points[:2], points[2:]):
        axis.plot(ends[:, 0], ends[:, 1], color=MARK_COLOR, lw=0.9)
    axis.plot(*ellipse.outline().T, color=MARK_COLOR, lw=0.9, ls="--")


def _zoom(axis: plt.Axes, ellipse: Ellipse, image_shape: tuple[int, ...]) -> None:
    """Show the surroundings of a lesion only."""
    rows, columns = surroundings(ellipse, REACH)
    axis.set_xlim(columns.start - 0.5, min(columns.stop, image_shape[1]) - 0.5)
    axis.set_ylim(min(rows.stop, image_shape[0]) - 0.5, rows.start - 0.5)
