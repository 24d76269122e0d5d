"""Pseudo-masks from levels and marks, on images whose lesions are known."""

import math

import cv2
import numpy as np
import pandas as pd
import pytest

from weaklesion.diameters import recist_from_mask
from weaklesion.ellipse import Ellipse, draw_ellipse, fit_ellipse
from weaklesion.ellipse_maps import affine_between, elliptic_radius
from weaklesion.errors import DataError
from weaklesion.four_ends import FourEnds
from weaklesion.metrics import dice
from weaklesion.pseudo_masks import (
    RefinedSettings,
    main_part,
    make_consistent,
    pseudo_mask,
    refine_scores,
    without_hair,
)
from weaklesion.recist import ellipse_from_recist
from weaklesion.supervision.ellipses import draw_ellipses
from weaklesion.supervision.pseudo_masks import draw_refined
from weaklesion.support.yaml_files import read_yaml

SHAPE = (120, 120)


@pytest.fixture
def constants(root):
    config = read_yaml(root / "config.yaml")
    return config["protocols"]["corrected"]["supervision"]["refined"]


@pytest.fixture
def settings(constants):
    return RefinedSettings(prior_weight=5.0, **constants)


def lobed(seed):
    """A lesion that is no ellipse: (H, W) bool, with its image in colour."""
    rng = np.random.default_rng(seed)
    yy, xx = np.mgrid[:120, :120]
    angle = np.arctan2(yy - 60, xx - 58)
    radius = 30 * (1 + 0.22 * np.cos(3 * angle + rng.uniform(0, 6)))
    mask = np.hypot(yy - 60, (xx - 58) * 1.2) < radius
    image = np.where(mask[..., None], (150, 90, 80), (205, 160, 140)) + rng.normal(
        0, 9, (120, 120, 3)
    )
    return mask, cv2.GaussianBlur(image, (0, 0), 1.0).clip(0, 255).round().astype(np.uint8)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.workflow
def test_a_lesion_of_one_colour_is_found_where_its_ellipse_misses_it(settings, seed):
    mask, image = lobed(seed)
    ellipse = fit_ellipse(mask)
    before = dice(mask, draw_ellipse(ellipse, SHAPE))
    scores = refine_scores(image, ellipse, settings, ct=False)
    assert before < 0.93
    assert dice(mask, scores > 0) > before + 0.03


def test_the_mark_of_the_result_is_the_given_one(settings):
    mask, image = lobed(0)
    given = fit_ellipse(mask)
    # a mark that is off: the mask is moved to it, for it is what is known
    wrong = Ellipse(
        given.cx + 3, given.cy - 2, given.width * 1.1, given.height, given.angle_deg + 5
    )
    for ellipse in (given, wrong):
        found = fit_ellipse(refine_scores(image, ellipse, settings, ct=False) > 0)
        both = [draw_ellipse(one, SHAPE) for one in (found, ellipse)]
        assert dice(*both) > 0.97


def test_channels_of_ct_are_slices(settings):
    mask, _ = lobed(1)
    rng = np.random.default_rng(0)
    grey = (110 + 40 * mask + rng.normal(0, 8, SHAPE)).clip(0, 255).astype(np.uint8)
    ellipse = fit_ellipse(mask)
    scores = refine_scores(np.repeat(grey[..., None], 3, axis=2), ellipse, settings, ct=True)
    assert dice(mask, scores > 0) > dice(mask, draw_ellipse(ellipse, SHAPE))


def test_the_affine_map_takes_one_ellipse_onto_the_other():
    rng = np.random.default_rng(0)
    for _ in range(50):
        first, second = (
            Ellipse(*rng.uniform(30, 60, 2), *rng.uniform(10, 40, 2), rng.uniform(0, 180))
            for _ in range(2)
        )
        affine = affine_between(first, second)
        linear, moved = affine[:, :2], affine[:, 2]
        np.testing.assert_allclose(linear, linear.T, atol=1e-8)
        assert np.linalg.eigvalsh(linear).min() > 0
        np.testing.assert_allclose(
            linear @ first.shape_matrix() @ linear.T, second.shape_matrix(), rtol=1e-6, atol=1e-6
        )
        np.testing.assert_allclose(
            linear @ [first.cx, first.cy] + moved, [second.cx, second.cy], atol=1e-8
        )
    same = affine_between(first, first)
    np.testing.assert_allclose(same, [[1, 0, 0], [0, 1, 0]], atol=1e-6)


def test_radius_is_one_on_the_ellipse():
    ellipse = Ellipse(50.0, 40.0, 40.0, 20.0, 30.0)
    radius = elliptic_radius(ellipse, SHAPE)
    assert radius[40, 50] == pytest.approx(0, abs=1e-3)
    assert np.array_equal(radius <= 1, draw_ellipse(ellipse, SHAPE))
    theta = math.radians(30)
    end = radius[round(40 + 20 * math.sin(theta)), round(50 + 20 * math.cos(theta))]
    assert end == pytest.approx(1, abs=0.05)


def test_the_part_on_the_mark_is_taken_without_its_holes():
    mask = np.zeros(SHAPE, bool)
    mask[30:60, 30:60] = True
    mask[40:45, 40:45] = False
    mask[80:118, 80:118] = True  # larger, but elsewhere
    part = main_part(mask, Ellipse(45.0, 45.0, 30.0, 30.0, 0.0))
    assert part[42, 42]
    assert part.sum() == 30 * 30
    assert main_part(mask, Ellipse(10.0, 100.0, 8.0, 8.0, 0.0)) is None


def test_where_levels_cannot_decide_there_are_no_scores(settings):
    _, image = lobed(0)
    assert refine_scores(image, Ellipse(60.0, 60.0, 3.0, 3.0, 0.0), settings, ct=False) is None
    assert (
        make_consistent(np.full(SHAPE, -1.0, np.float32), Ellipse(60.0, 60.0, 9.0, 9.0, 0.0))
        is None
    )


def test_hair_is_replaced_and_the_rest_is_kept():
    image = np.full((120, 160, 3), (200, 150, 130), np.uint8)
    haired = image.copy()
    cv2.line(haired, (5, 10), (150, 100), (30, 20, 20), 2)
    assert np.abs(without_hair(haired).astype(int) - image).max() < 12
    assert np.array_equal(without_hair(image), image)


def test_targets_are_joined_by_id_and_channels_by_their_order(patches, constants, tmp_path):
    (tmp_path / "choice.json").write_text('{"prior_weight": 5.0}')
    draw_ellipses(
        samples_csv=patches / "samples.csv",
        images_npy=patches / "images.npy",
        ellipses_csv=tmp_path / "ellipses.csv",
        target_npy=tmp_path / "ellipse.npy",
        center="midpoint",
        outline_px=0.0,
    )
    table = pd.read_csv(tmp_path / "ellipses.csv")[:20]
    table.to_csv(tmp_path / "ellipses.csv", index=False)
    table[::-1].to_csv(tmp_path / "reversed.csv", index=False)
    images = np.load(patches / "images.npy")
    np.save(tmp_path / "bgr.npy", images[..., ::-1])
    made = {}
    for name, ids, pictures, order, shape in (
        ("plain", "ellipses.csv", patches / "images.npy", "rgb", "ellipse"),
        ("reversed", "reversed.csv", patches / "images.npy", "rgb", "ellipse"),
        ("bgr", "ellipses.csv", tmp_path / "bgr.npy", "bgr", "ellipse"),
        ("ends", "ellipses.csv", patches / "images.npy", "rgb", "ends"),
        ("ends_reversed", "reversed.csv", patches / "images.npy", "rgb", "ends"),
    ):
        draw_refined(
            images_npy=pictures,
            samples_csv=patches / "samples.csv",
            ellipses_csv=tmp_path / ids,
            target_npy=tmp_path / f"{name}.npy",
            choice_json=tmp_path / "choice.json",
            constants=constants,
            channel_order=order,
            shape=shape,
        )
        made[name] = np.load(tmp_path / f"{name}.npy")
    assert made["plain"].dtype == np.uint8
    assert made["plain"].shape == (20, *images.shape[1:3])
    assert np.array_equal(made["reversed"][::-1], made["plain"])
    assert np.array_equal(made["bgr"], made["plain"])
    assert np.array_equal(made["ends_reversed"][::-1], made["ends"])
    # these marks are ellipses' axes, so that both kinds of pseudo-masks are much alike
    assert not np.array_equal(made["ends"], made["plain"])
    assert (made["ends"] == made["plain"]).mean() > 0.97
    references = np.load(patches / "reference.npy")[:20]
    ellipses = np.load(tmp_path / "ellipse.npy")[:20]
    better = [
        dice(reference, mask) > dice(reference, ellipse)
        for reference, mask, ellipse in zip(references, made["plain"], ellipses, strict=True)
    ]
    assert np.mean(better) > 0.8
    table.assign(id=[f"x{name}" for name in table["id"]]).to_csv(tmp_path / "odd.csv", index=False)
    with pytest.raises(DataError, match="sample x"):
        draw_refined(
            images_npy=patches / "images.npy",
            samples_csv=patches / "samples.csv",
            ellipses_csv=tmp_path / "odd.csv",
            target_npy=tmp_path / "odd.npy",
            choice_json=tmp_path / "choice.json",
            constants=constants,
            channel_order="rgb",
        )


def test_radii_in_the_wrong_order(settings):
    with pytest.raises(ValueError, match="around"):
        RefinedSettings(**settings.__dict__ | {"around": (2.0, 1.2)})


def test_a_single_pseudo_mask_is_the_positive_part_of_the_scores_or_the_ellipse(settings):
    mask, image = lobed(0)
    ellipse = fit_ellipse(mask)
    scores = refine_scores(image, ellipse, settings, ct=False)
    np.testing.assert_array_equal(pseudo_mask(image, ellipse, settings), scores > 0)
    small = Ellipse(60.0, 60.0, 3.0, 3.0, 0.0)  # too few pixels for mixtures
    np.testing.assert_array_equal(pseudo_mask(image, small), draw_ellipse(small, SHAPE))


@pytest.mark.parametrize("ct", [True, False])
@pytest.mark.parametrize("kind", ["float01", "float64", "int16", "uint16", "bool", "grey", "chw"])
def test_a_single_pseudo_mask_needs_levels(ct, kind):
    mask, image = lobed(0)
    given = {
        "float01": image / 255,
        "float64": image.astype(float),
        "int16": image.astype(np.int16) - 100,
        "uint16": image.astype(np.uint16) * 256,
        "bool": image > 120,
        "grey": image[..., 0],
        "chw": image.transpose(2, 0, 1),
    }[kind]
    with pytest.raises(ValueError, match=r"^image: needs .* not \(.* Map its values to 0\.\.255"):
        pseudo_mask(given, fit_ellipse(mask), ct=ct)


@pytest.mark.workflow
def test_four_ends_lead_to_better_pseudo_masks_than_their_ellipse(settings):
    """Where diameters do not halve each other, as in marks by RECIST's own definition."""
    gains = []
    for seed in range(3):
        mask, image = lobed(seed)
        mark = recist_from_mask(mask)
        of_ends, of_ellipse = (
            dice(mask, pseudo_mask(image, shape, settings))
            for shape in (FourEnds(mark, 1.6), ellipse_from_recist(mark))
        )
        gains.append(of_ends - of_ellipse)
    assert np.mean(gains) > 0.01
