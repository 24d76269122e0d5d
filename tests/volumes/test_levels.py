"""From a mark to a volume without training, on lesions whose volume is known."""

import nibabel
import numpy as np
import pytest
from lumps import AROUND, INSIDE, NOISE, SHAPE, SIZES, dice, given, image_of, lump, mark_of_volume
from scipy.spatial.transform import Rotation

from weaklesion.ellipse import Ellipse
from weaklesion.marks.table import BadMarkError
from weaklesion.volumes import levels
from weaklesion.volumes.ellipsoid import (
    Ellipsoid,
    box_around,
    ellipsoid_mask,
    ellipsoid_of_mark,
    radii_in_slices,
)
from weaklesion.volumes.frame import frame_of, slice_frame, voxel_mm3
from weaklesion.volumes.levels import LevelsSettings, levels_mask, prepare, read_around


def answer_of(image, frame, ellipsoid, shape=SHAPE):
    settings = LevelsSettings()
    levels = prepare(read_around(image, shape, frame, ellipsoid, settings), settings)
    return levels_mask(levels, ellipsoid, settings)


def found(image, frame, ellipsoid):
    return answer_of(image, frame, ellipsoid, image.shape).mask


def both(mask, sizes=SIZES, image=None):
    """Dice of the model and of the mark's ellipsoid."""
    frame, ellipsoid = given(mask, sizes)
    levels = found(image_of(mask) if image is None else image, frame, ellipsoid)
    return dice(mask, levels), dice(mask, ellipsoid_mask(ellipsoid, frame, mask.shape))


def test_the_ellipsoid_of_a_mark_has_the_volume_of_its_axes():
    points = np.array([[30.0, 44.0], [60.0, 44.0], [45.0, 34.0], [45.0, 54.0]])
    frame = np.diag(SIZES)
    ellipsoid = ellipsoid_of_mark(points, 20, frame)
    assert ellipsoid.across_mm == pytest.approx(0.8 * 25)
    assert ellipsoid.volume_mm3 == pytest.approx(np.pi / 6 * 24 * 16 * 20)
    drawn = ellipsoid_mask(ellipsoid, frame, SHAPE).sum() * voxel_mm3(frame)
    assert drawn == pytest.approx(ellipsoid.volume_mm3, rel=0.03)


@pytest.mark.parametrize("tilt", [(0.4, -0.6), (0.0, -0.6), (0.0, 0.0)])
def test_radii_are_those_of_the_positions_in_mm_whatever_the_frame(tilt):
    """Rows and columns are not perpendicular, the gantry is tilted, and slices run backwards."""
    frame = np.array([[0.7, 0.1, tilt[0]], [0.0, 0.9, tilt[1]], [0.0, 0.0, -2.5]])
    ellipsoid = Ellipsoid(Ellipse(9.0, 7.0, 12.0, 8.0, 30.0), 10.0, 2)
    x, y, z = (np.arange(number) for number in (24, 18, 6))
    apart = np.stack(np.meshgrid(x, y, z - 2, indexing="ij"), axis=-1) @ frame.T - (9, 7, 0)
    form = np.diag([0.0, 0.0, 5.0**2])
    form[:2, :2] = ellipsoid.ellipse.shape_matrix()
    squared = np.einsum("...i,ij,...j", apart, np.linalg.inv(form), apart)
    radii = radii_in_slices(ellipsoid, frame, x, y, z)
    np.testing.assert_allclose(radii, np.sqrt(squared), rtol=1e-4)
    assert np.array_equal(ellipsoid_mask(ellipsoid, frame, squared.shape), squared <= 1)


def test_a_perturbed_ellipsoid_by_hand():
    ellipsoid = Ellipsoid(Ellipse(9.0, 7.0, 12.0, 8.0, 30.0), 10.0, 2)
    moved = ellipsoid.perturbed([0, 0, 1, 0, 0, 2], 0.1, 0.3)
    assert moved.ellipse.width == pytest.approx(13.2)
    assert moved.across_mm == pytest.approx(10 * 10.6 / 10 * np.exp(2 * 0.3))


def test_a_lobed_lesion_is_found_better_than_by_its_ellipsoid():
    levels, ellipsoid = both(lump(waves=0.15))
    assert levels > ellipsoid + 0.03


@pytest.mark.parametrize("axes_mm", [(30.0, 24.0, 16.0), (30.0, 24.0, 48.0)], ids=["flat", "long"])
def test_the_extent_across_slices_is_found_in_the_image(axes_mm):
    mask = lump(axes_mm=axes_mm)
    levels, ellipsoid = both(mask)
    assert ellipsoid < 0.8 < 0.88 < levels
    frame, of_mark = given(mask)
    answer = answer_of(image_of(mask), frame, of_mark)
    # towards the lesion's, from the mean diameter, which the prior prefers
    before, after = (abs(each.across_mm - axes_mm[2]) for each in (of_mark, answer.ellipsoid))
    assert after < 0.7 * before


def test_slices_of_5_mm():
    sizes = (0.8, 0.8, 5.0)
    mask = lump((96, 90, 14), sizes, (46.0, 44.0, 6.0), waves=0.1)
    levels, _ = both(mask, sizes)
    assert levels > 0.89


def test_fine_pixels_are_shrunk_and_the_answer_is_on_the_volumes_own():
    sizes = (0.2, 0.25, 3.0)
    mask = lump((260, 220, 20), sizes, (130.0, 105.0, 9.0), waves=0.1)
    levels, ellipsoid = both(mask, sizes)
    assert levels > max(0.92, ellipsoid)


def test_a_rotated_affine_changes_nothing():
    mask = lump(waves=0.15)
    image = image_of(mask)
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", (20, -35, 50), degrees=True).as_matrix() @ np.diag(
        SIZES
    )
    affine[:3, 3] = (-100, 30, 7)
    frame, ellipsoid = given(mask, affine=affine)
    assert frame == pytest.approx(np.diag(SIZES))
    plain = found(image, *given(mask))
    assert dice(found(image, frame, ellipsoid), plain) > 0.999


@pytest.mark.parametrize("axis", range(3))
def test_a_flipped_volume_has_the_flipped_mask(axis):
    mask = lump(center=(50.0, 40.0, 17.0), waves=0.15)
    image = image_of(mask)
    plain = found(image, *given(mask))
    signs = [-1.0 if each == axis else 1.0 for each in range(3)]
    affine = np.diag(np.array(SIZES) * signs)
    points, index = mark_of_volume(mask)
    if axis < 2:
        points[:, axis] = SHAPE[axis] - 1 - points[:, axis]
    else:
        index = SHAPE[2] - 1 - index
    frame = slice_frame(affine)
    turned = np.ascontiguousarray(np.flip(image, axis))
    answer = found(turned, frame, ellipsoid_of_mark(points, index, frame))
    assert dice(np.flip(answer, axis), plain) > 0.98


def test_with_a_tilted_gantry_the_slices_are_shifted_against_each_other():
    """Slices of an upright ellipsoid, each shifted by 1.5 px more: the affine has the shear."""
    affine = np.array([[0.8, 0, -1.2], [0, 0.8, 0], [0, 0, 2.0]])
    upright = lump(waves=0.15)
    mask = np.stack([np.roll(upright[:, :, k], round((k - 20) * 1.5), 0) for k in range(40)], 2)
    image = image_of(mask)
    frame, ellipsoid = given(mask, affine=affine)
    assert dice(mask, found(image, frame, ellipsoid)) > 0.9
    ignored, untilted = given(mask)
    tilted = dice(mask, ellipsoid_mask(ellipsoid, frame, SHAPE))
    assert tilted > dice(mask, ellipsoid_mask(untilted, ignored, SHAPE)) + 0.05


@pytest.mark.parametrize("middle", [2.0, 37.0], ids=["first", "last"])
def test_a_lesion_at_the_first_or_last_slice(middle):
    mask = lump(center=(46.0, 44.0, middle), waves=0.1)
    levels, _ = both(mask)
    assert levels > 0.92


def test_a_mark_on_the_first_slice_of_a_lesion_that_the_volume_cuts_in_half():
    mask = lump(center=(46.0, 44.0, 0.0))
    levels, ellipsoid = both(mask)
    assert levels > 0.92
    assert ellipsoid > 0.9


def test_a_lesion_at_the_border_of_the_slices():
    mask = lump(center=(10.0, 44.0, 20.0), waves=0.1)
    levels, _ = both(mask)
    assert levels > 0.89


def test_a_lesion_of_one_slice_stays_in_it():
    sizes = (0.8, 0.8, 5.0)
    mask = lump((96, 90, 9), sizes, (46.0, 44.0, 4.0), (12.0, 10.0, 4.0))
    assert mask.any(axis=(0, 1)).sum() == 1
    answer = found(image_of(mask), *given(mask, sizes))
    assert answer.any(axis=(0, 1)).sum() == 1
    assert dice(mask, answer) > 0.9


def thick_slices(waves, offset=0):
    """Slices of 5 mm that are means of ten thin ones: image, part that is lesion, volume in mm3."""
    thin = (0.8, 0.8, 0.5)
    fine = lump((96, 90, 110), thin, (46.0, 44.0, 54.5 + offset), (30, 24, 26), waves)
    part = fine.reshape(96, 90, 11, 10).mean(axis=3)
    noise = np.random.default_rng(0).normal(0, NOISE, part.shape)
    image = (AROUND + (INSIDE - AROUND) * part + noise).astype(np.float32)
    return image, part, fine.sum() * np.prod(thin)


def without_and_with_pale_slices(image, mask):
    frame, ellipsoid = given(mask, (0.8, 0.8, 5.0))
    region = read_around(image, image.shape, frame, ellipsoid, LevelsSettings())
    return [
        levels_mask(prepare(region, settings), ellipsoid, settings).mask
        for settings in (LevelsSettings(thick=0.0), LevelsSettings())
    ], ellipsoid.index


def test_a_slice_that_an_ellipsoid_fills_in_part_belongs_to_it():
    """The reference holds all that is filled by a tenth, as who draws it would."""
    gains, volumes = [], []
    for offset in (-4, 0, 4):
        image, part, true = thick_slices(0.0, offset)
        (plain, filled), _ = without_and_with_pale_slices(image, part >= 0.1)
        assert (filled >= plain).all()
        gains.append(dice(part >= 0.1, filled) - dice(part >= 0.1, plain))
        volumes.append([mask.sum() * 0.8 * 0.8 * 5 / true for mask in (plain, filled)])
    assert np.mean(gains) > 0.005
    before, after = np.abs(np.mean(volumes, axis=0) - 1)
    assert after < 0.02 < before


@pytest.mark.parametrize("waves", [0.1, 0.2])
def test_a_lobed_lesion_loses_little_by_pale_slices(waves):
    image, part, _ = thick_slices(waves)
    (plain, filled), index = without_and_with_pale_slices(image, part >= 0.1)
    assert (filled[:, :, index] == plain[:, :, index]).all()
    assert dice(part >= 0.1, filled) > dice(part >= 0.1, plain) - 0.025


def test_slices_that_a_lobed_lesion_fills_whole_are_not_pale():
    mask = lump((96, 90, 14), (0.8, 0.8, 5.0), (46.0, 44.0, 6.0), waves=0.1)
    (plain, filled), _ = without_and_with_pale_slices(image_of(mask), mask)
    assert (filled == plain).all()


@pytest.mark.parametrize("contrast", [12.0, 24.0, 48.0])
def test_the_slices_beside_a_lesion_of_one_slice_are_not_pale(contrast):
    """Whatever the contrast: noise has a standard deviation of 12."""
    mask = lump((96, 90, 9), (0.8, 0.8, 5.0), (46.0, 44.0, 4.0), (24.0, 20.0, 4.0))
    noise = np.random.default_rng(1).normal(0, NOISE, mask.shape)
    image = (AROUND + contrast * mask + noise).astype(np.float32)
    (plain, filled), _ = without_and_with_pale_slices(image, mask)
    assert (filled == plain).all()


def test_a_pale_slice_adds_no_unknown_voxel():
    image, part, _ = thick_slices(0.0, 4)
    image[:46] = np.nan
    (plain, filled), _ = without_and_with_pale_slices(image, part >= 0.1)
    added = filled & ~plain
    assert added.any()
    assert not added[:46].any()


def test_a_volume_of_one_slice():
    mask = lump((96, 90, 1), center=(46.0, 44.0, 0.0))
    assert both(mask)[0] > 0.9


@pytest.mark.parametrize("shift", [(34.0, 0.0, 0.0), (0.0, 0.0, 13.0)], ids=["beside", "above"])
def test_of_a_lesion_that_touches_another_little_more_than_itself_is_taken(shift):
    """Both have the same levels and share a face; only the mark tells them apart."""
    mask = lump((130, 90, 60), center=(46.0, 44.0, 25.0))
    other = lump((130, 90, 60), center=np.add((46.0, 44.0, 25.0), shift)) & ~mask
    image = image_of(mask | other)
    answer = found(image, *given(mask))
    assert dice(mask, answer) > 0.8
    assert (answer & other).sum() < 0.25 * other.sum()


def test_what_is_not_finite_is_no_lesion():
    mask = lump()
    image = image_of(mask)
    image[:, :, 27:] = np.nan
    answer = found(image, *given(mask))
    assert not answer[:, :, 27:].any()
    assert dice(mask[:, :, :27], answer[:, :, :27]) > 0.9


def test_where_there_is_nothing_to_see_there_is_no_answer():
    mask = lump()
    frame, ellipsoid = given(mask)
    assert answer_of(np.full(SHAPE, np.nan, np.float32), frame, ellipsoid) is None


def test_a_scale_of_other_units_changes_nothing():
    mask = lump(waves=0.1)
    image = image_of(mask)
    frame, ellipsoid = given(mask)
    assert dice(found(image, frame, ellipsoid), found(image / 5000, frame, ellipsoid)) > 0.999


class Watched:
    """A volume that notes what is read of it."""

    def __init__(self, values):
        self.values, self.shape, self.read = values, values.shape, np.zeros(values.shape, bool)

    def __getitem__(self, index):
        self.read[index] = True
        return self.values[index]


def test_only_the_surroundings_of_the_mark_are_read():
    mask = lump(axes_mm=(12.0, 10.0, 10.0))
    frame, ellipsoid = given(mask)
    volume = Watched(image_of(mask))
    answer_of(volume, frame, ellipsoid)
    settings = LevelsSettings()
    allowed = np.zeros(SHAPE, bool)
    box = box_around(ellipsoid, frame, SHAPE, reach=2.0, across_reach=settings.across_reach)
    allowed[:, box[1], box[2]] = True  # whole lines, each one piece of the file
    assert not (volume.read & ~allowed).any()
    assert volume.read.mean() < 0.2


def test_a_fourth_dimension_of_length_1_is_read_as_a_volume():
    mask = lump(waves=0.1)
    image = image_of(mask)
    frame, ellipsoid = given(mask)
    answer = answer_of(image[..., None], frame, ellipsoid).mask
    assert np.array_equal(answer, found(image, frame, ellipsoid))


def test_the_frame_of_an_image_is_in_mm():
    image = nibabel.Nifti1Image(np.zeros((4, 4, 4)), np.diag([-2e-3, 2e-3, 5e-3, 1]))
    image.header.set_xyzt_units("meter")
    assert frame_of(image) == pytest.approx(np.diag([2.0, 2.0, -5.0]))


@pytest.mark.parametrize(
    ("shape", "affine", "named"),
    [
        ((4, 4), np.diag([2, 2, 5, 1]), "one slice"),
        ((4, 4, 1), np.diag([2, 2, 5, 1]), "one slice"),
        ((4, 4, 4), np.eye(4), "unknown"),
        ((4, 4, 4), np.diag([1, 1, 1e6, 1]), "apart"),
    ],
)
def test_images_without_distances_of_slices_are_refused(shape, affine, named):
    image = nibabel.Nifti1Image(np.zeros(shape), affine)
    with pytest.raises(BadMarkError, match=named):
        frame_of(image)


def test_a_singular_affine_has_no_frame():
    with pytest.raises(ValueError, match="invertible"):
        slice_frame(np.diag([1.0, 0.0, 1.0]))


def test_the_mark_of_the_phantom_is_on_its_largest_slice():
    points, index = mark_of_volume(lump())
    assert index == 20
    assert INSIDE > 0
    assert np.ptp(points[:2, 0]) * 0.8 == pytest.approx(30, abs=1.7)


@pytest.mark.parametrize("sizes", [(0.8, 0.8, 2.0), (0.55, 0.55, 2.0)], ids=["whole", "shrunk"])
def test_scores_above_0_do_not_depend_on_what_lies_far_from_the_mark(monkeypatch, sizes):
    shape = 130, 130, 24
    mask = lump(shape, sizes, (65.0, 64.0, 12.0), (32.0, 30.0, 20.0))
    points, index = mark_of_volume(mask, sizes)
    frame = slice_frame(np.diag(sizes))
    ellipsoid, settings = ellipsoid_of_mark(points, index, frame), LevelsSettings()
    around = prepare(read_around(image_of(mask), shape, frame, ellipsoid, settings), settings)
    near = levels._columns_near(around.region, ellipsoid, settings, False)
    width = around.region.values.shape[0]
    assert near[0].start > 0
    assert near[0].stop < width
    some, grown = levels.levels_scores(around, ellipsoid, settings)
    monkeypatch.setattr(levels, "_columns_near", lambda *_: (slice(None), slice(None)))
    whole, same = levels.levels_scores(around, ellipsoid, settings)
    assert (some > 0).any()
    assert grown == same
    assert np.array_equal(some > 0, whole > 0)
    assert np.array_equal(around.region.whole(some), around.region.whole(whole))


def test_whether_a_slice_is_pale_depends_on_all_of_the_surroundings(monkeypatch):
    image, part, _ = thick_slices(0.1, 4)
    frame, ellipsoid = given(part >= 0.1, (0.8, 0.8, 5.0))
    settings = LevelsSettings()
    around = prepare(read_around(image, image.shape, frame, ellipsoid, settings), settings)
    some, _ = levels.levels_scores(around, ellipsoid, settings)
    monkeypatch.setattr(levels, "_columns_near", lambda *_: (slice(None), slice(None)))
    whole, _ = levels.levels_scores(around, ellipsoid, settings)
    assert np.array_equal(some > 0, whole > 0)


@pytest.mark.parametrize("shift", [-1000.0, -50.0, 4000.0])
def test_levels_may_be_shifted_by_any_constant(shift):
    mask = lump(waves=0.15)
    frame, ellipsoid = given(mask, SIZES)
    image = image_of(mask).round()
    assert np.array_equal(found(image + shift, frame, ellipsoid), found(image, frame, ellipsoid))


def test_of_several_parts_the_one_through_the_marks_centre_is_the_lesion():
    mask = np.zeros((12, 12, 2), bool)
    mask[1:4, 1:4], mask[6:11, 6:11] = True, True
    mask[8, 8, 0] = False  # a hole
    smaller, larger = mask.copy(), mask.copy()
    smaller[5:], larger[:5] = False, False
    larger[8, 8, 0] = True
    assert np.array_equal(levels._part_through(mask, (2, 2, 0)), smaller)
    for centre in ((7, 7, 1), (0, 11, 0)):  # the second is in no part
        assert np.array_equal(levels._part_through(mask, centre), larger)
    assert levels._part_through(np.zeros_like(mask), (0, 0, 0)) is None


BALL = Ellipsoid(Ellipse(50.0, 50.0, 40.0, 40.0, 0.0), 40.0, 2)
EXACT = LevelsSettings(blur_mm=1e-3, ratio_blur_mm=1e-3, across_spread=0.0)


def level_by_radius(radii_and_levels, around=20.0):
    """A volume of 5 slices of 10 mm, with px of 1 mm; its levels fall outwards from the centre."""
    x, y = np.mgrid[:101, :101] - 50
    radius = np.hypot(x, y) / 20
    plane = np.full(radius.shape, around)
    for up_to, level in reversed(radii_and_levels):
        plane[radius < up_to] = level
    return np.repeat(plane[:, :, None], 5, axis=2).astype(np.float32)


def ready(image, ellipsoid=BALL, settings=EXACT, sizes=(1.0, 1.0, 10.0)):
    frame = slice_frame(np.diag(sizes))
    return prepare(read_around(image, image.shape, frame, ellipsoid, settings), settings)


def ratio_at(around, ratio, x, y):
    across, down, _ = around.region.axes()
    return ratio[np.searchsorted(across, x), np.searchsorted(down, y), BALL.index]


def test_levels_are_read_again_in_what_the_first_ones_find():
    """Up to 0.9 the mark has 80; its rim of 50 is in neither histogram until it is found."""
    around = ready(level_by_radius([(0.9, 80.0), (1.15, 50.0)]))
    ratio = levels.levels_ratios(around, BALL, EXACT)
    assert ratio_at(around, ratio, 50, 50) == 2
    # a fifth of what is found, up to 1, has the level, and a tenth of what surrounds it
    assert 0.4 < ratio_at(around, ratio, 50 + 19, 50) < 0.8
    assert ratio_at(around, ratio, 50 + 30, 50) == -2


def test_what_is_not_connected_with_the_lesion_is_not_above_0():
    """Within 1.2 radii, a bright px counts; here a dark ring lies between."""
    image = level_by_radius([(0.85, 80.0), (1.06, 20.0)])
    image[50 + 22 : 50 + 24, 49:52] = 80.0  # radius 1.1 to 1.15
    answer = levels_mask(ready(image), BALL, EXACT)
    assert answer.mask[50, 50, 2]
    assert not answer.mask[50 + 21 :, :, :].any()


@pytest.mark.parametrize(("index", "first"), [(2, 0), (3, 1)])
def test_of_thin_slices_every_second_one_and_the_marked_one_stay(index, first):
    """40 px along 80 mm are 2 mm each; slices are 1 mm apart."""
    ball = Ellipsoid(Ellipse(50.0, 50.0, 80.0, 80.0, 0.0), 80.0, index)
    image = np.zeros((101, 101, 7), np.float32) + np.arange(7)
    image[50, 50, 4] = np.nan
    whole = ready(image, ball, sizes=(1.0, 1.0, 1.0))
    thin = levels.thinned(whole, ball)
    kept = list(range(first, 7, 2))
    assert thin.region.axes()[2].tolist() == kept
    assert thin.region.sizes_mm()[2] == 2.0
    assert thin.region.place_of(index) == kept.index(index)
    for one, other in ((thin.region.values, whole.region.values), (thin.blurred, whole.blurred)):
        assert np.array_equal(one, other[:, :, first::2], equal_nan=True)
    assert np.array_equal(thin.unknown, whole.unknown[:, :, first::2])
    thick = ready(image, ball, sizes=(1.0, 1.0, 2.0))
    assert levels.thinned(thick, ball) is thick
