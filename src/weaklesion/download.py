"""Fetch files by a manifest, verify them, and unpack archives safely.

A manifest is a CSV file with the columns `name, url, bytes, md5, sha256`. An address is http, https
or a file's, and a relative one is relative to the manifest. At least one checksum is needed; the
first eight digits of one, or more, stand for the whole, for some publishers give no more.
"""

import csv
import hashlib
import logging
import shutil
import stat
import time
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

import requests

from weaklesion import __version__
from weaklesion.errors import DataError
from weaklesion.files import written_whole
from weaklesion.progress import progress

logger = logging.getLogger(__name__)

MANIFEST_COLUMNS = ("name", "url", "bytes", "md5", "sha256")
USER_AGENT = f"WeakLesion/{__version__}"  # Dataverse refuses the default one of python-requests
CHUNK_BYTES = 1 << 16  # what is lost at most when a transfer breaks off
ATTEMPTS = 5
PAUSE_S = 2.0
TIMEOUT_S = 60.0


def read_manifest(path: str | Path) -> dict[str, dict[str, str]]:
    """Read a manifest; return its rows by name, with relative addresses made absolute.

    Raises:
        DataError: if the file or a column is missing, a name is doubled or unsafe, or a row has
            no checksum.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(
            f"{path}: no such manifest. Give the path of a CSV file with the columns "
            f"{', '.join(MANIFEST_COLUMNS)}."
        )
    rows: dict[str, dict[str, str]] = {}
    with path.open(newline="", encoding="utf-8") as stream:
        reader = csv.DictReader(stream)
        missing = [name for name in MANIFEST_COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise DataError(
                f"{path}: column {', '.join(missing)} is missing. A manifest has the "
                f"columns {', '.join(MANIFEST_COLUMNS)}."
            )
        for line, raw in enumerate(reader, start=2):
            row = {key: (raw[key] or "").strip() for key in MANIFEST_COLUMNS}
            name = row["name"]
            if not name or Path(name).name != name or name in (".", ".."):
                raise DataError(f"{path}, line {line}: {name!r} is no plain file name.")
            if name in rows:
                raise DataError(f"{path}, line {line}: {name} is there twice. Remove one row.")
            if not (row["md5"] or row["sha256"]):
                raise DataError(f"{path}, line {line}: {name} has no checksum. Add md5 or sha256.")
            short = [key for key in ("md5", "sha256") if 0 < len(row[key]) < 8]
            if short:
                raise DataError(
                    f"{path}, line {line}: {short[0]} of {name} has fewer than eight "
                    "digits. Give more of it."
                )
            if row["bytes"] and not row["bytes"].isdigit():
                raise DataError(
                    f"{path}, line {line}: bytes of {name} is {row['bytes']!r}, not a whole number."
                )
            if not urlsplit(row["url"]).scheme:
                row["url"] = str((path.parent / row["url"]).resolve())
            rows[name] = row
    return rows


def fetch_named(manifest_csv: str | Path, name: str, destination: str | Path) -> Path:
    """Fetch the file `name` of a manifest; see `fetch`.

    Raises:
        DataError: if the manifest has no such file, too.
    """
    rows = read_manifest(manifest_csv)
    if name not in rows:
        raise DataError(
            f"{manifest_csv}: has no row for {name}. Add one with its url and checksum."
        )
    return fetch(rows[name], destination)


def fetch(manifest_row: Mapping[str, str], destination: str | Path) -> Path:
    """Fetch one file of a manifest to `destination` and verify it.

    The bytes go to `<destination>.part`, which a later call resumes, and which is renamed only
    after size and every given checksum agree. A whole file that a user puts there is used as it is.

    Args:
        manifest_row: `name`, `url`, `bytes`, `md5`, `sha256`, as `read_manifest` returns it.
        destination: where the file shall lie.

    Returns:
        `destination`.

    Raises:
        DataError: if the address cannot be read, or the content is not the manifest's.
    """
    destination = Path(destination)
    destination.parent.mkdir(parents=True, exist_ok=True)
    if destination.is_file() and _mismatch(manifest_row, destination) is None:
        logger.info("%s is there already, and verified", destination)
        return destination
    part = destination.with_name(destination.name + ".part")
    expected_bytes = int(manifest_row["bytes"]) if manifest_row.get("bytes") else None
    if not (
        expected_bytes is not None and part.is_file() and part.stat().st_size == expected_bytes
    ):
        scheme = urlsplit(manifest_row["url"]).scheme
        if scheme in ("http", "https"):
            _fetch_http(manifest_row, part, expected_bytes)
        elif scheme in ("", "file"):
            _copy_local(manifest_row, part)
        else:
            raise DataError(
                f"{manifest_row['name']}: addresses of kind {scheme}:// are not "
                "known. Use http, https or a file's path."
            )
    cause = _mismatch(manifest_row, part)
    if cause is not None:
        hint = _looks_like_html(part)
        part.unlink()
        raise DataError(
            f"{manifest_row['name']} from {manifest_row['url']}: {cause}{hint}. What was received "
            f"was deleted. Try again, correct the manifest, or {_by_hand(part)}"
        )
    part.replace(destination)
    logger.info("fetched %s (%d bytes), checksums agree", destination, destination.stat().st_size)
    return destination


def _by_hand(part: Path) -> str:
    return f"get the file another way and save it as {part}: it is then verified and used."


def _mismatch(row: Mapping[str, str], path: Path) -> str | None:
    """Return how the file differs from its manifest row, or None."""
    size = path.stat().st_size
    if row.get("bytes") and size != int(row["bytes"]):
        return f"it has {size} bytes, not {row['bytes']}"
    hashes = {name: hashlib.new(name) for name in ("md5", "sha256") if row.get(name)}
    with path.open("rb") as stream:
        while block := stream.read(CHUNK_BYTES):
            for digest in hashes.values():
                digest.update(block)
    for name, digest in hashes.items():
        if not digest.hexdigest().startswith(row[name].lower()):
            return f"its {name} is {digest.hexdigest()}, not {row[name]}"
    return None


def _looks_like_html(path: Path) -> str:
    with path.open("rb") as stream:
        start = stream.read(256).lstrip().lower()
    return "; it is an HTML page, not data" if start.startswith((b"<!doctype", b"<html")) else ""


def _copy_local(row: Mapping[str, str], part: Path) -> None:
    address = urlsplit(row["url"])
    source = Path(url2pathname(unquote(address.path)) if address.scheme else row["url"])
    if not source.is_file():
        raise DataError(
            f"{row['name']}: {source} does not exist. Correct the manifest's url, or "
            f"{_by_hand(part)}"
        )
    shutil.copyfile(source, part)


def _fetch_http(row: Mapping[str, str], part: Path, expected_bytes: int | None) -> None:
    """Fetch to `part`, resuming what is there, with a few attempts."""
    cause: object = None
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(PAUSE_S * attempt)
            logger.warning("%s: %s; attempt %d of %d", row["name"], cause, attempt + 1, ATTEMPTS)
        try:
            _fetch_http_once(row, part, expected_bytes)
        except requests.HTTPError as error:
            cause = f"the server answered {error.response.status_code} {error.response.reason}"
            if error.response.status_code < 500 and error.response.status_code != 429:
                break
        except requests.RequestException as error:
            cause = error
        else:
            if expected_bytes is None or part.stat().st_size >= expected_bytes:
                return
            cause = f"the transfer ended after {part.stat().st_size} of {expected_bytes} bytes"
    raise DataError(
        f"{row['name']} from {row['url']}: {cause}. Run again to resume, or {_by_hand(part)}"
    )


def _fetch_http_once(row: Mapping[str, str], part: Path, expected_bytes: int | None) -> None:
    start = part.stat().st_size if part.is_file() else 0
    if expected_bytes is not None and start > expected_bytes:
        part.unlink()
        start = 0
    headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    with requests.get(row["url"], headers=headers, stream=True, timeout=TIMEOUT_S) as response:
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            part.unlink()  # what was there is not a beginning of what the server has
        response.raise_for_status()
        resumed = response.status_code == requests.codes.partial_content
        total = expected_bytes or int(response.headers.get("Content-Length", 0))
        blocks = response.iter_content(CHUNK_BYTES)
        with part.open("ab" if resumed else "wb") as stream:
            for block in progress(
                blocks, total=-(-total // CHUNK_BYTES), what=f"{row['name']}, blocks of 64 KiB"
            ):
                stream.write(block)


def extract(
    archive: str | Path, destination: str | Path, members: Iterable[str] | None = None
) -> list[Path]:
    """Unpack a zip archive into the folder `destination`, all of it or nothing.

    Entries under `__MACOSX/` are macOS bookkeeping and are left out unless named in `members`.

    Args:
        archive: a zip file.
        destination: the folder that is made; one that is there is replaced.
        members: names of the entries to unpack; all files by default.

    Returns:
        The files that were unpacked, in the archive's order.

    Raises:
        DataError: if the archive is missing, truncated or encrypted, does not fit the disk, lacks
            a member, or has an entry that would leave `destination` (absolute, `..`, a link).
    """
    archive, destination = Path(archive), Path(destination)
    try:
        with zipfile.ZipFile(archive) as bundle, written_whole(destination) as beside:
            entries = _chosen_entries(bundle, archive, members)
            _check_space(entries, archive, destination)
            beside.mkdir()
            for entry in progress(entries, total=len(entries), what=f"unpacking {archive.name}"):
                target = beside / entry.filename
                target.parent.mkdir(parents=True, exist_ok=True)
                with bundle.open(entry) as source, target.open("wb") as sink:
                    shutil.copyfileobj(source, sink, CHUNK_BYTES)
    except FileNotFoundError as error:
        raise DataError(f"{archive}: no such archive. Fetch it first.") from error
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise DataError(
            f"{archive}: not a sound zip archive ({error}). Delete it and fetch it again."
        ) from error
    logger.info("unpacked %d files of %s to %s", len(entries), archive, destination)
    return [destination / entry.filename for entry in entries]


def _chosen_entries(
    bundle: zipfile.ZipFile, archive: Path, members: Iterable[str] | None
) -> list[zipfile.ZipInfo]:
    files = [entry for entry in bundle.infolist() if not entry.is_dir()]
    if members is None:
        chosen = [entry for entry in files if PurePosixPath(entry.filename).parts[0] != "__MACOSX"]
        if len(chosen) < len(files):
            logger.info("%s: left out %d __MACOSX entries", archive, len(files) - len(chosen))
    else:
        by_name = {entry.filename: entry for entry in files}
        wanted = list(members)
        missing = [name for name in wanted if name not in by_name]
        if missing:
            raise DataError(
                f"{archive}: has no entry {', '.join(missing[:10])}"
                f" ({len(missing)} missing). Check that it is the right archive."
            )
        chosen = [by_name[name] for name in wanted]
    for entry in chosen:
        path = PurePosixPath(entry.filename.replace("\\", "/"))
        is_link = stat.S_ISLNK(entry.external_attr >> 16)
        if path.is_absolute() or ".." in path.parts or ":" in path.parts[0] or is_link:
            raise DataError(
                f"{archive}: entry {entry.filename!r} would leave the folder it is "
                "unpacked to. Do not use this archive."
            )
        if entry.flag_bits & 0x1:
            raise DataError(
                f"{archive}: entry {entry.filename!r} is encrypted. Get the archive "
                "without a password."
            )
    return chosen


def _check_space(entries: list[zipfile.ZipInfo], archive: Path, destination: Path) -> None:
    needed = sum(entry.file_size for entry in entries)
    free = shutil.disk_usage(destination.parent).free
    if needed > free:
        raise DataError(
            f"{archive}: unpacks to {needed} bytes, and {destination.parent} has "
            f"{free} left. Free some space."
        )
