"""`weaklesion segment --dicom`: from an export to masks, and to DICOM again."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pandas as pd

import weaklesion
from weaklesion.dicom.area_changes import write_areas
from weaklesion.dicom.areas import Area, area_of
from weaklesion.dicom.cdisc import write_courses
from weaklesion.dicom.importing import Imported, ImportSettings, import_export
from weaklesion.dicom.results import Lesion, Maker, SolidMask
from weaklesion.dicom.stacks import Stack
from weaklesion.dicom.timeline import courses_of
from weaklesion.dicom.writing import write_dicom
from weaklesion.errors import DataError
from weaklesion.prediction.run_folder import network_files
from weaklesion.segment.lock import locked_folder
from weaklesion.segment.outputs import read_mask
from weaklesion.segment.run import segment_in_locked_folder
from weaklesion.segment.settings import SegmentSettings
from weaklesion.segment.training_range import window_for
from weaklesion.study.trained_on import read_trained_on
from weaklesion.support.files import file_digest
from weaklesion.volumes.levels import LevelsSettings

logger = logging.getLogger(__name__)

# Fields of ImportSettings that follow from the network and from SegmentSettings.
OWN = ("modality", "around", "window_hu")
FOLDERS = ("import", "dicom", "response", "masks", "overlays", "volumes")


def segment_export(
    *,
    model_dir: str | Path,
    export_dir: str | Path,
    out_dir: str | Path,
    settings: SegmentSettings | None = None,
    import_settings: ImportSettings | None = None,
    structure_sets: bool = False,
) -> dict[str, int]:
    """Segment every mark of a DICOM export, as `weaklesion segment` does with `--dicom`.

    Needs the extra `dicom`: `pip install 'weaklesion[dicom]'`.

    Args:
        model_dir: folder of a trained run or an exported network, as in `segment_marks`.
        export_dir: the export.
        out_dir: folder for all results: those of `segment_marks`, `import/`
            (`weaklesion.dicom.importing`), `dicom/` (`weaklesion.dicom.writing`) and `response/`
            (`weaklesion.dicom.cdisc`).
        settings: see `SegmentSettings`; None for its defaults. `columns`, `first_slice` and `units`
            must keep theirs, because `import_settings` describes a table on the export's images.
        import_settings: see `ImportSettings`; None for its defaults. `modality`, `around` and
            `window_hu` must keep theirs, because they are set from the network and `settings`.
        structure_sets: whether to write RT Structure Sets as well.

    Returns:
        Numbers of marks, as `segment_marks` returns them.

    Raises:
        DataError: if a setting is given that has to keep its default, the model or the export
            cannot be used, the run does not say what its network was trained on, the export is in a
            folder of the results, or `out_dir` cannot be made or written to, or has files that this
            function would write over and did not write. A single bad mark or file is only reported.
        OSError: if the disk is full or fails while results are written, as in `segment_marks`.
    """
    settings, import_settings = settings or SegmentSettings(), import_settings or ImportSettings()
    _check_settings(settings, import_settings)
    out = Path(out_dir)
    network, run_json = network_files(model_dir)
    data = read_trained_on(run_json)
    import_settings = replace(
        import_settings,
        modality=data.modality,
        around=LevelsSettings().across_reach if settings.volume else None,
        window_hu=window_for(settings.window_hu, data) if settings.volume else None,
    )
    _check_apart(Path(export_dir), out)
    with locked_folder(out):
        imported = import_export(export_dir, out / "import", import_settings)
        notes = _notes_of_stacks(imported)
        counts = segment_in_locked_folder(
            model_dir,
            imported.marks_csv,
            out,
            settings,
            notes,
            refused_before=imported.refused,
            short_assumed={name for name, mark in imported.marks.items() if mark.short_assumed},
        )
        maker = Maker(weaklesion.__version__, file_digest(network))
        lesions = _lesions(out, imported)
        written = write_dicom(
            lesions, imported.export, out / "dicom", maker, structure_sets=structure_sets
        )
        marks = {lesion.id: lesion.mark for lesion in lesions}
        courses = courses_of(marks, _areas(lesions, imported), imported.export)
        write_courses(courses, out / "response")
        write_areas(courses, out / "response")
    logger.info("%d patients have lesions that are marked at several visits", len(courses))
    logger.info("%d DICOM objects written", (written["file"] != "").sum())
    for cause, number in written.loc[written["file"] == "", "cause"].value_counts().items():
        logger.warning("%d DICOM objects not written: %s", number, cause)
    return counts


def _check_settings(settings: SegmentSettings, import_settings: ImportSettings) -> None:
    """Check that no setting is given that `segment_export` does not use."""
    if settings.columns or settings.first_slice or settings.units != "px":
        raise DataError(
            "settings: columns, first_slice and units are not for an export. Give columns and"
            " first_slice of a table on its images in import_settings, and coordinates in px."
        )
    defaults = ImportSettings()
    given = [name for name in OWN if getattr(import_settings, name) != getattr(defaults, name)]
    if given:
        raise DataError(
            f"import_settings: {', '.join(given)}: segment_export sets this itself. Leave it out;"
            " volume and window_hu of settings say which slices are read, and how."
        )


def _check_apart(export: Path, out: Path) -> None:
    """Check that the export is not in a folder of the results."""
    for name in FOLDERS:
        folder = (out / name).resolve()
        if folder in (export.resolve(), *export.resolve().parents):
            raise DataError(
                f"{export}: is in {out / name}, where results are written. Give another --out"
                " folder."
            )


def _notes_of_stacks(imported: Imported) -> dict[str, str]:
    """Return why the slices around marks end, by id."""
    stacks = {
        name: imported.stacks.get((mark.image_uid, mark.frame))
        for name, mark in imported.marks.items()
    }
    return {name: "; ".join(stack.notes) for name, stack in stacks.items() if stack is not None}


def _lesions(out: Path, imported: Imported) -> list[Lesion]:
    """Return the marks that got a mask."""
    rows = pd.read_csv(out / "measurements.csv", dtype={"id": str}).to_dict("records")
    lesions = []
    for row in rows:
        mark = imported.marks[row["id"]]
        stack = imported.stacks.get((mark.image_uid, mark.frame))
        solid = None
        if stack is not None and pd.notna(row["volume"]):
            solid = _solid(out / row["volume"], stack)
        lesions.append(
            Lesion(
                id=row["id"],
                mark=mark,
                mask=read_mask(out / row["mask"], stack.index if stack else 0),
                row={str(name): value for name, value in row.items()},
                overlay=out / row["overlay"],
                solid=solid,
            )
        )
    return lesions


def _solid(path: Path, stack: Stack) -> SolidMask:
    """Return the mask of a lesion in three dimensions from its file."""
    volume: Any = nibabel.load(path)
    mask = np.asarray(volume.dataobj).T > 0  # (slices, H, W)
    box = tuple(
        slice(int(filled[0]), int(filled[-1]) + 1)
        for axis in range(3)
        for filled in [np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {axis})))]
    )
    first, last = box[0].start, box[0].stop
    return SolidMask(
        places=stack.places[first:last],
        part=mask[box],
        corner=(box[1].start, box[2].start),
        shape_hw=(mask.shape[1], mask.shape[2]),
    )


def _areas(lesions: Sequence[Lesion], imported: Imported) -> dict[str, Area]:
    """Return the areas of masks on images with mm, by id."""
    areas = {}
    for lesion in lesions:
        mark = lesion.mark
        spacing = imported.export.spacing_xy(mark.image_uid, mark.frame, mark.ends)
        if spacing is not None:
            areas[lesion.id] = area_of(lesion.mask, spacing, str(lesion.row["answer"]))
    return areas
