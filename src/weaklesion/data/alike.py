"""What is one thing under two names: spellings of a patient, and files of equal bytes."""

import logging
from collections.abc import Iterable
from pathlib import Path

from weaklesion.support.files import file_digest
from weaklesion.support.listing import listed
from weaklesion.support.reading import spelling_key

logger = logging.getLogger(__name__)

PART = 1 << 16  # bytes that are compared before whole files are


def one_spelling(names: Iterable[str], column: str) -> list[str]:
    """Return names, each in the spelling in which it came first; log those that had several.

    Args:
        names: names of patients or lesions.
        column: their column, for the log.
    """
    first: dict[str, str] = {}
    others: dict[str, str] = {}
    spelt = []
    for name in names:
        spelt.append(first.setdefault(spelling_key(name), name))
        if spelt[-1] != name:
            others[name] = spelt[-1]
    if others:
        logger.warning(
            "%s: names that barely differ are treated as one: %s. If they are two patients or"
            " lesions, rename one",
            column,
            listed([f"{name!r} is {one!r}" for name, one in others.items()]),
        )
    return spelt


def equal_files(paths: Iterable[Path]) -> list[list[Path]]:
    """Return the groups of files that have the same bytes; files that cannot be read are left out.

    Only files of equal size and an equal part in their middle are read whole.
    """
    groups: list[list[Path]] = [sorted(set(paths))]
    for identify in (lambda path: path.stat().st_size, _middle, file_digest):
        parts = []
        for group in groups:
            by_content: dict[object, list[Path]] = {}
            for path in group:
                try:
                    by_content.setdefault(identify(path), []).append(path)
                except OSError:
                    continue
            parts += [part for part in by_content.values() if len(part) > 1]
        groups = parts
    return groups


def _middle(path: Path) -> bytes:
    with path.open("rb") as stream:
        stream.seek(path.stat().st_size // 2)
        return stream.read(PART)
