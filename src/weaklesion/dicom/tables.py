"""Marks of a user's table (`weaklesion.marks.table`) on the images of an export."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from weaklesion.dicom.documents import find_marks
from weaklesion.dicom.export import Export
from weaklesion.dicom.found import Found, FoundMark, Refused
from weaklesion.dicom.geometry import SAME_PLACE_MM
from weaklesion.dicom.image_objects import ImageObject, without_localisers
from weaklesion.dicom.table_lesions import follow_lesions, with_document, with_nodes
from weaklesion.marks.image_files import other_spelling
from weaklesion.marks.table import BadMarkError, Mark, read_marks
from weaklesion.support.spreadsheets import formula_problem

SOURCE = "table"
SAME_SPACING = 0.01  # relative difference up to which two spacings are equal
NO_SPACING = "no mm: spacing_x and spacing_y are not used for an image without a spacing in mm"


def marks_of_table(
    marks_csv: str | Path,
    export: Export,
    *,
    columns: Mapping[str, str] | None = None,
    first_slice: int = 0,
) -> Found:
    """Return the marks of a table whose column `image` names DICOM.

    `image` is the path of a file of the export, also of a copy, relative to the table's folder; or
    the UID of an image object; or that of a series, whose slices are counted along their normal,
    without localisers. `slice` counts the slices of a series, or the frames of an object with
    several. `lesion` names the lesion over studies, and `lymph_node` says whether it is one
    (`weaklesion.dicom.table_lesions`).

    Args:
        marks_csv: the table, in px from the centre of the first pixel.
        export: the export.
        columns: the table's own name of each column that it names otherwise.
        first_slice: number that the table gives to the first slice.

    Raises:
        DataError: if the table cannot be read, or names lesions that cannot be.
    """
    marks, unusable = read_marks(marks_csv, columns=columns, first_slice=first_slice)
    refused = [Refused(SOURCE, "", line, "", cause, name) for line, name, cause in unusable]
    paths = {path.resolve(): uid for path, uid in export.paths.items() if uid in export.images}
    documents, _ = find_marks(export)
    found = []
    for mark in marks:
        try:
            if problem := formula_problem({"id": mark.id}):
                raise BadMarkError(problem)
            uid, frame = _place(mark, export, paths)
            spacing = export.spacing_xy(uid, frame, mark.points)
            _check_spacing(mark, spacing)
        except BadMarkError as error:
            refused.append(Refused(SOURCE, "", mark.row, "", str(error), mark.id))
            continue
        notes = (NO_SPACING,) if mark.spacing is not None and spacing is None else ()
        placed = FoundMark(SOURCE, "", mark.row, uid, frame, mark.points, name=mark.id, notes=notes)
        found.append(with_document(placed, documents))
    names = {mark.row: mark.lesion for mark in marks if mark.lesion}
    stated = {mark.row: mark.lymph_node for mark in marks if mark.lymph_node is not None}
    followed = follow_lesions(marks_csv, found, names, export)
    return with_nodes(marks_csv, followed, names, stated), refused


def _place(mark: Mark, export: Export, paths: Mapping[Path, str]) -> tuple[str, int]:
    """Return SOP instance and frame of a mark."""
    name = mark.image.name
    uid = paths.get(mark.image.resolve()) or (name if name in export.images else "")
    if uid:
        return uid, _frame(mark, len(export.images[uid].frames), "frames")
    series = without_localisers(
        [image for image in export.images.values() if image.series_uid == name]
    )
    if not series:
        hint = other_spelling(mark.image) or (
            ": write the path of one of its files, relative to the table, or the UID of an image or"
            " of a series"
        )
        raise BadMarkError(f"its image is not in the export{hint}")
    if mark.slice is None and len(series) > 1:
        raise BadMarkError(f"the series has {len(series)} images, but the row has no slice")
    if any(len(image.frames) > 1 for image in series):
        raise BadMarkError("the series has images of several frames: name one image")
    return sorted_slices(series)[_frame(mark, len(series), "slices")].uid, 0


def _frame(mark: Mark, count: int, kind: str) -> int:
    number, first = mark.slice or 0, mark.first_slice
    if mark.slice is None and count > 1:
        raise BadMarkError(f"the image has {count} {kind}, but the row has no slice")
    if count == 1 and number > 0:
        raise BadMarkError(
            f"the row names slice {number + first}, but the image is a single slice: leave slice"
            " empty, or name the series instead of the image"
        )
    if number >= count:
        raise BadMarkError(
            f"slice {number + first} is not one of the {count} {kind}, {first} to"
            f" {count - 1 + first}"
        )
    return number


def sorted_slices(series: list[ImageObject]) -> list[ImageObject]:
    """Return the images of a series along the normal of its slices.

    Raises:
        BadMarkError: if an image has no place, two have the same one, or they are not parallel.
    """
    frames = [image.frames[0] for image in series]
    if len(series) == 1:
        return series
    if not all(frame.placed for frame in frames):
        raise BadMarkError("an image of the series has no place in the patient: name one image")
    if not all(frame.is_parallel_to(frames[0]) for frame in frames):
        raise BadMarkError("the slices of the series are not parallel: name one image")
    along = frames[0].along_normal(frames)
    order = np.argsort(along, kind="stable")
    if (np.diff(along[order]) <= SAME_PLACE_MM).any():
        raise BadMarkError("two images of the series have the same place: name one image")
    return [series[i] for i in order]


def _check_spacing(mark: Mark, spacing: tuple[float, float] | None) -> None:
    """Refuse a row whose spacing contradicts that of its image."""
    if mark.spacing is None or spacing is None:
        return
    if not np.allclose(mark.spacing, spacing, rtol=SAME_SPACING):
        raise BadMarkError(
            f"spacing_x and spacing_y are {mark.spacing[0]:g} and {mark.spacing[1]:g} mm, but the"
            f" image has {spacing[0]:g} and {spacing[1]:g}: does the mark belong to another image?"
        )
