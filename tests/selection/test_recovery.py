"""Constants chosen by the marks that they recover, without a dense mask."""

import json

import cv2
import numpy as np
import pandas as pd
import pytest

from weaklesion.data.ellipse_table import read_ellipses, read_ends
from weaklesion.ellipse import draw_ellipse, fit_ellipse
from weaklesion.errors import DataError
from weaklesion.recist import RECIST_COLUMNS, ellipse_from_recist, recist_from_ellipse
from weaklesion.selection.recovery import RecoverySettings, choose_prior_weight
from weaklesion.supervision.ellipses import draw_ellipses
from weaklesion.supervision.perturbed import draw_shrunken, perturb_marks
from weaklesion.support.files import read_array
from weaklesion.support.yaml_files import read_yaml

WEIGHTS = [1.25, 5, 40]
COUNT = 12


def lesions(folder, *, contrast, noise):
    """Patches of lesions that are no ellipses, of a contrast in noise; targets beside them."""
    rng = np.random.default_rng(0)
    yy, xx = np.mgrid[:96, :96]
    images, masks, rows = [], [], []
    for number in range(COUNT):
        radius = 25 * (1 + 0.2 * np.cos(3 * np.arctan2(yy - 48, xx - 46) + rng.uniform(0, 6)))
        mask = np.hypot(yy - 48, 1.2 * (xx - 46)) < radius
        levels = 150 - contrast * mask[..., None] + rng.normal(0, noise, (96, 96, 3))
        blurred = cv2.GaussianBlur(levels, (0, 0), 1.0)
        images.append(blurred.clip(0, 255).round().astype(np.uint8))
        masks.append(mask)
        marks = recist_from_ellipse(fit_ellipse(mask)).ravel()
        split = "test" if number >= COUNT - 2 else "val" if number >= COUNT - 4 else "train"
        row = {"id": f"s{number}", "group": f"g{number}", "split": split}
        rows.append(row | dict(zip(RECIST_COLUMNS, marks, strict=True)))
    np.save(folder / "images.npy", np.stack(images))
    pd.DataFrame(rows).to_csv(folder / "samples.csv", index=False)
    draw_ellipses(
        samples_csv=folder / "samples.csv",
        images_npy=folder / "images.npy",
        ellipses_csv=folder / "ellipses.csv",
        target_npy=folder / "ellipse.npy",
        center="midpoint",
        outline_px=0.0,
    )
    np.save(folder / "refined.npy", np.stack(masks).astype(np.uint8))
    return folder


def choose(root, folder, shape="ellipse", **changes):
    config = read_yaml(root / "config.yaml")
    choose_prior_weight(
        images_npy=folder / "images.npy",
        samples_csv=folder / "samples.csv",
        ellipses_csv=folder / "ellipses.csv",
        recovery_csv=folder / "recovery.csv",
        choice_json=folder / "choice.json",
        prior_weights=WEIGHTS,
        constants=config["protocols"]["corrected"]["supervision"]["refined"],
        recovery=RecoverySettings(**{"mark_noise": 0.1, "images": 6, "seed": 0} | changes),
        channel_order="rgb",
        shape=shape,
    )
    return json.loads((folder / "choice.json").read_text()), pd.read_csv(folder / "recovery.csv")


@pytest.mark.parametrize(("shape", "gain"), [("ellipse", 0.05), ("ends", 0.02)])
@pytest.mark.workflow
def test_where_levels_decide_they_are_trusted(root, tmp_path, shape, gain):
    choice, table = choose(root, lesions(tmp_path, contrast=60, noise=6), shape)
    assert choice["prior_weight"] < 40
    taken = table[table["prior_weight"] == choice["prior_weight"]]
    assert taken["recovered_iou"].mean() > taken["given_iou"].mean() + gain


@pytest.mark.workflow
def test_where_they_say_nothing_the_mark_is_kept(root, tmp_path):
    choice, table = choose(root, lesions(tmp_path, contrast=0, noise=20))
    assert choice["prior_weight"] == 40
    means = table.groupby("prior_weight")["recovered_iou"].mean()
    assert means.is_monotonic_increasing


@pytest.mark.workflow
def test_only_training_samples_are_drawn_and_each_weight_sees_all_of_them(root, tmp_path):
    folder = lesions(tmp_path, contrast=60, noise=6)
    _, table = choose(root, folder, images=100)
    samples = pd.read_csv(folder / "samples.csv").set_index("id")
    assert set(samples.loc[table["id"], "split"]) == {"train"}
    assert (table.groupby("prior_weight")["id"].nunique() == COUNT - 4).all()
    again, _ = choose(root, folder, images=100)
    assert again["images"] == COUNT - 4


def test_without_training_samples_there_is_nothing_to_choose_by(root, tmp_path):
    folder = lesions(tmp_path, contrast=60, noise=6)
    table = pd.read_csv(folder / "samples.csv")
    table.assign(split="test").to_csv(folder / "samples.csv", index=False)
    with pytest.raises(DataError, match="no training sample"):
        choose(root, folder)


def test_a_shrunken_ellipse_has_the_area_of_training_pseudo_masks(tmp_path):
    folder = lesions(tmp_path, contrast=60, noise=6)
    masks = np.array(read_array(folder / "refined.npy"))
    masks[-4:] = 0  # of validation and test: not to be read
    np.save(folder / "refined.npy", masks)
    draw_shrunken(
        samples_csv=folder / "samples.csv",
        ellipses_csv=folder / "ellipses.csv",
        refined_npy=folder / "refined.npy",
        target_npy=folder / "shrunken.npy",
    )
    shrunken, full = read_array(folder / "shrunken.npy"), read_array(folder / "ellipse.npy")
    wanted = np.median(masks[:-4].sum(axis=(1, 2)) / full[:-4].sum(axis=(1, 2)))
    assert 0.7 < wanted < 0.97
    assert (shrunken.sum(axis=(1, 2)) / full.sum(axis=(1, 2))).mean() == pytest.approx(
        wanted, abs=0.01
    )
    assert not (shrunken > full).any()


def test_perturbed_marks_belong_to_ids_and_grow_with_the_noise(tmp_path):
    folder = lesions(tmp_path, contrast=60, noise=6)
    exact = read_ellipses(folder / "ellipses.csv")
    moved = {}
    for size in (0.03, 0.06):
        perturb_marks(
            images_npy=folder / "images.npy",
            ellipses_csv=folder / "ellipses.csv",
            mark_noise=size,
            center="midpoint",
            ends_exponent=1.8,
            perturbed_csv=folder / "perturbed.csv",
            ellipse_npy=folder / "perturbed.npy",
            ends_npy=folder / "ends.npy",
        )
        found = read_ellipses(folder / "perturbed.csv")
        assert list(found) == list(exact)
        drawn = draw_ellipse(found["s3"], (96, 96))
        assert (read_array(folder / "perturbed.npy")[3] == drawn).all()
        ends = read_ends(folder / "perturbed.csv", 1.8)["s3"]
        assert (read_array(folder / "ends.npy")[3] == ends.drawn((96, 96))).all()
        assert found["s3"] == ellipse_from_recist(ends.points)
        moved[size] = np.array([found[name].cx - exact[name].cx for name in exact])
    assert moved[0.06] == pytest.approx(2 * moved[0.03], abs=1e-6)
    table = pd.read_csv(folder / "ellipses.csv").iloc[::-1]
    table.to_csv(folder / "ellipses.csv", index=False)
    perturb_marks(
        images_npy=folder / "images.npy",
        ellipses_csv=folder / "ellipses.csv",
        mark_noise=0.06,
        center="midpoint",
        ends_exponent=1.8,
        perturbed_csv=folder / "reversed.csv",
        ellipse_npy=folder / "reversed.npy",
        ends_npy=folder / "ends.npy",
    )
    assert read_ellipses(folder / "reversed.csv") == found
