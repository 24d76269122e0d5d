"""A mark with its mask, and what made it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.uid import generate_uid

from weaklesion.dicom.found import FoundMark

ANSWERS = {  # origin of a mask, as the algorithm's name
    "network": "WeakLesion network",
    "ellipse": "WeakLesion ellipse of the mark",
    "ends": "WeakLesion shape through the ends of the mark",
}


@dataclass(frozen=True)
class Lesion:
    """A mark with its mask.

    Attributes:
        id: of the mark.
        mark: the mark.
        mask: (H, W) bool.
        row: its row of `measurements.csv`.
        overlay: PNG of mask and mark over the image.
    """

    id: str
    mark: FoundMark
    mask: np.ndarray
    row: Mapping[str, Any]
    overlay: Path

    @property
    def tracking_uid(self) -> str:
        """UID that follows the lesion: that of the mark if it has one."""
        named = self.mark.name and self.mark.lesion  # by a table: patient and name
        return self.mark.tracking_uid or str(generate_uid(entropy_srcs=[named or self.id]))


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
