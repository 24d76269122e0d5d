"""Draw outlines of a study's best, middle and worst test images, without the images themselves.

    python tools/draw_outlines.py prompted-ham10k prompted_failures

reads what the item's table of images says (an item of kind `gap`) and writes
docs/results/STUDY/ITEM-outlines.png: for a page of docs/, on which the images, with a licence of
their own, do not stand; the page names the dataset that the outlines are of. Of an arm with several
seeds the first is drawn; images are ranked by the mean over all, as in the table.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from weaklesion.data.samples import read_rows
from weaklesion.metrics import dice
from weaklesion.report.figures.style import save, style

ROOT = Path(__file__).resolve().parents[1]
A_ROW = 5
LINES = {
    "reference": ("0.0", "-", 1.6),
    "against": ("#e69f00", "--", 1.1),
    "arm": ("#009e73", "-", 1.3),
}


def first_masks(runs: Path, arm: str, ids: list[str]) -> np.ndarray:
    """Return the predictions of an arm's first seed for some test samples, (N, H, W)."""
    folder = sorted((runs / arm).glob("seed-*"), key=lambda path: int(path.name[5:]))[0]
    return read_rows(folder / "predictions.npy", folder / "predictions.csv", ids)


def main() -> None:
    """Draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study")
    parser.add_argument("item")
    parser.add_argument("--results", type=Path, default=ROOT / "results")
    arguments = parser.parse_args()
    study = arguments.results / arguments.study
    table = pd.read_csv(study / f"tables/{arguments.item}.samples.csv", dtype={"id": str})
    first = table.iloc[0]
    pair = ["dataset", "protocol", "arm", "against"]
    rows = table[(table[pair] == first[pair]).all(axis=1)].sort_values("gap", ascending=False)
    middle = (len(rows) - A_ROW) // 2
    groups = {
        "loses most": rows.iloc[:A_ROW],
        "in the middle": rows.iloc[middle : middle + A_ROW],
        "gains most": rows.iloc[-A_ROW:].iloc[::-1],
    }
    place = study / first["dataset"] / first["protocol"]
    with style():
        figure, axes = plt.subplots(len(groups), A_ROW, figsize=(10, 5.4), layout="constrained")
        for row, (what, images) in zip(axes, groups.items(), strict=True):
            ids = images["id"].tolist()
            masks = {
                "reference": read_rows(
                    place / "patches/reference.npy", place / "patches/samples.csv", ids
                ),
                "against": first_masks(place / "runs", first["against"], ids),
                "arm": first_masks(place / "runs", first["arm"], ids),
            }
            for number, (axis, (_, image)) in enumerate(zip(row, images.iterrows(), strict=True)):
                reference = masks["reference"][number] > 0
                drawn = {
                    name: 100 * dice(reference, masks[name][number] > 0)
                    for name in ("against", "arm")
                }
                for name, (color, line, width) in LINES.items():
                    padded = np.pad(masks[name][number], 1)
                    axis.contour(padded, [0.5], colors=color, linestyles=line, linewidths=width)
                axis.set(aspect="equal", xticks=[], yticks=[], xlim=(0, padded.shape[1]))
                axis.set(ylim=(padded.shape[0], 0))
                axis.set_title(
                    f"{image['id']}\n{drawn['against']:.1f} → {drawn['arm']:.1f} %",
                    fontsize="x-small",
                )
            row[0].set_ylabel(what)
        figure.suptitle(
            f"{first['dataset']}, {first['protocol']}: reference black, {first['against']} dashed,"
            f" {first['arm']} green; Dice of both masks",
            fontsize="small",
        )
        out = ROOT / "docs/results" / arguments.study / f"{arguments.item}-outlines.png"
        save(figure, [out])


if __name__ == "__main__":
    main()
