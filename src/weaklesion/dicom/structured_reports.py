"""Marks in structured reports: TID 1500 and 1501, and relatives without a template id.

A measurement group is read by what its items say, not by its template, because few programs state
one. Coordinates of SCOORD count from the corner of the first pixel (DICOM PS3.3 C.18.6), those of
SCOORD3D are mm in the patient (C.18.9).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from weaklesion.dicom.export import Export
from weaklesion.dicom.found import Found, FoundMark, Refused, mark_of_axes, marks_of_lines
from weaklesion.dicom.geometry import CORNER
from weaklesion.dicom.headers import UNREADABLE, clean_uid, code_of, integers, single
from weaklesion.dicom.lines import Line
from weaklesion.dicom.lymph_nodes import is_lymph_node, texts_of, with_note_of_nodes

GROUPS = {("DCM", "125007"), ("99NCIAIM", "zzz002")}  # measurement group; annotation of AIM
AXES = {
    ("SRT", "G-A185"): "long",
    ("SCT", "103339001"): "long",
    ("SRT", "G-A186"): "short",
    ("SCT", "103340004"): "short",
}
MEANINGS = {  # for private codes only
    "long axis": "long",
    "long diameter": "long",
    "longest diameter": "long",
    "short axis": "short",
    "short diameter": "short",
    "longest perpendicular": "short",
    "longest perpendicular diameter": "short",
}
PUBLIC = {"DCM", "SRT", "SCT", "SNM3", "LN", "UCUM", "RADLEX", "FMA", "NCIt", "UMLS"}
TRACKING = ("DCM", "112040")
SHAPES = ("SCOORD", "SCOORD3D")
PIXEL_UNITS = {"1", "{pixel}", "{pixels}"}
MM = {"mm": 1.0, "cm": 10.0}
PLANE_MM = 0.5  # distance from its frame's plane below which a point is on it
SAME_PLANE_MM = 0.01  # difference of two such distances below which neither frame is nearer
DEEPEST = 40  # levels of nested items; deeper ones are not a report


class _BadItemError(ValueError):
    """An item that gives no line; the message is its cause."""


@dataclass(frozen=True)
class _Report:
    root: Any
    export: Export
    uid: str


def marks_of_report(dataset: Any, export: Export) -> Found:
    """Return the marks of a structured report.

    Args:
        dataset: the report.
        export: the export, for geometry.

    Returns:
        The marks; and what is not used, with its cause.
    """
    report = _Report(dataset, export, clean_uid(dataset.get("SOPInstanceUID")))
    marks: list[FoundMark] = []
    refused: list[Refused] = []
    groups = [item for item in _walk(dataset) if _is_group(item)]
    if not groups:
        return [], [Refused("SR", report.uid, 0, "", "the report has no measurement group")]
    for group in groups:
        first = len(marks) + len(refused) + 1
        try:
            taken, left = _marks_of_group(group, report, first)
        except _BadItemError as error:
            taken, left = [], [Refused("SR", report.uid, first, "", str(error))]
        except UNREADABLE as error:
            cause = f"the group is damaged ({type(error).__name__})"
            taken, left = [], [Refused("SR", report.uid, first, "", cause)]
        marks += taken
        refused += left
    return marks, refused


def _walk(item: Any, depth: int = 0) -> Iterator[Any]:
    """Yield an item and all items below it."""
    yield item
    if depth < DEEPEST:
        for child in item.get("ContentSequence") or []:
            yield from _walk(child, depth + 1)


def _is_group(item: Any) -> bool:
    return item.get("ValueType") == "CONTAINER" and code_of(item)[:2] in GROUPS


def _axis(item: Any) -> str:
    """Return `long` or `short` for a measurement of an axis, "other" for any other one."""
    scheme, value, meaning = code_of(item)
    known = AXES.get((scheme, value))
    if known is None and scheme not in PUBLIC:
        known = MEANINGS.get(meaning)
    return known or "other"


def _marks_of_group(group: Any, report: _Report, first: int) -> Found:
    items = _items_of(group)
    lines, causes = _lines_of(items, group, report)
    node = any(is_lymph_node(item) for item in items)
    given = {"source": "SR", "source_uid": report.uid}
    if lines["short"] and not lines["long"] and len(lines["other"]) == 1:
        lines["long"] = lines["other"]  # some programs call it a length or a diameter
    if lines["long"] and lines["short"]:
        long, short = _pair(lines["long"], lines["short"])
        mark = mark_of_axes(long, short, report.export, **given, item=first, node=node)
        return with_note_of_nodes([mark], texts_of(items)), []
    if lines["short"]:
        causes.append("only a short axis")
    singles = [*lines["long"], *lines["other"]]
    if not singles:
        cause = "; ".join(dict.fromkeys(causes)) or "the group has no coordinates"
        return [], [Refused("SR", report.uid, first, "", cause)]
    marks, refused = marks_of_lines(singles, report.export, **given, first_item=first, node=node)
    return with_note_of_nodes(marks, texts_of(items)), refused


def _items_of(group: Any) -> list[Any]:
    """Return all items below a group, without those of groups inside it."""
    items = list(_walk(group))[1:]
    inner = [item for item in items if _is_group(item)]
    below = {id(each) for other in inner for each in _walk(other)}
    return [item for item in items if id(item) not in below]


def _lines_of(
    items: list[Any], group: Any, report: _Report
) -> tuple[dict[str, list[Line]], list[str]]:
    """Return the lines among a group's items, by their axis; and why others are none."""
    tracking = next(
        (clean_uid(item.get("UID")) for item in items if code_of(item)[:2] == TRACKING), ""
    )
    lines: dict[str, list[Line]] = {"long": [], "short": [], "other": []}
    causes: list[str] = []

    def add(axis: str, shape: Any, measured: Any | None) -> None:
        try:
            lines[axis].append(_line(shape, group, report, tracking, measured))
        except _BadItemError as error:
            causes.append(str(error))

    numbers = [item for item in items if item.get("ValueType") == "NUM"]
    inferred_from = [(item, shape) for item in numbers for shape in _shapes(item, report)]
    for item, shape in inferred_from:
        add(_axis(item), shape, item)
    used = {id(shape) for _, shape in inferred_from}
    shapes = [item for item in items if item.get("ValueType") in SHAPES]
    # of several lines or measurements, nothing says which belong together
    measured = numbers[0] if len(numbers) == len(shapes) == 1 and not used else None
    for shape in shapes:
        if id(shape) not in used:
            add("other", shape, measured)
    return lines, causes


def _pair(long: list[Line], short: list[Line]) -> tuple[Line, Line]:
    """Return a group's two axes."""
    if len(long) > 1 or len(short) > 1:
        raise _BadItemError("the group has several long or short axes")
    if (long[0].image_uid, long[0].frame) != (short[0].image_uid, short[0].frame):
        raise _BadItemError("the two axes are on different images")
    return long[0], short[0]


def _shapes(item: Any, report: _Report) -> Iterator[Any]:
    """Yield the coordinates from which a measurement is inferred, by value or by reference."""
    for child in item.get("ContentSequence") or []:
        target = _referenced(child, report)
        if target.get("ValueType") in SHAPES:
            yield target


def _referenced(item: Any, report: _Report) -> Any:
    """Return the item to which a by-reference item points; any other item itself."""
    place = item.get("ReferencedContentItemIdentifier")
    if not place:
        return item
    steps = [int(step) for step in np.atleast_1d(place)]
    target = report.root
    for step in steps[1:]:
        children = target.get("ContentSequence") or []
        if not 1 <= step <= len(children):
            raise _BadItemError("a reference to an item of the report leads nowhere")
        target = children[step - 1]
    return target


def _line(shape: Any, group: Any, report: _Report, tracking: str, measured: Any | None) -> Line:
    """Return the line of an item of coordinates."""
    kind = str(shape.get("GraphicType") or "")
    values = np.atleast_1d(np.asarray(shape.get("GraphicData") or [], dtype=float))
    if kind not in ("POLYLINE", "MULTIPOINT"):
        raise _BadItemError(f"a region or point ({_known(kind)}), not a diameter")
    dimensions = 3 if shape.get("ValueType") == "SCOORD3D" else 2
    if len(values) != 2 * dimensions:
        raise _BadItemError(f"{_known(kind)} that does not have two points, so is not a diameter")
    if not np.isfinite(values).all():
        raise _BadItemError("coordinates that are not finite")
    ends = values.reshape(2, dimensions)
    stored, unit = _stored(measured) if measured is not None else (None, "")
    if dimensions == 3:
        place = clean_uid(shape.get("ReferencedFrameOfReferenceUID"))
        image_uid, frame, ends = _on_image(ends, place, group, report)
    else:
        image_uid, frame = _image_of(shape, report)
        if shape.get("PixelOriginInterpretation") == "VOLUME":
            raise _BadItemError("coordinates of a whole tiled image")
        ends = ends - CORNER
    return Line(ends, image_uid, frame, tracking, stored, unit)


def _known(kind: str) -> str:
    """Return a graphic type of the standard; another word might be free text."""
    known = {"POINT", "MULTIPOINT", "POLYLINE", "POLYGON", "CIRCLE", "ELLIPSE", "ELLIPSOID"}
    return kind if kind in known else "an unknown type"


def _stored(item: Any) -> tuple[float | None, str]:
    """Return the stored length in mm and its unit; a NUM may have no value."""
    values = item.get("MeasuredValueSequence")
    if not values:
        return None, ""
    unit = code_of(values[0], "MeasurementUnitsCodeSequence")[1]
    length = single(values[0].get("NumericValue"))
    if length is None:
        return None, ""
    if unit in PIXEL_UNITS:
        return length, "px"
    return (length * MM[unit], "mm") if unit in MM else (None, "")


def _image_of(shape: Any, report: _Report) -> tuple[str, int]:
    """Return SOP instance and frame from 0 of the image of 2-D coordinates."""
    for child in shape.get("ContentSequence") or []:
        item = _referenced(child, report)
        if item.get("ValueType") == "IMAGE" and item.get("ReferencedSOPSequence"):
            reference = item.ReferencedSOPSequence[0]
            uid = clean_uid(reference.get("ReferencedSOPInstanceUID"))
            if not uid:
                raise _BadItemError("an image reference without a SOP instance")
            frame = report.export.frame_number(uid, integers(reference, "ReferencedFrameNumber"))
            if frame is None:
                raise _BadItemError("coordinates on several frames")
            return uid, frame
    raise _BadItemError("coordinates without an image")


def _on_image(
    ends_mm: np.ndarray, place: str, group: Any, report: _Report
) -> tuple[str, int, np.ndarray]:
    """Return SOP instance, frame and px of a line in the patient.

    The image is one that the group names, if the line lies on it; else one that the report names as
    evidence; else any of the same frame of reference.
    """
    images = report.export.images
    in_place = {uid for uid, image in images.items() if place and image.place_uid == place}
    pools = [_named_in(group), _evidence(report.root) & in_place, in_place]
    out_of_plane = False
    for pool in pools:
        found = sorted(_placed_on(ends_mm, pool & images.keys(), report), key=lambda each: each[0])
        if not found:
            continue
        off, uid, frame, px = found[0]
        reach = max(PLANE_MM, (images[uid].frames[frame].thickness or 0.0) / 2)
        if off > reach:
            out_of_plane = True
            continue
        if len(found) > 1 and found[1][0] < off + SAME_PLANE_MM:
            raise _BadItemError("several images lie at these coordinates")
        return uid, frame, px
    if out_of_plane:
        raise _BadItemError("the line is not in the plane of an image")
    raise _BadItemError("no image of the export lies at these coordinates")


def _placed_on(
    ends_mm: np.ndarray, uids: Iterable[str], report: _Report
) -> Iterator[tuple[float, str, int, np.ndarray]]:
    """Yield the frames that a line projects into: distance in mm, SOP instance, frame and px."""
    for uid in uids:
        image = report.export.images[uid]
        height, width = image.shape_hw
        for number, frame in enumerate(image.frames):
            if frame.placed:
                px, off = frame.to_px(ends_mm)
                if (px >= -0.5).all() and (px <= (width - 0.5, height - 0.5)).all():
                    yield float(off.max()), uid, number, px


def _named_in(group: Any) -> set[str]:
    """Return the SOP instances of the images that a group names."""
    return {
        clean_uid(item.ReferencedSOPSequence[0].get("ReferencedSOPInstanceUID"))
        for item in _walk(group)
        if item.get("ValueType") == "IMAGE" and item.get("ReferencedSOPSequence")
    }


def _evidence(root: Any) -> set[str]:
    """Return the SOP instances that a report names as its evidence."""
    return {
        clean_uid(reference.get("ReferencedSOPInstanceUID"))
        for kind in ("CurrentRequestedProcedureEvidence", "PertinentOtherEvidence")
        for study in root.get(f"{kind}Sequence") or []
        for series in study.get("ReferencedSeriesSequence") or []
        for reference in series.get("ReferencedSOPSequence") or []
    }
