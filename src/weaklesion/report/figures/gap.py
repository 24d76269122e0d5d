"""The figure of what arms lack against others."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from weaklesion.report.figures.arms import MARKERS, PALETTE, save, style

WORDS = {
    "area": "lesion's area",
    "ellipse_dice": "Dice of its ellipse",
    "contrast": "contrast",
    "at_border": "at the border",
    "in_training": "lesion trained on",
}


def plot_gap(
    *,
    table_csv: str | Path,
    samples_csv: str | Path,
    title: str,
    figures: Sequence[str | Path],
) -> None:
    """Plot how a gap in Dice is spread over the images, and its size by kind of image.

    A row a dataset and protocol. Left, the gap that has been gathered after the images that lose
    most; right, the mean gap of each kind of image with its interval.

    Args:
        table_csv: of `weaklesion.report.tables.gap.tabulate_gap`.
        samples_csv: a row an image, of the same.
        title: the figure's title.
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
        for (left, right), (place, images) in zip(axes, blocks, strict=True):
            here = table[(table[["dataset", "protocol"]] == list(place)).all(axis=1)]
            kinds = list(dict.fromkeys(zip(here["stratum"], here["value"], strict=True)))
            place_of = {kind: number for number, kind in enumerate(kinds)}
            pairs = list(images.groupby(["arm", "against"], sort=False))
            for number, ((arm, against), rows) in enumerate(pairs):
                color = PALETTE[number % len(PALETTE)]
                label = f"{arm} against {against}"
                gathered = rows["gap"].sort_values(ascending=False).cumsum() / len(rows)
                part = 100 * np.arange(1, len(rows) + 1) / len(rows)
                left.plot(part, gathered, color=color, label=label)
                of_pair = here[(here["arm"] == arm) & (here["against"] == against)]
                heights = [
                    place_of[kind] + 0.7 * ((number + 0.5) / len(pairs) - 0.5)
                    for kind in zip(of_pair["stratum"], of_pair["value"], strict=True)
                ]
                right.errorbar(
                    of_pair["gap"],
                    heights,
                    xerr=np.maximum(  # a bootstrap's interval may leave the mean outside
                        0,
                        [of_pair["gap"] - of_pair["ci_low"], of_pair["ci_high"] - of_pair["gap"]],
                    ),
                    fmt=MARKERS[number % len(MARKERS)],
                    markersize=4,
                    color=color,
                    label=label,
                )
            left.set(xlabel="Test images, %, those that lose most first")
            left.set(ylabel="Gathered gap, points of Dice", title=", ".join(map(str, place)))
            left.legend(fontsize="small")
            right.set_yticks(
                range(len(kinds)), [f"{WORDS[kind]}: {value}" for kind, value in kinds]
            )
            right.axvline(0, color="0.4", lw=1)
            right.invert_yaxis()
            right.set(xlabel="Gap, points of Dice")
        figure.suptitle(f"{title}\nbars: 95 % intervals over groups", fontsize="medium")
        save(figure, figures)
