"""Tracking UIDs: which marks are of one lesion, as `weaklesion.dicom.timeline` joins them."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from weaklesion.dicom.export import Export
from weaklesion.dicom.found import joined_names
from weaklesion.dicom.results import Lesion, uid_of


def tracked(lesions: Sequence[Lesion], export: Export) -> list[Lesion]:
    """Return lesions whose marks all have a tracking UID.

    A mark keeps the UID that a document gives it. Other marks of that lesion get the first such UID
    of its patient. Without one, a lesion's UID depends on patient and name, and that of a mark
    without a lesion on image, frame and id.

    Args:
        lesions: the lesions.
        export: the export.
    """
    named = [lesion for lesion in lesions if lesion.mark.lesion]
    uids: dict[str, str] = {}
    for name, group in _same_lesions(named, export).items():
        by_day = sorted(group, key=lambda one: (export.images[one.mark.image_uid].day, one.id))
        stated = (one.mark.tracking_uid for one in by_day if one.mark.tracking_uid)
        uids |= dict.fromkeys((one.id for one in group), next(stated, None) or uid_of(name))
    for lesion in lesions:
        mark = lesion.mark
        uids.setdefault(lesion.id, uid_of(repr((mark.image_uid, mark.frame, lesion.id))))
    return [
        replace(one, mark=replace(one.mark, tracking_uid=one.mark.tracking_uid or uids[one.id]))
        for one in lesions
    ]


def _same_lesions(lesions: Sequence[Lesion], export: Export) -> dict[str, list[Lesion]]:
    """Return the marks of each lesion, by patient and name."""
    patients = _patients(lesions, export)
    of_patient: dict[tuple[str, str], list[Lesion]] = defaultdict(list)
    for lesion in lesions:
        of_patient[patients[lesion.id]].append(lesion)
    same: dict[str, list[Lesion]] = defaultdict(list)
    for patient, own in of_patient.items():
        names = joined_names(lesion.mark for lesion in own)
        for lesion in own:
            same[repr((patient, min(names.subset(lesion.mark.lesion))))].append(lesion)
    return same


def _patients(lesions: Sequence[Lesion], export: Export) -> dict[str, tuple[str, str]]:
    """Return patient and date of birth by a lesion's id; two dates of one ID are two patients."""
    images = {lesion.id: export.images[lesion.mark.image_uid] for lesion in lesions}
    births: dict[str, set[str]] = defaultdict(set)
    for image in images.values():
        births[image.patient] |= {image.born} - {""}
    return {
        name: (image.patient, min(born) if len(born) == 1 else image.born)
        for name, image in images.items()
        for born in [births[image.patient]]
    }
