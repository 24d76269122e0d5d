"""The pixels of one frame: Hounsfield units for CT, levels for all else."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydicom.pixels import iter_pixels, pixel_array

from weaklesion.dicom.geometry import SAME_PLACE_MM
from weaklesion.dicom.headers import UNREADABLE, Clipped, quiet, read_dataset, syntax_of
from weaklesion.dicom.image_objects import ImageObject, without_localisers
from weaklesion.marks.table import BadMarkError
from weaklesion.support.reading import PIXELS, limit_of

INT16 = np.iinfo(np.int16)
# Rescale Type of CT in Hounsfield units, which may be modified, unspecified or not stated. Maps of
# dual-energy CT have others, such as MGML (iodine, mg/ml).
HOUNSFIELD = ("HU", "HU_MOD", "US", "")


@dataclass(frozen=True)
class FramePixels:
    """The pixels of a frame.

    Attributes:
        array: (H, W) int16 or float32 of Hounsfield units; (H, W) or (H, W, 3) uint8 of levels.
        hounsfield: whether they are Hounsfield units.
    """

    array: np.ndarray
    hounsfield: bool


def read_pixels(
    image: ImageObject, frame: int, levels: tuple[float, float] | None = None
) -> FramePixels:
    """Read one frame.

    CT is in Hounsfield units, by the slope and intercept of its own frame. Grey frames of other
    modalities are shown through the window that they store, or through `levels`, as a viewer shows
    them: MONOCHROME1 is a negative, so that its lowest value is white. Colours are levels as they
    are.

    Args:
        image: the image object.
        frame: index of the frame, from 0.
        levels: rescaled values that become black and white, or white and black in MONOCHROME1, for
            grey frames other than CT; None for the stored window.

    Raises:
        BadMarkError: if the pixels are too many, missing, truncated or compressed in an unknown
            way, a table would change them, a frame of CT has no slope and intercept or other values
            than Hounsfield units, or one of another modality no window.
    """
    _check_size(image)
    try:
        with _opened(image) as source:
            stored = pixel_array(source, index=frame)
    except UNREADABLE as error:
        raise _unreadable(error) from error
    return _shown(stored, image, frame, levels)


def read_frames(
    image: ImageObject, frames: Sequence[int], levels: tuple[float, float] | None = None
) -> list[FramePixels]:
    """Read frames of one object, each as `read_pixels` does, opening it once.

    Args:
        image: the image object.
        frames: indices of the frames, from 0.
        levels: see `read_pixels`.

    Raises:
        BadMarkError: as `read_pixels`.
    """
    _check_size(image)
    try:
        with _opened(image) as source:
            read = zip(frames, iter_pixels(source, indices=frames), strict=True)
            return [_shown(stored, image, frame, levels) for frame, stored in read]
    except BadMarkError:
        raise
    except UNREADABLE as error:
        raise _unreadable(error) from error


@contextmanager
def _opened(image: ImageObject) -> Iterator[Any]:
    """Yield what pydicom decodes: the open file, of which it reads the frames that are asked for.

    It cannot do so in a file that does not state its transfer syntax, or that is deflated as a
    whole. Then it is the whole dataset.
    """
    with quiet():
        if image.in_parts:
            with Clipped(image.path) as stream:
                yield stream
        else:
            dataset = read_dataset(image.path, pixels=True)
            if "TransferSyntaxUID" not in dataset.file_meta:
                dataset.file_meta.TransferSyntaxUID = syntax_of(dataset)
            yield dataset


def _check_size(image: ImageObject) -> None:
    height, width = image.shape_hw
    if height * width > limit_of(PIXELS):
        raise BadMarkError(
            f"the image has {width}x{height} px; if that is right, set the environment variable"
            f" {PIXELS[0]}"
        )


def _unreadable(error: Exception) -> BadMarkError:
    """Return the refusal of pixels; the error's own text may quote the patient's data."""
    return BadMarkError(
        "the pixels of the image cannot be read: missing, truncated, or compressed in a way"
        f" that needs another package ({type(error).__name__})"
    )


def _shown(
    stored: np.ndarray, image: ImageObject, frame: int, levels: tuple[float, float] | None
) -> FramePixels:
    """Return stored values as `read_pixels` does."""
    if image.samples == 3:
        if stored.dtype != np.uint8:
            raise BadMarkError("a colour image without 8 bits per colour")
        return FramePixels(stored, hounsfield=False)
    if image.photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise BadMarkError("the image is neither grey nor RGB")
    geometry = image.frames[frame]
    if image.modality_table:
        raise BadMarkError(
            "a table of the image (Modality LUT) changes its values: tables are not read"
        )
    if image.modality == "CT" and geometry.rescale is None:
        raise BadMarkError(
            "the image is CT without a rescale slope other than 0 and an intercept: its values are"
            " not known to be Hounsfield units"
        )
    if image.modality == "CT" and geometry.rescale_type not in HOUNSFIELD:
        raise BadMarkError(
            "the values of the image are not Hounsfield units (Rescale Type), as in iodine maps"
            " of dual-energy CT: mark an image of Hounsfield units"
        )
    slope, intercept = geometry.rescale or (1.0, 0.0)
    values = stored * np.float64(slope) + intercept
    if image.modality == "CT":
        whole = np.array_equal(values, np.rint(values))
        fits = INT16.min <= values.min() and values.max() <= INT16.max
        return FramePixels(values.astype(np.int16 if whole and fits else np.float32), True)
    window = levels or stored_window(geometry.window)
    if window is None:
        raise BadMarkError(
            "the image is not CT and stores no window: give --levels LOW HIGH, the values that"
            " become black and white (white and black in a MONOCHROME1 image)"
        )
    grey = np.clip((values - window[0]) / (window[1] - window[0]), 0, 1) * 255
    if image.photometric == "MONOCHROME1":
        grey = 255 - grey
    return FramePixels(grey.round().astype(np.uint8), False)


def stored_window(stored: tuple[float, float] | None) -> tuple[float, float] | None:
    """Return the lowest and highest value that a linear window shows (DICOM PS3.3 C.11.2.1.2).

    Args:
        stored: center and width, or None.

    >>> stored_window((40.0, 401.0))
    (-160.5, 239.5)
    """
    if stored is None or stored[1] <= 1:
        return None
    center, width = stored
    return center - 0.5 - (width - 1) / 2, center - 0.5 + (width - 1) / 2


def series_notes(images: list[ImageObject]) -> list[str]:
    """Return what is to be told of a series: tilt, gaps, positions that occur twice, spacing.

    Its localisers have places and sizes of their own, and do not count for these.

    Args:
        images: all image objects of one series.
    """
    notes = []
    if any(image.tilt for image in images):
        notes.append("the gantry was tilted")
    notes += dict.fromkeys(image.detector_note for image in images if image.detector_note)
    images = without_localisers(images)
    sizes = {(image.shape_hw, frame.spacing_rc) for image in images for frame in image.frames}
    if len(sizes) > 1:
        notes.append("slices differ in size or spacing")
    frames = [frame for image in images for frame in image.frames if frame.placed]
    if not all(frame.is_parallel_to(frames[0]) for frame in frames):
        return [*notes, "slices differ in orientation"]
    if len(frames) < 2:
        return notes
    steps = np.diff(np.sort(frames[0].along_normal(frames)))
    twice = steps <= SAME_PLACE_MM
    if twice.any():
        notes.append(f"{int(twice.sum())} positions occur more than once")
    steps = steps[~twice]
    if len(steps) and (gaps := int((steps > 1.5 * np.median(steps)).sum())):
        notes.append(f"{gaps} gaps between slices")
    return notes
