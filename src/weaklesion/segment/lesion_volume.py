"""`weaklesion segment --volume`: the lesion of a mark in three dimensions."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from weaklesion.hounsfield import to_grey
from weaklesion.mark_shapes import MarkShape
from weaklesion.marks.images import open_volume_of, read_picture
from weaklesion.marks.table import BadMarkError
from weaklesion.marks.volumes import slice_index
from weaklesion.pseudo_masks import main_part
from weaklesion.segment.crops import Opened, cut_out
from weaklesion.segment.outputs import volume_files, write_volume_mask
from weaklesion.segment.predictor import Predictor
from weaklesion.support.png import write_png
from weaklesion.volumes.answer import METHODS, Follow, VolumeAnswer, answer_mark
from weaklesion.volumes.ellipsoid import ellipsoid_of_mark
from weaklesion.volumes.frame import frame_of
from weaklesion.volumes.propagation import Predict, Propagated, Support, propagate
from weaklesion.volumes.region import every_slice
from weaklesion.volumes.sheet import draw_sheet, shown_box
from weaklesion.volumes.size import axes_mm, volume_mm3


def segment_volume(
    each: Opened,
    mask: np.ndarray | None,
    network: Predictor,
    window_hu: tuple[float, float],
    out: Path,
) -> dict[str, Any]:
    """Segment the lesion of a mark in its volume, and write mask and overlay sheet.

    Args:
        each: the mark and its image.
        mask: (H, W) uint8 of 0 and 1, the network's mask of the marked slice; None where the gate
            replaced it.
        network: a network that reads marks.
        window_hu: Hounsfield units that become 0 and 255.
        out: folder of `volumes/`.

    Returns:
        Columns of `weaklesion.segment.outputs.MEASURED_IN_3D`, with indices of slices; only
        `volume_reason` where the mark has no volume.
    """
    if each.volume is None:
        return {"volume_reason": "the image is not a volume"}
    try:
        frame = frame_of(each.volume)
        voxels = open_volume_of(each.mark).voxels
        answer = answer_in_volume(each, mask, network, window_hu, frame, voxels)
    except (BadMarkError, ValueError) as error:
        return {"volume_reason": str(error)}
    if not answer.mask.any():
        return {"volume_reason": "the mark's ellipsoid contains no voxel"}
    files = volume_files(each.mark.id)
    write_volume_mask(out / files["volume"], answer.mask, each.volume)
    write_png(out / files["sheet"], _sheet(voxels, answer.mask, each, frame, window_hu))
    return _columns(answer, frame) | files


def answer_in_volume(
    each: Opened,
    mask: np.ndarray | None,
    network: Predictor,
    window_hu: tuple[float, float],
    frame: np.ndarray,
    voxels: Any,
) -> VolumeAnswer:
    """Answer a mark in three dimensions, see `segment_volume` and `answer_mark`.

    Args:
        each: the mark and its image, which is a slice of a volume.
        mask: as in `segment_volume`.
        network: a network that reads marks.
        window_hu: Hounsfield units that become 0 and 255.
        frame: (3, 3) mm per voxel of the volume.
        voxels: the volume, sliceable.

    Raises:
        BadMarkError: if a slice cannot be read.
        ValueError: if the mark has no ellipse.
    """
    shape = each.volume.shape[:3]  # type: ignore[union-attr]
    index = each.mark.slice or 0
    follow = None
    if mask is not None and mask.any():
        predict = _predictor(each, network, window_hu)
        every = every_slice(ellipsoid_of_mark(each.mark.points, index, frame), frame)
        follow = _follower(mask > 0, each.shape, index, predict, every)
    return answer_mark(
        voxels,
        shape,
        frame,
        each.mark.points,
        index,
        follow=follow,
        unfollowed="the network's mask of the marked slice does not fit the mark",
    )


def _predictor(each: Opened, network: Predictor, window_hu: tuple[float, float]) -> Predict:
    """Return what segments other slices of a mark's volume."""

    def predict(marked: Sequence[tuple[int, MarkShape]]) -> list[np.ndarray]:
        crops = []
        for place, shape in marked:
            levels = read_picture(replace(each.mark, slice=place), window_hu).levels
            crops.append(cut_out(levels, shape, network.trained.input_px, network.prompt.margin))
        planes = []
        for crop, logits in zip(crops, network.logits(crops), strict=True):
            own = main_part(logits >= 0, crop.shape)
            plane = np.zeros(each.shape_hw, dtype=bool)
            if own is not None:
                plane[crop.rows, crop.columns] = own
            planes.append(plane)
        return planes

    return predict


def _follower(
    first: np.ndarray, mark: MarkShape, index: int, predict: Predict, every: int
) -> Follow:
    def follow(expected: np.ndarray, support: Support | None) -> Propagated:
        return propagate(first, mark, index, expected, predict, support=support, every=every)

    return follow


def _columns(answer: VolumeAnswer, frame: np.ndarray) -> dict[str, Any]:
    slices = np.flatnonzero(answer.mask.any(axis=(0, 1)))
    long, short = axes_mm(answer.mask, frame)
    low, high = answer.interval_mm3 or (None, None)
    return {
        "volume_answer": answer.method,
        "volume_reason": answer.reason,
        "volume_mm3": volume_mm3(answer.mask, frame),
        "volume_low_mm3": low,
        "volume_high_mm3": high,
        "axis_long_mm": long,
        "axis_short_mm": short,
        "first_slice": int(slices[0]),
        "last_slice": int(slices[-1]),
    } | {
        f"volume_{method}_mm3": volume_mm3(answer.masks[method], frame)
        if method in answer.masks
        else None
        for method in METHODS
    }


def _sheet(
    voxels: Any,
    mask: np.ndarray,
    each: Opened,
    frame: np.ndarray,
    window_hu: tuple[float, float],
) -> np.ndarray:
    points, index = each.mark.points, each.mark.slice or 0
    box = shown_box(mask, points, index)
    grey = np.empty(tuple(part.stop - part.start for part in box), dtype=np.uint8)
    for place, number in enumerate(range(box[2].start, box[2].stop)):
        _, _, *rest = slice_index(each.volume.shape, number)  # type: ignore[union-attr]
        plane = np.asarray(voxels[(box[0], box[1], *rest)], dtype=np.float32)
        known = np.where(np.isfinite(plane), plane, window_hu[0])
        grey[:, :, place] = to_grey(known, window_hu).round()
    moved = points - (box[0].start, box[1].start)
    sizes = np.abs(np.diag(frame)).tolist()
    first = box[2].start + each.mark.first_slice
    return draw_sheet(grey, mask[box], moved, index - box[2].start, first, sizes)
