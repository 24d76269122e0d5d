"""Outlines of masks as an RT Structure Set, for programs of radiotherapy."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import highdicom as hd
import numpy as np
from pydicom import Dataset
from pydicom.uid import RTStructureSetStorage
from pydicom.valuerep import DSfloat
from skimage.measure import find_contours

from weaklesion.dicom.headers import MAKER
from weaklesion.dicom.image_objects import ImageObject
from weaklesion.dicom.results import Lesion, Maker, uid_of

STUDY_CLASS = "1.2.840.10008.3.1.2.3.1"  # retired, but a structure set must name a class
GREEN_RGB = [60, 210, 90]
MAX_NAME = 64  # characters of a ROI's name


def structure_set(
    group: Sequence[Lesion],
    images: Sequence[ImageObject],
    datasets: Sequence[Any],
    maker: Maker,
    digest: str,
) -> Any:
    """Return a structure set with one ROI per lesion.

    Args:
        group: lesions of one series, with images of one place in the patient.
        images: the images that they touch.
        datasets: their headers, in the same order.
        maker: what made the masks.
        digest: what the UIDs depend on.
    """
    source = datasets[0]
    made = hd.SOPClass(
        study_instance_uid=source.StudyInstanceUID,
        series_instance_uid=uid_of(digest, "RTSTRUCT series"),
        series_number=9004,
        sop_instance_uid=uid_of(digest, "RTSTRUCT"),
        sop_class_uid=RTStructureSetStorage,
        instance_number=1,
        modality="RTSTRUCT",
        manufacturer=MAKER,
        manufacturer_model_name="segment",
        software_versions=maker.version,
        device_serial_number=maker.model_digest[:16],
    )
    made.copy_patient_and_study_information(source)
    made.OperatorsName = None
    now = datetime.now(UTC)
    made.StructureSetLabel = "LESIONS"
    made.StructureSetDate, made.StructureSetTime = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    made.FrameOfReferenceUID = source.FrameOfReferenceUID
    made.PositionReferenceIndicator = source.get("PositionReferenceIndicator")
    made.ReferencedFrameOfReferenceSequence = [_frame_of_reference(datasets)]
    by_uid = {image.uid: image for image in images}
    made.StructureSetROISequence = []
    made.ROIContourSequence = []
    made.RTROIObservationsSequence = []
    for number, lesion in enumerate(group, start=1):
        made.StructureSetROISequence.append(
            _item(
                ROINumber=number,
                ReferencedFrameOfReferenceUID=source.FrameOfReferenceUID,
                ROIName=lesion.id[:MAX_NAME],
                ROIDescription=lesion.made_by,
                ROIGenerationAlgorithm="SEMIAUTOMATIC",
            )
        )
        made.ROIContourSequence.append(
            _item(
                ReferencedROINumber=number,
                ROIDisplayColor=GREEN_RGB,
                ContourSequence=_contours(lesion, by_uid),
            )
        )
        made.RTROIObservationsSequence.append(
            _item(
                ObservationNumber=number,
                ReferencedROINumber=number,
                RTROIInterpretedType="",
                ROIInterpreter=None,
            )
        )
    return made


def outlines(mask: np.ndarray) -> list[np.ndarray]:
    """Return the outlines of a mask, halfway between the centres of pixels in and out of it.

    Pixels that touch at a corner are connected. The polygons have the mask's area, to half a pixel
    per part or hole, and the mask's pixels are those whose centres lie inside an odd number of
    them.

    Args:
        mask: (H, W) bool.

    Returns:
        Polygons, (N, 2) x and y each, px, without repeating the first corner.

    >>> mask = np.zeros((5, 9), dtype=bool)
    >>> mask[2, 3] = True
    >>> sorted(outlines(mask)[0].tolist())
    [[2.5, 2.0], [3.0, 1.5], [3.0, 2.5], [3.5, 2.0]]
    """
    padded = np.pad(mask, 1).astype(float)
    return [
        contour[:-1, ::-1] - 1 for contour in find_contours(padded, 0.5, fully_connected="high")
    ]


def _contours(lesion: Lesion, images: Mapping[str, ImageObject]) -> list[Dataset]:
    """Return the contours of a lesion, slice by slice, in mm of the patient."""
    found = [(place, points) for place, mask in lesion.planes() for points in outlines(mask)]
    # several polygons in a slice: parts, or holes, which an exclusive-or leaves out; a ROI's
    # contours are all of one type
    several = len({place for place, _ in found}) < len(found)
    items = []
    for number, ((uid, frame), points) in enumerate(found, start=1):
        flat = np.column_stack([points, np.zeros(len(points)), np.ones(len(points))])
        placed = (images[uid].frames[frame].matrix() @ flat.T)[:3].T
        items.append(
            _item(
                ContourNumber=number,
                ContourImageSequence=[_reference(images[uid], frame)],
                ContourGeometricType="CLOSEDPLANAR_XOR" if several else "CLOSED_PLANAR",
                NumberOfContourPoints=len(placed),
                ContourData=[DSfloat(value, auto_format=True) for value in placed.ravel().tolist()],
            )
        )
    return items


def _reference(image: ImageObject, frame: int) -> Dataset:
    item = _item(ReferencedSOPClassUID=image.sop_class, ReferencedSOPInstanceUID=image.uid)
    if len(image.frames) > 1:
        item.ReferencedFrameNumber = frame + 1
    return item


def _frame_of_reference(datasets: Sequence[Any]) -> Dataset:
    """Return what the images and their place in the patient are."""
    images = [
        _item(ReferencedSOPClassUID=each.SOPClassUID, ReferencedSOPInstanceUID=each.SOPInstanceUID)
        for each in datasets
    ]
    first = datasets[0]
    series = _item(SeriesInstanceUID=first.SeriesInstanceUID, ContourImageSequence=images)
    study = _item(
        ReferencedSOPClassUID=STUDY_CLASS,
        ReferencedSOPInstanceUID=first.StudyInstanceUID,
        RTReferencedSeriesSequence=[series],
    )
    return _item(FrameOfReferenceUID=first.FrameOfReferenceUID, RTReferencedStudySequence=[study])


def _item(**elements: Any) -> Dataset:
    item = Dataset()
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    return item
