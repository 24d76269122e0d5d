"""Which marks of one image have masks that share pixels or touch.

The two masks may be one lesion that is marked twice, or one of them took a part of its neighbour.
Nothing is changed; `touches` in `measurements.csv` names the other marks.
"""

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from weaklesion.segment.outputs import read_mask
from weaklesion.support.listing import listed

SEPARATOR = "; "
MOST_NAMES = 20  # that a row names
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

    Masks are read only where their boxes touch. A row names the first `MOST_NAMES` others, and says
    how many more there are; an id with a semicolon is in quotation marks.

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
    marked = [_Marked(out, row) for row in rows]
    marked = [each for each in marked if each.box]
    boxes = np.array([each.box for each in marked]).reshape(-1, 4)
    names: list[list[str]] = [[] for _ in marked]  # only the first ones are kept
    counts = np.zeros(len(marked), int)
    for first, each in enumerate(marked):
        others = first + 1 + _meeting(boxes[first], boxes[first + 1 :])
        others = others[each.touches([marked[second] for second in others])]
        for second in others[counts[others] < MOST_NAMES]:
            names[second].append(each.name)
        names[first] += [marked[second].name for second in others[: MOST_NAMES - len(names[first])]]
        counts[first] += len(others)
        counts[others] += 1
        each.forget()
    for each, first_names, count in zip(marked, names, counts.tolist(), strict=True):
        each.row["touches"] = listed(first_names, MOST_NAMES, separator=SEPARATOR, count=count)


def _meeting(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the indices of the boxes that share pixels with a box, or touch it."""
    near = (others[:, :2] <= box[2:]).all(axis=1) & (box[:2] <= others[:, 2:]).all(axis=1)
    return np.flatnonzero(near)


class _Marked:
    """A mark, and the part of its mask within its box, which is read when it is needed."""

    def __init__(self, out: Path, row: dict[str, Any]) -> None:
        self.out, self.row = out, row
        self.box: list[int] = box_of(_mask_of(out, row)) if row.get("box") is None else row["box"]
        name = str(row["id"])
        self.name = f'"{name}"' if SEPARATOR.strip() in name else name

    @cached_property
    def part(self) -> np.ndarray:
        """The mask within its box, uint8."""
        y0, x0, y1, x1 = self.box
        return _mask_of(self.out, self.row)[y0:y1, x0:x1].astype(np.uint8)

    @cached_property
    def pixel(self) -> tuple[int, int]:
        """Row and column of one pixel of the mask."""
        inside = np.flatnonzero(self.part)
        y, x = divmod(int(inside[len(inside) // 2]), self.part.shape[1])
        return y + self.box[0], x + self.box[1]

    def touches(self, others: Sequence["_Marked"]) -> np.ndarray:
        """Return which masks share pixels with this one or touch it, bool."""
        if not others:
            return np.zeros(0, bool)
        around = cv2.dilate(np.pad(self.part, 1), AROUND)
        origin = self.box[0] - 1, self.box[1] - 1
        at = np.array([each.pixel for each in others]) - origin
        inside = ((at >= 0) & (at < around.shape)).all(axis=1)
        found = np.zeros(len(others), bool)
        found[inside] = around[tuple(at[inside].T)] > 0  # nearly all, where masks share much
        for index in np.flatnonzero(~found).tolist():
            found[index] = others[index].meets(around, origin)
        return found

    def meets(self, around: np.ndarray, origin: tuple[int, int]) -> bool:
        """Return whether the mask has a pixel in an area.

        Args:
            around: the area, not 0 inside.
            origin: row and column of its first pixel.
        """
        (top, left), (height, width) = origin, around.shape
        y0, x0, y1, x1 = self.box
        up, side = max(y0, top), max(x0, left)
        down, right = min(y1, top + height), min(x1, left + width)
        area = around[up - top : down - top, side - left : right - left]
        return bool((area & self.part[up - y0 : down - y0, side - x0 : right - x0]).any())

    def forget(self) -> None:
        """Free the memory of the mask."""
        self.__dict__.pop("part", None)


def _mask_of(out: Path, row: dict[str, Any]) -> np.ndarray:
    return read_mask(out / row["mask"], row["slice"])
