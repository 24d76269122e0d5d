"""Results as DICOM: segmentation, structured report (TID 1500) and secondary captures.

highdicom copies the patient's and the study's identity from the source images, as DICOM demands of
objects of one study; nothing else of the sources is copied.
"""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import highdicom as hd
import numpy as np
import pandas as pd
import pydicom
from highdicom.sr import templates
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid

from weaklesion.dicom.export import Export, ImageObject
from weaklesion.dicom.found import FoundMark
from weaklesion.dicom.geometry import CORNER
from weaklesion.dicom.headers import MAKER, UNREADABLE, numbers, quiet, read_header
from weaklesion.recist import measure_recist
from weaklesion.support.files import written_whole

logger = logging.getLogger(__name__)

AGREEMENT = hd.sr.CodedConcept("agreement", "99WEAKLESION", "Agreement of mask and mark")
ANSWERS = {  # origin of a mask, as the algorithm's name
    "network": "WeakLesion network",
    "ellipse": "WeakLesion ellipse of the mark",
    "ends": "WeakLesion shape through the ends of the mark",
}
GREEN_LAB = (77.0, -66.0, 42.0)  # L*, a*, b* of a segment
LINE_PX, MARGIN_PX = 18, 6  # of the text below a secondary capture
UNPLACED = "the image has no place in the patient"
WRITTEN = ("kind", "file", "ids", "cause")


@dataclass(frozen=True)
class Lesion:
    """A mark with its mask.

    Attributes:
        id: of the mark.
        mark: the mark.
        mask: (H, W) bool.
        row: its row of `measurements.csv`.
        overlay: PNG of mask and mark over the image.
    """

    id: str
    mark: FoundMark
    mask: np.ndarray
    row: Mapping[str, Any]
    overlay: Path

    @property
    def tracking_uid(self) -> str:
        """UID that follows the lesion: that of the mark if it has one."""
        return self.mark.tracking_uid or str(generate_uid(entropy_srcs=[self.id]))


@dataclass(frozen=True)
class Maker:
    """What made the masks.

    Attributes:
        version: of WeakLesion.
        model_digest: SHA-256 of the network's weights.
    """

    version: str
    model_digest: str


def write_dicom(
    lesions: Sequence[Lesion], export: Export, out_dir: str | Path, maker: Maker
) -> pd.DataFrame:
    """Write a segmentation and a report per series, and a secondary capture per lesion.

    A result that is there already is kept, with its dates; files of other results in the folder are
    removed.

    Args:
        lesions: marks with their masks; empty masks are left out.
        export: the export.
        out_dir: folder for the files, and for `written.csv`, which lists them.
        maker: what made the masks.

    Returns:
        The content of `written.csv`: kind, file and marks of each object, or the cause why it was
        not written.
    """
    out = Path(out_dir)
    out.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, str]] = []
    groups: dict[Any, list[Lesion]] = {}
    for lesion in sorted(lesions, key=lambda lesion: lesion.id):
        if lesion.mask.any():
            image = export.images[lesion.mark.image_uid]
            enhanced = image.uid if len(image.frames) > 1 else ""
            orientation = image.frames[lesion.mark.frame].orientation
            key = (image.series_uid, image.place_uid, image.shape_hw, orientation, enhanced)
            groups.setdefault(key, []).append(lesion)
    with quiet():
        for group in groups.values():
            rows += _write_group(group, export, out, maker)
    kept = {row["file"] for row in rows}
    for path in out.glob("*.dcm"):
        if path.name not in kept:
            path.unlink()
    written = pd.DataFrame(rows, columns=list(WRITTEN))
    with written_whole(out / "written.csv") as temporary:
        written.to_csv(temporary, index=False)
    return written


def _write_group(
    group: list[Lesion], export: Export, out: Path, maker: Maker
) -> list[dict[str, str]]:
    """Write the objects of the lesions of one series; return their rows."""
    digest = _digest(group, maker)
    images = {lesion.mark.image_uid: export.images[lesion.mark.image_uid] for lesion in group}
    ordered = sorted(images.values(), key=_along_normal)
    datasets = [read_header(image.path) for image in ordered]
    rows = []

    def write(kind: str, made: Any, ids: Sequence[str], part: str = "") -> None:
        row = {"kind": kind, "file": "", "ids": " ".join(ids), "cause": ""}
        name = f"{kind.lower()}-{hashlib.sha256((digest + part).encode()).hexdigest()[:12]}.dcm"
        try:
            if not (out / name).is_file():
                with written_whole(out / name) as temporary:
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
            seg = pydicom.dcmread(out / rows[-1]["file"])
            write("SR", lambda: report(group, export, datasets, seg, maker, digest), ids)
    else:
        rows += [
            {"kind": kind, "file": "", "ids": " ".join(ids), "cause": UNPLACED}
            for kind in ("SEG", "SR")
        ]
    by_uid = {image.uid: dataset for image, dataset in zip(ordered, datasets, strict=True)}
    for number, lesion in enumerate(group, start=1):
        source = by_uid[lesion.mark.image_uid]
        write("SC", _capture_of(lesion, source, number, digest), [lesion.id], lesion.id)
    return rows


def _digest(group: Sequence[Lesion], maker: Maker) -> str:
    """Return a digest of everything that the objects of a group depend on."""
    digest = hashlib.sha256(repr(maker).encode())
    for lesion in group:
        digest.update(repr((lesion.id, lesion.mark.image_uid, lesion.mark.frame)).encode())
        digest.update(repr(sorted((k, str(v)) for k, v in lesion.row.items())).encode())
        digest.update(np.packbits(lesion.mask).tobytes())
    return digest.hexdigest()


def _uid(*parts: str) -> str:
    return str(generate_uid(entropy_srcs=list(parts)))


def _along_normal(image: ImageObject) -> float:
    frame = image.frames[0]
    if frame.position is None or frame.orientation is None:
        return 0.0
    rows, columns = np.array(frame.orientation).reshape(2, 3)
    return float(np.cross(rows, columns) @ np.array(frame.position))


def segmentation(
    group: Sequence[Lesion],
    images: Sequence[ImageObject],
    datasets: Sequence[Any],
    maker: Maker,
    digest: str,
) -> Any:
    """Return a binary segmentation with one segment per lesion.

    Args:
        group: lesions of one series, with images of one size and orientation.
        images: their images; one image, if it has several frames.
        datasets: their headers, in the same order.
        maker: what made the masks.
        digest: what the UIDs depend on.
    """
    places = [(image.uid, frame) for image in images for frame in range(len(image.frames))]
    masks = [(places.index((each.mark.image_uid, each.mark.frame)), each.mask) for each in group]
    segments = []
    for number, lesion in enumerate(group):
        segments.append(
            hd.seg.SegmentDescription(
                segment_number=number + 1,
                segment_label=lesion.id,
                segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
                segmented_property_type=codes.SCT.Lesion,
                algorithm_type="SEMIAUTOMATIC",
                algorithm_identification=hd.AlgorithmIdentificationSequence(
                    name=ANSWERS[lesion.row["answer"]],
                    family=codes.DCM.ArtificialIntelligence,
                    version=maker.version,
                    source=MAKER,
                    parameters={"weights": maker.model_digest},
                ),
                tracking_uid=lesion.tracking_uid,
                tracking_id=lesion.id,
                display_color=hd.color.CIELabColor(*GREEN_LAB),
            )
        )
    return hd.seg.Segmentation(
        source_images=list(datasets),
        pixel_array=_stacked(masks, len(places)),
        segmentation_type="BINARY",
        segment_descriptions=segments,
        series_instance_uid=_uid(digest, "SEG series"),
        series_number=9001,
        sop_instance_uid=_uid(digest, "SEG"),
        instance_number=1,
        manufacturer=MAKER,
        manufacturer_model_name="segment",
        software_versions=maker.version,
        device_serial_number=maker.model_digest[:16],
        content_label="LESIONS",
        content_creator_name=f"{MAKER}^",
    )


def _stacked(masks: Sequence[tuple[int, np.ndarray]], num_frames: int) -> np.ndarray:
    """Return masks, each with the index of its frame, as one array.

    It is (frames, H, W) of segment numbers; (frames, H, W, segments), which takes more memory, only
    where masks overlap.
    """
    shape_hw = masks[0][1].shape
    labels = np.zeros((num_frames, *shape_hw), dtype=np.uint16)
    for number, (frame, mask) in enumerate(masks, start=1):
        if (labels[frame][mask] > 0).any():
            break
        labels[frame][mask] = number
    else:
        return labels
    stack = np.zeros((num_frames, *shape_hw, len(masks)), dtype=np.uint8)
    for number, (frame, mask) in enumerate(masks):
        stack[frame, ..., number] = mask
    return stack


def report(
    group: Sequence[Lesion],
    export: Export,
    datasets: Sequence[Any],
    seg: Any,
    maker: Maker,
    digest: str,
) -> Any:
    """Return a report (TID 1500) with long and short axis, area and agreement of each lesion.

    Args:
        group: the lesions.
        export: the export, for geometry.
        datasets: headers of their images.
        seg: their segmentation.
        maker: what made the masks.
        digest: what the UIDs depend on.
    """
    groups = [
        each
        for number, lesion in enumerate(group, start=1)
        for each in _measurements(lesion, number, export, seg, maker)
    ]
    device = templates.DeviceObserverIdentifyingAttributes(
        uid=_uid(maker.version, maker.model_digest), name=MAKER, manufacturer_name=MAKER
    )
    content = templates.MeasurementReport(
        observation_context=templates.ObservationContext(
            observer_device_context=templates.ObserverContext(codes.DCM.Device, device)
        ),
        procedure_reported=codes.SCT.ImagingProcedure,
        imaging_measurements=groups,
    )
    return hd.sr.Comprehensive3DSR(
        evidence=[*datasets, seg],
        content=content[0],
        series_instance_uid=_uid(digest, "SR series"),
        series_number=9002,
        sop_instance_uid=_uid(digest, "SR"),
        instance_number=1,
        manufacturer=MAKER,
        is_complete=True,
    )


def _measurements(
    lesion: Lesion, number: int, export: Export, seg: Any, maker: Maker
) -> tuple[Any, Any]:
    """Return two groups: of the segment (TID 1411), and of its axes with their ends (TID 1501)."""
    image = export.images[lesion.mark.image_uid]
    spacing = image.frames[lesion.mark.frame].spacing_rc
    measured = measure_recist(lesion.mask, spacing or (1.0, 1.0))
    frames = [lesion.mark.frame + 1] if len(image.frames) > 1 else None
    source = hd.sr.SourceImageForRegion(image.sop_class, image.uid, frames)
    lengths = [
        (codes.SCT.LongAxis, measured.long_mm, measured.points[:2]),
        (codes.SCT.ShortAxis, measured.short_mm, measured.points[2:]),
    ]
    values = [
        templates.Measurement(name, length, codes.UCUM.Millimeter) for name, length, _ in lengths
    ]
    area = lesion.row.get("area_mm2")
    if area is not None and np.isfinite(area):
        unit = codes.UCUM.SquareMillimeter
        values.append(templates.Measurement(codes.SCT.Area, area, unit))
    agreement = lesion.row["agreement"]
    if np.isfinite(agreement):
        values.append(templates.Measurement(AGREEMENT, agreement, codes.UCUM.NoUnits))
    axes = [
        templates.Measurement(
            name=name,
            value=length,
            unit=codes.UCUM.Millimeter,
            referenced_coordinates=[
                hd.sr.CoordinatesForMeasurement("POLYLINE", ends + CORNER, source)
            ],
        )
        for name, length, ends in lengths
    ]
    given = {
        "tracking_identifier": templates.TrackingIdentifier(
            uid=lesion.tracking_uid, identifier=lesion.id
        ),
        "finding_type": codes.SCT.Lesion,
        "algorithm_id": templates.AlgorithmIdentification(
            name=ANSWERS[lesion.row["answer"]],
            version=maker.version,
            parameters=[f"weights {maker.model_digest}"],
        ),
    }
    # TID 1410 names frame and segment at once, which DICOM PS3.3 C.17.3.5 does not allow
    segment = hd.sr.ReferencedSegment.from_segmentation(seg, segment_number=number)
    return (
        templates.VolumetricROIMeasurementsAndQualitativeEvaluations(
            referenced_segment=segment, measurements=values, **given
        ),
        templates.MeasurementsAndQualitativeEvaluations(measurements=axes, **given),
    )


def _capture_of(lesion: Lesion, source: Any, number: int, digest: str) -> Any:
    """Return a function that makes a secondary capture: overlay and numbers of a lesion."""

    def make() -> Any:
        drawn = cv2.imread(str(lesion.overlay))
        if drawn is None:
            raise OSError("the overlay is missing")
        lines = capture_text(lesion)
        text = np.zeros((LINE_PX * len(lines) + MARGIN_PX, drawn.shape[1], 3), dtype=np.uint8)
        for i, line in enumerate(lines):
            where = (MARGIN_PX, LINE_PX * (i + 1) - MARGIN_PX // 2)
            cv2.putText(text, line, where, cv2.FONT_HERSHEY_SIMPLEX, 0.42, (255,) * 3, 1,
                        cv2.LINE_AA)  # fmt: skip
        whole = np.concatenate([drawn, text])[..., ::-1]
        directions = directions_of(source)
        capture = hd.sc.SCImage.from_ref_dataset(
            ref_dataset=source,
            pixel_array=np.ascontiguousarray(whole),
            photometric_interpretation="RGB",
            bits_allocated=8,
            coordinate_system="PATIENT",
            series_instance_uid=_uid(digest, "SC series"),
            series_number=9003,
            sop_instance_uid=_uid(digest, "SC", lesion.id),
            instance_number=number,
            manufacturer=MAKER,
            patient_orientation=directions,
        )
        capture.Laterality = source.get("Laterality")  # of a paired body part; may be empty
        return capture

    return make


def directions_of(header: Any) -> tuple[str, str]:
    """Return the directions of rows and of columns in the patient, such as `L` and `P`.

    Raises:
        ValueError: if the image does not state them.
    """
    vectors = numbers(header.get("ImageOrientationPatient"), 6)
    if vectors is None:
        stated = [str(each)[:1] for each in header.get("PatientOrientation") or []]
        if len(stated) != 2 or not all(stated):
            raise ValueError("the image's directions in the patient are unknown")
        return stated[0], stated[1]
    letters = []
    for vector in (vectors[:3], vectors[3:]):
        axis = int(np.abs(vector).argmax())
        letters.append(("RL", "AP", "FH")[axis][vector[axis] > 0])
    return letters[0], letters[1]


def capture_text(lesion: Lesion) -> list[str]:
    """Return the lines of text of a secondary capture: numbers, and nothing about the patient."""
    row = lesion.row
    unit = "mm" if pd.notna(row.get("long_mm")) else "px"
    area = row["area_mm2"] if unit == "mm" else row["area_px"]
    return [
        f"{MAKER} {lesion.id}: {ANSWERS[row['answer']].removeprefix(MAKER).strip()}",
        f"mask {row[f'long_{unit}']:.1f} x {row[f'short_{unit}']:.1f} {unit},"
        f" area {area:.0f} {unit}2",
        f"mark {row[f'given_long_{unit}']:.1f} x {row[f'given_short_{unit}']:.1f} {unit},"
        f" agreement {row['agreement']:.2f}",
    ]
