"""Masks as DICOM SEG.

highdicom takes no two images at one distance along their normal, as in two phases of a CT.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import highdicom as hd
import numpy as np
from pydicom.sr.codedict import codes

from weaklesion.dicom.geometry import SAME_PLACE_MM, Frame
from weaklesion.dicom.headers import MAKER
from weaklesion.dicom.image_objects import ImageObject
from weaklesion.dicom.results import Lesion, Maker, uid_of
from weaklesion.dicom.stacks import Place, alike

MAX_LABEL = 64  # characters of a segment's label; its tracking id is whole
GREEN_LAB = (77.0, -66.0, 42.0)  # L*, a*, b* of a segment


def split_by_position(
    group: Sequence[Lesion], images: Mapping[str, ImageObject]
) -> list[list[Lesion]]:
    """Split lesions into parts that one segmentation each can hold.

    In a part, no two images or frames have one position, and all have one spacing. A lesion joins
    the first part where it fits, in the order given.

    Args:
        group: lesions of one series, with images of one size, orientation and frame of reference.
        images: the images that they touch, by UID; their frames are placed.
    """
    parts: list[tuple[list[Lesion], dict[Place, Frame]]] = []
    for lesion in group:
        frames = {place: images[place[0]].frames[place[1]] for place in lesion.places}
        part = next((each for each in parts if _fit_together(frames, each[1])), None)
        if part is None:
            part = ([], {})
            parts.append(part)
        part[0].append(lesion)
        part[1].update(frames)
    return [lesions for lesions, _ in parts]


def segmentation(
    group: Sequence[Lesion],
    images: Sequence[ImageObject],
    datasets: Sequence[Any],
    maker: Maker,
    digest: str,
) -> Any:
    """Return a binary segmentation with one segment per lesion.

    Args:
        group: lesions of one series, with images of one size, orientation and spacing, each at a
            position of its own; their marks have tracking UIDs.
        images: the images that they touch; one image, if it has several frames.
        datasets: their headers, in the same order. That of an image with several frames is
            changed: only the frames that the lesions touch remain.
        maker: what made the masks.
        digest: what the UIDs depend on.
    """
    touched = {place for lesion in group for place in lesion.places}
    places = [
        place
        for image in images
        for place in ((image.uid, frame) for frame in range(len(image.frames)))
        if place in touched
    ]
    frames = [frame for _, frame in places]
    if len(images[0].frames) > 1:
        _keep_frames(datasets[0], frames)
    _share_geometry(datasets)
    index_of = {place: index for index, place in enumerate(places)}
    masks = [[(index_of[place], mask) for place, mask in each.planes()] for each in group]
    segments = []
    for number, lesion in enumerate(group):
        segments.append(
            hd.seg.SegmentDescription(
                segment_number=number + 1,
                segment_label=lesion.id[:MAX_LABEL],
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
                tracking_uid=lesion.mark.tracking_uid,
                tracking_id=lesion.id,
                display_color=hd.color.CIELabColor(*GREEN_LAB),
            )
        )
    made = hd.seg.Segmentation(
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
    if images[0].multi_frame:
        _number_frames_as_in_source(made, frames)
    return made


def _fit_together(frames: Mapping[Place, Frame], taken: Mapping[Place, Frame]) -> bool:
    """Return whether one segmentation can hold frames together with others."""
    new = {place: frame for place, frame in frames.items() if place not in taken}
    if not new or not taken:
        return True
    first = next(iter(taken.values()))
    along, along_taken = (first.along_normal(each.values()) for each in (new, taken))
    apart = np.abs(np.subtract.outer(along, along_taken))
    return bool(apart.min() > SAME_PLACE_MM) and all(alike(each, first) for each in new.values())


def _share_geometry(datasets: Sequence[Any]) -> None:
    """Let headers of one group say once what their slices share, and places once a frame.

    That is how highdicom reads them. Orientations of a stack may differ in the last digit; an
    enhanced object may give orientation and spacing for each frame, and the place of its only frame
    for all frames.
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
            if "PlanePositionSequence" in shared:
                for frame in frames:
                    frame.setdefault("PlanePositionSequence", shared.PlanePositionSequence)


def _keep_frames(dataset: Any, frames: Sequence[int]) -> None:
    """Remove all other frames from a header, because they may have the same positions."""
    groups = dataset.PerFrameFunctionalGroupsSequence
    dataset.PerFrameFunctionalGroupsSequence = [groups[frame] for frame in frames]
    dataset.NumberOfFrames = len(frames)


def _number_frames_as_in_source(made: Any, frames: Sequence[int]) -> None:
    """Let references to frames count all frames of the source, not only those that were kept."""
    for groups in made.PerFrameFunctionalGroupsSequence:
        for derivation in groups.DerivationImageSequence:
            for source in derivation.SourceImageSequence:
                source.ReferencedFrameNumber = frames[source.ReferencedFrameNumber - 1] + 1


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
