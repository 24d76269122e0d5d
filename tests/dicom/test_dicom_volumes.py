"""`weaklesion segment --dicom --volume` on a lesion whose volume and place are known."""

import copy
import shutil
import subprocess

import highdicom as hd
import nibabel
import numpy as np
import pandas as pd
import pydicom
import pytest
from nibabel.affines import apply_affine
from pydicom.sr.codedict import codes
from scipy.spatial import cKDTree
from skimage.draw import polygon2mask
from solid_series import (
    AXES_MM,
    MARKED,
    NUM_SLICES,
    SPACING_RC,
    STEP_MM,
    VOLUME_MM3,
    directions,
    solid_series,
)
from test_stacks import enhanced, without
from typer.testing import CliRunner

from weaklesion.cli import app
from weaklesion.dicom.export import read_export
from weaklesion.dicom.phantom import (
    INTERCEPT,
    SLOPE,
    PhantomMark,
    bidirectional_report,
    make_export,
    save,
)
from weaklesion.recist import RECIST_COLUMNS, measure_recist

WITHIN = 0.05  # of the true volume
VOXEL_MM3 = SPACING_RC[0] * SPACING_RC[1] * STEP_MM


def call(model, folder, *options, source="--dicom", given="in", out="out"):
    words = ["segment", "--model", model, source, folder / given, "--out", folder / out, *options]
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, (result.output, result.exception)
    table = pd.read_csv(folder / out / "measurements.csv", dtype={"volume_reason": str})
    return table.set_index("id")


def only(table):
    (name,) = table.index
    return name, table.loc[name]


def read(folder, kind, out="out"):
    (path,) = (folder / out / "dicom").glob(f"{kind}-*.dcm")
    return pydicom.dcmread(path)


def nifti_points(path):
    """The lesion's voxels in the patient, mm (LPS)."""
    volume = nibabel.load(path)
    voxels = np.argwhere(np.asarray(volume.dataobj) > 0)
    return apply_affine(volume.affine, voxels) * [-1, -1, 1]


def seg_points(dataset, number=1):
    """The same by the frames of a segmentation alone."""
    shared = dataset.SharedFunctionalGroupsSequence[0]
    orientation = shared.PlaneOrientationSequence[0].ImageOrientationPatient
    rows, columns = np.array(orientation, float).reshape(2, 3)
    spacing = shared.PixelMeasuresSequence[0].PixelSpacing
    frames = dataset.pixel_array.reshape(-1, dataset.Rows, dataset.Columns)
    points = []
    for frame, groups in zip(frames, dataset.PerFrameFunctionalGroupsSequence, strict=True):
        holder = groups if "SegmentIdentificationSequence" in groups else shared
        if holder.SegmentIdentificationSequence[0].ReferencedSegmentNumber == number:
            place = np.array(groups.PlanePositionSequence[0].ImagePositionPatient, float)
            y, x = np.nonzero(frame)
            points.append(
                place + x[:, None] * spacing[1] * rows + y[:, None] * spacing[0] * columns
            )
    return np.concatenate(points)


def same_points(first, second, within_mm=1e-3):
    """Whether two sets of points are one."""
    apart = [cKDTree(a).query(b)[0].max() for a, b in ((first, second), (second, first))]
    return len(first) == len(second) and max(apart) < within_mm


def overlap(first, second):
    return 2 * (first & second).sum() / (first.sum() + second.sum())


def mask_in(folder, row, out="out"):
    return np.asarray(nibabel.load(folder / out / row["volume"]).dataobj).T > 0


@pytest.fixture
def solid(grey_model, tmp_path):
    """A lesion in an oblique series of shuffled files, segmented with all outputs."""
    series = solid_series()
    series.save(tmp_path / "in")
    name, row = only(call(grey_model, tmp_path, "--volume", "--rtstruct"))
    return tmp_path, series, name, row


def test_the_volume_is_that_of_the_ellipsoid_wherever_it_lies(solid):
    folder, series, _, row = solid
    assert row["volume_mm3"] == pytest.approx(VOLUME_MM3, rel=WITHIN)
    assert row["volume_low_mm3"] < VOLUME_MM3 < row["volume_high_mm3"]
    assert row["axis_long_mm"] == pytest.approx(max(AXES_MM), abs=2)
    found = mask_in(folder, row)
    assert row["volume_mm3"] == pytest.approx(found.sum() * VOXEL_MM3)
    assert overlap(found, np.array(series.masks)) > 0.95
    points = nifti_points(folder / "out" / row["volume"])
    middle = np.array(series.image.ImagePositionPatient, float)
    rows, columns = np.array(series.image.ImageOrientationPatient, float).reshape(2, 3)
    middle += 60 * SPACING_RC[1] * rows + 52 * SPACING_RC[0] * columns
    assert points.mean(axis=0) == pytest.approx(middle, abs=1)


def test_segmentation_and_nifti_are_one_mask_in_the_patient(solid):
    folder, series, name, row = solid
    dataset = read(folder, "seg")
    found = mask_in(folder, row)
    assert same_points(seg_points(dataset), nifti_points(folder / "out" / row["volume"]))
    # and highdicom finds each slice of it by the image that it was made from
    seg = hd.seg.Segmentation.from_dataset(dataset)
    assert seg.get_segment_description(1).tracking_id == name
    algorithm = dataset.SegmentSequence[0].SegmentationAlgorithmIdentificationSequence[0]
    assert algorithm.AlgorithmName == "WeakLesion levels of the marked slice"
    uids = [image.SOPInstanceUID for image in series.images[row["first_slice"] :]][: len(found)]
    touched = uids[: row["last_slice"] - row["first_slice"] + 1]
    again = seg.get_pixels_by_source_instance(touched, segment_numbers=[1])[..., 0] > 0
    assert np.array_equal(again, found[row["first_slice"] : row["last_slice"] + 1])
    assert dataset.NumberOfFrames == len(touched) == found.any(axis=(1, 2)).sum()


def measurements(group):
    return {each.name.meaning: (each.value, each.unit) for each in group.get_measurements()}


def test_the_report_has_the_volume_of_its_segment_and_the_axes_of_the_slice(solid):
    folder, series, name, row = solid
    report = hd.sr.Comprehensive3DSR.from_dataset(read(folder, "sr"))
    (group,) = report.content.get_volumetric_roi_measurement_groups()
    assert measurements(group) == {
        "Volume": (pytest.approx(row["volume_mm3"]), codes.UCUM.CubicMillimeter)
    }
    (volume,) = group.get_measurements()
    assert volume.name == codes.SCT.Volume
    assert group.tracking_identifier == name
    segment = group.referenced_segment
    assert segment.referenced_sop_instance_uid == read(folder, "seg").SOPInstanceUID
    sources = {each.referenced_sop_instance_uid for each in segment.source_images_for_segmentation}
    touched = series.images[row["first_slice"] : row["last_slice"] + 1]
    assert sources == {image.SOPInstanceUID for image in touched}
    (axes,) = report.content.get_planar_roi_measurement_groups() or measured_groups(report)
    values = measurements(axes)
    assert values["Long axis"] == (pytest.approx(row["long_mm"]), codes.UCUM.Millimeter)
    assert values["Short axis"] == (pytest.approx(row["short_mm"]), codes.UCUM.Millimeter)
    assert values["Area"] == (pytest.approx(row["area_mm2"]), codes.UCUM.SquareMillimeter)
    assert values["Agreement of mask and mark"][0] == pytest.approx(row["agreement"])


def measured_groups(report):
    return report.content.get_image_measurement_groups()


def test_the_structure_set_outlines_every_slice(solid):
    folder, series, _, row = solid
    (roi,) = read(folder, "rtstruct").ROIContourSequence
    found = mask_in(folder, row)
    export = read_export(folder / "in")
    outlined = np.zeros_like(found)
    uids = [str(image.SOPInstanceUID) for image in series.images]
    for contour in roi.ContourSequence:
        (image,) = contour.ContourImageSequence
        frame = export.frame_of(image.ReferencedSOPInstanceUID, 0)
        points = np.array(contour.ContourData, dtype=float).reshape(-1, 3)
        px, off = frame.to_px(points)
        assert off.max() < 1e-6
        number = uids.index(image.ReferencedSOPInstanceUID)
        outlined[number] ^= polygon2mask(found.shape[1:], px[:, ::-1])
    assert np.array_equal(outlined, found)


def test_sheet_and_list_of_objects(solid):
    folder, _, name, row = solid
    assert (folder / "out" / row["sheet"]).is_file()
    written = pd.read_csv(folder / "out/dicom/written.csv", keep_default_na=False)
    assert sorted(written["kind"]) == ["RTSTRUCT", "SC", "SEG", "SR"]
    assert (written["cause"] == "").all()
    assert set(written["ids"]) == {name}
    assert pd.isna(row["volume_reason"]) or "slice above" not in row["volume_reason"]


def test_dciodvfy_finds_no_error_in_them(solid):
    checker = shutil.which("dciodvfy")
    if checker is None:
        pytest.skip("dciodvfy (dicom3tools) is not installed")
    folder, *_ = solid
    paths = list((folder / "out/dicom").glob("*.dcm"))
    assert len(paths) == 4
    for path in paths:
        checked = subprocess.run([checker, path], capture_output=True)
        assert b"Error" not in checked.stderr + checked.stdout


@pytest.mark.workflow
def test_the_same_volume_as_nifti_gives_the_same_mask(grey_model, tmp_path):
    """A copy of all slices, made without the importer, of which `--dicom` reads some."""
    count, marked = 61, 30
    series = solid_series(along=(np.arange(count) - marked) * STEP_MM, marked=marked)
    series.ends = series.ends + np.array([0.137, 0.219])  # on no grid: no voxel is a tie
    series.save(tmp_path / "in")
    name, row = only(call(grey_model, tmp_path, "--volume"))
    rows, columns, _ = directions()
    places = np.array([image.ImagePositionPatient for image in series.images], float)
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = rows * SPACING_RC[1], columns * SPACING_RC[0]
    affine[:3, 2], affine[:3, 3] = (places[-1] - places[0]) / (count - 1), places[0]
    planes = np.stack([image.pixel_array * SLOPE + INTERCEPT for image in series.images])
    volume = nibabel.Nifti1Image(planes.T.astype(np.int16), np.diag([-1, -1, 1, 1]) @ affine)
    nibabel.save(volume, tmp_path / "v.nii.gz")
    ends = dict(zip(RECIST_COLUMNS, series.ends.ravel(), strict=True))
    mark = {"id": name, "image": "v.nii.gz", "slice": marked} | ends
    pd.DataFrame([mark]).to_csv(tmp_path / "v.csv", index=False)
    options = ("--volume",)
    again = call(grey_model, tmp_path, *options, source="--marks", given="v.csv", out="again")
    part = nibabel.load(tmp_path / "out" / row["volume"])
    whole = nibabel.load(tmp_path / "again" / again.loc[name, "volume"])
    first = marked - row["slice"]
    last = first + part.shape[2]
    assert 0 < first < last < count
    voxels = whole.get_fdata()
    assert np.array_equal(part.get_fdata(), voxels[:, :, first:last])
    assert not voxels[:, :, :first].any()
    assert not voxels[:, :, last:].any()
    assert part.affine == pytest.approx(whole.slicer[:, :, first:].affine, abs=1e-4)
    for column in ("volume_mm3", "volume_low_mm3", "volume_high_mm3", "axis_long_mm",
                   "volume_network_mm3", "area_mm2", "long_mm"):  # fmt: skip
        assert row[column] == pytest.approx(again.loc[name, column], rel=1e-4)


def test_a_tilted_gantry_does_not_change_the_volume(grey_model, tmp_path):
    series = solid_series(shift_mm=0.9)  # 17 degrees
    series.save(tmp_path / "in")
    _, row = only(call(grey_model, tmp_path, "--volume"))
    assert row["volume_mm3"] == pytest.approx(VOLUME_MM3, rel=WITHIN)
    assert overlap(mask_in(tmp_path, row), np.array(series.masks)) > 0.93
    points = nifti_points(tmp_path / "out" / row["volume"])
    assert same_points(seg_points(read(tmp_path, "seg")), points)


def test_directions_that_differ_in_the_last_digit_are_one(grey_model, tmp_path):
    series = solid_series()
    for number, image in enumerate(series.images):
        digits = 4 + number % 2
        image.ImageOrientationPatient = [
            float(f"{x:.{digits}f}") for x in image.ImageOrientationPatient
        ]
    series.save(tmp_path / "in")
    _, row = only(call(grey_model, tmp_path, "--volume"))
    assert row["volume_mm3"] == pytest.approx(VOLUME_MM3, rel=WITHIN)
    points = nifti_points(tmp_path / "out" / row["volume"])
    assert same_points(seg_points(read(tmp_path, "seg")), points, within_mm=0.02)


def test_a_gap_cuts_the_lesion_and_the_row_says_so(grey_model, tmp_path):
    series = without(solid_series(), MARKED + 3)
    series.save(tmp_path / "in")
    _, row = only(call(grey_model, tmp_path, "--volume"))
    assert row["volume_reason"].startswith("only 2 slices above it: the next one is 6 mm away")
    found, kept = mask_in(tmp_path, row), np.array(series.masks)[: MARKED + 3]
    assert found.shape == kept.shape
    assert row["volume_mm3"] == pytest.approx(kept.sum() * VOXEL_MM3, rel=0.08)


def test_one_slice_keeps_its_answer_and_has_no_volume(grey_model, tmp_path):
    series = without(solid_series(), *(set(range(NUM_SLICES)) - {MARKED}))
    series.save(tmp_path / "in")
    _, row = only(call(grey_model, tmp_path, "--volume", "--rtstruct"))
    assert row["volume_reason"].startswith("no other slice of its series is parallel")
    assert row[["volume_mm3", "volume", "volume_answer"]].isna().all()
    mask = np.asarray(nibabel.load(tmp_path / "out" / row["mask"]).dataobj)[..., 0].T > 0
    assert overlap(mask, series.mask) > 0.95
    seg = hd.seg.Segmentation.from_dataset(read(tmp_path, "seg"))
    masks = seg.get_pixels_by_source_instance([series.image.SOPInstanceUID], segment_numbers=[1])
    assert np.array_equal(masks[0, ..., 0] > 0, mask)
    report = hd.sr.Comprehensive3DSR.from_dataset(read(tmp_path, "sr"))
    (group,) = report.content.get_volumetric_roi_measurement_groups()
    assert set(measurements(group)) == {
        "Long axis", "Short axis", "Area", "Agreement of mask and mark",
    }  # fmt: skip


@pytest.mark.parametrize("of_each_frame", [False, True], ids=["shared", "per frame"])
def test_the_frames_of_an_enhanced_object_are_a_volume(grey_model, tmp_path, of_each_frame):
    """Whether orientation and spacing are said once or for each frame."""
    series = solid_series()
    whole, numbers = enhanced(series, np.random.default_rng(1).permutation(NUM_SLICES))
    (shared,) = whole.SharedFunctionalGroupsSequence
    for name in ("PlaneOrientationSequence", "PixelMeasuresSequence") if of_each_frame else ():
        for frame in whole.PerFrameFunctionalGroupsSequence:
            setattr(frame, name, copy.deepcopy(shared[name].value))
        del shared[name]
    save(whole, tmp_path / "in/whole")
    ends = dict(zip(RECIST_COLUMNS, series.ends.ravel(), strict=True))
    mark = {"id": "l", "image": "1.2.3.4", "slice": numbers.index(MARKED)} | ends
    pd.DataFrame([mark]).to_csv(tmp_path / "marks.csv", index=False)
    options = ("--volume", "--rtstruct", "--marks", tmp_path / "marks.csv")
    _, row = only(call(grey_model, tmp_path, *options))
    assert row["volume_mm3"] == pytest.approx(VOLUME_MM3, rel=WITHIN)
    assert overlap(mask_in(tmp_path, row), np.array(series.masks)) > 0.95
    points = nifti_points(tmp_path / "out" / row["volume"])
    assert same_points(seg_points(read(tmp_path, "seg")), points)
    report = hd.sr.Comprehensive3DSR.from_dataset(read(tmp_path, "sr"))
    (group,) = report.content.get_volumetric_roi_measurement_groups()
    (source,) = group.referenced_segment.source_images_for_segmentation
    frames = sorted(numbers[frame - 1] for frame in source.referenced_frame_numbers)
    assert frames == list(range(row["first_slice"], row["last_slice"] + 1))


@pytest.mark.workflow
def test_marks_of_two_slices_of_one_lesion_are_two_segments(grey_model, tmp_path):
    """Their masks share voxels, which a segmentation of one label per voxel cannot hold."""
    series = solid_series()
    series.save(tmp_path / "in")
    other = MARKED + 2
    second = PhantomMark(
        series.images[other].SOPInstanceUID,
        measure_recist(series.masks[other], SPACING_RC).points,
        series.masks[other],
        "1.2.3.5",
        "SR",
    )
    save(bidirectional_report([second], [series.images[other]]), tmp_path / "in/second")
    table = call(grey_model, tmp_path, "--volume")
    assert len(table) == 2
    dataset = read(tmp_path, "seg")
    for segment in dataset.SegmentSequence:
        row = table.loc[segment.TrackingID]
        points = nifti_points(tmp_path / "out" / row["volume"])
        assert same_points(seg_points(dataset, segment.SegmentNumber), points)
        assert row["volume_mm3"] == pytest.approx(VOLUME_MM3, rel=0.15)


@pytest.mark.workflow
def test_a_second_call_keeps_what_is_done_and_the_option_makes_it_again(grey_model, tmp_path):
    solid_series().save(tmp_path / "in")
    flat = call(grey_model, tmp_path)
    assert "volume_mm3" not in flat
    table = call(grey_model, tmp_path, "--volume")
    files = [path for path in (tmp_path / "out").rglob("*") if path.suffix in (".gz", ".dcm")]
    assert len(files) == 5
    times = {path: path.stat().st_mtime_ns for path in files}
    pd.testing.assert_frame_equal(call(grey_model, tmp_path, "--volume"), table)
    assert {path: path.stat().st_mtime_ns for path in files} == times


@pytest.mark.workflow
def test_every_mark_of_the_phantom_export_has_a_volume_or_a_reason(grey_model, tmp_path):
    """Its slices are even but for the one that two files claim to be."""
    truth = {mark.image_uid: mark for mark in make_export(tmp_path / "in")}
    table = call(grey_model, tmp_path, "--volume", "--rtstruct")
    assert len(table) == len(truth) == 6
    written = pd.read_csv(tmp_path / "out/dicom/written.csv", keep_default_na=False)
    assert (written["cause"] == "").all()
    found = pd.read_csv(tmp_path / "out/import/found.csv").set_index("id")
    compared = 0
    for path in (tmp_path / "out/dicom").glob("seg-*.dcm"):
        dataset = pydicom.dcmread(path)
        for segment in dataset.SegmentSequence:
            row = table.loc[segment.TrackingID]
            points = nifti_points(tmp_path / "out" / row["volume"])
            assert same_points(seg_points(dataset, segment.SegmentNumber), points)
            volume = nibabel.load(tmp_path / "out" / row["volume"])
            assert volume.shape[2] == 7
            mask = np.asarray(volume.dataobj)[..., row["slice"]].T > 0
            assert overlap(mask, truth[found.loc[segment.TrackingID, "image_uid"]].mask) > 0.7
            compared += 1
    assert compared == 6
