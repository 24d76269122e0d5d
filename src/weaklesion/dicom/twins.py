"""Marks that several documents of an export hold, as an annotation and its report do."""

from dataclasses import replace

from weaklesion.dicom.found import FoundMark
from weaklesion.dicom.lines import ends_apart_px

SAME_PX = 0.01  # distance of ends up to which two marks are one


def twin_of(mark: FoundMark, taken: dict[str, FoundMark]) -> str:
    """Return the id of a taken mark that is this one in another document; "" if there is none.

    Rows of a user's table are all marks of their own.

    Args:
        mark: the mark, with both diameters.
        taken: the marks that were taken, by id.
    """
    for name, other in taken.items() if not mark.name else ():
        here = (mark.image_uid, mark.frame) == (other.image_uid, other.frame)
        if here and ends_apart_px(mark.ends, other.ends) <= SAME_PX:
            return name
    return ""


def merged(mark: FoundMark, twin: FoundMark) -> FoundMark:
    """Return a mark with what another document says of it: its lesion, and whether it is a node.

    Args:
        mark: the mark that was taken.
        twin: the same mark in the other document.
    """
    names = {twin.lesion, twin.tracking_uid, *twin.other_lesions} - {""}
    return replace(
        mark,
        tracking_uid=mark.tracking_uid or twin.tracking_uid,
        lesion=mark.lesion or twin.lesion,
        node=mark.node or twin.node,
        other_lesions=mark.other_lesions | names,
        short_assumed=mark.short_assumed and twin.short_assumed,
    )
