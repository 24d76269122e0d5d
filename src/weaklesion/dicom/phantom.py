"""A phantom export: CT series of one patient at two times, and marks as SR, GSPS and AIM.

    python -m weaklesion.dicom.phantom FOLDER

Its series are oblique with pixels that are not square; files have no suffix, and their order is not
that of the slices. Copies, a localiser, damaged and foreign files lie among them, as in real
exports.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pydicom
from highdicom.sr import templates
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, generate_uid

from weaklesion.dicom.geometry import CORNER
from weaklesion.ellipse import fit_ellipse
from weaklesion.recist import recist_from_ellipse

SIDES_HW = (112, 128)
SPACING_RC = (0.8, 0.7)
STEP_MM = 2.5
INSIDE_HU, AROUND_HU, NOISE_HU = 120, -60, 12
SLOPE, INTERCEPT = 2.0, -1024.0
TURN_DEG = 20.0
MANUFACTURER = "Phantom"
PERSON = "PHANTOM^PERSON"  # what no output but DICOM may contain


@dataclass(frozen=True)
class PhantomMark:
    """A lesion of the phantom, and its mark.

    Attributes:
        image_uid: SOP instance of its image.
        ends: (4, 2) ends of its mark, px from the centre of the first pixel.
        mask: (H, W) bool.
        tracking_uid: UID that follows the lesion.
        source: `SR`, `GSPS` or `AIM`.
    """

    image_uid: str
    ends: np.ndarray
    mask: np.ndarray
    tracking_uid: str
    source: str


def make_export(folder: str | Path, *, seed: int = 0, num_slices: int = 7) -> list[PhantomMark]:
    """Write the phantom export.

    Args:
        folder: folder to write to.
        seed: of lesions and noise.
        num_slices: slices per series, at least 5.

    Returns:
        The marks that are good, with the masks of their lesions.
    """
    folder = Path(folder)
    rng = np.random.default_rng(seed)
    marks: list[PhantomMark] = []
    for visit in range(2):
        series = make_series(rng, visit, num_slices, seed=seed)
        order = rng.permutation(num_slices)
        for place, (dataset, _) in zip(order, series, strict=True):
            save(dataset, folder / f"visit{visit}" / f"disk{place % 2}" / f"I{place:04d}")
        for source, index in zip(("SR", "GSPS", "AIM"), (1, 2, 3), strict=True):
            dataset, mask = series[index]
            tracking = uid_for(seed, "lesion", index)
            ends = recist_from_ellipse(fit_ellipse(mask))
            mark = PhantomMark(dataset.SOPInstanceUID, ends, mask, tracking, source)
            marks.append(mark)
            _write_mark(folder / f"visit{visit}" / f"marks-{index}", mark, dataset)
    _write_traps(folder, series, marks, seed)
    return marks


def uid_for(*parts: Any) -> UID:
    """Return a UID that depends on the parts only."""
    return UID(generate_uid(entropy_srcs=[repr(part) for part in parts]))


def save(dataset: Any, path: Path) -> None:
    """Write a dataset as a DICOM file, and make its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)


def make_series(
    rng: np.random.Generator, visit: int, num_slices: int, *, seed: int = 0
) -> list[tuple[Any, np.ndarray]]:
    """Return the slices of one CT series, each with the mask of its lesion, (H, W) bool.

    Args:
        rng: source of lesions and noise.
        visit: number of the visit; lesions of the second are smaller.
        num_slices: number of slices.
        seed: part of all UIDs.
    """
    angle = np.deg2rad(TURN_DEG)
    rows = np.array([np.cos(angle), np.sin(angle), 0.0])
    columns = np.array([0.0, 0.0, -1.0])
    normal = np.cross(rows, columns)
    series = []
    for index in range(num_slices):
        mask = lesion_mask(rng, 1.0 - 0.2 * visit)
        hounsfield = np.where(mask, INSIDE_HU, AROUND_HU) + rng.normal(0, NOISE_HU, SIDES_HW)
        stored = np.rint((hounsfield - INTERCEPT) / SLOPE).astype(np.uint16)
        dataset = empty_image(seed, visit, index, stored)
        dataset.PixelSpacing = list(SPACING_RC)
        dataset.SliceThickness = STEP_MM
        dataset.ImageOrientationPatient = [float(f"{x:.10f}") for x in (*rows, *columns)]
        place = np.array([-40.0, 25.0, 100.0]) + index * STEP_MM * normal
        dataset.ImagePositionPatient = [float(f"{x:.8f}") for x in place]
        dataset.RescaleSlope, dataset.RescaleIntercept = SLOPE, INTERCEPT
        dataset.RescaleType = "HU"
        series.append((dataset, mask))
    return series


def lesion_mask(rng: np.random.Generator, size: float) -> np.ndarray:
    """Return a lobed lesion of the middle of an image, (H, W) bool."""
    yy, xx = np.mgrid[: SIDES_HW[0], : SIDES_HW[1]]
    cy, cx = np.array(SIDES_HW) / 2 + rng.uniform(-12, 12, 2)
    waves = 1 + 0.12 * np.cos(3 * np.arctan2(yy - cy, xx - cx) + rng.uniform(0, 6))
    radius = np.hypot(yy - cy, (xx - cx) * rng.uniform(0.65, 0.8))
    return np.asarray(radius < size * rng.uniform(15, 20) * waves)


def empty_image(seed: int, visit: int, index: int, stored: np.ndarray) -> Any:
    """Return a CT image of stored values, (H, W) uint16, without a place in the patient."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = uid_for(seed, "image", visit, index)
    dataset = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    dataset.StudyInstanceUID = uid_for(seed, "study", visit)
    dataset.SeriesInstanceUID = uid_for(seed, "series", visit)
    dataset.FrameOfReferenceUID = uid_for(seed, "frame", visit)
    dataset.PatientName, dataset.PatientID = PERSON, "PHANTOM-ID"
    dataset.PatientBirthDate, dataset.PatientSex = "19500101", "O"
    dataset.StudyDate, dataset.StudyTime = ("20200101", "20200301")[visit], "120000"
    dataset.InstitutionName = "PHANTOM HOSPITAL"
    dataset.StudyID, dataset.AccessionNumber, dataset.ReferringPhysicianName = "1", "", ""
    dataset.PositionReferenceIndicator, dataset.Laterality = "", ""
    dataset.PatientPosition = "HFS"
    dataset.Manufacturer, dataset.Modality = "Phantom", "CT"
    dataset.SeriesNumber, dataset.InstanceNumber = 1, index + 1
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.KVP, dataset.AcquisitionNumber = 120, 1
    dataset.Rows, dataset.Columns = stored.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
    dataset.PixelRepresentation = 0
    dataset.PixelData = stored.tobytes()
    return dataset


def _write_mark(path: Path, mark: PhantomMark, image: Any) -> None:
    if mark.source == "SR":
        save(bidirectional_report([mark], [image]), path)
    elif mark.source == "GSPS":
        save(presentation_state(mark, image), path)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(aim_annotation(mark)), encoding="utf-8")


def lengths_mm(ends: np.ndarray) -> tuple[float, float]:
    """Return the lengths of both diameters of a mark on a phantom image, mm."""
    mm = ends * (SPACING_RC[1], SPACING_RC[0])
    return float(np.linalg.norm(mm[1] - mm[0])), float(np.linalg.norm(mm[3] - mm[2]))


def bidirectional_report(marks: Sequence[PhantomMark], images: Sequence[Any]) -> Any:
    """Return a report (TID 1500) with one bidirectional measurement per mark."""
    groups = []
    for mark, image in zip(marks, images, strict=True):
        source = hd.sr.SourceImageForRegion(image.SOPClassUID, image.SOPInstanceUID)
        measurements = [
            templates.Measurement(
                name=name,
                value=length,
                unit=codes.UCUM.Millimeter,
                referenced_coordinates=[
                    hd.sr.CoordinatesForMeasurement("POLYLINE", ends + CORNER, source)
                ],
            )
            for name, length, ends in zip(
                (codes.SCT.LongAxis, codes.SCT.ShortAxis),
                lengths_mm(mark.ends),
                (mark.ends[:2], mark.ends[2:]),
                strict=True,
            )
        ]
        tracking = templates.TrackingIdentifier(uid=mark.tracking_uid, identifier="lesion")
        groups.append(
            templates.MeasurementsAndQualitativeEvaluations(
                tracking_identifier=tracking, measurements=measurements
            )
        )
    observer = templates.ObserverContext(
        codes.DCM.Device, templates.DeviceObserverIdentifyingAttributes(uid=uid_for("device"))
    )
    report = templates.MeasurementReport(
        observation_context=templates.ObservationContext(observer_device_context=observer),
        procedure_reported=codes.LN.CTUnspecifiedBodyRegion,
        imaging_measurements=groups,
    )
    return hd.sr.ComprehensiveSR(
        evidence=list(images),
        content=report[0],
        series_instance_uid=uid_for(marks[0].image_uid, "report series"),
        series_number=20,
        sop_instance_uid=uid_for(marks[0].image_uid, "report"),
        instance_number=1,
        manufacturer=MANUFACTURER,
    )


def presentation_state(mark: PhantomMark, image: Any, units: str = "PIXEL") -> Any:
    """Return a presentation state with the two lines of a mark."""
    layer = hd.pr.GraphicLayer("MARKS", order=1)
    lines = [
        hd.pr.GraphicObject(
            graphic_type="POLYLINE",
            graphic_data=ends + CORNER,
            units=units,
            tracking_id="lesion",
            tracking_uid=mark.tracking_uid,
        )
        for ends in (mark.ends[:2], mark.ends[2:])
    ]
    annotation = hd.pr.GraphicAnnotation([image], layer, graphic_objects=lines)
    return hd.pr.GrayscaleSoftcopyPresentationState(
        referenced_images=[image],
        series_instance_uid=uid_for(mark.image_uid, "state series"),
        series_number=30,
        sop_instance_uid=uid_for(mark.image_uid, "state"),
        instance_number=1,
        manufacturer_model_name="phantom",
        software_versions="1",
        device_serial_number="1",
        content_label="MARKS",
        graphic_annotations=[annotation],
        graphic_layers=[layer],
        manufacturer=MANUFACTURER,
    )


def aim_annotation(mark: PhantomMark) -> dict[str, Any]:
    """Return an AIM 4 annotation with the two lines of a mark, as ePAD writes it."""

    def shape(ends: np.ndarray) -> dict[str, Any]:
        points = [
            {"coordinateIndex": {"value": i}, "x": {"value": x}, "y": {"value": y}}
            for i, (x, y) in enumerate((ends + CORNER).tolist())
        ]
        return {
            "xsi:type": "TwoDimensionMultiPoint",
            "imageReferenceUid": {"root": mark.image_uid},
            "referencedFrameNumber": {"value": 1},
            "twoDimensionSpatialCoordinateCollection": {"TwoDimensionSpatialCoordinate": points},
        }

    annotation = {
        "uniqueIdentifier": {"root": uid_for(mark.image_uid, "aim")},
        "trackingUniqueIdentifier": {"root": mark.tracking_uid},
        "name": {"value": "Lesion~1"},
        "markupEntityCollection": {"MarkupEntity": [shape(mark.ends[:2]), shape(mark.ends[2:])]},
    }
    return {
        "ImageAnnotationCollection": {
            "aimVersion": "AIMv4_0",
            "person": {"name": {"value": PERSON}},
            "imageAnnotations": {"ImageAnnotation": [annotation]},
        }
    }


def _write_traps(
    folder: Path, series: list[tuple[Any, np.ndarray]], marks: list[PhantomMark], seed: int
) -> None:
    """Write what a real export has beside good images and marks."""
    (folder / "README.TXT").write_text(f"Images of {PERSON}", encoding="utf-8")
    (folder / "empty").write_bytes(b"")
    image = series[4][0]
    save(image, folder / "again" / "copy")
    localiser = empty_image(seed, 1, 900, np.zeros((8, 9), dtype=np.uint16))
    localiser.SeriesInstanceUID = uid_for(seed, "localiser")
    localiser.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    save(localiser, folder / "visit1" / "scout")
    last = marks[-1]
    absent = empty_image(seed, 1, 901, np.zeros(SIDES_HW, dtype=np.uint16))
    lost = PhantomMark(absent.SOPInstanceUID, last.ends, last.mask, uid_for(seed, "lost"), "SR")
    save(bidirectional_report([lost], [absent]), folder / "visit1" / "absent")
    twin = pydicom.dcmread(folder / "again" / "copy")
    twin.SOPInstanceUID = twin.file_meta.MediaStorageSOPInstanceUID = uid_for(seed, "twin")
    save(twin, folder / "again" / "twin-a")
    twin.PixelData = bytes(len(twin.PixelData))
    save(twin, folder / "again" / "twin-b")
    broken = empty_image(seed, 1, 902, np.zeros(SIDES_HW, dtype=np.uint16))
    broken.SeriesInstanceUID = uid_for(seed, "broken")
    save(broken, folder / "again" / "truncated")
    content = (folder / "again" / "truncated").read_bytes()
    (folder / "again" / "truncated").write_bytes(content[: len(content) // 2])
    untagged = Dataset()
    untagged.PatientName, untagged.preamble = PERSON, bytes(128)
    untagged.file_meta = FileMetaDataset()
    untagged.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    pydicom.dcmwrite(folder / "again" / "untagged", untagged)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("Usage: python -m weaklesion.dicom.phantom FOLDER")
    make_export(sys.argv[1])
