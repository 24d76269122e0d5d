"""Measure the patches stage on phantoms of DeepLesion and LiTS; print ratios and memory.

Run by hand with `make bench`. Times are noisy, so that each ratio compares two things in one run.
"""

import csv
import os
import platform
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from joblib import Parallel, delayed
from PIL import Image

from weaklesion.data.archives import extract
from weaklesion.data.loaders import deeplesion
from weaklesion.data.phantoms.deeplesion import make_phantom

SERIES = 60
FULL_LESIONS = 32735
SETTINGS = deeplesion.Settings(
    side_px=120,
    on_bad_sample="error",
    scale_marks=True,
    dropped_rows=(),
    complete=True,
    limit={},
    split="official",
    split_seed=1,
    strata=200,
)


def timed(work: Callable[[], Any]) -> float:
    """Return the seconds that `work` takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def peak_memory(work: Callable[[], Any]) -> int:
    """Return the largest memory of this process and its workers together while `work` runs."""
    peak, done, process = [0], threading.Event(), psutil.Process()

    def watch() -> None:
        while not done.wait(0.1):
            total = 0
            for member in [process, *process.children(recursive=True)]:
                try:
                    total += member.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
            peak[0] = max(peak[0], total)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        work()
    finally:
        done.set()
        watcher.join()
    return peak[0]


def decode(path: str) -> int:
    """Decode one PNG and do nothing with it."""
    with Image.open(path) as image:
        return int(np.asarray(image)[0, 0])


def make_full_size(slices: Path, table: Path, folder: Path) -> Path:
    """Repeat the phantom's series, by hard links, until there are as many lesions as really."""
    with table.open(newline="") as stream:
        header, *rows = list(csv.reader(stream))
    repeated: list[list[str]] = []
    copy = 0
    while len(repeated) < FULL_LESIONS:
        for row in rows:
            name = row[0].removesuffix(".png").rpartition("_")
            series = f"{copy:03d}{name[0][3:]}"
            target = folder / "Images_png" / series
            if not target.is_dir():
                target.mkdir(parents=True)
                for png in (slices / "Images_png" / name[0]).iterdir():
                    os.link(png, target / png.name)
            repeated.append([f"{series}_{name[2]}.png", f"{copy}{row[1]}", *row[2:]])
        copy += 1
    path = folder / "DL_info.csv"
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([header, *repeated[:FULL_LESIONS]])
    return path


def main() -> None:
    """Measure, and print a table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_phantom(folder=folder / "made", num_series=SERIES, seed=0)
        slices = []
        for part in ("Images_png_01", "Images_png_02"):
            extract(folder / "made" / f"{part}.zip", folder / part)
            slices.append(folder / part)
        whole = folder / "whole"
        for extracted in slices:
            for series in (extracted / "Images_png").iterdir():
                (whole / "Images_png" / series.name).mkdir(parents=True)
                for png in series.iterdir():
                    os.link(png, whole / "Images_png" / series.name / png.name)
        table = folder / "made" / "DL_info.csv"
        paths = [str(path) for path in whole.rglob("*.png")]

        def patches(workers: int, source: Path = whole, table_csv: Path = table) -> None:
            deeplesion.make_patches(
                folders=[source],
                table_csv=table_csv,
                patches_dir=folder / "patches",
                settings=SETTINGS,
                workers=workers,
            )

        patches(2)  # starts the workers
        bare = min(timed(lambda: [decode(path) for path in paths]) for _ in range(3))
        one = min(timed(lambda: patches(1)) for _ in range(3))
        bare_two = min(
            timed(lambda: Parallel(n_jobs=2)(delayed(decode)(path) for path in paths))
            for _ in range(3)
        )
        full_table = make_full_size(whole, table, folder / "full")
        full = folder / "full"
        seconds = [0.0, 0.0]

        def run_full() -> None:
            seconds[0] = timed(lambda: patches(2, full, full_table))

        memory = peak_memory(run_full)
        seconds[1] = timed(lambda: patches(1, full, full_table))
    print(f"## Patches of DeepLesion ({platform.machine()}, {os.cpu_count()} cores)\n")
    print("| what | measured | bound |")
    print("|---|---|---|")
    print(f"| time over bare decoding of the same PNGs, one worker | {one / bare:.2f} | 1.5 |")
    print(f"| bare decoding, one worker over two | {bare / bare_two:.2f} | |")
    print(f"| {FULL_LESIONS} lesions, one worker over two | {seconds[1] / seconds[0]:.2f} | 1.7 |")
    print(f"| {FULL_LESIONS} lesions, two workers: peak memory, GiB | {memory / 2**30:.2f} | 4 |")
    print(f"| {FULL_LESIONS} lesions, two workers: seconds | {seconds[0]:.0f} | |")


if __name__ == "__main__":
    main()
