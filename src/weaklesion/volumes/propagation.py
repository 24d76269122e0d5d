"""From the mask of the marked slice outward, slice by slice.

Each neighbour is segmented with a mark of its own: the shape, ellipse or four ends, of what the
training-free model expects in that slice. The shape of the mask before it would not do as a mark:
a network that is trained to fit its mark returns it, slice after slice, and a lesion becomes a
cylinder (docs/results/volumes.md). In either direction the first slice that fails a rule ends the
lesion. Nothing here knows how a slice is segmented. Where slices are thin, some are segmented, and
those between are interpolated. Planes are (H, W), as images are.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from weaklesion.mark_shapes import MarkShape
from weaklesion.prediction.gate import mask_agreement

# Slices, each with its mark's shape, to a mask (H, W) bool of each
Predict = Callable[[Sequence[tuple[int, MarkShape]]], list[np.ndarray]]
Support = Callable[[int, np.ndarray], float]  # slice and mask to the mean ratio of its levels

AHEAD = 8  # slices that are segmented at once: a network is slow on one image at a time
LEAST_LONG_PX = 3.0  # of a mask that can still be a mark


@dataclass(frozen=True, kw_only=True)
class StopSettings:
    """What ends a lesion.

    Attributes:
        agreement: least agreement of a mask with its mark.
        area: least area, as a fraction of the marked slice's.
        growth: largest area, as a multiple of that of the slice before; of thin slices, to the
            power of their number.
        support: least mean log-likelihood ratio of the levels of a mask.
    """

    agreement: float = 0.5
    area: float = 0.05
    growth: float = 1.5
    support: float = -0.5


@dataclass(frozen=True)
class Propagated:
    """The masks of a lesion's slices.

    Attributes:
        planes: (H, W) bool by slice; the marked one is among them.
        stops: why the lesion ended, below and above the marked slice.
    """

    planes: dict[int, np.ndarray]
    stops: tuple[str, str]


def propagate(
    first: np.ndarray,
    mark: MarkShape,
    index: int,
    expected: np.ndarray,
    predict: Predict,
    *,
    support: Support | None = None,
    every: int = 1,
    settings: StopSettings | None = None,
) -> Propagated:
    """Segment the slices of a lesion from its marked slice outward.

    Args:
        first: (H, W) bool, mask of the marked slice.
        mark: the mark's shape, px, whose kind marks the other slices.
        index: the marked slice.
        expected: (x, y, z) bool, the mask by another method, whose slices mark these.
        predict: segments up to `AHEAD` slices, each marked with a shape. The last ones may lie
            beyond the lesion's end; they are not used then.
        support: says how well the levels of a mask are a lesion's; None to ask nobody.
        every: distance of the slices that are segmented; those between are interpolated, and the
            lesion ends with one that is segmented.
        settings: see `StopSettings`; None for its defaults.
    """
    settings = settings or StopSettings()
    planes = {index: first}
    growth = settings.growth**every
    stops = []
    for step in (-every, every):
        before, last, cause = first, index + step, ""
        for place, shape, plane in _segmented(mark, index, step, expected, predict):
            cause = _cause(plane, before, first, shape, growth, settings)
            if not cause and support is not None and support(place, plane) < settings.support:
                cause = "the levels are those of the surroundings"
            if cause:
                break
            planes |= _between(place - step, before, place, plane)
            planes[place] = before = plane
            last = place + step
        if not cause:
            inside = 0 <= last < expected.shape[2]
            cause = "the levels expect no lesion there" if inside else "the volume ends"
        stops.append(cause)
    return Propagated(planes, (stops[0], stops[1]))


def _segmented(
    mark: MarkShape, index: int, step: int, expected: np.ndarray, predict: Predict
) -> Iterator[tuple[int, MarkShape, np.ndarray]]:
    """Yield slices outward with their marks and masks, up to where no lesion is expected."""
    place, marked = index, True
    while marked:
        batch: list[tuple[int, MarkShape]] = []
        while marked and len(batch) < AHEAD:
            place += step
            inside = 0 <= place < expected.shape[2]
            shape = _shape_of(expected[:, :, place].T, mark) if inside else None
            marked = shape is not None
            if shape is not None:
                batch.append((place, shape))
        if batch:
            for (number, shape), plane in zip(batch, predict(batch), strict=True):
                yield number, shape, plane


def _between(start: int, first: np.ndarray, end: int, last: np.ndarray) -> dict[int, np.ndarray]:
    """Interpolate the masks between those of two slices by their signed distances."""
    places = range(*((start + 1, end) if start < end else (end + 1, start)))
    if not places:
        return {}
    either = first | last
    rows, columns = (np.flatnonzero(either.any(axis=axis)) for axis in (1, 0))
    # a margin of background, so that both masks have some in the box
    near = tuple(slice(max(0, one[0] - 1), one[-1] + 2) for one in (rows, columns))
    depths = [_depth(mask[near]) for mask in (first, last)]
    found = {}
    for place in places:
        share = (place - start) / (end - start)
        found[place] = np.zeros_like(first)
        found[place][near] = (1 - share) * depths[0] + share * depths[1] > 0
    return found


def _depth(mask: np.ndarray) -> np.ndarray:
    """Return the distance from a mask's border, px: positive inside, negative outside."""
    padded = np.pad(mask, 1)
    inside, outside = (ndimage.distance_transform_edt(part) for part in (padded, ~padded))
    return (inside - outside)[1:-1, 1:-1]


def _shape_of(plane: np.ndarray, mark: MarkShape) -> MarkShape | None:
    """Return the shape that marks a slice; None where nothing in it is large enough for a mark."""
    try:
        shape = mark.measured(plane)
    except ValueError:
        return None
    return shape if shape.long_px >= LEAST_LONG_PX else None


def _cause(
    plane: np.ndarray,
    before: np.ndarray,
    first: np.ndarray,
    shape: MarkShape,
    growth: float,
    settings: StopSettings,
) -> str:
    """Return why a mask ends the lesion, or an empty text."""
    if not (plane & before).any():
        return "nothing in the next slice connects"
    area = int(plane.sum())
    if area < settings.area * first.sum():
        return "the lesion has shrunk to nearly nothing"
    if area > growth * before.sum():
        return "the mask grows too fast"
    if mask_agreement(plane, shape) < settings.agreement:
        return "the mask does not fit its mark"
    return ""
