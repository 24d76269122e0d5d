"""The lock of a folder that `weaklesion segment` writes to."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from weaklesion.errors import DataError
from weaklesion.support.locks import try_lock


@contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Make a folder, and lock it while the block runs.

    The lock is the kernel's (flock), on the folder itself: it needs no file, and ends with its
    process. If the block fails, folders that were made and are still empty are removed.

    Raises:
        DataError: if another process holds the lock, or the folder cannot be made, written to or
            locked. On a file system without locks there is only a warning.
    """
    try:
        made = [path for path in (folder, *folder.parents) if not path.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileExistsError, NotADirectoryError) as error:
        raise DataError(f"{folder}: is not a folder. Give another --out folder.") from error
    except OSError as error:
        raise DataError(
            f"{folder}: cannot be made or opened ({error.strerror}). Give another --out folder."
        ) from error
    try:
        if not os.access(folder, os.W_OK | os.X_OK):
            raise DataError(
                f"{folder}: cannot be written to (permissions, or a read-only disk). Give"
                " another --out folder."
            )
        if not try_lock(descriptor, folder, "do not start a second call on it"):
            raise DataError(
                f"{folder}: another call of `weaklesion segment` is writing to this folder. Wait"
                " until it ends, or give a separate --out folder for each table."
            )
        yield
    except BaseException:
        with suppress(OSError):
            for path in made:
                path.rmdir()
        raise
    finally:
        os.close(descriptor)
