"""All marks that the documents of an export hold."""

from dataclasses import replace

from weaklesion.dicom.aim import NotAimError, marks_of_aim
from weaklesion.dicom.export import Document, Export, Skipped
from weaklesion.dicom.found import Found, FoundMark, Refused
from weaklesion.dicom.headers import MAKER, UNREADABLE, quiet, read_dataset
from weaklesion.dicom.presentation_states import marks_of_state
from weaklesion.dicom.structured_reports import marks_of_report


def find_marks(export: Export) -> Found:
    """Return the marks of all documents of an export.

    A document that cannot be read is added to what the export skips.

    Args:
        export: the export.

    Returns:
        The marks; and what is not used in the documents, with its cause.
    """
    marks: list[FoundMark] = []
    refused: list[Refused] = []
    with quiet():
        for document in export.documents:
            try:
                taken, left = _marks_of(document, export)
            except NotAimError as error:
                export.skipped.append(Skipped(document.file, "", document.kind, str(error)))
                continue
            except UNREADABLE as error:
                cause = f"damaged: it cannot be read ({type(error).__name__})"
                export.skipped.append(Skipped(document.file, document.uid, document.kind, cause))
                continue
            marks += taken
            refused += left
    return marks, refused


def _marks_of(document: Document, export: Export) -> Found:
    if document.kind in ("xml", "json"):
        return marks_of_aim(document.path, export)
    dataset = read_dataset(document.path, pixels=True)
    if str(dataset.get("Manufacturer") or "") == MAKER:
        cause = "a result of this program, not a mark"
        return [], [Refused(document.kind, document.uid, 0, "", cause)]
    find = marks_of_state if document.kind == "GSPS" else marks_of_report
    marks, refused = find(dataset, export)
    if document.uid in export.ambiguous:
        note = "a different document has the same UID"
        path = str(document.path)
        marks = [replace(mark, notes=(*mark.notes, note), document=path) for mark in marks]
    return marks, refused
