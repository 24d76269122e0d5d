"""LiTS: abdominal CT volumes as NIfTI with segmentations (1 liver, 2 tumour).

As published by the challenge (`volume-N.nii`, `segmentation-N.nii`) and as Task03_Liver of the
Medical Segmentation Decathlon (`imagesTr/liver_N.nii.gz`, `labelsTr/liver_N.nii.gz`). Each
connected part of tumour in an axial slice is a sample.
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

from weaklesion.data.crops import Window, cut_window, resized, resized_mask
from weaklesion.data.loaders.lits_files import (
    check_same_shape,
    find_volumes,
    read_hounsfield,
    read_labels,
    tell_of_geometry,
)
from weaklesion.data.patches import (
    BadSampleError,
    LeftOut,
    Limits,
    OnBadSample,
    Sample,
    SidePx,
    WindowHU,
    write_patches,
)
from weaklesion.data.simulated_marks import MarkDefinition, SimulatedMark, simulate_mark
from weaklesion.ellipse import ellipse_mask_iou
from weaklesion.hounsfield import to_grey
from weaklesion.recist import ellipse_from_recist
from weaklesion.splits import published_split, volume_split
from weaklesion.support.limits import CheckedSettings, at_least, at_most
from weaklesion.support.parallel import in_parallel

logger = logging.getLogger(__name__)

TUMOUR = 2
PUBLISHED_SAMPLES = 16462


@dataclass(frozen=True, kw_only=True)
class Settings(CheckedSettings):
    """How patches are made from LiTS's volumes."""

    side_px: SidePx
    on_bad_sample: OnBadSample
    split_seed: Annotated[int, at_least(0), "Seed of the split by volume."]
    window_hu: Annotated[WindowHU, "Hounsfield units that become levels 0 and 255 (G17)."]
    frame: Annotated[
        Literal["squashed", "source"],
        "Geometry of a patch: the lesion with a margin, resized to `side_px`, or a window of"
        " `side_px` about it in the slice's own pixels (`source`).",
    ]
    margin_px: Annotated[
        int,
        at_least(0),
        "Margin on each side of the lesion's longest extent, in pixels of the slice (G16).",
    ]
    border: Annotated[
        Literal["replicate", "clip"],
        "What happens where a window leaves the slice: the border is replicated, or the window is"
        " clipped and then squeezed to a square, as released (G16).",
    ]
    min_ellipse_iou: Annotated[
        float,
        at_least(0),
        at_most(1),
        "Smallest overlap of a sample's ellipse with its reference; samples with less are left out"
        " of every split, as released (G11). 0 leaves none out.",
    ]
    split: Annotated[
        Literal["group", "published"],
        "How the dataset is split: by volume (`group`), or by the released index files"
        " (`published`, S2).",
    ]
    published_split: Annotated[
        dict[str, str] | None,
        "Index files of the released split, for the switch `split` set to `published`.",
    ] = None
    limit: Limits
    simulated_marks: MarkDefinition = "hull_ellipse"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.split == "published" and not self.published_split:
            raise ValueError("split: 'published' needs the index files in published_split")


def make_patches(
    *,
    folders: Sequence[str | Path],
    table_csv: str | Path | None,
    patches_dir: str | Path,
    settings: Settings,
    workers: int = 1,
) -> None:
    """Make the patches of LiTS or of its phantom; each volume is decoded once.

    Args:
        folders: the unpacked archives.
        table_csv: None; LiTS has no table.
        patches_dir: folder for the files of `weaklesion.data.patches`.
        settings: see `Settings`.
        workers: number of processes, each of which holds one volume.

    Raises:
        DataError: if the data are not as expected; nothing is written then.
    """
    pairs = find_volumes(folders)
    logger.info("%d volumes with segmentations", len(pairs))
    work = partial(read_volume, settings=settings)
    by_volume = in_parallel(work, pairs, workers, "volumes", chunk=1)

    def assign(groups: Mapping[str, str]) -> dict[str, list[str]]:
        if settings.split == "published":
            assert settings.published_split is not None
            return published_split(list(groups), settings.published_split, PUBLISHED_SAMPLES)
        return volume_split(groups, seed=settings.split_seed)

    write_patches(
        patches_dir,
        chain.from_iterable(by_volume),
        assign_splits=assign,
        groups_apart=settings.split == "group",
        limit=settings.limit,
        report={"volumes": len(pairs), "settings": asdict(settings)},
    )


def read_volume(item: tuple[int, str, str], *, settings: Settings) -> list[Sample | LeftOut]:
    """Read one volume; return the samples of all its slices."""
    number, volume_path, segmentation_path = item
    name = f"volume-{number}"
    try:
        segmentation = read_labels(segmentation_path, name)
        slices = [z for z in range(segmentation.shape[2]) if (segmentation[..., z] == TUMOUR).any()]
        if not slices:
            return [LeftOut(name, "volume without tumour")]
        volume, spacing = read_hounsfield(volume_path, name)
        check_same_shape(segmentation, volume, segmentation_path, name)
        tell_of_geometry(volume_path, segmentation_path, name)
    except BadSampleError as bad:
        if settings.on_bad_sample == "error":
            raise
        return [LeftOut(bad.sample_id, bad.reason)]
    items: list[Sample | LeftOut] = []
    for z in slices:
        # NIfTI's first axis is x: transposed, rows are y
        tumour = np.ascontiguousarray((segmentation[..., z] == TUMOUR).T)
        hounsfield = np.asarray(volume[..., z].T, dtype=np.float32)
        if not np.isfinite(hounsfield).all():
            items.append(_refuse_slice(number, z, volume_path, settings.on_bad_sample))
            continue
        items += read_slice(number, z, hounsfield, tumour, spacing, settings)
    return items


def _refuse_slice(number: int, z: int, path: str, on_bad_sample: OnBadSample) -> LeftOut:
    name, reason = f"{number:03d}_{z:04d}", "slice with values that are not finite"
    if on_bad_sample == "error":
        raise BadSampleError(
            name,
            reason,
            f"{path}: slice {z} has values that are not finite numbers. "
            "Get the volume again, or leave it out.",
        )
    return LeftOut(name, reason)


def read_slice(
    number: int,
    z: int,
    hounsfield: np.ndarray,
    tumour: np.ndarray,
    spacing: tuple[float, float] | None,
    settings: Settings,
) -> Iterator[Sample | LeftOut]:
    """Yield the samples of one slice: its 8-connected parts of tumour.

    Args:
        number: the volume's number.
        z: index of the slice.
        hounsfield: (H, W) float32 HU.
        tumour: (H, W) bool.
        spacing: mm per pixel of x and y, or None.
        settings: see `Settings`.
    """
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(
        tumour.astype(np.uint8), connectivity=8
    )
    grey = to_grey(hounsfield, settings.window_hu)
    for part in range(1, count):
        name = f"{number:03d}_{z:04d}_{part:02d}"
        mask = labels == part
        try:
            mark = simulate_mark(mask, settings.simulated_marks)
        except ValueError:
            yield LeftOut(name, "hull with fewer than five vertices: no ellipse")
            continue
        if settings.frame == "source" and max(boxes[part][2:4]) > settings.side_px:
            yield LeftOut(name, f"larger than the window of {settings.side_px} px")
            continue
        window = _window(boxes[part], tumour.shape, settings)
        sample = _cut(name, number, z, grey, mask, mark, window, spacing, settings)
        if settings.min_ellipse_iou and not _ellipse_iou(sample) >= settings.min_ellipse_iou:
            yield LeftOut(
                name, f"ellipse and reference overlap by less than {settings.min_ellipse_iou} (G11)"
            )
            continue
        yield sample


def _ellipse_iou(sample: Sample) -> float:
    """Return the overlap of a sample's ellipse with its reference; nan if both are empty."""
    assert sample.reference is not None
    return ellipse_mask_iou(ellipse_from_recist(sample.recist), sample.reference.astype(bool))


def _window(box: np.ndarray, shape_hw: tuple[int, ...], settings: Settings) -> Window:
    """Return x0, y0, x1, y1 of the window around a component's bounding box."""
    x, y, width, height = (int(value) for value in box[:4])
    side = max(width, height) + 2 * settings.margin_px
    if settings.frame == "source":
        side = settings.side_px
    x0, y0 = round(x + width / 2 - side / 2), round(y + height / 2 - side / 2)
    x1, y1 = x0 + side, y0 + side
    if settings.border == "clip":
        return max(0, x0), max(0, y0), min(shape_hw[1], x1), min(shape_hw[0], y1)
    return x0, y0, x1, y1


def _cut(
    name: str,
    number: int,
    z: int,
    grey: np.ndarray,
    mask: np.ndarray,
    mark: SimulatedMark,
    window: Window,
    spacing: tuple[float, float] | None,
    settings: Settings,
) -> Sample:
    """Cut a window out of a slice and resize it to a patch."""
    x0, y0, x1, y1 = window
    side = settings.side_px
    image, inside = cut_window(grey, window)
    reference, _ = cut_window(mask, window)
    scale = None
    if spacing is not None:
        scale = spacing[0] * (x1 - x0) / side, spacing[1] * (y1 - y0) / side
    return Sample(
        id=name,
        group=f"volume-{number}",
        image=np.repeat(resized(image, side).round().astype(np.uint8)[..., None], 3, axis=2),
        reference=resized_mask(reference & inside, side),
        recist=mark.points((y1 - y0, x1 - x0), (side, side), (x0, y0)),
        source=f"volume-{number}",
        slice=z,
        crop=window,
        mm_per_px=scale,
    )
