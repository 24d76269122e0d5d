"""Results as DICOM: segmentation, structured report (TID 1500), secondary captures, structure set.

highdicom copies the patient's and the study's identity from the source images, as DICOM demands of
objects of one study; nothing else of the sources is copied.
"""

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pydicom

from weaklesion.dicom.captures import capture_of
from weaklesion.dicom.export import Export
from weaklesion.dicom.headers import UNREADABLE, quiet, read_header
from weaklesion.dicom.image_objects import ImageObject
from weaklesion.dicom.reports import report
from weaklesion.dicom.results import Lesion, Maker
from weaklesion.dicom.segmentations import segmentation
from weaklesion.dicom.structure_sets import structure_set
from weaklesion.support.own_files import OwnFiles

logger = logging.getLogger(__name__)

UNPLACED = "the image has no place in the patient"
WRITTEN = ("kind", "file", "ids", "cause")


def write_dicom(
    lesions: Sequence[Lesion],
    export: Export,
    out_dir: str | Path,
    maker: Maker,
    *,
    structure_sets: bool = False,
) -> pd.DataFrame:
    """Write a segmentation and a report per series, and a secondary capture per lesion.

    A result that is there already is kept, with its dates; those of an earlier call that are not
    among the results are removed. No other file is.

    Args:
        lesions: marks with their masks; empty masks are left out. The segment of a lesion with a
            mask in three dimensions is that mask.
        export: the export.
        out_dir: folder for the files, and for `written.csv`, which lists them.
        maker: what made the masks.
        structure_sets: whether to write an RT Structure Set per series as well.

    Returns:
        The content of `written.csv`: kind, file and marks of each object, or the cause why it was
        not written.

    Raises:
        DataError: if a file that is to be written exists, and an earlier call did not write it or
            it was changed since.
    """
    out = OwnFiles(out_dir)
    out.check_free(["written.csv"])
    rows: list[dict[str, str]] = []
    groups: dict[Any, list[Lesion]] = {}
    for lesion in sorted(lesions, key=lambda lesion: lesion.id):
        if lesion.places:
            image = export.images[lesion.mark.image_uid]
            enhanced = image.uid if len(image.frames) > 1 else ""
            frame = image.frames[lesion.mark.frame]
            key = (image.series_uid, image.place_uid, image.shape_hw, enhanced)
            alike = (each for each in groups if each[:-1] == key and each[-1].is_parallel_to(frame))
            groups.setdefault(next(alike, (*key, frame)), []).append(lesion)
    with quiet():
        for group in groups.values():
            rows += _write_group(group, export, out, maker, structure_sets=structure_sets)
    written = pd.DataFrame(rows, columns=list(WRITTEN))
    with out.writing("written.csv") as temporary:
        written.to_csv(temporary, index=False)
    out.remove_others({"written.csv", *written["file"]})
    return written


def _write_group(
    group: list[Lesion], export: Export, out: OwnFiles, maker: Maker, *, structure_sets: bool
) -> list[dict[str, str]]:
    """Write the objects of the lesions of one series; return their rows."""
    digest = _digest(group, maker)
    touched = {uid for lesion in group for uid, _ in lesion.places}
    touched |= {lesion.mark.image_uid for lesion in group}
    images = {uid: export.images[uid] for uid in sorted(touched)}
    ordered = sorted(images.values(), key=_along_normal)
    datasets = [read_header(image.path) for image in ordered]
    _share_geometry(datasets)
    rows = []

    def write(kind: str, made: Any, ids: Sequence[str], part: str = "") -> None:
        row = {"kind": kind, "file": "", "ids": " ".join(ids), "cause": ""}
        name = f"{kind.lower()}-{hashlib.sha256((digest + part).encode()).hexdigest()[:12]}.dcm"
        out.check_free([name])
        try:
            if not (out.folder / name).is_file():
                with out.writing(name) as temporary:
                    made().save_as(temporary, enforce_file_format=True)
            row["file"] = name
        except UNREADABLE as error:  # the error's text may quote the patient's data
            row["cause"] = f"its source lacks what the object needs ({type(error).__name__})"
        rows.append(row)

    ids = [lesion.id for lesion in group]
    placed = all(image.place_uid and image.frames[0].placed for image in ordered)
    if placed:
        write("SEG", lambda: segmentation(group, ordered, datasets, maker, digest), ids)
        if rows[-1]["file"]:
            seg = pydicom.dcmread(out.folder / rows[-1]["file"])
            write("SR", lambda: report(group, export, datasets, seg, maker, digest), ids)
        if structure_sets:
            write("RTSTRUCT", lambda: structure_set(group, ordered, datasets, maker, digest), ids)
    else:
        rows += [
            {"kind": kind, "file": "", "ids": " ".join(ids), "cause": UNPLACED}
            for kind in ("SEG", "SR", *(["RTSTRUCT"] if structure_sets else []))
        ]
    by_uid = {image.uid: dataset for image, dataset in zip(ordered, datasets, strict=True)}
    for number, lesion in enumerate(group, start=1):
        if not lesion.mask.any():
            continue
        source = by_uid[lesion.mark.image_uid]
        frame = images[lesion.mark.image_uid].frames[lesion.mark.frame]
        write("SC", capture_of(lesion, source, frame, number, digest), [lesion.id], lesion.id)
    return rows


def _share_geometry(datasets: Sequence[Any]) -> None:
    """Let headers of one group say once what their slices share, as a SEG does.

    Orientations of a stack may differ in the last digit; an enhanced object may give orientation
    and spacing for each frame.
    """
    for dataset in datasets:
        if dataset.get("ImageOrientationPatient"):
            dataset.ImageOrientationPatient = datasets[0].ImageOrientationPatient
        frames = dataset.get("PerFrameFunctionalGroupsSequence") or []
        for shared in dataset.get("SharedFunctionalGroupsSequence") or []:
            for name in ("PlaneOrientationSequence", "PixelMeasuresSequence"):
                own = [frame.get(name) for frame in frames]
                if name not in shared and own and own[0] and all(each == own[0] for each in own):
                    setattr(shared, name, own[0])


def _digest(group: Sequence[Lesion], maker: Maker) -> str:
    """Return a digest of everything that the objects of a group depend on."""
    digest = hashlib.sha256(repr(maker).encode())
    for lesion in group:
        digest.update(repr((lesion.id, lesion.mark.image_uid, lesion.mark.frame)).encode())
        digest.update(repr(sorted((k, str(v)) for k, v in lesion.row.items())).encode())
        digest.update(np.packbits(lesion.mask).tobytes())
        for place, mask in lesion.planes() if lesion.solid is not None else ():
            digest.update(repr(place).encode() + np.packbits(mask).tobytes())
    return digest.hexdigest()


def _along_normal(image: ImageObject) -> float:
    frame = image.frames[0]
    if frame.position is None or frame.orientation is None:
        return 0.0
    rows, columns = np.array(frame.orientation).reshape(2, 3)
    return float(np.cross(rows, columns) @ np.array(frame.position))
