"""Locks of the kernel, and what happens on a file system that has none."""

import errno
import fcntl
import logging
from pathlib import Path

from weaklesion.errors import DataError

logger = logging.getLogger(__name__)

# Errors of file systems without locks, or without those of a folder or of a file only read.
NO_LOCKS = frozenset({errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL, errno.EBADF})


def try_lock(descriptor: int, path: Path, advice: str) -> bool:
    """Lock an open file or folder (flock), without waiting, until it is closed.

    The lock ends with its process, for whatever reason. Where the file system has no locks, a
    warning says so, and the caller goes on as if it held the lock.

    Args:
        descriptor: of the open file or folder.
        path: its path, for messages.
        advice: what the user should do where nothing can be locked, for the warning.

    Returns:
        False if another process holds the lock.

    Raises:
        DataError: if locking fails for another reason.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise DataError(
                f"{path}: cannot be locked ({error.strerror}). Use a folder on another disk."
            ) from error
        logger.warning("%s: no locks on this file system (%s): %s", path, error.strerror, advice)
    return True
