"""The dense masks of users' marks: PNG and other pictures, and slices of NIfTI."""

from functools import partial
from pathlib import Path

import numpy as np

from weaklesion.marks.image_files import damaged, existing_file, no_image, refuse_other_scans
from weaklesion.marks.images import Picture, open_slices
from weaklesion.marks.table import BadMarkError, Mark
from weaklesion.marks.volumes import is_volume, slice_index
from weaklesion.support.pictures import open_picture
from weaklesion.support.reading import refusing

SAME_LABEL = 1e-3  # difference up to which the level of a mask is a whole number


def read_mask(mark: Mark, picture: Picture) -> np.ndarray:
    """Read the dense mask of a mark, as large as its picture: (H, W) bool.

    The file is of the same kind as the image: a grey or palette image, or a NIfTI image on the
    volume's voxel grid. It has two levels (NIfTI: in the mark's slice), one of which is 0.

    Raises:
        BadMarkError: if the row names no mask, or the mask cannot be read or does not fit the
            picture.
    """
    if mark.mask is None:
        raise BadMarkError("the row names no mask")
    path, stamp = existing_file(mark.mask, "mask")
    if is_volume(path) != (picture.volume is not None):
        raise BadMarkError(f"one of {path.name} and its image is a volume, the other is not")
    if picture.volume is None:
        refuse_other_scans(path)
        mask = _read_levels_of_mask(path)
    else:
        volume = open_slices(path, stamp)
        image = volume.image
        same = image.shape == picture.volume.shape
        if not same or not np.allclose(image.affine, picture.volume.affine, atol=1e-3):
            raise BadMarkError(
                f"{path.name} is not on the voxel grid of its image (shape or affine differs)"
            )
        with refusing(lambda cause: damaged(path, cause)):
            part = np.asarray(volume.voxels[slice_index(image.shape, mark.slice)])
        mask = _two_levels(part.T, path)
    if mask.shape != picture.levels.shape[:2]:
        sizes = [f"{shape[1]}x{shape[0]}" for shape in (mask.shape, picture.levels.shape)]
        raise BadMarkError(f"{path.name} has {sizes[0]} px, but its image {sizes[1]}")
    return mask


def _read_levels_of_mask(path: Path) -> np.ndarray:
    with open_picture(path, partial(no_image, path)) as image:
        if "A" in image.getbands() or "transparency" in image.info:
            raise BadMarkError(f"{path.name} is transparent: save the mask as a grey image")
        grey = np.asarray(image if image.mode.startswith("I") else image.convert("L"))
    return _two_levels(grey, path)


def _two_levels(levels: np.ndarray, path: Path) -> np.ndarray:
    """Return where a mask is not 0. Levels such as 0.9999999 are those of a library's scaling."""
    if levels.dtype.kind == "f":
        whole = np.rint(levels)
        levels = np.where(np.abs(levels - whole) <= SAME_LABEL, whole, levels)
    values = np.unique(levels).tolist()
    if len(values) > 2 or values[0] != 0:
        shown = ", ".join(f"{value:g}" for value in values[:4])
        shown += ", ..." if len(values) > 4 else ""
        raise BadMarkError(f"{path.name} has the levels {shown}: a mask has 0 and one other level")
    return levels != 0
