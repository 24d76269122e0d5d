"""The slices of a series around a marked one, as far as they form an even stack.

A stack is parallel slices of one size and spacing, each as far from the next one as the others are,
and shifted against it by the same amount (a tilted gantry shifts them). Distances come from the
positions of the slices: SliceThickness and the order of files say nothing. Where evenness ends, the
stack ends, and a note says why.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from weaklesion.dicom.export import Export
from weaklesion.dicom.geometry import LPS_TO_RAS, SAME_PLACE_MM, Frame
from weaklesion.dicom.image_objects import ImageObject

EVEN = 0.05  # of the step: difference up to which two steps between slices are equal
ROUNDED_MM = 0.02  # the same in mm, because positions are rounded
SAME_SPACING = 1e-4  # relative
BELOW, ABOVE = "below", "above"

Place = tuple[str, int]  # SOP instance, and index of the frame from 0


@dataclass(frozen=True)
class Stack:
    """Slices around a marked one.

    Attributes:
        places: the slices, along the cross product of row and column direction.
        index: of the marked one.
        positions: (n, 3) of the first pixel of each slice in the patient, mm (LPS).
        notes: why it does not go on, in words.
    """

    places: tuple[Place, ...]
    index: int
    positions: np.ndarray
    notes: tuple[str, ...] = ()

    def affine(self, marked: Frame) -> np.ndarray:
        """Return the affine of a NIfTI of the stack, RAS; the marked slice is exactly in its place.

        Args:
            marked: geometry of the marked slice.
        """
        if len(self.places) == 1:
            return marked.affine()
        matrix = marked.matrix()
        step = (self.positions[-1] - self.positions[0]) / (len(self.places) - 1)
        matrix[:3, 2] = step
        matrix[:3, 3] -= self.index * step
        matrix[:3] = LPS_TO_RAS @ matrix[:3]
        return matrix

    @property
    def step_mm(self) -> float:
        """Distance of the first pixels of neighbouring slices, mm; 0 for a slice alone."""
        steps = max(1, len(self.places) - 1)
        return float(np.linalg.norm(self.positions[-1] - self.positions[0])) / steps

    def between(self, first: int, last: int, *notes: str) -> "Stack":
        """Return the part from one slice to another, both included, with more notes."""
        return Stack(
            self.places[first : last + 1],
            self.index - first,
            self.positions[first : last + 1],
            (*self.notes, *notes),
        )


@dataclass(frozen=True)
class _Slice:
    place: Place
    position: np.ndarray
    along: float  # mm from the marked slice, along the normal


def stack_around(export: Export, place: Place, reach_mm: float) -> Stack:
    """Return the slices around a marked one that a volume of its lesion needs.

    Where the distance of slices changes at the marked one, the side counts that gives more slices.
    Other slices at the position of the marked one are left out, because the mark names its own.

    Args:
        export: the export.
        place: the marked slice.
        reach_mm: how far from it slices are needed. One more on either side is taken, for display.

    Returns:
        The marked slice alone, with a note, if its series forms no volume.
    """
    image = export.images[place[0]]
    marked = image.frames[place[1]]
    position = np.array(marked.position or (0.0, 0.0, 0.0), dtype=float)
    alone = Stack((place,), 0, position[None])
    if cause := _no_volume(image, marked):
        return alone.between(0, 0, cause)
    own = _Slice(place, position, 0.0)
    others = _parallel_slices(export, image, own, marked)
    if not others:
        cause = "no other slice of its series is parallel, of the same size and at another position"
        return alone.between(0, 0, cause)
    sides = [
        sorted((each for each in others if sign * each.along > 0), key=lambda each: abs(each.along))
        for sign in (-1, 1)
    ]
    steps = [
        sign * (side[0].position - position)
        for sign, side in zip((-1, 1), sides, strict=True)
        if side and not _is_double(side, 0)
    ]
    if not steps:
        cause = "its neighbours share their positions with other slices of the series"
        return alone.between(0, 0, cause)
    normal = marked.normal
    nearest = min(float(step @ normal) for step in steps)
    if nearest > reach_mm:
        cause = f"the next slice is {nearest:.4g} mm away, farther than the lesion may reach"
        return alone.between(0, 0, cause)
    runs = [_run(own, sides, step, normal, reach_mm) for step in steps]
    return max(runs, key=lambda run: (len(run.places), -run.step_mm))


def _no_volume(image: ImageObject, marked: Frame) -> str:
    """Return why an image is in no volume, whatever else its series has; "" if it may be."""
    if image.samples != 1:
        return "only grey images form a volume"
    if image.localiser:
        return "the image is a localiser"
    if not marked.placed:
        return "the image has no place in the patient"
    return ""


def _parallel_slices(
    export: Export, image: ImageObject, own: _Slice, marked: Frame
) -> list[_Slice]:
    """Return the other slices of a series that may form a volume with the marked one."""
    if len(image.frames) > 1:
        frames = [((image.uid, number), frame) for number, frame in enumerate(image.frames)]
    else:
        frames = [
            ((other.uid, 0), other.frames[0])
            for other in export.images.values()
            if _kind(other) == _kind(image)
            and len(other.frames) == 1
            and not other.localiser
            and other.uid not in export.ambiguous
        ]
    normal = marked.normal
    found = []
    for place, frame in frames:
        if not (frame.placed and alike(frame, marked)):
            continue
        position = np.array(frame.position, dtype=float)
        along = float((position - own.position) @ normal)
        if abs(along) > SAME_PLACE_MM:
            found.append(_Slice(place, position, along))
    return found


def _kind(image: ImageObject) -> tuple[object, ...]:
    """Return what the images of a volume have in common."""
    place = image.series_uid, image.place_uid, image.shape_hw
    return (*place, image.modality, image.samples, image.photometric)


def alike(frame: Frame, marked: Frame) -> bool:
    """Return whether two placed frames are parallel, with equal directions and spacing."""
    first, second = (np.array(each.spacing_rc, dtype=float) for each in (frame, marked))
    return frame.is_parallel_to(marked) and np.allclose(first, second, rtol=SAME_SPACING, atol=0)


def _is_double(side: Sequence[_Slice], number: int) -> bool:
    """Return whether a slice of a sorted side has the position of the next one."""
    apart = [abs(side[number].along - each.along) for each in side[number + 1 : number + 2]]
    return bool(apart) and apart[0] <= SAME_PLACE_MM


def _run(
    own: _Slice,
    sides: Sequence[Sequence[_Slice]],
    step: np.ndarray,
    normal: np.ndarray,
    reach_mm: float,
) -> Stack:
    """Return the slices around the marked one that follow each other by one step.

    Args:
        own: the marked slice.
        sides: the slices below and above it, nearest first.
        step: (3,) from one slice to the next one above it, mm.
        normal: (3,) unit vector.
        reach_mm: how far slices are needed.
    """
    distance = float(step @ normal)
    most = int(reach_mm / distance) + 1
    taken: list[list[_Slice]] = []
    notes = []
    for sign, name, side in zip((-1, 1), (BELOW, ABOVE), sides, strict=True):
        last = own
        here: list[_Slice] = []
        for number, each in enumerate(side[:most]):
            if _is_double(side, number):
                notes.append(f"{ends_after(len(here), name)}: the next two share a position")
                break
            difference = sign * (each.position - last.position) - step
            if np.linalg.norm(difference) > max(EVEN * distance, ROUNDED_MM):
                notes.append(_end(name, len(here), distance, abs(each.along - last.along)))
                break
            here.append(each)
            last = each
        taken.append(here)
    slices = [*reversed(taken[0]), own, *taken[1]]
    return Stack(
        tuple(each.place for each in slices),
        len(taken[0]),
        np.array([each.position for each in slices]),
        tuple(notes),
    )


def _end(name: str, count: int, distance: float, apart: float) -> str:
    """Return why a side of a stack ends at a slice that is not one step away."""
    if abs(apart - distance) > max(EVEN * distance, ROUNDED_MM):
        cause = f"is {apart:.4g} mm away instead of {distance:.4g}"
    else:
        cause = "is shifted sideways"
    return f"{ends_after(count, name)}: the next one {cause}"


def ends_after(count: int, side: str) -> str:
    """Return in words that a stack has so many slices on a side of the marked one.

    >>> ends_after(0, BELOW), ends_after(1, ABOVE), ends_after(2, ABOVE)
    ('no slice below it', 'only 1 slice above it', 'only 2 slices above it')
    """
    if not count:
        return f"no slice {side} it"
    return f"only {count} slice{'s' if count > 1 else ''} {side} it"
