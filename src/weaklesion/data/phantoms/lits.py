"""A phantom of LiTS: CT volumes with livers and tumours, and their segmentations, as NIfTI.

Tumours are lobulated, darker or brighter than the liver, in noise as large as their contrast. The
files have the pitfalls of the real ones: different integer and float types, anisotropic spacing, an
identity affine, `.nii` and `.nii.gz`, a deep folder in the archive, and a volume without tumour.
"""

import gzip
import logging
from pathlib import Path
from typing import Any

import cv2
import nibabel
import numpy as np

from weaklesion.data.phantoms import FILES
from weaklesion.data.phantoms.shapes import (
    draw_harmonics,
    lesion_depth,
    smooth_noise,
    write_manifest_of,
    write_zip,
)
from weaklesion.support.progress import progress

logger = logging.getLogger(__name__)

FOLDER = "media/nas/batch"  # the official archives have such a deep folder
TUMOURS = 3
TYPES = (np.int16, np.float32, np.int32)


def make_phantom(
    *,
    folder: str | Path,
    num_volumes: int,
    num_slices: int,
    side_px: int,
    seed: int,
    empty_slices: int = 0,
) -> None:
    """Write the archive and `manifest.csv` of a phantom to `folder`.

    Args:
        folder: created if needed.
        num_volumes: number of volumes, the last of which has no tumour.
        num_slices: axial slices of each.
        side_px: height and width of a slice, px.
        seed: determines every byte.
        empty_slices: slices without liver at either end of a volume.

    Raises:
        ValueError: if there are fewer than four volumes or slices, or they are below 64 px.
    """
    if num_volumes < 4 or num_slices < 4 or side_px < 64:
        raise ValueError(
            "num_volumes, num_slices, side_px: at least 4, 4 and 64 are needed, not "
            f"{num_volumes}, {num_slices} and {side_px}"
        )
    rng = np.random.default_rng(seed)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    members = {"__MACOSX/media/._batch": b"\0\5\26\7"}
    for number in progress(range(num_volumes), total=num_volumes, what="phantom volumes"):
        with_tumours = number != num_volumes - 1
        volume, labels = draw_volume(rng, num_slices, side_px, with_tumours, empty_slices)
        scale = float(rng.uniform(0.6, 0.9))
        affine = np.diag([scale, scale, float(rng.choice([1.0, 2.5, 5.0])), 1.0])
        if number == 1:
            affine = np.eye(4)
        suffix = ".nii.gz" if number == 2 else ".nii"
        data_type = TYPES[number % len(TYPES)]
        members[f"{FOLDER}/volume-{number}{suffix}"] = _nifti(
            volume.astype(data_type), affine, suffix
        )
        members[f"{FOLDER}/segmentation-{number}{suffix}"] = _nifti(labels, affine, suffix)
    write_zip(folder / FILES["lits"][0], members)
    write_manifest_of(folder, FILES["lits"])
    logger.info("%d phantom volumes of %d slices in %s", num_volumes, num_slices, folder)


def _draw_tumour(rng: np.random.Generator, num_slices: int, side_px: int) -> dict[str, Any]:
    """Draw position, shape and contrast of a tumour; lengths in px and slices."""
    distance, direction = rng.uniform(0, 0.20) * side_px, rng.uniform(0, 2 * np.pi)
    return {
        "center": (
            0.45 * side_px + distance * np.cos(direction),
            0.5 * side_px + distance * np.sin(direction),
        ),
        "radius": rng.uniform(0.05, 0.12) * side_px,
        "elongation": rng.uniform(0.55, 0.95),
        "turn": rng.uniform(0, np.pi),
        "harmonics": draw_harmonics(rng, 0.2),
        "contrast": rng.choice([-1.0, -1.0, 1.0]) * rng.uniform(35, 60),
        "middle": rng.uniform(0.2, 0.8) * num_slices,
        "reach": rng.uniform(0.25, 0.5) * num_slices,
    }


def draw_volume(
    rng: np.random.Generator,
    num_slices: int,
    side_px: int,
    with_tumours: bool,
    empty_slices: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw (X, Y, Z) float32 HU and (X, Y, Z) uint8 labels 0, 1 and 2."""
    shape = (side_px, side_px)
    liver_turn, liver_harmonics = rng.uniform(0, np.pi), draw_harmonics(rng, 0.08)
    liver_hu = rng.uniform(90, 130)
    tumours = [_draw_tumour(rng, num_slices, side_px) for _ in range(TUMOURS)]
    volume = np.empty((*shape, num_slices), dtype=np.float32)
    labels = np.zeros((*shape, num_slices), dtype=np.uint8)
    for z in range(num_slices):
        body = lesion_depth(
            shape, (side_px / 2, side_px / 2), 0.46 * side_px, 0.8, 0.0, np.zeros((6, 2))
        )
        swell = 1 - 0.3 * abs(2 * z / (num_slices - 1) - 1)
        liver = lesion_depth(
            shape,
            (0.45 * side_px, 0.5 * side_px),
            0.34 * side_px * swell,
            0.75,
            liver_turn,
            liver_harmonics,
        )
        if not empty_slices <= z < num_slices - empty_slices:
            liver = np.full_like(liver, -1.0)
        image = np.where(body > 0, 40.0, -1000.0).astype(np.float32)
        image += np.where(liver > 0, liver_hu - 40.0, 0.0) * (liver > 0)
        label = (liver > 0).astype(np.uint8)
        for tumour in tumours if with_tumours and (liver > 0).any() else []:
            height = 1 - ((z - tumour["middle"]) / tumour["reach"]) ** 2
            if height <= 0.05:
                continue
            depth = lesion_depth(
                shape,
                tumour["center"],
                tumour["radius"] * np.sqrt(height),
                tumour["elongation"],
                tumour["turn"],
                tumour["harmonics"],
            )
            image += tumour["contrast"] / (1 + np.exp(-depth / 0.12)) * (depth > -1)
            label[depth > 0] = 2
        texture = 6 * smooth_noise(rng, shape, 12)
        grain = cv2.GaussianBlur(rng.normal(0, 30, shape).astype(np.float32), (0, 0), 0.8)
        volume[..., z] = (image + texture + grain).T
        labels[..., z] = label.T
    return volume.round(), labels


def _nifti(data: np.ndarray, affine: np.ndarray, suffix: str) -> bytes:
    content = nibabel.Nifti1Image(data, affine).to_bytes()
    return gzip.compress(content, compresslevel=1, mtime=0) if suffix.endswith("gz") else content
