import cv2
import numpy as np
import pytest

from weaklesion.data.samples import read_samples
from weaklesion.ellipse import Ellipse, draw_ellipse
from weaklesion.grabcut import grabcut_mask
from weaklesion.metrics import dice
from weaklesion.supervision.ellipses import draw_ellipses
from weaklesion.supervision.grabcut import GrabCutSettings, draw_grabcut
from weaklesion.support.files import read_array

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
    for iterations in (0, -1, 1.5):
        with pytest.raises(ValueError, match="iterations: a whole number of at least 1"):
            grabcut_mask(image, ellipse, iterations=iterations)
    for wrong in (image[..., 0], image / 255, image.astype(np.uint16), np.dstack([image, image])):
        with pytest.raises(ValueError, match=r"^image: needs an array of \(H, W, 3\) uint8, not"):
            grabcut_mask(wrong, ellipse)


@pytest.mark.workflow
def test_masks_follow_the_rows_of_the_ellipses_whatever_the_workers(patches, tmp_path):
    files = {
        "samples_csv": patches / "samples.csv",
        "images_npy": patches / "images.npy",
        "ellipses_csv": tmp_path / "ellipses.csv",
    }
    draw_ellipses(**files, target_npy=tmp_path / "ellipse.npy", center="midpoint", outline_px=0.0)
    for workers in (1, 2):
        draw_grabcut(
            **files,
            ellipse_npy=tmp_path / "ellipse.npy",
            target_npy=tmp_path / f"{workers}.npy",
            settings=GrabCutSettings(init="trimap"),
            workers=workers,
        )
    one, two = (read_array(tmp_path / f"{workers}.npy") for workers in (1, 2))
    np.testing.assert_array_equal(one, two)
    reference = read_array(patches / "reference.npy")
    samples = read_samples(patches / "samples.csv")
    overlap = [dice(reference[row].astype(bool), one[row].astype(bool)) for row in samples["row"]]
    assert np.mean(overlap) > 0.8


RELEASED = {"init": "rect", "zero_outside": True}


def test_released_variants_never_leave_the_ellipse():
    """Where the image is black outside the ellipse, GrabCut cannot find more (G3)."""
    image, _, ellipse = scene()
    for variant in ({}, {"shrink_px": 2, "min_px": 10}, {"shrink_px": 2, "cast_to_01": True}):
        found = grabcut_mask(image, ellipse, **RELEASED | variant)
        assert not (found & ~ellipse).any()


def test_shrunk_rectangle_trims_left_and_top():
    box = np.zeros(SHAPE, bool)
    box[20:40, 30:60] = True
    lesion = np.zeros(SHAPE, bool)
    lesion[21:38, 34:58] = True
    noise = np.random.default_rng(0).normal(0, 12, (*SHAPE, 3))
    image = (np.where(lesion, 170, 80)[..., None] + noise).clip(0, 255).astype(np.uint8)
    assert grabcut_mask(image, box, init="rect")[:22].any()
    found = grabcut_mask(image, box, init="rect", shrink_px=2)
    assert not found[:22].any()
    assert found[30, 40]
    assert not found[:, :32].any()
    assert not found[40:].any()


@pytest.mark.parametrize(
    ("shrink_px", "rectangle"), [(0, np.s_[20:40, 30:60]), (2, np.s_[22:39, 32:59])]
)
def test_shrunk_rectangle_is_the_released_codes(monkeypatch, shrink_px, rectangle):
    """(x + 2, y + 2, w - 2, h - 2), with w and h from the first to the last pixel (G4)."""
    box, expected = np.zeros((2, *SHAPE), np.uint8)
    box[20:40, 30:60] = 1
    expected[rectangle] = cv2.GC_PR_FGD
    seen = []
    monkeypatch.setattr(cv2, "grabCut", lambda image, labels, *_: seen.append(labels.copy()))
    grabcut_mask(scene()[0], box, init="rect", shrink_px=shrink_px)
    np.testing.assert_array_equal(seen, [expected])


def test_levels_cut_to_0_and_1_leave_the_ellipse():
    """No level of this image is 255, so that nothing is left to see (G2)."""
    image, _, ellipse = scene()
    dark = np.minimum(image, 254)
    found = grabcut_mask(dark, ellipse, **RELEASED, shrink_px=2, cast_to_01=True)
    np.testing.assert_array_equal(
        found, grabcut_mask(np.zeros_like(dark), ellipse, **RELEASED, shrink_px=2)
    )


def test_only_levels_of_255_are_left_of_an_image_cut_to_0_and_1(monkeypatch):
    image = np.zeros((*SHAPE, 3), np.uint8)
    image[30:50, 30:50] = np.arange(236, 256)[:, None]
    seen = []
    monkeypatch.setattr(cv2, "grabCut", lambda image, *_: seen.append(image))
    grabcut_mask(image, scene()[2], init="rect", cast_to_01=True)
    np.testing.assert_array_equal(seen, [image == 255])


def test_results_that_are_too_small_fall_back_to_the_ellipse():
    image, _, ellipse = scene()
    np.testing.assert_array_equal(grabcut_mask(image, ellipse, init="rect", min_px=10_000), ellipse)


def test_rectangle_shrunk_to_nothing_falls_back_to_the_ellipse():
    image = scene()[0]
    tiny = draw_ellipse(Ellipse(40, 40, 2, 2, 0), SHAPE)
    np.testing.assert_array_equal(grabcut_mask(image, tiny, init="rect", shrink_px=4), tiny)


def test_starts_from_the_ellipse_as_it_was_drawn(patches, tmp_path):
    """With its outline (G5), and in its own row."""
    files = {
        "samples_csv": patches / "samples.csv",
        "images_npy": patches / "images.npy",
        "ellipses_csv": tmp_path / "ellipses.csv",
    }
    drawn = tmp_path / "ellipse.npy"
    draw_ellipses(**files, target_npy=drawn, center="midpoint", outline_px=2.1)
    kept = GrabCutSettings(
        init="rect", min_px=10_000
    )  # nothing found is enough: the ellipse is taken
    draw_grabcut(**files, ellipse_npy=drawn, target_npy=tmp_path / "g.npy", settings=kept)
    np.testing.assert_array_equal(read_array(tmp_path / "g.npy"), read_array(drawn))
