"""The journal of `weaklesion segment`: which marks are done, so that a call goes on where it was.

A line of `journal.jsonl` is one mark's: what its answer depends on, its row of `measurements.csv`,
and the digests of its files. Of several lines about a mark the last one holds; one that was cut off
is passed over.
"""

import hashlib
import json
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from weaklesion.errors import DataError
from weaklesion.marks.table import Mark
from weaklesion.support.files import file_digest

logger = logging.getLogger(__name__)

VERSION = 2  # raised when the same network gives another answer, or a row has other columns
FILES = ("mask", "overlay")


class Journal:
    """What is done in a folder, of the marks of one table."""

    def __init__(self, out_dir: Path, marks: Sequence[Mark], of_all: Sequence[str]) -> None:
        """Read what is there.

        Args:
            out_dir: folder with `journal.jsonl`, or for it.
            marks: the table's.
            of_all: what else every answer depends on.

        Raises:
            DataError: if the folder has an answer to a mark on another image under the same id.
        """
        self.out = out_dir
        self.path = out_dir / "journal.jsonl"
        self.images = {mark.id: _image(mark) for mark in marks}
        self.keys = {mark.id: _key(mark, self.images[mark.id], of_all) for mark in marks}
        self.earlier = self._read()
        for name in self.earlier.keys() & self.keys.keys():
            was = self.earlier[name]["image"]
            if was[0] != self.images[name][0]:
                raise DataError(
                    f"{out_dir}: has an answer under the id {name} already, of {was[0]}, and in"
                    f" this table {name} is a mark on {self.images[name][0]}. Give each table a"
                    " folder of its own, or remove this one."
                )

    def _read(self) -> dict[str, dict[str, Any]]:
        latest: dict[str, dict[str, Any]] = {}
        for line in self.path.read_text("utf-8").splitlines() if self.path.is_file() else []:
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if entry.get("version") == VERSION:
                latest[entry["row"]["id"]] = entry
        return {
            name: entry
            for name, entry in latest.items()
            if any((self.out / file).is_file() for file in entry["files"])  # else forgotten
        }

    def done(self) -> dict[str, dict[str, Any]]:
        """Return the rows of marks whose answers are there, whole and of the same making, by id."""
        done, stale = {}, 0
        for name, entry in self.earlier.items():
            if name not in self.keys:
                continue
            if entry["key"] != self.keys[name]:
                stale += 1
            elif all(
                (self.out / file).is_file() and file_digest(self.out / file) == digest
                for file, digest in entry["files"].items()
            ):
                done[name] = entry["row"]
        if stale:
            logger.warning(
                "%s has answers to %d of these marks with another network, setting, image file or"
                " mark: they are made anew",
                self.out,
                stale,
            )
        others = len(self.earlier.keys() - self.keys.keys())
        if others:
            logger.warning(
                "%s has answers to %d marks that are none of this table's usable ones: they are not"
                " in measurements.csv",
                self.out,
                others,
            )
        return done

    def note(self, rows: Iterable[dict[str, Any]]) -> None:
        """Add marks that are done, and whose files are written."""
        text = ""
        for row in rows:
            files = {row[key]: file_digest(self.out / row[key]) for key in FILES}
            image = self.images[row["id"]]
            entry = {"version": VERSION, "key": self.keys[row["id"]], "image": image}
            text += json.dumps(entry | {"files": files, "row": row}) + "\n"
        with self.path.open("a", encoding="utf-8") as journal:
            if journal.tell():
                journal.write("\n")  # ends a line that was cut off; an empty one is passed over
            journal.write(text)

    def forget(self, names: Iterable[str]) -> None:
        """Remove the files of earlier answers to marks that are refused now."""
        for name in names:
            for file in self.earlier.get(name, {"files": {}})["files"]:
                (self.out / file).unlink(missing_ok=True)


def _image(mark: Mark) -> list[Any]:
    """Return what tells one image file from another: its path, size and time."""
    path = mark.image.resolve()
    try:
        stat = path.stat()
    except OSError:  # which will be refused
        return [str(path)]
    return [str(path), stat.st_size, stat.st_mtime_ns]


def _key(mark: Mark, image: list[Any], of_all: Sequence[str]) -> str:
    """Return a digest of all that a mark's answer depends on."""
    given = [mark.points.tolist(), mark.slice, mark.spacing, image, *of_all]
    return hashlib.sha256(json.dumps(given).encode()).hexdigest()
