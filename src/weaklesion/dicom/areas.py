"""Area of a mask, with the error of its pixels.

The assumption: the border as a whole is displaced by up to half a pixel, outwards or inwards, with
equal probability, and independently at each visit. Errors of the network and of readers are not in
it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

DETECTABLE = 1.96  # standard deviations of a change; at least 95 % of those by chance are smaller


@dataclass(frozen=True)
class Area:
    """The area of a mask, or of the masks of a lesion's parts.

    Attributes:
        mm2: area.
        sd_mm2: its standard deviation.
        answers: what answered each part: `network`, `ellipse`, `ends` or `empty`.
    """

    mm2: float
    sd_mm2: float
    answers: tuple[str, ...] = ()


@dataclass(frozen=True)
class AreaChange:
    """The change of an area between two visits.

    Attributes:
        mm2: later minus earlier area.
        pct: of the earlier area, percent.
        detectable_mm2: the smallest change that the pixels allow to detect.
    """

    mm2: float
    pct: float
    detectable_mm2: float

    @property
    def detected(self) -> bool:
        """Whether the change exceeds the smallest detectable one."""
        return abs(self.mm2) > self.detectable_mm2


def area_of(mask: np.ndarray, spacing_xy: tuple[float, float], answer: str) -> Area:
    """Return the area of a mask.

    A border that is displaced by half a pixel changes the area by half a pixel per pixel side
    between inside and outside. Displacements of up to that, equally probable, have a standard
    deviation of 1 / sqrt(12) pixel.

    Args:
        mask: (H, W) bool. Outside the image there is no lesion.
        spacing_xy: mm per px of x and y.
        answer: see `Area`.

    >>> area = area_of(np.ones((3, 4), bool), (0.5, 0.5), "network")
    >>> area.mm2, round(area.sd_mm2 * 12**0.5, 6)  # 14 sides of 0.25 mm2
    (3.0, 3.5)
    """
    padded = np.pad(mask.astype(bool), 1)
    sides = sum(int((padded != np.roll(padded, 1, axis)).sum()) for axis in (0, 1))
    pixel_mm2 = spacing_xy[0] * spacing_xy[1]
    return Area(int(mask.sum()) * pixel_mm2, sides * pixel_mm2 / math.sqrt(12), (answer,))


def sum_of(parts: Sequence[Area]) -> Area:
    """Return the area of a lesion of several parts, whose borders are displaced together."""
    return Area(
        sum(part.mm2 for part in parts),
        sum(part.sd_mm2 for part in parts),
        tuple(answer for part in parts for answer in part.answers),
    )


def change(earlier: Area, later: Area) -> AreaChange:
    """Return the change between two areas, neither of an empty mask.

    >>> change(Area(25.0, 3.0), Area(40.0, 4.0))
    AreaChange(mm2=15.0, pct=60.0, detectable_mm2=9.8)
    """
    difference = later.mm2 - earlier.mm2
    detectable = DETECTABLE * math.hypot(earlier.sd_mm2, later.sd_mm2)
    return AreaChange(difference, 100 * difference / earlier.mm2, detectable)
