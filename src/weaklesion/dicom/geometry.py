"""Where the pixels of a frame are in the patient."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

SAME_DIRECTION = 1e-4  # difference of the cosines up to which frames are parallel
SAME_PLACE_MM = 0.01  # distance along the normal up to which two slices have one position
CORNER = 0.5  # SR and presentation states count from the first pixel's corner, we from its centre
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])


@dataclass(frozen=True)
class Frame:
    """Geometry and grey levels of one frame of an image object.

    Attributes:
        position: (x, y, z) of the first pixel's centre in the patient, mm, or None.
        orientation: direction of rows, then of columns, in the patient, 6 numbers, or None.
        spacing_rc: mm from one row to the next, and from one column to the next, or None.
        thickness: mm, or None.
        rescale: factor of stored values, and what is added to them; None if not both are stored.
        window: center and width of the first stored window, as the function LINEAR has them, or
            None.
        rescale_type: what rescaled values are, such as HU, or "".
    """

    position: tuple[float, ...] | None = None
    orientation: tuple[float, ...] | None = None
    spacing_rc: tuple[float, float] | None = None
    thickness: float | None = None
    rescale: tuple[float, float] | None = None
    window: tuple[float, float] | None = None
    rescale_type: str = ""

    @property
    def placed(self) -> bool:
        """Whether the place of every pixel in the patient is known."""
        return None not in (self.position, self.orientation, self.spacing_rc)

    @property
    def normal(self) -> np.ndarray:
        """Unit vector across the frame: the cross product of row and column direction.

        Raises:
            ValueError: if the directions are unknown.
        """
        if self.orientation is None:
            raise ValueError("the frame's directions in the patient are unknown")
        rows, columns = np.array(self.orientation, dtype=float).reshape(2, 3)
        normal = np.cross(rows, columns)
        return np.asarray(normal / np.linalg.norm(normal))

    def along_normal(self, frames: Iterable["Frame"]) -> np.ndarray:
        """Return where frames are along this one's normal, (n,) mm from the patient's origin.

        Args:
            frames: frames with a position, parallel to this one.

        Raises:
            ValueError: if this frame's directions are unknown.

        >>> slices = [Frame((0.0, 0.0, z), (1.0, 0, 0, 0, 1, 0)) for z in (5.0, 7.5)]
        >>> slices[0].along_normal(slices).tolist()
        [5.0, 7.5]
        """
        return np.array([frame.position for frame in frames], dtype=float) @ self.normal

    def is_parallel_to(self, other: "Frame") -> bool:
        """Return whether two frames have the same directions, which files round.

        >>> axial, rounded = Frame(orientation=(1, 0, 0, 0, 1, 0)), (1, 1e-6, 0, -1e-6, 1, 0)
        >>> axial.is_parallel_to(Frame(orientation=rounded)), axial.is_parallel_to(Frame())
        (True, False)
        """
        if self.orientation is None or other.orientation is None:
            return self.orientation == other.orientation
        apart = np.abs(np.subtract(self.orientation, other.orientation))
        return bool(apart.max() <= SAME_DIRECTION)

    def matrix(self) -> np.ndarray:
        """Return (4, 4) from column, row and slice index to mm in the patient (LPS).

        Raises:
            ValueError: if the frame is not placed.
        """
        if self.position is None or self.orientation is None or self.spacing_rc is None:
            raise ValueError("the frame's place in the patient is unknown")
        along_row, along_column = np.array(self.orientation).reshape(2, 3)
        matrix = np.eye(4)
        matrix[:3, 0] = along_row * self.spacing_rc[1]
        matrix[:3, 1] = along_column * self.spacing_rc[0]
        matrix[:3, 2] = np.cross(along_row, along_column) * (self.thickness or 1.0)
        matrix[:3, 3] = self.position
        return matrix

    def affine(self) -> np.ndarray:
        """Return the affine of a NIfTI of this frame alone, RAS.

        The affine is the identity, which means an unknown scale, if the spacing is unknown.
        """
        if self.placed:
            affine = self.matrix()
            affine[:3] = LPS_TO_RAS @ affine[:3]
            return affine
        if self.spacing_rc is None:
            return np.eye(4)
        return np.diag([-self.spacing_rc[1], -self.spacing_rc[0], self.thickness or 1.0, 1.0])

    def to_px(self, points_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Project points of the patient onto the frame.

        Args:
            points_mm: (n, 3) points of the patient (LPS).

        Returns:
            (n, 2) x and y in px from the first pixel's centre, and (n,) distances from the frame's
            plane in mm.

        >>> frame = Frame((10.0, 0.0, 5.0), (1.0, 0, 0, 0, 1, 0), (2.0, 0.5))
        >>> px, off = frame.to_px(np.array([[11.0, 4.0, 5.0]]))
        >>> px.tolist(), off.tolist()
        ([[2.0, 2.0]], [0.0])
        """
        matrix = self.matrix()
        matrix[:3, 2] /= np.linalg.norm(matrix[:3, 2])
        local = np.linalg.solve(matrix[:3, :3], (points_mm - matrix[:3, 3]).T).T
        return local[:, :2], np.abs(local[:, 2])
