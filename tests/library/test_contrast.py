"""The contrast of a mark: of its inside against all sides of its surroundings."""

import math

import numpy as np
import pytest

from weaklesion.contrast import mark_contrast
from weaklesion.ellipse import Ellipse, draw_ellipse

SHAPE = (100, 120)
MARK = Ellipse(60.0, 50.0, 36.0, 24.0, 30.0)


def grey(levels):
    return np.repeat(np.round(levels).clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)


def noise(sigma=8.0):
    return np.random.default_rng(0).normal(120, sigma, SHAPE)


@pytest.mark.parametrize("step", [-40, 40])
def test_a_lesion_has_contrast_whether_darker_or_brighter(step):
    image = grey(noise() + step * draw_ellipse(MARK, SHAPE))
    assert mark_contrast(image, MARK) == pytest.approx(40 / math.hypot(8, 8), rel=0.1)
    assert abs(mark_contrast(image, MARK.moved(-36, 0))) < 0.8


def test_noise_alone_has_none():
    assert abs(mark_contrast(grey(noise()), MARK)) < 0.3


def test_an_edge_that_passes_beside_or_through_the_mark_is_no_lesion():
    """Skin against air: at most half of the sectors differ."""
    for x in (60, 70, 78):
        image = noise()
        image[:, x:] -= 100
        assert mark_contrast(grey(image), MARK) < 0.3


def test_sides_outside_the_image_do_not_count():
    corner = Ellipse(2.0, 3.0, 30.0, 24.0, 0.0)
    image = grey(noise() + 40 * draw_ellipse(corner, SHAPE))
    assert mark_contrast(image, corner) > 2.5


def test_it_is_undefined_where_nothing_is_to_be_compared():
    image = grey(noise())
    assert math.isnan(mark_contrast(image, Ellipse(60.0, 50.0, 1.0, 1.0, 0.0)))
    assert math.isnan(mark_contrast(image, Ellipse(60.0, 50.0, 400.0, 300.0, 0.0)))
    assert math.isnan(mark_contrast(image, Ellipse(-500.0, 50.0, 20.0, 20.0, 0.0)))


def test_equal_pixels_have_no_contrast():
    assert mark_contrast(np.full((*SHAPE, 3), 7, np.uint8), MARK) == 0


def test_a_hue_of_equal_brightness_has_contrast():
    rng = np.random.default_rng(1)
    inside = draw_ellipse(MARK, SHAPE)[..., None]
    image = np.where(inside, (150, 120, 90), (120, 120, 120)) + rng.normal(0, 6, (*SHAPE, 3))
    image = image.round().clip(0, 255).astype(np.uint8)
    assert mark_contrast(image, MARK) > 3
    assert abs(mark_contrast(image, MARK.moved(-36, 0))) < 1


def test_it_hardly_depends_on_the_side_up_or_on_the_images_size():
    image = noise(2.0) + 6 * draw_ellipse(MARK, SHAPE)
    given = mark_contrast(grey(image), MARK)
    flipped = MARK.flipped(SHAPE, upside_down=True, left_right=False)
    assert mark_contrast(grey(image)[::-1], flipped) == pytest.approx(given, rel=0.05)
    large = grey(image).repeat(4, axis=0).repeat(4, axis=1)
    resized = MARK.resized(SHAPE, (400, 480))
    assert mark_contrast(large, resized) == pytest.approx(given, rel=0.35)
