"""Write files so that an incomplete file can never be mistaken for a complete one.

A file is written under a temporary name in the same folder and then renamed. The digest of an array
is kept in `.<name>.sha256`: if a crash of the machine later truncates the array or fills it with
zeros, the next reader notices and removes it, so that the next run makes it again.
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
from numpy.lib.format import open_memmap

from weaklesion.errors import DataError


@contextmanager
def written_whole(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; rename it to `path` only if the block succeeds.

    The temporary path has the suffix of `path`, on which some libraries depend (`numpy.save`,
    `matplotlib`). The block may also create a directory.

    Raises:
        OSError: of the block, with `path` as its file if it names none, as of a full disk.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".part.{path.name}")
    _remove(temporary)
    try:
        yield temporary
    except BaseException as error:
        _remove(temporary)
        if isinstance(error, OSError) and error.errno is not None and error.filename is None:
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    if path.is_dir():
        shutil.rmtree(path)
    if path.suffix != ".npy":
        temporary.replace(path)
        return
    digest = file_digest(temporary)
    digest_file(path).unlink(missing_ok=True)
    temporary.replace(path)
    digest_file(path).write_text(digest + "\n")


def digest_file(path: str | Path) -> Path:
    """Return the path of an array's digest."""
    return Path(path).with_name(f".{Path(path).name}.sha256")


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_json(path: str | Path, content: dict[str, Any]) -> None:
    """Write `content` as indented JSON."""
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n")


def read_json(path: str | Path) -> Any:
    """Return the content of a JSON file."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def write_array(path: str | Path, array: np.ndarray) -> None:
    """Write `array` as .npy."""
    with written_whole(path) as temporary:
        np.save(temporary, array)


@contextmanager
def array_written(path: str | Path, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    """Yield a new uint8 array on the disk, to be filled; it is `path` if the block succeeds."""
    with written_whole(path) as temporary:
        array = open_memmap(temporary, "w+", dtype=np.uint8, shape=shape)
        yield array
        array.flush()


def read_array(path: str | Path, *, memory_map: bool = True) -> np.ndarray:
    """Open a .npy file, by default as a read-only memory map.

    Raises:
        DataError: if the file differs from its digest, in which case it is removed; or if a file
            without digest is not a complete .npy file.
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
                f"{path}: its bytes differ from those that were written, after a crash or on a full"
                " disk. It was removed: run again to rebuild it."
            )
    try:
        return np.load(path, mmap_mode="r" if memory_map else None, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise DataError(
            f"{path}: not a complete .npy file ({error}). Delete it and run again."
        ) from error


@lru_cache
def _digest_of(path: Path, mtime_ns: int, size: int) -> str:
    """Return the digest of a file, computed once until the file changes."""
    return file_digest(path)


def file_digest(path: str | Path, algorithm: str = "sha256") -> str:
    """Return the hexadecimal digest of a file's bytes."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()
