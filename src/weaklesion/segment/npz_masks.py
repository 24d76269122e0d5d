"""`weaklesion npz-masks`: the masks of marks that `.npz` volumes draw, as `.npz` again.

Each `<case>.npz` has `segs`, of the shape of the volume's `imgs`, with the number of each lesion.
"""

import csv
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from weaklesion.errors import DataError
from weaklesion.segment.outputs import read_mask
from weaklesion.support.files import written_whole
from weaklesion.support.reading import refusing

logger = logging.getLogger(__name__)


def write_npz_masks(
    files: Sequence[str | Path], masks_dir: str | Path, out_dir: str | Path
) -> tuple[int, int]:
    """Write the masks of the lesions of each file, in its own grid.

    Where two lesions share voxels, the one with the lower number has them. A lesion without a
    volume has its slice's mask; one that was refused, or is not in the table, has none.

    Args:
        files: the files that `weaklesion npz` read.
        masks_dir: the `--out` folder of `weaklesion segment --volume`.
        out_dir: folder for `<case>.npz`.

    Returns:
        Numbers of files and of lesions.

    Raises:
        DataError: if the folder has no results, a file cannot be read, or a mask is not on its
            grid.
    """
    table, rows = read_measurements(masks_dir)
    paths = [Path(file) for file in files]
    out = Path(out_dir)
    if any(path.resolve().parent == out.resolve() for path in paths):
        raise DataError(f"{out}: holds the files that are read. Give another --out folder.")
    out.mkdir(parents=True, exist_ok=True)
    lesions = 0
    for path in paths:
        numbered = sorted(
            (int(number), row)
            for row in rows
            for stem, _, number in [str(row["id"]).rpartition("_")]
            if stem == path.stem and number.isascii() and number.isdigit()
        )
        kind = np.uint8 if all(number < 256 for number, _ in numbered) else np.uint16
        segs = np.zeros(_shape_of(path), dtype=kind)
        for number, row in numbered:
            mask = mask_of(masks_dir, row)
            if mask.shape != segs.shape:
                raise DataError(
                    f"{table}: {row['id']} has a mask of {mask.shape}, but {path.name} has imgs of"
                    f" {segs.shape}. Was it made by weaklesion npz --volume of this file?"
                )
            segs[mask & (segs == 0)] = number
        lesions += len(numbered)
        _check_masks_only(out / path.name)
        if not numbered:
            logger.warning("%s has no lesion in %s", path.name, table)
        with written_whole(out / path.name) as temporary, temporary.open("wb") as stream:
            np.savez_compressed(stream, segs=segs)
    return len(paths), lesions


def _check_masks_only(path: Path) -> None:
    """Check that a file, if it exists, has masks as this module writes them, and nothing else.

    Raises:
        DataError: if it has other arrays, as a file of reference masks.
    """
    if not path.exists():
        return
    with refusing(lambda cause: DataError(f"{path}: is in the way, and cannot be read: {cause}")):
        names = np.load(path, allow_pickle=False).files
    if names != ["segs"]:
        raise DataError(
            f"{path}: has {', '.join(names)}, so this command did not write it. Give another --out"
            " folder, or move this file away."
        )


def _shape_of(path: Path) -> tuple[int, ...]:
    """Return the shape of a file's images, (D, H, W)."""
    with (
        refusing(lambda cause: DataError(f"{path}: cannot be read: {cause}")),
        np.load(path, allow_pickle=False) as arrays,
    ):
        return tuple(arrays["imgs"].shape)


def read_measurements(masks_dir: str | Path) -> tuple[Path, list[dict[str, str]]]:
    """Return the table that `weaklesion segment` wrote to a folder, and its rows.

    Raises:
        DataError: if there is none.
    """
    table = Path(masks_dir) / "measurements.csv"
    if not table.is_file():
        raise DataError(f"{table}: does not exist. Give the --out folder of weaklesion segment.")
    with table.open(encoding="utf-8", newline="") as stream:
        return table, list(csv.DictReader(stream))


def mask_of(masks_dir: str | Path, row: Mapping[str, str]) -> np.ndarray:
    """Return the mask of a mark, (D, H, W) bool: in three dimensions, or of its slice.

    Args:
        masks_dir: the `--out` folder of `weaklesion segment`.
        row: of its `measurements.csv`.

    Raises:
        DataError: if the file cannot be read.
    """
    path = Path(masks_dir) / (row.get("volume") or row["mask"])
    if path.suffix == ".png":
        return read_mask(path, None)
    with refusing(lambda cause: DataError(f"{path}: cannot be read: {cause}")):
        volume: Any = nibabel.load(path)
        return np.asarray(volume.dataobj).T > 0
