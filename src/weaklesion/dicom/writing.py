"""Results as DICOM: segmentation, structured report (TID 1500), secondary captures, structure set.

highdicom copies the patient's and the study's identity from the source images, as DICOM demands of
objects of one study; nothing else of the sources is copied.
"""

import hashlib
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pydicom

from weaklesion.dicom.captures import capture_of
from weaklesion.dicom.causes import cause_of
from weaklesion.dicom.export import Export
from weaklesion.dicom.headers import UNREADABLE, quiet
from weaklesion.dicom.image_objects import ImageObject
from weaklesion.dicom.reports import report
from weaklesion.dicom.results import Lesion, Maker
from weaklesion.dicom.segmentations import segmentation, split_by_position
from weaklesion.dicom.sources import digest_of, in_utf_8, read_source
from weaklesion.dicom.structure_sets import structure_set
from weaklesion.dicom.tracking import tracked
from weaklesion.support.own_files import OwnFiles

UNPLACED = "the image has no place in the patient"
NO_SEGMENTATION = "the segmentation that it refers to was not written"
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

    Where marked images of a series share a position, it gets several segmentations, each with its
    report (`weaklesion.dicom.segmentations.split_by_position`).

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
    for lesion in sorted(tracked(lesions, export), key=lambda lesion: lesion.id):
        if lesion.places:
            image = export.images[lesion.mark.image_uid]
            alone = image.uid if image.multi_frame else ""
            frame = image.frames[lesion.mark.frame]
            key = (image.series_uid, image.place_uid, image.shape_hw, alone)
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
    ordered = _images_of(group, export)
    headers = {image.uid: read_source(image.path) for image in ordered}
    states = {uid: digest_of(header) for uid, header in headers.items()}  # before they are changed
    digest = _digest(group, maker, states.values())
    rows = []
    if _are_placed(group, export):
        for part in split_by_position(group, export.images):
            rows += _write_part(part, export, headers, states, out, maker)
        if structure_sets:
            datasets = list(headers.values())
            rows.append(
                _write(
                    out,
                    _row("RTSTRUCT", group),
                    lambda: structure_set(group, ordered, datasets, maker, digest),
                    digest,
                )
            )
    else:
        kinds = ("SEG", "SR", *(["RTSTRUCT"] if structure_sets else []))
        rows += [_row(kind, group, UNPLACED) for kind in kinds]
    for number, lesion in enumerate(group, start=1):
        if not lesion.mask.any():
            continue
        source = headers[lesion.mark.image_uid]
        frame = export.images[lesion.mark.image_uid].frames[lesion.mark.frame]
        made = capture_of(lesion, source, frame, number, digest)
        rows.append(_write(out, _row("SC", [lesion]), made, digest + lesion.id))
    return rows


def _write_part(
    part: list[Lesion],
    export: Export,
    headers: Mapping[str, Any],
    states: Mapping[str, str],
    out: OwnFiles,
    maker: Maker,
) -> list[dict[str, str]]:
    """Write segmentation and report of lesions that one segmentation can hold."""
    named = _images_of(part, export)
    digest = _digest(part, maker, [states[image.uid] for image in named])
    touched = {uid for lesion in part for uid, _ in lesion.places}
    images = [export.images[uid] for uid in headers if uid in touched]

    def made_segmentation() -> Any:
        sources = [  # a multi-frame header is changed
            read_source(image.path) if image.multi_frame else headers[image.uid] for image in images
        ]
        return segmentation(part, images, sources, maker, digest)

    segmented = _write(out, _row("SEG", part), made_segmentation, digest)
    if not segmented["file"]:
        return [segmented, _row("SR", part, NO_SEGMENTATION)]
    seg = pydicom.dcmread(out.folder / segmented["file"])
    evidence = [headers[image.uid] for image in named]
    reported = _write(
        out,
        _row("SR", part),
        lambda: report(part, export, evidence, seg, maker, digest),
        digest,
    )
    return [segmented, reported]


def _write(
    out: OwnFiles, row: dict[str, str], made: Callable[[], Any], name_digest: str
) -> dict[str, str]:
    """Write an object unless it is there; return its row with the file, or the cause why not."""
    kind = row["kind"].lower()
    name = f"{kind}-{hashlib.sha256(name_digest.encode()).hexdigest()[:12]}.dcm"
    out.check_free([name])
    if not (out.folder / name).is_file():
        content = io.BytesIO()
        try:
            in_utf_8(made()).save_as(content, enforce_file_format=True)
        except UNREADABLE as error:  # the error's text may quote the patient's data
            return row | {"cause": cause_of(error)}
        with out.writing(name) as temporary:  # a full disk stops the run
            temporary.write_bytes(content.getvalue())
    return row | {"file": name}


def _row(kind: str, lesions: Sequence[Lesion], cause: str = "") -> dict[str, str]:
    """Return a row of `written.csv` without a file."""
    ids = " ".join(lesion.id for lesion in lesions)
    return {"kind": kind, "file": "", "ids": ids, "cause": cause}


def _images_of(lesions: Sequence[Lesion], export: Export) -> list[ImageObject]:
    """Return the images that lesions touch, or that their marks name, along their normal."""
    uids = {uid for lesion in lesions for uid, _ in lesion.places}
    uids |= {lesion.mark.image_uid for lesion in lesions}
    return sorted((export.images[uid] for uid in sorted(uids)), key=_along_normal)


def _are_placed(lesions: Sequence[Lesion], export: Export) -> bool:
    """Return whether the place in the patient is known of every frame that lesions touch."""
    return all(
        export.images[uid].place_uid and export.images[uid].frames[frame].placed
        for lesion in lesions
        for uid, frame in lesion.places
    )


def _digest(group: Sequence[Lesion], maker: Maker, states: Iterable[str]) -> str:
    """Return a digest of everything that the objects of a group depend on.

    `states` are digests of the headers of their images.
    """
    digest = hashlib.sha256(repr((maker, *states)).encode())
    for lesion in group:
        mark = lesion.mark
        named = (lesion.id, mark.image_uid, mark.frame, mark.tracking_uid)
        digest.update(repr(named).encode())
        digest.update(repr(sorted((k, str(v)) for k, v in lesion.row.items())).encode())
        digest.update(np.packbits(lesion.mask).tobytes())
        for place, mask in lesion.planes() if lesion.solid is not None else ():
            digest.update(repr(place).encode() + np.packbits(mask).tobytes())
    return digest.hexdigest()


def _along_normal(image: ImageObject) -> float:
    frame = image.frames[0]
    if frame.position is None or frame.orientation is None:
        return 0.0
    return float(frame.normal @ np.array(frame.position))
