"""Read DICOM headers: quietly, because messages of the reader may quote a patient's data."""

import io
import logging
import re
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pydicom
from pydicom import config
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

# What a damaged or unusual file raises somewhere in the reader, or when a value is used
UNREADABLE = (
    ArithmeticError,
    AttributeError,
    BytesLengthException,
    EOFError,
    InvalidDicomError,
    LookupError,
    NotImplementedError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
)
MAKER = "WeakLesion"  # manufacturer of what we write; its reports are not marks
PREAMBLE = 128  # bytes before the letters DICM
UID_FORM = re.compile(r"[0-9]+(\.[0-9]+)+")
LONGEST_UID = 64


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the reader's warnings and log, which quote values of the files."""
    loggers = [logging.getLogger(name) for name in ("pydicom", "highdicom")]
    levels = [logger.level for logger in loggers]
    mode = config.settings.reading_validation_mode
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    config.settings.reading_validation_mode = config.IGNORE
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        config.settings.reading_validation_mode = mode
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def looks_like_dicom(start: bytes) -> bool:
    """Return whether a file's first bytes are those of DICOM, with or without a preamble.

    Args:
        start: at least 132 bytes, if the file has so many.

    >>> looks_like_dicom(bytes(128) + b"DICM"), looks_like_dicom(b"GIF89a")
    (True, False)
    """
    if start[PREAMBLE : PREAMBLE + 4] == b"DICM":
        return True
    return start[:2] in (b"\x02\x00", b"\x08\x00") and start[3:4] == b"\x00"


class Clipped(io.BufferedReader):
    """A file that asks for no more memory than it has bytes left.

    A damaged element may claim to be 4 GiB long, and Python would reserve them before it reads.
    """

    def __init__(self, path: Path) -> None:
        """Open a file."""
        super().__init__(io.FileIO(path))
        self.size = path.stat().st_size

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the next bytes, as many as there are at most."""
        left = max(0, self.size - self.tell())
        return super().read(left if size is None or not 0 <= size <= left else size)


def read_dataset(path: Path, *, pixels: bool) -> Any:
    """Return the dataset of a file.

    SOP class and instance that it lacks are those of the file's own header (group 0002).

    Args:
        path: the file; it may lack DICOM's preamble.
        pixels: whether to read its pixels as well.

    Raises:
        UNREADABLE: if it is damaged.
    """
    with Clipped(path) as stream:
        dataset = pydicom.dcmread(stream, stop_before_pixels=not pixels, force=True)
    meta = getattr(dataset, "file_meta", None) or {}
    for name in ("SOPClassUID", "SOPInstanceUID"):
        stated = meta.get(f"MediaStorage{name}")
        if stated and not dataset.get(name):
            setattr(dataset, name, stated)
    return dataset


def syntax_of(dataset: Any) -> UID:
    """Return the transfer syntax by which a dataset was read, which its file does not state."""
    implicit, little = dataset.original_encoding
    if not little:
        return ExplicitVRBigEndian
    return ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian


def read_header(path: Path) -> Any:
    """Return the dataset of a file without its pixels.

    Raises:
        UNREADABLE: if it is damaged.
    """
    return read_dataset(path, pixels=False)


def clean_uid(value: Any) -> str:
    """Return a UID, or "" for anything else, which might be a person's words.

    >>> clean_uid("1.2.840.10008.1.2"), clean_uid("Lesion of J. Doe"), clean_uid(None)
    ('1.2.840.10008.1.2', '', '')
    """
    text = str(value or "").strip().rstrip("\0")
    return text if len(text) <= LONGEST_UID and UID_FORM.fullmatch(text) else ""


def numbers(value: Any, count: int) -> tuple[float, ...] | None:
    """Return a tag's value as finite numbers; None if it has another count of them, or none."""
    if value is None or isinstance(value, str | bytes):
        return None
    try:
        values = tuple(float(each) for each in value)
    except (TypeError, ValueError):
        return None
    finite = all(abs(each) < float("inf") for each in values)
    return values if len(values) == count and finite else None


def single(value: Any) -> float | None:
    """Return a tag's value as one finite number (the first of several), or None."""
    if isinstance(value, pydicom.multival.MultiValue | list | tuple):
        value = value[0] if len(value) else None
    try:
        result = float(value)
    except (TypeError, ValueError):
        return None
    return result if abs(result) < float("inf") else None


def integers(holder: Any, name: str) -> list[int]:
    """Return a tag's value as a list of integers; an empty one where it has no value.

    Raises:
        ValueError: if a value is not a number.
    """
    value = holder.get(name)
    if value is None or value == "":
        return []
    several = isinstance(value, pydicom.multival.MultiValue | list | tuple)
    return [int(each) for each in (value if several else [value])]


def code_of(item: Any, sequence: str = "ConceptNameCodeSequence") -> tuple[str, str, str]:
    """Return scheme, value and meaning of a code; empty words without one."""
    codes = item.get(sequence)
    if not codes:
        return "", "", ""
    code = codes[0]
    value = code.get("CodeValue") or code.get("LongCodeValue") or ""
    meaning = str(code.get("CodeMeaning") or "").strip().casefold()
    return str(code.get("CodingSchemeDesignator") or ""), str(value), meaning
