"""Patches: every lesion sample of a dataset as a square image of one size, with its reference.

The loaders in `weaklesion.data.loaders` yield samples one by one; this module writes, splits and
counts them. The files of a patches folder:

- `images.npy` (N, side, side, 3) uint8;
- `reference.npy` (N, side, side) uint8 of 0 and 1; all 0 if a dataset has no dense reference;
- `samples.csv`, one row per sample, in the arrays' order;
- `patches.json`, with counts, the samples that are left out and why, and digests.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal

import numpy as np
import pandas as pd
from numpy.lib.format import write_array_header_1_0

from weaklesion.errors import DataError
from weaklesion.recist import RECIST_COLUMNS
from weaklesion.splits import SPLITS
from weaklesion.support.files import file_digest, write_json, written_whole
from weaklesion.support.limits import Rising, at_least
from weaklesion.support.spreadsheets import formula_problem

logger = logging.getLogger(__name__)

# Settings that several loaders have.
SidePx = Annotated[int, at_least(1), "Height and width of a patch, in pixels."]
OnBadSample = Annotated[
    Literal["error", "drop"],
    "What a sample that cannot be used does: it stops the run (`error`), or it is left out and"
    " counted with its reason (`drop`).",
]
WindowHU = Annotated[
    tuple[float, float], Rising(), "Hounsfield units that become levels 0 and 255."
]
Limits = Annotated[
    dict[str, int],
    "Largest number of samples per split; a split without a number is not limited.",
]

IDS_LISTED = 10
BEYOND_LIMIT = "beyond the study's limit for its split"


class BadSampleError(DataError):
    """A sample that cannot be used.

    Attributes:
        sample_id: its id.
        reason: the cause in words that many samples share, which are counted.
    """

    def __init__(self, sample_id: str, reason: str, message: str) -> None:
        """Keep id and reason as well as the message, which names file, cause and cure."""
        super().__init__(sample_id, reason, message)
        self.sample_id, self.reason, self.message = sample_id, reason, message

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One lesion sample as a patch.

    Attributes:
        id: unique in its dataset.
        group: patient, volume or lesion; samples of a group must not be in two splits.
        image: (side, side, 3) uint8.
        reference: (side, side) uint8 of 0 and 1, or None without a dense reference.
        recist: (4, 2) mark in patch pixels.
        source: name of its file.
        slice: index of its slice in a volume or series, or None.
        crop: x0, y0, x1, y1 of the patch in the source, px; may extend beyond it.
        mm_per_px: mm per px of the patch's x and y, or None if unknown.
        note: remark on an unusual sample, or "".
    """

    id: str
    group: str
    image: np.ndarray
    reference: np.ndarray | None
    recist: np.ndarray
    source: str
    slice: int | None = None
    crop: tuple[float, float, float, float]
    mm_per_px: tuple[float, float] | None
    note: str = ""


@dataclass(frozen=True)
class LeftOut:
    """A sample that is left out, and why."""

    sample_id: str
    reason: str


def write_patches(
    patches_dir: str | Path,
    samples: Iterable[Sample | LeftOut],
    *,
    assign_splits: Callable[[Mapping[str, str]], Mapping[str, Sequence[str]]],
    groups_apart: bool,
    limit: Mapping[str, int],
    report: dict[str, Any],
) -> None:
    """Write samples one by one, then split them.

    Args:
        patches_dir: folder of the four files.
        samples: the samples, and those that are left out.
        assign_splits: maps sample id to group, and returns the ids of `train`, `val` and `test`.
        groups_apart: whether a group in two splits is an error.
        limit: largest number of samples per split; the first that `assign_splits` returns are kept.
        report: further entries of `patches.json`.

    Raises:
        DataError: if an id occurs twice, a spreadsheet would compute an id, group or source, two
            patches differ in size, a group is in two splits, or a split is empty. Nothing is left
            behind then.
    """
    folder = Path(patches_dir)
    folder.mkdir(parents=True, exist_ok=True)
    stream_path = folder / ".part.stream"
    reasons: dict[str, str] = {}
    try:
        with stream_path.open("wb") as stream:
            rows, shape_hw, num_referenced = _write_stream(samples, stream, reasons)
        num_samples = len(rows) + len(reasons)
        kept, split_of = _choose(rows, reasons, assign_splits, limit)
        table = pd.DataFrame([rows[index] for index in kept])
        if len(table) == 0:
            raise DataError(f"no sample is left; {_summary(reasons)}. Check the source files.")
        table.insert(2, "split", table["id"].map(split_of))
        _check_splits(table, groups_apart)
        assert shape_hw is not None
        _copy_rows(stream_path, folder, kept, shape_hw)
    finally:
        stream_path.unlink(missing_ok=True)
    with written_whole(folder / "samples.csv") as temporary:
        table.to_csv(temporary, index=False)
    names = ("images.npy", "reference.npy", "samples.csv")
    by_split = table.groupby("split")["group"]
    content = {
        "found": num_samples,
        "kept": {split: int(by_split.size().get(split, 0)) for split in SPLITS},
        "groups": {split: int(by_split.nunique().get(split, 0)) for split in SPLITS},
        "dropped": count_reasons(reasons),
        "notes": count_reasons(dict(table.loc[table["note"] != "", ["id", "note"]].to_numpy())),
        "dense_reference": num_referenced > 0,
        **report,
        "sha256": {name: file_digest(folder / name) for name in names},
    }
    write_json(folder / "patches.json", content)
    logger.info("kept %s; left out %d of %d", content["kept"], len(reasons), num_samples)


def _write_stream(
    samples: Iterable[Sample | LeftOut], stream: BinaryIO, reasons: dict[str, str]
) -> tuple[list[dict[str, Any]], tuple[int, int] | None, int]:
    """Write the pixels of each sample to a stream: image and reference as four channels.

    Args:
        samples: the samples, and those that are left out.
        stream: binary file.
        reasons: filled with the reason of each sample that is left out, by id.

    Returns:
        Rows of the table, height and width of a patch, and the number of dense references.
    """
    rows: list[dict[str, Any]] = []
    ids: set[str] = set()
    num_referenced = 0
    shape_hw: tuple[int, int] | None = None
    for item in samples:
        name = item.id if isinstance(item, Sample) else item.sample_id
        if name in ids:
            raise DataError(f"sample {name} occurs twice. Remove one of its sources.")
        ids.add(name)
        if isinstance(item, LeftOut):
            reasons[name] = item.reason
            continue
        texts = {"id": item.id, "group": item.group, "file": item.source}
        if problem := formula_problem(texts):
            raise DataError(f"sample {name}: {problem}.")
        shape_hw = shape_hw or (item.image.shape[0], item.image.shape[1])
        if item.image.shape[:2] != shape_hw:
            raise DataError(
                f"{item.source}: sample {name} is {item.image.shape[:2]} px, but the samples"
                f" before it are {shape_hw}. In the frame `source` all images must have one"
                " size: resize them, or use the frame `squashed`."
            )
        reference = item.reference
        num_referenced += reference is not None
        if reference is None:
            reference = np.zeros(shape_hw, dtype=np.uint8)
        stream.write(np.concatenate([item.image, reference[..., None]], axis=2).tobytes())
        rows.append(_row(item))
    return rows, shape_hw, num_referenced


def _row(sample: Sample) -> dict[str, Any]:
    mm_x, mm_y = sample.mm_per_px or ("", "")
    crop = dict(zip(("crop_x0", "crop_y0", "crop_x1", "crop_y1"), sample.crop, strict=True))
    return {
        "id": sample.id,
        "group": sample.group,
        "source": sample.source,
        "slice": "" if sample.slice is None else sample.slice,
        **crop,
        "mm_per_px_x": mm_x,
        "mm_per_px_y": mm_y,
        **dict(zip(RECIST_COLUMNS, sample.recist.ravel().round(6).tolist(), strict=True)),
        "note": sample.note,
    }


def _choose(
    rows: list[dict[str, Any]],
    reasons: dict[str, str],
    assign_splits: Callable[[Mapping[str, str]], Mapping[str, Sequence[str]]],
    limit: Mapping[str, int],
) -> tuple[list[int], dict[str, str]]:
    """Return the indices and splits of the rows to keep; add the reasons of all others."""
    ids_of_split = assign_splits({row["id"]: row["group"] for row in rows}) if rows else {}
    split_of = {
        name: split for split, ids in ids_of_split.items() for name in ids[: limit.get(split)]
    }
    kept = [index for index, row in enumerate(rows) if row["id"] in split_of]
    for row in rows:
        if row["id"] not in split_of:
            reasons[row["id"]] = BEYOND_LIMIT
    return kept, split_of


def _check_splits(table: pd.DataFrame, groups_apart: bool) -> None:
    empty = set(SPLITS) - set(table["split"])
    if empty:
        raise DataError(
            f"{len(table)} samples leave nothing for {', '.join(sorted(empty))}. Give more of the "
            "dataset."
        )
    if groups_apart:
        splits = table.groupby("group")["split"].agg(set)
        divided = splits[splits.map(len) > 1]
        if len(divided):
            raise DataError(
                f"group {divided.index[0]} is in the splits {', '.join(sorted(divided.iloc[0]))},"
                f" and {len(divided) - 1} others are in several. Correct the split."
            )


def _copy_rows(
    stream_path: Path, folder: Path, kept: Sequence[int], shape: tuple[int, int]
) -> None:
    """Copy the chosen rows of the stream to the two arrays, one by one to save memory."""
    with (
        stream_path.open("rb") as stream,
        _array_file(folder / "images.npy", (len(kept), *shape, 3)) as images,
        _array_file(folder / "reference.npy", (len(kept), *shape)) as references,
    ):
        size = shape[0] * shape[1] * 4
        for index in kept:
            stream.seek(index * size)
            row = np.frombuffer(stream.read(size), dtype=np.uint8).reshape(*shape, 4)
            images.write(row[..., :3].tobytes())
            references.write(row[..., 3].tobytes())


@contextmanager
def _array_file(path: Path, shape: tuple[int, ...]) -> Iterator[BinaryIO]:
    """Open a uint8 .npy file for writing its rows in order."""
    with written_whole(path) as temporary, temporary.open("wb") as stream:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        write_array_header_1_0(stream, header)
        yield stream


def count_reasons(reasons: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return each reason with its number of samples and its first ids."""
    ids_of: dict[str, list[str]] = {}
    for name, reason in sorted(reasons.items()):
        ids_of.setdefault(reason, []).append(name)
    return [
        {"reason": reason, "count": len(ids), "ids": ids[:IDS_LISTED]}
        for reason, ids in sorted(ids_of.items())
    ]


def _summary(reasons: Mapping[str, str]) -> str:
    counted = [f"{entry['count']} x {entry['reason']}" for entry in count_reasons(reasons)]
    return "; ".join(counted) or "the source has none"
