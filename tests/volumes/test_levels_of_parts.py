"""Which part of a slice the levels are read in, and tilted gantries: truths counted by hand.

A bright disc about the mark's centre, a dark ring about it, and a bright ring that is larger than
the disc. Voxels are 1 mm x 1 mm x 10 mm, and the mark has a radius of 20 mm.
"""

import math

import numpy as np
import pytest

from weaklesion.ellipse import Ellipse
from weaklesion.volumes import levels
from weaklesion.volumes.ellipsoid import Ellipsoid
from weaklesion.volumes.frame import slice_frame
from weaklesion.volumes.levels import LevelsSettings, levels_ratios, prepare, read_around

BRIGHT, DARK = 80.0, 20.0
UPRIGHT = np.diag([1.0, 1.0, 10.0])
BALL = Ellipsoid(Ellipse(50.0, 50.0, 40.0, 40.0, 0.0), 40.0, 2)
# levels outweigh the prior, so that the dark ring is no lesion; nothing is blurred
BY_LEVELS = LevelsSettings(
    ratio_weight=5.0, prior_weight=1.0, blur_mm=1e-3, ratio_blur_mm=1e-3, across_spread=0.0, thick=0
)
BY_PRIOR = LevelsSettings(blur_mm=1e-3, ratio_blur_mm=1e-3, across_spread=0.0, thick=0)
RADIUS = np.hypot(*(np.mgrid[:101, :101] - 50)) / 20


def rings(disc):
    """A slice with a bright disc of a radius, and a bright ring from 0.6 to 1.15."""
    bright = (disc > RADIUS) | ((RADIUS > 0.6) & (RADIUS < 1.15))
    return np.where(bright, BRIGHT, DARK).astype(np.float32)


def ready(image, settings=BY_LEVELS, ellipsoid=BALL, affine=UPRIGHT):
    frame = slice_frame(affine)
    return prepare(read_around(image, image.shape, frame, ellipsoid, settings), settings)


def test_levels_are_read_again_in_the_part_through_the_centre_even_if_another_is_larger():
    """The bright level fills the disc, and a quarter of what lies within two radii about it."""
    around = ready(np.repeat(rings(0.4)[:, :, None], 5, axis=2))
    ratio = levels_ratios(around, BALL, BY_LEVELS)
    within = (RADIUS < 2) & (RADIUS >= 0.4)
    share = (within & (RADIUS > 0.6) & (RADIUS < 1.15)).sum() / within.sum()
    assert share == pytest.approx((1.15**2 - 0.6**2) / (2**2 - 0.4**2), abs=0.01)  # 0.25
    centre = tuple(size // 2 for size in ratio.shape)
    assert ratio[centre] == pytest.approx(math.log(1 / share), abs=0.02)
    assert ratio[centre[0] + 10, centre[1], 2] == -2  # the dark ring, in none of the disc


def test_of_a_part_that_is_too_small_to_read_levels_in_the_first_ones_stay():
    """Nine px about the centre, all bright, as half of the mark is and nothing around it."""
    image = np.repeat(rings(0.09)[:, :, None], 5, axis=2)
    assert (RADIUS < 0.09).sum() == 9 < levels.LEAST
    ratio = levels_ratios(ready(image), BALL, BY_LEVELS)
    assert ratio[ratio.shape[0] // 2, ratio.shape[1] // 2, 2] == 2


def test_the_lesion_is_the_part_through_the_centre_of_the_marked_slice():
    """The first slice is dark, so that no part lies below the centre there."""
    image = np.repeat(rings(0.4)[:, :, None], 5, axis=2)
    image[:, :, 0] = DARK
    answer = levels.levels_mask(ready(image), BALL, BY_LEVELS).mask
    expected = np.repeat((RADIUS < 0.4)[:, :, None], 5, axis=2)
    expected[:, :, 0] = False
    assert np.array_equal(answer, expected)


@pytest.mark.parametrize("axis", [0, 1])
def test_a_tilted_gantry_cuts_nothing_off_an_upright_lesion(axis):
    """Of an upright cylinder as wide as the mark, each section lies 12 px beside the one below.

    Two slices from the marked one it reaches 44 px from the mark's middle, where a part of the
    slices that holds 1.2 radii about the mark would end at 26.
    """
    shift, marked = 12, 2
    affine = UPRIGHT.copy()
    affine[axis, 2] = -shift
    across = np.mgrid[:201, :201] - 100
    along, beside = across[axis], across[1 - axis]
    sections = [np.hypot(along - shift * (z - marked), beside) <= 20 for z in range(5)]
    cylinder = np.stack(sections, axis=2)
    image = np.where(cylinder, BRIGHT, DARK).astype(np.float32)
    ball = Ellipsoid(Ellipse(100.0, 100.0, 40.0, 40.0, 0.0), 80.0, marked)
    around = ready(image, BY_PRIOR, ball, affine)
    assert np.array_equal(levels.levels_mask(around, ball, BY_PRIOR).mask, cylinder)
