"""A group's own images with RECIST marks: the table that `weaklesion segment` takes, for training.

One row a mark, as `weaklesion.marks` says, on PNG, JPG, 16-bit PNG or slices of NIfTI. Three more
columns may be there:

- `group`: patient or lesion, kept in one split; without it, the marks of an image file are kept
  together;
- `split`: `train`, `val` or `test`, in all rows or in none; without it, 70, 20 and 10 percent;
- `mask`: path of the lesion's dense mask, as large as its image, where the study's `reference` is
  `dense`. Nothing else reads it.
"""

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from weaklesion.ellipse import Ellipse, draw_ellipse
from weaklesion.errors import DataError
from weaklesion.marks import BadMarkError, Mark, mark_ellipse, read_marks
from weaklesion.patches import LeftOut, OnBadSample, Sample, in_parallel, write_patches
from weaklesion.pictures import check_contrast, read_mask, read_picture
from weaklesion.samples import SPLITS
from weaklesion.splits import grouped_split
from weaklesion.windows import Window, cut_window, resized, resized_mask

logger = logging.getLogger(__name__)

LISTED = 10
LEFT_OUT = "its row, image or mask cannot be used (see the log)"
Refusal = tuple[int, str, str]  # line, id and cause


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How patches are made from a group's own images.

    Attributes:
        side_px: height and width of a patch, px.
        on_bad_sample: `error`, or `drop` to leave bad marks out and count them.
        split_seed: seed of the split by group, where the table has none.
        channel_order: `rgb` of coloured images, or `center` of grey ones, such as CT: pseudo-masks
            are made of colours, or of levels. Images of the other kind are bad.
        frame: `squashed`: the lesion with a margin, resized to `side_px`; or `source`: a window of
            `side_px` about it in the image's own pixels, and where lesion and margin are larger,
            these, shrunk to `side_px`.
        margin: on each side of the mark's ellipse, in parts of its long diameter.
        window_hu: Hounsfield units that become 0 and 255, of NIfTI and 16-bit PNG.
        dense: whether every mark must have a dense mask, which becomes its reference.
        limit: at most so many samples of a split.
    """

    side_px: int
    on_bad_sample: OnBadSample
    split_seed: int
    channel_order: Literal["rgb", "center"]
    frame: Literal["squashed", "source"]
    margin: float
    window_hu: tuple[float, float]
    dense: bool
    limit: dict[str, int]

    def __post_init__(self) -> None:
        object.__setattr__(self, "window_hu", tuple(self.window_hu))
        if not self.window_hu[0] < self.window_hu[1]:
            raise ValueError(f"window_hu: from low to high is needed, not {self.window_hu}")


def make_patches(
    *,
    folders: Sequence[str | Path],
    table_csv: str | Path,
    patches_dir: str | Path,
    settings: Settings,
    workers: int = 1,
) -> None:
    """Make the patches of a table of marks; each image is decoded once for all of its marks.

    Args:
        folders: the images, for the rule that makes them; the table names them itself.
        table_csv: the table of marks.
        patches_dir: where the files of `weaklesion.patches` are written.
        settings: see `Settings`.
        workers: number of processes.

    Raises:
        DataError: if the table cannot be read or, unless bad marks are dropped, some cannot be
            used: all of them are told of at once. Nothing is written then.
    """
    marks, refused = read_marks(table_csv)
    marks, unusable = _with_split(marks)
    refused += unusable
    given = {mark.id: mark.split for mark in marks if mark.split}
    by_image: dict[Path, list[Mark]] = {}
    for mark in marks:
        by_image.setdefault(mark.image, []).append(mark)
    logger.info("%d marks on %d images", len(marks), len(by_image))
    if any(not mark.group for mark in marks):
        logger.warning(
            "%s: rows without a group: marks of one image file are kept in one split, but not"
            " the images of one patient. Name the patient in the column group.",
            table_csv,
        )
    found = in_parallel(
        partial(read_image, folder=Path(table_csv).parent, settings=settings),
        list(by_image.values()),
        workers,
        "images",
        chunk=1,
    )

    def usable() -> Iterator[Sample | LeftOut]:
        for of_image in found:
            for item in of_image:
                if isinstance(item, Sample):
                    yield item
                else:
                    refused.append(item)
        if refused and settings.on_bad_sample == "error":
            raise DataError(_told(table_csv, refused))
        for line, name, cause in sorted(refused):
            logger.warning("%s, line %d (%s): left out: %s", table_csv, line, name, cause)
            yield LeftOut(f"{name} (line {line})", LEFT_OUT)

    def assign(groups: Mapping[str, str]) -> dict[str, list[str]]:
        if given:
            return {split: [name for name in groups if given[name] == split] for split in SPLITS}
        return grouped_split(groups, seed=settings.split_seed)

    write_patches(
        patches_dir,
        usable(),
        assign_splits=assign,
        groups_apart=True,
        limit=settings.limit,
        report={"rows": len(marks) + len(refused), "settings": asdict(settings)},
    )


def _with_split(marks: Sequence[Mark]) -> tuple[list[Mark], list[Refusal]]:
    """Return the marks whose split can be used, and what is to be said of the others."""
    if not any(mark.split for mark in marks):
        return list(marks), []
    allowed = ", ".join(SPLITS)
    good = [mark for mark in marks if mark.split in SPLITS]
    return good, [
        (mark.row, mark.id, f"split is {mark.split!r}, which is none of {allowed}")
        for mark in marks
        if mark.split not in SPLITS
    ]


def _told(table_csv: str | Path, refused: Sequence[Refusal]) -> str:
    lines = [f"line {line} ({name}): {cause}" for line, name, cause in sorted(refused)]
    more = f"; and {len(lines) - LISTED} more" if len(lines) > LISTED else ""
    count = "a mark" if len(lines) == 1 else f"{len(lines)} marks"
    return (
        f"{table_csv}: {count} cannot be used: {'; '.join(lines[:LISTED])}{more}. Correct the"
        " rows, or leave them out with on_bad_sample: drop."
    )


def read_image(
    marks: Sequence[Mark], *, folder: Path, settings: Settings
) -> list[Sample | Refusal]:
    """Read the samples of one image, and say what cannot be used of it.

    Args:
        marks: the marks on it.
        folder: the table's, from which `source` is written.
        settings: see `Settings`.
    """
    found: list[Sample | Refusal] = []
    for mark in marks:
        try:
            found.append(read_sample(mark, folder, settings))
        except BadMarkError as bad:
            found.append((mark.row, mark.id, str(bad)))
    return found


def read_sample(mark: Mark, folder: Path, settings: Settings) -> Sample:
    """Cut the patch of one mark.

    Raises:
        BadMarkError: if mark, image or mask cannot be used.
    """
    picture = read_picture(mark, settings.window_hu)
    shape_hw = picture.levels.shape[0], picture.levels.shape[1]
    ellipse = mark_ellipse(mark.points, shape_hw, picture.spacing)
    grey = bool((picture.levels == picture.levels[..., :1]).all())
    if grey != (settings.channel_order == "center"):
        kind, other = ("grey", "center") if grey else ("coloured", "rgb")
        raise BadMarkError(
            f"{mark.image.name} is {kind}, and the dataset's images are not: if all are, set"
            f" patches.custom.channel_order to {other}"
        )
    window = window_about(ellipse, settings)
    levels, inside = cut_window(picture.levels, window)
    if picture.unknown is not None and cut_window(picture.unknown, window)[0].any():
        raise BadMarkError(f"{mark.image.name} has values that are not finite about the mark")
    check_contrast(levels, settings.window_hu)
    side = settings.side_px
    reference = None
    if settings.dense:
        dense = read_mask(mark, picture)
        if not (dense & draw_ellipse(ellipse, shape_hw)).any():
            raise BadMarkError("its mask lies elsewhere than its mark: another lesion's?")
        reference = resized_mask(cut_window(dense, window)[0] & inside, side)
    x0, y0, x1, _ = window
    scale = side / (x1 - x0)
    mm_per_px = picture.spacing and (picture.spacing[0] / scale, picture.spacing[1] / scale)
    source = mark.image.relative_to(folder) if mark.image.is_relative_to(folder) else mark.image
    return Sample(
        id=mark.id,
        group=mark.group or str(source),
        image=resized(levels, side),
        reference=reference,
        recist=(mark.points - (x0, y0) + 0.5) * scale - 0.5,
        source=str(source),
        slice=mark.slice,
        crop=window,
        mm_per_px=mm_per_px,
    )


def window_about(ellipse: Ellipse, settings: Settings) -> Window:
    """Return the window of a mark's ellipse, a square of px of the image; may leave it."""
    side = max(2, math.ceil(ellipse.width * (1 + 2 * settings.margin)))
    if settings.frame == "source":
        side = max(side, settings.side_px)
    x0, y0 = (round(center + 0.5 - side / 2) for center in (ellipse.cx, ellipse.cy))
    return x0, y0, x0 + side, y0 + side
