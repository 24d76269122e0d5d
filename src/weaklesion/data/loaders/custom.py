"""Your own images with RECIST marks, for training: the table that `weaklesion segment` reads.

One row per mark (`weaklesion.marks.table`), on PNG, JPG, 16-bit PNG or slices of NIfTI. Training
reads three more, optional columns:

- `group`: the patient. Marks that share a group or an image file, directly or through other marks,
  are kept in one split;
- `split`: `train`, `val` or `test`, in all rows or in none; without it, 70, 20 and 10 percent;
- `mask`: path of the dense mask, as large as its image, needed if the study's `reference` is
  `dense`. The parts of the mask that touch the mark's ellipse are the lesion.
"""

import logging
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal

import cv2
import numpy as np

from weaklesion.data.crops import Window, cut_window, resized, resized_mask, surroundings
from weaklesion.data.loaders.custom_groups import (
    Refusal,
    groups_of,
    source_of,
    split_marks,
    with_plain_names,
    with_split,
)
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
from weaklesion.marks.image_checks import check_contrast, check_scale, doubts_about_mark
from weaklesion.marks.images import Picture, read_picture
from weaklesion.marks.masks import read_mask
from weaklesion.marks.table import BadMarkError, Mark, mark_ellipse, read_marks
from weaklesion.recist import recist_from_ellipse
from weaklesion.support.files import file_digest
from weaklesion.support.limits import CheckedSettings, at_least
from weaklesion.support.listing import listed
from weaklesion.support.parallel import in_parallel

logger = logging.getLogger(__name__)

MAX_LISTED = 5  # refused marks in a message
LEFT_OUT = "a row that cannot be used: `left_out` of patches.json says why"
LEAST_COVERED, MAYBE_INVERTED = 0.1, 0.5  # parts of a mark's ellipse that its mask covers
SHARED = "its lesion shares pixels with that of another mark"
SAME_SPACING = 0.001  # relative difference up to which the spacings of x and y are equal


@dataclass(frozen=True, kw_only=True)
class Settings(CheckedSettings):
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
        folders: empty; the table names its images.
        table_csv: the table of marks.
        patches_dir: folder for the files of `weaklesion.data.patches`. `patches.json` has line, id
            and cause of every row that is left out.
        settings: see `Settings`.
        workers: number of processes, each of which reads the marks of one image at a time.

    Raises:
        DataError: if the table cannot be read, a split is empty, an image or group is in two
            splits, or a mark cannot be used and bad marks are not dropped. All bad marks are
            logged. Nothing is written then.
    """
    marks, refused = read_marks(table_csv)
    num_rows = len(marks) + len(refused)
    for usable_of in (with_split, with_plain_names):
        marks, unusable = usable_of(marks)
        refused += unusable
    group_of = groups_of(marks, Path(table_csv).parent)
    by_image: dict[str, list[Mark]] = {}
    for mark in marks:
        by_image.setdefault(os.path.realpath(mark.image), []).append(mark)
    logger.info("%d marks on %d images", len(marks), len(by_image))
    ungrouped = sum(not mark.group for mark in marks)
    if ungrouped:
        logger.warning(
            "%s: %d of %d marks have no group. Marks on one image file are kept in one split, but"
            " marks of one patient are not. Name the patient in the column group.",
            table_csv,
            ungrouped,
            len(marks),
        )
    work = partial(read_image, folder=Path(table_csv).parent, group_of=group_of, settings=settings)
    by_image_items = in_parallel(work, list(by_image.values()), workers, "images", chunk=1)
    left_out: list[dict[str, Any]] = []  # filled while samples are written, before the report
    write_patches(
        patches_dir,
        _usable(by_image_items, refused, left_out, table_csv, settings),
        assign_splits=lambda groups: split_marks(
            marks, groups, seed=settings.split_seed, table_csv=table_csv
        ),
        groups_apart=True,
        limit=settings.limit,
        report={
            "rows": num_rows,
            "left_out": left_out,
            "table_sha256": file_digest(table_csv),
            "settings": asdict(settings),
        },
    )


def _usable(
    by_image: Iterable[Iterable[Sample | Refusal]],
    refused: list[Refusal],
    left_out: list[dict[str, Any]],
    table_csv: str | Path,
    settings: Settings,
) -> Iterator[Sample | LeftOut]:
    """Yield all samples, then all refused marks; add the latter to `left_out`.

    Raises:
        DataError: if there are refused marks, and bad marks are not dropped.
    """
    for item in chain.from_iterable(by_image):
        if isinstance(item, Sample):
            yield item
        else:
            refused.append(item)
    for line, name, cause in sorted(refused):
        logger.warning("%s, line %d (%s): %s", table_csv, line, name, cause)
        left_out.append({"line": line, "id": name, "cause": cause})
    if refused and settings.on_bad_sample == "error":
        raise DataError(_summary(table_csv, refused))
    for line, name, _ in sorted(refused):
        yield LeftOut(f"{name} (line {line})", LEFT_OUT)


def _summary(table_csv: str | Path, refused: Sequence[Refusal]) -> str:
    lines = [f"line {line} ({name}): {cause}" for line, name, cause in sorted(refused)]
    more = " (all are in the log)" if len(lines) > MAX_LISTED else ""
    count = "a mark" if len(lines) == 1 else f"{len(lines)} marks"
    return (
        f"{table_csv}: {count} cannot be used: {listed(lines, separator='; ')}{more}. Correct the"
        " rows, or leave them out with protocols.<name>.patches.on_bad_sample: drop."
    )


def read_image(
    marks: Sequence[Mark], *, folder: Path, group_of: Mapping[str, str], settings: Settings
) -> list[Sample | Refusal]:
    """Read the samples of one image; a mark that cannot be used becomes a refusal.

    Args:
        marks: the marks on the image.
        folder: the table's folder, to which `source` is relative.
        group_of: group of each mark by its id.
        settings: see `Settings`.
    """
    items: list[Sample | Refusal] = []
    lesions: dict[int | None, list[np.ndarray]] = {}  # of the marks before, by slice
    for mark in marks:
        try:
            sample, lesion = _read(mark, source_of(mark, folder), group_of[mark.id], settings)
            if lesion is not None:
                others = lesions.setdefault(mark.slice, [])
                if any(np.intersect1d(lesion, other).size for other in others):
                    sample = replace(sample, note="; ".join(filter(None, (sample.note, SHARED))))
                others.append(lesion)
            items.append(sample)
        except BadMarkError as bad:
            items.append((mark.row, mark.id, str(bad)))
    return items


def read_sample(mark: Mark, source: str, group: str, settings: Settings) -> Sample:
    """Cut the patch of one mark.

    If pixels are not square, the sample's mark is that of the ellipse whose axes are perpendicular
    in the patient, as in `weaklesion segment`; otherwise it is the mark as drawn.

    Raises:
        BadMarkError: if mark, image or mask cannot be used.
    """
    return _read(mark, source, group, settings)[0]


def _read(
    mark: Mark, source: str, group: str, settings: Settings
) -> tuple[Sample, np.ndarray | None]:
    """Return the sample of a mark, and the indices of its lesion's pixels in the image."""
    picture = read_picture(mark, settings.window_hu)
    shape_hw = picture.levels.shape[0], picture.levels.shape[1]
    ellipse = mark_ellipse(mark.points, shape_hw, picture.spacing)
    _check_surroundings(mark, picture, ellipse, settings)
    window = window_about(ellipse, settings)
    levels, inside = cut_window(picture.levels, window)
    side = settings.side_px
    reference = indices = None
    if settings.dense:
        lesion = marked_part(read_mask(mark, picture), ellipse)
        reference = resized_mask(cut_window(lesion, window)[0] & inside, side)
        indices = np.flatnonzero(lesion)
    x0, y0, x1, _ = window
    scale = side / (x1 - x0)
    points, mm_per_px = mark.points, None
    if picture.spacing is not None:
        mm_x, mm_y = picture.spacing
        mm_per_px = mm_x / scale, mm_y / scale
        if not math.isclose(mm_x, mm_y, rel_tol=SAME_SPACING):
            points = recist_from_ellipse(ellipse)
    sample = Sample(
        id=mark.id,
        group=group,
        image=resized(levels, side),
        reference=reference,
        recist=(points - (x0, y0) + 0.5) * scale - 0.5,
        source=source,
        slice=mark.slice,
        crop=window,
        mm_per_px=mm_per_px,
        note="; ".join(doubts_about_mark(mark.points, picture)),
    )
    return sample, indices


def _check_surroundings(mark: Mark, picture: Picture, ellipse: Ellipse, settings: Settings) -> None:
    """Refuse a mark near which the image shows nothing, or is of another kind than `settings`."""
    rows_columns = surroundings(ellipse, 1.0)
    if picture.unknown is not None and picture.unknown[rows_columns].any():
        raise BadMarkError(f"{mark.image.name} has values that are not finite near the mark")
    check_scale(picture, rows_columns, mark.image)
    around = picture.levels[rows_columns]
    check_contrast(around, mark.image, settings.window_hu)
    grey = bool((around == around[..., :1]).all())
    if grey and settings.channel_order == "rgb":
        raise BadMarkError(
            f"{mark.image.name} is grey near the mark: for grey images, such as CT, set"
            " protocols.<name>.patches.custom.channel_order to center"
        )
    if not grey and settings.channel_order == "center":
        raise BadMarkError(
            f"{mark.image.name} is coloured near the mark: for coloured images, set"
            " protocols.<name>.patches.custom.channel_order to rgb"
        )


def marked_part(mask: np.ndarray, ellipse: Ellipse) -> np.ndarray:
    """Return the 8-connected parts of a mask that touch a mark's ellipse, (H, W) bool.

    Raises:
        BadMarkError: if no part touches it, or the mask covers hardly any of the ellipse, or less
            of it than of its surroundings, as an inverted mask does.
    """
    _, parts = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    drawn = draw_ellipse(ellipse, (mask.shape[0], mask.shape[1]))
    touched = np.unique(parts[drawn & mask])
    if not len(touched):
        raise BadMarkError("its mask does not lie at its mark: does it belong to another lesion?")
    covered = mask[drawn].mean()
    outside = 0.0 if drawn.all() else mask[~drawn].mean()
    if covered < LEAST_COVERED or (covered < MAYBE_INVERTED and covered < outside):
        raise BadMarkError(
            f"its mask covers only {100 * covered:.0f} % of the mark's ellipse, and"
            f" {100 * outside:.0f} % of the image around it: is the mask inverted, or does it"
            " belong to another lesion?"
        )
    return np.isin(parts, touched)


def window_about(ellipse: Ellipse, settings: Settings) -> Window:
    """Return the square window around a mark's ellipse, px; it may extend beyond the image."""
    side = max(2, math.ceil(ellipse.width * (1 + 2 * settings.margin)))
    if settings.frame == "source":
        side = max(side, settings.side_px)
    x0, y0 = (round(center + 0.5 - side / 2) for center in (ellipse.cx, ellipse.cy))
    return x0, y0, x0 + side, y0 + side
