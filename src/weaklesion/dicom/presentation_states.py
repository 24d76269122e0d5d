"""Marks in presentation states (GSPS): polylines of two points.

Coordinates in PIXEL units count from the corner of the first pixel (DICOM PS3.3 C.10.5).
"""

from typing import Any

import numpy as np

from weaklesion.dicom.export import Export
from weaklesion.dicom.found import Found, Refused, marks_of_lines
from weaklesion.dicom.geometry import CORNER
from weaklesion.dicom.headers import UNREADABLE, clean_uid, integers
from weaklesion.dicom.lines import Line

LINES = ("POLYLINE", "INTERPOLATED")


def marks_of_state(dataset: Any, export: Export) -> Found:
    """Return the marks of a presentation state.

    Two lines on one frame that cross almost at right angles are a mark; a line that crosses no
    other is one diameter.

    Args:
        dataset: the presentation state.
        export: the export, for geometry.

    Returns:
        The marks; and what is not used, with its cause.
    """
    uid = clean_uid(dataset.get("SOPInstanceUID"))
    lines: list[Line] = []
    refused: list[Refused] = []

    def refuse(cause: str, image_uid: str = "") -> None:
        refused.append(Refused("GSPS", uid, len(refused) + 1, image_uid, cause))

    annotations = dataset.get("GraphicAnnotationSequence") or []
    every = [
        image
        for series in dataset.get("ReferencedSeriesSequence") or []
        for image in series.get("ReferencedImageSequence") or []
    ]
    for annotation in annotations:
        try:
            images = annotation.get("ReferencedImageSequence") or every
            objects = list(annotation.get("GraphicObjectSequence") or [])
            if annotation.get("CompoundGraphicSequence") and not objects:
                refuse("a compound graphic, not a line of two points")
            for each in objects:
                cause = _unusable(each, images, export)
                if cause:
                    refuse(cause)
                else:
                    lines.append(_line(each, images[0], export))
        except UNREADABLE as error:
            refuse(f"the annotation is damaged ({type(error).__name__})")
    if not annotations:
        refuse("the presentation state has no annotation")
    first = len(refused) + 1
    marks, left = marks_of_lines(lines, export, source="GSPS", source_uid=uid, first_item=first)
    return marks, [*refused, *left]


def _unusable(each: Any, images: Any, export: Export) -> str:
    """Return why a graphic is not a line on one image; "" if it is one."""
    if each.get("GraphicType") not in LINES or len(each.get("GraphicData") or []) != 4:
        return "a graphic that is not a line of two points"
    if each.get("GraphicAnnotationUnits") != "PIXEL":
        return "coordinates that are not in pixels of the image"
    if len(images) != 1:
        return "a line on several images" if images else "a line without an image"
    return "a line on several frames" if _place_of(images[0], export)[1] is None else ""


def _place_of(image: Any, export: Export) -> tuple[str, int | None]:
    uid = clean_uid(image.get("ReferencedSOPInstanceUID"))
    return uid, export.frame_number(uid, integers(image, "ReferencedFrameNumber"))


def _line(each: Any, image: Any, export: Export) -> Line:
    uid, frame = _place_of(image, export)
    assert frame is not None
    return Line(
        ends=np.asarray(each.GraphicData, dtype=float).reshape(2, 2) - CORNER,
        image_uid=uid,
        frame=frame,
        tracking_uid=clean_uid(each.get("TrackingUID")),
    )
