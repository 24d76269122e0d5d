"""The figure of the gaps in Dice between arms."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from weaklesion.report.figures.style import MARKERS, PALETTE, save, style
from weaklesion.report.traits import WORDS
from weaklesion.study.labels import Labels, called

# Names of an arm and of the arm that it is compared with, and the rows of their images.
Pair = tuple[Any, pd.DataFrame]


def plot_gap(
    *,
    table_csv: str | Path,
    samples_csv: str | Path,
    title: str,
    labels: Labels | None = None,
    figures: Sequence[str | Path],
) -> None:
    """Plot how a gap in Dice is spread over the images, and its size by kind of image.

    One row per dataset and protocol. Left, the gap summed over the images, those that lose most
    first; right, the mean gap of each kind of image with its interval.

    Args:
        table_csv: table by kind of image of `weaklesion.report.tables.gap.tabulate_gap`.
        samples_csv: its table by image.
        title: the figure's title.
        labels: what the figure calls datasets and arms, see `weaklesion.study.labels.labels_of`.
        figures: files to write.
    """
    table = pd.read_csv(table_csv, keep_default_na=False, na_values=[""])
    by_image = pd.read_csv(samples_csv, dtype={"id": str})
    table = table[table["stratum"].isin(WORDS)]
    blocks = list(by_image.groupby(["dataset", "protocol"], sort=False))
    with style():
        figure, axes = plt.subplots(
            len(blocks), 2, figsize=(12.5, 5.2 * len(blocks)), squeeze=False, layout="constrained"
        )
        for (left, right), (key, images) in zip(axes, blocks, strict=True):
            block = table[(table[["dataset", "protocol"]] == list(key)).all(axis=1)]
            pairs = list(images.groupby(["arm", "against"], sort=False))
            words = {
                pair: f"{called(labels, 'arms', pair[0])} against {called(labels, 'arms', pair[1])}"
                for pair, _ in pairs
            }
            _plot_sums(left, pairs, words)
            left.set_title(f"{called(labels, 'datasets', key[0])}, protocol {key[1]}")
            _plot_kinds(right, block, pairs)
            right.set_title("Mean gap by kind of image")
        figure.suptitle(f"{title}\nbars: 95 % intervals over groups and seeds", fontsize="medium")
        save(figure, figures)


def _plot_sums(axis: plt.Axes, pairs: Sequence[Pair], words: Mapping[Any, str]) -> None:
    """Plot the gap summed over the images, one curve per pair of arms."""
    for number, (pair, rows) in enumerate(pairs):
        summed = rows["gap"].sort_values(ascending=False).cumsum() / len(rows)
        share = 100 * np.arange(1, len(rows) + 1) / len(rows)
        color = PALETTE[number % len(PALETTE)]
        axis.plot(share, summed, color=color, label=words[pair])
    axis.set(xlabel="Test images, %, those that lose most first")
    axis.set(ylabel="Cumulative gap, points of Dice")
    axis.legend(fontsize="small")


def _plot_kinds(axis: plt.Axes, block: pd.DataFrame, pairs: Sequence[Pair]) -> None:
    """Plot the mean gap of each kind of image, one marker per pair of arms."""
    kinds = list(dict.fromkeys(zip(block["stratum"], block["value"], strict=True)))
    height_of = {kind: height for height, kind in enumerate(kinds)}
    for number, ((arm, against), _) in enumerate(pairs):
        rows = block[(block["arm"] == arm) & (block["against"] == against)]
        offset = 0.7 * ((number + 0.5) / len(pairs) - 0.5)
        heights = [
            height_of[kind] + offset for kind in zip(rows["stratum"], rows["value"], strict=True)
        ]
        axis.errorbar(
            rows["gap"],
            heights,
            xerr=np.maximum(  # a bootstrap's interval may leave the mean outside
                0, [rows["gap"] - rows["ci_low"], rows["ci_high"] - rows["gap"]]
            ),
            fmt=MARKERS[number % len(MARKERS)],
            markersize=4,
            color=PALETTE[number % len(PALETTE)],
        )
    axis.set_yticks(range(len(kinds)), [f"{WORDS[kind]}: {value}" for kind, value in kinds])
    axis.axvline(0, color="0.4", lw=1)
    axis.invert_yaxis()
    axis.set(xlabel="Gap, points of Dice")
