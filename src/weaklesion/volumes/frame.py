"""The frame of a volume's slices in mm, whatever the volume's orientation in the patient.

Its first axis is that of the slice's x, its second lies in the slice too, and its third is
perpendicular to the slice. Rotations and flips of the affine therefore vanish; what remains of it
is an upper triangular matrix: the voxel's sizes, and the shear of a tilted gantry. Voxel indices
are (x, y, z), as NIfTI has them.
"""

from typing import Any

import numpy as np

from weaklesion.marks.table import LARGEST_MM, SMALLEST_MM, BadMarkError
from weaklesion.marks.volumes import MM_OF, spacing_of

LEAST_ANGLE = 0.5  # least sine of the angle between the third axis and the slice


def slice_frame(affine: np.ndarray, mm: float = 1.0) -> np.ndarray:
    """Return the matrix that takes a step in voxels (x, y, z) to mm in the frame of the slice.

    Args:
        affine: (3, 3) or (4, 4) affine of the volume.
        mm: length of the affine's unit, mm.

    Returns:
        (3, 3) upper triangular; the first two elements of the diagonal are positive, and the third
        is negative where the slices run against the right-handed perpendicular.

    Raises:
        ValueError: if the affine is not invertible.

    >>> slice_frame(np.diag([-0.5, 0.5, 3.0])).tolist()
    [[0.5, 0.0, 0.0], [0.0, 0.5, 0.0], [0.0, 0.0, -3.0]]
    """
    linear = np.asarray(affine, dtype=float)[:3, :3] * mm
    if not np.isfinite(linear).all() or abs(np.linalg.det(linear)) < 1e-12:
        raise ValueError("affine: is not invertible")
    triangular = np.linalg.qr(linear).R
    signs = np.sign(np.diag(triangular))
    signs[2] = np.sign(triangular[2, 2]) * np.sign(np.linalg.det(linear))
    return np.asarray(np.triu(signs[:, None] * triangular)) + 0.0


def frame_of(image: Any) -> np.ndarray:
    """Return the frame of a NIfTI image's slices, see `slice_frame`.

    Raises:
        BadMarkError: if the image has no geometry, one slice, or absurd distances of slices.
    """
    if len(image.shape) < 3 or image.shape[2] < 2:
        raise BadMarkError("the image has one slice: there is no volume in it")
    if spacing_of(image) is None:
        raise BadMarkError(
            "the spacing of the image is unknown, so the distance of its slices is: write its"
            " affine (sform or qform)"
        )
    frame = slice_frame(image.affine, MM_OF[image.header.get_xyzt_units()[0]])
    distance, shift = abs(frame[2, 2]), float(np.hypot(*frame[:2, 2]))
    if not SMALLEST_MM <= distance <= LARGEST_MM or distance < LEAST_ANGLE * shift:
        raise BadMarkError(f"slices are {distance:g} mm apart and shifted by {shift:g} mm")
    return frame


def voxel_mm3(frame: np.ndarray) -> float:
    """Return the volume of a voxel, mm3.

    >>> voxel_mm3(np.diag([0.5, 0.5, -4.0]))
    1.0
    """
    return float(abs(np.prod(np.diag(frame))))
