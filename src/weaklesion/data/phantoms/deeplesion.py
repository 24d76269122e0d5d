"""A phantom of DeepLesion: 16-bit PNG slices in zips, and DL_info.csv.

The files have the pitfalls of the real ones: marks clicked in either order, missing neighbour
slices, slice intervals of 1, 2 and 5 mm, several lesions on one slice, one image that is not 512 px
wide, and a lesion at the image's border.
"""

import logging
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from weaklesion.data.phantoms import FILES
from weaklesion.data.phantoms.shapes import (
    draw_harmonics,
    lesion_depth,
    smooth_noise,
    write_csv,
    write_manifest_of,
    write_zip,
)
from weaklesion.hounsfield import PNG_OFFSET
from weaklesion.support.progress import progress

logger = logging.getLogger(__name__)

LESIONS_PER_SLICE = 3
INTERVALS_MM = (1.0, 5.0, 2.0)
PATCH_PX = 140  # region in which a lesion is drawn
KEY_SLICE = 20
SPLIT_CODES = (1, 1, 1, 1, 1, 1, 2, 2, 3, 3)  # of ten patients
HEADER = [
    "File_name", "Patient_index", "Study_index", "Series_ID", "Key_slice_index",
    "Measurement_coordinates", "Bounding_boxes", "Lesion_diameters_Pixel_",
    "Normalized_lesion_location", "Coarse_lesion_type", "Possibly_noisy", "Slice_range",
    "Spacing_mm_px_", "Image_size", "DICOM_windows", "Patient_gender", "Patient_age",
    "Train_Val_Test",
]  # fmt: skip


def make_phantom(*, folder: str | Path, num_series: int, seed: int) -> None:
    """Write the archives, DL_info.csv and `manifest.csv` of a phantom to `folder`.

    Args:
        folder: created if needed.
        num_series: number of series, one per patient, with three lesions each.
        seed: determines every byte.

    Raises:
        ValueError: if there are fewer than ten series.
    """
    if num_series < 10:
        raise ValueError(f"num_series: at least 10 are needed, not {num_series}")
    rng = np.random.default_rng(seed)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    parts: list[dict[str, bytes]] = [{}, {}]
    rows: list[list[Any]] = []
    for number in progress(range(num_series), total=num_series, what="phantom series"):
        side_px = 768 if number == 3 else 512
        interval_mm = INTERVALS_MM[number % len(INTERVALS_MM)]
        series = f"{number + 1:06d}_01_01"
        lesions = [draw_lesion(rng, position, number) for position in range(LESIONS_PER_SLICE)]
        reach = round(max(2.0, interval_mm) / interval_mm)
        indices = [KEY_SLICE - reach, KEY_SLICE, KEY_SLICE + reach]
        if number % 7 == 5:
            indices = indices[:2]  # one neighbour is missing
        for index in indices:
            image = draw_slice(rng, lesions, (index - KEY_SLICE) * interval_mm, side_px)
            name = f"Images_png/{series}/{index:03d}.png"
            parts[number * 2 // num_series][name] = cv2.imencode(".png", image)[1].tobytes()
        spacing = float(rng.uniform(0.6, 0.9)) * 512 / side_px
        code = SPLIT_CODES[number % len(SPLIT_CODES)]
        rows += [
            _row(lesion, rng, series, number + 1, spacing, interval_mm, side_px, code)
            for lesion in lesions
        ]
    for name, members in zip(FILES["deeplesion"], parts, strict=False):
        write_zip(folder / name, members)
    write_csv(folder / "DL_info.csv", HEADER, rows)
    write_manifest_of(folder, FILES["deeplesion"])
    logger.info("%d phantom lesions of %d series in %s", len(rows), num_series, folder)


def draw_lesion(rng: np.random.Generator, position: int, number: int) -> dict[str, Any]:
    """Draw one lesion; the three lesions of a slice do not overlap."""
    center = np.array([(150, 180), (350, 190), (256, 350)][position]) + rng.uniform(-30, 30, 2)
    if number == 4 and position == 0:
        center = np.array([38.0, 256.0])  # its patch extends beyond the image
    return {
        "center": center,  # in a slice of 512 px
        "radius": rng.uniform(8, 26),
        "elongation": rng.uniform(0.55, 0.95),
        "turn": rng.uniform(0, np.pi),
        "harmonics": draw_harmonics(rng),
        "contrast": rng.choice([-1.0, 1.0]) * rng.uniform(45, 80),
        "reach_mm": rng.uniform(4, 12),
    }


def draw_slice(
    rng: np.random.Generator, lesions: list[dict[str, Any]], offset_mm: float, side_px: int
) -> np.ndarray:
    """Draw (side, side) uint16 HU + 32768, some mm away from the key slice."""
    image = 50 + 12 * smooth_noise(rng, (512, 512), 16)
    image += cv2.GaussianBlur(rng.normal(0, 30, (512, 512)).astype(np.float32), (0, 0), 0.8)
    for lesion in lesions:
        height = 1 - (offset_mm / lesion["reach_mm"]) ** 2
        if height > 0.05:
            corner = (lesion["center"] - PATCH_PX // 2).round().astype(int)
            x0, y0 = np.clip(corner, 0, 512 - PATCH_PX)
            depth = _depth(lesion, (int(x0), int(y0)), np.sqrt(height))
            image[y0 : y0 + PATCH_PX, x0 : x0 + PATCH_PX] += lesion["contrast"] / (
                1 + np.exp(-depth / 0.12)
            )
    if side_px != 512:
        image = cv2.resize(image, (side_px, side_px), interpolation=cv2.INTER_LINEAR)
    return (image.round() + PNG_OFFSET).astype(np.uint16)


def _depth(lesion: dict[str, Any], origin: tuple[int, int], scale: float = 1.0) -> np.ndarray:
    center = (lesion["center"][0] - origin[0], lesion["center"][1] - origin[1])
    return lesion_depth(
        (PATCH_PX, PATCH_PX),
        center,
        lesion["radius"] * scale,
        lesion["elongation"],
        lesion["turn"],
        lesion["harmonics"],
    )


def measure(lesion: dict[str, Any]) -> np.ndarray:
    """Return the (4, 2) mark: longest diameter, and the longest one across it, px of 512."""
    origin = (lesion["center"] - PATCH_PX // 2).round().astype(int)
    inside = _depth(lesion, (int(origin[0]), int(origin[1]))) > 0
    contours, _ = cv2.findContours(
        inside.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    points = max(contours, key=len)[:, 0].astype(float)
    apart = np.linalg.norm(points[:, None] - points[None], axis=2)
    i, j = np.unravel_index(apart.argmax(), apart.shape)
    along = (points[j] - points[i]) / apart[i, j]
    between = points[None] - points[:, None]
    lengths = np.linalg.norm(between, axis=2)
    slanted = np.abs(between @ along) > 0.1 * np.maximum(lengths, 1e-9)
    k, m = np.unravel_index(np.where(slanted, 0, lengths).argmax(), lengths.shape)
    return points[[i, j, k, m]] + origin


def _row(
    lesion: dict[str, Any],
    rng: np.random.Generator,
    series: str,
    patient: int,
    spacing: float,
    interval_mm: float,
    side_px: int,
    code: int,
) -> list[Any]:
    scale = side_px / 512
    points = (measure(lesion) + 0.5) * scale - 0.5
    for first in (0, 2):
        if rng.random() < 0.5:
            points[[first, first + 1]] = points[[first + 1, first]]
    low, high = points.min(axis=0) - 5, points.max(axis=0) + 5
    long_px, short_px = (np.linalg.norm(points[a + 1] - points[a]) for a in (0, 2))

    def text(values: Any) -> str:
        return ", ".join(f"{value:g}" for value in np.ravel(values))

    return [
        f"{series}_{KEY_SLICE:03d}.png", patient, 1, 1, KEY_SLICE, text(points + 1),
        text([low + 1, high + 1]), text([long_px, short_px]), "0.5, 0.5, 0.5", -1, 0,
        f"{KEY_SLICE - 3}, {KEY_SLICE + 3}", text([spacing, spacing, interval_mm]),
        text([side_px, side_px]), "-175, 275", "F", 50, code,
    ]  # fmt: skip
