"""Headers of source images as results copy from them, and the text of results."""

import hashlib
from pathlib import Path
from typing import Any

from pydicom import Sequence

from weaklesion.dicom.headers import UNREADABLE, read_header

UTF_8 = "ISO_IR 192"
MAY_BE_EMPTY = (  # what highdicom wants to be there; de-identification often removes it
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime",
    "AccessionNumber", "StudyID", "SliceThickness",
)  # fmt: skip


def read_source(path: Path) -> Any:
    """Return the header of an image whose patient and study a result shares.

    Attributes that DICOM wants, though they may be empty (type 2), are empty where the file lacks
    them.

    Args:
        path: the file, which is not changed.

    Raises:
        UNREADABLE: if it is damaged.
    """
    header = read_header(path)
    # highdicom takes this set over, and knows not all others; what pydicom has read of the file, it
    # decodes by the file's own
    header.SpecificCharacterSet = UTF_8
    for name in MAY_BE_EMPTY:
        if name not in header:
            setattr(header, name, None)
    return header


def digest_of(header: Any) -> str:
    """Return a digest of all that a result may copy of a header as it was read.

    Args:
        header: the header, or an item of one of its sequences; private elements do not count.
    """
    digest = hashlib.sha256()
    for tag in sorted(header.keys()):
        if tag.is_private:
            continue
        try:
            value = header[tag].value
        except UNREADABLE:
            value = header.get_item(tag).value
        items = [digest_of(item) for item in value] if isinstance(value, Sequence) else value
        digest.update(repr((int(tag), items)).encode())
    return digest.hexdigest()


def in_utf_8(made: Any) -> Any:
    """Return a result with its text in UTF-8, whatever character sets it was copied from.

    Args:
        made: the result, which is changed.
    """
    made.SpecificCharacterSet = UTF_8
    for _ in made.iterall():  # decodes copied sequences, which are else written as they were read
        pass
    return made
