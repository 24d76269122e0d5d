"""Marks as they are found in documents, before their images are read."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.cluster.hierarchy import DisjointSet

from weaklesion.dicom.export import Export
from weaklesion.dicom.lines import Line, ends_of, length_mm, length_note, pair_lines


@dataclass(frozen=True)
class FoundMark:
    """A mark, or a single diameter, that a document holds.

    Attributes:
        source: `SR`, `GSPS`, `AIM` or `table`.
        source_uid: SOP instance or annotation that holds it, or "".
        item: its number in the source.
        image_uid: SOP instance of its image.
        frame: index of the frame, from 0.
        ends: (4, 2) both diameters, long first, or (2, 2) one; px from the centre of the first
            pixel.
        tracking_uid: UID that follows the lesion over time, or "".
        lesion: what tells the lesions of a patient apart; never written.
        notes: what is to be told of it.
        node: whether the document or the table says that the lesion is a lymph node.
        name: its id in a user's table, or "".
        other_lesions: what other documents that hold the same mark call its lesion.
        short_assumed: whether only the long diameter was drawn, and the short one is assumed.
        document: what tells its document apart where `source_uid` does not, because it is "" or
            also that of another one; never written.
    """

    source: str
    source_uid: str
    item: int
    image_uid: str
    frame: int
    ends: np.ndarray
    tracking_uid: str = ""
    lesion: str = ""
    notes: tuple[str, ...] = ()
    node: bool = False
    name: str = ""
    other_lesions: frozenset[str] = frozenset()
    short_assumed: bool = False
    document: str = ""


@dataclass(frozen=True)
class Refused:
    """Something in a document that is not used.

    Attributes:
        source: `SR`, `GSPS`, `AIM` or `table`.
        source_uid: SOP instance or annotation that holds it, or "".
        item: its number in the source.
        image_uid: SOP instance of its image, or "".
        cause: why it is not used.
        name: its id in a user's table, or "".
    """

    source: str
    source_uid: str
    item: int
    image_uid: str
    cause: str
    name: str = ""


Found = tuple[list[FoundMark], list[Refused]]


def joined_names(marks: Iterable[FoundMark]) -> DisjointSet:
    """Return the names of a patient's lesions; those that one mark has are names of one lesion."""
    names = DisjointSet()
    for mark in marks:
        names.add(mark.lesion)
        for other in mark.other_lesions:
            names.add(other)
            names.merge(mark.lesion, other)
    return names


def mark_of_axes(
    long: Line,
    short: Line | None,
    export: Export,
    *,
    source: str,
    source_uid: str,
    item: int,
    lesion: str = "",
    node: bool = False,
) -> FoundMark:
    """Return the mark of two diameters, or of one.

    Args:
        long: the long diameter.
        short: the short one on the same frame, or None.
        export: the export, for spacings.
        source: see `FoundMark`.
        source_uid: see `FoundMark`.
        item: see `FoundMark`.
        lesion: see `FoundMark`.
        node: see `FoundMark`.
    """
    given = [long] if short is None else [long, short]
    spacing = export.spacing_xy(long.image_uid, long.frame, ends_of(given))
    notes = [length_note(line, spacing) for line in (long, short) if line is not None]
    unit = spacing or (1.0, 1.0)
    if short is not None and length_mm(short.ends, unit) > length_mm(long.ends, unit) * 1.0001:
        long, short = short, long
        notes.append("the axis named short is the longer one, so the two were exchanged")
    ends = long.ends if short is None else np.concatenate([long.ends, short.ends])
    return FoundMark(
        source=source,
        source_uid=source_uid,
        item=item,
        image_uid=long.image_uid,
        frame=long.frame,
        ends=ends,
        tracking_uid=long.tracking_uid,
        lesion=lesion or long.tracking_uid,
        notes=tuple(dict.fromkeys(note for note in notes if note)),
        node=node,
    )


def marks_of_lines(
    lines: list[Line],
    export: Export,
    *,
    source: str,
    source_uid: str,
    first_item: int,
    lesion: str = "",
    node: bool = False,
) -> Found:
    """Return the marks of lines, paired where two of one frame cross almost at right angles.

    Args:
        lines: the lines.
        export: the export, for spacings.
        source: see `FoundMark`.
        source_uid: see `FoundMark`.
        first_item: number of the first mark.
        lesion: see `FoundMark`.
        node: see `FoundMark`.
    """
    places = dict.fromkeys((line.image_uid, line.frame) for line in lines)
    marks: list[FoundMark] = []
    refused: list[Refused] = []
    for place in places:
        here = [line for line in lines if (line.image_uid, line.frame) == place]
        unit = export.spacing_xy(*place, ends_of(here)) or (1.0, 1.0)
        pairs, alone, unclear = pair_lines(here, unit)
        for long, short in [*pairs, *((line, None) for line in alone)]:
            item = first_item + len(marks) + len(refused)
            marks.append(
                mark_of_axes(
                    long,
                    short,
                    export,
                    source=source,
                    source_uid=source_uid,
                    item=item,
                    lesion=lesion,
                    node=node,
                )
            )
        for line in unclear:
            item = first_item + len(marks) + len(refused)
            cause = "the line crosses several others, so its partner is unclear"
            refused.append(Refused(source, source_uid, item, line.image_uid, cause))
    return marks, refused
