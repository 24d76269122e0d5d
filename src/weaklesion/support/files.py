"""Write files so that a half-written one can never be taken for a whole one.

A file is written beside its place and renamed. Beside an array also lies the digest of what was
written, `.<name>.sha256`: what a crash of the machine cut off or filled with zeros after that is
found out by the next reader, and removed, so that the next run makes it again.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from weaklesion.errors import DataError


@contextmanager
def written_whole(path: str | Path) -> Iterator[Path]:
    """Yield a path beside `path`; rename it to `path` only if the block succeeds.

    The path that is yielded ends like `path`, so that libraries which look at the suffix
    (`numpy.save`, `matplotlib`) write to it as it is. A directory may be written as well.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".part.{path.name}")
    _remove(beside)
    try:
        yield beside
    except BaseException:
        _remove(beside)
        raise
    if path.is_dir():
        shutil.rmtree(path)
    if path.suffix != ".npy":
        beside.replace(path)
        return
    digest = file_digest(beside)
    digest_file(path).unlink(missing_ok=True)
    beside.replace(path)
    digest_file(path).write_text(digest + "\n")


def digest_file(path: str | Path) -> Path:
    """Return where the digest of an array is kept."""
    return Path(path).with_name(f".{Path(path).name}.sha256")


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_json(path: str | Path, content: dict[str, Any]) -> None:
    """Write `content` as indented JSON."""
    with written_whole(path) as beside:
        beside.write_text(json.dumps(content, indent=2) + "\n")


def write_array(path: str | Path, array: np.ndarray) -> None:
    """Write `array` as .npy."""
    with written_whole(path) as beside:
        np.save(beside, array)


def read_array(path: str | Path, *, memory_map: bool = True) -> np.ndarray:
    """Open a .npy file, as a read-only memory map unless told otherwise.

    Raises:
        DataError: if the file is not what was written, in which case it is removed; or, of another
            origin, is no complete .npy file.
    """
    path = Path(path)
    if digest_file(path).is_file():
        stat = path.stat()
        if (
            _digest_of(path, stat.st_mtime_ns, stat.st_size)
            != digest_file(path).read_text().strip()
        ):
            path.unlink(missing_ok=True)
            raise DataError(
                f"{path}: its bytes are not those that were written; a crash or a full disk spoilt "
                "it. It was removed: run again, and it is made anew."
            )
    try:
        return np.load(path, mmap_mode="r" if memory_map else None, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise DataError(
            f"{path}: not a complete .npy file ({error}). Delete it and run again."
        ) from error


@lru_cache
def _digest_of(path: Path, mtime_ns: int, size: int) -> str:
    """Digest of a file, computed once for as long as it does not change."""
    return file_digest(path)


def file_digest(path: str | Path, algorithm: str = "sha256") -> str:
    """Return the hexadecimal digest of a file's bytes."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()
