"""DeepLesion: axial CT slices as 16-bit PNG, and a table of RECIST marks, `DL_info.csv`.

As published by the NIH. A PNG contains Hounsfield units plus 32768; coordinates in the table start
at 1. There is no dense reference.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np

from weaklesion.data.alike import equal_files, one_spelling
from weaklesion.data.loaders.deeplesion_slices import Series, find_series
from weaklesion.data.loaders.deeplesion_table import SPLIT_OF_CODE, Lesion, parse_row, read_table
from weaklesion.data.patches import (
    BadSampleError,
    LeftOut,
    Limits,
    OnBadSample,
    Sample,
    SidePx,
    write_patches,
)
from weaklesion.hounsfield import to_grey
from weaklesion.marks.table import outside
from weaklesion.recist import ellipse_from_recist
from weaklesion.splits import stratified_split
from weaklesion.support.limits import CheckedSettings, at_least
from weaklesion.support.parallel import in_parallel

logger = logging.getLogger(__name__)

STANDARD_PX = 512  # images of another size are scaled to this
OFFICIAL_ROWS = 32735
MISSING_KEY_SLICE = "key slice that is not there"


@dataclass(frozen=True, kw_only=True)
class Settings(CheckedSettings):
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
        DataError: if the data are not as expected; nothing is written then.
    """
    rows = read_table(table_csv)
    lesions, left_out = _parse_rows(rows, table_csv, settings)
    series = find_series(folders)
    logger.info("%d lesions, %d series with slices", len(lesions), len(series))
    by_slice: dict[tuple[str, int], list[Lesion]] = {}
    for lesion in lesions:
        by_slice.setdefault((lesion.series, lesion.key_slice), []).append(lesion)
    work = partial(read_key_slice, settings=settings)
    items = [(group, series.get(name, {})) for (name, _), group in by_slice.items()]
    key_slices = [series.get(name, {}).get(index) for name, index in by_slice]
    for alike in equal_files(Path(path) for path in key_slices if path):
        logger.warning("equal key slices under several names: %s", ", ".join(map(str, alike)))
    by_key_slice = in_parallel(work, items, workers, "key slices")
    split_of = {lesion.id: lesion.split for lesion in lesions}
    marks: dict[str, np.ndarray] = {}  # filled while samples are written

    def noting_marks() -> Iterator[Sample | LeftOut]:
        for sample in chain(left_out, chain.from_iterable(by_key_slice)):
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


def _parse_rows(
    rows: Sequence[dict[str, Any]], table_csv: str | Path, settings: Settings
) -> tuple[list[Lesion], list[LeftOut]]:
    """Return the lesions of the table, and the rows that are left out."""
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
    patients = one_spelling([lesion.patient for lesion in lesions], "Patient_index")
    lesions = [
        replace(lesion, patient=patient) for lesion, patient in zip(lesions, patients, strict=True)
    ]
    return lesions, left_out


def shape_clusters(marks: Mapping[str, np.ndarray], settings: Settings) -> dict[str, int]:
    """Cluster samples by the ellipses of their marks; return the cluster of each sample.

    The clusters are those of `weaklesion.clusters` with the encoding `raw`, fitted on all samples
    with seed 0: `strata`, or as many as there are different shapes.
    """
    from weaklesion.clusters import ellipse_features, fit_clusters  # slow to import, rarely used

    features = ellipse_features(
        [ellipse_from_recist(mark) for mark in marks.values()], encoding="raw"
    )
    shapes = len(np.unique(features, axis=0))
    labels = fit_clusters(features, min(settings.strata, shapes), seed=0)
    return dict(zip(marks, labels.tolist(), strict=True))


def read_key_slice(
    item: tuple[list[Lesion], Mapping[int, str]], *, settings: Settings
) -> list[Sample | LeftOut]:
    """Read the lesions of one key slice; each PNG is decoded once for all of them."""
    lesions, paths = item
    series = Series(paths)
    samples: list[Sample | LeftOut] = []
    for lesion in lesions:
        try:
            samples.append(read_lesion(lesion, series, settings))
        except BadSampleError as bad:
            missing = bad.reason == MISSING_KEY_SLICE
            if missing and not settings.complete:
                samples.append(LeftOut(lesion.id, "in an archive that the study does not use"))
            elif settings.on_bad_sample == "error":
                raise
            else:
                logger.warning("left out: %s", bad)
                samples.append(LeftOut(bad.sample_id, bad.reason))
    return samples


def read_lesion(lesion: Lesion, series: Series, settings: Settings) -> Sample:
    """Cut the patch of one lesion.

    Args:
        lesion: the lesion.
        series: the available slices of its series.
        settings: see `Settings`.

    Raises:
        BadSampleError: if the key slice is missing, a slice cannot be used, or the box is outside.
    """
    if lesion.key_slice not in series.paths:
        raise BadSampleError(
            lesion.id,
            MISSING_KEY_SLICE,
            f"{lesion.series}/{lesion.key_slice:03d}.png: the key slice of {lesion.id} is not "
            "there. Fetch and unpack its archive.",
        )
    key = series.decode(lesion.key_slice, lesion.id)
    scale = STANDARD_PX / max(key.shape)
    height, width = round(key.shape[0] * scale), round(key.shape[1] * scale)
    box = [(value + 0.5) * scale - 0.5 for value in lesion.box]
    center_x, center_y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    if not (0 <= center_x < width and 0 <= center_y < height):
        raise BadSampleError(
            lesion.id,
            "bounding box outside the image",
            f"{series.paths[lesion.key_slice]}: the box {lesion.box} of {lesion.id} lies outside "
            f"the image of {key.shape[1]}x{key.shape[0]} px. Correct its row.",
        )
    if outside(lesion.recist, key.shape).any():
        raise BadSampleError(
            lesion.id,
            "RECIST mark outside the image",
            f"{series.paths[lesion.key_slice]}: the mark of {lesion.id} leaves the image of"
            f" {key.shape[1]}x{key.shape[0]} px. Correct its row.",
        )
    side = settings.side_px
    x0, y0 = round(center_x) - side // 2, round(center_y) - side // 2
    hounsfield, replaced = series.mix_channels(lesion, (x0, y0), side, (height, width))
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
        image=to_grey(hounsfield, lesion.window_hu).round().astype(np.uint8),
        reference=None,
        recist=recist,
        source=f"{lesion.series}/{lesion.key_slice:03d}.png",
        slice=lesion.key_slice,
        crop=(x0 / scale, y0 / scale, (x0 + side) / scale, (y0 + side) / scale),
        mm_per_px=(lesion.spacing_mm[0] / scale, lesion.spacing_mm[1] / scale),
        note="; ".join(notes),
    )
