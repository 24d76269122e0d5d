"""Patches with outlines of masks and marks, and the grid of axes that they are drawn in."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation

from weaklesion.study.labels import Labels, called

LINE_PT = 11.5  # height of a line under an image
LINE_IN = LINE_PT / 72
CHARACTERS_PER_IN = 11  # there
KEY_PT = 16  # width of the piece of a contour before it


def case_grid(
    cases: Mapping[str, Sequence[str]],
    image_shape: tuple[int, ...],
    num_lines: int = 0,
    width_in: float = 2.4,
) -> tuple[Figure, np.ndarray]:
    """Return a figure and its (cases, images) axes, with one labelled row per case.

    Args:
        cases: label to the ids of its images, equally many for each case.
        image_shape: shape of an image; its first two values are height and width, px.
        num_lines: lines of text under each image, see `score_lines`.
        width_in: width of a column, inches.
    """
    rows, columns = len(cases), len(next(iter(cases.values())))
    height_in = (
        width_in * image_shape[0] / image_shape[1] + 0.4 + LINE_IN * num_lines
    )  # with a title
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(width_in * columns, height_in * rows + (1.1 if rows > 1 else 0.5)),
        squeeze=False,
        layout="constrained",
    )
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])  # ticks that are merely hidden are still laid out
        axis.set_axis_off()
    for axis, case in zip(axes[:, 0], cases, strict=True):
        lines = textwrap.fill(case, max([20, *map(len, case.split())]))
        axis.text(-0.06, 0.5, lines, rotation=90, va="center", ha="right",
                  multialignment="center", transform=axis.transAxes)  # fmt: skip
    return figure, axes


def score_lines(
    axis: plt.Axes,
    scores: Mapping[str, float],
    looks: Mapping[str, Mapping[str, Any]],
    labels: Labels | None,
    width_in: float,
) -> None:
    """Write under an image one line per arm: a piece of its contour, its label and its score.

    A label that is longer than the image is wide is cut; the figure's legend has all of it.

    Args:
        axis: the image's axes.
        scores: arm to its score; nan is written as `none`.
        looks: arm to the look of its contour, see `weaklesion.report.figures.style.contour_looks`.
        labels: see `weaklesion.study.labels.labels_of`.
        width_in: width of a column, inches.
    """
    room = int(CHARACTERS_PER_IN * width_in) - 2
    frame: Any = axis.transAxes  # its type is narrower in matplotlib's stubs
    corner = ScaledTranslation(0, 0, frame)
    for line, (arm, value) in enumerate(scores.items()):
        below = -LINE_PT * (line + 0.75)
        at: dict[str, Any] = {
            "xycoords": "axes fraction",
            "textcoords": "offset points",
            "va": "center",
        }
        piece = Line2D([1 / 72, KEY_PT / 72], [below / 72] * 2, lw=1.6, **looks[arm])
        piece.set(transform=axis.figure.dpi_scale_trans + corner, clip_on=False)
        axis.add_artist(piece)
        name = called(labels, "arms", arm)
        name = name if len(name) <= room else f"{name[: room - 1].rstrip(' ,')}…"
        text = f"{name} {'none' if math.isnan(value) else f'{value:.2f}'}"
        axis.annotate(text, (0, 0), (KEY_PT + 3, below), fontsize=8.5, **at)


def show(axis: plt.Axes, image: np.ndarray, channel_order: str) -> None:
    """Draw a patch in its colours, or its middle channel in grey.

    Args:
        axis: the axes.
        image: (H, W, 3) uint8.
        channel_order: `rgb`, `bgr`, or `center` for the middle channel in grey.
    """
    if channel_order == "center":
        image = image[:, :, 1]
    elif channel_order == "bgr":
        image = image[:, :, ::-1]
    axis.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="bilinear")


def outline(
    axis: plt.Axes, mask: np.ndarray, color: Any, width: float, linestyle: Any = "solid"
) -> None:
    """Draw a mask's contour, which closes along the image's frame; nothing for an empty mask."""
    padded = np.pad(mask.astype(float), 1)
    coordinates = np.arange(-1, mask.shape[0] + 1), np.arange(-1, mask.shape[1] + 1)
    if mask.any():
        axis.contour(
            coordinates[1],
            coordinates[0],
            padded,
            levels=[0.5],
            colors=[color],
            linewidths=width,
            linestyles=[linestyle],
        )
    axis.set_xlim(-0.5, mask.shape[1] - 0.5)
    axis.set_ylim(mask.shape[0] - 0.5, -0.5)
