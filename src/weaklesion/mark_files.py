"""What `weaklesion segment` writes of a mark: its mask, an overlay, and a row of measurements."""

import math
from pathlib import Path
from typing import Any

import cv2
import nibabel
import numpy as np

from weaklesion.ellipse import Ellipse
from weaklesion.files import written_whole
from weaklesion.gate import Answer
from weaklesion.marks import Mark
from weaklesion.pictures import Picture
from weaklesion.recist import measure_recist

OVERLAY_PX = 384
GIVEN, NETWORK, MARKED = (255, 200, 0), (0, 220, 90), (255, 255, 255)
MEASURED = (
    "id", "line", "image", "slice", "answer", "agrees", "agreement", "area_px", "area_mm2",
    "long_px", "short_px", "long_mm", "short_mm", "given_long_px", "given_short_px",
    "long_difference_px", "short_difference_px", "mask", "overlay",
)  # fmt: skip


def surroundings(ellipse: Ellipse, reach: float) -> tuple[slice, slice]:
    """Return rows and columns of a square about an ellipse, `reach` major axes on each side."""
    half = max(reach * ellipse.width, 8.0)
    x0, y0 = (max(0, math.floor(center - half)) for center in (ellipse.cx, ellipse.cy))
    return slice(y0, math.ceil(ellipse.cy + half)), slice(x0, math.ceil(ellipse.cx + half))


def write_mask(path: Path, mask: np.ndarray, mark: Mark, picture: Picture) -> None:
    """Write a mask as PNG of 0 and 255, or, of a volume, as NIfTI of 0 and 1 in its geometry."""
    with written_whole(path) as beside:
        if picture.volume is None:
            _write_png(beside, mask * 255)
            return
        whole = np.zeros(picture.volume.shape, dtype=np.uint8)
        place = (..., mark.slice or 0) if whole.ndim == 3 else (...,)
        whole[place] = mask.T
        image = nibabel.Nifti1Image(whole, picture.volume.affine)
        image.header.set_xyzt_units(*picture.volume.header.get_xyzt_units())
        nibabel.save(image, beside)


def write_overlay(
    path: Path, levels: np.ndarray, mask: np.ndarray, mark: Mark, ellipse: Ellipse
) -> None:
    """Draw the surroundings of a mark: diameters white, its ellipse yellow, the mask green."""
    rows, columns = surroundings(ellipse, 1.0)
    x0, y0 = columns.start, rows.start
    part = levels[rows, columns]
    scale = OVERLAY_PX / max(part.shape[:2])
    size = max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale))
    drawn = cv2.resize(part, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)

    def place(points: np.ndarray) -> np.ndarray:
        return np.rint((points - (x0, y0) + 0.5) * scale - 0.5).astype(np.int32)

    inside = cv2.resize(
        mask[rows, columns],
        size,
        interpolation=cv2.INTER_NEAREST_EXACT,
    )
    outlines, _ = cv2.findContours(inside, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    angles = np.linspace(0, 2 * np.pi, 120)
    turned = math.radians(ellipse.angle_deg)
    along = np.array([math.cos(turned), math.sin(turned)])
    across = np.array([-along[1], along[0]])
    outline = (
        np.array([ellipse.cx, ellipse.cy])
        + np.outer(np.cos(angles) * ellipse.width / 2, along)
        + np.outer(np.sin(angles) * ellipse.height / 2, across)
    )
    cv2.polylines(drawn, [place(outline)], True, GIVEN, 1, cv2.LINE_AA)
    cv2.drawContours(drawn, outlines, -1, NETWORK, 2, cv2.LINE_AA)
    for start, end in (place(mark.points[:2]), place(mark.points[2:])):
        cv2.line(drawn, start.tolist(), end.tolist(), MARKED, 1, cv2.LINE_AA)
    with written_whole(path) as beside:
        _write_png(beside, drawn[..., ::-1])


def _write_png(path: Path, image: np.ndarray) -> None:
    if not cv2.imwrite(str(path), image):  # which raises nothing itself
        raise OSError(f"{path} cannot be written")


def measure(
    mark: Mark,
    picture: Picture,
    mask: np.ndarray,
    found: Answer,
    gate: float,
) -> dict[str, Any]:
    """Return a row of `measurements.csv`, without its files."""
    spacing = picture.spacing
    given = math.dist(*mark.points[:2]), math.dist(*mark.points[2:])
    row: dict[str, Any] = {
        "id": mark.id,
        "line": mark.row,
        "image": str(mark.image),
        "slice": mark.slice,
        "answer": "network" if found.from_network else "ellipse",
        "agrees": bool(mask.any()) and found.agreement >= gate,
        "agreement": found.agreement,
        "area_px": int(mask.sum()),
        "given_long_px": max(given),
        "given_short_px": min(given),
    }
    if not mask.any():
        return row
    measured = measure_recist(mask, (1.0, 1.0) if spacing is None else spacing[::-1])
    row |= {
        "long_px": measured.long_px,
        "short_px": measured.short_px,
        "long_difference_px": measured.long_px - row["given_long_px"],
        "short_difference_px": measured.short_px - row["given_short_px"],
    }
    if spacing is not None:
        row |= {
            "area_mm2": row["area_px"] * spacing[0] * spacing[1],
            "long_mm": measured.long_mm,
            "short_mm": measured.short_mm,
        }
    return row
