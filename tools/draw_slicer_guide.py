"""Draw the pictures of docs/how-to/slicer.md, on a phantom of the liver.

    python tools/draw_slicer_guide.py RUN

writes docs/slicer-lines.png, which lines form a mark and which do not, and docs/slicer-masks.png,
the masks that `weaklesion segment` makes of such marks with the network of RUN, one of CT. The
pictures show markups as they lie in the volume; Slicer is not needed, and they do not show it.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import nibabel
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from scipy import ndimage

from weaklesion.data.phantoms.lits import draw_volume
from weaklesion.recist import RECIST_COLUMNS, measure_recist
from weaklesion.report.figures.style import DASHES, PALETTE, save, style
from weaklesion.segment.run import segment_marks
from weaklesion.segment.settings import SegmentSettings

ROOT = Path(__file__).resolve().parents[1]
SPACING = (0.8, 0.8, 5.0)
WINDOW = (-40.0, 160.0)
LINE: dict[str, Any] = {"marker": "o", "markersize": 4, "linewidth": 1.6}


def lesions_of(labels: np.ndarray) -> tuple[int, list[np.ndarray]]:
    """Return the slice with the most tumour, and the marks of its lesions, each (4, 2) px."""
    index = int((labels == 2).sum(axis=(0, 1)).argmax())
    parts, count = ndimage.label((labels[:, :, index] == 2).T)
    marks = [measure_recist(parts == number, SPACING[:2]).points for number in range(1, count + 1)]
    return index, [mark for mark in marks if np.hypot(*(mark[0] - mark[1])) > 12]


def show(axis: Axes, image: np.ndarray, title: str) -> None:
    """Show a slice in the window of the liver."""
    axis.imshow(image, cmap="gray", vmin=WINDOW[0], vmax=WINDOW[1])
    axis.set_title(title, fontsize=9)
    axis.set_axis_off()


def draw_lines(volume: np.ndarray, index: int, marks: list[np.ndarray]) -> None:
    """Draw the lines that are marks, and those that are refused."""
    with style():
        figure, axes = plt.subplots(1, 3, figsize=(9.6, 3.6), layout="constrained")
        show(axes[0], volume[:, :, index].T, "Two lines across each other, in one slice")
        show(axes[1], volume[:, :, index].T, "Refused: no second line across it")
        for mark in marks:
            for line in (mark[:2], mark[2:]):
                axes[0].plot(*line.T, color=PALETTE[2], **LINE)
            axes[1].plot(*mark[:2].T, color=PALETTE[3], **LINE)
        row = round(float(marks[0].mean(axis=0)[1]))
        show(axes[2], volume[:, row, :].T, "Refused: through several slices (coronal)")
        axes[2].invert_yaxis()  # the first slice is the lowest
        axes[2].set_aspect(SPACING[2] / SPACING[0])
        x = marks[0].mean(axis=0)[0]
        axes[2].plot([x - 14, x + 14], [index - 2, index + 2], color=PALETTE[3], **LINE)
        save(figure, [ROOT / "docs/slicer-lines.png"])


def draw_masks(volume: np.ndarray, index: int, marks: list[np.ndarray], run: Path) -> None:
    """Draw the masks of the marks."""
    with tempfile.TemporaryDirectory() as folder:
        image = nibabel.Nifti1Image(volume.astype(np.int16), np.diag([*SPACING, 1.0]))
        nibabel.save(image, Path(folder) / "volume.nii")
        rows = [[f"lesion-{n}", "volume.nii", index, *mark.ravel()] for n, mark in enumerate(marks)]
        table = pd.DataFrame(rows, columns=["id", "image", "slice", *RECIST_COLUMNS])
        table.to_csv(Path(folder) / "marks.csv", index=False)
        segment_marks(
            model_dir=run,
            marks_csv=Path(folder) / "marks.csv",
            out_dir=Path(folder) / "out",
            settings=SegmentSettings(),
        )
        masks = {}
        for path in (Path(folder) / "out/masks").iterdir():
            mask: Any = nibabel.load(path)
            masks[path.name.split(".")[0]] = np.asarray(mask.dataobj)[:, :, index].T
    with style():
        figure, axis = plt.subplots(figsize=(4.2, 4.2), layout="constrained")
        show(axis, volume[:, :, index].T, "One segment per lesion, named after its longer line")
        for number, mark in enumerate(marks):
            mask = masks[f"lesion-{number}"]
            color = PALETTE[number + 1]
            axis.contour(mask, [0.5], colors=[color], linewidths=1.6, linestyles=[DASHES[number]])
            x, y = mark.min(axis=0)
            # on black, the contrast of these colours is 8.0 and 6.1; on the image it would be 1.6
            box = {"facecolor": "black", "edgecolor": "none", "pad": 2}
            axis.text(x - 4, y - 8, f"Line {2 * number + 1}", color=color, fontsize=9, bbox=box)
        save(figure, [ROOT / "docs/slicer-masks.png"])


def main() -> None:
    """Draw both pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    run = parser.parse_args().run
    volume, labels = draw_volume(np.random.default_rng(41), 9, 256, with_tumours=True)
    index, marks = lesions_of(labels)
    draw_lines(volume, index, marks)
    draw_masks(volume, index, marks, run)


if __name__ == "__main__":
    main()
