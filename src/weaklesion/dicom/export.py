"""Walk an export from a PACS, and index what is in it by SOP instance."""

import codecs
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from weaklesion.dicom.geometry import Frame
from weaklesion.dicom.headers import (
    PREAMBLE,
    UNREADABLE,
    clean_uid,
    looks_like_dicom,
    quiet,
    read_header,
    single,
)
from weaklesion.dicom.image_objects import ImageObject, read_image_object, with_patients
from weaklesion.dicom.ultrasound import spacing_in
from weaklesion.errors import DataError

logger = logging.getLogger(__name__)

CHUNK = 1 << 20  # bytes that are compared at once
START = 4096  # bytes of a file that tell its kind
SR = "1.2.840.10008.5.1.4.1.1.88."
NOT_MARKS = {SR + "59", SR + "40"}  # key objects, procedure log
PRESENTATION = "1.2.840.10008.5.1.4.1.1.11."
DIRECTORY = "1.2.840.10008.1.3.10"
WITHOUT_MARKS = {
    "1.2.840.10008.5.1.4.1.1.66.4": "a segmentation has no marks",
    "1.2.840.10008.5.1.4.1.1.66.7": "a segmentation has no marks",
    "1.2.840.10008.5.1.4.1.1.481.3": "an RT structure set has contours, not marks",
}
TRUNCATED_BEFORE = "the other file is a truncated copy"
DIFFERENT = "its UID is also that of a different file"
OTHER = "neither DICOM, XML nor JSON"
LINK = "a link to a folder, which is not followed"
TEXT_KINDS = {"<": "xml", "{": "json", "[": "json"}


@dataclass(frozen=True)
class Skipped:
    """A file that gives neither image nor marks.

    Attributes:
        file: its number among all files, sorted by path: paths may name a patient.
        uid: SOP instance, or "".
        kind: of the object, in the standard's words, or of the file.
        cause: why it is skipped.
    """

    file: int
    uid: str
    kind: str
    cause: str


@dataclass(frozen=True)
class Document:
    """A file that may hold marks.

    Attributes:
        path: the file.
        file: its number among all files, sorted by path.
        uid: SOP instance, or "".
        kind: `SR`, `GSPS`, `xml` or `json`.
    """

    path: Path
    file: int
    uid: str
    kind: str


@dataclass
class Export:
    """What is in a folder.

    Attributes:
        folder: the folder.
        images: by SOP instance.
        documents: files that may hold marks.
        skipped: files that hold neither.
        ambiguous: SOP instances that two different files claim to be.
        paths: SOP instance of each DICOM file, also of copies.
    """

    folder: Path
    images: dict[str, ImageObject] = field(default_factory=dict)
    documents: list[Document] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    ambiguous: set[str] = field(default_factory=set)
    paths: dict[Path, str] = field(default_factory=dict)

    def frame_of(self, uid: str, frame: int) -> Frame | None:
        """Return the geometry of a frame; None if the export has no such frame."""
        image = self.images.get(uid)
        return image.frames[frame] if image and 0 <= frame < len(image.frames) else None

    def frame_number(self, uid: str, numbers: Sequence[int]) -> int | None:
        """Return the index of the frame that a reference names.

        Args:
            uid: SOP instance.
            numbers: the frames that the reference names, from 1. One that names none means all.

        Returns:
            The index, from 0; None where it is not one frame. An image that the export lacks
            counts as one frame.
        """
        if numbers:
            return max(0, numbers[0] - 1) if len(numbers) == 1 else None
        image = self.images.get(uid)
        return 0 if image is None or len(image.frames) == 1 else None

    def spacing_xy(self, uid: str, frame: int, points: np.ndarray) -> tuple[float, float] | None:
        """Return mm per px of x and y of a frame where a mark is, or None if unknown.

        Args:
            uid: SOP instance.
            frame: index of the frame, from 0.
            points: (n, 2) ends of the mark, px. Ultrasound has a spacing per region.
        """
        geometry = self.frame_of(uid, frame)
        if geometry is None:
            return None
        if geometry.spacing_rc is not None:
            return geometry.spacing_rc[1], geometry.spacing_rc[0]
        regions = self.images[uid].regions
        return spacing_in(regions, points)[0] if regions else None

    def spacing_note(self, uid: str, points: np.ndarray) -> str:
        """Return why a mark has no mm, for ultrasound regions and detectors; else ""."""
        image = self.images[uid]
        return spacing_in(image.regions, points)[1] if image.regions else image.detector_note


def read_export(folder: str | Path) -> Export:
    """Walk a folder of any nesting, and index its objects.

    A file without suffix or preamble, and one in a folder of another series, counts as any other;
    a DICOMDIR is not needed.

    Args:
        folder: the export.

    Raises:
        DataError: if it is not a folder. A bad file is only skipped, with its cause.
    """
    export = Export(Path(folder))
    if not export.folder.is_dir():
        raise DataError(f"{folder}: is not a folder. Give the folder of the export.")
    owners: dict[str, tuple[int, Path]] = {}
    with quiet():
        for number, path in enumerate(_files(export.folder), start=1):
            try:
                _read_file(export, number, path, owners)
            except UNREADABLE as error:
                # the error's text may quote the patient's data
                cause = f"damaged: it cannot be read ({type(error).__name__})"
                export.skipped.append(Skipped(number, "", "file", cause))
    export.images = with_patients(export.images)
    logger.info(
        "the export has %d image objects, %d documents that may hold marks, %d other files",
        len(export.images),
        len(export.documents),
        len(export.skipped),
    )
    return export


def from_utf_16(content: bytes) -> bytes:
    """Return text in UTF-8, if its byte order mark is that of UTF-16; else as it is.

    >>> from_utf_16("<a/>".encode("utf-16")), from_utf_16(b"<a/>")
    (b'<a/>', b'<a/>')
    """
    if not content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content
    return content.decode("utf-16", errors="replace").encode()


def _files(folder: Path) -> Iterator[Path]:
    """Yield all files of a folder, sorted; and folders that are links or cannot be read."""
    unread: list[Path] = []
    for root, folders, names in os.walk(folder, onerror=lambda e: unread.append(Path(e.filename))):
        folders.sort()
        links = [name for name in folders if os.path.islink(os.path.join(root, name))]
        for name in sorted([*names, *links]):
            yield Path(root) / name
    yield from unread


def _read_file(
    export: Export, number: int, path: Path, owners: dict[str, tuple[int, Path]]
) -> None:
    """Add one file to the index."""
    if not path.is_file():
        cause = "no regular file"
        if path.is_dir():
            cause = LINK if path.is_symlink() else "a folder that cannot be read"
        export.skipped.append(Skipped(number, "", "file", cause))
        return
    with path.open("rb") as file:
        start = file.read(START)
    if not looks_like_dicom(start):
        letters = from_utf_16(start).lstrip(b"\xef\xbb\xbf \t\r\n")[:1].decode("latin-1")
        kind = TEXT_KINDS.get(letters)
        if kind is None:
            cause = "empty" if not start else OTHER
            export.skipped.append(Skipped(number, "", "file", cause))
        else:
            export.documents.append(Document(path, number, "", kind))
        return
    header = read_header(path)
    sop_class = clean_uid(header.get("SOPClassUID"))
    uid = clean_uid(header.get("SOPInstanceUID"))
    if sop_class == DIRECTORY or "DirectoryRecordSequence" in header:
        export.skipped.append(
            Skipped(number, "", "DICOMDIR", "not needed: its files are found without it")
        )
        return
    kind = _class_name(sop_class)
    if not sop_class or not uid:
        whole = start[PREAMBLE : PREAMBLE + 4] == b"DICM"
        cause = "the UID of its SOP class or instance is missing or invalid" if whole else OTHER
        export.skipped.append(Skipped(number, uid, kind, cause))
        return
    export.paths[path] = uid
    if uid in owners:
        cause = _twin(path, owners[uid][1])
        if cause != TRUNCATED_BEFORE:
            is_document = any(each.uid == uid for each in export.documents)
            if cause == DIFFERENT:
                export.ambiguous.add(uid)
            if cause != DIFFERENT or not is_document:  # different documents are both read
                export.skipped.append(Skipped(number, uid, kind, cause))
                return
        else:
            _drop(export, uid, owners[uid][0])
    owners[uid] = number, path
    if sop_class.startswith(SR) and sop_class not in NOT_MARKS:
        export.documents.append(Document(path, number, uid, "SR"))
    elif sop_class.startswith(PRESENTATION):
        export.documents.append(Document(path, number, uid, "GSPS"))
    elif sop_class in WITHOUT_MARKS:
        export.skipped.append(Skipped(number, uid, kind, WITHOUT_MARKS[sop_class]))
    elif single(header.get("Rows")) and single(header.get("Columns")):
        export.images[uid] = read_image_object(path, header)
    else:
        cause = "neither an image nor a kind of object that has marks"
        export.skipped.append(Skipped(number, uid, kind, cause))


def _twin(path: Path, first: Path) -> str:
    """Return what a second file of one SOP instance is in relation to the first one."""
    with path.open("rb") as here, first.open("rb") as there:
        while True:
            one, other = here.read(CHUNK), there.read(CHUNK)
            if one != other:
                break
            if not one:
                return "a copy of another file"
        if other.startswith(one) and not here.read(1):
            return "a truncated copy of another file"
        return TRUNCATED_BEFORE if one.startswith(other) and not there.read(1) else DIFFERENT


def _drop(export: Export, uid: str, number: int) -> None:
    """Forget a file that turns out to be a truncated copy of a later one."""
    export.images.pop(uid, None)
    export.skipped = [each for each in export.skipped if each.uid != uid]
    for document in [each for each in export.documents if each.uid == uid]:
        export.documents.remove(document)
    export.skipped.append(Skipped(number, uid, "file", "a truncated copy of another file"))


def _class_name(sop_class: str) -> str:
    """Return the standard's name of a SOP class; its UID for a private one."""
    from pydicom.uid import UID, UID_dictionary

    return str(UID(sop_class).name) if sop_class in UID_dictionary else sop_class or "DICOM"
