"""DeepLesion: axial CT slices as 16-bit PNG, and a table of RECIST marks, `DL_info.csv`.

As published by the NIH. A PNG holds Hounsfield units plus 32768; coordinates in the table start at
1. There is no dense reference.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Annotated, Literal

import cv2
import numpy as np
from PIL import Image

from weaklesion.data.loaders.deeplesion_table import (
    OFFSETS_MM,
    SPLIT_OF_CODE,
    Lesion,
    parse_row,
    read_table,
    slice_weights,
)
from weaklesion.data.patches import (
    BadSampleError,
    LeftOut,
    Limits,
    OnBadSample,
    Sample,
    SidePx,
    write_patches,
)
from weaklesion.errors import DataError
from weaklesion.recist import ellipse_from_recist
from weaklesion.splits import stratified_split
from weaklesion.support.limits import at_least, check_settings
from weaklesion.support.parallel import in_parallel

logger = logging.getLogger(__name__)

HU_OFFSET = 32768
STANDARD_PX = 512  # images of another size are scaled to this
OFFICIAL_ROWS = 32735


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How patches are made from DeepLesion's slices."""

    side_px: SidePx
    on_bad_sample: OnBadSample
    scale_marks: Annotated[
        bool,
        "Whether a mark is scaled with an image that is not 512 px wide, and moved with a patch"
        " that leaves it; not so in the released code (G7).",
    ]
    dropped_rows: Annotated[
        tuple[int, ...],
        at_least(0),
        "Rows of the official table that are left out, counted from 0 (G8).",
    ]
    split: Annotated[
        Literal["official", "stratified"],
        "How the dataset is split: by patient (`official`), or 80/10/10 percent of the lesions"
        " stratified by clusters of their ellipses, which does not keep patients apart (B1).",
    ]
    split_seed: Annotated[int, at_least(0), "Seed of the stratified split."]
    strata: Annotated[int, at_least(1), "Number of clusters of the stratified split."]
    complete: Annotated[
        bool, "Whether all archives are used, so that a key slice that is missing is bad."
    ]
    limit: Limits

    def __post_init__(self) -> None:
        check_settings(self)


def make_patches(
    *,
    folders: Sequence[str | Path],
    table_csv: str | Path,
    patches_dir: str | Path,
    settings: Settings,
    workers: int = 1,
) -> None:
    """Make the patches of DeepLesion or of its phantom.

    Args:
        folders: each with `Images_png/<series>/<slice>.png`.
        table_csv: DL_info.csv.
        patches_dir: where the files of `weaklesion.data.patches` are written.
        settings: see `Settings`.
        workers: number of processes.

    Raises:
        DataError: if the data are not as they must be; nothing is written then.
    """
    rows = read_table(table_csv)
    lesions: list[Lesion] = []
    left_out: list[LeftOut] = []
    official = len(rows) == OFFICIAL_ROWS
    if settings.dropped_rows and not official:
        logger.info(
            "the table has %d rows, not %d: no row is dropped by its number (G8)",
            len(rows),
            OFFICIAL_ROWS,
        )
    for row in rows:
        if official and row["row"] in settings.dropped_rows:
            left_out.append(LeftOut(row["id"], "dropped by the released code (G8)"))
            continue
        try:
            lesions.append(parse_row(row, table_csv))
        except BadSampleError as bad:
            if settings.on_bad_sample == "error":
                raise
            left_out.append(LeftOut(bad.sample_id, bad.reason))
    series = find_series(folders)
    logger.info("%d lesions, %d series with slices", len(lesions), len(series))
    by_slice: dict[tuple[str, int], list[Lesion]] = {}
    for lesion in lesions:
        by_slice.setdefault((lesion.series, lesion.key_slice), []).append(lesion)
    work = partial(read_key_slice, settings=settings)
    items = [(group, series.get(name, {})) for (name, _), group in by_slice.items()]
    found = in_parallel(work, items, workers, "key slices")
    split_of = {lesion.id: lesion.split for lesion in lesions}

    marks: dict[str, np.ndarray] = {}

    def noting_marks() -> Iterator[Sample | LeftOut]:
        for sample in chain(left_out, chain.from_iterable(found)):
            if isinstance(sample, Sample):
                marks[sample.id] = sample.recist
            yield sample

    def assign(groups: Mapping[str, str]) -> dict[str, list[str]]:
        if settings.split == "stratified":
            labels = shape_clusters({name: marks[name] for name in groups}, settings)
            return stratified_split(labels, seed=settings.split_seed)
        ids: dict[str, list[str]] = {split: [] for split in SPLIT_OF_CODE.values()}
        for sample_id in groups:
            ids[split_of[sample_id]].append(sample_id)
        return ids

    write_patches(
        patches_dir,
        noting_marks(),
        assign_splits=assign,
        groups_apart=settings.split == "official",
        limit=settings.limit,
        report={"rows": len(rows), "settings": asdict(settings)},
    )


def shape_clusters(marks: Mapping[str, np.ndarray], settings: Settings) -> dict[str, int]:
    """Cluster samples by the ellipses of their marks; return each one's cluster.

    With as many clusters these are those of `weaklesion.clusters` with the encoding `raw`, fitted
    on all samples with seed 0.
    """
    from weaklesion.clusters import ellipse_features, fit_clusters  # slow to import, seldom needed

    features = ellipse_features(
        [ellipse_from_recist(mark) for mark in marks.values()], encoding="raw"
    )
    labels = fit_clusters(features, min(settings.strata, len(marks)), seed=0)
    return dict(zip(marks, labels.tolist(), strict=True))


def find_series(folders: Sequence[str | Path]) -> dict[str, dict[int, str]]:
    """Return, by series, the paths of its slices by index.

    Raises:
        DataError: if a slice is in two places.
    """
    series: dict[str, dict[int, str]] = {}
    for path in sorted(path for folder in folders for path in Path(folder).rglob("*.png")):
        if "__MACOSX" in path.parts or not path.stem.isdigit():
            continue
        slices = series.setdefault(path.parent.name, {})
        index = int(path.stem)
        if index in slices:
            raise DataError(f"{path}: this slice is also at {slices[index]}. Remove one of them.")
        slices[index] = str(path)
    return series


def read_key_slice(
    item: tuple[list[Lesion], Mapping[int, str]], *, settings: Settings
) -> list[Sample | LeftOut]:
    """Read the lesions of one key slice; each PNG is decoded once for all of them."""
    lesions, paths = item
    decoded: dict[int, np.ndarray] = {}
    found: list[Sample | LeftOut] = []
    for lesion in lesions:
        try:
            found.append(read_lesion(lesion, paths, decoded, settings))
        except BadSampleError as bad:
            missing = bad.reason == MISSING_KEY_SLICE
            if missing and not settings.complete:
                found.append(LeftOut(lesion.id, "in an archive that the study does not ask for"))
            elif settings.on_bad_sample == "error":
                raise
            else:
                logger.warning("left out: %s", bad)
                found.append(LeftOut(bad.sample_id, bad.reason))
    return found


MISSING_KEY_SLICE = "key slice that is not there"


def read_lesion(
    lesion: Lesion,
    paths: Mapping[int, str],
    decoded: dict[int, np.ndarray],
    settings: Settings,
) -> Sample:
    """Cut the patch of one lesion.

    Args:
        lesion: the lesion.
        paths: the slices of its series that are there.
        decoded: slices that were decoded already, by index; added to.
        settings: see `Settings`.

    Raises:
        BadSampleError: if the key slice is missing, a slice cannot be used, or the box is outside.
    """
    if lesion.key_slice not in paths:
        raise BadSampleError(
            lesion.id,
            MISSING_KEY_SLICE,
            f"{lesion.series}/{lesion.key_slice:03d}.png: the key slice of {lesion.id} is not "
            "there. Fetch and unpack the archive that holds it.",
        )
    key = _decode(lesion.key_slice, paths, decoded, lesion.id)
    scale = STANDARD_PX / max(key.shape)
    height, width = round(key.shape[0] * scale), round(key.shape[1] * scale)
    box = [(value + 0.5) * scale - 0.5 for value in lesion.box]
    center_x, center_y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    if not (0 <= center_x < width and 0 <= center_y < height):
        raise BadSampleError(
            lesion.id,
            "bounding box outside the image",
            f"{paths[lesion.key_slice]}: the box {lesion.box} of {lesion.id} lies outside the "
            f"image of {key.shape[1]}x{key.shape[0]} px. Correct its row.",
        )
    side = settings.side_px
    x0, y0 = round(center_x) - side // 2, round(center_y) - side // 2
    channels, replaced = [], 0
    for offset in OFFSETS_MM:
        mixed = np.zeros((side, side), dtype=np.float32)
        for wanted, weight in slice_weights(lesion.key_slice, lesion.spacing_mm[2], offset):
            index = nearest_slice(wanted, lesion.key_slice, paths)
            replaced += index != wanted
            image = _decode(index, paths, decoded, lesion.id)
            if image.shape != key.shape:
                raise BadSampleError(
                    lesion.id,
                    "slices of different sizes",
                    f"{paths[index]}: is not as large as the key slice "
                    f"{paths[lesion.key_slice]}. Unpack the archive again.",
                )
            mixed += weight * cut(image, (x0, y0), side, (height, width))
        channels.append(mixed - HU_OFFSET)
    low, high = lesion.window_hu
    grey = np.clip((np.stack(channels, axis=2) - low) / (high - low), 0, 1) * 255
    if settings.scale_marks:
        recist = (lesion.recist + 0.5) * scale - 0.5 - (x0, y0)
    else:
        recist = lesion.recist - (max(0, x0), max(0, y0))
    notes = []
    if replaced:
        notes.append("neighbour slices missing: the nearest one taken")
    if scale != 1:
        notes.append(f"image scaled to {STANDARD_PX} px")
    return Sample(
        id=lesion.id,
        group=f"patient-{lesion.patient}",
        image=grey.round().astype(np.uint8),
        reference=None,
        recist=recist,
        source=f"{lesion.series}/{lesion.key_slice:03d}.png",
        slice=lesion.key_slice,
        crop=(x0 / scale, y0 / scale, (x0 + side) / scale, (y0 + side) / scale),
        mm_per_px=(lesion.spacing_mm[0] / scale, lesion.spacing_mm[1] / scale),
        note="; ".join(notes),
    )


def nearest_slice(wanted: int, key: int, paths: Mapping[int, str]) -> int:
    """Return the slice nearest to the wanted one that is there, between it and the key slice."""
    step = 1 if key > wanted else -1
    while wanted not in paths and wanted != key:
        wanted += step
    return wanted


def cut(
    image: np.ndarray, origin: tuple[int, int], side: int, scaled_hw: tuple[int, int]
) -> np.ndarray:
    """Cut a patch whose upper left pixel is `origin` (x, y); the border is replicated."""
    if image.shape != scaled_hw:
        image = cv2.resize(image.astype(np.float32), scaled_hw[::-1], interpolation=cv2.INTER_AREA)
    rows = np.clip(np.arange(origin[1], origin[1] + side), 0, scaled_hw[0] - 1)
    columns = np.clip(np.arange(origin[0], origin[0] + side), 0, scaled_hw[1] - 1)
    return image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1][
        np.ix_(rows - rows[0], columns - columns[0])
    ].astype(np.float32)


def _decode(
    index: int, paths: Mapping[int, str], decoded: dict[int, np.ndarray], lesion_id: str
) -> np.ndarray:
    if index not in decoded:
        try:  # Pillow refuses a truncated file where OpenCV fills it up
            with Image.open(paths[index]) as opened:
                image = np.asarray(opened)
        except (OSError, SyntaxError, ValueError) as error:
            raise BadSampleError(
                lesion_id,
                "slice that cannot be read",
                f"{paths[index]}: cannot be read as PNG ({error}). Unpack its archive again.",
            ) from error
        if image.dtype != np.uint16 or image.ndim != 2:
            raise BadSampleError(
                lesion_id,
                "slice that is no 16-bit grey image",
                f"{paths[index]}: has {image.dtype} values and {image.ndim} "
                "dimensions; 16-bit grey is needed. Unpack its archive again.",
            )
        decoded[index] = image
    return decoded[index]
