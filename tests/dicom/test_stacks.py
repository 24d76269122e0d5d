"""The slices of a series around a marked one: where they are, and where they end."""

from dataclasses import replace

import highdicom as hd
import nibabel
import numpy as np
import pandas as pd
import pytest
from pydicom.uid import MRImageStorage, generate_uid
from solid_series import (
    MARKED,
    NUM_SLICES,
    SHAPE_HW,
    SPACING_RC,
    STEP_MM,
    Solid,
    directions,
    solid_series,
)

from weaklesion.dicom.export import read_export
from weaklesion.dicom.importing import ImportSettings, import_export
from weaklesion.dicom.phantom import empty_image, save
from weaklesion.dicom.pixels import read_pixels
from weaklesion.dicom.stacks import stack_around
from weaklesion.marks.images import read_picture
from weaklesion.marks.table import read_marks

FAR_MM = 1000.0


def stack_of(series, folder, reach_mm=FAR_MM):
    series.save(folder)
    return stack_around(read_export(folder), (series.image.SOPInstanceUID, 0), reach_mm)


def numbers_of(stack, series):
    """Indices of a stack's slices in their series."""
    uids = [image.SOPInstanceUID for image in series.images]
    return [uids.index(uid) for uid, _ in stack.places]


def without(series, *indices):
    """The same series without some of its slices."""
    kept = [i for i in range(len(series.images)) if i not in indices]
    return Solid(
        [series.images[i] for i in kept],
        [series.masks[i] for i in kept],
        series.along[kept],
        series.ends,
        kept.index(series.marked),
    )


def copy_of(series, index, **values):
    """Another image at the place of a slice."""
    other = solid_series().images[index]
    other.SOPInstanceUID = other.file_meta.MediaStorageSOPInstanceUID = generate_uid(
        entropy_srcs=[str(index)]
    )
    for name, value in values.items():
        setattr(other, name, value)
    return other


def test_slices_are_in_the_order_of_their_positions(tmp_path):
    series = solid_series()
    stack = stack_of(series, tmp_path)
    assert numbers_of(stack, series) == list(range(NUM_SLICES))
    assert (stack.index, stack.notes) == (MARKED, ())
    assert stack.step_mm == pytest.approx(STEP_MM)  # SliceThickness is 5


@pytest.mark.parametrize("shift_mm", [0.0, 0.9], ids=["straight", "tilted gantry"])
def test_the_affine_puts_every_pixel_where_its_own_header_does(tmp_path, shift_mm):
    series = solid_series(shift_mm=shift_mm)
    stack = stack_of(series, tmp_path)
    frame = read_export(tmp_path).frame_of(series.image.SOPInstanceUID, 0)
    affine = stack.affine(frame)
    rows, columns, _ = directions()
    for number, image in enumerate(series.images):
        place = np.array(image.ImagePositionPatient, float)
        place = place + 50 * SPACING_RC[1] * rows + 9 * SPACING_RC[0] * columns
        assert affine @ [50, 9, number, 1] == pytest.approx([-place[0], -place[1], place[2], 1])


@pytest.mark.parametrize(("reach_mm", "count"), [(3.1, 2), (8.9, 3), (9.1, 4), (20.0, 7)])
def test_only_slices_within_reach_are_taken_and_one_more(tmp_path, reach_mm, count):
    series = solid_series()
    stack = stack_of(series, tmp_path, reach_mm)
    assert numbers_of(stack, series) == list(range(MARKED - count, MARKED + count + 1))
    assert (stack.index, stack.notes) == (count, ())


def test_slices_beyond_reach_are_no_volume(tmp_path):
    series = solid_series(along=[-40, 0, 40], marked=1)
    stack = stack_of(series, tmp_path, reach_mm=39.0)
    assert numbers_of(stack, series) == [1]
    assert stack.notes == ("the next slice is 40 mm away, farther than the lesion may reach",)


def test_only_these_are_decoded(tmp_path, monkeypatch):
    series = solid_series(along=(np.arange(90) - 40) * STEP_MM, marked=40)
    series.save(tmp_path / "in")
    read = []

    def counted(image, frame, levels=None):
        read.append(image.uid)
        return read_pixels(image, frame, levels)

    monkeypatch.setattr("weaklesion.dicom.image_files.read_pixels", counted)
    imported = import_export(tmp_path / "in", tmp_path / "out", ImportSettings(around=1.0))
    (stack,) = imported.stacks.values()
    # diameters of 42 and 32.2 mm: half their mean are 18.55 mm, 6 slices of 3 mm and one more
    assert numbers_of(stack, series) == list(range(33, 48))
    assert sorted(read) == sorted(uid for uid, _ in stack.places)
    (row,) = pd.read_csv(tmp_path / "out/marks.csv").to_dict("records")
    volume = nibabel.load(tmp_path / "out" / row["image"])
    assert volume.shape == (*SHAPE_HW[::-1], 15)
    assert row["slice"] == 7
    inside = np.asarray(volume.dataobj).T[np.array(series.masks)[33:48]]
    assert inside.mean() == pytest.approx(120, abs=1)


def test_without_a_volume_one_slice_is_written_as_ever(tmp_path):
    series = solid_series()
    imported = import_export(series.save(tmp_path / "in"), tmp_path / "out")
    assert not imported.stacks
    (path,) = (tmp_path / "out/images").iterdir()
    assert nibabel.load(path).shape == (*SHAPE_HW[::-1], 1)


def test_a_gap_ends_the_stack(tmp_path):
    series = without(solid_series(), MARKED + 4, MARKED + 5)
    stack = stack_of(series, tmp_path)
    assert numbers_of(stack, series) == list(range(MARKED + 4))
    assert stack.notes == ("only 3 slices above it: the next one is 9 mm away instead of 3",)


def test_a_gap_beyond_reach_is_of_no_concern(tmp_path):
    series = without(solid_series(), MARKED + 4, MARKED + 5)
    stack = stack_of(series, tmp_path, reach_mm=7.0)
    assert numbers_of(stack, series) == list(range(MARKED - 3, MARKED + 4))
    assert not stack.notes


def test_where_distances_change_at_the_mark_the_side_with_more_slices_counts(tmp_path):
    along = [*np.arange(-10, 1) * 3.0, *np.arange(1, 9) * 5.0]
    series = solid_series(along=along, marked=10)
    stack = stack_of(series, tmp_path, reach_mm=30.0)
    assert numbers_of(stack, series) == list(range(11))
    assert stack.notes == ("no slice above it: the next one is 5 mm away instead of 3",)
    assert stack.step_mm == pytest.approx(3)


def test_uneven_distances_on_either_side_leave_the_even_part(tmp_path):
    along = [-16, -11, -6, -3, 0, 3, 6, 9, 13, 17]
    series = solid_series(along=along, marked=4)
    stack = stack_of(series, tmp_path)
    assert [along[i] for i in numbers_of(stack, series)] == [-6, -3, 0, 3, 6, 9]
    assert len(stack.notes) == 2


def test_rounded_positions_are_even(tmp_path):
    series = solid_series(along=((np.arange(25) - 12) * 0.625).round(2))
    stack = stack_of(series, tmp_path)
    assert len(stack.places) == 25
    assert stack.step_mm == pytest.approx(0.625, abs=1e-3)


def test_a_slice_that_is_shifted_sideways_ends_the_stack(tmp_path):
    series = solid_series()
    image = series.images[MARKED - 3]
    place = np.array(image.ImagePositionPatient, float) + 4 * directions()[0]
    image.ImagePositionPatient = [float(f"{x:.8f}") for x in place]
    stack = stack_of(series, tmp_path)
    assert numbers_of(stack, series) == list(range(MARKED - 2, NUM_SLICES))
    assert stack.notes == ("only 2 slices below it: the next one is shifted sideways",)


def test_a_position_that_occurs_twice_ends_the_stack(tmp_path):
    series = solid_series()
    save(copy_of(series, MARKED + 3), tmp_path / "twin")
    stack = stack_of(series, tmp_path)
    assert numbers_of(stack, series) == list(range(MARKED + 3))
    assert stack.notes == ("only 2 slices above it: the next two share a position",)


def test_the_marked_slice_counts_where_another_has_its_position(tmp_path):
    series = solid_series()
    save(copy_of(series, MARKED), tmp_path / "twin")
    stack = stack_of(series, tmp_path)
    assert numbers_of(stack, series) == list(range(NUM_SLICES))


def test_a_series_of_two_phases_is_no_volume(tmp_path):
    series = solid_series()
    for index in range(NUM_SLICES):
        save(copy_of(series, index), tmp_path / f"phase{index}")
    stack = stack_of(series, tmp_path)
    assert numbers_of(stack, series) == [MARKED]
    assert stack.notes == ("its neighbours share their positions with other slices of the series",)


def test_two_files_of_one_uid_are_a_gap(tmp_path):
    series = solid_series()
    twin = solid_series(seed=1).images[MARKED + 2]
    save(twin, tmp_path / "twin")
    stack = stack_of(series, tmp_path)
    assert numbers_of(stack, series) == list(range(MARKED + 2))
    assert stack.notes == ("only 1 slice above it: the next one is 6 mm away instead of 3",)


ALONE = "no other slice of its series is parallel, of the same size and at another position"


@pytest.mark.parametrize(
    ("values", "cause"),
    [
        ({}, ALONE),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "the image is a localiser"),
        ({"ImagePositionPatient": None}, "the image has no place in the patient"),
    ],
    ids=["one slice", "localiser", "no position"],
)
def test_an_image_that_is_in_no_volume_stays_alone(tmp_path, values, cause):
    series = without(solid_series(), *(set(range(NUM_SLICES)) - {MARKED}))
    for name, value in values.items():
        setattr(series.image, name, value)
    stack = stack_of(series, tmp_path)
    assert (len(stack.places), stack.notes) == (1, (cause,))


@pytest.mark.parametrize(
    "values",
    [
        {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]},
        {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0]},
        {"ImageOrientationPatient": [0.8618, 0.4022, 0.309, -0.507, 0.689, 0.518]},
        {"PixelSpacing": [0.7, 0.8]},
        {"FrameOfReferenceUID": "1.2.3.9"},
        {"SeriesInstanceUID": "1.2.3.8"},
        {"Modality": "PT"},
    ],
    ids=lambda values: " ".join(map(str, next(iter(values.items())))),
)
def test_a_neighbour_of_another_kind_is_a_gap(tmp_path, values):
    series = solid_series()
    for name, value in values.items():
        setattr(series.images[MARKED - 2], name, value)
    stack = stack_of(series, tmp_path)
    assert numbers_of(stack, series) == list(range(MARKED - 1, NUM_SLICES))
    assert stack.notes == ("only 1 slice below it: the next one is 6 mm away instead of 3",)


def test_a_scout_among_the_slices_changes_nothing(tmp_path):
    series = solid_series()
    scout = empty_image(0, 0, 900, np.zeros((300, 40), dtype=np.uint16))
    scout.SeriesInstanceUID = series.image.SeriesInstanceUID
    scout.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    save(scout, tmp_path / "scout")
    assert len(stack_of(series, tmp_path).places) == NUM_SLICES


def test_a_slice_that_cannot_be_read_ends_the_stack(tmp_path):
    series = solid_series()
    series.images[MARKED + 2].PixelData = b"\0\0" * 10
    folder = series.save(tmp_path / "in")
    imported = import_export(folder, tmp_path / "out", ImportSettings(around=10.0))
    (stack,) = imported.stacks.values()
    assert numbers_of(stack, series) == list(range(MARKED + 2))
    assert stack.notes == ("only 1 slice above it: the next one cannot be read",)
    (row,) = pd.read_csv(tmp_path / "out/marks.csv").to_dict("records")
    assert nibabel.load(tmp_path / "out" / row["image"]).shape[2] == MARKED + 2


def test_levels_of_other_images_are_those_of_one_window(tmp_path):
    """Of the marked slice; each slice's own slope counts. A reader's window gives them again."""
    series = solid_series()
    for number, image in enumerate(series.images):
        image.Modality, image.SOPClassUID = "MR", MRImageStorage
        image.file_meta.MediaStorageSOPClassUID = MRImageStorage
        image.WindowCenter, image.WindowWidth = (30, 401) if number == MARKED else (900, 3)
        values = image.pixel_array * 2.0 - 1024
        image.RescaleSlope, image.RescaleIntercept = 0.5, -1024
        image.PixelData = ((values + 1024) / 0.5).astype(np.uint16).tobytes()
    settings = ImportSettings(around=10.0, window_hu=(-160.0, 240.0))
    imported = import_export(series.save(tmp_path / "in"), tmp_path / "out", settings)
    (stack,) = imported.stacks.values()
    assert (len(stack.places), stack.notes) == (NUM_SLICES, ())
    (mark,), _ = read_marks(imported.marks_csv)
    grey = [read_picture(replace(mark, slice=number), (-160.0, 240.0)).levels[..., 0]
            for number in range(NUM_SLICES)]  # fmt: skip
    levels = [read_pixels(imported.export.images[uid], 0, (-170.5, 229.5)) for uid, _ in
              stack.places]  # fmt: skip
    assert np.array_equal(grey, [each.array for each in levels])
    assert levels[MARKED].array[series.mask].mean() == pytest.approx(290.5 / 400 * 255, abs=1)


def enhanced(series, order):
    """An object with the slices of a series as its frames, in an order of their own."""
    whole = hd.legacy.LegacyConvertedEnhancedCTImage(
        [series.images[i] for i in order],
        series_instance_uid="1.2.3",
        series_number=2,
        sop_instance_uid="1.2.3.4",
        instance_number=1,
    )
    places = [list(image.ImagePositionPatient) for image in series.images]
    return whole, [
        places.index(list(each.PlanePositionSequence[0].ImagePositionPatient))
        for each in whole.PerFrameFunctionalGroupsSequence
    ]


def test_the_frames_of_an_enhanced_object_are_a_stack(tmp_path):
    series = solid_series()
    whole, numbers = enhanced(series, np.random.default_rng(1).permutation(NUM_SLICES))
    save(whole, tmp_path / "whole")
    place = ("1.2.3.4", numbers.index(MARKED))
    stack = stack_around(read_export(tmp_path), place, 10.0)
    assert [numbers[frame] for _, frame in stack.places] == list(range(MARKED - 4, MARKED + 5))
    assert stack.places[stack.index] == place
    assert {uid for uid, _ in stack.places} == {"1.2.3.4"}
