"""The overlay sheet of a lesion in a volume: all its slices, and two cuts across them."""

from collections.abc import Sequence

import cv2
import numpy as np

COLUMNS = 8
TILE_PX = 128
MOST_SLICES = 62  # shown; of more, evenly chosen ones and the marked one
MARGIN = 0.3  # of the mask's extent, shown around it
MASK_RGB, FRAME_RGB, MARK_RGB, TEXT_RGB = (0, 220, 90), (255, 200, 0), (255, 255, 255), (255,) * 3


def shown_box(mask: np.ndarray, points: np.ndarray, index: int) -> tuple[slice, slice, slice]:
    """Return the part of a volume that a sheet shows.

    Args:
        mask: (x, y, z) bool, not empty.
        points: (4, 2) ends of the diameters, px.
        index: the marked slice.
    """
    box = []
    slices = np.flatnonzero(mask.any(axis=(0, 1)))
    flat = np.any(mask[:, :, slices[0] : slices[-1] + 1], axis=2)
    lines = [np.flatnonzero(flat.any(axis=1)), np.flatnonzero(flat.any(axis=0)), slices]
    for axis, line in enumerate(lines):
        filled = line.astype(float)
        own = points[:, axis] if axis < 2 else np.array([index], dtype=float)
        low, high = min(filled.min(), own.min()), max(filled.max(), own.max())
        margin = 1 if axis == 2 else max(4.0, MARGIN * (high - low))
        box.append(slice(max(0, int(low - margin)), min(mask.shape[axis], int(high + margin) + 1)))
    return box[0], box[1], box[2]


def draw_sheet(
    grey: np.ndarray,
    mask: np.ndarray,
    points: np.ndarray,
    place: int,
    first: int,
    sizes_mm: Sequence[float],
) -> np.ndarray:
    """Draw the slices of a lesion with its mask, and a coronal and a sagittal cut.

    The marked slice is framed and shows the diameters. The cuts lead through the middle of the
    mark, at their size in mm. Each slice has its number.

    Args:
        grey: (X, Y, Z) uint8, the part of the volume that is shown.
        mask: (X, Y, Z) bool.
        points: (4, 2) ends of the diameters, px of the part.
        place: of the marked slice in the part.
        first: number of the part's first slice, as the user counts.
        sizes_mm: sizes of a voxel.

    Returns:
        (h, w, 3) uint8, red first.
    """
    count = grey.shape[2]
    places = np.unique([*np.linspace(0, count - 1, min(count, MOST_SLICES)).round(), place])
    tiles = []
    for each in places.astype(int).tolist():
        tile, scale = _tile(grey[:, :, each].T, mask[:, :, each].T, sizes_mm[1], sizes_mm[0])
        if each == place:
            for ends in (points[:2], points[2:]):
                start, end = np.rint((ends + 0.5) * scale - 0.5).astype(int).tolist()
                cv2.line(tile, start, end, MARK_RGB, 1, cv2.LINE_AA)
            cv2.rectangle(tile, (0, 0), (tile.shape[1] - 1, tile.shape[0] - 1), FRAME_RGB, 2)
        cv2.putText(tile, str(first + each), (4, 14), 0, 0.4, TEXT_RGB, 1, cv2.LINE_AA)
        tiles.append(tile)
    x, y = np.rint(points.mean(axis=0)).astype(int)
    x, y = min(max(x, 0), grey.shape[0] - 1), min(max(y, 0), grey.shape[1] - 1)
    for name, cut in (("coronal", np.s_[:, y, :]), ("sagittal", np.s_[x, :, :])):
        size = sizes_mm[0] if name == "coronal" else sizes_mm[1]
        tile, _ = _tile(grey[cut].T, mask[cut].T, sizes_mm[2], size)
        cv2.putText(tile, name, (4, 14), 0, 0.4, FRAME_RGB, 1, cv2.LINE_AA)
        tiles.append(tile)
    return _joined(tiles)


def _tile(
    plane: np.ndarray, mask: np.ndarray, row_mm: float, column_mm: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return a plane with its mask's outline, at its size in mm; and tile px per px of x and y."""
    height_mm, width_mm = plane.shape[0] * row_mm, plane.shape[1] * column_mm
    scale = TILE_PX / max(height_mm, width_mm)
    size = max(1, round(width_mm * scale)), max(1, round(height_mm * scale))
    drawn = cv2.resize(np.ascontiguousarray(plane), size, interpolation=cv2.INTER_LINEAR)
    tile = np.repeat(drawn[..., None], 3, axis=2)
    inside = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST_EXACT)
    outlines, _ = cv2.findContours(inside, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(tile, outlines, -1, MASK_RGB, 1)
    return tile, np.array([size[0] / plane.shape[1], size[1] / plane.shape[0]])


def _joined(tiles: Sequence[np.ndarray]) -> np.ndarray:
    rows = -(-len(tiles) // COLUMNS)
    columns = min(COLUMNS, len(tiles))
    sheet = np.zeros((rows * TILE_PX, columns * TILE_PX, 3), dtype=np.uint8)
    for number, tile in enumerate(tiles):
        top, left = number // COLUMNS * TILE_PX, number % COLUMNS * TILE_PX
        sheet[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    return sheet
