"""Parts of the phantoms: lesions with irregular outlines, uneven backgrounds, and files."""

import csv
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from weaklesion.data.manifest import MANIFEST_COLUMNS
from weaklesion.support.files import file_digest, written_whole

ZIP_DATE = (2018, 8, 1, 0, 0, 0)
ORDERS = np.arange(2, 8)


def draw_harmonics(rng: np.random.Generator, roughness: float = 0.16) -> np.ndarray:
    """Draw the (6, 2) cosine and sine amplitudes of an outline, orders 2 to 7."""
    return rng.normal(0, roughness, (len(ORDERS), 2)) / (ORDERS[:, None] - 0.5)


def lesion_depth(
    shape_hw: tuple[int, int],
    center_xy: tuple[float, float],
    radius_px: float,
    elongation: float,
    turn: float,
    harmonics: np.ndarray,
) -> np.ndarray:
    """Return (H, W) float32: above 0 inside an irregular lesion, in units of its radius.

    Args:
        shape_hw: height and width of the image, px.
        center_xy: centre, px.
        radius_px: half of the major axis, px.
        elongation: minor over major axis.
        turn: direction of the major axis, radians.
        harmonics: amplitudes as of `draw_harmonics`.
    """
    y, x = np.mgrid[: shape_hw[0], : shape_hw[1]].astype(np.float32)
    x, y = x - center_xy[0], y - center_xy[1]
    u = (x * np.cos(turn) + y * np.sin(turn)) / radius_px
    v = (-x * np.sin(turn) + y * np.cos(turn)) / (radius_px * elongation)
    distance = np.hypot(u, v)
    direction = np.where(distance > 0, u + 1j * v, 1) / np.where(distance > 0, distance, 1)
    series = np.zeros(shape_hw, dtype=np.complex64)  # of exp(i order angle), by Horner's rule
    for cosine, sine in harmonics[::-1]:
        series = (series + np.complex64(cosine - 1j * sine)) * direction
    outline = 1 + (series * direction).real  # the first order is 2
    return np.maximum(outline, 0.3) - distance


def smooth_noise(rng: np.random.Generator, shape_hw: tuple[int, int], cells: int) -> np.ndarray:
    """Return (H, W) float32 noise of unit deviation that varies over 1 / cells of the image."""
    grid = rng.normal(0, 1, (cells, cells)).astype(np.float32)
    return cv2.resize(grid, shape_hw[::-1], interpolation=cv2.INTER_CUBIC)


def write_zip(path: Path, members: dict[str, bytes]) -> None:
    """Write an archive whose bytes depend on its members only; images are not compressed again."""
    with (
        written_whole(path) as temporary,
        zipfile.ZipFile(temporary, "w", compresslevel=1) as bundle,
    ):
        for name, content in members.items():
            info = zipfile.ZipInfo(name, ZIP_DATE)
            compressed = name.endswith((".png", ".jpg", ".gz"))
            info.compress_type = zipfile.ZIP_STORED if compressed else zipfile.ZIP_DEFLATED
            bundle.writestr(info, content)


def write_csv(path: Path, header: list[str], rows: list[list[Any]]) -> None:
    """Write a table."""
    with (
        written_whole(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as stream,
    ):
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def write_manifest_of(folder: Path, names: tuple[str, ...]) -> None:
    """Write `manifest.csv` of some files of a folder."""
    rows: list[list[Any]] = [
        [
            name,
            name,
            (folder / name).stat().st_size,
            file_digest(folder / name, "md5"),
            file_digest(folder / name, "sha256"),
        ]
        for name in names
    ]
    write_csv(folder / "manifest.csv", list(MANIFEST_COLUMNS), rows)
