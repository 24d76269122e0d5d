r"""Measure what the window of Hounsfield units does to pseudo-masks.

    python tools/measure_windows.py marks.csv OUT.csv --window -1000 1000 --window 0 100

`marks.csv` is a table of a study of own marks on CT, each mark with its mask (`tools/mark_masks.py`
writes one). In every window, the weight of the prior is the one that recovers perturbed marks best
(`weaklesion.selection.recovery`), without a mask. The pseudo-masks of the exact marks with that
weight are then scored against the masks. OUT.csv has a row per window. Marks that cannot be used in
one of the windows, or whose four ends are no shape, are left out of all, and counted, as are rows
that are not marks.
"""

import argparse
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from weaklesion.data.loaders import custom
from weaklesion.four_ends import FourEnds
from weaklesion.marks.table import BadMarkError, Mark, read_marks
from weaklesion.metrics import dice
from weaklesion.pseudo_masks import RefinedSettings, main_part, pseudo_mask, refine_scores
from weaklesion.selection.recovery import RecoverySettings, perturbed_mark, shape_or
from weaklesion.support.parallel import in_parallel
from weaklesion.support.yaml_files import read_yaml

ROOT = Path(__file__).resolve().parents[1]
Window = tuple[float, float]


def main() -> None:
    """Write the table of windows."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("marks", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--window", type=float, nargs=2, action="append", required=True)
    parser.add_argument("--count", type=int, default=150, help="marks, drawn at random")
    options = parser.parse_args()
    for low, high in options.window:
        if not low < high:
            parser.error(f"--window {low:g} {high:g}: give the lower value first")
    marks, refused = read_marks(options.marks)
    order = np.random.default_rng(0).permutation(len(marks))[: options.count]
    windows = list(dict.fromkeys((low, high) for low, high in options.window))
    work = partial(measured, windows=windows)
    rows = [
        row
        for of_mark in in_parallel(work, [marks[index] for index in order], 1, "marks")
        for row in of_mark
    ]
    if not rows:
        parser.error(f"{options.marks}: no mark can be used in all of these windows")
    table = best_of(pd.DataFrame(rows))
    table.to_csv(options.out, index=False, float_format="%.6g")
    print(table.to_string())
    print(f"{len(order) - table['marks'].max()} of {len(order)} drawn marks left out")
    print(f"{len(refused)} rows of the table refused")


def measured(mark: Mark, *, windows: list[Window]) -> list[dict[str, Any]]:
    """Return a row per window and weight of the prior; none for a mark that cannot be used."""
    config = read_yaml(ROOT / "config.yaml")
    protocol = config["protocols"]["corrected"]
    recovery = RecoverySettings(**config["recovery"])
    rows = []
    for window in windows:
        settings = custom.Settings(
            **protocol["patches"]["custom"]
            | {"side_px": protocol["patches"]["side_px"], "on_bad_sample": "drop", "dense": True}
            | {"limit": {}, "frame": "source", "channel_order": "center", "window_hu": window}
        )
        try:
            sample = custom.read_sample(mark, mark.image.name, mark.group, settings)
            true = FourEnds(sample.recist, protocol["supervision"]["ends_exponent"])
        except (BadMarkError, ValueError):
            return []
        assert sample.reference is not None  # because `dense` is set
        given = perturbed_mark(true, mark.id, recovery)
        for weight in protocol["supervision"]["prior_weights"]:
            refined = protocol["supervision"]["refined"] | {"prior_weight": weight}
            constants = RefinedSettings(**refined)
            with threadpool_limits(1):
                scores = refine_scores(sample.image, given, constants, ct=True, consistent=False)
                exact = pseudo_mask(sample.image, true, constants, ct=True)
            mask = None if scores is None else main_part(scores > 0, given)
            rows.append(
                {"window": window, "prior_weight": weight, "id": mark.id}
                | {"recovered_iou": shape_or(mask, given).iou(true)}
                | {"dice": 100 * dice(sample.reference, exact)}
            )
    return rows


def best_of(rows: pd.DataFrame) -> pd.DataFrame:
    """Return means of each window with the weight that recovers best, as a study chooses it."""
    means = rows.groupby(["window", "prior_weight"], sort=False).agg(
        marks=("id", "size"), recovered_iou=("recovered_iou", "mean"), dice=("dice", "mean")
    )
    ranked = means.reset_index().sort_values(["recovered_iou", "prior_weight"])
    best = ranked.drop_duplicates("window", keep="last").sort_index().reset_index(drop=True)
    windows = pd.DataFrame(best.pop("window").tolist(), columns=["low_hu", "high_hu"])
    return pd.concat([windows, best], axis=1)


if __name__ == "__main__":
    main()
