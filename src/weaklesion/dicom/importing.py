"""From an export to the table of marks and the images that `weaklesion segment` reads.

Written are `marks.csv`; `images/`, one NIfTI of Hounsfield units per marked frame of CT, on request
with the slices around it, one PNG of levels per other frame; and three tables that say what became
of everything: `found.csv`, `skipped.csv`, `series.csv`. They name objects by UID and number,
because names of files and texts in them may identify a person.
"""

import hashlib
import io
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from weaklesion.dicom.documents import find_marks
from weaklesion.dicom.export import Export, read_export
from weaklesion.dicom.found import FoundMark, Refused
from weaklesion.dicom.image_files import write_place
from weaklesion.dicom.image_objects import ImageObject
from weaklesion.dicom.lines import length_mm
from weaklesion.dicom.pixels import series_notes
from weaklesion.dicom.stacks import Place, Stack
from weaklesion.dicom.tables import SOURCE, marks_of_table
from weaklesion.dicom.timeline import doubts_in_time
from weaklesion.dicom.twins import merged, twin_of
from weaklesion.errors import DataError
from weaklesion.marks.drawn_lines import ALONE, check_short_of_long, with_short
from weaklesion.marks.table import BadMarkError
from weaklesion.recist import RECIST_COLUMNS
from weaklesion.support.own_files import OwnFiles
from weaklesion.support.spreadsheets import plain_rows

logger = logging.getLogger(__name__)

TABLES = ("marks.csv", "found.csv", "skipped.csv", "series.csv")
MARKS = ("id", "image", "slice", *RECIST_COLUMNS, "spacing_x", "spacing_y")
FOUND = ("id", "source", "source_uid", "item", "image_uid", "frame", "tracking_uid", "taken",
         "cause", "notes")  # fmt: skip


MODALITIES = {  # what made an image, by DICOM's Modality
    "CT": "CT", "MR": "MR", "PT": "PET", "US": "ultrasound", "CR": "X-ray", "DX": "X-ray",
    "MG": "mammography", "XC": "photograph", "DMS": "dermoscopy",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ImportSettings:
    """How an export is imported.

    `modality`, `around` and `window_hu` are for `weaklesion.dicom.importing.import_export`.
    `segment_export` sets them itself and accepts only their defaults.

    Attributes:
        short_of_long: length of the short diameter divided by that of the long one, for marks that
            have a long one only; None refuses them.
        levels: values that become black and white in grey images other than CT, or white and black
            if they are MONOCHROME1; None for the window that each stores.
        marks_csv: table of marks that counts instead of the export's documents, or None
            (`weaklesion.dicom.tables`).
        columns: the table's own name of each column that it names otherwise.
        first_slice: number that the table gives to the first slice.
        modality: what made the images that the network was trained on, a value of `MODALITIES`;
            marks on images of any other Modality are refused. Any other text admits all.
        around: how far the slices around a mark are imported, as a multiple of half its mean
            diameter; None for its own slice alone.
        window_hu: values that the reader of these slices makes black and white, which levels of
            images other than CT become; None for 0 and 255.

    Raises:
        DataError: if a number is impossible.
    """

    short_of_long: float | None = None
    levels: tuple[float, float] | None = None
    marks_csv: Path | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    first_slice: int = 0
    modality: str = ""
    around: float | None = None
    window_hu: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        check_short_of_long(self.short_of_long)
        if self.levels is not None and not self.levels[0] < self.levels[1]:
            raise DataError(f"levels: needs two numbers, the lower first, not {self.levels}.")


@dataclass
class Imported:
    """What an import made.

    Attributes:
        marks_csv: the table of marks.
        export: the export.
        marks: the marks that were taken, by id.
        stacks: the slices around each marked one that were imported, if they were asked for.
        refused: the marks that were not, without copies of those that were: line in the user's
            table, or 0; id in it, or ""; and the cause.
    """

    marks_csv: Path
    export: Export
    marks: dict[str, FoundMark] = field(default_factory=dict)
    stacks: dict[Place, Stack] = field(default_factory=dict)
    refused: list[tuple[int, str, str]] = field(default_factory=list)


def import_export(
    folder: str | Path, out_dir: str | Path, settings: ImportSettings | None = None
) -> Imported:
    """Find the marks of an export, and write them as a table, with their images.

    Args:
        folder: the export, of any nesting.
        out_dir: folder to write to. Images that are already there are kept if they are the same, so
            that `weaklesion segment` continues where it stopped. Files that an earlier call wrote
            are written over.
        settings: see `ImportSettings`; None for its defaults.

    Raises:
        DataError: if the folder does not exist, no mark in it can be used, or a file that is to be
            written exists, and no earlier call wrote it or it was changed since. One bad file or
            mark is only reported.
    """
    settings = settings or ImportSettings()
    export = read_export(folder)
    if settings.marks_csv is None:
        found, refused = find_marks(export)
    else:
        found, refused = marks_of_table(
            settings.marks_csv,
            export,
            columns=settings.columns,
            first_slice=settings.first_slice,
        )
    out = OwnFiles(out_dir)
    out.check_free(TABLES)
    imported = Imported(out.folder / "marks.csv", export)
    rows: list[dict[str, Any]] = []
    report: list[dict[str, Any]] = []
    pictures: dict[Place, str] = {}
    reaches = _reaches_mm(found, export, settings)
    for mark in sorted(found, key=lambda mark: (mark.source_uid, mark.item, mark.source)):
        entry = _entry(mark)
        try:
            whole = _complete(mark, export, settings)
            if twin := twin_of(whole, imported.marks):
                imported.marks[twin] = merged(imported.marks[twin], whole)
                cause, notes = f"the same mark as {twin}", "; ".join(whole.notes)
                report.append(entry | {"taken": False, "cause": cause, "notes": notes})
                continue
            name = mark_id(whole)
            place = mark.image_uid, mark.frame
            if place not in pictures:
                written = write_place(
                    export,
                    place,
                    out,
                    reaches.get(place),
                    settings.levels,
                    settings.window_hu,
                )
                pictures[place] = written.name
                if written.stack is not None:
                    imported.stacks[place] = written.stack
        except BadMarkError as error:
            report.append(entry | {"id": mark.name, "taken": False, "cause": str(error)})
            imported.refused.append(_refusal(mark, str(error)))
            continue
        imported.marks[name] = whole
        rows.append(_row(name, whole, pictures[place], imported))
        notes = "; ".join(whole.notes)
        report.append(entry | {"id": name, "taken": True, "notes": notes})
    for item in refused:
        report.append(_entry(item) | {"id": item.name, "taken": False, "cause": item.cause})
        if item.item:  # otherwise it is a document without marks
            imported.refused.append(_refusal(item, item.cause))
    _add_doubts(report, imported)
    _write(out, "marks.csv", rows, MARKS)
    _write(out, "found.csv", report, FOUND)
    _write_objects(out, export, {export.images[uid].series_uid for uid, _ in pictures})
    _log(report, export)
    if not rows:
        raise DataError(
            f"{folder}: no mark in it can be used. {out.folder / 'found.csv'} has the cause of"
            f" each, {out.folder / 'skipped.csv'} the files without marks."
        )
    return imported


def _add_doubts(report: list[dict[str, Any]], imported: Imported) -> None:
    """Add to the notes of marks why their lesions are not followed over time."""
    doubts = doubts_in_time(imported.marks, imported.export)
    for entry in report:
        if entry["taken"] and entry["id"] in doubts:
            entry["notes"] = "; ".join(filter(None, [entry["notes"], doubts[entry["id"]]]))


def mark_id(mark: FoundMark) -> str:
    """Return a mark's id: the same whatever else an export has, and wherever its files are."""
    if mark.name:
        return mark.name
    place = [mark.image_uid, mark.frame, mark.ends.round(3).tolist()]
    return "mark-" + hashlib.sha256(repr(place).encode()).hexdigest()[:10]


def _entry(item: Any) -> dict[str, Any]:
    names = ("source", "source_uid", "item", "image_uid", "tracking_uid")
    frame = item.frame + 1 if isinstance(item, FoundMark) else None  # as DICOM counts
    return {name: getattr(item, name, None) for name in names} | {"frame": frame}


def _complete(mark: FoundMark, export: Export, settings: ImportSettings) -> FoundMark:
    """Return a mark with both diameters, on an image that the export has."""
    if mark.image_uid in export.ambiguous:
        raise BadMarkError("two different files have the UID of its image")
    image = export.images.get(mark.image_uid)
    if image is None:
        raise BadMarkError("its image is not in the export")
    if mark.frame >= len(image.frames):
        raise BadMarkError(f"its image has {len(image.frames)} frames, not {mark.frame + 1}")
    _check_modality(image, settings.modality)
    spacing = export.spacing_xy(mark.image_uid, mark.frame, mark.ends)
    if spacing is None and not image.square:
        raise BadMarkError(
            "its image has pixels that are not square (PixelAspectRatio, ImagerPixelSpacing), but"
            " no spacing in mm: give it its PixelSpacing"
        )
    notes = (export.spacing_note(mark.image_uid, mark.ends), *image.display)
    mark = replace(mark, notes=(*mark.notes, *filter(None, notes)))
    if len(mark.ends) == 4:
        return mark
    ends = with_short(mark.ends, settings.short_of_long, spacing or (1.0, 1.0))
    note = f"{ALONE}: the short one is {settings.short_of_long:g} of it"
    return replace(
        mark,
        ends=ends,
        notes=(*mark.notes, note),
        short_assumed=True,
    )


def _check_modality(image: ImageObject, trained_on: str) -> None:
    """Refuse an image that was made otherwise than those of the network, where these are known."""
    made_by = MODALITIES.get(image.modality)
    if trained_on not in MODALITIES.values() or made_by == trained_on:
        return
    stated = image.modality or "missing or not a word of DICOM"
    raise BadMarkError(
        f"the Modality of its image is {stated}{f' ({made_by})' if made_by else ''}, but the"
        f" network was trained on {trained_on}: give the run of a network for"
        f" {made_by or 'such images'}, or correct the image's Modality if it is wrong"
    )


def _refusal(item: FoundMark | Refused, cause: str) -> tuple[int, str, str]:
    """Return line, id and cause of a refused mark."""
    if item.source == SOURCE:
        return item.item, item.name, cause
    return 0, "", f"{item.source}, number {item.item}: {cause}"


def _reaches_mm(
    found: Sequence[FoundMark], export: Export, settings: ImportSettings
) -> dict[Place, float]:
    """Return how far the slices around each marked one are needed, mm; empty if they are not."""
    reaches: dict[Place, float] = {}
    for mark in found if settings.around is not None else ():
        try:
            whole = _complete(mark, export, settings)
        except BadMarkError:  # it will be refused
            continue
        place = mark.image_uid, mark.frame
        unit = export.spacing_xy(*place, whole.ends) or (1.0, 1.0)
        mean = (length_mm(whole.ends[:2], unit) + length_mm(whole.ends[2:], unit)) / 2
        reaches[place] = max(reaches.get(place, 0.0), (settings.around or 0.0) * mean / 2)
    return reaches


def _row(name: str, mark: FoundMark, image: str, imported: Imported) -> dict[str, Any]:
    values = dict(zip(RECIST_COLUMNS, mark.ends.ravel().tolist(), strict=True))
    row = {"id": name, "image": image, **values}
    stack = imported.stacks.get((mark.image_uid, mark.frame))
    if stack is not None and len(stack.places) > 1:
        row["slice"] = stack.index
    spacing = imported.export.spacing_xy(mark.image_uid, mark.frame, mark.ends)
    if spacing is not None:  # for a NIfTI as well: one of 1 mm at the origin says no spacing
        row |= {"spacing_x": spacing[0], "spacing_y": spacing[1]}
    return row


def _write(
    out: OwnFiles, name: str, rows: Sequence[dict[str, Any]], columns: Sequence[str]
) -> None:
    text = io.StringIO()
    table = pd.DataFrame(plain_rows(rows), columns=list(columns))
    table.to_csv(text, index=False, float_format="%.8g")
    with out.writing(name) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")


def _write_objects(out: OwnFiles, export: Export, marked: set[str]) -> None:
    """Write what was skipped, and what is to be told of each series."""
    _write(
        out,
        "skipped.csv",
        [vars(each) for each in sorted(export.skipped, key=lambda each: each.file)],
        ("file", "uid", "kind", "cause"),
    )
    series: dict[str, list[ImageObject]] = {}
    for image in export.images.values():
        series.setdefault(image.series_uid, []).append(image)
    rows = [
        {
            "series_uid": uid,
            "modality": images[0].modality,
            "images": len(images),
            "frames": sum(len(image.frames) for image in images),
            "marked": uid in marked,
            "notes": "; ".join(series_notes(images)),
        }
        for uid, images in sorted(series.items())
    ]
    columns = ("series_uid", "modality", "images", "frames", "marked", "notes")
    _write(out, "series.csv", rows, columns)


def _log(report: Sequence[dict[str, Any]], export: Export) -> None:
    """Log numbers of marks and of causes, which hold no text of the files."""
    taken = sum(entry["taken"] for entry in report)
    logger.info("%d marks found and taken, %d not used", taken, len(report) - taken)
    causes = pd.Series([entry.get("cause") for entry in report if not entry["taken"]], dtype=object)
    for cause, count in causes.value_counts().head(20).items():
        logger.warning("%d not used: %s", count, cause)
    skipped = pd.Series([each.cause for each in export.skipped], dtype=object)
    for cause, count in skipped.value_counts().head(20).items():
        logger.info("%d files skipped: %s", count, cause)
