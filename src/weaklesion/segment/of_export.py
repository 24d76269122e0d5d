"""`weaklesion segment --dicom`: from an export to masks, and to DICOM again."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

import weaklesion
from weaklesion.dicom.area_changes import write_areas
from weaklesion.dicom.areas import Area, area_of
from weaklesion.dicom.cdisc import write_courses
from weaklesion.dicom.importing import Imported, ImportSettings, import_export
from weaklesion.dicom.results import Lesion, Maker
from weaklesion.dicom.timeline import courses_of
from weaklesion.dicom.writing import write_dicom
from weaklesion.prediction.run_folder import network_files
from weaklesion.segment.outputs import read_mask
from weaklesion.segment.run import SegmentSettings, segment_marks
from weaklesion.study.trained_on import read_trained_on
from weaklesion.support.files import file_digest

logger = logging.getLogger(__name__)


def segment_export(
    *,
    model_dir: str | Path,
    export_dir: str | Path,
    out_dir: str | Path,
    settings: SegmentSettings | None = None,
    import_settings: ImportSettings | None = None,
    structure_sets: bool = False,
) -> dict[str, int]:
    """Segment every mark of a DICOM export; the function behind `weaklesion segment --dicom`.

    Args:
        model_dir: folder of a trained run or an exported network, as in `segment_marks`.
        export_dir: the export.
        out_dir: folder for all results: those of `segment_marks`, `import/`
            (`weaklesion.dicom.importing`), `dicom/` (`weaklesion.dicom.writing`) and `response/`
            (`weaklesion.dicom.cdisc`).
        settings: see `SegmentSettings`; None for its defaults.
        import_settings: see `ImportSettings`; None for its defaults.
        structure_sets: whether to write RT Structure Sets as well.

    Returns:
        Numbers of marks, as `segment_marks` returns them.

    Raises:
        DataError: if the model or the export cannot be used, or the run does not say what its
            network was trained on. A single bad mark or file is only
            reported.
    """
    out = Path(out_dir)
    network, run_json = network_files(model_dir)
    data = read_trained_on(run_json)
    import_settings = replace(import_settings or ImportSettings(), modality=data.modality)
    imported = import_export(export_dir, out / "import", import_settings)
    counts = segment_marks(
        model_dir=model_dir, marks_csv=imported.marks_csv, out_dir=out, settings=settings
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


def _lesions(out: Path, imported: Imported) -> list[Lesion]:
    """Return the marks that got a mask."""
    rows = pd.read_csv(out / "measurements.csv", dtype={"id": str}).to_dict("records")
    return [
        Lesion(
            id=row["id"],
            mark=imported.marks[row["id"]],
            mask=read_mask(out / row["mask"], 0),
            row={str(name): value for name, value in row.items()},
            overlay=out / row["overlay"],
        )
        for row in rows
    ]


def _areas(lesions: Sequence[Lesion], imported: Imported) -> dict[str, Area]:
    """Return the areas of masks on images with mm, by id."""
    areas = {}
    for lesion in lesions:
        mark = lesion.mark
        spacing = imported.export.spacing_xy(mark.image_uid, mark.frame, mark.ends)
        if spacing is not None:
            areas[lesion.id] = area_of(lesion.mask, spacing, str(lesion.row["answer"]))
    return areas
