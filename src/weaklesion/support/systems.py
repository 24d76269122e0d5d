"""The operating systems on which WeakLesion runs."""

import sys

from weaklesion.errors import DataError


def refuse_windows(platform: str = sys.platform) -> None:
    """Refuse to run on Windows, which has no locks of parts of files (`fcntl`).

    Args:
        platform: as `sys.platform` has it.

    Raises:
        DataError: on Windows.
    """
    if platform in ("win32", "cygwin"):
        raise DataError(
            "WeakLesion runs on Linux and macOS, not on Windows itself: use the Windows Subsystem"
            " for Linux, where it runs as on Linux."
        )
