"""Why an object could not be written, in words that quote nothing of the files."""

from pydicom.datadict import keyword_for_tag, tag_for_keyword

LACKING = "its source lacks a value that the object needs"
MALFORMED = "a value of its source is not as DICOM defines it"
VALUES = {  # words of errors about a value, and the attributes that can have it
    "to 'TM' object": "StudyTime",
    "to 'DA' object": "StudyDate or PatientBirthDate",
    "PatientSexValues": "PatientSex",
}
KNOWN = {  # what highdicom and we raise, in words
    "Plane positions must not contain duplicates.": "several of its images have the same position",
    "Source images must have a shared orientation.": "its images have no orientation in common",
    "the image's directions in the patient are unknown": (
        "the image's directions in the patient are unknown"
    ),
    "the overlay is missing": "the overlay is missing",
}


def cause_of(error: Exception) -> str:
    """Return the cause of an error in words; its own text may quote the patient's data.

    Args:
        error: what a library raised.

    >>> cause_of(AttributeError("no KVP", name="KVP"))
    'its source lacks a value that the object needs (KVP)'
    >>> cause_of(ValueError("Unable to convert non-conformant value '12:00:00' to 'TM' object"))
    'a value of its source is not as DICOM defines it (StudyTime)'
    >>> cause_of(ValueError("J. Doe is no number"))
    'a value of its source is not as DICOM defines it (ValueError)'
    """
    if str(error) in KNOWN:
        return KNOWN[str(error)]
    if isinstance(error, OSError) and error.strerror:
        return f"a file of its source cannot be read ({error.strerror})"
    kind = type(error).__name__
    if isinstance(error, AttributeError | KeyError):
        return f"{LACKING} ({_keyword_of(error) or kind})"
    named = (names for words, names in VALUES.items() if words in str(error))
    return f"{MALFORMED} ({next(named, kind)})"


def _keyword_of(error: Exception) -> str:
    """Return the keyword of the attribute that is missing, or "" if the error is another one."""
    if isinstance(error, AttributeError):
        name = error.name or ""
        return name if tag_for_keyword(name) is not None else ""
    if isinstance(error, KeyError) and error.args and isinstance(error.args[0], int):
        return keyword_for_tag(error.args[0])
    return ""
