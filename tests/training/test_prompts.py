"""Warp and refit: what a network that sees the mark is shown, and how it is mapped back."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from weaklesion.diameters import recist_from_mask
from weaklesion.ellipse import Ellipse, draw_ellipse, ellipse_iou, fit_ellipse
from weaklesion.four_ends import FourEnds
from weaklesion.recist import recist_from_ellipse
from weaklesion.training.prompt_settings import PromptSettings
from weaklesion.training.prompts import (
    discriminant,
    mark_rows,
    mean_of_views,
    plain_inputs,
    prompt_input,
    radii,
    sample_bilinear,
    to_source,
    to_source_logits,
    views,
)
from weaklesion.training.warp_refit import (
    EDGE_PX,
    FIELD_NOISE,
    LATTICE_MARGIN,
    LATTICE_PX,
    displacement,
    num_draws,
    on_lattice,
    refit,
    soft_edges,
    training_batch,
)

SHAPE = (150, 200)
COUNT = 12
LESION, SKIN = 80, 200
SHAPES = pytest.mark.parametrize("shape", ["ellipse", "ends"])


def marked(seed=0):
    """Ellipses, and images in which they are one level and all else another."""
    rng = np.random.default_rng(seed)
    ellipses = [
        Ellipse(
            rng.uniform(80, 120),
            rng.uniform(60, 90),
            rng.uniform(50, 90),
            rng.uniform(25, 45),
            rng.uniform(0, 180),
        ).canonical()
        for _ in range(COUNT)
    ]
    masks = np.stack([draw_ellipse(ellipse, SHAPE) for ellipse in ellipses])
    targets = torch.from_numpy(masks.astype(np.uint8))[:, None]
    images = torch.where(targets > 0, LESION, SKIN).to(torch.uint8).repeat(1, 3, 1, 1)
    return ellipses, images, targets


def settings_of(shape="ellipse", amplitude=0.0, mark_noise=0.0):
    return PromptSettings(
        margin=1.4, max_amplitude=amplitude, clip=0.8, mark_noise=mark_noise, shape=shape
    )


def batch_of(amplitude, *, mark_noise=0.0, seed=0, shape="ellipse", exponent=2.0, targeted=True):
    ellipses, images, targets = marked()
    targets = targets * targeted
    settings = replace(settings_of(shape, amplitude, mark_noise), exponent=exponent)
    marks = [settings.shape_of(recist_from_ellipse(ellipse)) for ellipse in ellipses]
    generator = torch.Generator().manual_seed(seed)
    draws = torch.randn(COUNT, num_draws(settings), generator=generator)
    return training_batch(images, targets, mark_rows(marks), draws, 64, settings)


def dark(batch):
    """Where the crops show the lesion."""
    middle = (LESION + SKIN) / 2 / 255
    return (batch.inputs[:, 0] * 0.229 + 0.485 < middle) & (batch.valid[:, 0] > 0)


def dice(first, second):
    both = (first & second).sum(dim=(-1, -2))
    return 2 * both / (first.sum(dim=(-1, -2)) + second.sum(dim=(-1, -2)))


@pytest.mark.parametrize(("shape", "least"), [("ellipse", 0.97), ("ends", 0.955)])
def test_without_a_warp_the_prompt_is_the_target(shape, least):
    """Four ends are up to 1 % too far out on a jagged outline."""
    batch = batch_of(0.0, shape=shape)
    assert dice(batch.inputs[:, 4] >= 0, batch.targets[:, 0] >= 0.5).min() > least


@SHAPES
@pytest.mark.parametrize("amplitude", [0.0, 0.3, 2.0])
def test_the_image_is_warped_with_its_target(amplitude, shape):
    batch = batch_of(amplitude, shape=shape)
    inside = batch.valid[:, 0] > 0
    assert dice(dark(batch), (batch.targets[:, 0] >= 0.5) & inside).min() > 0.97


@SHAPES
def test_the_further_the_warp_the_less_the_prompt_says(shape):
    batches = [batch_of(amplitude, shape=shape) for amplitude in (0.0, 0.3, 1.0, 2.0)]
    said = [dice(batch.inputs[:, 4] >= 0, batch.targets[:, 0] >= 0.5).mean() for batch in batches]
    assert said == sorted(said, reverse=True)
    assert said[-1] < 0.93


def test_the_prompt_is_the_ellipse_of_the_warped_target():
    """As marks are made, so that prompts in training are like those at test."""
    batch = batch_of(1.0)
    for prompt, target in zip(batch.inputs[:, 4], batch.targets[:, 0], strict=True):
        found = fit_ellipse((target >= 0.5).numpy())
        assert ellipse_iou(found, fit_ellipse((prompt >= 0).numpy())) > 0.93


def test_the_prompt_is_the_recist_mark_of_the_warped_target():
    batch = batch_of(1.0, shape="ends")
    for prompt, target in zip(batch.inputs[:, 4], batch.targets[:, 0], strict=True):
        shown = (prompt >= 0).numpy()
        found = FourEnds(recist_from_mask((target >= 0.5).numpy()))
        drawn = found.drawn(shown.shape)
        assert (drawn & shown).sum() / (drawn | shown).sum() > 0.9


@SHAPES
def test_a_prompt_fits_into_its_crop(shape):
    batch = batch_of(2.0, shape=shape)
    prompted = batch.inputs[:, 4] >= 0
    edges = torch.cat([prompted[:, 0], prompted[:, -1], prompted[:, :, 0], prompted[:, :, -1]], 1)
    assert not edges.any()


@SHAPES
def test_a_perturbed_prompt_leaves_the_target_alone(shape):
    exact, noisy = (batch_of(0.3, mark_noise=noise, shape=shape) for noise in (0.0, 0.1))
    exact_dice, noisy_dice = (
        dice(batch.inputs[:, 4] >= 0, batch.targets[:, 0] >= 0.5).mean() for batch in (exact, noisy)
    )
    assert noisy_dice < exact_dice - 0.02


def test_the_same_draws_give_the_same_batch_and_others_another():
    first, again, other = batch_of(1.0), batch_of(1.0), batch_of(1.0, seed=1)
    assert torch.equal(first.inputs, again.inputs)
    assert not torch.equal(first.inputs, other.inputs)


@SHAPES
def test_a_target_without_a_mark_keeps_its_prompt(shape):
    ellipses, _, _ = marked()
    turn, flip = torch.tensor([0.7]), torch.tensor([-1.0])
    empty = np.zeros((1, 96, 96), bool)
    marked_at = on_lattice(mark_rows(ellipses[:1]), turn, flip)
    settings = settings_of(shape)
    rows = refit(empty, marked_at, [[0.0] * 8], settings)
    (crossing, _, long, _, short) = rows[0].double().numpy()
    assert crossing == pytest.approx([0, 0], abs=1e-6)
    assert np.hypot(*long) == pytest.approx(0.5, abs=1e-6)
    expected = ellipses[0].height / ellipses[0].width
    assert np.hypot(*short) / np.hypot(*long) == pytest.approx(expected, rel=1e-5)
    wanted = -(math.radians(ellipses[0].angle_deg) - 0.7)
    assert math.sin(math.atan2(long[1], long[0]) - wanted) == pytest.approx(0, abs=1e-5)


@SHAPES
def test_the_kept_prompt_is_turned_and_mirrored_with_the_image(shape):
    """Targets are empty, so that no mark is measured; the image still has the lesion."""
    batch = batch_of(0.0, shape=shape, targeted=False)
    assert dice(batch.inputs[:, 4] >= 0, dark(batch)).min() > 0.97


def test_a_warp_moves_the_image_by_radii_of_the_lesion():
    """All noise is one number, so the field is a shift by its bound: four radii along each axis.

    The lesion leaves the lattice and the mark stays, so that the crop's middle shows what is
    four radii of 20 px from the lesion's. The image says its own x.
    """
    settings = PromptSettings(margin=1.4, max_amplitude=1e6, clip=4.0, mark_noise=0.0)
    ellipse = Ellipse(60.0, 45.0, 40.0, 40.0, 0.0)
    images = torch.arange(SHAPE[1]).expand(1, 3, *SHAPE).to(torch.uint8)
    targets = torch.from_numpy(draw_ellipse(ellipse, SHAPE)).to(torch.uint8)[None, None]
    draws = torch.ones(1, num_draws(settings))
    draws[:, 0], draws[:, 1] = -9.0, 9.0  # neither turned nor mirrored
    batch = training_batch(images, targets, mark_rows([ellipse]), draws, 65, settings)
    x_px = (batch.inputs[0, 0, 32] * 0.229 + 0.485) * 255
    assert x_px[32].item() == pytest.approx(60 + 4 * 20, abs=0.01)
    assert (x_px[33] - x_px[31]).item() == pytest.approx(2 * 1.4 * 40 / 65, abs=0.01)


def test_the_prompt_of_a_warped_batch_has_the_exponent_of_the_settings():
    squarer, rounder = (batch_of(0.0, shape="ends", exponent=value) for value in (4.0, 2.0))
    sizes = [(batch.inputs[:, 4] >= 0).float().sum() for batch in (squarer, rounder)]
    # areas of superellipses with the same axes: 0.927 and pi / 4 of the rectangle
    assert (sizes[0] / sizes[1]).item() == pytest.approx(0.927 / (math.pi / 4), rel=0.02)


def test_values_are_sampled_at_pixel_centres_bilinearly_and_are_0_outside():
    values = torch.tensor([[[[1.0, 2.0, 3.0], [5.0, 6.0, 7.0]]]])
    points = torch.tensor([[[[0.0, 0.0], [2.0, 1.0], [0.5, 0.0], [1.0, 0.25], [-1.0, 0.0]]]])
    found = sample_bilinear(values, points).flatten().tolist()
    assert found == pytest.approx([1.0, 7.0, 1.5, 3.0, 0.0], abs=1e-5)


def test_the_lattice_of_refit_is_that_of_the_crop():
    """Ends go to where `to_source` comes from."""
    mark = np.array([[40.0, 60.0], [150.0, 90.0], [100.0, 40.0], [80.0, 110.0]])
    rows = mark_rows([FourEnds(mark)])
    turn, flip = torch.tensor([0.7]), torch.tensor([-1.0])
    ends = torch.from_numpy(on_lattice(rows, turn, flip)).float()
    u = ((ends + 0.5) / (LATTICE_PX / 2) - 1)[:, :, None]
    back = to_source(u, rows, LATTICE_MARGIN, turn, flip)[0, :, 0]
    torch.testing.assert_close(back, torch.from_numpy(mark).float(), atol=1e-3, rtol=0)


@pytest.mark.parametrize("exponent", [1.0, 1.6, 2.0, 3.0])
@pytest.mark.workflow
def test_the_radius_of_tensors_is_that_of_the_library(exponent):
    mark = np.array([[30.0, 60.0], [150.0, 90.0], [100.0, 40.0], [80.0, 110.0]])
    one_sided = np.array([[30.0, 60.0], [150.0, 60.0], [80.0, 60.0], [80.0, 110.0]])
    marks = [FourEnds(mark, exponent), FourEnds(one_sided, exponent)]
    y, x = torch.meshgrid(torch.arange(SHAPE[0]), torch.arange(SHAPE[1]), indexing="ij")
    points = torch.stack([x, y], dim=-1).float().expand(2, -1, -1, -1)
    found = radii(points, mark_rows(marks), exponent).numpy()
    for mark, radius in zip(marks, found, strict=True):
        assert radius == pytest.approx(mark.radius(SHAPE), rel=1e-3, abs=1e-3)
    ellipse = Ellipse(90.0, 70.0, 80.0, 40.0, 30.0)
    found = radii(points[:1], mark_rows([ellipse]), 2.0)[0].numpy()
    assert found == pytest.approx(ellipse.radius(SHAPE), rel=1e-3, abs=1e-3)


def test_a_displacement_is_bounded_and_smooth():
    noise = torch.randn(8, FIELD_NOISE, generator=torch.Generator().manual_seed(0))
    field = displacement(noise, torch.full((8,), 5.0), 0.8)
    assert field.abs().max() == pytest.approx(0.8)
    calm = displacement(noise, torch.full((8,), 0.3), 0.8)
    assert (calm[..., 1:] - calm[..., :-1]).abs().max() < 0.05


def test_a_displacement_is_a_sum_of_bicubic_fields():
    noise = torch.randn(3, FIELD_NOISE, generator=torch.Generator().manual_seed(0))
    expected, start = torch.zeros(3, 2, LATTICE_PX, LATTICE_PX), 0
    for cells, weight in ((5, 0.6), (7, 1.0), (10, 0.7)):
        coarse = noise[:, start : start + 2 * cells**2].view(3, 2, cells, cells)
        start += 2 * cells**2
        size = (LATTICE_PX, LATTICE_PX)
        field = F.interpolate(coarse, size=size, mode="bicubic", align_corners=True)
        expected += weight / cells * field
    found = displacement(noise, torch.tensor([0.5, 1.0, 2.0]), 99.0)
    torch.testing.assert_close(found, expected * torch.tensor([0.5, 1.0, 2.0]).view(3, 1, 1, 1))


def test_every_view_is_mapped_back_to_the_pixel():
    ellipses, images, targets = marked()
    prompts = mark_rows(ellipses)
    inputs, _ = plain_inputs(images, prompts, 64, settings_of())
    seen = views(inputs)
    assert len({view.numpy().tobytes() for view in seen.unbind(1)}) == 8
    for number in range(8):
        alone = seen.clone()
        alone[:, [other for other in range(8) if other != number]] = 0
        torch.testing.assert_close(8 * mean_of_views(alone), inputs)
    prompt = mean_of_views(seen[:, :, 4:5])
    back = to_source_logits(prompt, inputs[:, 3:4], prompts, 1.4, SHAPE) >= 0
    assert dice(back, targets[:, 0] > 0).min() > 0.985


def test_what_a_network_says_outside_the_image_does_not_count():
    ellipse = Ellipse(20.0, 70.0, 90.0, 40.0, 0.0)  # leaves the image on the left
    prompts = mark_rows([ellipse])
    images = torch.zeros(1, 3, *SHAPE, dtype=torch.uint8)
    inputs, _ = plain_inputs(images, prompts, 64, settings_of())
    valid = inputs[:, 3:4]
    logits = torch.where(valid > 0, -2.0, 50.0)
    back = to_source_logits(logits, valid, prompts, 1.4, SHAPE)
    assert (valid == 0).any()
    assert back.max() == pytest.approx(-2.0, abs=1e-4)


def test_soft_edges_are_half_at_the_edge_and_grow_inwards():
    mask = torch.zeros(1, 1, 20, 20, dtype=torch.bool)
    mask[..., 5:15, 5:15] = True
    soft = soft_edges(mask, torch.ones_like(mask).float())[0, 0]
    assert ((soft >= 0.5) == mask[0, 0]).all()
    assert soft[10, 5].item() == pytest.approx(1 / (1 + math.exp(-0.5 / EDGE_PX)), abs=1e-3)
    assert soft[10, 10] > soft[10, 6] > soft[10, 5] > soft[10, 4] > soft[10, 3]


def test_the_border_of_the_image_is_no_soft_edge_of_a_lesion_that_it_cuts():
    mask = torch.zeros(1, 1, 20, 20, dtype=torch.bool)
    mask[..., 5:15, 5:15] = True
    valid = torch.ones(1, 1, 20, 20)
    uncut = soft_edges(mask, valid)
    valid[..., :10] = 0
    cut = soft_edges(mask & (valid > 0), valid)
    assert torch.equal(cut[..., 10:], uncut[..., 10:])


def test_the_discriminant_tells_inside_from_around_and_is_nothing_outside_the_image():
    rng = torch.Generator().manual_seed(0)
    radius = torch.linspace(0, 2, 40).repeat(40, 1)[None, None]
    levels = torch.where(radius < 1, 0.3, 0.0) + 0.05 * torch.randn(1, 3, 40, 40, generator=rng)
    valid = torch.ones(1, 1, 40, 40)
    valid[..., :5, :] = 0
    told = discriminant(levels * valid, valid, radius)
    seen = (valid > 0) & ((radius < 0.95) | (radius > 1.05))
    assert ((told > 0) == (radius < 1))[seen].float().mean() > 0.97
    assert not told[valid == 0].any()
    assert told.abs().max() <= 1


def test_the_discriminant_by_hand():
    """One colour: inside 1 with a variance of 0.01, around 0 with one of 0.04, and 0.52 between.

    The direction is 1 / ((0.01 + 0.04) / 2 + 0.01), the middle 0.5. The last pixel is inside the
    mark, but outside the image.
    """
    colours = torch.zeros(1, 3, 1, 6)
    colours[0, 0, 0] = torch.tensor([0.9, 1.1, 0.2, -0.2, 0.52, 0.0])
    radius = torch.tensor([0.1, 0.2, 2.0, 2.0, 1.0, 0.1]).view(1, 1, 1, 6)
    valid = torch.tensor([1.0, 1.0, 1.0, 1.0, 1.0, 0.0]).view(1, 1, 1, 6)
    told = discriminant(colours, valid, radius)[0, 0, 0].tolist()
    for value, said in zip((0.9, 1.1, 0.2, -0.2, 0.52), told, strict=False):
        assert said == pytest.approx(math.tanh((value - 0.5) / 0.035 / 4), abs=1e-5)
    assert told[5] == 0


def test_a_pixel_is_valid_up_to_half_a_pixel_beyond_the_last_centres():
    x = torch.tensor([-0.6, -0.4, 3.4, 3.6])
    points = torch.stack([torch.cat([x, torch.ones(4)]), torch.cat([torch.ones(4), x])], dim=-1)
    images = torch.full((1, 3, 4, 4), 255, dtype=torch.uint8)
    inputs, valid = prompt_input(images, points[None, None], torch.ones(1, 1, 8))
    assert valid.flatten().tolist() == [0, 1, 1, 0] * 2
    assert torch.equal(inputs[:, :3] != 0, valid.bool().expand(-1, 3, -1, -1))


def test_outside_its_crop_a_network_finds_no_lesion():
    """A crop of 1.4 * 40 = 56 px about (100, 75), in which all is lesion."""
    prompts = mark_rows([Ellipse(100.0, 75.0, 40.0, 30.0, 0.0)])
    logits, valid = torch.full((1, 1, 64, 64), 5.0), torch.ones(1, 1, 64, 64)
    found = to_source_logits(logits, valid, prompts, 1.4, SHAPE)[0]
    assert found[75 - 28 : 75 + 29, 100 - 28 : 100 + 29].min() == pytest.approx(5.0)
    assert (found == -10).sum() == SHAPE[0] * SHAPE[1] - 57**2


def test_the_discriminant_of_an_image_of_one_level_is_finite_and_says_nothing():
    radius = torch.linspace(0, 2, 40).repeat(40, 1)[None, None]
    told = discriminant(torch.full((1, 3, 40, 40), 0.4), torch.ones(1, 1, 40, 40), radius)
    assert told.abs().max() < 1e-4
