import cv2
import numpy as np
import pytest
import torch

from weaklesion.ellipse import Ellipse, draw_ellipse
from weaklesion.flips import FLIPS
from weaklesion.training.augmentation import apply_flips, draw_flips, flip_numbers
from weaklesion.training.inputs import InputGeometry, normalise

CPU = torch.device("cpu")


def random_patches(count=3, side=120):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def test_released_padding_is_opencv_reflect_101():
    geometry = InputGeometry(side_px=120, input_px=120, pad_to_hw=(384, 480))
    images = random_patches(1)
    padded = geometry.pad(geometry.load_images(images, CPU))
    expected = cv2.copyMakeBorder(images[0], 132, 132, 180, 180, cv2.BORDER_REFLECT_101)
    np.testing.assert_array_equal(padded[0].permute(1, 2, 0).numpy(), expected)


@pytest.mark.parametrize("pad_to", [(128, 128), (384, 480), (128, 144)])
def test_crop_undoes_the_padding(pad_to):
    geometry = InputGeometry(side_px=120, input_px=120, pad_to_hw=pad_to)
    images = geometry.load_images(random_patches(), CPU)
    assert geometry.pad(images).shape[2:] == pad_to
    assert torch.equal(geometry.crop(geometry.pad(images)), images)


def test_images_and_targets_keep_their_place_when_resized():
    geometry = InputGeometry(side_px=120, input_px=64, pad_to_hw=(64, 64))
    target = np.zeros((1, 120, 120), np.uint8)
    target[0, 30:90, 15:60] = 1
    image = np.repeat(target[..., None] * 255, 3, axis=3)
    small = geometry.load_targets(target, CPU)
    assert set(small.unique().tolist()) == {0, 1}
    assert torch.equal(geometry.load_images(image, CPU)[:, :1] >= 128, small.bool())
    back = geometry.patch_logits((small.float() - 0.5) * 10) >= 0
    assert back.shape == (1, 120, 120)
    overlap = 2 * (back.numpy() & (target == 1)).sum() / (back.sum() + target.sum())
    assert overlap > 0.97


@pytest.mark.parametrize("input_px", [48, 64, 112, 128, 240])
def test_targets_keep_their_area_when_resized(input_px):
    geometry = InputGeometry(side_px=120, input_px=input_px, pad_to_hw=(240, 240))
    rng = np.random.default_rng(0)
    ellipses = [
        Ellipse(*rng.uniform(45, 75, 2), *rng.uniform(20, 60, 2), rng.uniform(0, 180))
        for _ in range(100)
    ]
    targets = np.stack([draw_ellipse(ellipse, (120, 120)) for ellipse in ellipses])
    small = geometry.load_targets(targets.astype(np.uint8), CPU)
    assert small.sum() / targets.sum() * (120 / input_px) ** 2 == pytest.approx(1, abs=0.004)


def test_probability_of_one_half_is_foreground():
    geometry = InputGeometry(side_px=16, input_px=16, pad_to_hw=(16, 16))
    logits = torch.full((1, 1, 16, 16), -1e-6)
    logits[0, 0, 3, 4] = 0.0
    assert (geometry.patch_logits(logits) >= 0).nonzero().tolist() == [[0, 3, 4]]


@pytest.mark.parametrize("pad_to", [(130, 128), (112, 128)])
def test_impossible_frames(pad_to):
    with pytest.raises(ValueError, match="pad_to"):
        InputGeometry(side_px=120, input_px=120, pad_to_hw=pad_to)


def test_normalise_is_imagenets():
    from torchvision.transforms.functional import normalize, to_tensor

    image = random_patches(1, 16)[0]
    expected = normalize(to_tensor(image), [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    ours = normalise(torch.from_numpy(image).permute(2, 0, 1)[None])
    torch.testing.assert_close(ours[0], expected, atol=1e-5, rtol=1e-5)


def test_half_normalisation_gives_minus_one_to_one():
    levels = torch.tensor([0, 51, 255], dtype=torch.uint8).repeat(3, 1)[None, :, None]
    expected = torch.tensor([-1.0, -0.6, 1.0]).repeat(3, 1)[None, :, None]
    torch.testing.assert_close(normalise(levels, "half"), expected)


def test_flips_are_numbered_in_the_order_of_the_columns_of_classes():
    flips = torch.tensor([[True, False], [False, False], [True, True], [False, True]])
    numbers = flip_numbers(flips)
    assert sorted(numbers.tolist()) == [0, 1, 2, 3]
    assert [list(list(FLIPS.values())[number]) for number in numbers] == flips.tolist()


def test_flips_move_image_and_target_alike_and_can_be_replayed():
    images = torch.arange(4 * 3 * 2 * 2).reshape(4, 3, 2, 2)
    flips = torch.tensor([[False, False], [True, False], [False, True], [True, True]])
    flipped = apply_flips(images, flips)
    assert torch.equal(flipped[0], images[0])
    assert torch.equal(flipped[1], images[1].flip(1))
    assert torch.equal(flipped[2], images[2].flip(2))
    assert torch.equal(flipped[3], images[3].flip(1, 2))
    draws = [draw_flips(50, torch.Generator().manual_seed(3)) for _ in range(2)]
    assert torch.equal(*draws)
    many = flip_numbers(draw_flips(4000, torch.Generator().manual_seed(3)))
    assert many.bincount().div(4000).tolist() == pytest.approx([1 / 4] * 4, abs=0.03)
