"""A group's own images with RECIST marks: the table that `weaklesion segment` takes, for training.

One row a mark, as `weaklesion.marks.table` says, on PNG, JPG, 16-bit PNG or slices of NIfTI. Three
more columns may be there:

- `group`: the patient. Marks that share a group or an image file, directly or by way of others, are
  kept in one split;
- `split`: `train`, `val` or `test`, in all rows or in none; without it, 70, 20 and 10 percent;
- `mask`: path of the dense mask, as large as its image, where the study's `reference` is `dense`;
  the parts of it that touch the mark's ellipse are the lesion. Nothing else reads it.
"""

import logging
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import cv2
import numpy as np
from scipy.cluster.hierarchy import DisjointSet

from weaklesion.data.crops import Window, cut_window, resized, resized_mask, surroundings
from weaklesion.data.patches import (
    LeftOut,
    Limits,
    OnBadSample,
    Sample,
    SidePx,
    WindowHU,
    write_patches,
)
from weaklesion.ellipse import Ellipse, draw_ellipse
from weaklesion.errors import DataError
from weaklesion.marks.images import Picture, check_contrast, read_mask, read_picture
from weaklesion.marks.table import BadMarkError, Mark, mark_ellipse, read_marks
from weaklesion.recist import recist_from_ellipse
from weaklesion.splits import SPLITS, grouped_split
from weaklesion.support.files import file_digest
from weaklesion.support.limits import at_least, check_settings
from weaklesion.support.parallel import in_parallel

logger = logging.getLogger(__name__)

LISTED = 5
LEFT_OUT = "a row that cannot be used: `left_out` of patches.json says why"
SAME_SPACING = 0.001  # by which the spacings of x and y may differ, in parts of themselves
Refusal = tuple[int, str, str]  # line, id and cause


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How patches are made from a group's own images."""

    side_px: SidePx
    on_bad_sample: OnBadSample
    split_seed: Annotated[
        int, at_least(0), "Seed of the split by group, where the table of marks has no split."
    ]
    channel_order: Annotated[
        Literal["rgb", "center"],
        "Kind of the images: coloured (`rgb`), or grey such as CT (`center`). Pseudo-masks are made"
        " from colours or from levels, so images of the other kind are bad.",
    ]
    frame: Annotated[
        Literal["squashed", "source"],
        "Geometry of a patch: the lesion with a margin, resized to `side_px`, or a window of"
        " `side_px` about it in the image's own pixels (`source`). Where lesion and margin are"
        " larger than that window, they are shrunk to `side_px`.",
    ]
    margin: Annotated[
        float,
        at_least(0),
        "Margin on each side of the mark's ellipse, in parts of its long diameter.",
    ]
    window_hu: Annotated[
        WindowHU, "Hounsfield units that become levels 0 and 255, of NIfTI and 16-bit PNG."
    ]
    dense: Annotated[
        bool, "Whether every mark must have a dense mask, which becomes its reference."
    ]
    limit: Limits
    state: Annotated[
        str | None,
        "Digest of the state of the images (`weaklesion.marks.files`), so that a changed image"
        " makes the patches again.",
    ] = None

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
    """Make the patches of a table of marks.

    Args:
        folders: none; the table names its images.
        table_csv: the table of marks.
        patches_dir: where the files of `weaklesion.data.patches` are written. `patches.json` has
            line, id and cause of every row that is left out.
        settings: see `Settings`.
        workers: number of processes, each of which reads the marks of one image.

    Raises:
        DataError: if the table cannot be read, a split is empty, an image or group is in two
            splits or, unless bad marks are dropped, some cannot be used: all of them are logged.
            Nothing is written then.
    """
    marks, refused = read_marks(table_csv)
    num_rows = len(marks) + len(refused)
    marks, unusable = with_split(marks)
    refused += unusable
    group_of = groups_of(marks, Path(table_csv).parent)
    by_image: dict[str, list[Mark]] = {}
    for mark in marks:
        by_image.setdefault(os.path.realpath(mark.image), []).append(mark)
    logger.info("%d marks on %d images", len(marks), len(by_image))
    unnamed = sum(not mark.group for mark in marks)
    if unnamed:
        logger.warning(
            "%s: %d of %d marks have no group: those of one image file are kept in one split, but"
            " not those of the images of one patient. Name the patient in the column group.",
            table_csv,
            unnamed,
            len(marks),
        )
    found = in_parallel(
        partial(read_image, folder=Path(table_csv).parent, group_of=group_of, settings=settings),
        list(by_image.values()),
        workers,
        "images",
        chunk=1,
    )
    left_out: list[dict[str, Any]] = []  # filled while samples are written, told of after that

    def usable() -> Iterator[Sample | LeftOut]:
        for item in (item for of_image in found for item in of_image):
            if isinstance(item, Sample):
                yield item
            else:
                refused.append(item)
        for line, name, cause in sorted(refused):
            logger.warning("%s, line %d (%s): %s", table_csv, line, name, cause)
            left_out.append({"line": line, "id": name, "cause": cause})
        if refused and settings.on_bad_sample == "error":
            raise DataError(_told(table_csv, refused))
        for line, name, _ in sorted(refused):
            yield LeftOut(f"{name} (line {line})", LEFT_OUT)

    given = {mark.id: mark.split for mark in marks if mark.split}

    def assign(groups: Mapping[str, str]) -> dict[str, list[str]]:
        if given:
            ids = {split: [name for name in groups if given[name] == split] for split in SPLITS}
        else:
            ids = grouped_split(groups, seed=settings.split_seed)
        empty = [split for split, names in ids.items() if not names]
        if empty:
            raise DataError(
                f"{table_csv}: {len(groups)} marks in {len(set(groups.values()))} groups leave"
                f" nothing for {', '.join(empty)}. At least three groups (patients, or images) are"
                " needed, or marks of every split in the column split."
            )
        return ids

    write_patches(
        patches_dir,
        usable(),
        assign_splits=assign,
        groups_apart=True,
        limit=settings.limit,
        report={
            "rows": num_rows,
            "left_out": left_out,
            "table_sha256": file_digest(table_csv),
            "settings": asdict(settings),
        },
    )


def with_split(marks: Sequence[Mark]) -> tuple[list[Mark], list[Refusal]]:
    """Return the marks whose split can be used, and what is to be said of the others."""
    if not any(mark.split for mark in marks):
        return list(marks), []
    allowed = ", ".join(SPLITS)
    return [mark for mark in marks if mark.split in SPLITS], [
        (mark.row, mark.id, f"split is {mark.split!r}, which is none of {allowed}")
        for mark in marks
        if mark.split not in SPLITS
    ]


def groups_of(marks: Sequence[Mark], folder: Path) -> dict[str, str]:
    """Return the group of each mark by its id: all that share a named group or an image file.

    It is called by the first mark's own group or, without one, by the image's path from `folder`.
    """
    together = DisjointSet()
    for mark in marks:
        image = "image", os.path.realpath(mark.image)
        together.add(image)
        if mark.group:
            together.add(("group", mark.group))
            together.merge(image, ("group", mark.group))
    names: dict[tuple[str, str], str] = {}
    groups = {}
    for mark in marks:
        root = together[("image", os.path.realpath(mark.image))]
        groups[mark.id] = names.setdefault(root, mark.group or source_of(mark, folder))
    return groups


def source_of(mark: Mark, folder: Path) -> str:
    """Return the path of a mark's image from the table's folder."""
    return os.path.relpath(os.path.realpath(mark.image), os.path.realpath(folder))


def _told(table_csv: str | Path, refused: Sequence[Refusal]) -> str:
    lines = [f"line {line} ({name}): {cause}" for line, name, cause in sorted(refused)]
    more = f"; and {len(lines) - LISTED} more, in the log" if len(lines) > LISTED else ""
    count = "a mark" if len(lines) == 1 else f"{len(lines)} marks"
    return (
        f"{table_csv}: {count} cannot be used: {'; '.join(lines[:LISTED])}{more}. Correct the"
        " rows, or leave them out with protocols.<name>.patches.on_bad_sample: drop."
    )


def read_image(
    marks: Sequence[Mark], *, folder: Path, group_of: Mapping[str, str], settings: Settings
) -> list[Sample | Refusal]:
    """Read the samples of one image, and say what cannot be used of it.

    Args:
        marks: the marks on it.
        folder: the table's, from which `source` is written.
        group_of: group of each mark by its id.
        settings: see `Settings`.
    """
    found: list[Sample | Refusal] = []
    for mark in marks:
        try:
            found.append(read_sample(mark, source_of(mark, folder), group_of[mark.id], settings))
        except BadMarkError as bad:
            found.append((mark.row, mark.id, str(bad)))
    return found


def read_sample(mark: Mark, source: str, group: str, settings: Settings) -> Sample:
    """Cut the patch of one mark.

    Where pixels are not square, the sample's mark is that of the ellipse whose axes are
    perpendicular in the patient, as `weaklesion segment` has it; else it is the mark as drawn.

    Raises:
        BadMarkError: if mark, image or mask cannot be used.
    """
    picture = read_picture(mark, settings.window_hu)
    shape_hw = picture.levels.shape[0], picture.levels.shape[1]
    ellipse = mark_ellipse(mark.points, shape_hw, picture.spacing)
    _check_surroundings(mark, picture, ellipse, settings)
    window = window_about(ellipse, settings)
    levels, inside = cut_window(picture.levels, window)
    side = settings.side_px
    reference = None
    if settings.dense:
        lesion = marked_part(read_mask(mark, picture), ellipse)
        reference = resized_mask(cut_window(lesion, window)[0] & inside, side)
    x0, y0, x1, _ = window
    scale = side / (x1 - x0)
    points, mm_per_px = mark.points, None
    if picture.spacing is not None:
        mm_x, mm_y = picture.spacing
        mm_per_px = mm_x / scale, mm_y / scale
        if not math.isclose(mm_x, mm_y, rel_tol=SAME_SPACING):
            points = recist_from_ellipse(ellipse)
    return Sample(
        id=mark.id,
        group=group,
        image=resized(levels, side),
        reference=reference,
        recist=(points - (x0, y0) + 0.5) * scale - 0.5,
        source=source,
        slice=mark.slice,
        crop=window,
        mm_per_px=mm_per_px,
    )


def _check_surroundings(mark: Mark, picture: Picture, ellipse: Ellipse, settings: Settings) -> None:
    """Refuse a mark about which nothing can be seen, or not what the settings say."""
    place = surroundings(ellipse, 1.0)
    if picture.unknown is not None and picture.unknown[place].any():
        raise BadMarkError(f"{mark.image.name} has values that are not finite near the mark")
    around = picture.levels[place]
    check_contrast(around, settings.window_hu)
    grey = bool((around == around[..., :1]).all())
    if grey and settings.channel_order == "rgb":
        raise BadMarkError(
            f"{mark.image.name} is grey about the mark: of grey images, such as CT, set"
            " protocols.<name>.patches.custom.channel_order to center"
        )
    if not grey and settings.channel_order == "center":
        raise BadMarkError(
            f"{mark.image.name} is coloured about the mark: of coloured images set"
            " protocols.<name>.patches.custom.channel_order to rgb"
        )


def marked_part(mask: np.ndarray, ellipse: Ellipse) -> np.ndarray:
    """Return the 8-connected parts of a mask that touch a mark's ellipse, (H, W) bool.

    Raises:
        BadMarkError: if there is none.
    """
    _, parts = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    drawn = draw_ellipse(ellipse, (mask.shape[0], mask.shape[1]))
    touched = np.unique(parts[drawn & mask])
    if not len(touched):
        raise BadMarkError("its mask lies elsewhere than its mark: another lesion's?")
    return np.isin(parts, touched)


def window_about(ellipse: Ellipse, settings: Settings) -> Window:
    """Return the window of a mark's ellipse, a square of px of the image; may leave it."""
    side = max(2, math.ceil(ellipse.width * (1 + 2 * settings.margin)))
    if settings.frame == "source":
        side = max(side, settings.side_px)
    x0, y0 = (round(center + 0.5 - side / 2) for center in (ellipse.cx, ellipse.cy))
    return x0, y0, x0 + side, y0 + side
