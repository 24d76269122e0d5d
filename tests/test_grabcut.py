import numpy as np
import pytest

from weaklesion.ellipse import Ellipse, draw_ellipse
from weaklesion.files import read_array
from weaklesion.grabcut import draw_grabcut, grabcut_mask
from weaklesion.metrics import dice
from weaklesion.samples import read_samples
from weaklesion.supervision import draw_ellipses

SHAPE = (80, 80)


def scene():
    """A bright irregular lesion on noise, and an ellipse that is not quite it."""
    rng = np.random.default_rng(0)
    lesion = draw_ellipse(Ellipse(40, 40, 30, 20, 20), SHAPE)
    lesion[40:52, 40:50] = True
    image = np.where(lesion, 170, 80)[..., None] + rng.normal(0, 12, (*SHAPE, 3))
    return (
        image.clip(0, 255).astype(np.uint8),
        lesion,
        draw_ellipse(Ellipse(42, 42, 34, 24, 20), SHAPE),
    )


@pytest.mark.parametrize("init", ["rect", "trimap"])
def test_finds_the_lesion(init):
    image, lesion, ellipse = scene()
    found = grabcut_mask(image, ellipse, init=init)
    assert dice(lesion, found) > max(0.95, dice(lesion, ellipse))


@pytest.mark.parametrize("init", ["rect", "trimap"])
def test_result_does_not_depend_on_what_came_before(init):
    image, _, ellipse = scene()
    first = grabcut_mask(image, ellipse, init=init)
    grabcut_mask(image[::-1].copy(), ellipse[::-1], init=init)
    np.testing.assert_array_equal(first, grabcut_mask(image, ellipse, init=init))


@pytest.mark.parametrize("init", ["rect", "trimap"])
def test_constant_image_gives_a_mask(init):
    _, _, ellipse = scene()
    assert grabcut_mask(np.full((*SHAPE, 3), 90, np.uint8), ellipse, init=init).any()


def test_ellipse_that_fills_the_patch_is_returned():
    image = scene()[0]
    full = np.ones(SHAPE, bool)
    np.testing.assert_array_equal(grabcut_mask(image, full, init="rect"), full)


def test_one_pixel_and_border_touching_ellipses_have_an_answer():
    image = scene()[0]
    for ellipse in (
        draw_ellipse(Ellipse(40, 40, 1, 1, 0), SHAPE),
        draw_ellipse(Ellipse(0, 40, 20, 20, 0), SHAPE),
    ):
        for init in ("rect", "trimap"):
            assert grabcut_mask(image, ellipse, init=init).any()


def test_refuses():
    image, _, ellipse = scene()
    with pytest.raises(ValueError, match="init"):
        grabcut_mask(image, ellipse, init="box")
    with pytest.raises(ValueError, match="ellipse_mask"):
        grabcut_mask(image, np.zeros(SHAPE, bool), init="rect")
    with pytest.raises(ValueError, match="ellipse_mask"):
        grabcut_mask(image, ellipse[:50], init="rect")


def test_masks_follow_the_rows_of_the_ellipses_whatever_the_workers(patches, tmp_path):
    files = {
        "samples_csv": patches / "samples.csv",
        "images_npy": patches / "images.npy",
        "ellipses_csv": tmp_path / "ellipses.csv",
    }
    draw_ellipses(**files, target_npy=tmp_path / "ellipse.npy", center="midpoint")
    for workers in (1, 2):
        draw_grabcut(
            **files, target_npy=tmp_path / f"{workers}.npy", init="trimap", workers=workers
        )
    one, two = (read_array(tmp_path / f"{workers}.npy") for workers in (1, 2))
    np.testing.assert_array_equal(one, two)
    reference = read_array(patches / "reference.npy")
    samples = read_samples(patches / "samples.csv")
    overlap = [dice(reference[row].astype(bool), one[row].astype(bool)) for row in samples["row"]]
    assert np.mean(overlap) > 0.8
