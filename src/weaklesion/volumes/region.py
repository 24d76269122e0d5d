"""The part of a volume that one mark needs, read slice by slice and shrunk where it is fine."""

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from weaklesion.marks.table import BadMarkError
from weaklesion.support.reading import refusing
from weaklesion.volumes.ellipsoid import Box, Ellipsoid, box_around

ACROSS = 40  # px of a region along the mean diameter of its mark; finer slices are shrunk


@dataclass(frozen=True)
class Region:
    """The surroundings of a mark.

    Attributes:
        values: (X, Y, Z) float32, the slices shrunk in x and y.
        box: the voxels that were read.
        shape: shape of the whole volume, (x, y, z).
        frame: (3, 3) mm per voxel of the volume (`weaklesion.volumes.frame`).
        every: distance of the region's slices, in slices of the volume.
    """

    values: np.ndarray
    box: Box
    shape: tuple[int, int, int]
    frame: np.ndarray
    every: int = 1

    @property
    def scale(self) -> tuple[float, float]:
        """Voxels of the volume per px of the region, along x and y."""
        width, height = (self.box[axis].stop - self.box[axis].start for axis in (0, 1))
        return width / self.values.shape[0], height / self.values.shape[1]

    def axes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the coordinates of the region's px in voxels of the volume, along x, y and z."""
        x, y = (
            self.box[axis].start + (np.arange(self.values.shape[axis]) + 0.5) * self.scale[axis]
            - 0.5
            for axis in (0, 1)
        )  # fmt: skip
        return x, y, np.arange(self.box[2].start, self.box[2].stop, self.every)

    def place_of(self, index: int) -> int:
        """Return where a slice of the volume is in the region."""
        return (index - self.box[2].start) // self.every

    def sizes_mm(self) -> tuple[float, float, float]:
        """Return the distances of the region's px along x, y and z, mm."""
        mm = np.abs(np.diag(self.frame))
        return float(mm[0] * self.scale[0]), float(mm[1] * self.scale[1]), float(mm[2] * self.every)

    def whole(self, scores: np.ndarray) -> np.ndarray:
        """Return where scores of the region are above 0, on the volume's own voxels in the box.

        Args:
            scores: (X, Y, Z) float32 of the region.

        Returns:
            bool of the box's shape.
        """
        width, height = (self.box[axis].stop - self.box[axis].start for axis in (0, 1))
        if scores.shape[:2] == (width, height):
            return scores > 0
        mask = np.zeros((width, height, scores.shape[2]), dtype=bool)
        for index in np.flatnonzero((scores > 0).any(axis=(0, 1))).tolist():
            plane = np.ascontiguousarray(scores[:, :, index])
            mask[:, :, index] = cv2.resize(plane, (height, width)) > 0
        return mask


def every_slice(ellipsoid: Ellipsoid, frame: np.ndarray) -> int:
    """Return how many slices apart a lesion need be looked at: at most `ACROSS` along its diameter.

    Args:
        ellipsoid: of the mark.
        frame: (3, 3) mm per voxel.

    >>> from weaklesion.ellipse import Ellipse
    >>> ball = Ellipsoid(Ellipse(0.0, 0.0, 80.0, 80.0, 0.0), 80.0, 5)
    >>> [every_slice(ball, np.diag([1.0, 1.0, thick])) for thick in (5.0, 1.5, 1.0, 0.5)]
    [1, 2, 2, 4]
    """
    return math.ceil(ellipsoid.mean_mm / ACROSS / abs(float(frame[2, 2])))


def read_region(
    voxels: Any,
    shape: tuple[int, int, int],
    frame: np.ndarray,
    ellipsoid: Ellipsoid,
    *,
    reach: float,
    across_reach: float,
) -> Region:
    """Read the surroundings of a mark, one slice at a time, in whole lines along x.

    Args:
        voxels: what is sliced: an array, or the `dataobj` of a nibabel image. It has three
            dimensions, or more of length 1.
        shape: of the volume, (x, y, z).
        frame: (3, 3) mm per voxel.
        ellipsoid: of the mark.
        reach: factor by which the region exceeds the ellipsoid in the slice.
        across_reach: factor across slices.

    Raises:
        BadMarkError: if the file is damaged.
    """
    box = box_around(ellipsoid, frame, shape, reach=reach, across_reach=across_reach)
    width, height = (part.stop - part.start for part in box[:2])
    mm = np.abs(np.diag(frame))
    factors = [max(1.0, ellipsoid.mean_mm / step / ACROSS) for step in mm[:2]]
    size = max(1, round(width / factors[0])), max(1, round(height / factors[1]))
    values = np.empty((*size, box[2].stop - box[2].start), dtype=np.float32)
    rest = (0,) * (len(getattr(voxels, "shape", shape)) - 3)
    for place, index in enumerate(range(box[2].start, box[2].stop)):
        with refusing(lambda cause: BadMarkError(f"the volume is damaged ({cause})")):
            # whole lines: one piece of the file instead of one piece per line
            lines = np.asarray(voxels[(slice(None), box[1], index, *rest)])
        plane = lines[box[0]].astype(np.float32)
        if size != plane.shape:
            values[:, :, place] = cv2.resize(plane, size[::-1], interpolation=cv2.INTER_AREA)
        else:
            values[:, :, place] = plane
    return Region(values, box, shape, frame)
