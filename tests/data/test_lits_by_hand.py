"""LiTS's loader on one volume made by hand, whose every patch is known voxel by voxel."""

import nibabel
import numpy as np
import pytest
from conftest import LITS

from weaklesion.data.loaders.lits import Settings, read_slice, read_volume
from weaklesion.data.loaders.lits_files import find_volumes
from weaklesion.data.patches import LeftOut
from weaklesion.hounsfield import to_grey

# x, y, z: no two axes are alike, so that none can take another's place
SHAPE, SPACING = (40, 30, 4), (0.5, 0.8, 3.0)
LIVER, TUMOUR = 1, 2
# volume 7: slice, x and y of the first and last voxel of each part, in the order of their rows
PARTS = [(1, 5, 10, 4, 8), (1, 20, 28, 16, 21), (3, 30, 34, 12, 20)]
SOURCE = {"frame": "source", "side_px": 16}


def volume_of():
    """Levels that tell their place: 4 HU per voxel of x, 3 per voxel of y, 20 per slice."""
    x, y, z = np.indices(SHAPE)
    return (-150 + 4 * x + 3 * y + 20 * z).astype(np.int16)


def labels_of():
    labels = np.zeros(SHAPE, np.uint8)
    labels[2:38, 2:28] = LIVER
    for z, x0, x1, y0, y1 in PARTS:
        labels[x0 : x1 + 1, y0 : y1 + 1, z] = TUMOUR
        for x, y in ((x0, y0), (x0, y1), (x1, y0), (x1, y1)):  # round, for a hull of eight ends
            labels[x, y, z] = LIVER
    return labels


def save(folder, number, affine):
    """Write a volume and its segmentation; return what the loader reads of them."""
    affine = np.array(affine, float)
    for name, data in (("volume", volume_of()), ("segmentation", labels_of())):
        nibabel.save(nibabel.Nifti1Image(data, affine), folder / f"{name}-{number}.nii")
    return number, str(folder / f"volume-{number}.nii"), str(folder / f"segmentation-{number}.nii")


@pytest.mark.parametrize("signs", [(1, 1), (-1, 1), (1, -1), (-1, -1)])
def test_each_part_has_its_own_mask_window_slice_and_spacing(tmp_path, signs):
    """A patch is what the file has, voxel by voxel, whichever way its axes run in the patient."""
    affine = np.diag([signs[0] * SPACING[0], signs[1] * SPACING[1], SPACING[2], 1])
    samples = read_volume(save(tmp_path, 7, affine), settings=Settings(**LITS | SOURCE))
    assert [sample.id for sample in samples] == ["007_0001_01", "007_0001_02", "007_0003_01"]
    for sample, (z, x0, x1, y0, y1) in zip(samples, PARTS, strict=True):
        assert (sample.group, sample.source, sample.slice) == ("volume-7", "volume-7", z)
        assert sample.mm_per_px == pytest.approx(SPACING[:2])
        left, top, right, bottom = sample.crop
        # as far from the part on the left as on the right, within half a px; so above and below
        assert (right - left, bottom - top) == (16, 16)
        assert abs((x0 - left) - (right - 1 - x1)) <= 1
        assert abs((y0 - top) - (bottom - 1 - y1)) <= 1
        expected = np.zeros((16, 16), np.uint8)
        expected[y0 - top : y1 + 1 - top, x0 - left : x1 + 1 - left] = 1
        for row in (y0 - top, y1 - top):
            expected[row, [x0 - left, x1 - left]] = 0
        np.testing.assert_array_equal(sample.reference, expected)
        columns = np.clip(np.arange(left, right), 0, SHAPE[0] - 1)
        rows = np.clip(np.arange(top, bottom), 0, SHAPE[1] - 1)
        hounsfield = -150 + 4.0 * columns[None] + 3.0 * rows[:, None] + 20 * z
        grey = to_grey(hounsfield, LITS["window_hu"]).round()
        assert (sample.image == grey[..., None]).all()
        # the mark is about the middle of its part, and as long as its longer side
        middle = ((x0 + x1) / 2 - left, (y0 + y1) / 2 - top)
        assert sample.recist.mean(axis=0) == pytest.approx(middle, abs=0.1)
        assert np.argmax(np.ptp(sample.recist[:2], axis=0)) == (y1 - y0 > x1 - x0)


def slice_of(tumour, **changes):
    settings = Settings(**LITS | changes)
    return list(read_slice(3, 9, np.zeros(tumour.shape, np.float32), tumour, (0.5, 2.0), settings))


def test_at_the_right_and_lower_border_a_window_is_clipped_where_the_slice_ends():
    """The part has x 60 to 69 and y 40 to 44: a side of 10 + 2 * 20 px about (65, 42.5)."""
    tumour = np.zeros((50, 80), bool)
    tumour[40:45, 60:70] = True
    tumour[[40, 40, 44, 44], [60, 69, 60, 69]] = False
    (whole,) = slice_of(tumour)
    assert whole.crop == (40, 18, 90, 68)
    assert whole.mm_per_px == pytest.approx((0.5 * 50 / 120, 2.0 * 50 / 120))
    (clipped,) = slice_of(tumour, border="clip")
    assert clipped.crop == (40, 18, 80, 50)
    assert clipped.mm_per_px == pytest.approx((0.5 * 40 / 120, 2.0 * 32 / 120))
    # of a part that is taller than wide, the height is what counts
    (tall,) = slice_of(np.ascontiguousarray(tumour.T))
    assert tall.crop == (18, 40, 68, 90)


def test_voxels_that_touch_at_a_corner_are_one_part():
    tumour = np.zeros((40, 40), bool)
    tumour[10:14, 10:14] = tumour[14:18, 14:18] = True
    (sample,) = slice_of(tumour, **SOURCE)
    assert sample.reference.sum() == 32


@pytest.mark.parametrize(("side", "kept"), [(9, True), (8, False)])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_part_may_fill_its_window_and_no_more(side, kept, axis):
    tumour = np.zeros((40, 40), bool)
    tumour[10:15, 10:19] = True
    tumour[[10, 10, 14, 14], [10, 18, 10, 18]] = False
    (found,) = slice_of(tumour if axis else tumour.T, frame="source", side_px=side)
    assert isinstance(found, LeftOut) != kept


def test_the_overlap_that_leaves_a_sample_out():
    """A square in whose corners its ellipse does not reach: they overlap by about 0.9."""
    tumour = np.zeros((60, 60), bool)
    tumour[20:40, 20:40] = True
    tumour[[20, 20, 39, 39], [20, 39, 20, 39]] = False
    assert isinstance(slice_of(tumour, min_ellipse_iou=0.98)[0], LeftOut)
    assert not isinstance(slice_of(tumour, min_ellipse_iou=0.7)[0], LeftOut)


def test_volumes_come_by_number_each_with_its_own_segmentation(tmp_path):
    """10 after 9, as numbers go; as words it would come first."""
    expected = [save(tmp_path, number, np.diag([*SPACING, 1])) for number in (9, 10)]
    assert find_volumes([tmp_path]) == expected
