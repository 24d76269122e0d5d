"""The journal of `weaklesion segment`, with which an interrupted call continues where it stopped.

Each line of `journal.jsonl` is an object with a digest of itself. Its `files` are those that
`segment` wrote, with their digests, or is about to write, with null. A line with a `row` belongs to
one mark: a digest of everything its result depends on, and its row of `measurements.csv`. The last
line of a mark, or of a file, counts; lines that are damaged are skipped.
"""

import gzip
import hashlib
import json
import logging
import os
import re
import zlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from weaklesion.errors import DataError
from weaklesion.marks.table import Mark
from weaklesion.support.files import file_digest
from weaklesion.support.listing import listed
from weaklesion.support.own_files import is_plain
from weaklesion.support.pictures import opened

logger = logging.getLogger(__name__)

VERSION = 7  # increases when the same network gives another result, or a row has other columns
FILES = ("mask", "overlay")
IN_3D = ("volume", "sheet")  # files of marks that were segmented in three dimensions
AT_THE_END = ("measurements.csv", "refused.csv", "index.html")
OF_A_MARK = re.compile(r"((masks|volumes)/[^/\\\0]+\.(png|nii\.gz)|overlays/[^/\\\0]+\.png)")


class Journal:
    """The finished marks of one table in one folder, and the files there that `segment` made."""

    def __init__(
        self,
        out_dir: Path,
        marks: Sequence[Mark],
        shared: Sequence[str],
        kinds: Sequence[Sequence[str]] = ((),),
    ) -> None:
        """Read an existing journal, if any.

        Args:
            out_dir: folder of `journal.jsonl`.
            marks: the marks of the table.
            shared: everything else on which all results depend.
            kinds: what else the results of this call depend on; then the same of other kinds of
                results, which have all that this call makes.

        Raises:
            DataError: if the folder has a result of a mark on another image under the same id, or
                has results and none of the table's images can be opened, or its `journal.jsonl` is
                a link or no file.
        """
        self.out = out_dir
        self.path = out_dir / "journal.jsonl"
        if os.path.lexists(self.path) and not is_plain(self.path):
            raise DataError(f"{self.path}: is a link, or not a file. Give another --out folder.")
        images = {path: _image(path) for path in {mark.image for mark in marks}}
        self.images = {mark.id: images[mark.image] for mark in marks}
        keys = {
            mark.id: [_key(mark, self.images[mark.id], [*shared, *kind]) for kind in kinds]
            for mark in marks
        }
        self.keys = {name: of_kinds[0] for name, of_kinds in keys.items()}
        self.accepted = {name: set(of_kinds) for name, of_kinds in keys.items()}
        self.absent = {mark.id for mark in marks if len(self.images[mark.id]) == 1}
        self.owned: dict[str, str | None] = {}
        self.earlier = self._read()
        for name in self.earlier.keys() & self.keys.keys():
            earlier_image = self.earlier[name]["image"]
            here = self.images[name]
            same_content = len(here) > 1 and here[1:] == earlier_image[1:]  # it may have moved
            if earlier_image[0] != here[0] and not same_content:
                raise DataError(
                    f"{out_dir}: already has a result with the id {name}, for {earlier_image[0]},"
                    f" but in this table {name} is a mark on {here[0]}. Use a separate"
                    " --out folder for each table, or remove this one."
                )
        has_results = any(
            OF_A_MARK.fullmatch(file) and (out_dir / file).is_file() for file in self.owned
        )
        if has_results and marks and len(self.absent) == len(marks):
            first = marks[0]
            raise DataError(
                f"{out_dir}: has results of an earlier call, but none of the {len(images)} images"
                f" of this table can be found or opened, as in line {first.row}: {first.image}."
                " Nothing was written, and the results are kept. Check that the disk of the images"
                " is mounted; paths are relative to the table's folder."
            )

    def _read(self) -> dict[str, dict[str, Any]]:
        latest: dict[str, dict[str, Any]] = {}
        for entry in _entries(self.path) if self.path.is_file() else []:
            current = entry.get("version") == VERSION
            if not current:  # versions before 4 did not list the files of the end
                entry["files"] |= dict.fromkeys(AT_THE_END)
            elif entry.pop("sha256", None) != _digest(entry):
                continue
            self.owned |= {
                file: digest
                for file, digest in entry["files"].items()
                if file in AT_THE_END or OF_A_MARK.fullmatch(file)
            }
            if current and _is_result(entry):
                latest[entry["row"]["id"]] = entry
        return {
            name: entry
            for name, entry in latest.items()
            if any((self.out / file).is_file() for file in entry["files"])
        }

    def done(self) -> dict[str, dict[str, Any]]:
        """Return the rows of marks whose files are complete and up to date, by id."""
        done, stale = {}, 0
        for name, entry in self.earlier.items():
            if name not in self.keys:
                continue
            if entry["key"] not in self.accepted[name]:
                stale += name not in self.absent
            elif all(
                (self.out / file).is_file() and file_digest(self.out / file) == digest
                for file, digest in entry["files"].items()
            ):
                done[name] = entry["row"]
        if stale:
            logger.warning(
                "%s has results for %d of these marks from another network, setting, image file or"
                " mark: they are recomputed",
                self.out,
                stale,
            )
        others = len(self.earlier.keys() - self.keys.keys())
        if others:
            logger.warning(
                "%s has results for %d marks that are not among the usable marks of this table:"
                " they are not in measurements.csv",
                self.out,
                others,
            )
        return done

    def check_free(self, files: Iterable[str], inputs: Iterable[Path]) -> None:
        """Check that files may be written: `segment` made those that exist, and reads none.

        Args:
            files: names in the folder.
            inputs: files that the call reads.

        Raises:
            DataError: naming files that are the user's own.
        """
        read = {os.path.realpath(path) for path in inputs}
        lost = [
            file
            for file in files
            if os.path.realpath(self.out / file) in read or not self._may_write(file)
        ]
        if lost:
            raise DataError(
                f"{self.out}: has {listed(lost)}, which this command did not"
                " write, or which was changed since. Nothing was written. Give another --out"
                " folder, or move these files away."
            )

    def _may_write(self, file: str) -> bool:
        path = self.out / file
        if not os.path.lexists(path):
            return True
        if file not in self.owned or not is_plain(path):
            return False
        digest = self.owned[file]
        return digest is None or file_digest(path) == digest or _is_damaged(path)

    def claim(self, files: Iterable[str]) -> None:
        """Note files before they are written, so that a killed call knows them as its own."""
        self._append([{"files": dict.fromkeys(files)}])

    def note(self, rows: Iterable[dict[str, Any]]) -> int:
        """Append finished marks, whose files have been written.

        Returns:
            How many of them had files that they have no more, such as volumes, which are removed.
        """
        outdated, entries = 0, []
        for row in rows:
            names = [row[key] for key in (*FILES, *IN_3D) if key in FILES or row.get(key)]
            outdated += self._remove(row["id"], names) > 0
            entries.append(
                {
                    "key": self.keys[row["id"]],
                    "image": self.images[row["id"]],
                    "files": {file: file_digest(self.out / file) for file in names},
                    "row": row,
                }
            )
        self._append(entries)
        return outdated

    def note_the_end(self) -> None:
        """Append the files that a call writes at its end."""
        self._append([{"files": {name: file_digest(self.out / name) for name in AT_THE_END}}])

    def _append(self, entries: Iterable[dict[str, Any]]) -> None:
        text = ""
        for entry in entries:
            entry = {"version": VERSION} | entry
            self.owned |= entry["files"]
            text += json.dumps(entry | {"sha256": _digest(entry)}) + "\n"
        with self.path.open("a", encoding="utf-8") as journal:
            if journal.tell():
                journal.write("\n")  # ends a truncated line; empty lines are skipped
            journal.write(text)

    def forget(self, names: Iterable[str], unread: Collection[str] = ()) -> set[str]:
        """Remove the files of earlier results of marks that are refused now.

        The results of a mark whose image is not there are kept: its disk may not be mounted.

        Args:
            names: ids of the refused marks.
            unread: ids of marks whose images cannot be found or opened.

        Returns:
            The ids of the marks whose earlier results are kept.
        """
        kept = set()
        for name in names:
            if name not in self.earlier:
                continue
            if name in unread or not os.path.isfile(self.earlier[name]["image"][0]):
                kept.add(name)
                continue
            self._remove(name)
        return kept

    def _remove(self, name: str, kept: Collection[str] = ()) -> int:
        """Remove the files of a mark's earlier result that nobody changed; return their number."""
        removed = 0
        for file, digest in self.earlier.get(name, {"files": {}})["files"].items():
            path = self.out / file
            if file not in kept and is_plain(path) and file_digest(path) == digest:
                path.unlink()
                removed += 1
        return removed


def _entries(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines of a journal that are objects with files."""
    for line in path.read_bytes().split(b"\n"):
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):  # truncated or damaged, or no UTF-8
            continue
        if isinstance(entry, dict) and isinstance(entry.get("files"), dict):
            yield entry


def _is_result(entry: dict[str, Any]) -> bool:
    """Return whether a line is a mark's, and names that mark's own files only."""
    row = entry.get("row")
    if not isinstance(row, dict):
        return False
    name = row.get("id")
    masks = {f"masks/{name}.png", f"masks/{name}.nii.gz"}
    in_3d = {str(row[key]) for key in IN_3D if row.get(key)}
    return (
        row.get("mask") in masks
        and row.get("overlay") == f"overlays/{name}.png"
        and in_3d in (set(), {f"volumes/{name}.nii.gz", f"volumes/{name}.png"})
        and set(entry["files"]) == {row["mask"], row["overlay"]} | in_3d
        and all(OF_A_MARK.fullmatch(file) for file in entry["files"])
    )


def _is_damaged(path: Path) -> bool:
    """Return whether a file is spoilt, as a crash of the machine leaves it."""
    try:
        if path.suffix == ".png":
            with opened(path) as image:
                image.load()
        elif path.suffix == ".gz":
            with gzip.open(path) as stream:
                while stream.read(1 << 20):
                    pass
    except (OSError, EOFError, SyntaxError, ValueError, zlib.error):
        return True
    return not path.read_bytes().strip(b"\0")


def _image(image: Path) -> list[Any]:
    """Return what identifies an image file: its path, and the digest of its bytes if it has any."""
    path = image
    try:
        path = image.resolve()
        return [str(path), file_digest(path)] if path.is_file() else [str(path)]
    except (OSError, RuntimeError):  # its mark will be refused
        return [str(path)]


def _key(mark: Mark, image: list[Any], shared: Sequence[str]) -> str:
    """Return a digest of everything that a mark's result depends on.

    Of an image, that is its content; the path counts only where there is none.
    """
    return _digest([mark.points.tolist(), mark.slice, mark.spacing, image[1:] or image, *shared])


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()
