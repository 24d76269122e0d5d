"""The gate on perfect masks: how many agree with their own mark, by kind of mark and place.

    python tools/measure_gate.py results/STUDY/DATASET/{HULL,RECIST}/patches

takes the patches of two protocols that differ in how marks are simulated: from the hull's ellipse,
and as RECIST defines them. The network's mask is the true mask itself, so every refusal is wrong.
"""

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd

from weaklesion.four_ends import FourEnds
from weaklesion.mark_shapes import MarkShape
from weaklesion.prediction.gate import mask_agreement
from weaklesion.pseudo_masks import main_part
from weaklesion.recist import RECIST_COLUMNS, ellipse_from_recist
from weaklesion.support.files import read_array
from weaklesion.support.progress import progress

GATE = 0.8


def main() -> None:
    """Print the shares of perfect masks that pass."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("hull", type=Path)
    parser.add_argument("recist", type=Path)
    parser.add_argument("--every", type=int, default=1, help="take every Nth sample")
    options = parser.parse_args()
    agreements = defaultdict(list)
    tables = {name: _marks(getattr(options, name)) for name in ("hull", "recist")}
    masks = read_array(options.recist / "reference.npy")
    names = list(tables["recist"].index.intersection(tables["hull"].index))[:: options.every]
    for name in progress(names, total=len(names), what="masks"):
        mask = masks[tables["recist"].loc[name, "row"]] > 0
        place = "border" if _touches_border(mask) else "inside"
        hull, recist = (_points(tables[kind], name) for kind in ("hull", "recist"))
        for what, mark in (
            ("hull's ellipse, ellipses compared", ellipse_from_recist(hull)),
            ("RECIST, ellipses compared", ellipse_from_recist(recist)),
            ("RECIST, four ends compared", FourEnds(recist)),
        ):
            agreements[what, place].append(_agreement(mask, mark))
    for (what, place), values in agreements.items():
        passed = 100 * np.mean(np.array(values) >= GATE)
        print(f"{what}, {place}: {passed:.1f} % of {len(values)} pass; lowest {min(values):.2f}")


def _agreement(mask: np.ndarray, mark: MarkShape) -> float:
    """Return what the gate sees: the agreement of the part that the mark overlaps most."""
    part = main_part(mask, mark)
    return 0.0 if part is None else mask_agreement(part, mark)


def _marks(patches: Path) -> pd.DataFrame:
    table = pd.read_csv(patches / "samples.csv", dtype={"id": str})
    return table.assign(row=np.arange(len(table))).set_index("id")


def _points(table: pd.DataFrame, name: str) -> np.ndarray:
    return table.loc[name, RECIST_COLUMNS].to_numpy(dtype=float).reshape(4, 2)


def _touches_border(mask: np.ndarray) -> bool:
    return bool(mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any())


if __name__ == "__main__":
    main()
