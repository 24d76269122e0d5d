"""What several readers of the same lesions agree in, and what a mark by one says of the others.

    python tools/readers.py marks FOLDER OUT
    python tools/readers.py score FOLDER OUT prompted_ends=MASKS [prompted_ends=MASKS...]

FOLDER has `slices.csv` with the columns `name`, `patient`, `nodule` and, where known, `pixel_mm`;
`images/NAME.png`, and `masks/NAME_readerK.png` for every reader K who outlined the lesion there.

`marks` writes two tables of marks (docs/how-to/own-marks.md). A mark is the RECIST mark of one
reader's mask. `OUT/marks.csv`, for the study own-marks: one mark per slice, by a reader drawn from
those who outlined it there; 60, 10 and 30 percent of the patients in training, validation and test.
`OUT/test.csv`, for `weaklesion segment`: of each test lesion the slice that all readers outlined
and on which their mean area is largest, once per reader.

`score` compares masks on the slices of `test.csv`: those of the readers with each other, and those
made from a reader's mark with the masks of the readers who did not draw it. MASKS is the folder
`masks` of `weaklesion segment`, one per seed of the network. It writes `OUT/pairs.csv` (one row per
lesion, seed, drawing and scoring reader), and `OUT/readers.csv` and `OUT/diameters.csv`. A
`test.csv` of your own may have drawn marks: an id is NAME_readerK, and there need be no mask by K.
"""

import argparse
import glob
import itertools
import math
import sys
import zlib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from PIL import Image

from weaklesion import metrics
from weaklesion.diameters import recist_from_mask
from weaklesion.errors import DataError
from weaklesion.four_ends import FourEnds
from weaklesion.recist import RECIST_COLUMNS, ellipse_from_recist
from weaklesion.scoring.statistics import compare, estimate
from weaklesion.support.progress import progress
from weaklesion.support.yaml_files import read_yaml

ROOT = Path(__file__).resolve().parents[1]
SHARES = {"train": 0.6, "val": 0.1, "test": 0.3}
LEAST_PX = 5.0  # short diameter below which a mark says nothing
READERS, ELLIPSE, ENDS = "another reader", "ellipse", "ends"
CROSSING = "ellipse about the crossing"  # as the released code draws marks of DeepLesion
QUARTERS = "quarter-ellipses"  # the same as the ends, with exponent 2
PAIRS = ("name", "patient", "seed", "mask", "drawn_by", "scored_by", "dice", "long_percent",
         "short_percent", "area_percent")  # fmt: skip
MEASURES = ("long", "short", "area")


class Slice(NamedTuple):
    """A row of `slices.csv`; `pixel_mm` is nan where it is unknown."""

    name: str
    patient: str
    nodule: str
    pixel_mm: float


def main() -> None:
    """Run one of the two commands."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("marks", "score"):
        command = commands.add_parser(name)
        command.add_argument("folder", type=Path)
        command.add_argument("out", type=Path)
        if name == "score":
            command.add_argument("masks", nargs="*", help="NAME=FOLDER, once per seed")
    options = parser.parse_args()
    try:
        if options.command == "marks":
            write_marks(options.folder, options.out)
        else:
            write_scores(options.folder, options.out, _named_folders(options.masks))
    except DataError as error:
        sys.exit(str(error))


def write_marks(folder: Path, out: Path) -> None:
    """Write `marks.csv` and `test.csv` of a folder of readers' masks."""
    slices = read_slices(folder)
    out.mkdir(parents=True, exist_ok=True)
    split_of = split_patients(slices["patient"].unique())
    train, test, refused = [], [], 0
    keys = key_slices(slices[slices["patient"].map(split_of) == "test"], folder)
    for row in progress(_rows_of(slices), total=len(slices), what="slices marked"):
        found = readers_of(folder, row.name)
        chosen = _drawn(sorted(found), f"{row.patient}/{row.nodule}")
        for reader in sorted(found) if row.name in keys else [chosen]:
            mask_png = found[reader]
            points = _mark(read_mask(mask_png))
            if points is None:
                refused += 1
                continue
            image = folder / "images" / f"{row.name}.png"
            mark: dict[str, Any] = {"image": str(image.resolve())}
            mark |= dict(zip(RECIST_COLUMNS, points.ravel().tolist(), strict=True))
            if not math.isnan(row.pixel_mm):
                mark |= {"spacing_x": row.pixel_mm, "spacing_y": row.pixel_mm}
            if row.name in keys:
                test.append({"id": f"{row.name}_reader{reader}"} | mark)
            if reader == chosen:
                split = {"group": row.patient, "split": split_of[row.patient]}
                train.append({"id": row.name} | mark | split | {"mask": str(mask_png.resolve())})
    for name, marks in (("marks", train), ("test", test)):
        pd.DataFrame(marks).to_csv(out / f"{name}.csv", index=False, float_format="%.6g")
    print(
        f"{len(train)} marks for training, validation and test; {len(test)} test marks of"
        f" {len(keys)} lesions; {refused} marks left out: a short diameter below {LEAST_PX:g} px"
    )


def write_scores(folder: Path, out: Path, masks: Mapping[str, Sequence[Path]]) -> None:
    """Write `pairs.csv`, `readers.csv` and `diameters.csv`."""
    slices = read_slices(folder)
    patient_of = dict(zip(slices["name"], slices["patient"], strict=True))
    marks = read_test_marks(out / "test.csv")
    if unknown := sorted(set(marks["name"]) - set(patient_of)):
        raise DataError(f"{folder / 'slices.csv'}: has no {unknown[0]}, which test.csv marks.")
    rows: list[dict[str, Any]] = []
    for name, of_slice in progress(
        list(marks.groupby("name")), total=marks["name"].nunique(), what="lesions scored"
    ):
        found = {reader: read_mask(png) for reader, png in readers_of(folder, str(name)).items()}
        told: dict[str, Any] = {"name": name, "patient": patient_of[str(name)]}
        for mark in of_slice.to_dict("records"):
            points = np.array([mark[column] for column in RECIST_COLUMNS], float).reshape(4, 2)
            drawn = masks_of_mark(points, next(iter(found.values())).shape)
            if mark["reader"] in found:
                drawn[READERS, 0] = found[mark["reader"]]
            for kind, folders in masks.items():
                for seed, where in enumerate(folders, start=1):
                    drawn[kind, seed] = read_mask(where / f"{mark['id']}.png")
            for (kind, seed), mask in drawn.items():
                about = told | {"seed": seed, "mask": kind, "drawn_by": mark["reader"]}
                rows += [
                    about | {"scored_by": other} | scores_of(mask, reference)
                    for other, reference in found.items()
                    if kind != READERS or other != mark["reader"]
                ]
    pairs = pd.DataFrame(rows, columns=list(PAIRS))
    pairs.to_csv(out / "pairs.csv", index=False, float_format="%.6g")
    for name, table in (("readers", dice_table(pairs)), ("diameters", limits_table(pairs))):
        table.to_csv(out / f"{name}.csv", index=False, float_format="%.6g")
        print(table.to_string(index=False, float_format="%.2f"))


def read_test_marks(path: Path) -> pd.DataFrame:
    """Return `test.csv` with the columns `name` and `reader`.

    Raises:
        DataError: if it has no mark, or an id that is not NAME_readerK.
    """
    try:
        marks = pd.read_csv(path, dtype={"id": str})
    except (OSError, pd.errors.EmptyDataError) as error:
        raise DataError(f"{path}: has no marks ({error}).") from error
    parts = marks["id"].str.extract(r"^(?P<name>.+)_reader(?P<reader>.+)$")
    if other := marks.loc[parts["name"].isna(), "id"].tolist():
        raise DataError(f"{path}: the id {other[0]} is not NAME_readerK.")
    return marks.join(parts)


@cache
def ends_exponent() -> float:
    """Return the exponent of the shape through the four ends that the configuration has."""
    config = read_yaml(ROOT / "config.yaml")
    return float(config["protocols"]["corrected"]["supervision"]["ends_exponent"])


def masks_of_mark(
    points: np.ndarray, shape_hw: tuple[int, int]
) -> dict[tuple[str, int], np.ndarray]:
    """Return what a mark, (4, 2) px, gives without a network: (H, W) bool by kind and seed 0."""
    return {
        (ELLIPSE, 0): ellipse_from_recist(points).drawn(shape_hw),
        (CROSSING, 0): ellipse_from_recist(points, center="intersection").drawn(shape_hw),
        (ENDS, 0): FourEnds(points, ends_exponent()).drawn(shape_hw),
        (QUARTERS, 0): FourEnds(points).drawn(shape_hw),
    }


def scores_of(mask: np.ndarray, reference: np.ndarray) -> dict[str, float]:
    """Return the Dice of two masks, %, and how much longer and larger the first one is, %.

    A difference is relative to the mean of both, as limits of agreement between readers are
    printed. Diameters are those of RECIST. They are nan if the mask is empty.
    """
    scores = {"dice": 100 * metrics.dice(reference, mask)}
    ours, theirs = (_sizes(each) if each.any() else [math.nan] * 3 for each in (mask, reference))
    for name, one, two in zip(MEASURES, ours, theirs, strict=True):
        scores[f"{name}_percent"] = 200 * (one - two) / (one + two)
    return scores


def dice_table(pairs: pd.DataFrame) -> pd.DataFrame:
    """Return the mean Dice against readers who did not draw the mark, and against the one who did.

    A patient counts once. Differences are from the ellipse and, where the readers who drew the
    marks have outlines (`from_reader`), from these, each against the same readers.
    """
    rows = []
    others = pairs[pairs["drawn_by"] != pairs["scored_by"]]
    own = pairs[pairs["drawn_by"] == pairs["scored_by"]]
    values = {kind: _by_patient(table) for kind, table in others.groupby("mask", sort=False)}
    for kind, ours in values.items():
        mean, gain = estimate(ours), compare(ours, values[ELLIPSE])
        of_own = own[own["mask"] == kind]
        from_reader = compare(ours, values[READERS]) if READERS in values else None
        rows.append(
            {
                "mask": kind, "seeds": mean.n_seeds,
                "lesions": others.loc[others["mask"] == kind, "name"].nunique(),
                "patients": mean.n_groups, "dice_of_others": mean.mean, "ci_low": mean.ci_low,
                "ci_high": mean.ci_high, "gain": gain.difference, "gain_ci_low": gain.ci_low,
                "gain_ci_high": gain.ci_high, "p_value": gain.p_value,
                "from_reader": from_reader.difference if from_reader else math.nan,
                "from_reader_ci_low": from_reader.ci_low if from_reader else math.nan,
                "from_reader_ci_high": from_reader.ci_high if from_reader else math.nan,
                "dice_of_own": _by_patient(of_own)["value"].mean() if len(of_own) else math.nan,
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def limits_table(pairs: pd.DataFrame) -> pd.DataFrame:
    """Return mean and 95 % limits of agreement of sizes with those of the other readers, %.

    The limits are the mean plus and minus 1.96 standard deviations over all pairs (Bland and
    Altman 1986).
    """
    others = pairs[pairs["drawn_by"] != pairs["scored_by"]]
    rows = []
    for kind, table in others.groupby("mask", sort=False):
        for name in MEASURES:
            values = table[f"{name}_percent"].dropna()
            spread = 1.96 * values.std(ddof=1)
            rows.append(
                {"mask": kind, "size": name, "pairs": len(values), "mean": values.mean(),
                 "limit_low": values.mean() - spread, "limit_high": values.mean() + spread}
            )  # fmt: skip
    return pd.DataFrame(rows)


def read_slices(folder: Path) -> pd.DataFrame:
    """Return `slices.csv` of a folder: `name`, `patient`, `nodule`, `pixel_mm`.

    Raises:
        DataError: if a column is missing, or a name occurs twice.
    """
    path = folder / "slices.csv"
    table = pd.read_csv(path, dtype={"name": str, "patient": str, "nodule": str})
    missing = {"name", "patient", "nodule"} - set(table.columns)
    if missing:
        raise DataError(f"{path}: has no column {', '.join(sorted(missing))}.")
    if twice := table.loc[table["name"].duplicated(), "name"].tolist():
        raise DataError(f"{path}: {twice[0]} occurs twice.")
    if "pixel_mm" not in table:
        table["pixel_mm"] = math.nan
    return table[["name", "patient", "nodule", "pixel_mm"]]


def _rows_of(slices: pd.DataFrame) -> list[Slice]:
    """Return the rows of `read_slices`."""
    return [
        Slice(str(name), str(patient), str(nodule), float(pixel_mm))
        for name, patient, nodule, pixel_mm in slices.itertuples(index=False, name=None)
    ]


def readers_of(folder: Path, name: str) -> dict[str, Path]:
    """Return the masks of a slice by the name of their reader.

    Raises:
        DataError: if there is none.
    """
    start = f"{name}_reader"
    paths = sorted((folder / "masks").glob(f"{glob.escape(start)}*.png"))
    if not paths:
        raise DataError(f"{folder / 'masks'}: has no {start}K.png.")
    return {path.stem.removeprefix(start): path for path in paths}


def key_slices(slices: pd.DataFrame, folder: Path) -> set[str]:
    """Return one slice of each lesion: outlined by all readers, with the largest mean area.

    Lesions that no slice has from as many readers as any slice has are left out, as are slices on
    which the mark of one reader says nothing.
    """
    most, candidates = 0, []
    for row in _rows_of(slices):
        found = readers_of(folder, row.name)
        masks = [read_mask(png) for png in found.values()]
        if all(_mark(mask) is not None for mask in masks):
            area = float(np.mean([mask.sum() for mask in masks]))
            candidates.append((len(found), area, row.name, (row.patient, row.nodule)))
            most = max(most, len(found))
    best: dict[tuple[str, str], tuple[float, str]] = {}
    for count, area, name, lesion in candidates:
        if count == most:
            best[lesion] = max(best.get(lesion, (0.0, "")), (area, name))
    return {name for _, name in best.values()}


def split_patients(patients: Iterable[str]) -> dict[str, str]:
    """Return the split of each patient, drawn by the patient's name alone."""
    order = sorted(patients, key=lambda name: (zlib.crc32(name.encode()), name))
    ends = [round(len(order) * share) for share in itertools.accumulate(SHARES.values())]
    split_of: dict[str, str] = {}
    start = 0
    for split, end in zip(SHARES, ends, strict=True):
        split_of |= dict.fromkeys(order[start:end], split)
        start = end
    return split_of


def read_mask(path: Path) -> np.ndarray:
    """Read a mask, (H, W) bool.

    Raises:
        DataError: if there is none.
    """
    try:
        with Image.open(path) as picture:
            return np.asarray(picture.convert("L")) > 0
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error}).") from error


def _mark(mask: np.ndarray) -> np.ndarray | None:
    """Return the RECIST mark of a mask, or None if its short diameter is too short."""
    if not mask.any():
        return None
    points = recist_from_mask(mask)
    return points if math.dist(*points[2:]) >= LEAST_PX else None


def _sizes(mask: np.ndarray) -> list[float]:
    """Return both diameters and the area, px."""
    points = recist_from_mask(mask)
    return [math.dist(*points[:2]), math.dist(*points[2:]), float(mask.sum())]


def _drawn(readers: Sequence[str], name: str) -> str:
    """Draw one of the readers by the name of the lesion."""
    return readers[zlib.crc32(name.encode()) % len(readers)]


def _by_patient(pairs: pd.DataFrame) -> pd.DataFrame:
    """Return one value per patient and seed: the mean over lesions of the mean over pairs."""
    lesions = pairs.groupby(["seed", "patient", "name"])["dice"].mean()
    values = lesions.groupby(["seed", "patient"]).mean().rename("value").reset_index()
    return values.assign(id=values["patient"], group=values["patient"])


def _named_folders(texts: Sequence[str]) -> dict[str, list[Path]]:
    named: dict[str, list[Path]] = {}
    for name, _, folder in (text.partition("=") for text in texts):
        if not folder:
            raise DataError(f"{name}: give NAME=FOLDER.")
        named.setdefault(name, []).append(Path(folder))
    return named


if __name__ == "__main__":
    main()
