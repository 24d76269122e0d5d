"""`weaklesion npz-masks`: the masks of marks that `.npz` volumes draw, as `.npz` again.

Each `<case>.npz` has `segs`, of the shape of the volume's `imgs`, with the number of each lesion.
"""

import csv
import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from weaklesion.errors import DataError
from weaklesion.marks.npz import MOST_LESIONS, check_names, lesions_in
from weaklesion.segment.outputs import read_mask
from weaklesion.support.listing import listed
from weaklesion.support.own_files import OwnFiles
from weaklesion.support.reading import refusing
from weaklesion.support.spreadsheets import plain_rows

logger = logging.getLogger(__name__)

NUMBERS = range(1, MOST_LESIONS + 1)


def write_npz_masks(
    files: Sequence[str | Path],
    masks_dir: str | Path,
    out_dir: str | Path,
    *,
    drawn_dir: str | Path | None = None,
) -> tuple[int, int]:
    """Write the masks of the lesions of each file, in its own grid.

    Where two lesions share voxels, the one with the lower number has them. A lesion without a
    volume has its slice's mask; one that was refused has none.

    Args:
        files: the files that `weaklesion npz` read.
        masks_dir: the `--out` folder of `weaklesion segment --volume`.
        out_dir: folder for `<case>.npz`.
        drawn_dir: the `--out` folder of `weaklesion npz`, whose `refused.csv` is found without it
            if a mark was segmented. If it has no mark, nothing needs to have been segmented.

    Returns:
        Numbers of files and of lesions.

    Raises:
        DataError: if the folder has no results, two files have one name, a file cannot be read,
            none of its lesions was segmented or refused, a mask is not on its grid, or `out_dir`
            has a file of the same name that this function did not write.
    """
    table, rows = read_measurements(masks_dir, drawn_dir)
    refused = _refused_by_segment(table) | _refused_by_npz(rows, drawn_dir)
    paths = [Path(file) for file in files]
    check_names(paths)
    out = Path(out_dir)
    if any(path.resolve().parent == out.resolve() for path in paths):
        raise DataError(f"{out}: contains the files to be read. Give another --out folder.")
    own = OwnFiles(out)
    own.check_free(path.name for path in paths)
    lesions = 0
    for path in paths:
        shape, drawn = _drawn_in(path, refused)
        numbered = _rows_of_lesions(path, drawn, table, rows, refused)
        kind = np.uint8 if all(number < 256 for number, _ in numbered) else np.uint16
        segs = np.zeros(shape, dtype=kind)
        for number, row in numbered:
            mask = mask_of(masks_dir, row)
            if mask.shape != segs.shape:
                raise DataError(
                    f"{table}: {row['id']} has a mask of {mask.shape}, but {path.name} has imgs of"
                    f" {segs.shape}. Was it made by weaklesion npz --volume of this file?"
                )
            segs[mask & (segs == 0)] = number
        lesions += len(numbered)
        with own.writing(path.name) as temporary, temporary.open("wb") as stream:
            np.savez_compressed(stream, segs=segs)
    return len(paths), lesions


def _rows_of_lesions(
    path: Path,
    drawn: Sequence[int],
    table: Path,
    rows: Sequence[dict[str, str]],
    refused: Collection[str],
) -> list[tuple[int, dict[str, str]]]:
    """Return number and row of each lesion of a file that has a mask.

    Raises:
        DataError: if the file has lesions, and all are neither in the table nor refused.
    """
    row_of = {row["id"]: row for row in rows}
    ids = {number: _id_in_tables(path.stem, number) for number in drawn}
    numbered = [(n, row_of[ids[n]]) for n in drawn if ids[n] in row_of and n in NUMBERS]
    used = {number for number, _ in numbered}
    unknown = [n for n in drawn if n not in used and ids[n] not in refused]
    if not drawn:
        logger.warning("%s: no lesion of it was used, so its segs are 0", path)
    if unknown:
        told = listed([ids[number] for number in unknown])
        if len(unknown) == len(drawn):
            raise DataError(
                f"{path}: its lesions {told} are neither in {table} nor in refused.csv. Give"
                " --masks the folder that was segmented from this file, or leave the file out."
            )
        logger.warning("%s: %s: neither in %s nor refused, so it has no mask", path, told, table)
    return numbered


def _drawn_in(path: Path, refused: Collection[str]) -> tuple[tuple[int, ...], list[int]]:
    """Return the shape of a file's images, (D, H, W), and its lesions; none if it was refused."""
    with (
        refusing(lambda cause: DataError(f"{path}: cannot be read: {cause}")),
        np.load(path, allow_pickle=False) as arrays,
    ):
        shape = tuple(arrays["imgs"].shape)
        return shape, [] if _id_in_tables(path.stem) in refused else lesions_in(arrays["recist"])


def _id_in_tables(stem: str, number: int | str = "") -> str:
    """Return the id of a lesion, or of a whole file, as tables that nothing reads back show it."""
    return str(plain_rows([{"id": f"{stem}_{number}"}])[0]["id"])


def _refused_by_segment(table: Path) -> set[str]:
    """Return the ids that `weaklesion segment` refused when it wrote a table."""
    return {row["id"] for row in _rows_of(table.with_name("refused.csv"))}


def _refused_by_npz(rows: Sequence[Mapping[str, str]], drawn_dir: str | Path | None) -> set[str]:
    """Return the ids of lesions and whole files that `weaklesion npz` refused.

    Its `refused.csv` is beside the folder of the marks' images, or in `drawn_dir`. If it was moved,
    none is known.
    """
    folders = {Path(row["image"]).parent.parent for row in rows}
    if drawn_dir is not None:
        folders.add(Path(drawn_dir))
    every = [row for folder in folders for row in _rows_of(folder / "refused.csv")]
    return {
        _id_in_tables(Path(row["file"]).stem, row["lesion"])
        for row in every
        if {"file", "lesion"} <= row.keys()
    }


def _rows_of(table: Path) -> list[dict[str, str]]:
    """Return the rows of a table that this package wrote, if it is there."""
    if not table.is_file():
        return []
    with table.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def read_measurements(
    masks_dir: str | Path, drawn_dir: str | Path | None = None
) -> tuple[Path, list[dict[str, str]]]:
    """Return the table that `weaklesion segment` wrote to a folder, and its rows.

    Args:
        masks_dir: the folder.
        drawn_dir: folder of the marks; if its `marks.csv` has no row, the table may be absent.

    Raises:
        DataError: if there is none.
    """
    table = Path(masks_dir) / "measurements.csv"
    marks = None if drawn_dir is None else Path(drawn_dir) / "marks.csv"
    nothing_to_segment = marks is not None and marks.is_file() and not _rows_of(marks)
    if not table.is_file() and not nothing_to_segment:
        raise DataError(f"{table}: does not exist. Give the --out folder of weaklesion segment.")
    return table, _rows_of(table)


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
