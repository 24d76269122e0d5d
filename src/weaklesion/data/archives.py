"""Unpack zip and tar archives safely: completely or not at all, and never outside a folder."""

import bz2
import errno
import gzip
import logging
import lzma
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from weaklesion.errors import DataError
from weaklesion.support.files import written_whole
from weaklesion.support.listing import listed
from weaklesion.support.progress import progress
from weaklesion.support.reading import cause_of

logger = logging.getLogger(__name__)

OF_NAMES = (errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ)  # names that no file can have
COMPRESSED = (gzip.GzipFile, bz2.BZ2File, lzma.LZMAFile)
BLOCK = 1 << 20  # bytes


class _CheckedEntry(tarfile.TarInfo):
    """An entry of a tar archive; a damaged header is an error, not the archive's end."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_CheckedEntry":
        try:
            return super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if not any(buf):  # the end
                raise
            raise tarfile.ReadError(f"damaged header: {error}") from error


@dataclass(frozen=True)
class _Entry:
    """One file of an archive."""

    name: str
    size: int
    is_link: bool
    is_encrypted: bool
    handle: zipfile.ZipInfo | tarfile.TarInfo


def list_members(archive: str | Path) -> list[str]:
    """Return the names of an archive's files.

    Raises:
        DataError: if the archive is missing or damaged.
    """
    with _opened(Path(archive)) as bundle:
        return [entry.name for entry in _entries(bundle)]


def extract(
    archive: str | Path, destination: str | Path, members: Iterable[str] | None = None
) -> list[Path]:
    """Unpack a zip or tar archive into the folder `destination`, completely or not at all.

    Entries under `__MACOSX/` are macOS bookkeeping and are left out unless named in `members`.

    Args:
        archive: a zip file, or a tar file, compressed or not.
        destination: the folder to create. An existing one is replaced if it holds only
            entries of the archive, unchanged.
        members: names of the entries to unpack; all files by default.

    Returns:
        The unpacked files, in the archive's order.

    Raises:
        DataError: if the archive is missing, truncated or encrypted, does not fit the disk, lacks
            a member, has one twice, or has an entry that would be written outside `destination`
            (absolute, `..`, a link) or is larger than the archive says; or if `destination` is a
            file, or holds the archive or anything that is not of the archive.
    """
    archive, destination = Path(archive), Path(destination)
    with _opened(archive) as bundle:
        everything = list(_entries(bundle))
        entries = _chosen(everything, archive, members)
        for entry in entries:
            _check_entry(entry, archive)
        _check_destination(destination, archive, bundle, everything)
        with written_whole(destination.resolve()) as temporary:
            _check_space(entries, archive, destination.resolve())
            temporary.mkdir()
            for entry in progress(entries, total=len(entries), what=f"unpacking {archive.name}"):
                _unpack(bundle, entry, archive, temporary / entry.name)
    logger.info("unpacked %d files of %s to %s", len(entries), archive, destination)
    return [destination / entry.name for entry in entries]


def _unpack(
    bundle: zipfile.ZipFile | tarfile.TarFile, entry: _Entry, archive: Path, target: Path
) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _open_entry(bundle, entry) as source, target.open("xb") as sink:
            shutil.copyfileobj(source, sink, BLOCK)
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise DataError(
            f"{archive}: entry {entry.name!r} occurs twice, or is both a file and a folder. Do not"
            " use this archive."
        ) from error
    if target.stat().st_size != entry.size:
        raise DataError(
            f"{archive}: entry {entry.name!r} has {target.stat().st_size} bytes, but the archive"
            f" says {entry.size}. Do not use this archive."
        )


@contextmanager
def _opened(archive: Path) -> Iterator[zipfile.ZipFile | tarfile.TarFile]:
    """Open an archive; damage, detected now or while it is read, is a DataError."""
    if not archive.is_file():
        raise DataError(f"{archive}: no such archive. Fetch it first.")
    try:
        if archive.name.casefold().endswith(".zip"):
            with zipfile.ZipFile(archive) as zip_file:
                yield zip_file
        else:
            with tarfile.open(archive, tarinfo=_CheckedEntry) as tar_file:
                yield tar_file
    except DataError:
        raise
    except Exception as error:  # libraries raise much more than their documented errors
        if isinstance(error, OSError) and error.errno not in (None, *OF_NAMES):
            raise  # of this machine, such as a full disk
        raise DataError(
            f"{archive}: damaged archive ({cause_of(error)}). Delete it and fetch it again."
        ) from error


def _entries(bundle: zipfile.ZipFile | tarfile.TarFile) -> Iterator[_Entry]:
    if isinstance(bundle, zipfile.ZipFile):
        if not bundle.infolist():  # what is left of a table of contents whose size became 0
            raise zipfile.BadZipFile("it lists no file")
        for info in bundle.infolist():
            if not info.is_dir():
                is_link = stat.S_ISLNK(info.external_attr >> 16)
                encrypted = bool(info.flag_bits & 0x1)
                yield _Entry(info.filename, info.file_size, is_link, encrypted, info)
    else:
        for member in bundle:
            if not member.isdir():
                yield _Entry(member.name, member.size, not member.isfile(), False, member)
        _check_end(bundle)


def _check_end(bundle: tarfile.TarFile) -> None:
    """Refuse a tar archive that goes on after its end, or has none; verify its compression.

    Its last header was read, so that the file is behind the first block of zeros, or at its end.

    Raises:
        tarfile.ReadError: if anything but zeros follows, or an archive that is not compressed has
            no end, so that it may be truncated.
    """
    stream: Any = bundle.fileobj
    if stream.tell() == bundle.offset and not isinstance(stream, COMPRESSED):
        raise tarfile.ReadError("its end is missing, so it may be truncated")
    while block := stream.read(BLOCK):  # to the end of the file, where its checksum is
        if any(block):
            raise tarfile.ReadError("it has data after its end")


def _open_entry(bundle: zipfile.ZipFile | tarfile.TarFile, entry: _Entry) -> IO[bytes]:
    if isinstance(bundle, zipfile.ZipFile):
        assert isinstance(entry.handle, zipfile.ZipInfo)
        return bundle.open(entry.handle)
    assert isinstance(entry.handle, tarfile.TarInfo)
    source = bundle.extractfile(entry.handle)
    assert source is not None  # _check_entry has refused all except regular files
    return source


def _chosen(entries: list[_Entry], archive: Path, members: Iterable[str] | None) -> list[_Entry]:
    if members is None:
        chosen = [entry for entry in entries if not entry.name.startswith("__MACOSX/")]
        if len(chosen) < len(entries):
            logger.info("%s: left out %d __MACOSX entries", archive, len(entries) - len(chosen))
        return chosen
    by_name = {entry.name: entry for entry in entries}
    names = list(members)
    missing = [name for name in names if name not in by_name]
    if missing:
        raise DataError(
            f"{archive}: has no entry {', '.join(missing[:10])} ({len(missing)} missing). Check "
            "that it is the right archive."
        )
    return [by_name[name] for name in names]


def _check_entry(entry: _Entry, archive: Path) -> None:
    path = PurePosixPath(entry.name.replace("\\", "/"))
    leaves = path.is_absolute() or not path.parts or ".." in path.parts or ":" in path.parts[0]
    if leaves or entry.is_link:
        raise DataError(
            f"{archive}: entry {entry.name!r} would be written outside its folder, or is not a "
            "file. Do not use this archive."
        )
    if entry.is_encrypted:
        raise DataError(
            f"{archive}: entry {entry.name!r} is encrypted. Get the archive without a password."
        )


def _check_destination(
    destination: Path,
    archive: Path,
    bundle: zipfile.ZipFile | tarfile.TarFile,
    entries: list[_Entry],
) -> None:
    """Check that nothing is lost when a folder is replaced by the content of an archive.

    Raises:
        DataError: if it is a file, or holds the archive, the working directory, or anything that
            unpacking the archive did not make.
    """
    place = destination.resolve()
    there = next(path for path in (place, *place.parents) if path.exists())
    if not there.is_dir():
        raise DataError(f"{there}: is a file, not a folder to unpack {archive} to. Give a folder.")
    for held in (archive, Path.cwd()):
        if held.resolve().is_relative_to(place):
            raise DataError(
                f"{destination}: contains {held}, and unpacking {archive} would replace the folder."
                " Give a new folder."
            )
    made = {place / entry.name: entry for entry in entries}
    kept = [
        path
        for path in sorted(place.rglob("*"))
        if (path.is_symlink() or not path.is_dir())
        and not (path in made and _is_unchanged(path, made[path], bundle))
    ]
    if kept:
        names = listed([str(path.relative_to(place)) for path in kept])
        raise DataError(
            f"{destination}: contains {names}, which did not come from {archive} or were changed"
            " since, and unpacking would replace the folder. Give another folder, or move these"
            " files away."
        )


def _is_unchanged(path: Path, entry: _Entry, bundle: zipfile.ZipFile | tarfile.TarFile) -> bool:
    """Return whether a file is as the archive has it."""
    if path.is_symlink() or not path.is_file() or path.stat().st_size != entry.size:
        return False
    if entry.is_link or entry.is_encrypted:
        return False
    with _open_entry(bundle, entry) as source, path.open("rb") as stream:
        while block := source.read(BLOCK):
            if block != stream.read(BLOCK):
                return False
    return True


def _check_space(entries: list[_Entry], archive: Path, destination: Path) -> None:
    needed = sum(entry.size for entry in entries)
    free = shutil.disk_usage(destination.parent).free
    if needed > free:
        raise DataError(
            f"{archive}: unpacks to {needed} bytes, but {destination.parent} has {free} left. "
            "Free some space."
        )
