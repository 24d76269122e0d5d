"""The files of HAM10000: images, masks and lesions by id.

Some masks are palette images with an inverted palette, and the masks' archive contains a `__MACOSX`
folder. Masks are therefore read as grey levels, and paired with images by id, never by position in
a listing.
"""

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from weaklesion.data.alike import equal_files, one_spelling
from weaklesion.errors import DataError
from weaklesion.marks.files import read_records
from weaklesion.marks.table import NO_NAME
from weaklesion.support.listing import listed
from weaklesion.support.pictures import open_picture

logger = logging.getLogger(__name__)

METADATA = "Use HAM10000_metadata.csv as published."
MASK_SUFFIX = "_segmentation"
MAX_LISTED = 10  # ids in a message


def find_samples(roots: Sequence[str | Path], metadata_csv: str | Path) -> pd.DataFrame:
    """List the images under some folders with their masks and lesions.

    Args:
        roots: folders with `ISIC_*.jpg` and `ISIC_*_segmentation.png` at any depth.
        metadata_csv: table with at least `image_id` and `lesion_id`.

    Returns:
        One row per image, sorted by `id`, with `id`, `group` (the lesion), `image_path` and
        `mask_path`.

    Raises:
        DataError: if the metadata cannot be read, there is no image, an id occurs twice, an image
            lacks its mask, a mask its image, or an image its row in the metadata.
    """
    metadata_csv = Path(metadata_csv)
    images = _by_id(roots, ".jpg", "")
    masks = _by_id(roots, ".png", MASK_SUFFIX)
    where = ", ".join(str(root) for root in roots)
    if not images:
        raise DataError(f"{where}: contains no ISIC_*.jpg. Fetch and unpack the image archives.")
    records = read_records(metadata_csv, ("image_id", "lesion_id"), METADATA)
    rows = [row for _, row in records if row["image_id"].strip()]
    names = Counter(row["image_id"].strip() for row in rows)
    doubled = [name for name, count in names.items() if count > 1]
    _refuse(doubled, metadata_csv, "more than one row for", "Keep one row per image.")
    lesions = {
        row["image_id"].strip(): row["lesion_id"].strip()
        for row in rows
        if row["lesion_id"].strip() not in ("", *NO_NAME)
    }
    lesions = dict(zip(lesions, one_spelling(lesions.values(), "lesion_id"), strict=True))
    _refuse(
        sorted(set(images) - set(masks)),
        where,
        "no mask for",
        "Unpack the segmentations' archive, or remove the image.",
    )
    _refuse(
        sorted(set(masks) - set(images)),
        where,
        "a mask without an image:",
        "Unpack both image archives, or remove the mask.",
    )
    _refuse(
        sorted(set(images) - set(lesions)),
        metadata_csv,
        "no lesion_id for",
        "Use the metadata that belongs to the images.",
    )
    for alike in equal_files(images.values()):
        logger.warning("equal images under several ids: %s", ", ".join(map(str, alike)))
    ids = sorted(images)
    return pd.DataFrame(
        {
            "id": ids,
            "group": [lesions[name] for name in ids],
            "image_path": [str(images[name]) for name in ids],
            "mask_path": [str(masks[name]) for name in ids],
        }
    )


def _by_id(roots: Sequence[str | Path], suffix: str, ending: str) -> dict[str, Path]:
    paths: dict[str, Path] = {}
    matching = (path for root in roots for path in Path(root).rglob(f"ISIC_*{ending}{suffix}"))
    for path in sorted(matching):
        if "__MACOSX" in path.parts:
            continue
        name = path.stem.removesuffix(ending)
        if name in paths:
            raise DataError(f"{path}: {name} is also at {paths[name]}. Remove one of them.")
        paths[name] = path
    return paths


def _refuse(ids: list[str], where: str | Path, problem: str, cure: str) -> None:
    if ids:
        raise DataError(f"{where}: {problem} {listed(ids, MAX_LISTED)}. {cure}")


def read_image(path: str | Path) -> np.ndarray:
    """Read an image as (H, W, 3) uint8, red first.

    Raises:
        DataError: if it cannot be decoded.
    """
    return _decode(path, "RGB")


def _decode(path: str | Path, mode: str) -> np.ndarray:
    """Decode with Pillow, because OpenCV fills up a truncated file instead of refusing it."""

    def refusal(cause: str) -> DataError:
        return DataError(f"{path}: cannot be read as an image ({cause}). Unpack its archive again.")

    with open_picture(path, refusal) as image:
        return np.asarray(image.convert(mode))


def read_mask(path: str | Path, image_hw: tuple[int, int] | None = None) -> np.ndarray:
    """Read a mask as (H, W) bool, by grey level, so an inverted palette has no effect.

    Args:
        path: an 8-bit grey or palette PNG of the levels 0 and 255.
        image_hw: height and width of its image. A mask of another size needs the same aspect ratio,
            because an image may have fewer pixels than its mask.

    Raises:
        DataError: if it cannot be decoded, has other levels, or another aspect ratio.
    """
    mask = _decode(path, "L")
    if not ((mask == 0) | (mask == 255)).all():
        levels = np.unique(mask)  # slow: a third of all work on a sound mask
        raise DataError(
            f"{path}: has the grey levels {levels[:5].tolist()}..., not 0 and 255 "
            "alone. Get the mask as published."
        )
    height, width = mask.shape
    if image_hw is not None and abs(height * image_hw[1] - width * image_hw[0]) > max(
        height, width
    ):
        raise DataError(
            f"{path}: is {width}x{height} px and its image {image_hw[1]}x{image_hw[0]}:"
            " not the same picture. Check the mask's name."
        )
    return mask > 0
