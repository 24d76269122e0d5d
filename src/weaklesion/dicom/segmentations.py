"""Masks as DICOM SEG."""

from collections.abc import Sequence
from typing import Any

import highdicom as hd
import numpy as np
from pydicom.sr.codedict import codes

from weaklesion.dicom.headers import MAKER
from weaklesion.dicom.image_objects import ImageObject
from weaklesion.dicom.results import Lesion, Maker, uid_of

GREEN_LAB = (77.0, -66.0, 42.0)  # L*, a*, b* of a segment


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
        images: the images that they touch; one image, if it has several frames.
        datasets: their headers, in the same order.
        maker: what made the masks.
        digest: what the UIDs depend on.
    """
    places = [(image.uid, frame) for image in images for frame in range(len(image.frames))]
    index_of = {place: index for index, place in enumerate(places)}
    masks = [[(index_of[place], mask) for place, mask in each.planes()] for each in group]
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
                    name=lesion.made_by,
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
        series_instance_uid=uid_of(digest, "SEG series"),
        series_number=9001,
        sop_instance_uid=uid_of(digest, "SEG"),
        instance_number=1,
        manufacturer=MAKER,
        manufacturer_model_name="segment",
        software_versions=maker.version,
        device_serial_number=maker.model_digest[:16],
        content_label="LESIONS",
        content_creator_name=f"{MAKER}^",
    )


def _stacked(masks: Sequence[Sequence[tuple[int, np.ndarray]]], num_frames: int) -> np.ndarray:
    """Return the masks of each segment, each with the index of its frame, as one array.

    It is (frames, H, W) of segment numbers; (frames, H, W, segments), which takes more memory, only
    where masks overlap.
    """
    shape_hw = masks[0][0][1].shape
    labels = np.zeros((num_frames, *shape_hw), dtype=np.uint16)
    for number, planes in enumerate(masks, start=1):
        if any((labels[frame][mask] > 0).any() for frame, mask in planes):
            break
        for frame, mask in planes:
            labels[frame][mask] = number
    else:
        return labels
    stack = np.zeros((num_frames, *shape_hw, len(masks)), dtype=np.uint8)
    for number, planes in enumerate(masks):
        for frame, mask in planes:
            stack[frame, ..., number] = mask
    return stack
