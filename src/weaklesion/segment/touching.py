"""Which marks of one image have masks that share pixels or touch.

The two masks may be one lesion that is marked twice, or one of them took a part of its neighbour.
Nothing is changed; `touches` in `measurements.csv` names the other marks.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from weaklesion.segment.outputs import read_mask

SEPARATOR = "; "
AROUND = np.ones((3, 3), np.uint8)  # a pixel touches its eight neighbours


def box_of(mask: np.ndarray) -> list[int]:
    """Return the box of a mask as y0, x0, y1, x1; [] if it is empty.

    Args:
        mask: (H, W), not 0 where the lesion is.

    >>> box_of(np.pad(np.ones((1, 2)), ((2, 0), (1, 4))))
    [2, 1, 3, 3]
    """
    if not mask.any():
        return []
    ys, xs = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return [int(ys[0]), int(xs[0]), int(ys[-1]) + 1, int(xs[-1]) + 1]


def note_touching(rows: Sequence[dict[str, Any]], out: Path) -> int:
    """Add `touches` to rows of measurements: the ids of marks whose masks share pixels or touch.

    Masks are read only where their boxes touch.

    Args:
        rows: rows of `measurements.csv`, with the index of the slice, and with the `box` of each
            mask; where it is absent, the mask is read.
        out: folder of the masks.

    Returns:
        The number of marks that touch another one.
    """
    by_image: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for row in rows:
        row["touches"] = ""
        by_image.setdefault((os.path.realpath(row["image"]), row["slice"] or 0), []).append(row)
    for marked in by_image.values():
        if len(marked) > 1:
            _note_on_image(marked, out)
    return sum(row["touches"] != "" for row in rows)


def _note_on_image(rows: Sequence[dict[str, Any]], out: Path) -> None:
    """Fill `touches` of the marks on one image."""
    boxes: list[list[int]] = [
        box_of(_mask_of(out, row)) if row.get("box") is None else row["box"] for row in rows
    ]
    usable = [index for index, box in enumerate(boxes) if box]
    if not usable:
        return
    found = np.array([boxes[index] for index in usable])
    parts: dict[int, np.ndarray] = {}

    def part(index: int) -> np.ndarray:
        if index not in parts:
            y0, x0, y1, x1 = boxes[index]
            parts[index] = _mask_of(out, rows[index])[y0:y1, x0:x1].astype(np.uint8)
        return parts[index]

    names: dict[int, list[str]] = {index: [] for index in usable}
    for first, box in zip(usable, found, strict=True):
        near = (found[:, :2] <= box[2:]).all(axis=1) & (box[:2] <= found[:, 2:]).all(axis=1)
        for second in (index for index, is_near in zip(usable, near, strict=True) if is_near):
            if second > first and _touch(part(first), boxes[first], part(second), boxes[second]):
                names[first].append(str(rows[second]["id"]))
                names[second].append(str(rows[first]["id"]))
        parts.pop(first, None)
    for index, others in names.items():
        rows[index]["touches"] = SEPARATOR.join(others)


def _touch(first: np.ndarray, box: Sequence[int], second: np.ndarray, other: Sequence[int]) -> bool:
    """Return whether the parts of two boxes share pixels or touch."""
    y0, x0 = min(box[0], other[0]) - 1, min(box[1], other[1]) - 1
    size = max(box[2], other[2]) - y0 + 1, max(box[3], other[3]) - x0 + 1
    drawn = np.zeros((2, *size), np.uint8)
    for layer, part, (top, left, bottom, right) in zip(
        drawn, (first, second), (box, other), strict=True
    ):
        layer[top - y0 : bottom - y0, left - x0 : right - x0] = part
    return bool((cv2.dilate(drawn[0], AROUND) & drawn[1]).any())


def _mask_of(out: Path, row: dict[str, Any]) -> np.ndarray:
    return read_mask(out / row["mask"], row["slice"])
