"""Measure ellipses, GrabCut and K-means; print ratios and times.

Run by hand with `make bench`. Times are noisy, so that each ratio compares two things in one run.
"""

import os
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Ellipse as MatplotlibEllipse

from weaklesion.clusters import ellipse_features, fit_clusters
from weaklesion.data.phantoms.ham10k import draw_image, draw_lesion
from weaklesion.ellipse import Ellipse, draw_ellipse
from weaklesion.recist import RECIST_COLUMNS
from weaklesion.supervision.ellipses import draw_ellipses
from weaklesion.supervision.grabcut import GrabCutSettings, draw_grabcut

SIDE = 120
LESIONS = 32735
K = 190


def timed(work: Callable[[], Any]) -> float:
    """Return the seconds that `work` takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def random_ellipses(count: int) -> list[Ellipse]:
    """Return ellipses like DeepLesion's."""
    rng = np.random.default_rng(0)
    centers = rng.normal(SIDE / 2, 2, (count, 2))
    widths = np.clip(rng.lognormal(2.9, 0.5, count), 5, 110)
    heights = widths * rng.uniform(0.5, 1, count)
    angles = rng.uniform(0, 180, count)
    rows = np.column_stack([centers, widths, heights, angles]).tolist()
    return [Ellipse(*row) for row in rows]


def draw_by_figure(ellipse: Ellipse) -> np.ndarray:
    """Draw one mask as a matplotlib figure."""
    figure = plt.figure(figsize=(1, 1), dpi=SIDE)
    axis = figure.add_axes((0, 0, 1, 1))
    axis.set(xlim=(-0.5, SIDE - 0.5), ylim=(SIDE - 0.5, -0.5))
    axis.set_axis_off()
    axis.add_patch(
        MatplotlibEllipse((ellipse.cx, ellipse.cy), ellipse.width, ellipse.height,
                          angle=ellipse.angle_deg, color="black")
    )  # fmt: skip
    figure.canvas.draw()
    mask = np.asarray(figure.canvas.buffer_rgba())[..., 0] < 128  # type: ignore[attr-defined]
    plt.close(figure)
    return mask


def write_patches(folder: Path, count: int) -> None:
    """Write patches of phantom lesions with their marks, as the patches stage does."""
    import pandas as pd

    from weaklesion.ellipse import fit_ellipse
    from weaklesion.recist import recist_from_ellipse

    rng = np.random.default_rng(0)
    images = np.empty((count, SIDE, SIDE, 3), dtype=np.uint8)
    rows = []
    for index in range(count):
        images[index], mask = draw_image(draw_lesion(rng, index), rng, (SIDE, SIDE))
        mark = recist_from_ellipse(fit_ellipse(mask)).ravel().tolist()
        row = {"id": f"s{index}", "group": f"g{index}", "split": "train"}
        rows.append(row | dict(zip(RECIST_COLUMNS, mark, strict=True)))
    np.save(folder / "images.npy", images)
    pd.DataFrame(rows).to_csv(folder / "samples.csv", index=False)


def main() -> None:
    """Measure, and print a table."""
    ellipses = random_ellipses(10_000)
    ours = min(timed(lambda: [draw_ellipse(e, (SIDE, SIDE)) for e in ellipses]) for _ in range(3))
    figures = timed(lambda: [draw_by_figure(e) for e in ellipses[:100]]) * 100
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_patches(folder, 400)
        files = {
            "samples_csv": folder / "samples.csv",
            "images_npy": folder / "images.npy",
            "ellipses_csv": folder / "ellipses.csv",
        }
        draw_ellipses(
            samples_csv=files["samples_csv"],
            images_npy=files["images_npy"],
            ellipses_csv=files["ellipses_csv"],
            target_npy=folder / "e.npy",
            center="midpoint",
            outline_px=0.0,
        )

        def grabcut(workers: int) -> None:
            draw_grabcut(
                **files,
                ellipse_npy=folder / "e.npy",
                target_npy=folder / "g.npy",
                settings=GrabCutSettings(init="trimap"),
                workers=workers,
            )

        grabcut(2)  # starts the workers
        two = min(timed(lambda: grabcut(2)) for _ in range(2))
        one = min(timed(lambda: grabcut(1)) for _ in range(2))
    features = ellipse_features(random_ellipses(LESIONS), encoding="raw")
    kmeans = timed(lambda: fit_clusters(features, K, seed=0))
    print(f"\n## Supervision ({platform.machine()}, {os.cpu_count()} cores)\n")
    print("| what | measured | bound |")
    print("|---|---|---|")
    print(f"| ellipses: matplotlib figure per mask, time over ours | {figures / ours:.0f} | 300 |")
    print(f"| ellipses per second | {10_000 / ours:.0f} | |")
    print(f"| GrabCut, one worker over two | {one / two:.2f} | 1.7 |")
    print(f"| GrabCut masks per second, two workers | {400 / two:.0f} | |")
    print(f"| K-means, {LESIONS} x 5, K = {K}: seconds | {kmeans:.1f} | 60 |")


if __name__ == "__main__":
    main()
