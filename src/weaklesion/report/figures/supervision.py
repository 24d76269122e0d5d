"""Figures of the supervision: clusters, the sweep over K, targets side by side, clicked angles."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter

from weaklesion.clusters import Encoding, ellipse_features
from weaklesion.data.ellipse_table import read_ellipses
from weaklesion.data.samples import read_rows, read_samples
from weaklesion.ellipse import Ellipse
from weaklesion.recist import RECIST_COLUMNS
from weaklesion.report.figures.patches import outline, show
from weaklesion.report.figures.style import (
    PALETTE,
    REFERENCE_COLOR,
    line_through,
    save,
    style,
)
from weaklesion.supervision.class_table import read_clusters
from weaklesion.support.files import read_json

PATCHES_PER_ROW = 8
ENCODINGS_SHOWN: tuple[Encoding, ...] = ("clicked", "raw", "periodic")


def plot_clusters(
    *,
    images_npy: str | Path,
    samples_csv: str | Path,
    ellipses_csv: str | Path,
    clusters_csv: str | Path,
    channel_order: str,
    num_rows: int,
    title: str,
    figures: Sequence[str | Path],
) -> None:
    """Draw lesions of the largest clusters with their ellipses, as in the paper's Figure 3.

    Args:
        images_npy: patches, (N, H, W, 3) uint8.
        samples_csv: the N samples.
        ellipses_csv: their ellipses.
        clusters_csv: their clusters.
        channel_order: see `weaklesion.report.figures.patches.show`.
        num_rows: number of clusters, one row each with its first training samples.
        title: the figure's title.
        figures: files to write.
    """
    samples = read_samples(samples_csv)
    clusters = read_clusters(clusters_csv)
    train = clusters[samples.index[samples["split"] == "train"]]
    largest = train.value_counts(sort=True).index[:num_rows]
    ellipses = read_ellipses(ellipses_csv)
    with style():
        figure, axes = plt.subplots(
            len(largest),
            PATCHES_PER_ROW,
            figsize=(1.2 * PATCHES_PER_ROW, 1.25 * len(largest) + 0.5),
            squeeze=False,
            layout="constrained",
        )
        for row, cluster in zip(axes, largest, strict=True):
            ids = list(train.index[train == cluster][:PATCHES_PER_ROW])
            images = read_rows(images_npy, samples_csv, ids)
            for axis in row:
                axis.set(xticks=[], yticks=[])
                axis.grid(False)
                axis.spines[:].set_visible(False)
            row[0].set_ylabel(f"cluster {cluster}\n{(train == cluster).sum()} lesions", fontsize=8)
            for axis, image, sample_id in zip(row, images, ids, strict=False):
                show(axis, image, channel_order)
                _draw_ellipse(axis, ellipses[sample_id], image.shape[0])
        figure.suptitle(title)
        save(figure, figures)


def _draw_ellipse(axis: plt.Axes, ellipse: Ellipse, side: int) -> None:
    """Draw an ellipse over the whole of a square patch."""
    axis.plot(*ellipse.outline().T, color=PALETTE[1], lw=1.3)
    axis.set(xlim=(-0.5, side - 0.5), ylim=(side - 0.5, -0.5))


def plot_k_sweep(
    *,
    quality_jsons: Sequence[str | Path],
    chosen_k: int,
    title: str,
    figures: Sequence[str | Path],
) -> None:
    """Plot inertia, silhouette, stability and cluster sizes against K.

    Args:
        quality_jsons: files of `cluster_lesions`, one per K.
        chosen_k: the K that the arms use.
        title: the figure's title.
        figures: files to write.
    """  # fmt: skip
    rows = [read_json(path) for path in quality_jsons]
    table = pd.DataFrame(
        {
            "k": row["k"],
            "Inertia": row["inertia"],
            "Silhouette": np.nan if row["silhouette"] is None else row["silhouette"],
            "Stability (adjusted Rand)": row["stability"],
            "Smallest cluster": min(row["sizes"]),
            "Median cluster": float(np.median(row["sizes"])),
            "Largest cluster": max(row["sizes"]),
        }
        for row in rows
    ).sort_values("k")
    line = line_through(len(table))
    with style():
        figure, axes = plt.subplots(2, 2, figsize=(10, 7), layout="constrained")
        for axis, name in zip(axes.flat, table.columns[1:4], strict=False):
            axis.plot(table["k"], table[name], marker="o", color=PALETTE[0], ls=line)
            axis.set_title(name)
        for name, color, marker in zip(table.columns[4:], PALETTE, "osD", strict=False):
            axes[1, 1].plot(
                table["k"], table[name], marker=marker, color=color, label=name, ls=line
            )
        axes[1, 1].set(yscale="log", title="Samples per cluster")
        axes[1, 1].yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes[1, 1].yaxis.set_major_formatter("{x:g}")  # else $\mathdefault{10^{1}}$, see `style`
        axes[1, 1].yaxis.set_minor_formatter(NullFormatter())
        axes[1, 1].legend()
        for axis in axes.flat:
            axis.axvline(chosen_k, color="0.4", ls=":", lw=1.2)
            axis.set_xlabel("Number of clusters, K")
            axis.set_xticks(table["k"], [str(k) for k in table["k"]])
            axis.margins(0.12)
        figure.suptitle(f"{title}; dotted: K = {chosen_k}")
        save(figure, figures)


def plot_supervision(
    *,
    images_npy: str | Path,
    reference_npy: str | Path | None,
    samples_csv: str | Path,
    target_npys: Sequence[str | Path],
    target_ids_csv: str | Path,
    channel_order: str,
    num_images: int,
    title: str,
    figures: Sequence[str | Path],
) -> None:
    """Draw training samples: image, RECIST mark, each target, and the reference if one exists.

    Args:
        images_npy: patches, (N, H, W, 3) uint8.
        reference_npy: (N, H, W) uint8 of 0 and 1, or None.
        samples_csv: the N samples, with their marks.
        target_npys: one file per target, named after it, (M, H, W) uint8 of 0 and 1.
        target_ids_csv: `id` of each of the M.
        channel_order: see `weaklesion.report.figures.patches.show`.
        num_images: number of samples, evenly spaced over the training split.
        title: the figure's title.
        figures: files to write.
    """
    samples = read_samples(samples_csv)
    train = samples[samples["split"] == "train"]
    positions = np.linspace(0, len(train) - 1, min(num_images, len(train))).astype(int)
    ids = [str(train.index[position]) for position in positions]
    images = read_rows(images_npy, samples_csv, ids)
    masks = {
        Path(path).stem.replace("grabcut_", "GrabCut, "): read_rows(path, target_ids_csv, ids)
        for path in target_npys
    }
    if reference_npy is not None:
        masks["reference"] = read_rows(reference_npy, samples_csv, ids)
    panels = ["image", "RECIST", *masks]
    with style():
        figure, axes = plt.subplots(
            len(ids),
            len(panels),
            figsize=(1.6 * len(panels), 1.6 * len(ids) + 0.6),
            squeeze=False,
            layout="constrained",
        )
        for index, sample_id in enumerate(ids):
            points = samples.loc[sample_id, RECIST_COLUMNS].to_numpy(dtype=float).reshape(4, 2)
            for axis, panel in zip(axes[index], panels, strict=True):
                show(axis, images[index], channel_order)
                axis.set_axis_off()
                if index == 0:
                    axis.set_title(panel, fontsize=9)
                if panel == "RECIST":
                    _draw_diameters(axis, points)
                elif panel != "image":
                    color = REFERENCE_COLOR if panel == "reference" else PALETTE[0]
                    outline(axis, masks[panel][index], color, 1.5)
                axis.set(xlim=(-0.5, images.shape[2] - 0.5), ylim=(images.shape[1] - 0.5, -0.5))
        figure.suptitle(title)
        save(figure, figures)


def _draw_diameters(axis: plt.Axes, points: np.ndarray) -> None:
    for ends, color in ((points[:2], PALETTE[1]), (points[2:], PALETTE[2])):
        axis.plot(ends[:, 0], ends[:, 1], color=color, lw=1.5)


def plot_angles(*, ellipses_csv: str | Path, title: str, figures: Sequence[str | Path]) -> None:
    """Plot the clicked and the canonical angles of the marks, and the variance of each feature.

    The clicked angle has two humps half a turn apart if the ends of the short diameter were clicked
    in either order: equal ellipses then have two different angles (discrepancy K1).

    Args:
        ellipses_csv: the ellipses.
        title: the figure's title.
        figures: files to write.
    """
    table = pd.read_csv(ellipses_csv, dtype={"id": str})
    ellipses = list(read_ellipses(ellipses_csv).values())
    clicked = table["clicked_angle_deg"].to_list()
    names = ["centre x", "centre y", "width", "height", "angle"]
    rows = []
    for encoding in ENCODINGS_SHOWN:
        features = ellipse_features(ellipses, encoding=encoding, clicked_angles_deg=clicked)
        variances = features.var(axis=0)
        if encoding == "clicked":  # the minor axis comes first there
            variances = variances[[0, 1, 3, 2, 4]]
        # `periodic` has two features of the angle
        shares = [*variances[:4], variances[4:].sum()] / variances.sum()
        rows += [
            {"encoding": encoding, "feature": name, "share": share}
            for name, share in zip(names, shares, strict=True)
        ]
    shares_of = pd.DataFrame(rows)
    with style():
        figure, axes = plt.subplots(1, 2, figsize=(10, 3.5), layout="constrained")
        bins = np.arange(-90, 271, 10).tolist()
        for column, color, label in (
            ("clicked_angle_deg", PALETTE[1], "short diameter as clicked"),
            ("angle_deg", PALETTE[0], "major axis, canonical"),
        ):
            axes[0].hist(table[column], bins=bins, histtype="step", lw=1.8, color=color)
            axes[0].plot([], [], color=color, label=label)
        axes[0].set(xlabel="Angle, degrees", ylabel="Lesions", xticks=range(-90, 271, 90))
        handles = [Line2D([], [], color=line.get_color(), label=line.get_label())
                   for line in axes[0].get_lines()]  # fmt: skip
        axes[0].legend(handles=handles, fontsize=8)
        colors = (PALETTE[1], PALETTE[0], PALETTE[2])
        for place, (encoding, color) in enumerate(zip(ENCODINGS_SHOWN, colors, strict=True)):
            shares = shares_of[shares_of["encoding"] == encoding]["share"]
            places = np.arange(len(names)) + 0.27 * (place - 1)
            axes[1].bar(places, shares, 0.25, color=color, label=encoding)
        axes[1].set_xticks(range(len(names)), names)
        axes[1].grid(False, axis="x")
        axes[1].legend()
        axes[1].set(xlabel="Feature of K-means", ylabel="Share of the variance", ylim=(0, 1))
        figure.suptitle(title)
        save(figure, figures)
