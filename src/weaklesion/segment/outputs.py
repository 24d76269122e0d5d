"""The files of one mark that `weaklesion segment` writes: mask, overlay, row of measurements."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import nibabel
import numpy as np
from PIL import Image

from weaklesion.data.crops import surroundings
from weaklesion.ellipse import Ellipse
from weaklesion.mark_shapes import MarkShape, ShapeKind
from weaklesion.marks.table import Mark
from weaklesion.marks.volumes import slice_index
from weaklesion.prediction.gate import GatedMask
from weaklesion.recist import compare_diameters
from weaklesion.support.files import written_whole
from weaklesion.support.png import write_png

OVERLAY_PX = 384
# Colours of the shape that the network was shown, of the mask, of the mark's diameters, and of a
# mask that was replaced.
SHAPE_RGB, MASK_RGB, MARK_RGB = (255, 200, 0), (0, 220, 90), (255, 255, 255)
REPLACED_RGB = (230, 60, 60)
DASH_PX, DASH_AND_GAP_PX = 7, 13  # along the contour of a mask that was replaced
HEADER_TEXTS = ("data_type", "db_name", "descrip", "aux_file", "intent_name")
AGREES = 0.8  # least agreement with which a mask agrees with its mark
MEASURED = (
    "id", "line", "image", "slice", "answer", "agrees", "agreement", "visible", "contrast",
    "touches", "outside_training", "area_px", "area_mm2",
    "long_px", "short_px", "long_mm", "short_mm",
    "given_long_px", "given_short_px", "given_long_mm", "given_short_mm",
    "long_difference_px", "short_difference_px", "long_difference_mm", "short_difference_mm",
    "mask", "overlay",
)  # fmt: skip
# What `--volume` adds
MEASURED_IN_3D = (
    "volume_answer", "volume_reason", "volume_mm3", "volume_low_mm3", "volume_high_mm3",
    "axis_long_mm", "axis_short_mm", "first_slice", "last_slice",
    "volume_levels_mm3", "volume_network_mm3", "volume_ellipsoid_mm3", "volume", "sheet",
)  # fmt: skip


def volume_files(name: str) -> dict[str, str]:
    """Return the names of a mark's files in three dimensions."""
    return {"volume": f"volumes/{name}.nii.gz", "sheet": f"volumes/{name}.png"}


def write_mask(path: Path, mask: np.ndarray, number: int | None, volume: Any | None) -> None:
    """Write a mask as PNG of 0 and 255, or as NIfTI of 0 and 1.

    Args:
        path: file to write.
        mask: (H, W) uint8 of 0 and 1.
        number: index of the slice, for a mask in a volume.
        volume: the NIfTI image whose shape, qform and sform, with their codes, the mask gets; None
            for PNG.
    """
    if volume is None:
        write_png(path, mask * 255)
        return
    with written_whole(path) as temporary:
        whole = np.zeros(volume.shape, dtype=np.uint8, order="F")  # NIfTI's own, much faster
        whole[slice_index(whole.shape, number)] = mask.T
        _save_like(temporary, whole, volume)


def write_volume_mask(path: Path, mask: np.ndarray, volume: Any) -> None:
    """Write a mask of a whole volume as NIfTI of 0 and 1.

    Args:
        path: file to write.
        mask: (x, y, z) bool.
        volume: the NIfTI image whose shape and geometry the mask gets, as in `write_mask`.
    """
    with written_whole(path) as temporary:
        whole = np.asfortranarray(mask.reshape(volume.shape)).view(np.uint8)
        _save_like(temporary, whole, volume)


def _save_like(path: Path, whole: np.ndarray, volume: Any) -> None:
    header = volume.header.copy()
    header.extensions.clear()  # they may identify the patient, as texts do
    for name in HEADER_TEXTS:
        if name in header:  # NIfTI-2 has fewer
            header[name] = b""
    header.set_data_dtype(np.uint8)
    header["cal_min"] = header["cal_max"] = 0
    nibabel.save(type(volume)(whole, None, header), path)


def read_mask(path: Path, number: int | None) -> np.ndarray:
    """Return a mask that `write_mask` wrote, (H, W) bool.

    Args:
        path: the file.
        number: index of the slice, for a mask in a volume.
    """
    if path.suffix == ".png":
        with Image.open(path) as image:
            return np.asarray(image) > 0
    volume: Any = nibabel.load(path)
    return np.asarray(volume.dataobj[slice_index(volume.shape, number)]).T > 0


def write_overlay(
    path: Path,
    part: np.ndarray,
    mask: np.ndarray,
    own: np.ndarray,
    mark: Mark,
    ellipse: Ellipse,
    shape: MarkShape,
) -> None:
    """Draw a mark and its mask over a part of its image.

    Diameters are white, the mark's shape that the network was shown is yellow, the mask green. The
    network's own mask is red and dashed if it differs from the mask.

    Args:
        path: PNG to write.
        part: (h, w, 3) uint8, rows and columns `surroundings(ellipse, 1.0)` of the image.
        mask: (H, W) uint8 of 0 and 1, in px of the whole image.
        own: (H, W) uint8 of 0 and 1, the network's own mask.
        mark: the mark.
        ellipse: its ellipse, px of the whole image.
        shape: its shape that the network was shown, px of the whole image.
    """
    rows, columns = surroundings(ellipse, 1.0)
    x0, y0 = columns.start, rows.start
    scale = OVERLAY_PX / max(part.shape[:2])
    size = max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale))
    drawn = cv2.resize(part, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)

    def to_overlay(points: np.ndarray) -> np.ndarray:
        return np.rint((points - (x0, y0) + 0.5) * scale - 0.5).astype(np.int32)

    cv2.polylines(drawn, [to_overlay(shape.outline())], True, SHAPE_RGB, 1, cv2.LINE_AA)

    def contours(layer: np.ndarray) -> Sequence[np.ndarray]:
        inside = cv2.resize(layer[rows, columns], size, interpolation=cv2.INTER_NEAREST_EXACT)
        return cv2.findContours(inside, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)[0]

    if not np.array_equal(own, mask):
        for contour in contours(own):
            starts = range(0, len(contour), DASH_AND_GAP_PX)
            dashes = [contour[start : start + DASH_PX] for start in starts]
            cv2.polylines(drawn, dashes, False, REPLACED_RGB, 2, cv2.LINE_AA)
    cv2.drawContours(drawn, contours(mask), -1, MASK_RGB, 2, cv2.LINE_AA)
    for start, end in (to_overlay(mark.points[:2]), to_overlay(mark.points[2:])):
        cv2.line(drawn, start.tolist(), end.tolist(), MARK_RGB, 1, cv2.LINE_AA)
    write_png(path, drawn)


def measure(
    mark: Mark,
    mask: np.ndarray,
    gated: GatedMask,
    shape: ShapeKind,
    spacing: tuple[float, float] | None,
) -> dict[str, Any]:
    """Return a mark's row of `measurements.csv`, without the names of its files.

    Args:
        mark: the mark.
        mask: (H, W) uint8 of 0 and 1.
        gated: the network's result after the gate.
        shape: of the mark, which replaces a mask that disagrees with it.
        spacing: mm per px of x and y, or None.

    Returns:
        Columns of `MEASURED`, with the index of the slice; diameters by
        `weaklesion.recist.compare_diameters`.
    """
    row: dict[str, Any] = {
        "id": mark.id,
        "line": mark.row,
        "image": str(mark.image),
        "slice": mark.slice,
        "answer": ("network" if mask.any() else "empty") if gated.from_network else shape,
        "agrees": gated.agreement >= AGREES,
        "agreement": gated.agreement,
        "area_px": int(mask.sum()),
    }
    if spacing is not None:
        row["area_mm2"] = row["area_px"] * spacing[0] * spacing[1]
    return row | compare_diameters(mark.points, mask, (spacing[1], spacing[0]) if spacing else None)
