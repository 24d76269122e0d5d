"""HAM10000: dermatoscopic JPGs, PNG masks of one lesion each, and a metadata table.

As published at doi:10.7910/DVN/DBW86T; `ham10k_files` reads the files.
"""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Annotated, Literal

import cv2
import numpy as np
import pandas as pd

from weaklesion.data.loaders.ham10k_files import find_samples, read_image, read_mask
from weaklesion.data.patches import (
    BEYOND_LIMIT,
    LeftOut,
    Limits,
    OnBadSample,
    Sample,
    SidePx,
    write_patches,
)
from weaklesion.data.simulated_marks import MarkDefinition, SimulatedMark, simulate_mark
from weaklesion.errors import DataError
from weaklesion.splits import grouped_split, ham10k_released_split, ids_digest, order_digest
from weaklesion.support.limits import CheckedSettings, at_least
from weaklesion.support.parallel import in_parallel

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Settings(CheckedSettings):
    """How patches are made from HAM10000's images."""

    side_px: SidePx
    on_bad_sample: OnBadSample
    split_seed: Annotated[int, at_least(0), "Seed of the split by lesion."]
    channel_order: Annotated[
        Literal["rgb", "bgr"],
        "Order of an image's channels; `bgr` as the released code loads images (G19).",
    ]
    frame: Annotated[
        Literal["squashed", "source"],
        "Geometry of a patch: the image squeezed to a square of `side_px` (G18), or the image as it"
        " is (`source`).",
    ]
    image_resize: Annotated[
        Literal["area", "bilinear"],
        "Interpolation of an image: antialiased (`area`), or `bilinear` as released (G18).",
    ]
    split: Annotated[
        Literal["image", "group"],
        "How the dataset is split: by lesion (`group`), so that no lesion is in two splits, or by"
        " image as released (S1).",
    ]
    limit: Limits
    simulated_marks: MarkDefinition = "hull_ellipse"
    released_ids_sha256: Annotated[
        str | None,
        "SHA-256 of the ids of the released split, in its order. The split by image stops unless it"
        " gets the same images (docs/how-to/data.md).",
    ] = None


def make_patches(
    *,
    folders: Sequence[str | Path],
    table_csv: str | Path,
    patches_dir: str | Path,
    settings: Settings,
    workers: int = 1,
) -> None:
    """Make the patches of HAM10000 or of its phantom.

    An image is resized to a square, whatever its aspect ratio (G18). Its RECIST mark is simulated
    from the whole reference mask (`weaklesion.data.simulated_marks`, G22) and mapped to the patch.
    Images whose mask has a hull of fewer than five vertices are left out and counted; in
    HAM10000 these are the three images that the released code removes (G21).

    Args:
        folders: the unpacked archives.
        table_csv: HAM10000_metadata.csv.
        patches_dir: where the files of `weaklesion.data.patches` are written.
        settings: see `Settings`.
        workers: number of processes.

    Raises:
        DataError: if the data are not as expected; nothing is written then.
    """
    listed = find_samples(folders, table_csv)
    logger.info("%d images with masks, of %d lesions", len(listed), listed["group"].nunique())
    measured = in_parallel(
        partial(
            measure_mask,
            on_bad_sample=settings.on_bad_sample,
            definition=settings.simulated_marks,
        ),
        list(zip(listed["id"], listed["mask_path"], strict=True)),
        workers,
        "masks measured",
    )
    marked: dict[str, MaskMark] = {}
    left_out: list[LeftOut] = []
    for item in measured:
        if isinstance(item, LeftOut):
            left_out.append(item)
        else:
            marked[item.sample_id] = item
    usable = listed[listed["id"].isin(marked)]
    ids_of_split, order_sha256 = _split(usable, settings)
    chosen = {
        name for split, ids in ids_of_split.items() for name in ids[: settings.limit.get(split)]
    }
    left_out += [LeftOut(name, BEYOND_LIMIT) for name in usable["id"] if name not in chosen]
    items = [
        (row.id, row.group, row.image_path, row.mask_path, marked[str(row.id)])
        for row in usable[usable["id"].isin(chosen)].itertuples()
    ]
    samples = in_parallel(partial(read_sample, settings=settings), items, workers, "patches")
    write_patches(
        patches_dir,
        chain(left_out, samples),
        assign_splits=lambda _: ids_of_split,
        groups_apart=settings.split == "group",
        limit={},
        report={"settings": asdict(settings), "split_order_sha256": order_sha256},
    )


@dataclass(frozen=True)
class MaskMark:
    """The mark of a mask, and the mask's height and width, px."""

    sample_id: str
    mark: SimulatedMark
    mask_hw: tuple[int, int]


def measure_mask(
    item: tuple[str, str], *, on_bad_sample: OnBadSample, definition: MarkDefinition
) -> MaskMark | LeftOut:
    """Simulate the mark of one mask, by its id and path."""
    sample_id, path = item
    try:
        mask = read_mask(path)
    except DataError:
        if on_bad_sample == "error":
            raise
        return LeftOut(sample_id, "its mask cannot be used")
    try:
        mark = simulate_mark(mask, definition)
    except ValueError:
        return LeftOut(sample_id, "the mask's hull has fewer than five vertices: no ellipse (G21)")
    return MaskMark(sample_id, mark, (mask.shape[0], mask.shape[1]))


def _split(usable: pd.DataFrame, settings: Settings) -> tuple[dict[str, list[str]], str | None]:
    """Return the ids of each split, and the digest of a released order."""
    if settings.split == "group":
        groups = dict(zip(usable["id"], usable["group"], strict=True))
        return grouped_split(groups, seed=settings.split_seed), None
    ids_of_split = ham10k_released_split(list(usable["id"]))
    digest, expected = ids_digest(ids_of_split), settings.released_ids_sha256
    if expected is not None and digest != expected:
        raise DataError(
            f"the released split needs exactly the images for which it was made: the {len(usable)} "
            f"usable images give the split {digest[:12]}..., not {expected[:12]}.... Check that "
            "all archives are complete, or use the grouped split."
        )
    return ids_of_split, order_digest(len(usable))


def read_sample(
    item: tuple[str, str, str, str, MaskMark], *, settings: Settings
) -> Sample | LeftOut:
    """Read image and mask of one sample; in the frame `squashed`, resize them to a patch."""
    sample_id, group, image_path, mask_path, marked = item
    try:
        image = read_image(image_path)
        mask = read_mask(mask_path, image.shape[:2]).astype(np.uint8)
    except DataError:
        if settings.on_bad_sample == "error":
            raise
        return LeftOut(sample_id, "its image or mask cannot be used")
    height, width = image.shape[:2]
    patch = image
    if settings.frame == "squashed":
        height = width = settings.side_px
        filters = {"area": cv2.INTER_AREA, "bilinear": cv2.INTER_LINEAR}
        patch = cv2.resize(image, (width, height), interpolation=filters[settings.image_resize])
    if settings.channel_order == "bgr":
        patch = patch[:, :, ::-1]
    return Sample(
        id=sample_id,
        group=group,
        image=patch,
        reference=cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST_EXACT),
        recist=marked.mark.points(marked.mask_hw, (height, width)),
        source=Path(image_path).name,
        crop=(0, 0, image.shape[1], image.shape[0]),
        mm_per_px=None,  # dermatoscopes record no scale
    )
