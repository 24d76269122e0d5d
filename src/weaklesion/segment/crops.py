"""The parts of an image that one mark needs: the crop for the network, and one for the overlay."""

import logging
import math
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from weaklesion.contrast import mark_contrast
from weaklesion.data.crops import surroundings
from weaklesion.ellipse import Ellipse
from weaklesion.four_ends import FourEnds
from weaklesion.mark_shapes import MarkShape
from weaklesion.marks.image_checks import check_contrast, check_scale, doubts_about_mark
from weaklesion.marks.images import Picture, read_picture
from weaklesion.marks.table import BadMarkError, Mark, mark_ellipse
from weaklesion.segment.training_range import check_kind
from weaklesion.study.settings import TrainingSettings
from weaklesion.study.trained_on import TrainedOn
from weaklesion.training.prompt_settings import PromptSettings, prompt_settings

logger = logging.getLogger(__name__)

MOST_PER_INPUT = 4  # px of the image per px of the network's input; finer images are shrunk first


@dataclass(frozen=True)
class Crop:
    """The part of an image that the network reads for one mark.

    Attributes:
        image: (h, w, 3) uint8 in the network's order of channels, shrunk if the image is much finer
            than the network's input.
        shrunk: the mark's shape that the network is shown, px of `image`.
        rows: rows of the crop in the image.
        columns: columns of the crop in the image.
        shape_hw: height and width of the crop in the image, px.
        shape: the mark's shape that the network is shown, px of the image, counted from the crop's
            first row and column.
    """

    image: np.ndarray
    shrunk: MarkShape
    rows: slice
    columns: slice
    shape_hw: tuple[int, int]
    shape: MarkShape


@dataclass(frozen=True)
class Opened:
    """A mark with the parts of its image that are kept.

    Attributes:
        mark: the mark, in px.
        ellipse: its ellipse, px of the image.
        shape: its shape that the network is shown, px of the image.
        contrast: of the image where the mark is (`weaklesion.contrast`).
        crop: the part that the network reads.
        around: (h, w, 3) uint8, the part that the overlay shows.
        shape_hw: height and width of the image, px.
        spacing: mm per px of x and y, or None.
        volume: the NIfTI image of which it is a slice, or None.
    """

    mark: Mark
    ellipse: Ellipse
    shape: MarkShape
    contrast: float
    crop: Crop
    around: np.ndarray
    shape_hw: tuple[int, int]
    spacing: tuple[float, float] | None
    volume: Any | None


def open_mark(
    mark: Mark,
    trained: TrainingSettings,
    data: TrainedOn,
    window_hu: tuple[float, float],
    *,
    units: str = "px",
) -> Opened:
    """Read the image of a mark, and keep only the parts that the mark needs.

    Args:
        mark: the mark.
        trained: settings of the network's training.
        data: what the network was trained on.
        window_hu: Hounsfield units that become 0 and 255, for NIfTI and 16-bit PNG.
        units: of the mark's coordinates, px or mm.

    Raises:
        BadMarkError: if mark or image cannot be used, or the image is of another kind than those
            that the network was trained on.
    """
    picture = read_picture(mark, window_hu)
    mark = mark_in_px(mark, picture, units)
    shape_hw = picture.levels.shape[0], picture.levels.shape[1]
    ellipse = mark_ellipse(mark.points, shape_hw, picture.spacing)
    prompt = prompt_settings(trained)
    shape = mark_shape(mark, ellipse, prompt)
    crop = cut_out(picture.levels, shape, trained.input_px, prompt.margin)
    if picture.unknown is not None and picture.unknown[crop.rows, crop.columns].any():
        raise BadMarkError(f"{mark.image.name} has values that are not finite near the mark")
    near = surroundings(ellipse, 1.0)
    check_scale(picture, near, mark.image)
    around = picture.levels[near].copy()
    check_contrast(around, mark.image, window_hu)
    check_kind(around, mark.image.name, data)
    if data.channels == "bgr":
        crop = replace(crop, image=np.ascontiguousarray(crop.image[..., ::-1]))
    for doubt in doubts_about_mark(mark.points, picture):
        logger.warning("line %d, %s: %s", mark.row, mark.id, doubt)
    contrast = mark_contrast(picture.levels, ellipse)
    return Opened(
        mark, ellipse, shape, contrast, crop, around, shape_hw, picture.spacing, picture.volume
    )


def mark_shape(mark: Mark, ellipse: Ellipse, prompt: PromptSettings) -> MarkShape:
    """Return the shape of a mark that a network is shown, px of the image.

    Args:
        mark: the mark, in px.
        ellipse: its ellipse, whose axes are perpendicular in the patient.
        prompt: how the network is prompted.

    Raises:
        BadMarkError: if the four ends define no shape.
    """
    if prompt.shape == "ellipse":
        return ellipse
    try:
        return prompt.shape_of(mark.points)
    except ValueError as error:
        raise BadMarkError(str(error).removeprefix("points: ")) from error


def drawn_ends(mark: Mark, crop: Crop) -> MarkShape:
    """Return the shape through the four ends of a mark, which the gate compares.

    Args:
        mark: the mark, in px of the image.
        crop: the part of the image that the result is counted from.

    Returns:
        The shape, px of the crop; that which the network is shown if the ends define none.
    """
    try:
        return FourEnds(mark.points).moved(-crop.columns.start, -crop.rows.start)
    except ValueError:
        return crop.shape


def mark_in_px(mark: Mark, picture: Picture, units: str) -> Mark:
    """Return a mark in px of its image.

    Args:
        mark: the mark.
        picture: its image.
        units: of the mark's coordinates: px, or mm from the centre of the first pixel along its
            row (x) and column (y), which are not a scanner's coordinates.

    Raises:
        BadMarkError: if the coordinates are mm, and the image's spacing is unknown.
    """
    if units == "px":
        return mark
    if picture.spacing is None:
        raise BadMarkError(
            "the coordinates are mm, but the spacing of the image is unknown: give spacing_x and"
            " spacing_y"
        )
    return replace(mark, points=mark.points / np.array(picture.spacing))


def cut_out(levels: np.ndarray, shape: MarkShape, input_px: int, margin: float) -> Crop:
    """Cut out the part of an image that a network reads.

    Args:
        levels: (H, W, 3) uint8.
        shape: the mark's shape, px.
        input_px: side of the network's input.
        margin: side of the crop, in long diameters.
    """
    side = margin * shape.long_px
    cx, cy = shape.middle
    reach = side / 2 + 2  # two px more for interpolation
    height, width = levels.shape[:2]
    x0, y0 = max(0, math.floor(cx - reach)), max(0, math.floor(cy - reach))
    x1, y1 = min(width, math.ceil(cx + reach)), min(height, math.ceil(cy + reach))
    part = levels[y0:y1, x0:x1]
    inside = shape.moved(-x0, -y0)
    shape_hw = part.shape[0], part.shape[1]
    factor = min(1.0, MOST_PER_INPUT * input_px / side)
    shrunk_hw = tuple(max(1, round(factor * length)) for length in shape_hw)
    if factor < 1:
        part = cv2.resize(part, shrunk_hw[::-1], interpolation=cv2.INTER_AREA)
    return Crop(
        image=part.copy(),
        shrunk=inside.resized(shape_hw, (part.shape[0], part.shape[1])),
        rows=slice(y0, y1),
        columns=slice(x0, x1),
        shape_hw=shape_hw,
        shape=inside,
    )
