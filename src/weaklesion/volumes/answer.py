"""Which mask answers a mark in three dimensions, and why.

Three methods answer: `levels`, the training-free model (`weaklesion.volumes.levels`); `network`,
the marked slice's mask by a network, continued outward (`weaklesion.volumes.propagation`); and
`ellipsoid`, the mark's own. The levels' mask is returned, because it measured best
(docs/results/volumes.md). Where levels cannot decide, the network's is, if it agrees with the
ellipsoid; else the ellipsoid.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from weaklesion.volumes.ellipsoid import Ellipsoid, ellipsoid_mask, ellipsoid_of_mark
from weaklesion.volumes.levels import (
    Levels,
    LevelsSettings,
    levels_mask,
    levels_ratios,
    prepare,
    read_around,
)
from weaklesion.volumes.metrics import VolumePair, volume_dice
from weaklesion.volumes.propagation import Propagated, Support
from weaklesion.volumes.size import volume_interval, volume_mm3

METHODS = ("levels", "network", "ellipsoid")
LEAST_OF_BOTH = 0.6  # Dice of the network's mask and the ellipsoid

# From the mask that is expected, and the support of its levels, to masks slice by slice
Follow = Callable[[np.ndarray, Support | None], Propagated]


@dataclass(frozen=True)
class VolumeAnswer:
    """The answer to a mark.

    Attributes:
        mask: (x, y, z) bool, the answer.
        method: one of `METHODS`, whose mask it is.
        reason: why it is not that of another method, where the network's slices ended, and on which
            sides the volume ends at the answer.
        masks: the mask of each method that has one.
        interval_mm3: 95 % interval of the answer's volume, or None.
    """

    mask: np.ndarray
    method: str
    reason: str
    masks: dict[str, np.ndarray]
    interval_mm3: tuple[float, float] | None


def answer_mark(
    voxels: Any,
    shape: tuple[int, int, int],
    frame: np.ndarray,
    points: np.ndarray,
    index: int,
    *,
    follow: Follow | None = None,
    unfollowed: str = "",
    settings: LevelsSettings | None = None,
) -> VolumeAnswer:
    """Answer a mark in three dimensions.

    Args:
        voxels: what is sliced, see `weaklesion.volumes.region.read_region`.
        shape: of the volume, (x, y, z).
        frame: (3, 3) mm per voxel (`weaklesion.volumes.frame`).
        points: (4, 2) ends of the diameters, px.
        index: the marked slice.
        follow: follows a network's mask outward; None where there is none to follow.
        unfollowed: why there is none.
        settings: of the training-free model; None for its defaults.

    Raises:
        ValueError: if the mark has no ellipse.
        BadMarkError: if the file is damaged.
    """
    settings = settings or LevelsSettings()
    ellipsoid = ellipsoid_of_mark(points, index, frame)
    levels = prepare(read_around(voxels, shape, frame, ellipsoid, settings), settings)
    found = levels_mask(levels, ellipsoid, settings)
    masks, reasons = {"ellipsoid": ellipsoid_mask(ellipsoid, frame, shape)}, []
    if found is None:
        reasons.append("levels do not tell the lesion from its surroundings")
    else:
        masks["levels"] = found.mask
    method = "ellipsoid" if found is None else "levels"
    if follow is None:
        reasons += [unfollowed] if unfollowed else []
    else:
        followed = follow(masks[method], _support(levels, ellipsoid, settings))
        masks["network"] = np.zeros(shape, dtype=bool, order="F")
        for place, plane in followed.planes.items():
            masks["network"][:, :, place] = plane.T
        overlap = volume_dice(
            VolumePair(masks["network"], masks[method], np.abs(np.diag(frame)).tolist())
        )
        ends = f"below, {followed.stops[0]}; above, {followed.stops[1]}"
        reasons.append(f"the network's slices overlap the {method} by {overlap:.2f} ({ends})")
        if method == "ellipsoid" and overlap >= LEAST_OF_BOTH:
            method = "network"
    sides = {"below": masks[method][:, :, 0], "above": masks[method][:, :, -1]}
    if cut := [side for side, plane in sides.items() if plane.any()]:
        reasons.append(f"the volume ends {' and '.join(cut)}: the lesion may continue there")
    volume = volume_mm3(masks[method], frame)
    return VolumeAnswer(
        mask=masks[method],
        method=method,
        reason="; ".join(reasons),
        masks={name: masks[name] for name in METHODS if name in masks},
        interval_mm3=volume_interval(volume, levels, ellipsoid, settings),
    )


def _support(levels: Levels, ellipsoid: Ellipsoid, settings: LevelsSettings) -> Support | None:
    """Return what says how well the levels of a slice's mask are the lesion's."""
    ratio = levels_ratios(levels, ellipsoid, settings)
    if ratio is None:
        return None
    x, y, z = levels.region.axes()
    columns, rows = np.rint(x).astype(int), np.rint(y).astype(int)
    smooth = ndimage.gaussian_filter(
        ratio, [settings.ratio_blur_mm / step for step in levels.region.sizes_mm()[:2]] + [0]
    )

    def support(place: int, plane: np.ndarray) -> float:
        if not z[0] <= place <= z[-1]:
            return -settings.clip
        inside = plane[np.ix_(rows, columns)].T
        return float(smooth[:, :, place - z[0]][inside].mean()) if inside.any() else -settings.clip

    return support
