"""How far a lesion reaches across slices, by the log-likelihood ratios of its levels."""

from dataclasses import replace

import numpy as np

from weaklesion.volumes.ellipsoid import Ellipsoid, radii_in_slices
from weaklesion.volumes.region import Region

RINGS = 32  # of the ellipse, in which ratios are summed to compare extents across
DEVIATIONS = np.arange(-8, 11) * 0.08  # of the logarithm of the axis across
LEAST_RATIO = 0.3  # mean ratio in the marked slice below which levels hardly tell the lesion


def best_across(
    ratio: np.ndarray,
    axes: tuple[np.ndarray, np.ndarray, np.ndarray],
    region: Region,
    ellipsoid: Ellipsoid,
    *,
    spread: float,
    weight: float,
) -> Ellipsoid:
    """Return the ellipsoid whose extent across slices the ratios support best.

    The support of an extent is the sum of the ratios in the ellipsoid, divided by what it would be
    if the marked slice's mean ratio filled the cylinder over the mark's ellipse that is as long as
    the extent that the mark assumes. From it is subtracted how unlikely the extent is beforehand:
    half the squared deviation of its logarithm.

    Args:
        ratio: (X, Y, Z) log-likelihood ratios of the region, or of a part of its slices that
            contains the mark.
        axes: coordinates of their px in voxels of the volume, along x, y and z.
        region: the region.
        ellipsoid: of the mark.
        spread: standard deviation of the logarithm of the extent beforehand.
        weight: of the support.
    """
    x, y, z = axes
    # the cylinder over the marked slice: an ellipsoid of endless extent across
    radii = radii_in_slices(replace(ellipsoid, across_mm=1e9), region.frame, x, y, z)
    ring = np.minimum((radii * RINGS).astype(int), RINGS)
    sums = np.stack(
        [
            np.bincount(ring[:, :, i].ravel(), ratio[:, :, i].ravel(), RINGS + 1)[:RINGS]
            for i in range(len(z))
        ]
    )
    place = region.place_of(ellipsoid.index)
    area = int((ring[:, :, place] < RINGS).sum())
    if not area:
        return ellipsoid
    mean = max(sums[place].sum() / area, LEAST_RATIO)
    step_mm = region.sizes_mm()[2]
    full = mean * area * ellipsoid.across_mm / step_mm
    above_mm = np.abs(z - ellipsoid.index) * abs(region.frame[2, 2])
    height = above_mm[:, None] / (ellipsoid.across_mm / 2)
    radius = ((np.arange(RINGS) + 0.5) / RINGS)[None]
    best, most = ellipsoid, -np.inf
    for deviation in DEVIATIONS:
        within = radius**2 + (height / np.exp(deviation)) ** 2 <= 1
        support = weight * (sums * within).sum() / full
        support -= (deviation / spread) ** 2 / 2
        if support > most:
            longer = ellipsoid.across_mm * float(np.exp(deviation))
            best, most = replace(ellipsoid, across_mm=longer), support
    return best
