"""Lesions over studies: by columns of a table, `lesion` and `lymph_node`, and by tracking UIDs.

A mark of a table that is also in a document of the export keeps that document's tracking UID.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from weaklesion.dicom.export import Export
from weaklesion.dicom.found import FoundMark
from weaklesion.dicom.lines import ends_apart_px
from weaklesion.dicom.lymph_nodes import with_note_of_nodes
from weaklesion.errors import DataError
from weaklesion.support.reading import spelling_key

ROUNDED_PX = 0.5  # distance of ends up to which a mark of a table is that of a document


def with_document(mark: FoundMark, documents: Sequence[FoundMark]) -> FoundMark:
    """Return a mark of a table with what the export's own document says of the same mark.

    Ends may differ by `ROUNDED_PX`. Documents that name different lesions say nothing.

    Args:
        mark: the table's mark, with both diameters.
        documents: marks of the export's documents.
    """
    same = [
        each
        for each in documents
        if each.tracking_uid
        and (each.image_uid, each.frame) == (mark.image_uid, mark.frame)
        and ends_apart_px(each.ends, mark.ends[: len(each.ends)]) <= ROUNDED_PX
    ]
    if len({each.tracking_uid for each in same}) != 1:
        return mark
    return replace(
        mark,
        source_uid=same[0].source_uid,
        document=same[0].document,
        tracking_uid=same[0].tracking_uid,
        lesion=same[0].tracking_uid,
        node=any(each.node for each in same),
    )


def follow_lesions(
    marks_csv: str | Path, marks: Sequence[FoundMark], names: Mapping[int, str], export: Export
) -> list[FoundMark]:
    """Return the marks of a table with the lesions that the table names.

    Spellings of one name are one lesion of a patient. A lesion that has a tracking UID in one study
    keeps it in all of them.

    Args:
        marks_csv: the table, for messages.
        marks: its marks; `item` is the line.
        names: name of the lesion by line; lines without one may be absent.
        export: the export, for patients and studies.

    Raises:
        DataError: if a name occurs twice at one visit, or contradicts the tracking UIDs of the
            export. The message names the lines.
    """
    by_name: dict[tuple[str, str], list[FoundMark]] = defaultdict(list)
    by_uid: dict[tuple[str, str], list[FoundMark]] = defaultdict(list)
    for mark in marks:
        patient = export.images[mark.image_uid].patient
        if names.get(mark.item):
            by_name[patient, spelling_key(names[mark.item])].append(mark)
            if mark.tracking_uid:
                by_uid[patient, mark.tracking_uid].append(mark)
    for group in by_name.values():
        _refuse_twice(marks_csv, group, names, export)
        _refuse_two_uids(marks_csv, group, names)
    for group in by_uid.values():
        _refuse_two_names(marks_csv, group, names)
    lesion_of = {}
    for (patient, key), group in by_name.items():
        tracking = next((mark.tracking_uid for mark in group if mark.tracking_uid), "")
        for mark in group:
            lesion_of[mark.item] = replace(
                mark, tracking_uid=tracking, lesion=tracking or repr((patient, key))
            )
    return [lesion_of.get(mark.item, mark) for mark in marks]


def with_nodes(
    marks_csv: str | Path,
    marks: Sequence[FoundMark],
    names: Mapping[int, str],
    stated: Mapping[int, bool],
) -> list[FoundMark]:
    """Return the marks of a table with what it says of their lesions: lymph nodes or not.

    One row speaks for the whole lesion, against the documents of the export. Of a lesion of which
    no row says it, the documents do; a name that contains "node" then gets a note.

    Args:
        marks_csv: the table, for messages.
        marks: its marks, with their lesions; `item` is the line.
        names: name of the lesion by line.
        stated: whether the lesion is a lymph node, by line; only of lines that say it.

    Raises:
        DataError: if two lines contradict each other.
    """
    said: dict[str, FoundMark] = {}
    for mark in marks:
        if mark.lesion and mark.item in stated:
            first = said.setdefault(mark.lesion, mark)
            if stated[first.item] != stated[mark.item]:
                raise DataError(
                    f"{marks_csv}: lines {first.item} and {mark.item} are of one lesion, but one"
                    " says that it is a lymph node and the other that it is not. Correct one of"
                    " them."
                )
    of_documents = {mark.lesion for mark in marks if mark.node and mark.lesion}
    named = []
    for mark in marks:
        speaker = said.get(mark.lesion, mark)
        if speaker.item in stated:
            named.append(replace(mark, node=stated[speaker.item]))
        else:
            node = mark.node or mark.lesion in of_documents
            name = names.get(mark.item, "").casefold()
            named += with_note_of_nodes([replace(mark, node=node)], [name])
    return named


def _refuse_twice(
    marks_csv: str | Path, group: Sequence[FoundMark], names: Mapping[int, str], export: Export
) -> None:
    line_of_visit: dict[str, int] = {}
    for mark in group:
        image = export.images[mark.image_uid]
        first = line_of_visit.setdefault(image.day or image.study_uid, mark.item)
        if first != mark.item:
            raise DataError(
                f"{marks_csv}: lines {first} and {mark.item} both name the lesion"
                f" {names[mark.item]!r} at one visit (a study, or studies of one day). Give the"
                " lesions two names, or remove one of the lines."
            )


def _refuse_two_uids(
    marks_csv: str | Path, group: Sequence[FoundMark], names: Mapping[int, str]
) -> None:
    tracked = [mark for mark in group if mark.tracking_uid]
    for mark in tracked[1:]:
        if mark.tracking_uid != tracked[0].tracking_uid:
            raise DataError(
                f"{marks_csv}: lines {tracked[0].item} and {mark.item} both name the lesion"
                f" {names[mark.item]!r}, but the export gives their marks two tracking UIDs,"
                f" {tracked[0].tracking_uid} and {mark.tracking_uid}. Give the lesions two names,"
                " or empty `lesion` in one of the lines, which then follows its UID."
            )


def _refuse_two_names(
    marks_csv: str | Path, group: Sequence[FoundMark], names: Mapping[int, str]
) -> None:
    first = group[0]
    for mark in group[1:]:
        if spelling_key(names[mark.item]) != spelling_key(names[first.item]):
            raise DataError(
                f"{marks_csv}: lines {first.item} and {mark.item} name the lesions"
                f" {names[first.item]!r} and {names[mark.item]!r}, but the export gives their"
                f" marks one tracking UID, {mark.tracking_uid}. Give both lines one name, or empty"
                " `lesion` in both, which then follow the UID."
            )
