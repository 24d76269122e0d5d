"""Segment marks on images of any kind with a trained network that reads the mark.

Written are `masks/` in each input's own geometry, `overlays/`, `measurements.csv` with one row per
mark, `refused.csv`, and `index.html`, which shows all overlays; and `volumes/` on request.
`journal.jsonl` records every finished mark, so that an interrupted call continues where it stopped.
"""

import logging
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np

from weaklesion.errors import DataError
from weaklesion.marks.columns import KNOWN
from weaklesion.marks.table import BadMarkError, Mark, UnreadableError, grouped_by_image, read_marks
from weaklesion.marks.volumes import is_volume
from weaklesion.prediction.gate import gated_mask
from weaklesion.segment.crops import Opened, drawn_ends, open_mark
from weaklesion.segment.journal import AT_THE_END, Journal
from weaklesion.segment.lock import locked_folder
from weaklesion.segment.outputs import (
    MEASURED,
    MEASURED_IN_3D,
    measure,
    volume_files,
    write_mask,
    write_overlay,
)
from weaklesion.segment.predictor import Predictor, load_predictor
from weaklesion.segment.readings import check_readings
from weaklesion.segment.sheet import write_sheet
from weaklesion.segment.touching import box_of, note_touching
from weaklesion.segment.training_range import outside_training, window_for
from weaklesion.segment.visibility import is_visible, not_visible, trained_contrast
from weaklesion.support.extras import require
from weaklesion.support.files import file_digest
from weaklesion.support.progress import progress
from weaklesion.support.spreadsheets import plain_rows
from weaklesion.support.tables import write_rows

logger = logging.getLogger(__name__)

MARKS_PER_BATCH = 16
UNITS = ("px", "mm")
MAX_WARNED = 20  # marks of a kind that the log names

REFUSED = ("line", "id", "cause")

SLICES = ("slice", "first_slice", "last_slice")  # columns of `measurements.csv`

KEPT = "; its earlier mask is kept, as it was"

Refusal = tuple[int, str, str]  # line, id, cause


@dataclass(frozen=True, kw_only=True)
class SegmentSettings:
    """How marks are segmented; the defaults are those of the command line.

    Attributes:
        gate: least agreement of mask and mark; below it the mark's shape is returned
            (`weaklesion.prediction.gate`).
        consistent: whether each mask is moved so that its shape is the mark's.
        window_hu: Hounsfield units that become 0 and 255, for NIfTI and 16-bit PNG; None for those
            of the network's training.
        units: of the table's coordinates: `px`, or `mm` from the centre of the first pixel along
            its row (x) and its column (y), which each image's spacing turns into px.
        columns: the table's own names of columns, by the names of `weaklesion.marks.table`.
        first_slice: number that the table gives to the first slice of a volume, 0 or 1.
        as_given: whether the table is used as it is, even if the marks fit their images clearly
            better when it is read otherwise (`weaklesion.segment.readings`).
        threads: CPU threads.
        volume: whether the lesion of each mark on a volume is segmented in three dimensions too.

    Raises:
        DataError: if the gate is not within 0 and 1, the window is not two finite numbers of which
            the first is lower, a column has an unknown name or no own one, the threads are no whole
            number of at least 1, or the units or the number of the first slice are none of those
            above.
    """

    gate: float = 0.8
    consistent: bool = False
    window_hu: tuple[float, float] | None = None
    units: str = "px"
    columns: Mapping[str, str] = field(default_factory=dict)
    first_slice: int = 0
    as_given: bool = False
    threads: int = 2
    volume: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.gate, Real) or not 0 <= self.gate <= 1:
            raise DataError(f"gate: needs a number from 0 to 1, not {self.gate!r}.")
        window = self.window_hu
        if window is not None and not (
            np.shape(window) == (2,)
            and all(isinstance(value, Real) and math.isfinite(value) for value in window)
            and window[0] < window[1]
        ):
            raise DataError(f"window: needs two finite numbers, the lower first, not {window!r}.")
        if not isinstance(self.threads, Integral) or self.threads < 1:
            raise DataError(f"threads: needs a whole number of at least 1, not {self.threads!r}.")
        for name, own in self.columns.items():
            if name not in KNOWN:
                raise DataError(f"columns: {name!r} is none of {', '.join(KNOWN)}.")
            if not own:
                raise DataError(f"columns: {name} needs the table's own name, not {own!r}.")
        if self.units not in UNITS:
            raise DataError(f"units: needs px or mm, not {self.units!r}.")
        if self.first_slice not in (0, 1):
            raise DataError(f"first slice: needs 0 or 1, not {self.first_slice}.")


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
            or the marks fit their images clearly better by another reading of the table. A single
            bad mark is only refused, with its cause in `refused.csv`.
    """
    with locked_folder(Path(out_dir)):
        return segment_in_locked_folder(model_dir, marks_csv, out_dir, settings, cut_out)


def segment_in_locked_folder(
    model_dir: str | Path,
    marks_csv: str | Path,
    out_dir: str | Path,
    settings: SegmentSettings | None,
    cut_out: Mapping[str, str] | None,
) -> dict[str, int]:
    """Do what `segment_marks` says in a folder that no other call writes to."""
    settings = settings or SegmentSettings()
    marks, refused = read_marks(
        marks_csv, columns=settings.columns, first_slice=settings.first_slice
    )
    if settings.volume or settings.consistent:
        require("scipy", "--volume and --consistent")
    network = load_predictor(model_dir, settings.threads)
    settings = replace(settings, window_hu=window_for(settings.window_hu, network.data))
    return _segment_table(
        Path(marks_csv), Path(out_dir), marks, refused, network, settings, cut_out
    )


def _segment_table(
    marks_csv: Path,
    out: Path,
    marks: list[Mark],
    refused: list[Refusal],
    network: Predictor,
    settings: SegmentSettings,
    cut_out: Mapping[str, str] | None,
) -> dict[str, int]:
    """Segment marks with a loaded network, see `segment_marks`."""
    assert settings.window_hu is not None
    shared = [file_digest(path) for path in network.files]
    shared += [repr((settings.gate, settings.consistent, settings.window_hu, settings.units))]
    in_3d = [["volume"], ["volume", "slices from 1"]]  # as sheets number them
    kinds = [in_3d[settings.first_slice]] if settings.volume else [[], *in_3d]
    journal = Journal(out, marks, shared, kinds)
    done = journal.done()
    todo = [mark for mark in marks if mark.id not in done]
    check_readings(
        todo,
        settings.window_hu,
        units=settings.units,
        columns=settings.columns,
        first_slice=settings.first_slice if cut_out is None else None,
        as_given=settings.as_given,
    )
    least = trained_contrast(network.files[1])
    planned = [name for mark in todo for name in _planned_files(mark, settings.volume)]
    journal.check_free([*AT_THE_END, *planned], [marks_csv, *(mark.image for mark in marks)])
    for name in ("masks", "overlays", *(["volumes"] if settings.volume else [])):
        try:
            (out / name).mkdir(exist_ok=True)
        except FileExistsError as error:  # a file, or a broken link
            raise DataError(
                f"{out / name}: is no folder. Move it away, or give another --out folder."
            ) from error
    journal.claim(AT_THE_END)
    for name in AT_THE_END:  # of an earlier call; rewritten at the end
        (out / name).unlink(missing_ok=True)
    for mark in marks:
        if mark.id in done:  # the mark is the same, but its line or path may have changed
            done[mark.id] |= {"line": mark.row, "image": str(mark.image)}
    if done:
        logger.info("%d of %d marks are done already", len(done), len(marks))
    if unreported := sum(not settings.volume and bool(row.get("volume")) for row in done.values()):
        logger.warning(
            "%s has volumes of %d of these marks from an earlier call with --volume: they are kept,"
            " but are not in measurements.csv, which needs --volume again",
            out,
            unreported,
        )
    todo = grouped_by_image(todo)
    batches = [todo[i : i + MARKS_PER_BATCH] for i in range(0, len(todo), MARKS_PER_BATCH)]
    unread: set[str] = set()
    outdated = 0
    for batch in progress(batches, total=len(batches), what="batches of marks"):
        opened, unusable, not_there = _open_batch(batch, network, settings)
        refused += unusable
        unread |= not_there
        files = [name for each in opened for name in _planned_files(each.mark, settings.volume)]
        journal.check_free(files, [])
        journal.claim(files)
        rows = _segment_batch(opened, network, settings, out)
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
            out,
            outdated,
            "" if settings.volume else ". Give --volume to make them again",
        )
    kept = journal.forget({name for _, name, _ in refused} - done.keys(), unread)
    refused = [(line, name, cause + KEPT * (name in kept)) for line, name, cause in refused]
    rows = [_noted(done[mark.id], cut_out or {}) for mark in marks if mark.id in done]
    if touching := note_touching(rows, out):
        logger.warning(
            "%d marks have masks that touch that of another mark: see touches in measurements.csv",
            touching,
        )
    rows = [_as_counted(row, settings.first_slice) for row in rows]
    write_sheet(out, rows, refused, gate=settings.gate)
    counts = _write_tables(out, rows, refused, settings.volume)
    journal.note_the_end()
    return counts


def _files_of(each: Opened) -> dict[str, str]:
    """Return the names of a mark's mask and overlay in the folder."""
    name, ending = each.mark.id, ".png" if each.volume is None else ".nii.gz"
    return {"mask": f"masks/{name}{ending}", "overlay": f"overlays/{name}.png"}


def _planned_files(mark: Mark, volume: bool) -> list[str]:
    """Return the names of a mark's files, as the name of its image predicts them."""
    ending = ".nii.gz" if is_volume(mark.image) else ".png"
    in_3d = volume_files(mark.id).values() if volume and is_volume(mark.image) else ()
    return [f"masks/{mark.id}{ending}", f"overlays/{mark.id}.png", *in_3d]


def _open_batch(
    batch: Sequence[Mark], network: Predictor, settings: SegmentSettings
) -> tuple[list[Opened], list[Refusal], set[str]]:
    """Return the marks of a batch with their images, and the marks that cannot be used.

    Returns:
        The marks; the others with their causes; and the ids of those whose images are not there.
    """
    assert settings.window_hu is not None
    opened: list[Opened] = []
    refused: list[Refusal] = []
    unread = set()
    for mark in batch:
        try:
            opened.append(
                open_mark(
                    mark, network.trained, network.data, settings.window_hu, units=settings.units
                )
            )
        except BadMarkError as error:
            refused.append((mark.row, mark.id, str(error)))
            if isinstance(error, UnreadableError):
                unread.add(mark.id)
    return opened, refused, unread


def _noted(row: dict[str, Any], cut_out: Mapping[str, str]) -> dict[str, Any]:
    """Return a row that also says why its volume is no larger."""
    reasons = [cut_out.get(row["id"]), row.get("volume_reason")]
    return row | {"volume_reason": "; ".join(filter(None, reasons))}


def _as_counted(row: dict[str, Any], first: int) -> dict[str, Any]:
    """Return a row whose slices are numbered as in the user's table; until then they are indices.

    Args:
        row: of the journal.
        first: number that the table gives to the first slice.

    >>> _as_counted({"slice": 4, "last_slice": None}, 1)
    {'slice': 5, 'last_slice': None}
    """
    return row | {name: row[name] + first for name in SLICES if row.get(name) is not None}


def _write_tables(
    out: Path, rows: list[dict[str, Any]], refused: list[Refusal], volume: bool
) -> dict[str, int]:
    """Write `measurements.csv` and `refused.csv`; return the numbers of marks by kind of result."""
    columns = [*MEASURED, *(MEASURED_IN_3D if volume else ())]
    write_rows(out / "measurements.csv", columns, plain_rows(rows))
    refused.sort()
    for line, name, cause in refused:
        logger.warning("line %d, %s: refused: %s", line, name, cause)
    causes = plain_rows([dict(zip(REFUSED, one, strict=True)) for one in refused])
    write_rows(out / "refused.csv", REFUSED, causes)
    unseen = not_visible(rows)
    _warn_of(unseen, "nothing of its shape is in the image (contrast %.2f)", "contrast", "visible")
    outside = [row for row in rows if row["outside_training"]]
    what = "outside_training"
    _warn_of(outside, "outside what the network was trained on: %s", what, what)
    answers = Counter(row["answer"] for row in rows)
    kinds = ("network", "ellipse", "ends", "empty")
    return {kind: answers[kind] for kind in kinds} | {"refused": len(refused)}


def _warn_of(rows: Sequence[dict[str, Any]], text: str, value: str, column: str) -> None:
    """Log marks that the user should look at, each with a value; `column` tells all of them."""
    for row in rows[:MAX_WARNED]:
        logger.warning(f"line %d, %s: {text}", row["line"], row["id"], row[value])
    if len(rows) > MAX_WARNED:
        more = len(rows) - MAX_WARNED
        logger.warning("and %d more: see %s in measurements.csv", more, column)


def _segment_batch(
    opened: Sequence[Opened], network: Predictor, settings: SegmentSettings, out: Path
) -> list[dict[str, Any]]:
    """Segment a few marks in one pass of the network, write their files, and return their rows."""
    if not opened:
        return []
    rows = []
    scored = network.logits([each.crop for each in opened])
    for each, logits in zip(opened, scored, strict=True):
        mark, crop = each.mark, each.crop
        gated = gated_mask(
            logits,
            crop.shape,
            gate=settings.gate,
            consistent=settings.consistent,
            compared=drawn_ends(mark, crop),
        )
        mask, own = np.zeros((2, *each.shape_hw), dtype=np.uint8)
        mask[crop.rows, crop.columns] = gated.mask
        own[crop.rows, crop.columns] = gated.own
        files = _files_of(each)
        write_mask(out / files["mask"], mask, mark.slice, each.volume)
        write_overlay(
            out / files["overlay"], each.around, mask, own, mark, each.ellipse, each.shape
        )
        measured = measure(mark, mask, gated, network.prompt.shape, each.spacing)
        rows.append(measured | files | {"box": box_of(mask)})
        if settings.volume:
            from weaklesion.segment.lesion_volume import segment_volume  # imports SciPy

            assert settings.window_hu is not None
            shown = mask if gated.from_network else None
            rows[-1] |= segment_volume(each, shown, network, settings.window_hu, out)
    return rows
