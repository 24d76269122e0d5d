import numpy as np
import pandas as pd
import pytest
from conftest import make_ham10k

from weaklesion.data.ellipse_table import read_ellipses
from weaklesion.data.samples import read_samples
from weaklesion.ellipse import draw_ellipse, ellipse_iou
from weaklesion.errors import DataError
from weaklesion.metrics import dice
from weaklesion.quadrants import quadrant_shape
from weaklesion.recist import RECIST_COLUMNS, ellipse_from_recist, recist_from_ellipse
from weaklesion.supervision.ellipses import draw_ellipses
from weaklesion.supervision.ends import draw_ends
from weaklesion.supervision.grabcut import GrabCutSettings, draw_grabcut
from weaklesion.supervision.pseudo_masks import draw_refined
from weaklesion.support.files import read_array


def draw(samples_csv, images_npy, folder, **options):
    draw_ellipses(
        samples_csv=samples_csv,
        images_npy=images_npy,
        ellipses_csv=folder / "ellipses.csv",
        target_npy=folder / "ellipse.npy",
        center="midpoint",
        outline_px=0.0,
        **options,
    )


def with_mark(patches, folder, row, points):
    """Copy the table of samples with another mark in one row."""
    table = pd.read_csv(patches / "samples.csv")
    table.loc[row, RECIST_COLUMNS] = np.ravel(points).astype(float)
    table.to_csv(folder / "samples.csv", index=False)
    return table["id"][row]


def test_targets_are_the_drawn_ellipses(patches, tmp_path):
    draw(patches / "samples.csv", patches / "images.npy", tmp_path)
    ellipses = read_ellipses(tmp_path / "ellipses.csv")
    target = read_array(tmp_path / "ellipse.npy")
    ids = list(read_samples(patches / "samples.csv").index)
    assert list(ellipses) == ids
    for row, sample_id in enumerate(ids):
        assert (target[row] == draw_ellipse(ellipses[sample_id], (64, 64))).all()


def ends_of(folder, exponent=2.0, **files):
    draw_ends(
        **({"images_npy": folder / "images.npy"} | files),
        ellipses_csv=folder / "ellipses.csv",
        target_npy=folder / "ends.npy",
        exponent=exponent,
    )
    return read_array(folder / "ends.npy")


@pytest.mark.parametrize("exponent", [1.8, 2.0])
def test_targets_of_ends_are_the_shapes_through_the_marks_ends(phantom, tmp_path, exponent):
    make_ham10k(phantom, tmp_path, simulated_marks="recist")
    draw(tmp_path / "samples.csv", tmp_path / "images.npy", tmp_path)
    target = ends_of(tmp_path, exponent)
    samples = read_samples(tmp_path / "samples.csv")
    marks = samples[RECIST_COLUMNS].to_numpy(float).reshape(-1, 4, 2)
    assert target.shape == (len(samples), 64, 64)
    for mask, points in zip(target, marks, strict=True):
        assert (mask == quadrant_shape(points, (64, 64), exponent=exponent)).all()
    reference = read_array(tmp_path / "reference.npy").astype(bool)
    ellipse = read_array(tmp_path / "ellipse.npy").astype(bool)
    overlaps = [[dice(a, b) for a, b in zip(reference, masks.astype(bool), strict=True)]
                for masks in (target, ellipse)]  # fmt: skip
    assert np.mean(overlaps[0]) > np.mean(overlaps[1])


def test_without_a_shape_the_axes_of_the_ellipse_are_the_ends(patches, tmp_path, caplog):
    """As wherever else the four ends of marks are read."""
    table = pd.read_csv(patches / "samples.csv")
    for axis in "xy":  # the short diameter parallel to the long one; another one elsewhere
        for end in "ab":
            table.loc[4, f"short_{end}_{axis}"] = table.loc[4, f"long_{end}_{axis}"] + 1.0
        table.loc[7, [f"short_a_{axis}", f"short_b_{axis}"]] += 60.0
    table.loc[4, "short_b_x"] += 0.5
    table.to_csv(tmp_path / "samples.csv", index=False)
    draw(tmp_path / "samples.csv", patches / "images.npy", tmp_path)
    with caplog.at_level("INFO"):
        target = ends_of(tmp_path, images_npy=patches / "images.npy", exponent=1.6)
    ellipses = read_ellipses(tmp_path / "ellipses.csv")
    for row, cause in ((4, "nearly parallel"), (7, "do not cross")):
        name = table["id"][row]
        axes = recist_from_ellipse(ellipses[name])
        assert (target[row] == quadrant_shape(axes, (64, 64), exponent=1.6)).all()
        assert f"{name}: the axes of its ellipse are taken, because the diameters" in caplog.text
        assert cause in caplog.text


def test_a_shape_without_a_pixel_centre_becomes_its_ellipse(patches, tmp_path, caplog):
    table = pd.read_csv(patches / "samples.csv")
    middle = table.loc[2, ["long_a_x", "long_a_y"]].round() + 0.4
    for end, (x, y) in {"long_a": (-0.6, 0), "long_b": (0.6, 0),
                        "short_a": (0, -0.6), "short_b": (0, 0.6)}.items():  # fmt: skip
        table.loc[2, [f"{end}_x", f"{end}_y"]] = middle.to_numpy(float) + np.array([x, y])
    table.to_csv(tmp_path / "samples.csv", index=False)
    draw(tmp_path / "samples.csv", patches / "images.npy", tmp_path)
    with caplog.at_level("INFO"):
        target = ends_of(tmp_path, images_npy=patches / "images.npy", exponent=1.0)
    count = len(table) - 1
    assert target[2].sum() == 1
    assert f"drew {count} quadrant shapes with exponent 1, and 1 ellipses" in caplog.text


def test_an_ellipse_measured_in_the_source_is_resized_with_its_patch(phantom, patches, tmp_path):
    """A patch of 64x64 px of an image of 120x90: what is drawn is the resized ellipse."""
    make_ham10k(phantom, tmp_path, simulated_marks="recist")
    files = {"samples_csv": tmp_path / "samples.csv", "images_npy": tmp_path / "images.npy"}
    masks = {}
    for measured_in_source in (True, False):
        draw_ellipses(
            **files,
            ellipses_csv=tmp_path / "ellipses.csv",
            target_npy=tmp_path / "ellipse.npy",
            center="midpoint",
            outline_px=0.0,
            measured_in_source=measured_in_source,
        )
        masks[measured_in_source] = read_array(tmp_path / "ellipse.npy").astype(bool)
        if measured_in_source:
            ellipses = read_ellipses(tmp_path / "ellipses.csv")
    samples = read_samples(tmp_path / "samples.csv")
    marks = samples[RECIST_COLUMNS].to_numpy(float).reshape(-1, 4, 2)
    for (name, ellipse), points in zip(ellipses.items(), marks, strict=True):
        in_source = (points + 0.5) * (120 / 64, 90 / 64) - 0.5
        expected = ellipse_from_recist(in_source).resized((90, 120), (64, 64))
        assert ellipse_iou(ellipse, expected) > 0.99, name
    assert (masks[True] ^ masks[False]).any(axis=(1, 2)).mean() > 0.5
    reference = read_array(patches / "reference.npy").astype(bool)
    overlap = {key: np.mean([dice(*p) for p in zip(reference, m, strict=True)])
               for key, m in masks.items()}  # fmt: skip
    assert overlap[True] > overlap[False]


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [("long_b_x", float("nan"), "finite"), ("long_a_x", 5000.0, "covers no pixel")],
)
def test_bad_mark_names_the_file_and_the_sample(patches, tmp_path, column, value, message):
    table = pd.read_csv(patches / "samples.csv")
    table.loc[4, column] = value
    if value == value:
        for name in [c for c in table if (c.endswith("_x") and "_a_" in c) or "_b_x" in c]:
            table.loc[4, name] += 5000.0
    table.to_csv(tmp_path / "samples.csv", index=False)
    with pytest.raises(DataError, match=rf"samples\.csv: sample {table['id'][4]}: .*{message}"):
        draw(tmp_path / "samples.csv", patches / "images.npy", tmp_path)
    assert not (tmp_path / "ellipse.npy").exists()


BETWEEN_PIXELS = [(20.3, 30.5), (20.7, 30.5), (20.5, 30.3), (20.5, 30.7)]
BESIDE_THE_PATCH = [(80, 30), (90, 30), (85, 26), (85, 34)]


@pytest.mark.parametrize("shape", ["ellipse", "ends"])
def test_a_mark_between_pixel_centres_is_a_pseudo_mask_of_one_pixel(patches, tmp_path, shape):
    with_mark(patches, tmp_path, 4, np.array(BETWEEN_PIXELS) + 0.1)
    draw(tmp_path / "samples.csv", patches / "images.npy", tmp_path)
    marks = pd.read_csv(tmp_path / "ellipses.csv")[3:5]
    marks.to_csv(tmp_path / "ellipses.csv", index=False)
    (tmp_path / "choice.json").write_text('{"prior_weight": 5.0}')
    draw_refined(
        images_npy=patches / "images.npy",
        samples_csv=tmp_path / "samples.csv",
        ellipses_csv=tmp_path / "ellipses.csv",
        target_npy=tmp_path / "refined.npy",
        choice_json=tmp_path / "choice.json",
        constants={},
        channel_order="rgb",
        shape=shape,
    )
    other, small = read_array(tmp_path / "refined.npy")
    assert other.sum() > 100
    assert np.argwhere(small).tolist() == [[31, 21]]


def test_a_mark_between_pixel_centres_is_a_target_of_one_pixel(patches, tmp_path):
    """DeepLesion's official table has marks shorter than a pixel."""
    with_mark(patches, tmp_path, 4, np.array(BETWEEN_PIXELS) + 0.1)
    draw(tmp_path / "samples.csv", patches / "images.npy", tmp_path)
    target = read_array(tmp_path / "ellipse.npy")
    assert np.argwhere(target[4]).tolist() == [[31, 21]]
    target = ends_of(tmp_path, images_npy=patches / "images.npy", exponent=1.6)
    assert np.argwhere(target[4]).tolist() == [[31, 21]]


def test_released_marks_beside_their_patch_have_empty_targets(patches, tmp_path, caplog):
    """Marks that are not scaled with their image (G7) may miss the patch altogether."""
    name = with_mark(patches, tmp_path, 4, BESIDE_THE_PATCH)
    with pytest.raises(DataError, match="covers no pixel"):
        draw(tmp_path / "samples.csv", patches / "images.npy", tmp_path)
    draw(tmp_path / "samples.csv", patches / "images.npy", tmp_path, outside="empty")
    assert f"1 ellipses lie outside their patches, as in the released code (G6, G7), so that their"\
        f" targets are empty: {name}" in caplog.text  # fmt: skip
    draw_grabcut(
        samples_csv=tmp_path / "samples.csv",
        images_npy=patches / "images.npy",
        ellipses_csv=tmp_path / "ellipses.csv",
        ellipse_npy=tmp_path / "ellipse.npy",
        target_npy=tmp_path / "grabcut.npy",
        settings=GrabCutSettings(init="rect", zero_outside=True, shrink_px=2),
    )
    for made in ("ellipse.npy", "grabcut.npy"):
        areas = read_array(tmp_path / made).sum(axis=(1, 2))
        assert np.flatnonzero(areas == 0).tolist() == [4]
