r"""Mark every slice of lesions that have masks: a table for a study of own marks.

    python tools/mark_masks.py cases.csv FOLDER

`cases.csv` is that of `tools/measure_volumes.py`, without its columns of a mark: each part of a
lesion's mask in each slice is marked as RECIST defines it (`weaklesion.diameters`).
`FOLDER/marks.csv` has a row per part, with the part's own mask, so that a study whose dataset says
`reference: dense` is scored on it. Lesions whose role is `chosen` train, but for every fifth image,
which validates; all others test.

Parts with a short diameter below 5 px are left out, and counted.
"""

import argparse
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import nibabel
import numpy as np
import pandas as pd
from carry_marks import LEAST_PX, check_square, split_of
from measure_volumes import read_cases, reference_of, volume_of

from weaklesion.diameters import recist_from_mask
from weaklesion.recist import RECIST_COLUMNS
from weaklesion.support.progress import progress


def main() -> None:
    """Write the table and the masks."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cases", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    cases = read_cases(options.cases)
    split = split_of(cases)
    rows: list[dict[str, Any]] = []
    left_out = 0
    (options.out / "masks").mkdir(parents=True, exist_ok=True)
    for case in progress(cases.to_dict("records"), total=len(cases), what="lesions"):
        image = (options.cases.parent / case["image"]).resolve()
        grid = volume_of(image)
        check_square(grid, image)
        lesion = reference_of(case, options.cases.parent)
        kept: dict[int, np.ndarray] = {}  # by number of the part in its slice
        for place, number, part in parts_of(lesion):
            points = recist_from_mask(part)
            if math.dist(*points[2:]) < LEAST_PX:
                left_out += 1
                continue
            kept.setdefault(number, np.zeros(lesion.shape, np.uint8))[:, :, place] = part.T
            rows.append(
                {"id": f"{case['id']}_{place}_{number}", "image": str(image), "slice": place}
                | dict(zip(RECIST_COLUMNS, points.ravel().tolist(), strict=True))
                | {"group": case["image"], "split": split[case["id"]]}
                | {"mask": f"masks/{case['id']}_{number}.nii.gz"}
            )
        for number, mask in kept.items():
            path = options.out / "masks" / f"{case['id']}_{number}.nii.gz"
            nibabel.save(nibabel.Nifti1Image(mask, grid.affine, grid.header), path)
    if not rows:
        parser.error(f"{options.cases}: no part has a short diameter of {LEAST_PX:g} px")
    table = pd.DataFrame(rows)
    table.to_csv(options.out / "marks.csv", index=False, float_format="%.6g")
    print(f"{left_out} parts left out: a short diameter below {LEAST_PX:g} px")
    print(table.groupby("split")["group"].agg(["size", "nunique"]).to_string())


def parts_of(lesion: np.ndarray) -> Iterator[tuple[int, int, np.ndarray]]:
    """Yield slice, number and mask of each 8-connected part of a lesion's slices.

    Args:
        lesion: (x, y, z) bool.

    Yields:
        The slice's index; the part's number in its slice, 1 for the largest; (y, x) bool.
    """
    for place in np.flatnonzero(lesion.any(axis=(0, 1))).tolist():
        plane = lesion[:, :, place].T.astype(np.uint8)
        _, labels, boxes, _ = cv2.connectedComponentsWithStats(plane, connectivity=8)
        largest_first = np.argsort(-boxes[1:, cv2.CC_STAT_AREA], kind="stable") + 1
        for number, label in enumerate(largest_first.tolist(), start=1):
            yield place, number, labels == label


if __name__ == "__main__":
    main()
