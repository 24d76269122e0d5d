"""Batches of marks: their images are read, segmented in one pass of the network, and written."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from weaklesion.marks.table import BadMarkError, Mark, UnreadableError
from weaklesion.marks.volumes import is_volume
from weaklesion.prediction.gate import gated_mask
from weaklesion.segment.crops import Opened, drawn_ends, open_mark
from weaklesion.segment.outputs import measure, volume_files, write_mask, write_overlay
from weaklesion.segment.predictor import Predictor
from weaklesion.segment.result_tables import Refusal
from weaklesion.segment.settings import SegmentSettings
from weaklesion.segment.touching import box_of


def _files_of(each: Opened) -> dict[str, str]:
    """Return the names of a mark's mask and overlay in the folder."""
    name, ending = each.mark.id, ".png" if each.volume is None else ".nii.gz"
    return {"mask": f"masks/{name}{ending}", "overlay": f"overlays/{name}.png"}


def planned_files(mark: Mark, volume: bool) -> list[str]:
    """Return the names of a mark's files, as the name of its image predicts them."""
    ending = ".nii.gz" if is_volume(mark.image) else ".png"
    in_3d = volume_files(mark.id).values() if volume and is_volume(mark.image) else ()
    return [f"masks/{mark.id}{ending}", f"overlays/{mark.id}.png", *in_3d]


def open_batch(
    batch: Sequence[Mark], network: Predictor, settings: SegmentSettings
) -> tuple[list[Opened], list[Refusal], set[str]]:
    """Return the marks of a batch with their images, and the marks that cannot be used.

    Returns:
        The marks; the others with their causes; and the ids of those whose images are not there.
    """
    assert settings.window_hu is not None
    opened: list[Opened] = []
    refused: list[Refusal] = []
    unread = set()
    for mark in batch:
        try:
            opened.append(
                open_mark(
                    mark, network.trained, network.data, settings.window_hu, units=settings.units
                )
            )
        except BadMarkError as error:
            refused.append((mark.row, mark.id, str(error)))
            if isinstance(error, UnreadableError):
                unread.add(mark.id)
    return opened, refused, unread


def segment_batch(
    opened: Sequence[Opened], network: Predictor, settings: SegmentSettings, out: Path
) -> list[dict[str, Any]]:
    """Segment a few marks in one pass of the network, write their files, and return their rows."""
    if not opened:
        return []
    rows = []
    scored = network.logits([each.crop for each in opened])
    for each, logits in zip(opened, scored, strict=True):
        mark, crop = each.mark, each.crop
        gated = gated_mask(
            logits,
            crop.shape,
            gate=settings.gate,
            consistent=settings.consistent,
            compared=drawn_ends(mark, crop),
            spacing=each.spacing and each.spacing[::-1],
        )
        mask, own = np.zeros((2, *each.shape_hw), dtype=np.uint8)
        mask[crop.rows, crop.columns] = gated.mask
        own[crop.rows, crop.columns] = gated.own
        files = _files_of(each)
        write_mask(out / files["mask"], mask, mark.slice, each.volume)
        write_overlay(
            out / files["overlay"], each.around, mask, own, mark, each.ellipse, each.shape
        )
        measured = measure(mark, mask, gated, network.prompt.shape, each.spacing)
        rows.append(measured | files | {"box": box_of(mask)})
        if settings.volume:
            from weaklesion.segment.lesion_volume import segment_volume  # imports SciPy

            assert settings.window_hu is not None
            shown = mask if gated.from_network else None
            rows[-1] |= segment_volume(each, shown, network, settings.window_hu, out)
    return rows
