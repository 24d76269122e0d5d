"""The journal of `weaklesion segment`, with which an interrupted call continues where it stopped.

Each line of `journal.jsonl` belongs to one mark: a digest of everything its result depends on, its
row of `measurements.csv`, and the digests of its files. If a mark has several lines, the last one
counts; a truncated line is skipped.
"""

import hashlib
import json
import logging
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from weaklesion.errors import DataError
from weaklesion.marks.table import Mark
from weaklesion.support.files import file_digest

logger = logging.getLogger(__name__)

VERSION = 3  # increases when the same network gives another result, or a row has other columns
FILES = ("mask", "overlay")


class Journal:
    """The finished marks of one table in one folder."""

    def __init__(self, out_dir: Path, marks: Sequence[Mark], shared: Sequence[str]) -> None:
        """Read an existing journal, if any.

        Args:
            out_dir: folder of `journal.jsonl`.
            marks: the marks of the table.
            shared: everything else on which all results depend.

        Raises:
            DataError: if the folder has a result of a mark on another image under the same id.
        """
        self.out = out_dir
        self.path = out_dir / "journal.jsonl"
        self.images = {mark.id: _image(mark) for mark in marks}
        self.keys = {mark.id: _key(mark, self.images[mark.id], shared) for mark in marks}
        self.earlier = self._read()
        for name in self.earlier.keys() & self.keys.keys():
            earlier_image = self.earlier[name]["image"]
            if earlier_image[0] != self.images[name][0]:
                raise DataError(
                    f"{out_dir}: already has a result with the id {name}, for {earlier_image[0]},"
                    f" but in this table {name} is a mark on {self.images[name][0]}. Use a separate"
                    " --out folder for each table, or remove this one."
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
            if any((self.out / file).is_file() for file in entry["files"])
        }

    def done(self) -> dict[str, dict[str, Any]]:
        """Return the rows of marks whose files are complete and up to date, by id."""
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

    def note(self, rows: Iterable[dict[str, Any]]) -> None:
        """Append finished marks, whose files have been written."""
        text = ""
        for row in rows:
            files = {row[key]: file_digest(self.out / row[key]) for key in FILES}
            image = self.images[row["id"]]
            entry = {"version": VERSION, "key": self.keys[row["id"]], "image": image}
            text += json.dumps(entry | {"files": files, "row": row}) + "\n"
        with self.path.open("a", encoding="utf-8") as journal:
            if journal.tell():
                journal.write("\n")  # ends a truncated line; empty lines are skipped
            journal.write(text)

    def forget(self, names: Iterable[str]) -> None:
        """Remove the files of earlier results of marks that are refused now."""
        for name in names:
            for file in self.earlier.get(name, {"files": {}})["files"]:
                (self.out / file).unlink(missing_ok=True)


def _image(mark: Mark) -> list[Any]:
    """Return what identifies an image file: its path, size and time of change."""
    path = Path(os.path.realpath(mark.image))  # unlike resolve, takes loops of links
    try:
        stat = path.stat()
    except OSError:  # its mark will be refused
        return [str(path)]
    return [str(path), stat.st_size, stat.st_mtime_ns]


def _key(mark: Mark, image: list[Any], shared: Sequence[str]) -> str:
    """Return a digest of everything that a mark's result depends on."""
    parts = [mark.points.tolist(), mark.slice, mark.spacing, image, *shared]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
