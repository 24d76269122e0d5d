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
