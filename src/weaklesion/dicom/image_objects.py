"""Image objects: what their headers say of frames, geometry and grey levels."""

import math
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydicom.uid import DeflatedExplicitVRLittleEndian

from weaklesion.dicom.geometry import Frame
from weaklesion.dicom.headers import clean_uid, numbers, single
from weaklesion.dicom.ultrasound import Region, read_regions

MODALITY = re.compile("[A-Z0-9]{2,12}")  # other words might be free text
MOST_FRAMES = 100_000
CALIBRATED = ("GEOMETRY", "FIDUCIAL")  # Pixel Spacing Calibration Type of mm in the patient
SAME_SPACING = 1e-3  # relative difference up to which spacings are equal
DETECTOR = "only the detector's spacing is known, which is not mm in the patient"
MAGNIFICATION = "EstimatedRadiographicMagnificationFactor"
FUNCTIONAL_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
NO_ID = "|"  # before the UID of a study whose patient has no ID; an ID comes before it


@dataclass(frozen=True)
class ImageObject:
    """An image object of an export, without its pixels.

    Attributes:
        path: the file.
        uid: SOP instance.
        sop_class: SOP class.
        series_uid: series.
        study_uid: study.
        place_uid: frame of reference, or "".
        patient: what tells patients apart; never written. Without a patient's ID it is the study;
            `with_patients` adds the issuer where it tells patients apart.
        issuer: issuer of the patient's ID, or ""; never written.
        born: date of birth, or ""; never written.
        day: date of the study as YYYYMMDD, or ""; never written.
        modality: such as CT.
        shape_hw: rows and columns.
        photometric: photometric interpretation.
        samples: samples per pixel.
        frames: its frames.
        enhanced: whether its frames have headers of their own, even if there is only one.
        tilt: whether the gantry was tilted.
        detector_note: what is to be told of an image of which only the detector's spacing is known,
            not that in the patient; "" for others.
        regions: regions of an ultrasound image without a spacing of its own.
        square: whether nothing says that its pixels are not square.
        localiser: whether it is one, which only plans the images of other series.
        modality_table: whether a table, not slope and intercept, makes stored values comparable.
        in_parts: whether single frames can be read from the file, because it states its transfer
            syntax and is not deflated.
        display: what a viewer would do with the levels and `weaklesion.dicom.pixels` does not.
    """

    path: Path
    uid: str
    sop_class: str
    series_uid: str
    study_uid: str
    place_uid: str
    patient: str
    day: str
    modality: str
    shape_hw: tuple[int, int]
    photometric: str
    samples: int
    frames: tuple[Frame, ...]
    enhanced: bool = False
    tilt: bool = False
    detector_note: str = ""
    square: bool = True
    regions: tuple[Region, ...] = ()
    localiser: bool = False
    modality_table: bool = False
    in_parts: bool = True
    display: tuple[str, ...] = ()
    born: str = ""
    issuer: str = ""

    @property
    def multi_frame(self) -> bool:
        """Whether it has several frames, or could have them: a SEG is of one such object only."""
        return self.enhanced or len(self.frames) > 1


def read_image_object(path: Path, header: Any) -> ImageObject:
    """Return an image object from its header.

    Args:
        path: the file.
        header: its dataset without pixels.

    Raises:
        UNREADABLE: if tags have impossible values.
    """
    count = int(single(header.get("NumberOfFrames")) or 1)
    if not 1 <= count <= MOST_FRAMES:
        raise ValueError(f"{count} frames")
    modality = str(header.get("Modality") or "")
    frames = tuple(
        replace(frame, spacing_rc=None) if _has_spacing_of_detector(frame, header) else frame
        for frame in _frames_of(header, count)
    )
    return ImageObject(
        path=path,
        uid=clean_uid(header.SOPInstanceUID),
        sop_class=clean_uid(header.SOPClassUID),
        series_uid=clean_uid(header.get("SeriesInstanceUID")),
        study_uid=clean_uid(header.get("StudyInstanceUID")),
        place_uid=clean_uid(header.get("FrameOfReferenceUID")),
        patient=_patient(header),
        issuer=str(header.get("IssuerOfPatientID") or "").strip(),
        born=str(header.get("PatientBirthDate") or ""),
        day=str(header.get("StudyDate") or "").replace(".", "")[:8],
        modality=modality if MODALITY.fullmatch(modality) else "",
        shape_hw=(int(header.Rows), int(header.Columns)),
        photometric=str(header.get("PhotometricInterpretation") or ""),
        samples=int(single(header.get("SamplesPerPixel")) or 1),
        frames=frames,
        enhanced=any(header.get(name) for name in FUNCTIONAL_GROUPS),
        tilt=abs(single(header.get("GantryDetectorTilt")) or 0.0) > 0.01,
        detector_note=_detector_note(frames, header),
        square=_is_square(header),
        regions=read_regions(header) if frames[0].spacing_rc is None else (),
        localiser="LOCALIZER" in str(header.get("ImageType") or "").upper(),
        modality_table=bool(header.get("ModalityLUTSequence")),
        in_parts=_in_parts(header),
        display=_display(header, modality),
    )


def _in_parts(header: Any) -> bool:
    syntax = getattr(header, "file_meta", {}).get("TransferSyntaxUID")
    return bool(syntax) and syntax != DeflatedExplicitVRLittleEndian


def _has_spacing_of_detector(frame: Frame, header: Any) -> bool:
    """Return whether a frame's spacing is that of the detector (DICOM PS3.3 10.7.1.3).

    A frame with a place in the patient is a plane of the patient, not a projection.
    """
    detector = numbers(header.get("ImagerPixelSpacing"), 2)
    if detector is None or frame.spacing_rc is None or frame.placed:
        return False
    if header.get("PixelSpacingCalibrationType") in CALIBRATED:
        return False
    pairs = zip(frame.spacing_rc, detector, strict=True)
    return all(math.isclose(one, other, rel_tol=SAME_SPACING) for one, other in pairs)


def _detector_note(frames: tuple[Frame, ...], header: Any) -> str:
    if frames[0].spacing_rc is not None or "ImagerPixelSpacing" not in header:
        return ""
    factor = single(header.get(MAGNIFICATION))
    return DETECTOR if factor is None else f"{DETECTOR}: {MAGNIFICATION} ({factor:g}) is not used"


def _is_square(header: Any) -> bool:
    sides = [numbers(header.get(name), 2) for name in ("PixelAspectRatio", "ImagerPixelSpacing")]
    return all(one == other for one, other in filter(None, sides))


def _display(header: Any, modality: str) -> tuple[str, ...]:
    notes = []
    groups = [
        group
        for name in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
        for group in header.get(name) or []
    ]
    of_frames = [each for group in groups for each in group.get("FrameVOILUTSequence") or []]
    if any(window.get("VOILUTFunction") == "SIGMOID" for window in [header, *of_frames]):
        notes.append("its window is sigmoid, but is taken as linear")
    grey = header.get("PhotometricInterpretation")
    if header.get("PresentationLUTShape") == "INVERSE" and grey == "MONOCHROME2":
        notes.append("its levels are to be shown inverted, but are not")
    return tuple(notes) if modality != "CT" else ()


def _patient(header: Any) -> str:
    """Return what tells patients apart: two without an ID are not the same."""
    name = str(header.get("PatientID") or "").strip()
    return name or NO_ID + clean_uid(header.get("StudyInstanceUID"))


def with_patients(images: dict[str, ImageObject]) -> dict[str, ImageObject]:
    """Return images whose patients with one ID are told apart, if their issuers differ.

    Images that state no issuer are then a patient of their own.

    Args:
        images: all images of an export, by SOP instance.
    """
    issuers: dict[str, set[str]] = {}
    for image in images.values():
        issuers.setdefault(image.patient, set()).update({image.issuer} - {""})
    return {
        uid: replace(image, patient=f"{image.patient}|{image.issuer}")
        if len(issuers[image.patient]) > 1 and not image.patient.startswith(NO_ID)
        else image
        for uid, image in images.items()
    }


def without_localisers(series: list[ImageObject]) -> list[ImageObject]:
    """Return the images of a series that are not localisers; all if it has nothing else."""
    return [image for image in series if not image.localiser] or series


def _frames_of(header: Any, count: int) -> tuple[Frame, ...]:
    """Return the frames of a header, by the functional groups of an enhanced object."""
    shared, per_frame = (list(header.get(name) or []) for name in FUNCTIONAL_GROUPS)
    if not shared and not per_frame:
        return (_frame([header]),) * count
    groups = [[per_frame[i]] if i < len(per_frame) else [] for i in range(count)]
    return tuple(_frame([*own, *shared, header]) for own in groups)


def _frame(groups: list[Any]) -> Frame:
    """Return a frame from the first group that has each tag."""

    def tag(sequence: str, name: str) -> Any:
        for group in groups:
            for holder in [*(group.get(sequence) or []), group]:
                value = holder.get(name)
                if value is not None and value != "":
                    return value
        return None

    spacing = numbers(tag("PixelMeasuresSequence", "PixelSpacing"), 2)
    center = single(tag("FrameVOILUTSequence", "WindowCenter"))
    width = single(tag("FrameVOILUTSequence", "WindowWidth"))
    function = tag("FrameVOILUTSequence", "VOILUTFunction")
    slope = single(tag("PixelValueTransformationSequence", "RescaleSlope"))
    intercept = single(tag("PixelValueTransformationSequence", "RescaleIntercept"))
    rescale_type = tag("PixelValueTransformationSequence", "RescaleType")
    thickness = single(tag("PixelMeasuresSequence", "SliceThickness"))
    return Frame(
        position=numbers(tag("PlanePositionSequence", "ImagePositionPatient"), 3),
        orientation=_orientation(tag("PlaneOrientationSequence", "ImageOrientationPatient")),
        spacing_rc=(spacing[0], spacing[1]) if spacing and min(spacing) > 0 else None,
        thickness=thickness if thickness and thickness > 0 else None,
        rescale=(slope, intercept) if slope and intercept is not None else None,  # 0 is not a slope
        window=_window(center, width, function),
        rescale_type=str(rescale_type or "").strip().upper(),
    )


def _window(center: float | None, width: float | None, function: Any) -> tuple[float, float] | None:
    """Return center and width of a window as those of the standard's default function, LINEAR."""
    if center is None or width is None or width <= 0:
        return None
    # LINEAR_EXACT makes center - width / 2 black, LINEAR center - 0.5 - (width - 1) / 2
    return (center + 0.5, width + 1) if function == "LINEAR_EXACT" else (center, width)


def _orientation(value: Any) -> tuple[float, ...] | None:
    """Return two perpendicular unit vectors, or None."""
    found = numbers(value, 6)
    if found is None:
        return None
    rows, columns = found[:3], found[3:]
    lengths = [sum(x * x for x in each) for each in (rows, columns)]
    skew = sum(x * y for x, y in zip(rows, columns, strict=True))
    return found if all(abs(x - 1) < 0.01 for x in lengths) and abs(skew) < 0.01 else None
