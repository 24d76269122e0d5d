"""Samples as nnU-Net's cases: one PNG file per image and target, named by the sample's id."""

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote, unquote

import numpy as np
from PIL import Image

from weaklesion.errors import DataError

DATASET = "Dataset001_patches"
ENDING = ".png"


def case_of(sample_id: str) -> str:
    """Return the name of a sample's case: its id, with the characters that no file name takes.

    >>> case_of("patient 1/slice.2"), id_of("patient%201%2Fslice%2E2")
    ('patient%201%2Fslice%2E2', 'patient 1/slice.2')
    """
    return quote(sample_id, safe="").replace(".", "%2E")


def id_of(case: str) -> str:
    """Return the id of the sample that a case is."""
    return unquote(case)


def is_grey(images: np.ndarray) -> bool:
    """Return whether the three channels of all images, (N, H, W, 3), are the same."""
    return all(bool((image == image[..., :1]).all()) for image in images)


def write_images(folder: Path, ids: Sequence[str], images: np.ndarray, *, grey: bool) -> None:
    """Write images as cases.

    Args:
        folder: written: one file per image.
        ids: id of each image.
        images: (N, H, W, 3) uint8, in the order of `ids`.
        grey: whether to write one channel, which all three must be.

    Raises:
        DataError: if `grey`, and the channels of an image differ.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for sample_id, image in zip(ids, images, strict=True):
        if grey and not is_grey(image[None]):
            raise DataError(
                f"sample {sample_id}: has colours, and the images that the network was trained on"
                " are grey. Train it again on the present patches."
            )
        pixels = np.ascontiguousarray(image[..., 0] if grey else image)
        Image.fromarray(pixels).save(folder / f"{case_of(sample_id)}_0000{ENDING}")


def write_masks(folder: Path, ids: Sequence[str], masks: np.ndarray) -> None:
    """Write masks, (N, H, W) of 0 and 1, as the labels of cases.

    Raises:
        DataError: if a mask has other values.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for sample_id, mask in zip(ids, masks, strict=True):
        if mask.max() > 1:
            raise DataError(
                f"sample {sample_id}: its target has values up to {mask.max()}, and nnU-Net learns"
                " masks of 0 and 1. Train it on a target without soft edges."
            )
        Image.fromarray(mask.astype(np.uint8)).save(folder / f"{case_of(sample_id)}{ENDING}")


def read_masks(folder: Path, ids: Sequence[str], shape: tuple[int, int]) -> np.ndarray:
    """Return the masks of some cases, (N, H, W) uint8 of 0 and 1, in the order of `ids`.

    Raises:
        DataError: if a case has no mask, there is a mask of another case, or one has another shape.
    """
    found = {id_of(path.stem): path for path in folder.glob(f"*{ENDING}")}
    for sample_id in ids:
        if sample_id not in found:
            raise DataError(f"{folder}: nnU-Net predicted no mask of {sample_id}. Run again.")
    for sample_id in found.keys() - set(ids):
        raise DataError(f"{folder}: {found[sample_id].name} belongs to no test sample. Run again.")
    masks = np.zeros((len(ids), *shape), np.uint8)
    for row, sample_id in enumerate(ids):
        mask = np.asarray(Image.open(found[sample_id]))
        if mask.shape != shape or mask.max(initial=0) > 1:
            raise DataError(
                f"{found[sample_id]}: is {mask.shape} with values up to {mask.max(initial=0)}, not"
                f" a mask of {shape}. Run again."
            )
        masks[row] = mask
    return masks
