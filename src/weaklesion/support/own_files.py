"""Files that a program may write over, because it wrote them itself.

`own_files.sha256` in a folder lists them as `sha256sum` does. A file is listed before it is
written, with a digest of zeros, so that a killed program knows it as its own; its last line counts.
"""

import os
import stat
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath

from weaklesion.errors import DataError
from weaklesion.support.files import file_digest, written_whole
from weaklesion.support.listing import listed

LIST = "own_files.sha256"
CLAIMED = "0" * 64  # about to be written


class OwnFiles:
    """The files in one folder that a program wrote, and that nobody changed since."""

    def __init__(self, folder: str | Path) -> None:
        """Make the folder, and read its list, if any."""
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.list = self.folder / LIST
        self.digests: dict[str, str] = {}
        for line in self.list.read_text("utf-8").splitlines() if is_plain(self.list) else []:
            digest, _, name = line.partition("  ")
            if not PurePath(name).is_absolute() and ".." not in PurePath(name).parts:
                self.digests[name] = digest

    def check_free(self, names: Iterable[str]) -> None:
        """Check that files do not exist yet, or are the program's own.

        Raises:
            DataError: naming files that are not.
        """
        lost = [name for name in (*names, LIST) if not self._is_free(name)]
        if lost:
            raise DataError(
                f"{self.folder}: has {listed(lost)}, which this command did"
                " not write, or which was changed since. Give another --out folder, or move these"
                " files away."
            )

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """Yield a temporary path for a file of the folder, as `written_whole` does.

        Raises:
            DataError: if the file exists and is not the program's own.
        """
        self.check_free([name])
        self._note(name, CLAIMED)
        with written_whole(self.folder / name) as temporary:
            yield temporary
        self._note(name, file_digest(self.folder / name))

    def remove_others(self, kept: Collection[str]) -> None:
        """Remove own files that are not among `kept`."""
        for name in self.digests.keys() - set(kept):
            if is_plain(self.folder / name) and self._is_free(name):
                (self.folder / name).unlink()
        self.digests = {name: self.digests[name] for name in self.digests if name in kept}
        with written_whole(self.list) as temporary:
            temporary.write_text(
                "".join(f"{digest}  {name}\n" for name, digest in self.digests.items()), "utf-8"
            )

    def _is_free(self, name: str) -> bool:
        path = self.folder / name
        if not os.path.lexists(path) or (name == LIST and is_plain(path)):
            return True
        digest = self.digests.get(name)
        return is_plain(path) and digest is not None and digest in (CLAIMED, file_digest(path))

    def _note(self, name: str, digest: str) -> None:
        self.digests[name] = digest
        with self.list.open("a", encoding="utf-8") as stream:
            stream.write(f"{digest}  {name}\n")


def is_plain(path: Path) -> bool:
    """Return whether a path is a file, and no link."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False
