"""Manifests: the files of a dataset, with addresses, sizes and checksums.

A manifest is a CSV file with the columns `name, url, bytes, md5, sha256`. An address is http, https
or the path of a file, relative to the manifest or absolute; several addresses, separated by blanks,
are mirrors that are tried in turn. At least one checksum is needed. Its first eight digits are
enough, because some publishers print no more.

Uses only the standard library, because it is read wherever Snakemake itself runs.
"""

import csv
import re
from pathlib import Path
from urllib.parse import urlsplit

from weaklesion.errors import DataError
from weaklesion.marks.files import read_records
from weaklesion.support.spreadsheets import formula_problem, is_computed

MANIFEST_COLUMNS = ("name", "url", "bytes", "md5", "sha256")
ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")


def read_manifest(path: str | Path) -> dict[str, dict[str, str]]:
    """Read a manifest; return its rows by name, with relative addresses made absolute.

    Raises:
        DataError: if the file or a column is missing, it cannot be read as a table, a name occurs
            twice or is unsafe, a size is not a number, or a row has no address or no checksum.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(
            f"{path}: no such manifest. Give the path of a CSV file with the columns "
            f"{', '.join(MANIFEST_COLUMNS)}."
        )
    cure = f"A manifest has the columns {', '.join(MANIFEST_COLUMNS)}."
    rows: dict[str, dict[str, str]] = {}
    for line, raw in read_records(path, MANIFEST_COLUMNS, cure):
        row = {key: raw[key].strip() for key in MANIFEST_COLUMNS}
        problem = row_problem(row)
        if row["name"] in rows:
            problem = f"{row['name']} occurs twice. Remove one row."
        if problem:
            raise DataError(f"{path}, line {line}: {problem}")
        row["url"] = " ".join(_absolute(url, path.parent) for url in row["url"].split())
        rows[row["name"]] = row
    return rows


def row_problem(row: dict[str, str]) -> str | None:
    """Return the first problem of a row and its cure, in words; None if the row is valid."""
    for key, value in row.items():
        if not isinstance(value, str):
            return f"{key} is {value!r}, not a text. Give a text; it may be empty."
    name = row["name"]
    if any("\0" in value for value in row.values()):
        return "contains a zero byte."
    if not name or Path(name).name != name or name in (".", ".."):
        return f"{name!r} is not a plain file name."
    if problem := formula_problem({"name": name}):
        return f"{problem}."
    if not row["url"]:
        return f"{name} has no url. Add one, or the file's path."
    if not (row["md5"] or row["sha256"]):
        return f"{name} has no checksum. Add md5 or sha256."
    for key in ("md5", "sha256"):
        if 0 < len(row[key]) < 8:
            return f"{key} of {name} has fewer than eight digits. Give at least eight."
    for url in row["url"].split():
        try:
            urlsplit(url)
        except ValueError as error:
            return f"{url!r} is not an address ({error})."
    if row["bytes"] and not re.fullmatch("[0-9]{1,18}", row["bytes"]):
        return f"bytes of {name} is {row['bytes']!r}, not a whole number."
    return None


def _absolute(url: str, folder: Path) -> str:
    if urlsplit(url).scheme:
        return url
    path = (folder / url).resolve()
    return path.as_uri() if _has_blanks(str(path)) else str(path)


def _has_blanks(address: str) -> bool:
    """Return whether an address would be read as several, or as another one."""
    return address.split() != [address]


def _address(path: Path, manifest: Path) -> str:
    """Return the address of a file in a manifest: relative to it, where that can be read back."""
    if not path.is_relative_to(manifest.parent):
        return path.as_uri()
    url = path.relative_to(manifest.parent).as_posix()
    if _has_blanks(url):
        return path.as_uri()
    return f"./{url}" if is_computed(url) or urlsplit(url).scheme else url


def is_archive(name: str) -> bool:
    """Return whether a file of this name is unpacked before use."""
    return name.casefold().endswith(ARCHIVE_SUFFIXES)


def write_manifest(folder: str | Path, manifest: str | Path) -> list[str]:
    """Write a manifest of all files in a folder, with their sizes and checksums.

    Args:
        folder: folder of the files; hidden files and `manifest.csv` are left out.
        manifest: CSV file to write; addresses are relative to its folder where possible. An
            existing one is replaced if it has no other addresses than this function writes.

    Returns:
        Names of the files.

    Raises:
        DataError: if the folder contains no file, or one whose name a spreadsheet would compute or
            a manifest cannot keep; or if `manifest` exists and has addresses of other places.
    """
    from weaklesion.support.files import file_digest, written_whole  # imports NumPy

    folder, manifest = Path(folder).resolve(), Path(manifest).resolve()
    files = [
        path
        for path in sorted(folder.iterdir())
        if path.is_file()
        and not path.name.startswith(".")
        and path.name != "manifest.csv"
        and path != manifest
    ]
    if not files:
        raise DataError(f"{folder}: contains no files. Put the downloaded archives there.")
    for path in files:
        if problem := formula_problem({"name": path.name}):
            raise DataError(f"{path}: {problem}.")
        if path.name != path.name.strip() or not path.name.isprintable():
            raise DataError(
                f"{folder}: the name {path.name!r} begins or ends with a blank, or contains"
                " invisible characters, so a manifest could not keep it. Rename the file."
            )
    _check_replaceable(manifest, folder)
    with (
        written_whole(manifest) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as stream,
    ):
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(MANIFEST_COLUMNS)
        for path in files:
            url, size = _address(path, manifest), path.stat().st_size
            digests = [file_digest(path, algorithm) for algorithm in ("md5", "sha256")]
            writer.writerow([path.name, url, size, *digests])
    return [path.name for path in files]


def _check_replaceable(manifest: Path, folder: Path) -> None:
    """Check that a manifest, if it exists, says nothing that a new one of a folder would lose.

    Raises:
        DataError: if it has other addresses or columns, or is not a manifest.
    """
    if not manifest.exists() or manifest.stat().st_size == 0:
        return
    cure = "Rename this file and run again; then copy the missing entries to the new manifest."
    for line, row in read_records(manifest, MANIFEST_COLUMNS, cure):
        name, url = row["name"].strip(), row["url"].strip()
        if url != _address(folder / name, manifest):
            raise DataError(
                f"{manifest}, line {line}: {name} has the address {url}, which would be lost,"
                f" because this command writes paths in {folder} only. {cure}"
            )
        if others := row.keys() - set(MANIFEST_COLUMNS):
            raise DataError(
                f"{manifest}: has the column {', '.join(sorted(others))}, which would be lost."
                f" {cure}"
            )
