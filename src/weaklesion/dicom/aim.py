"""Marks in annotations of AIM 3 and 4, as XML or JSON.

AIM states no origin of its coordinates. Its models copy them to and from SCOORD unchanged, so they
count from the corner of the first pixel, as there.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from weaklesion.dicom.export import Export, from_utf_16
from weaklesion.dicom.found import Found, FoundMark, Refused, marks_of_lines
from weaklesion.dicom.geometry import CORNER
from weaklesion.dicom.headers import UNREADABLE, clean_uid, single
from weaklesion.dicom.lines import CM, Line, ends_of, pair_lines
from weaklesion.dicom.lymph_nodes import is_code_of_lymph_node, with_note_of_nodes
from weaklesion.marks.table import BadMarkError

MOST_BYTES = 50_000_000
SHAPES = ("GeometricShape", "MarkupEntity")
LINES = ("Polyline", "MultiPoint", "TwoDimensionPolyline", "TwoDimensionMultiPoint")
COORDINATES = ("SpatialCoordinate", "TwoDimensionSpatialCoordinate")
CALCULATIONS = ("Calculation", "CalculationEntity")
SITES = ("ImagingPhysicalEntity", "AnatomicEntity")
FINDINGS = ("ImagingObservationEntity", "ImagingObservation")
LENGTHS = {"G-D7FE", "G-A22A", "410668003", "G-A185", "103339001"}
NO_AIM = "no AIM annotation"
WORD_SEPARATOR = "~"  # ePAD writes more after the lesion's name


class NotAimError(ValueError):
    """A text file that is not an AIM annotation; the message is the cause."""


def marks_of_aim(path: Path, export: Export) -> Found:
    """Return the marks of a file of AIM annotations.

    Args:
        path: XML or JSON.
        export: the export, for geometry.

    Returns:
        The marks; and what is not used, with its cause.

    Raises:
        NotAimError: if the file is not one.
    """
    root = _read(path)
    annotations = [each for each in _walk(root) if each.tag == "ImageAnnotation"]
    if not annotations:
        raise NotAimError(NO_AIM)
    marks: list[FoundMark] = []
    refused: list[Refused] = []
    for number, annotation in enumerate(annotations):
        uid = clean_uid(_value(annotation, "uniqueIdentifier"))
        first = len(marks) + len(refused) + 1
        try:
            taken, left = _marks_of_annotation(annotation, uid, export, first)
        except UNREADABLE as error:
            cause = f"the annotation is damaged ({type(error).__name__})"
            taken, left = [], [Refused("AIM", uid, first, "", cause)]
        if not uid:  # some programs give no UID, or one of hexadecimal digits
            taken = [replace(mark, document=f"{path}, {number}") for mark in taken]
        marks += taken
        refused += left
    return marks, refused


def _read(path: Path) -> ElementTree.Element:
    """Read XML or JSON as one kind of tree, without namespaces."""
    if path.stat().st_size > MOST_BYTES:
        raise NotAimError("a text file of more than 50 MB")
    stored = path.read_bytes()
    content = from_utf_16(stored)
    converted = content is not stored  # its declaration names UTF-16 then
    content = content.removeprefix(b"\xef\xbb\xbf").strip()
    if content.startswith((b"{", b"[")):
        try:
            return _element("root", {"annotations": json.loads(content)})
        except (ValueError, RecursionError) as error:
            raise NotAimError("damaged JSON") from error
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise NotAimError("XML that defines entities")
    try:
        parser = ElementTree.XMLParser(encoding="utf-8" if converted else None)
        root = ElementTree.fromstring(content, parser)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise NotAimError("damaged XML") from error
    for each in _walk(root):
        each.tag = str(each.tag).rpartition("}")[2]
        for name in list(each.attrib):
            each.attrib[name.rpartition("}")[2].rpartition(":")[2]] = each.attrib.pop(name)
    return root


def _element(tag: str, content: Any) -> ElementTree.Element:
    """Return JSON as the XML that it stands for."""
    element = ElementTree.Element(tag.rpartition(":")[2])
    for name, value in content.items() if isinstance(content, dict) else ():
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, dict):
                element.append(_element(name, each))
            elif each is not None:
                element.set(name.rpartition(":")[2], str(each))
    return element


def _walk(root: ElementTree.Element) -> Iterator[ElementTree.Element]:
    """Yield the elements of a tree; comments have no name."""
    return (each for each in root.iter() if isinstance(each.tag, str))


def _value(element: ElementTree.Element, name: str) -> str:
    """Return a field: an attribute (AIM 3), or a child's value or root (AIM 4)."""
    for key in (name, name.replace("Uid", "UID")):
        if key in element.attrib:
            return element.attrib[key]
        child = element.find(key)
        if child is not None:
            return child.get("value") or child.get("root") or child.get("extension") or ""
    return ""


def _marks_of_annotation(
    annotation: ElementTree.Element, uid: str, export: Export, first: int
) -> Found:
    images = [
        clean_uid(_value(each, "sopInstanceUid"))
        for each in _walk(annotation)
        if each.tag == "Image"
    ]
    tracking = clean_uid(_value(annotation, "trackingUniqueIdentifier"))
    name = _value(annotation, "name").partition(WORD_SEPARATOR)[0].strip().casefold()
    stored = _stored_length(annotation)
    lines: list[Line] = []
    causes: list[str] = []
    shapes = [each for each in _walk(annotation) if each.tag in SHAPES]
    for shape in shapes:
        try:
            lines += _lines_of_shape(shape, images, export, tracking, stored)
        except BadMarkError as error:
            causes.append(str(error))
    if len(shapes) > 1:  # which of them was measured is not said
        lines = [Line(line.ends, line.image_uid, line.frame, line.tracking_uid) for line in lines]
    entities = _codes_of_entities(annotation)
    marks, refused = marks_of_lines(
        lines,
        export,
        source="AIM",
        source_uid=uid,
        first_item=first,
        lesion=tracking or name,
        node=any(is_code_of_lymph_node(*code) for code in entities),
    )
    marks = with_note_of_nodes(marks, [name, *(meaning for *_, meaning in entities)])
    after = first + len(marks) + len(refused)
    causes += [] if shapes else ["the annotation has no shape"]
    refused += [Refused("AIM", uid, after + i, "", cause) for i, cause in enumerate(causes)]
    return marks, refused


def _lines_of_shape(
    shape: ElementTree.Element,
    images: Sequence[str],
    export: Export,
    tracking: str,
    stored: float | None,
) -> list[Line]:
    """Return the line of a shape, or both diameters.

    Args:
        shape: the shape.
        images: UIDs of the annotation's images; a shape that names none is on the only one.
        export: the export.
        tracking: UID of the lesion.
        stored: length that the annotation states, which is that of the first line.

    Raises:
        BadMarkError: if the shape is neither of these, or it is unknown where it is.
    """
    points = [each for each in _walk(shape) if each.tag in COORDINATES]
    if shape.get("type") not in LINES or len(points) not in (2, 4):
        raise BadMarkError("a shape that is not a line of two points")
    points.sort(key=lambda each: int(single(_value(each, "coordinateIndex")) or 0))
    ends = np.array([[float(_value(each, axis)) for axis in "xy"] for each in points])
    if not np.isfinite(ends).all():
        raise BadMarkError("coordinates that are not finite")

    def reference(name: str) -> str:
        return _value(shape, name) or _value(points[0], name)

    image = clean_uid(reference("imageReferenceUid"))
    if not image and len(set(images)) != 1:
        raise BadMarkError("a line without an image")
    number = single(reference("referencedFrameNumber"))
    uid = image or images[0]
    frame = export.frame_number(uid, [] if number is None else [int(number)])
    if frame is None:
        raise BadMarkError("a line on several frames")
    parts = [ends] if len(ends) == 2 else [ends[:2], ends[2:]]
    lengths = [stored, *[None] * (len(parts) - 1)]
    lines = [
        Line(part - CORNER, uid, frame, tracking, length, "mm" if length else "")
        for part, length in zip(parts, lengths, strict=True)
    ]
    unit = export.spacing_xy(uid, frame, ends_of(lines)) or (1.0, 1.0)
    if len(lines) == 2 and not pair_lines(lines, unit)[0]:
        raise BadMarkError("four points that are not two crossing diameters")
    return lines


def _codes_of_entities(annotation: ElementTree.Element) -> list[tuple[str, str, str]]:
    """Return scheme, value and meaning (casefolded) of the codes of sites and findings."""
    codes = []
    for each in _walk(annotation):
        if each.tag not in SITES + FINDINGS or _value(each, "isPresent").casefold() == "false":
            continue
        meaning = each.get("codeMeaning", "").casefold()
        codes.append((each.get("codingSchemeDesignator", ""), each.get("codeValue", ""), meaning))
        for code in each.findall("typeCode"):
            meaning = _value(code, "displayName").casefold()
            codes.append((code.get("codeSystemName", ""), code.get("code", ""), meaning))
    return codes


def _stored_length(annotation: ElementTree.Element) -> float | None:
    """Return the length that the annotation states, in mm or in a unit that it does not name."""
    for each in _walk(annotation):
        if each.tag not in CALCULATIONS:
            continue
        codes = {each.get("codeValue", "")}
        codes |= {code.get("code", "") for code in each.findall("typeCode")}
        data = next((one for one in _walk(each) if one.tag == "CalculationData"), None)
        result = next((one for one in _walk(each) if one.tag == "CalculationResult"), None)
        if codes & LENGTHS and data is not None and result is not None:
            length = single(_value(data, "value"))
            factor = CM if _value(result, "unitOfMeasure").casefold() == "cm" else 1.0
            return None if length is None else length * factor
    return None
