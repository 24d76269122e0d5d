"""Volumes with lesions of known shape, for the tests of `weaklesion.volumes`."""

import nibabel
import numpy as np
import pandas as pd

from weaklesion.recist import measure_recist
from weaklesion.volumes.ellipsoid import ellipsoid_of_mark
from weaklesion.volumes.frame import slice_frame

SIZES = (0.8, 0.8, 2.0)
SHAPE = (96, 90, 40)
INSIDE, AROUND, NOISE = 80.0, 20.0, 12.0


def lump(
    shape=SHAPE, sizes=SIZES, center=(46.0, 44.0, 20.0), axes_mm=(30.0, 24.0, 28.0), waves=0.0
):
    """A lesion, (x, y, z) bool: an ellipsoid, with `waves` of its radius around the z axis."""
    x, y, z = (
        ((np.arange(n) - c) * s / (a / 2)).reshape([-1 if i == axis else 1 for i in range(3)])
        for axis, (n, c, s, a) in enumerate(zip(shape, center, sizes, axes_mm, strict=True))
    )
    return np.sqrt(x**2 + y**2 + z**2) <= 1 + waves * np.cos(3 * np.arctan2(y, x))


def write_cases(folder, mask, images, label=1):
    """Write a table of cases of one mask, five to train and validate on and the rest to test.

    Args:
        folder: for the table and the mask.
        mask: (x, y, z), whose voxels of `label` are the lesion.
        images: (x, y, z) each, by path.
    """
    affine = np.diag([*SIZES, 1.0])
    nibabel.save(nibabel.Nifti1Image(mask.astype(np.uint8), affine), folder / "mask.nii")
    rows = []
    for number, (name, image) in enumerate(images.items()):
        (folder / name).parent.mkdir(exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(image, affine), folder / name)
        role = "chosen" if number < 5 else "tested"
        rows.append({"id": f"L{number}", "dataset": "d", "role": role, "image": name,
                     "mask": "mask.nii", "label": label})  # fmt: skip
    pd.DataFrame(rows).to_csv(folder / "cases.csv", index=False)
    return folder


def image_of(mask, seed=0):
    rng = np.random.default_rng(seed)
    return (np.where(mask, INSIDE, AROUND) + rng.normal(0, NOISE, mask.shape)).astype(np.float32)


def mark_of_volume(mask, sizes=SIZES):
    """The RECIST mark of the slice with the longest diameter: (4, 2) px, and the slice."""
    marks = {
        index: measure_recist(mask[:, :, index].T, (sizes[1], sizes[0]))
        for index in np.flatnonzero(mask.any(axis=(0, 1))).tolist()
    }
    index = max(marks, key=lambda each: marks[each].long_mm)
    return marks[index].points, index


def given(mask, sizes=SIZES, affine=None):
    """The frame, and the ellipsoid of a lesion's own mark."""
    frame = slice_frame(np.diag(sizes) if affine is None else affine)
    points, index = mark_of_volume(mask, np.abs(np.diag(frame)))
    return frame, ellipsoid_of_mark(points, index, frame)


def dice(first, second):
    return 2 * (first & second).sum() / (first.sum() + second.sum())
