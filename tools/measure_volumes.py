r"""Score the volumes that marks give, against masks in three dimensions.

    python tools/measure_volumes.py cases.csv docs/results/volumes \
        [--model RUN --window LOW HIGH --on DATASET]

`cases.csv` has a row per lesion: `id`, `dataset`, `role` (whether constants were chosen on it or
tested on it), `image` and `mask` (NIfTI on one grid, relative to the table) and `label` (the
lesion's value in the mask). `slice` and the eight columns of a mark are those of a radiologist;
where they are empty, the mark is the RECIST measurement of the lesion's slice with the longest
diameter. With `--model`, a network that is given the mark continues its mask of the marked slice,
on the datasets that `--on` names.
"""

import argparse
import resource
import time
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pandas as pd

from weaklesion.marks.table import Mark
from weaklesion.pseudo_masks import main_part
from weaklesion.recist import RECIST_COLUMNS, measure_recist
from weaklesion.segment.crops import open_mark
from weaklesion.segment.lesion_volume import answer_in_volume
from weaklesion.segment.predictor import Predictor, load_predictor
from weaklesion.support.progress import progress
from weaklesion.volumes.answer import VolumeAnswer, answer_mark
from weaklesion.volumes.frame import frame_of
from weaklesion.volumes.lesion_scores import longest_mark, rows_of_masks, training_free_rows

SCORES = ("dice", "nsd_2mm", "asd_mm", "hd95_mm", "volume_error_percent")


def main() -> None:
    """Write `lesions.csv` and `summary.csv`."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("cases", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--window", type=float, nargs=2, default=(-160.0, 240.0))
    parser.add_argument("--on", nargs="+", default=[])
    options = parser.parse_args()
    network = load_predictor(options.model) if options.model else None
    window = options.window[0], options.window[1]
    cases = read_cases(options.cases)
    rows: list[dict[str, Any]] = []
    for case in progress(cases.to_dict("records"), total=len(cases), what="lesions"):
        used = network if case["dataset"] in options.on else None
        rows += measure_case(case, options.cases.parent, used, window)
    options.out.mkdir(parents=True, exist_ok=True)
    lesions = pd.DataFrame(rows).sort_values(["dataset", "role", "id", "method"])
    lesions.to_csv(options.out / "lesions.csv", index=False, float_format="%.6g")
    summary = summarised(lesions)
    summary.to_csv(options.out / "summary.csv", index=False, float_format="%.6g")
    print(summary.to_string())
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


def read_cases(path: Path) -> pd.DataFrame:
    """Read a table of lesions; stop if an id occurs twice."""
    cases = pd.read_csv(path, dtype={"id": str})
    if twice := cases.loc[cases["id"].duplicated(), "id"].tolist():
        raise SystemExit(f"{path}: {twice[0]} occurs twice. Give each lesion an id of its own.")
    return cases


def answer_of_network(
    network: Predictor, mark: Mark, window_hu: tuple[float, float], image: Any, frame: np.ndarray
) -> VolumeAnswer:
    """Answer a mark, whether or not the gate would accept the marked slice's mask."""
    each = open_mark(mark, network.trained, network.data, window_hu)
    own = main_part(network.logits([each.crop])[0] >= 0, each.crop.shape)
    mask = np.zeros(each.shape_hw, dtype=np.uint8)
    if own is not None:
        mask[each.crop.rows, each.crop.columns] = own
    return answer_in_volume(each, mask, network, window_hu, frame, image.dataobj)


def measure_case(
    case: dict[Any, Any],
    folder: Path,
    network: Predictor | None,
    window_hu: tuple[float, float],
) -> list[dict[str, Any]]:
    """Return a row of scores per method."""
    image = volume_of(folder / case["image"])
    reference = reference_of(case, folder)
    frame = frame_of(image)
    points, index = mark_of(case, reference, frame)
    start = time.process_time()
    answer = answer_mark(image.dataobj, reference.shape, frame, points, index)
    seconds = time.process_time() - start
    rows = training_free_rows(reference, answer.masks, answer.interval_mm3, frame)
    rows[1]["seconds"] = seconds
    if network is not None:
        mark = Mark(0, case["id"], folder / case["image"], index, points, None)
        answer = answer_of_network(network, mark, window_hu, image, frame)
        rows += rows_of_masks(reference, {"network": answer.masks["network"]}, frame)
    about = {name: case[name] for name in ("id", "dataset", "role")}
    return [about | row for row in rows]


def volume_of(path: Path) -> Any:
    """Return a NIfTI image of three dimensions; stop if it has others."""
    image: Any = nibabel.load(path)
    if len(image.shape) != 3:
        shape = " x ".join(map(str, image.shape))
        raise SystemExit(f"{path}: has {shape} voxels, not three dimensions. Save it with three.")
    return image


def reference_of(case: dict[Any, Any], folder: Path) -> np.ndarray:
    """Return a lesion's own mask, (x, y, z) bool; stop if it is none of the image."""
    image, mask = volume_of(folder / case["image"]), volume_of(folder / case["mask"])
    where = f"{folder / case['mask']} ({case['id']})"
    if mask.shape != image.shape:
        raise SystemExit(f"{where}: is {mask.shape} voxels large, its image {image.shape}.")
    lesion: np.ndarray = np.asarray(mask.dataobj) == case["label"]
    if not lesion.any():
        raise SystemExit(f"{where}: has no voxel of the label {case['label']}.")
    return lesion


def mark_of(
    case: dict[Any, Any], reference: np.ndarray, frame: np.ndarray
) -> tuple[np.ndarray, int]:
    """Return the mark of a case, (4, 2) px, and its slice."""
    if not pd.isna(case.get("slice", np.nan)):
        points = np.array([case[name] for name in RECIST_COLUMNS], dtype=float)
        return points.reshape(4, 2), int(case["slice"])
    spacing = float(frame[1, 1]), float(frame[0, 0])
    return longest_mark(reference, frame, lambda plane: measure_recist(plane, spacing).points)


def summarised(lesions: pd.DataFrame) -> pd.DataFrame:
    """Return means per dataset, role and method, and gains over the ellipsoid."""
    ellipsoid = lesions[lesions["method"] == "ellipsoid"].set_index("id")["dice"]
    rows = []
    for (dataset, role, method), part in lesions.groupby(["dataset", "role", "method"]):
        gain = part["dice"] - part["id"].map(ellipsoid)
        error = part["volume_error_percent"]
        spread = 1.96 * error.std(ddof=1)
        row = {"dataset": dataset, "role": role, "method": method, "lesions": len(part)}
        row |= {name: part[name].mean() for name in SCORES}
        row |= {"error_low": error.mean() - spread, "error_high": error.mean() + spread}
        row |= {"gain": gain.mean(), "worst_gain": gain.min(), "below_minus_2": (gain < -2).sum()}
        if part["low_mm3"].notna().any():
            inside = part["reference_mm3"].between(part["low_mm3"], part["high_mm3"])
            row |= {"in_interval_percent": 100 * inside.mean(), "seconds": part["seconds"].mean()}
            row["undecided"] = int(part["undecided"].sum())
        rows.append(row)
    return pd.DataFrame(rows)


if __name__ == "__main__":
    main()
