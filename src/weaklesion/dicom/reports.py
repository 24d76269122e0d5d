"""Measurements of masks as a structured report (TID 1500)."""

from collections.abc import Sequence
from typing import Any

import highdicom as hd
import numpy as np
from highdicom.sr import templates
from pydicom.sr.codedict import codes

from weaklesion.dicom.export import Export
from weaklesion.dicom.geometry import CORNER
from weaklesion.dicom.headers import MAKER
from weaklesion.dicom.results import ANSWERS, Lesion, Maker, uid_of
from weaklesion.recist import measure_recist

AGREEMENT = hd.sr.CodedConcept("agreement", "99WEAKLESION", "Agreement of mask and mark")


def report(
    group: Sequence[Lesion],
    export: Export,
    datasets: Sequence[Any],
    seg: Any,
    maker: Maker,
    digest: str,
) -> Any:
    """Return a report (TID 1500) of each lesion: volume, long and short axis, area, agreement.

    Args:
        group: the lesions; their marks have tracking UIDs.
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
        uid=uid_of(maker.version, maker.model_digest), name=MAKER, manufacturer_name=MAKER
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
        series_instance_uid=uid_of(digest, "SR series"),
        series_number=9002,
        sop_instance_uid=uid_of(digest, "SR"),
        instance_number=1,
        manufacturer=MAKER,
        is_complete=True,
    )


def _measurements(lesion: Lesion, number: int, export: Export, seg: Any, maker: Maker) -> list[Any]:
    """Return the groups of a lesion: of its segment (TID 1411), and of its axes (TID 1501).

    The segment of a mask in three dimensions has a volume. The measurements of the marked slice,
    which are those of another mask, then stand with the axes.
    """
    lengths = _lengths(lesion, export)
    in_slice = _of_the_slice(lesion)
    placed = [
        templates.Measurement(name, value, codes.UCUM.Millimeter, referenced_coordinates=[ends])
        for name, value, ends in lengths
    ]
    if lesion.solid is None:
        plain = [
            templates.Measurement(name, value, codes.UCUM.Millimeter) for name, value, _ in lengths
        ]
        of_segment, of_axes = [*plain, *in_slice], placed
    else:
        volume, unit = lesion.row["volume_mm3"], codes.UCUM.CubicMillimeter
        of_segment = [templates.Measurement(codes.SCT.Volume, volume, unit)]
        of_axes = [*placed, *in_slice]
    # TID 1410 names frame and segment at once, which DICOM PS3.3 C.17.3.5 does not allow
    groups: list[Any] = [
        templates.VolumetricROIMeasurementsAndQualitativeEvaluations(
            referenced_segment=_segment(lesion, number, export, seg),
            measurements=of_segment,
            **_given(lesion, lesion.made_by, maker),
        )
    ]
    if lesion.mask.any():
        groups.append(
            templates.MeasurementsAndQualitativeEvaluations(
                measurements=of_axes, **_given(lesion, ANSWERS[lesion.row["answer"]], maker)
            )
        )
    return groups


def _segment(lesion: Lesion, number: int, export: Export, seg: Any) -> Any:
    """Return the reference to a segment, with the images that it was made from.

    highdicom's own way, `from_segmentation`, fails for a segmentation of one segment.
    """
    frames: dict[str, list[int]] = {}
    for uid, frame in lesion.places:
        frames.setdefault(uid, []).append(frame + 1)
    sources = []
    for uid, numbers in frames.items():
        image = export.images[uid]
        given = numbers if len(image.frames) > 1 else None
        sources.append(hd.sr.SourceImageForSegmentation(image.sop_class, uid, given))
    return hd.sr.ReferencedSegment(
        seg.SOPClassUID, seg.SOPInstanceUID, number, source_images=sources
    )


def _given(lesion: Lesion, algorithm: str, maker: Maker) -> dict[str, Any]:
    """Return what every group of a lesion says of it."""
    return {
        "tracking_identifier": templates.TrackingIdentifier(
            uid=lesion.mark.tracking_uid, identifier=lesion.id
        ),
        "finding_type": codes.SCT.Lesion,
        "algorithm_id": templates.AlgorithmIdentification(
            name=algorithm,
            version=maker.version,
            parameters=[f"weights {maker.model_digest}"],
        ),
    }


def _lengths(lesion: Lesion, export: Export) -> list[tuple[Any, float, Any]]:
    """Return name, mm and ends of both axes of the mask of the marked slice, if it has any."""
    if not lesion.mask.any():
        return []
    image = export.images[lesion.mark.image_uid]
    spacing = image.frames[lesion.mark.frame].spacing_rc
    measured = measure_recist(lesion.mask, spacing or (1.0, 1.0))
    frames = [lesion.mark.frame + 1] if len(image.frames) > 1 else None
    source = hd.sr.SourceImageForRegion(image.sop_class, image.uid, frames)
    return [
        (name, length, hd.sr.CoordinatesForMeasurement("POLYLINE", ends + CORNER, source))
        for name, length, ends in (
            (codes.SCT.LongAxis, measured.long_mm, measured.points[:2]),
            (codes.SCT.ShortAxis, measured.short_mm, measured.points[2:]),
        )
    ]


def _of_the_slice(lesion: Lesion) -> list[Any]:
    """Return area and agreement of the mask of the marked slice."""
    values = []
    area = lesion.row.get("area_mm2")
    if area is not None and np.isfinite(area):
        unit = codes.UCUM.SquareMillimeter
        values.append(templates.Measurement(codes.SCT.Area, area, unit))
    agreement = lesion.row["agreement"]
    if np.isfinite(agreement):
        values.append(templates.Measurement(AGREEMENT, agreement, codes.UCUM.NoUnits))
    return values
