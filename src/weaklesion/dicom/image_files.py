"""Frames of an export as the files that `weaklesion segment` reads.

A file is named by its marked frame, so that it stays the same mark's whatever else is in it, and it
is not written again if it is there already.
"""

import hashlib
from dataclasses import dataclass

import cv2
import numpy as np

from weaklesion.dicom.export import Export
from weaklesion.dicom.pixels import FramePixels, read_frames, read_pixels, stored_window
from weaklesion.dicom.stacks import ABOVE, BELOW, Place, Stack, ends_after, stack_around
from weaklesion.marks.table import BadMarkError
from weaklesion.marks.volumes import nifti_bytes
from weaklesion.support.own_files import OwnFiles


@dataclass(frozen=True)
class Written:
    """A file of a marked frame.

    Attributes:
        name: of the file, in the folder with `images/`.
        stack: the slices in it, which may be the marked one alone; None if none around it were
            asked for.
    """

    name: str
    stack: Stack | None = None


def write_place(
    export: Export,
    place: Place,
    out: OwnFiles,
    reach_mm: float | None = None,
    levels: tuple[float, float] | None = None,
    window_hu: tuple[float, float] | None = None,
) -> Written:
    """Write a marked frame: a NIfTI of Hounsfield units for CT, else a PNG of levels.

    Levels of a stack are a NIfTI as well. They are those of one window for all slices, that of the
    marked one, and their values are such that `window_hu` makes the same levels of them again.

    Args:
        export: the export.
        place: the frame.
        out: folder with the folder `images/` to write to.
        reach_mm: how far the slices around it are written too, where they form a stack with it
            (`weaklesion.dicom.stacks`); None for the frame alone.
        levels: see `weaklesion.dicom.pixels.read_pixels`.
        window_hu: values that the reader of the file will make black and white; None for 0 and 255.

    Raises:
        BadMarkError: if the pixels of the frame cannot be read. Where those of another slice
            cannot, the stack ends before it.
        DataError: if the file exists and is not the program's own.
    """
    stack = None if reach_mm is None else stack_around(export, place, reach_mm)
    if stack is not None and len(stack.places) > 1:
        marked = export.images[place[0]].frames[place[1]]
        planes, stack = _read_stack(export, stack, levels or stored_window(marked.window))
        content = nifti_bytes(
            np.stack([each.array for each in planes]).T,
            stack.affine(marked),
            None if planes[0].hounsfield else window_hu,
        )
        return Written(_keep(out, _stem(place) + ".nii", content), stack)
    image = export.images[place[0]]
    pixels = read_pixels(image, place[1], levels)
    if pixels.hounsfield:
        content = nifti_bytes(pixels.array[None].T, image.frames[place[1]].affine())
        return Written(_keep(out, _stem(place) + ".nii", content), stack)
    array = pixels.array if pixels.array.ndim == 2 else pixels.array[..., ::-1]
    content = cv2.imencode(".png", array)[1].tobytes()
    return Written(_keep(out, _stem(place) + ".png", content), stack)


def _read_stack(
    export: Export, stack: Stack, levels: tuple[float, float] | None
) -> tuple[list[FramePixels], Stack]:
    """Read the slices of a stack, and cut it where one cannot be read."""
    uid, frame = stack.places[stack.index]
    image = export.images[uid]
    if len(image.frames) > 1:
        try:
            return read_frames(image, [number for _, number in stack.places], levels), stack
        except BadMarkError:
            only = read_pixels(image, frame, levels)
            cause = "the other frames of its image cannot be read"
            return [only], stack.between(stack.index, stack.index, cause)
    planes = {stack.index: read_pixels(image, frame, levels)}
    first, last, notes = 0, len(stack.places) - 1, []
    for side, numbers in (
        (BELOW, range(stack.index - 1, -1, -1)),
        (ABOVE, range(stack.index + 1, len(stack.places))),
    ):
        for number in numbers:
            try:
                neighbour = export.images[stack.places[number][0]]
                planes[number] = read_pixels(neighbour, 0, levels)
            except BadMarkError:
                count = abs(number - stack.index) - 1
                notes.append(f"{ends_after(count, side)}: the next one cannot be read")
                first, last = (number + 1, last) if side == BELOW else (first, number - 1)
                break
    return [planes[number] for number in range(first, last + 1)], stack.between(first, last, *notes)


def _stem(place: Place) -> str:
    return hashlib.sha256(repr(place).encode()).hexdigest()[:10]


def _keep(out: OwnFiles, name: str, content: bytes) -> str:
    """Write a file of `images/`, unless the same one is there already; return its name in `out`."""
    name = f"images/{name}"
    path = out.folder / name
    if not path.is_file() or path.read_bytes() != content:
        with out.writing(name) as temporary:
            temporary.write_bytes(content)
    return name
