"""Headers of source images as results copy from them, and the text of results."""

from pathlib import Path
from typing import Any

from weaklesion.dicom.headers import read_header

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


def in_utf_8(made: Any) -> Any:
    """Return a result with its text in UTF-8, whatever character sets it was copied from.

    Args:
        made: the result, which is changed.
    """
    made.SpecificCharacterSet = UTF_8
    for _ in made.iterall():  # decodes copied sequences, which are else written as they were read
        pass
    return made
