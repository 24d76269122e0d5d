"""mm per px of ultrasound images, which are known per region of the image (PS3.3 C.8.5.5)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from weaklesion.dicom.headers import single

CENTIMETRES = 3  # code of the physical units
TWO_DIMENSIONAL = 1  # spatial format; others are M-mode, spectra, waveforms, graphics
TISSUE = 1  # data type; others are Doppler, curves and scales
CM = 10.0  # mm
SAME_SPACING = 0.001  # relative
EDGE_PX = 0.5  # from the centre of a region's last pixel to its border

OUTSIDE = "no mm: the mark is in no region of the ultrasound image"
ACROSS = "no mm: the mark crosses the border of a region of the ultrasound image"
OTHER_KIND = "no mm: the mark is in a region of Doppler, a spectrum or a curve"
NOT_CM = "no mm: the region of the ultrasound image is not in cm, or has no place"
TWO_SPACINGS = "no mm: the mark is in regions of the ultrasound image with two spacings"


@dataclass(frozen=True)
class Region:
    """A region of an ultrasound image.

    Attributes:
        corners: first x, first y, last x, last y of its pixels; px from the centre of the first
            pixel.
        tissue: whether it is a two-dimensional image of tissue.
        spacing_xy: mm per px of x and y; None if its units are not cm.
    """

    corners: tuple[float, ...]
    tissue: bool
    spacing_xy: tuple[float, float] | None


# what a region without a place may be
EVERYWHERE = Region((-np.inf, -np.inf, np.inf, np.inf), tissue=True, spacing_xy=None)


def read_regions(header: Any) -> tuple[Region, ...]:
    """Return the regions of an ultrasound image.

    Args:
        header: its dataset.
    """
    return tuple(_region(item) for item in header.get("SequenceOfUltrasoundRegions") or [])


def _region(item: Any) -> Region:
    ends = ("MinX0", "MinY0", "MaxX1", "MaxY1")
    found = [single(item.get(f"RegionLocation{end}")) for end in ends]
    corners = tuple(each for each in found if each is not None)
    if len(corners) < len(ends):
        return EVERYWHERE
    units = {single(item.get(f"PhysicalUnits{axis}Direction")) for axis in "XY"}
    deltas = [abs(single(item.get(f"PhysicalDelta{axis}")) or 0.0) * CM for axis in "XY"]
    return Region(
        corners=corners,
        tissue=single(item.get("RegionSpatialFormat")) == TWO_DIMENSIONAL
        and single(item.get("RegionDataType")) == TISSUE,
        spacing_xy=(deltas[0], deltas[1]) if units == {CENTIMETRES} and min(deltas) > 0 else None,
    )


def spacing_in(
    regions: Sequence[Region], points: np.ndarray
) -> tuple[tuple[float, float] | None, str]:
    """Return mm per px where a mark is, or the cause why they are unknown.

    Every region that the mark touches must hold all of it, be a two-dimensional image of tissue in
    cm, and have the same spacing.

    Args:
        regions: regions of the image.
        points: (n, 2) x and y of the mark's ends, px from the centre of the first pixel.

    Returns:
        The spacing and "", or None and the cause.
    """
    touched = []
    for region in regions:
        low, high = np.array(region.corners).reshape(2, 2)
        first, last = points.min(0), points.max(0)
        if (first <= high + EDGE_PX).all() and (last >= low - EDGE_PX).all():
            if not ((first >= low - EDGE_PX).all() and (last <= high + EDGE_PX).all()):
                return None, ACROSS
            touched.append(region)
    if not touched:
        return None, OUTSIDE
    if not all(region.tissue for region in touched):
        return None, OTHER_KIND
    spacings = [region.spacing_xy for region in touched if region.spacing_xy is not None]
    if len(spacings) < len(touched):
        return None, NOT_CM
    if not np.allclose(spacings, spacings[0], rtol=SAME_SPACING, atol=0):
        return None, TWO_SPACINGS
    return spacings[0], ""
