"""The slices of DeepLesion: 16-bit PNG by series and index."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from weaklesion.data.loaders.deeplesion_table import OFFSETS_MM, Lesion, slice_weights
from weaklesion.data.patches import BadSampleError
from weaklesion.errors import DataError
from weaklesion.hounsfield import PNG_OFFSET
from weaklesion.support.pictures import open_picture
from weaklesion.support.reading import index_in


def find_series(folders: Sequence[str | Path]) -> dict[str, dict[int, str]]:
    """Return, by series, the paths of its slices by index.

    Raises:
        DataError: if a slice exists twice.
    """
    series: dict[str, dict[int, str]] = {}
    for path in sorted(path for folder in folders for path in Path(folder).rglob("*.png")):
        index = index_in(path.stem)
        if "__MACOSX" in path.parts or index is None:
            continue
        slices = series.setdefault(path.parent.name, {})
        if index in slices:
            raise DataError(f"{path}: this slice is also at {slices[index]}. Remove one of them.")
        slices[index] = str(path)
    return series


class Series:
    """The slices of one series, each decoded once.

    Args:
        paths: index of each available slice to its path.
    """

    def __init__(self, paths: Mapping[int, str]) -> None:
        self.paths = paths
        self._decoded: dict[int, np.ndarray] = {}

    def decode(self, index: int, lesion_id: str) -> np.ndarray:
        """Return an available slice, (H, W) uint16.

        Raises:
            BadSampleError: if it cannot be read, or is not a 16-bit grey image.
        """
        if index not in self._decoded:
            self._decoded[index] = _decode(self.paths[index], lesion_id)
        return self._decoded[index]

    def mix_channels(
        self, lesion: Lesion, origin: tuple[int, int], side: int, scaled_hw: tuple[int, int]
    ) -> tuple[np.ndarray, int]:
        """Interpolate the three channels of a patch between the slices around the key slice.

        Args:
            lesion: the lesion.
            origin: x and y of the patch's upper left pixel in the scaled slice.
            side: height and width of the patch, px.
            scaled_hw: height and width of the scaled slice, px.

        Returns:
            (side, side, 3) float32 HU; and the number of missing slices that their nearest
            available neighbour replaces.

        Raises:
            BadSampleError: if a slice cannot be used, or has another size than the key slice.
        """
        key = self.decode(lesion.key_slice, lesion.id)
        channels, replaced = [], 0
        for offset in OFFSETS_MM:
            mixed = np.zeros((side, side), dtype=np.float32)
            for index, weight in slice_weights(lesion.key_slice, lesion.spacing_mm[2], offset):
                available = nearest_slice(index, lesion.key_slice, self.paths)
                replaced += available != index
                image = self.decode(available, lesion.id)
                if image.shape != key.shape:
                    raise BadSampleError(
                        lesion.id,
                        "slices of different sizes",
                        f"{self.paths[available]}: is not as large as the key slice "
                        f"{self.paths[lesion.key_slice]}. Unpack the archive again.",
                    )
                mixed += weight * cut(image, origin, side, scaled_hw)
            channels.append(mixed - PNG_OFFSET)
        return np.stack(channels, axis=2), replaced


def nearest_slice(index: int, key: int, paths: Mapping[int, str]) -> int:
    """Return the available slice nearest to `index`, between it and the key slice.

    >>> nearest_slice(2, 5, {4: "004.png", 5: "005.png"})
    4
    """
    first, last = min(index, key), max(index, key)
    between = (available for available in paths if first <= available <= last)
    return min(between, key=lambda available: abs(available - index), default=key)


def cut(
    image: np.ndarray, origin: tuple[int, int], side: int, scaled_hw: tuple[int, int]
) -> np.ndarray:
    """Cut a patch whose upper left pixel is `origin` (x, y); the border is replicated."""
    if image.shape != scaled_hw:
        image = cv2.resize(image.astype(np.float32), scaled_hw[::-1], interpolation=cv2.INTER_AREA)
    rows = np.clip(np.arange(origin[1], origin[1] + side), 0, scaled_hw[0] - 1)
    columns = np.clip(np.arange(origin[0], origin[0] + side), 0, scaled_hw[1] - 1)
    return image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1][
        np.ix_(rows - rows[0], columns - columns[0])
    ].astype(np.float32)


def _decode(path: str, lesion_id: str) -> np.ndarray:
    def refusal(cause: str) -> BadSampleError:
        return BadSampleError(
            lesion_id,
            "slice that cannot be read",
            f"{path}: cannot be read as PNG ({cause}). Unpack its archive again.",
        )

    with open_picture(path, refusal) as opened:  # OpenCV fills up a truncated file
        image = np.asarray(opened)
    if image.dtype != np.uint16 or image.ndim != 2:
        raise BadSampleError(
            lesion_id,
            "slice that is not a 16-bit grey image",
            f"{path}: has {image.dtype} values and {image.ndim} "
            "dimensions; 16-bit grey is needed. Unpack its archive again.",
        )
    return image
