"""CT series through an ellipsoid of known volume, for the tests of volumes from DICOM."""

import math
from dataclasses import dataclass

import numpy as np

from weaklesion.dicom.phantom import (
    INTERCEPT,
    SLOPE,
    PhantomMark,
    bidirectional_report,
    empty_image,
    save,
    uid_for,
)
from weaklesion.recist import measure_recist

SPACING_RC = (0.7, 0.7)
STEP_MM = 3.0
AXES_MM = (42.0, 33.0, 39.0)  # along rows, along columns, across slices
VOLUME_MM3 = math.pi / 6 * math.prod(AXES_MM)
SHAPE_HW = (104, 120)
NUM_SLICES = 25
MARKED = 12
INSIDE_HU, AROUND_HU, NOISE_HU = 120, -60, 12
CORNER_MM = np.array([-31.0, 44.0, 210.0])


def directions():
    """Rows, columns and normal of slices that are oblique to all axes of the patient."""
    a, b, c = np.deg2rad([25.0, -18.0, 33.0])
    turn = (
        np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
        @ np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
        @ np.array([[1, 0, 0], [0, np.cos(c), -np.sin(c)], [0, np.sin(c), np.cos(c)]])
    )
    return turn[:, 0], turn[:, 1], turn[:, 2]


@dataclass
class Solid:
    """A series through the ellipsoid.

    `images` and `masks`, (H, W) bool, are ordered along the normal, whose offsets in mm from the
    marked slice are `along`.
    """

    images: list
    masks: list
    along: np.ndarray
    ends: np.ndarray
    marked: int

    def save(self, folder, rng=None):
        """Write images and report under names that say nothing of their order."""
        order = (rng or np.random.default_rng(3)).permutation(len(self.images))
        for name, number in enumerate(order):
            save(self.images[number], folder / f"{name % 3}" / f"I{name:04d}")
        mark = PhantomMark(self.image.SOPInstanceUID, self.ends, self.mask, "1.2.3.4", "SR")
        save(bidirectional_report([mark], [self.image]), folder / "report")
        return folder

    @property
    def image(self):
        return self.images[self.marked]

    @property
    def mask(self):
        return self.masks[self.marked]

    def mask_of(self, uid):
        return self.masks[[str(image.SOPInstanceUID) for image in self.images].index(uid)]


def solid_series(along=None, shift_mm=0.0, marked=MARKED, series=0, seed=0):
    """Return a series whose slices lie at `along` mm on the normal, shifted along the columns.

    A tilted gantry shifts each slice by `shift_mm` against the one before.
    """
    along = (np.arange(NUM_SLICES) - marked) * STEP_MM if along is None else np.asarray(along)
    rng = np.random.default_rng(seed)
    rows, columns, normal = directions()
    yy, xx = np.mgrid[: SHAPE_HW[0], : SHAPE_HW[1]]
    images, masks = [], []
    for index, height in enumerate(along):
        shift = (index - marked) * shift_mm
        x = (xx - SHAPE_HW[1] / 2) * SPACING_RC[1]
        y = (yy - SHAPE_HW[0] / 2) * SPACING_RC[0] + shift
        radius = (x / AXES_MM[0]) ** 2 + (y / AXES_MM[1]) ** 2 + (height / AXES_MM[2]) ** 2
        mask = radius <= 0.25
        hounsfield = np.where(mask, INSIDE_HU, AROUND_HU) + rng.normal(0, NOISE_HU, SHAPE_HW)
        image = empty_image(series, 0, index, np.rint((hounsfield - INTERCEPT) / SLOPE)
                            .astype(np.uint16))  # fmt: skip
        image.SeriesInstanceUID = uid_for("solid", series)
        image.PixelSpacing, image.SliceThickness = list(SPACING_RC), 5.0  # overlapping slices
        image.ImageOrientationPatient = [float(f"{v:.10f}") for v in (*rows, *columns)]
        place = CORNER_MM + height * normal + shift * columns
        image.ImagePositionPatient = [float(f"{v:.8f}") for v in place]
        image.RescaleSlope, image.RescaleIntercept, image.RescaleType = SLOPE, INTERCEPT, "HU"
        images.append(image)
        masks.append(mask)
    ends = measure_recist(masks[marked], SPACING_RC).points
    return Solid(images, masks, along, ends, marked)
