"""A mark with its mask, and what made it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.uid import generate_uid

from weaklesion.dicom.found import FoundMark
from weaklesion.dicom.stacks import Place

ANSWERS = {  # origin of a mask, as the algorithm's name
    "network": "WeakLesion network",
    "ellipse": "WeakLesion ellipse of the mark",
    "ends": "WeakLesion shape through the ends of the mark",
}
VOLUME_ANSWERS = {  # the same of a mask in three dimensions
    "levels": "WeakLesion levels of the marked slice",
    "network": "WeakLesion network, slice by slice",
    "ellipsoid": "WeakLesion ellipsoid of the mark",
}


@dataclass(frozen=True)
class SolidMask:
    """A mask over slices, of which the part that holds the lesion is kept.

    Attributes:
        places: the slices of the part.
        part: (slices, h, w) bool; each slice has some of the lesion.
        corner: row and column of the part's first pixel.
        shape_hw: rows and columns of a whole slice.
    """

    places: tuple[Place, ...]
    part: np.ndarray
    corner: tuple[int, int]
    shape_hw: tuple[int, int]

    def planes(self) -> Iterator[tuple[Place, np.ndarray]]:
        """Yield each slice with its mask, (H, W) bool."""
        rows, columns = (
            slice(first, first + length)
            for first, length in zip(self.corner, self.part.shape[1:], strict=True)
        )
        for place, part in zip(self.places, self.part, strict=True):
            mask = np.zeros(self.shape_hw, dtype=bool)
            mask[rows, columns] = part
            yield place, mask


@dataclass(frozen=True)
class Lesion:
    """A mark with its mask.

    Attributes:
        id: of the mark.
        mark: the mark.
        mask: (H, W) bool, of the marked slice.
        row: its row of `measurements.csv`.
        overlay: PNG of mask and mark over the image.
        solid: the mask in three dimensions, or None.
    """

    id: str
    mark: FoundMark
    mask: np.ndarray
    row: Mapping[str, Any]
    overlay: Path
    solid: SolidMask | None = None

    @property
    def places(self) -> tuple[Place, ...]:
        """The frames that the lesion's segment touches; none if its mask is empty."""
        if self.solid is not None:
            return self.solid.places
        return ((self.mark.image_uid, self.mark.frame),) if self.mask.any() else ()

    def planes(self) -> Iterator[tuple[Place, np.ndarray]]:
        """Yield each frame of `places` with its mask, (H, W) bool."""
        if self.solid is not None:
            yield from self.solid.planes()
        elif self.mask.any():
            yield (self.mark.image_uid, self.mark.frame), self.mask

    @property
    def made_by(self) -> str:
        """Name of the algorithm whose mask `planes` is."""
        if self.solid is not None:
            return VOLUME_ANSWERS[self.row["volume_answer"]]
        return ANSWERS[self.row["answer"]]


@dataclass(frozen=True)
class Maker:
    """What made the masks.

    Attributes:
        version: of WeakLesion.
        model_digest: SHA-256 of the network's weights.
    """

    version: str
    model_digest: str


def uid_of(*parts: str) -> str:
    """Return a UID that depends on the parts only."""
    return str(generate_uid(entropy_srcs=list(parts)))
