"""The training-free model: the marked slice's levels as likelihood, the mark's ellipsoid as prior.

The levels inside the mark and those around it, both in the marked slice, give each level a
log-likelihood ratio. How far the lesion reaches across slices is the extent that the ratios support
best, against the assumption that it is the mean diameter. The score of a voxel is its ratio, plus a
prior that falls with its radius in the ellipsoid. The lesion is the connected part of the positive
voxels through the mark's centre. Everything is measured in mm. No mask is read.

A thick slice that the lesion fills in part is pale: its levels lie between the lesion's and those
of the surroundings. Where few slices lie along the lesion, the ellipsoid's section of such a slice
belongs to the lesion as well.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import ndimage

from weaklesion.volumes.across import DEVIATIONS, best_across
from weaklesion.volumes.ellipsoid import Ellipsoid, radii_in_slices
from weaklesion.volumes.region import Region, every_slice, read_region

BINS = 64  # levels of the histograms
SMOOTH = 1.5  # standard deviation of the histograms' blur, bins
FLOOR = 0.02  # counts per level that are added to a histogram, as a fraction of a uniform one
TRUNCATE = 4.0  # standard deviations up to which the ratio is blurred
LEAST = 12  # voxels inside and around that the histograms need


@dataclass(frozen=True, kw_only=True)
class LevelsSettings:
    """Constants of the model; docs/results/volumes.md says on which lesions they were chosen.

    Attributes:
        ratio_weight: weight of the log-likelihood ratio.
        prior_weight: weight of the prior, which is 1 minus the radius.
        across_spread: standard deviation of the logarithm of the axis across slices around that of
            the mean diameter; 0 keeps it.
        across_weight: weight of the ratios where the axis across is chosen.
        inside: radius within which the lesion's levels are first read.
        around: radii between which the levels of the surroundings are read.
        blur_mm: width of the Gaussian blur of the levels in their slice.
        ratio_blur_mm: width of the Gaussian blur of the ratio.
        clip: bound of the ratio on either side.
        thick: slices are thick where at most as many lie along the mean diameter.
        pale: a thick slice is pale if the mean ratio of its section of the ellipsoid lies between
            these two, where 0 is the mean ratio of the surroundings in the marked slice, and 1 that
            of the lesion there.
    """

    ratio_weight: float = 0.5
    prior_weight: float = 5.0
    across_spread: float = 0.3
    across_weight: float = 4.0
    inside: float = 0.9
    around: tuple[float, float] = (1.2, 2.0)
    blur_mm: float = 0.5
    ratio_blur_mm: float = 2.0
    clip: float = 2.0
    thick: float = 8.0
    pale: tuple[float, float] = (0.2, 0.9)

    @property
    def across_reach(self) -> float:
        """Radius across, in the mark's own ellipsoid, beyond which no score is positive."""
        longest = float(np.exp(DEVIATIONS[-1])) if self.across_spread > 0 else 1.0
        return longest * (1 + self.ratio_weight * self.clip / self.prior_weight)


@dataclass(frozen=True)
class Levels:
    """What the model reads from a region once, whatever the ellipsoid.

    Attributes:
        region: the region.
        blurred: (X, Y, Z) float32; unknown where the volume has no finite value.
        unknown: (X, Y, Z) bool.
    """

    region: Region
    blurred: np.ndarray
    unknown: np.ndarray


def prepare(region: Region, settings: LevelsSettings) -> Levels:
    """Blur the levels of a region in their slices."""
    unknown = ~np.isfinite(region.values)
    known = np.where(unknown, 0, region.values) if unknown.any() else region.values
    x_mm, y_mm, _ = region.sizes_mm()
    blurred = ndimage.gaussian_filter(known, (settings.blur_mm / x_mm, settings.blur_mm / y_mm, 0))
    return Levels(region, blurred, unknown)


def thinned(levels: Levels, ellipsoid: Ellipsoid) -> Levels:
    """Return the same with fewer slices, the marked one among them, where slices are thin."""
    region = levels.region
    every = every_slice(ellipsoid, region.frame)
    if every < 2:
        return levels
    first = region.place_of(ellipsoid.index) % every
    x, y, z = region.box
    box = x, y, slice(z.start + first, z.stop)
    values, blurred, unknown = (
        each[:, :, first::every] for each in (region.values, levels.blurred, levels.unknown)
    )
    return Levels(replace(region, values=values, box=box, every=every), blurred, unknown)


def levels_scores(
    levels: Levels, ellipsoid: Ellipsoid, settings: LevelsSettings
) -> tuple[np.ndarray, Ellipsoid] | None:
    """Score the voxels of a region: above 0 is lesion.

    Args:
        levels: of `prepare`.
        ellipsoid: of the mark.
        settings: see `LevelsSettings`.

    Returns:
        (X, Y, Z) float32, negative outside the part through the centre; and the ellipsoid with the
        extent across that was chosen. None where levels cannot decide, because too few voxels lie
        inside or around the mark, or none is lesion.
    """
    region = levels.region
    place = region.place_of(ellipsoid.index)
    thick = ellipsoid.mean_mm <= settings.thick * region.sizes_mm()[2]
    near = _columns_near(region, ellipsoid, settings, thick)
    ratio = levels_ratios(levels, ellipsoid, settings, near)
    if ratio is None:
        return None
    x, y, z = region.axes()
    axes = x[near[0]], y[near[1]], z
    marked, own_ratio = ellipsoid, ratio
    if settings.across_spread > 0:
        ellipsoid = best_across(
            ratio,
            axes,
            region,
            ellipsoid,
            spread=settings.across_spread,
            weight=settings.across_weight,
        )
    widths = [settings.ratio_blur_mm / step for step in region.sizes_mm()]
    ratio = ndimage.gaussian_filter(ratio, widths, truncate=TRUNCATE)
    radii = radii_in_slices(ellipsoid, region.frame, *axes)
    scores = settings.ratio_weight * ratio + settings.prior_weight * (1 - radii)
    if thick:
        sections = radii_in_slices(marked, region.frame, *axes)
        pale = _pale_sections(own_ratio, ~levels.unknown[near], sections, place, settings)
        scores = np.maximum(scores, pale)
    radius = radii[:, :, place]
    centre = np.unravel_index(int(radius.argmin()), radius.shape)
    part = _part_through(scores > 0, (*centre, place))
    if part is None:
        return None
    alone = np.full(region.values.shape, -settings.prior_weight, dtype=np.float32)
    alone[near] = np.where(part, np.maximum(scores, 1e-3), np.minimum(scores, -1e-3))
    return alone, ellipsoid


def _pale_sections(
    ratio: np.ndarray, known: np.ndarray, radii: np.ndarray, place: int, settings: LevelsSettings
) -> np.ndarray:
    """Return the prior alone in the sections that the lesion fills in part, elsewhere -inf.

    Args:
        ratio: (X, Y, Z) float32, not blurred.
        known: (X, Y, Z) bool.
        radii: (X, Y, Z) radius in the mark's own ellipsoid.
        place: the marked slice, which is never pale.
        settings: see `LevelsSettings`.
    """
    inside = known & (radii < 1)
    counts = np.maximum(inside.sum(axis=(0, 1)), 1)
    means = (ratio * inside).sum(axis=(0, 1)) / counts
    low, high = settings.around
    around = known[:, :, place] & (radii[:, :, place] > low) & (radii[:, :, place] < high)
    outside = ratio[:, :, place][around].mean() if around.any() else -settings.clip
    least, most = (outside + part * (means[place] - outside) for part in settings.pale)
    filled = (means > least) & (means < most)
    filled[place] = False
    return np.where(known & filled, settings.prior_weight * (1 - radii), -np.inf)


def _columns_near(
    region: Region, ellipsoid: Ellipsoid, settings: LevelsSettings, thick: bool
) -> tuple[slice, slice]:
    """Return the part of a region's slices that decides all scores above 0.

    Beyond the last radius whose prior a ratio can outweigh, only the blur of the ratios reads
    anything. Whether a thick slice is pale depends on all of the surroundings. With a tilted
    gantry, the part differs from slice to slice: all is returned.
    """
    x, y, z = region.axes()
    if region.frame[:2, 2].any():
        return slice(0, len(x)), slice(0, len(y))
    place = region.place_of(ellipsoid.index)
    radius = radii_in_slices(ellipsoid, region.frame, x, y, z[place : place + 1])[:, :, 0]
    last = 1 + settings.ratio_weight * settings.clip / settings.prior_weight
    if thick:
        last = max(last, settings.around[1])
    parts = []
    for axis, size in enumerate(region.sizes_mm()[:2]):
        inside = np.flatnonzero((radius <= max(last, radius.min())).any(axis=1 - axis))
        more = int(TRUNCATE * settings.ratio_blur_mm / size + 0.5) + 2
        parts.append(slice(max(0, int(inside[0]) - more), int(inside[-1]) + 1 + more))
    return parts[0], parts[1]


def levels_ratios(
    levels: Levels,
    ellipsoid: Ellipsoid,
    settings: LevelsSettings,
    near: tuple[slice, slice] = (slice(None), slice(None)),
) -> np.ndarray | None:
    """Return the log-likelihood ratio of the voxels of a region, by its marked slice.

    Args:
        levels: of `prepare`.
        ellipsoid: of the mark.
        settings: see `LevelsSettings`.
        near: the part of each slice that is needed.

    Returns:
        (X, Y, Z) float32; None where too few voxels lie inside or around the mark.
    """
    x, y, z = levels.region.axes()
    place = levels.region.place_of(ellipsoid.index)
    radius = radii_in_slices(ellipsoid, levels.region.frame, x, y, z[place : place + 1])[:, :, 0]
    centre = np.unravel_index(int(radius.argmin()), radius.shape)
    key, known = levels.blurred[:, :, place], ~levels.unknown[:, :, place]
    inside = known & (radius < settings.inside)
    around = known & (radius > settings.around[0]) & (radius < settings.around[1])
    table = ratio_table(key[inside], key[around], settings.clip)
    if table is None:
        return None
    # once more, with the levels of what the first ones find
    widths = [settings.ratio_blur_mm / step for step in levels.region.sizes_mm()[:2]]
    first = settings.ratio_weight * ndimage.gaussian_filter(np.interp(key, *table), widths)
    found = _part_through(first + settings.prior_weight * (1 - radius) > 0, centre)
    if found is not None:
        inside, around = known & found, known & ~found & (radius < settings.around[1])
        table = ratio_table(key[inside], key[around], settings.clip) or table
    ratio = np.interp(levels.blurred[near], *table).astype(np.float32)
    ratio[levels.unknown[near]] = -settings.clip
    return ratio


def ratio_table(
    inside: np.ndarray, around: np.ndarray, clip: float
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return levels and the log-likelihood ratio of inside to around at each.

    Args:
        inside: levels of the lesion.
        around: levels of its surroundings.
        clip: bound of the ratio.

    Returns:
        Two arrays, the levels rising; None if either side has too few levels.

    >>> levels, ratio = ratio_table(np.full(50, 90.0), np.full(50, 10.0), 4.0)
    >>> np.interp([10.0, 90.0], levels, ratio).tolist()
    [-4.0, 4.0]
    """
    if len(inside) < LEAST or len(around) < LEAST:
        return None
    low, high = np.percentile(np.concatenate([inside, around]), (0.5, 99.5))
    margin = 0.05 * (high - low) or 1.0
    edges = np.linspace(low - margin, high + margin, BINS + 1)
    logs = []
    for part in (inside, around):
        counts = np.histogram(np.clip(part, edges[0], edges[-1]), edges)[0] / len(part)
        smooth = ndimage.gaussian_filter1d(counts, SMOOTH, mode="nearest")
        logs.append(np.log(smooth + FLOOR / BINS))
    return (edges[:-1] + edges[1:]) / 2, np.clip(logs[0] - logs[1], -clip, clip)


def _part_through(mask: np.ndarray, centre: tuple) -> np.ndarray | None:
    """Return the connected part of a mask through a voxel, each slice without holes.

    If the voxel is not in the mask, the largest part is returned; None if there is no part.
    """
    labels, count = ndimage.label(mask)
    if not count:
        return None
    label = labels[centre] or np.bincount(labels.ravel())[1:].argmax() + 1
    part = labels == label
    planes = [part] if part.ndim == 2 else [part[:, :, index] for index in range(part.shape[2])]
    for plane in planes:
        if box := ndimage.find_objects(plane.astype(np.uint8)):
            plane[box[0]] = ndimage.binary_fill_holes(plane[box[0]])
    return np.asarray(part)


@dataclass(frozen=True)
class LevelsMask:
    """The model's answer.

    Attributes:
        mask: (x, y, z) bool, on the volume's own voxels.
        ellipsoid: of the mark, with the extent across that the levels support best.
    """

    mask: np.ndarray
    ellipsoid: Ellipsoid


def levels_mask(
    levels: Levels, ellipsoid: Ellipsoid, settings: LevelsSettings
) -> LevelsMask | None:
    """Segment the lesion of a mark in a volume without any training.

    Args:
        levels: of `prepare`.
        ellipsoid: of the mark (`weaklesion.volumes.ellipsoid.ellipsoid_of_mark`).
        settings: see `LevelsSettings`.

    Returns:
        None where levels cannot decide, see `levels_scores`.
    """
    found = levels_scores(levels, ellipsoid, settings)
    if found is None:
        return None
    mask = np.zeros(levels.region.shape, dtype=bool, order="F")  # NIfTI's own, much faster
    mask[levels.region.box] = levels.region.whole(found[0])
    return LevelsMask(mask, found[1])


def read_around(
    voxels: Any,
    shape: tuple[int, int, int],
    frame: np.ndarray,
    ellipsoid: Ellipsoid,
    settings: LevelsSettings,
) -> Region:
    """Read the region that the model needs, see `weaklesion.volumes.region.read_region`."""
    return read_region(
        voxels,
        shape,
        frame,
        ellipsoid,
        reach=settings.around[1],
        across_reach=settings.across_reach,
    )
