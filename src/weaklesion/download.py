"""Fetch the files of a manifest, and verify them."""

import hashlib
import logging
import queue
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import requests
from urllib3.exceptions import HTTPError

from weaklesion import __version__
from weaklesion.data.archives import extract, list_members
from weaklesion.data.manifest import read_manifest, row_problem
from weaklesion.errors import DataError
from weaklesion.support.progress import progress

__all__ = ["extract", "fetch", "fetch_members", "row_of"]

logger = logging.getLogger(__name__)

USER_AGENT = f"WeakLesion/{__version__}"  # Dataverse refuses the default one of python-requests
CHUNK_BYTES = 1 << 16  # largest loss when a transfer breaks off
ATTEMPTS = 5
PAUSE_S = 2.0
TIMEOUT_S = 60.0
ANSWER_S = 300.0  # for the headers of an answer, with its redirections
LEAST_BYTES_PER_S = 1000


class _UnreachableError(Exception):
    """An address that cannot be read; the text is the cause."""


def row_of(manifest_csv: str | Path, name: str) -> dict[str, str]:
    """Return the row of the file `name` of a manifest.

    Raises:
        DataError: if the manifest cannot be read or does not list the file.
    """
    rows = read_manifest(manifest_csv)
    if name not in rows:
        raise DataError(
            f"{manifest_csv}: has no row for {name}. Add one with its url and checksum."
        )
    return rows[name]


def fetch(manifest_row: Mapping[str, str], destination: str | Path) -> Path:
    """Fetch one file of a manifest to `destination` and verify it.

    The bytes go to `<destination>.part`, which a later call resumes, and which is renamed only if
    size and all checksums of the row agree. A complete file that a user puts there is used without
    a download. Several addresses, separated by blanks, are tried in turn.

    Args:
        manifest_row: `name`, `url`, `bytes`, `md5`, `sha256`, as `read_manifest` returns it.
        destination: path of the file.

    Returns:
        `destination`.

    Raises:
        DataError: if the row has no name, address or checksum, or a value that is no text; no
            address can be read; or size or checksum of the content differs.
    """
    row = {key: manifest_row.get(key, "") for key in ("name", "url", "bytes", "md5", "sha256")}
    problem = row_problem(row)
    if problem:
        raise DataError(f"manifest: {problem}")
    destination = Path(destination)
    destination.parent.mkdir(parents=True, exist_ok=True)
    part = destination.with_name(destination.name + ".part")
    for existing in (destination, part):
        if existing.is_file() and _mismatch(row, existing) is None:
            existing.replace(destination)
            logger.info("%s exists already, and is verified", destination)
            return destination
    causes = []
    for url in row["url"].split():
        try:
            _fetch_from(url, row, part)
        except _UnreachableError as unreachable:
            causes.append(f"{url}: {unreachable}")
            continue
        cause = _mismatch(row, part)
        if cause is None:
            part.replace(destination)
            size = destination.stat().st_size
            logger.info("fetched %s (%d bytes), checksums agree", destination, size)
            return destination
        causes.append(f"{url}: {cause}{_looks_like_html(part)}; the received file was deleted")
        part.unlink()
    raise DataError(
        f"{row['name']} from {'; '.join(causes)}. Run again (a partial download is "
        f"resumed), correct the manifest, or get the file another way and save it as {part}: it is "
        "then verified and used."
    )


def fetch_members(
    manifest_row: Mapping[str, str],
    archive: str | Path,
    destination: str | Path,
    choose: Callable[[Iterable[str]], list[str]],
) -> None:
    """Fetch an archive, unpack some entries to the folder `destination`, and delete it.

    Args:
        manifest_row: see `fetch`.
        archive: temporary path of the archive, with the suffix of its kind.
        destination: the folder to create.
        choose: returns the needed ones of the archive's entries.

    Raises:
        DataError: see `fetch` and `extract`.
    """
    archive = fetch(manifest_row, archive)
    members = choose(list_members(archive))
    logger.info("%s: %d entries are needed", archive, len(members))
    extract(archive, destination, members)
    archive.unlink()


def _mismatch(row: Mapping[str, str], path: Path) -> str | None:
    """Return how a file differs from its manifest row, in words, or None."""
    size = path.stat().st_size
    if row["bytes"] and size != int(row["bytes"]):
        return f"it has {size} bytes, not {row['bytes']}"
    hashes = {name: hashlib.new(name) for name in ("md5", "sha256") if row[name]}
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
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


def _fetch_from(url: str, row: Mapping[str, str], part: Path) -> None:
    try:
        scheme = urlsplit(url).scheme
    except ValueError as error:
        raise _UnreachableError(f"is not an address ({error})") from error
    if scheme in ("http", "https"):
        _fetch_http(url, row, part)
    elif scheme in ("", "file"):
        source = Path(url2pathname(urlsplit(url).path) if scheme else url)  # it unquotes
        if not source.is_file():
            raise _UnreachableError("does not exist")
        shutil.copyfile(source, part)
    else:
        raise _UnreachableError(
            f"addresses of kind {scheme}:// are not supported, only http, https and files"
        )


def _fetch_http(url: str, row: Mapping[str, str], part: Path) -> None:
    """Fetch to `part`, resuming an earlier download, in a few attempts."""
    expected = int(row["bytes"]) if row["bytes"] else None
    cause: object = None
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(PAUSE_S * attempt)
            logger.warning("%s: %s; attempt %d of %d", row["name"], cause, attempt + 1, ATTEMPTS)
        try:
            _fetch_http_once(url, row["name"], part, expected)
        except requests.HTTPError as error:
            code = error.response.status_code
            cause = f"the server answered {code} {error.response.reason}"
            if code < 500 and code not in (requests.codes.too_many_requests, 416):
                break
            if code == 416 and "Range" not in error.response.request.headers:
                break  # the whole file was requested
        except (requests.RequestException, HTTPError, ValueError, TimeoutError) as error:
            cause = error  # ValueError: an address, such as one that the server redirects to
        else:
            if expected is None or part.stat().st_size >= expected:
                return
            cause = f"the transfer ended after {part.stat().st_size} of {expected} bytes"
    raise _UnreachableError(cause)


def _fetch_http_once(url: str, name: str, part: Path, expected: int | None) -> None:
    start = part.stat().st_size if part.is_file() else 0
    if expected is not None and start >= expected:
        start = 0  # complete, but with a wrong checksum
    headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    with _answer_in_time(url, headers) as response:
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            part.unlink(missing_ok=True)  # it is not the beginning of the server's file
        response.raise_for_status()
        resumed = response.status_code == requests.codes.partial_content
        length = response.headers.get("Content-Length")
        if length and not (length.isascii() and length.isdecimal()):
            raise _UnreachableError(f"its header Content-Length is {length[:40]!r}, not a number")
        total = int(length) + start * resumed if length else expected or 0
        if expected is not None and length and total != expected:
            raise _UnreachableError(f"the server has {total} bytes, not {expected}")
        num_blocks = -(-(total - start * resumed) // CHUNK_BYTES)
        blocks = _blocks_in_time(response)
        written = start * resumed
        with part.open("ab" if resumed else "wb") as stream:
            for block in progress(blocks, total=num_blocks, what=f"{name}, blocks of 64 KiB"):
                written += len(block)
                if expected is not None and written > expected:
                    raise _UnreachableError(f"the server sends more than {expected} bytes")
                stream.write(block)


def _answer_in_time(url: str, headers: Mapping[str, str]) -> requests.Response:
    """Return a server's answer, whose headers need not be waited for without end.

    Raises:
        TimeoutError: if the headers take longer than `ANSWER_S`, however steadily they drip.
    """
    answers: queue.Queue[requests.Response | Exception] = queue.Queue()

    def ask() -> None:
        try:
            answers.put(requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_S))
        except Exception as error:  # raised again below
            answers.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=ANSWER_S)
    except queue.Empty as error:
        raise TimeoutError(f"no complete answer after {ANSWER_S:g} s") from error
    if isinstance(answer, Exception):
        raise answer
    return answer


def _blocks_in_time(response: requests.Response) -> Iterator[bytes]:
    """Yield a response's bytes as they arrive.

    Raises:
        TimeoutError: if fewer than `LEAST_BYTES_PER_S` arrive over `TIMEOUT_S` seconds.
    """
    since, received = time.monotonic(), 0
    while block := response.raw.read1(CHUNK_BYTES, decode_content=True):
        yield block
        received += len(block)
        seconds = time.monotonic() - since
        if seconds > TIMEOUT_S:
            if received < LEAST_BYTES_PER_S * seconds:
                raise TimeoutError(
                    f"the server sent {received} bytes in {seconds:.0f} s, fewer than"
                    f" {LEAST_BYTES_PER_S} per second"
                )
            since, received = time.monotonic(), 0
