"""The figure of the gaps in Dice between arms."""

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.lines import Line2D

from weaklesion.report.figures.style import MARKERS, PALETTE, save, style
from weaklesion.report.traits import WORDS
from weaklesion.study.labels import Labels, called

Pair = tuple[Hashable, ...]  # an arm, and the arm that it is compared with
GAP = "Gap: Dice of the second arm minus that of the first"
LONG = 60  # letters, from which on a pair's name has a line of the legend to itself


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
    pairs = list(dict.fromkeys(by_image[["arm", "against"]].itertuples(index=False, name=None)))
    number_of = {pair: number for number, pair in enumerate(pairs)}
    with style():
        figure, axes = plt.subplots(
            len(blocks), 2, figsize=(12.5, 5.2 * len(blocks)), squeeze=False, layout="constrained"
        )
        for (left, right), (key, images) in zip(axes, blocks, strict=True):
            block = table[(table[["dataset", "protocol"]] == list(key)).all(axis=1)]
            _plot_sums(left, images, number_of)
            left.set_title(f"{called(labels, 'datasets', key[0])}, protocol {key[1]}")
            _plot_kinds(right, block, number_of)
            right.set_title("Mean gap by kind of image")
        handles = [
            Line2D(
                [], [], color=PALETTE[number % len(PALETTE)], marker=MARKERS[number % len(MARKERS)]
            )
            for number in number_of.values()
        ]
        words = [
            f"{called(labels, 'arms', arm)} against {called(labels, 'arms', against)}"
            for arm, against in pairs
        ]
        columns = 1 if max(map(len, words)) > LONG else 2
        figure.legend(handles, words, loc="outside lower center", ncol=columns, frameon=False)
        bars = "bars: 95 % intervals over groups and seeds"
        if table[["ci_low", "ci_high"]].isna().all(axis=None):
            bars = "no intervals"
        figure.suptitle(f"{title}\n{GAP}; {bars}", fontsize="medium")
        save(figure, figures)


def _plot_sums(axis: plt.Axes, images: pd.DataFrame, number_of: Mapping[Pair, int]) -> None:
    """Plot the gap summed over the images, one curve per pair of arms."""
    for pair, rows in images.groupby(["arm", "against"], sort=False):
        number = number_of[pair]
        largest_first = rows["gap"].sort_values(ascending=False)
        axis.plot(
            np.linspace(0, 100, len(rows) + 1),
            np.append(0, largest_first.cumsum() / len(rows)),
            color=PALETTE[number % len(PALETTE)],
            marker=MARKERS[number % len(MARKERS)],
            markevery=0.1,  # of the axes' diagonal
            markersize=4,
        )
    axis.axhline(0, color="0.4", lw=1)
    axis.set(xlabel="Test images, %, those that lose most first")
    axis.set(ylabel="Cumulative gap, points of Dice")


def _plot_kinds(axis: plt.Axes, block: pd.DataFrame, number_of: Mapping[Pair, int]) -> None:
    """Plot the mean gap of each kind of image, one marker per pair of arms."""
    kinds = list(dict.fromkeys(zip(block["stratum"], block["value"], strict=True)))
    height_of = {kind: height for height, kind in enumerate(kinds)}
    for pair, rows in block.groupby(["arm", "against"], sort=False):
        number = number_of[pair]
        offset = 0.7 * ((number + 0.5) / len(number_of) - 0.5)
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
