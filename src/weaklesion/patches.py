"""Patches: every lesion sample of a dataset as a square image of one size, with its reference.

The files of a patches folder:

- `images.npy` (N, side, side, 3) uint8;
- `reference.npy` (N, side, side) uint8 of 0 and 1;
- `samples.csv`, one row a sample, in the arrays' order;
- `patches.json`, counts, what was left out and why, digests.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

import cv2
import numpy as np
import pandas as pd
from numpy.lib.format import open_memmap

from weaklesion.datasets import ham10k
from weaklesion.ellipse import Ellipse, fit_ellipse
from weaklesion.errors import DataError
from weaklesion.files import file_digest, write_json, written_whole
from weaklesion.progress import progress
from weaklesion.recist import recist_from_ellipse
from weaklesion.samples import RECIST_COLUMNS, SPLITS
from weaklesion.splits import grouped_split, ham10k_released_split, order_digest

logger = logging.getLogger(__name__)
T = TypeVar("T")

IDS_LISTED = 10


@dataclass(frozen=True, kw_only=True)
class PatchSettings:
    """How patches are made from HAM10000's images.

    Attributes:
        side_px: height and width of a patch, px.
        channel_order: `rgb`, or `bgr` as the released code loads images (discrepancy G19).
        image_resize: `area` (antialiased), or `bilinear` as released (G18).
        split: `image` (by the released recipe, S1) or `group` (no lesion in two splits).
        split_seed: seed of the grouped split.
        limit: at most so many samples of a split, the first in the split's random order.
        expected_order_sha256: digest that the released recipe's order must have, if any.
    """

    side_px: int
    channel_order: Literal["rgb", "bgr"]
    image_resize: Literal["area", "bilinear"]
    split: Literal["image", "group"]
    split_seed: int
    limit: dict[str, int]
    expected_order_sha256: str | None = None

    def __post_init__(self) -> None:
        if self.side_px < 16:
            raise ValueError(f"side_px: at least 16 is needed, not {self.side_px}")
        unknown = set(self.limit) - set(SPLITS)
        if unknown:
            raise ValueError(f"limit: {', '.join(sorted(unknown))} is none of {', '.join(SPLITS)}")


def make_patches(
    *,
    source_dirs: Sequence[str | Path],
    metadata_csv: str | Path,
    patches_dir: str | Path,
    settings: PatchSettings,
    workers: int = 1,
) -> None:
    """Make the patches of HAM10000 or of its phantom.

    An image is squeezed to a square, whatever its aspect ratio (G18). Its RECIST mark is simulated,
    as in the paper: the axes of the ellipse fitted to the whole reference mask (G22), mapped to the
    patch. Images whose mask has a hull of fewer than five vertices are left out, and counted; in
    HAM10000 these are the three images that the released code removes (G21).

    Args:
        source_dirs: folders of the unpacked archives.
        metadata_csv: HAM10000_metadata.csv.
        patches_dir: where the four files are written.
        settings: see `PatchSettings`.
        workers: number of processes.

    Raises:
        DataError: if the data are not as they must be; nothing is written then.
    """
    found = ham10k.find_samples(source_dirs, metadata_csv)
    logger.info("%d images with masks, of %d lesions", len(found), found["group"].nunique())
    masks = _in_parallel(measure_mask, list(found["mask_path"]), workers, "masks measured")
    found["ellipse"], found["mask_hw"] = zip(*masks, strict=True)
    usable = found[found["ellipse"].notna()].reset_index(drop=True)
    reasons = dict.fromkeys(
        found.loc[found["ellipse"].isna(), "id"],
        "the mask's hull has fewer than five vertices: no ellipse (G21)",
    )
    split_of, order_sha256 = _assign_splits(usable, settings)
    for sample_id in set(usable["id"]) - set(split_of):
        reasons[sample_id] = "beyond the study's limit for its split"
    kept = usable[usable["id"].isin(split_of)]

    folder, side = Path(patches_dir), settings.side_px
    rows = []
    with (
        written_whole(folder / "images.npy") as images_npy,
        written_whole(folder / "reference.npy") as reference_npy,
    ):
        shape = (len(kept), side, side)
        images = open_memmap(images_npy, "w+", dtype=np.uint8, shape=(*shape, 3))
        references = open_memmap(reference_npy, "w+", dtype=np.uint8, shape=shape)
        paths = list(zip(kept["image_path"], kept["mask_path"], strict=True))
        patches = _in_parallel(partial(read_patch, settings=settings), paths, workers, "patches")
        for index, (sample, patch) in enumerate(zip(kept.itertuples(), patches, strict=True)):
            image, references[index], source_hw = patch
            images[index] = image if settings.channel_order == "rgb" else image[:, :, ::-1]
            rows.append(_sample_row(sample, source_hw, split_of[str(sample.id)], side))
        images.flush()
        references.flush()
    table = pd.DataFrame(rows)
    with written_whole(folder / "samples.csv") as beside:
        table.to_csv(beside, index=False)
    names = ("images.npy", "reference.npy", "samples.csv")
    by_split = table.groupby("split")["group"]
    write_json(
        folder / "patches.json",
        {
            "found": len(found),
            "kept": {split: int(count) for split, count in by_split.size().items()},
            "groups": {split: int(count) for split, count in by_split.nunique().items()},
            "dropped": _count_reasons(reasons),
            "settings": asdict(settings),
            "split_order_sha256": order_sha256,
            "sha256": {name: file_digest(folder / name) for name in names},
        },
    )
    logger.info("kept %d samples; left out %d", len(table), len(reasons))


def measure_mask(mask_path: str) -> tuple[Ellipse | None, tuple[int, int]]:
    """Return the ellipse fitted to a mask, None where its hull is too small, and its size."""
    mask = ham10k.read_mask(mask_path)
    height, width = mask.shape
    try:
        return fit_ellipse(mask), (height, width)
    except ValueError:
        return None, (height, width)


def read_patch(
    paths: tuple[str, str], *, settings: PatchSettings
) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    """Read the image and the mask of one sample, and squeeze them to a patch.

    Returns:
        (side, side, 3) uint8 image, red first; (side, side) uint8 reference of 0 and 1; height and
        width of the source image.
    """
    image = ham10k.read_image(paths[0])
    mask = ham10k.read_mask(paths[1], image.shape[:2]).astype(np.uint8)
    size = (settings.side_px, settings.side_px)
    filters = {"area": cv2.INTER_AREA, "bilinear": cv2.INTER_LINEAR}
    patch = cv2.resize(image, size, interpolation=filters[settings.image_resize])
    reference = cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST_EXACT)
    return patch, reference, (image.shape[0], image.shape[1])


def _assign_splits(
    usable: pd.DataFrame, settings: PatchSettings
) -> tuple[dict[str, str], str | None]:
    """Return the split of each sample that is kept, and the digest of a released order."""
    order_sha256 = None
    if settings.split == "image":
        split_ids = ham10k_released_split(list(usable["id"]))
        order_sha256 = order_digest(len(usable))
        expected = settings.expected_order_sha256
        if expected is not None and order_sha256 != expected:
            raise DataError(
                f"the released split needs the very images that it was made for: {len(usable)} "
                f"usable images give the order {order_sha256[:12]}..., not {expected[:12]}.... "
                "Check that all archives are whole, or take the grouped split."
            )
    else:
        split_ids = grouped_split(
            dict(zip(usable["id"], usable["group"], strict=True)), seed=settings.split_seed
        )
    split_of = {}
    for split, ids in split_ids.items():
        for sample_id in ids[: settings.limit.get(split)]:
            split_of[sample_id] = split
    empty = set(SPLITS) - set(split_of.values())
    if empty:
        raise DataError(
            f"{len(usable)} usable images leave nothing for {', '.join(sorted(empty))}."
            " Give more images."
        )
    return split_of, order_sha256


def _sample_row(
    sample: Any, source_hw: tuple[int, int], split: str, side_px: int
) -> dict[str, Any]:
    source_h, source_w = source_hw
    recist = recist_from_ellipse(sample.ellipse.resized(sample.mask_hw, (side_px, side_px)))
    return {
        "id": sample.id,
        "group": sample.group,
        "split": split,
        "source": Path(sample.image_path).name,
        "slice": "",  # of a volume
        "crop_x0": 0,
        "crop_y0": 0,
        "crop_x1": source_w,
        "crop_y1": source_h,
        "mm_per_px_x": "",  # dermatoscopes record no scale
        "mm_per_px_y": "",
        **dict(zip(RECIST_COLUMNS, recist.ravel().round(6).tolist(), strict=True)),
    }


def _count_reasons(reasons: dict[str, str]) -> list[dict[str, Any]]:
    return [
        {"reason": reason, "count": len(ids), "ids": sorted(ids)[:IDS_LISTED]}
        for reason in sorted(set(reasons.values()))
        for ids in [[name for name, why in reasons.items() if why == reason]]
    ]


def _in_parallel(
    work: Callable[[Any], T], items: Sequence[Any], workers: int, what: str
) -> Iterator[T]:
    """Map `work` over `items` in their order, in processes where there are several."""
    with ProcessPoolExecutor(workers) as pool:
        results = pool.map(work, items, chunksize=32)
        yield from progress(results, total=len(items), what=what)
