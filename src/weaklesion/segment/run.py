"""Segment marks on images of any kind with a trained network that reads the mark.

Written are `masks/` in each input's own geometry, `overlays/`, `measurements.csv` with one row per
mark, `refused.csv`, and `index.html`, which shows all overlays; and `volumes/` on request.
`journal.jsonl` records every finished mark, so that an interrupted call continues where it stopped.
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from weaklesion.errors import DataError
from weaklesion.marks.table import Mark, grouped_by_image, read_marks
from weaklesion.segment.batches import open_batch, planned_files, segment_batch
from weaklesion.segment.journal import AT_THE_END, Journal
from weaklesion.segment.lock import locked_folder
from weaklesion.segment.predictor import Predictor, load_predictor
from weaklesion.segment.readings import check_readings
from weaklesion.segment.result_tables import (
    Refusal,
    as_counted,
    noted,
    without_short,
    write_tables,
)
from weaklesion.segment.settings import SegmentSettings
from weaklesion.segment.sheet import write_sheet
from weaklesion.segment.touching import note_touching
from weaklesion.segment.training_range import outside_training, window_for
from weaklesion.segment.visibility import is_visible, trained_contrast
from weaklesion.support.extras import require
from weaklesion.support.files import file_digest
from weaklesion.support.progress import progress

logger = logging.getLogger(__name__)

MARKS_PER_BATCH = 16

KEPT = "; its earlier mask is kept unchanged"


def segment_marks(
    *,
    model_dir: str | Path,
    marks_csv: str | Path,
    out_dir: str | Path,
    settings: SegmentSettings | None = None,
    cut_out: Mapping[str, str] | None = None,
) -> dict[str, int]:
    """Segment every mark of a table; the function behind `weaklesion segment`.

    Args:
        model_dir: folder of a trained run, with `model.safetensors` and `run.json`; or of an
            exported network or its file, which ONNX Runtime runs without PyTorch
            (`weaklesion.segment.predictor.load_predictor`).
        marks_csv: table of marks, see `weaklesion.marks.table`.
        out_dir: folder for all results; finished marks of an earlier call are kept.
        settings: see `SegmentSettings`; None for its defaults.
        cut_out: where a program cut the volumes out of larger ones, and numbered their slices: why
            each is no larger, or "", by id; said in `volume_reason`. None for a person's table.

    Returns:
        Numbers of marks: segmented by the network (`network`), replaced by the mark's ellipse
        (`ellipse`) or by the shape through its four ends (`ends`), with an empty mask, which only a
        gate of 0 admits (`empty`), and refused (`refused`).

    Raises:
        DataError: if the model or the table cannot be used, the run does not say what its network
            was trained on, or it was trained with another window; if the folder has results of
            another table or files that this function would write over, another call writes to it,
            the folder cannot be made or written to, or the marks fit their images clearly better by
            another reading of the table. A single bad mark is only refused, with its cause in
            `refused.csv`.
        OSError: if the disk is full or fails while results are written. The results so far stay,
            and the same call goes on with the others.
    """
    with locked_folder(Path(out_dir)):
        return segment_in_locked_folder(model_dir, marks_csv, out_dir, settings, cut_out)


def segment_in_locked_folder(
    model_dir: str | Path,
    marks_csv: str | Path,
    out_dir: str | Path,
    settings: SegmentSettings | None,
    cut_out: Mapping[str, str] | None,
    *,
    refused_before: Sequence[Refusal] = (),
    short_assumed: Collection[str] = (),
) -> dict[str, int]:
    """Do what `segment_marks` says in a folder that no other call writes to.

    Args:
        model_dir: see `segment_marks`.
        marks_csv: see `segment_marks`.
        out_dir: see `segment_marks`.
        settings: see `segment_marks`.
        cut_out: see `segment_marks`.
        refused_before: marks that did not get into the table, which are listed and counted as well.
        short_assumed: ids of marks whose short diameter nobody drew: it is not in the results.
    """
    settings = settings or SegmentSettings()
    marks, refused = read_marks(
        marks_csv, columns=settings.columns, first_slice=settings.first_slice
    )
    refused += refused_before
    if settings.volume or settings.consistent:
        require("scipy", "--volume and --consistent")
    network = load_predictor(model_dir, settings.threads)
    settings = replace(settings, window_hu=window_for(settings.window_hu, network.data))
    call = _Call(
        marks_csv=Path(marks_csv),
        out=Path(out_dir),
        marks=marks,
        network=network,
        settings=settings,
        cut_out=cut_out,
        short_assumed=short_assumed,
    )
    return _segment_table(call, refused)


@dataclass(frozen=True, kw_only=True)
class _Call:
    """A call of `segment_marks`.

    Attributes:
        marks_csv: table of the marks.
        out: folder of the results.
        marks: marks of the table that can be used.
        network: the loaded network.
        settings: with the window that applies.
        cut_out: see `segment_marks`.
        short_assumed: see `segment_in_locked_folder`.
    """

    marks_csv: Path
    out: Path
    marks: Sequence[Mark]
    network: Predictor
    settings: SegmentSettings
    cut_out: Mapping[str, str] | None
    short_assumed: Collection[str]


def _segment_table(call: _Call, refused: list[Refusal]) -> dict[str, int]:
    """Segment marks with a loaded network, see `segment_marks`."""
    journal = _open_journal(call)
    done = journal.done()
    todo = [mark for mark in call.marks if mark.id not in done]
    _check_todo(call, journal, todo)
    least = trained_contrast(call.network.files[1])
    _make_folders(call)
    journal.claim(AT_THE_END)
    for name in AT_THE_END:  # of an earlier call; rewritten at the end
        (call.out / name).unlink(missing_ok=True)
    for mark in call.marks:
        if mark.id in done:  # the mark is the same, but its line or path may have changed
            done[mark.id] |= {"line": mark.row, "image": str(mark.image)}
    _tell_of_earlier(call, done)
    unusable, unread = _segment_todo(call, journal, todo, done, least)
    refused = refused + unusable
    kept = journal.forget({name for _, name, _ in refused} - done.keys(), unread)
    refused = [(line, name, cause + KEPT * (name in kept)) for line, name, cause in refused]
    rows = [done[mark.id] for mark in call.marks if mark.id in done]
    counts = _write_results(call, rows, refused)
    journal.note_the_end()
    return counts


def _open_journal(call: _Call) -> Journal:
    """Open the journal of the results, with all that every result depends on."""
    settings = call.settings
    shared = [file_digest(path) for path in call.network.files]
    shared += [repr((settings.gate, settings.consistent, settings.window_hu, settings.units))]
    in_3d = [["volume"], ["volume", "slices from 1"]]  # as sheets number them
    kinds = [in_3d[settings.first_slice]] if settings.volume else [[], *in_3d]
    return Journal(call.out, call.marks, shared, kinds)


def _check_todo(call: _Call, journal: Journal, todo: Sequence[Mark]) -> None:
    """Check that the table is read rightly, and that nothing of the user's is written over."""
    settings = call.settings
    assert settings.window_hu is not None
    check_readings(
        todo,
        settings.window_hu,
        units=settings.units,
        columns=settings.columns,
        first_slice=settings.first_slice if call.cut_out is None else None,
        as_given=settings.as_given,
    )
    planned = [name for mark in todo for name in planned_files(mark, settings.volume)]
    inputs = [call.marks_csv, *(mark.image for mark in call.marks)]
    journal.check_free([*AT_THE_END, *planned], inputs)


def _make_folders(call: _Call) -> None:
    for name in ("masks", "overlays", *(["volumes"] if call.settings.volume else [])):
        try:
            (call.out / name).mkdir(exist_ok=True)
        except FileExistsError as error:  # a file, or a broken link
            raise DataError(
                f"{call.out / name}: is not a folder. Move it away, or give another --out folder."
            ) from error


def _tell_of_earlier(call: _Call, done: Mapping[str, dict[str, Any]]) -> None:
    """Log how many marks an earlier call has segmented."""
    if done:
        logger.info("%d of %d marks are done already", len(done), len(call.marks))
    in_3d = [row for row in done.values() if row.get("volume")]
    if in_3d and not call.settings.volume:
        logger.warning(
            "%s has volumes of %d of these marks from an earlier call with --volume: they are kept,"
            " but are not in measurements.csv, which needs --volume again",
            call.out,
            len(in_3d),
        )


def _segment_todo(
    call: _Call,
    journal: Journal,
    todo: Sequence[Mark],
    done: dict[str, dict[str, Any]],
    least: float | None,
) -> tuple[list[Refusal], set[str]]:
    """Segment marks in batches, and add their rows to `done`.

    Args:
        call: the call.
        journal: where each batch is noted.
        todo: marks to segment.
        done: rows of `measurements.csv` by id; gets those of `todo`.
        least: contrast from which a mark is visible (`weaklesion.segment.visibility`), or None.

    Returns:
        The marks that cannot be used, and the ids of those whose images are not there.
    """
    network, settings = call.network, call.settings
    todo = grouped_by_image(todo)
    batches = [todo[i : i + MARKS_PER_BATCH] for i in range(0, len(todo), MARKS_PER_BATCH)]
    refused: list[Refusal] = []
    unread: set[str] = set()
    outdated = 0
    for batch in progress(batches, total=len(batches), what="batches of marks"):
        opened, unusable, not_there = open_batch(batch, network, settings)
        refused += unusable
        unread |= not_there
        files = [name for each in opened for name in planned_files(each.mark, settings.volume)]
        journal.check_free(files, [])
        journal.claim(files)
        rows = segment_batch(opened, network, settings, call.out)
        for row, each in zip(rows, opened, strict=True):
            row["contrast"] = each.contrast
            row["visible"] = is_visible(each.contrast, each.around, least)
            row["outside_training"] = outside_training(row, each.spacing, network.data)
        outdated += journal.note(rows)
        done |= {row["id"]: row for row in rows}
    if outdated:
        logger.warning(
            "%s had volumes of %d marks that were segmented again and have none now: they were"
            " removed%s",
            call.out,
            outdated,
            "" if settings.volume else ". Give --volume to make them again",
        )
    return refused, unread


def _write_results(
    call: _Call, rows: list[dict[str, Any]], refused: list[Refusal]
) -> dict[str, int]:
    """Write tables and page of all marks; return the numbers of marks by kind of result."""
    rows = [noted(row, call.cut_out or {}) for row in rows]
    rows = [without_short(row) if row["id"] in call.short_assumed else row for row in rows]
    if touching := note_touching(rows, call.out):
        logger.warning(
            "%d marks have masks that touch that of another mark: see touches in measurements.csv",
            touching,
        )
    rows = [as_counted(row, call.settings.first_slice) for row in rows]
    write_sheet(call.out, rows, refused, gate=call.settings.gate)
    return write_tables(call.out, rows, refused, call.settings.volume)
