"""A group's own table of marks: from PNG, JPG and NIfTI to patches, and through the workflow."""

import json
import os
import re
import shutil
from dataclasses import replace

import nibabel
import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from PIL import Image
from running import planned, snakemake
from segmenting import SHAPE, colored, lobed, mark_of

from weaklesion.data.loaders import custom, custom_groups
from weaklesion.ellipse import Ellipse, draw_ellipse, fit_ellipse
from weaklesion.errors import DataError
from weaklesion.marks.files import state_of_files
from weaklesion.marks.table import BadMarkError, Mark, mark_ellipse
from weaklesion.metrics import dice
from weaklesion.recist import RECIST_COLUMNS, ellipse_from_recist
from weaklesion.report.sample_counts import split_samples

SETTINGS = {
    "side_px": 64,
    "on_bad_sample": "error",
    "split_seed": 1,
    "channel_order": "rgb",
    "frame": "squashed",
    "margin": 0.5,
    "window_hu": (-160, 240),
    "dense": True,
    "limit": {},
}


@pytest.fixture
def table(tmp_path):
    """Thirty lesions as PNG with dense masks: rows of the table, and masks by id."""
    rng = np.random.default_rng(7)
    rows, masks = [], {}
    for number in range(30):
        mask = lobed(rng)
        Image.fromarray(colored(mask, rng)).save(tmp_path / f"{number}.png")
        Image.fromarray(mask).save(tmp_path / f"{number}-mask.png")
        masks[f"l{number}"] = mask
        rows.append(
            {"id": f"l{number}", "image": f"{number}.png", "mask": f"{number}-mask.png"}
            | {"group": f"p{number // 2}"}
            | mark_of(mask)
        )
    return rows, masks


def made(folder, rows, **changes):
    """Write the table and make its patches: samples by id, with images and references."""
    pd.DataFrame(rows).to_csv(folder / "marks.csv", index=False)
    custom.make_patches(
        folders=[],
        table_csv=folder / "marks.csv",
        patches_dir=folder / "patches",
        settings=custom.Settings(**SETTINGS | changes),
    )
    samples = pd.read_csv(folder / "patches/samples.csv", dtype={"id": str}).set_index("id")
    arrays = [np.load(folder / f"patches/{name}.npy") for name in ("images", "reference")]
    return samples, *(dict(zip(samples.index, array, strict=True)) for array in arrays)


def told(folder):
    return json.loads((folder / "patches/patches.json").read_text())


def dropped(folder, rows, **changes):
    """What is left out of patches: line, id and cause."""
    made(folder, rows, **changes, on_bad_sample="drop")
    return told(folder)["left_out"]


def marked(samples, name):
    """The ellipse of a sample's mark, drawn in its patch."""
    return ellipse_from_recist(samples.loc[name, RECIST_COLUMNS].to_numpy(float).reshape(4, 2))


def agreement(mask, ellipse):
    return dice(mask, draw_ellipse(ellipse, mask.shape))


def agreement_in_source(mask):
    """Dice of a lesion with its mark's ellipse: what it must be in the patch, too."""
    return agreement(mask, fit_ellipse(mask))


def small(folder, image, points, **changes):
    """The sample of one mark on an image of a few pixels."""
    Image.fromarray(image).save(folder / "small.png")
    of = {"spacing": None} | changes.pop("of", {})
    mark = Mark(2, "s", folder / "small.png", None, np.array(points, float), **of)
    return custom.read_sample(mark, "small.png", "g", custom.Settings(**SETTINGS | changes))


def corner_image():
    """An image of 12 x 16 px whose columns are 0, 10, 20, ... and whose rows add 1."""
    levels = 10 * np.arange(16)[None, :] + np.arange(12)[:, None]
    return np.stack([levels, levels + 1, levels + 2], axis=2).astype(np.uint8)


def test_a_window_by_hand(tmp_path):
    """Centre (7.5, 5.5), long diameter 4, margin 0.5: 8 px from (4, 2) to (12, 10)."""
    image = corner_image()
    points = [[5.5, 5.5], [9.5, 5.5], [7.5, 4.5], [7.5, 6.5]]
    spacing = {"spacing": (0.4, 0.4)}
    sample = small(tmp_path, image, points, side_px=4, dense=False, of=spacing)
    assert sample.crop == (4, 2, 12, 10)
    # four px of the image become one
    expected = image[2:10, 4:12].reshape(4, 2, 4, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(sample.image, expected, atol=0.51)
    # pixel 5.5 of the image is 1.5 px from the window's first, whose edge is at -0.5: 2 px, 1 here
    np.testing.assert_allclose(
        sample.recist, [[0.5, 1.5], [2.5, 1.5], [1.5, 1.0], [1.5, 2.0]], atol=1e-9
    )
    assert sample.mm_per_px == pytest.approx((0.8, 0.8))
    assert (sample.id, sample.group, sample.source) == ("s", "g", "small.png")
    kept = small(tmp_path, image, points, side_px=10, dense=False, frame="source", of=spacing)
    assert kept.crop == (3, 1, 13, 11)
    np.testing.assert_array_equal(kept.image, image[1:11, 3:13])
    np.testing.assert_allclose(kept.recist, np.array(points) - (3, 1), atol=1e-9)
    assert kept.mm_per_px == pytest.approx((0.4, 0.4))


def test_a_window_over_the_border(tmp_path):
    """Its pixels are repeated, and its mask is not."""
    image, mask = corner_image(), np.zeros((12, 16), dtype=bool)
    mask[:4, :5] = True
    Image.fromarray(mask).save(tmp_path / "mask.png")
    points = [[0, 1.5], [4, 1.5], [2, 0], [2, 3]]
    changes = {"side_px": 8, "frame": "source", "of": {"mask": tmp_path / "mask.png"}}
    sample = small(tmp_path, image, points, **changes)
    assert sample.crop == (-2, -2, 6, 6)
    np.testing.assert_array_equal(sample.image[2:, 2:], image[:6, :6])
    np.testing.assert_array_equal(sample.image[0], sample.image[2])
    np.testing.assert_array_equal(sample.image[:, 0], sample.image[:, 2])
    expected = np.zeros((8, 8), dtype=np.uint8)
    expected[2:6, 2:7] = 1
    np.testing.assert_array_equal(sample.reference, expected)


def test_where_pixels_are_not_square_the_mark_is_that_of_segment(tmp_path):
    """Diameters that are perpendicular in the patient are not so in the image."""
    rng = np.random.default_rng(1)
    image = rng.integers(0, 255, (*SHAPE, 3)).astype(np.uint8)
    points = np.array([[60.0, 52.0], [100.0, 62.0], [90.0, 54.5], [70.0, 59.5]])
    spacing = (0.5, 2.0)
    options = {"side_px": 180, "frame": "source", "dense": False}
    sample = small(tmp_path, image, points, **options, of={"spacing": spacing})
    expected = mark_ellipse(points, SHAPE, spacing)
    found = ellipse_from_recist(sample.recist)
    assert found.cx + sample.crop[0] == pytest.approx(expected.cx)
    assert (found.width, found.height) == pytest.approx((expected.width, expected.height))
    assert found.angle_deg == pytest.approx(expected.angle_deg)
    drawn = [[60, 52], [100, 62], [75, 70], [85, 44]]  # by hand: not quite perpendicular
    square = small(tmp_path, image, drawn, **options, of={"spacing": (0.5, 0.5)})
    np.testing.assert_allclose(square.recist + square.crop[:2], drawn)


def test_a_part_of_the_mask_that_the_mark_does_not_touch_is_another_lesion():
    mask = np.zeros((20, 30), dtype=bool)
    mask[4:10, 3:9] = mask[12:16, 20:26] = True
    mask[10, 9] = True  # touches the first by a corner
    found = custom.marked_part(mask, Ellipse(5.5, 6.5, 5, 4, 0))
    assert found.sum() == 37
    assert not found[12:16].any()


def test_mark_and_mask_lie_on_the_patch(tmp_path, table):
    rows, masks = table
    samples, images, references = made(tmp_path, rows)
    assert sorted(samples.index) == sorted(masks)
    for name in masks:
        ellipse = marked(samples, name)
        # the lesion with half its long diameter on each side
        assert ellipse.width == pytest.approx(32, abs=1)
        assert (ellipse.cx, ellipse.cy) == pytest.approx((31.5, 31.5), abs=0.6)
        reference = references[name].astype(bool)
        expected = agreement_in_source(masks[name])
        assert agreement(reference, ellipse) == pytest.approx(expected, abs=0.02)
        inside, outside = (images[name][where].mean() for where in (reference, ~reference))
        assert inside < outside - 20
    assert told(tmp_path)["dense_reference"]
    groups = samples.groupby("group")["split"].nunique()
    assert len(groups) == 15
    assert set(groups) == {1}


def test_frame_source_keeps_the_pixels(tmp_path, table):
    rows, masks = table
    samples, images, references = made(tmp_path, rows, frame="source", side_px=180)
    for row in rows:
        sample = samples.loc[row["id"]]
        x0, y0 = int(sample["crop_x0"]), int(sample["crop_y0"])
        assert int(sample["crop_x1"]) - x0 == 180
        original = np.asarray(Image.open(tmp_path / row["image"]))
        rows_px = np.clip(np.arange(y0, y0 + 180), 0, SHAPE[0] - 1)
        columns_px = np.clip(np.arange(x0, x0 + 180), 0, SHAPE[1] - 1)
        np.testing.assert_array_equal(images[row["id"]], original[rows_px][:, columns_px])
        assert references[row["id"]].sum() == masks[row["id"]].sum()
        assert sample["long_a_x"] + x0 == pytest.approx(row["long_a_x"], abs=1e-5)
        assert sample["short_b_y"] + y0 == pytest.approx(row["short_b_y"], abs=1e-5)


def test_what_is_larger_than_the_window_is_shrunk_with_its_mark(tmp_path, table):
    rows, masks = table
    samples, _, references = made(tmp_path, rows, frame="source", side_px=48)
    for name, sample in samples.iterrows():
        side = sample["crop_x1"] - sample["crop_x0"]
        assert side > 90
        reference = references[name].astype(bool)
        expected = agreement_in_source(masks[name])
        assert agreement(reference, marked(samples, name)) == pytest.approx(expected, abs=0.03)


def test_slices_of_volumes(tmp_path):
    rng = np.random.default_rng(3)
    rows, lesions = [], []
    affine = np.diag([-0.7, 0.8, 3.0, 1.0])
    for number in range(12):
        masks = np.stack([lobed(rng).T for _ in range(3)], axis=2)
        levels = np.where(masks, 120.0, -60.0) + rng.normal(0, 20, masks.shape)
        for name, voxels in (("ct", levels.astype(np.float32)), ("seg", masks.astype(np.uint8))):
            nibabel.save(nibabel.Nifti1Image(voxels, affine), tmp_path / f"{name}{number}.nii.gz")
        for place in (0, 2):
            lesions.append(masks[..., place].T)
            rows.append(
                {"image": f"ct{number}.nii.gz", "mask": f"seg{number}.nii.gz", "slice": place}
                | mark_of(lesions[-1])
            )
    with pytest.raises(
        DataError, match=r"ct0.nii.gz is grey near .* set .*channel_order to center"
    ):
        made(tmp_path, rows)
    grey = {"frame": "source", "side_px": 200, "channel_order": "center"}
    samples, images, references = made(tmp_path, rows, **grey)
    assert len(samples) == 24
    assert list(samples.index[:2]) == ["mark-00001", "mark-00002"]
    assert set(samples["slice"]) == {0, 2}
    np.testing.assert_allclose(samples["mm_per_px_x"], 0.7, rtol=1e-6)
    np.testing.assert_allclose(samples["mm_per_px_y"], 0.8, rtol=1e-6)
    for name, lesion in zip(samples.index, lesions, strict=True):
        reference = references[name].astype(bool)
        assert reference.sum() == lesion.sum()
        expected = agreement_in_source(lesion)
        # pixels are not quite square: the mark's ellipse is that in mm
        assert agreement(reference, marked(samples, name)) == pytest.approx(expected, abs=0.03)
        assert images[name][reference].mean() == pytest.approx(255 * 280 / 400, abs=8)
    # without a group, the slices of a volume are in one split
    assert samples.groupby("source")["split"].nunique().max() == 1
    two = masks.astype(np.uint8)
    two[:3, :3] = 2
    nibabel.save(nibabel.Nifti1Image(two, affine), tmp_path / "two.nii.gz")
    rows[5] |= {"mask": "two.nii.gz"}
    nibabel.save(
        nibabel.Nifti1Image(masks.astype(np.uint8), np.eye(4)), tmp_path / "elsewhere.nii.gz"
    )
    rows[7] |= {"mask": "elsewhere.nii.gz"}
    nibabel.save(
        nibabel.Nifti1Image(masks[..., :2].astype(np.uint8), affine), tmp_path / "short.nii.gz"
    )
    rows[8] |= {"mask": "short.nii.gz"}
    with pytest.raises(DataError, match=r"3 marks cannot be used: .*line 9 .*elsewhere.*10"):
        made(tmp_path, rows, **grey)
    causes = {entry["id"]: entry["cause"] for entry in dropped(tmp_path, rows, **grey)}
    other_grid = "is not on the voxel grid of its image (shape or affine differs)"
    assert causes == {
        "mark-00006": "two.nii.gz has the levels 0, 1, 2: a mask has 0 and one other level",
        "mark-00008": f"elsewhere.nii.gz {other_grid}",
        "mark-00009": f"short.nii.gz {other_grid}",
    }


def test_what_cannot_be_seen_is_refused(tmp_path):
    rng = np.random.default_rng(3)
    mask = lobed(rng)
    affine = np.diag([0.7, 0.7, 3.0, 1.0])
    levels = np.where(mask, 120.0, -60.0).T.astype(np.float32)[..., None]
    rows = []
    for name, change in {"good": {}, "hole": {"at": np.nan}, "flat": {"fill": -900.0}}.items():
        voxels = np.full_like(levels, change["fill"]) if "fill" in change else levels.copy()
        voxels[0, 0] = np.nan  # far from the mark: padding
        voxels[80, 60] = change.get("at", voxels[80, 60])
        nibabel.save(nibabel.Nifti1Image(voxels, affine), tmp_path / f"{name}.nii")
        rows.append({"id": name, "image": f"{name}.nii"} | mark_of(mask))
    grey = (np.where(mask, 170, 90) * 257).astype(np.uint16)  # as programs export MR
    Image.fromarray(grey).save(tmp_path / "mr.png")
    rows.append({"id": "mr", "image": "mr.png"} | mark_of(mask))
    rows += [{"id": f"g{number}", "image": "good.nii"} | mark_of(mask) for number in range(3)]
    rows = [row | {"split": "train"} for row in rows]
    for number, split in enumerate(("val", "test")):
        nibabel.save(nibabel.Nifti1Image(levels, affine), tmp_path / f"more{number}.nii")
        rows.append({"id": split, "image": f"more{number}.nii", "split": split} | mark_of(mask))
    changes = {"frame": "source", "side_px": 320, "channel_order": "center", "dense": False}
    causes = {entry["id"]: entry["cause"] for entry in dropped(tmp_path, rows, **changes)}
    assert set(causes) == {"hole", "flat", "mr"}
    assert causes["mr"].startswith("mr.png has 16 bits, read as HU + 32768, but 100 % of")
    assert causes["hole"] == "hole.nii has values that are not finite near the mark"
    assert causes["flat"].startswith("the image has a single level near the mark")
    samples, _, _ = made(tmp_path, rows, **changes, on_bad_sample="drop", limit={"train": 2})
    assert samples["split"].value_counts().to_dict() == {"train": 2, "val": 1, "test": 1}


def test_an_image_or_group_is_in_one_split(tmp_path, table):
    """By lesion, by a group that is not always given, and by two spellings of one path."""
    rows, _ = table
    (tmp_path / "d").mkdir()
    for number, row in enumerate(rows):
        image = f"{number // 3}.png"
        mark = {name: rows[number // 3][name] for name in RECIST_COLUMNS}
        row |= mark | {
            "image": image,
            "mask": f"{number // 3}-mask.png",
            "group": f"lesion{number}",
        }
        if number % 3 == 1:
            row |= {"group": "", "image": f"d/../{image}"}
        if number % 3 == 2:
            row |= {"group": "N/A", "image": tmp_path / image}
    samples, _, _ = made(tmp_path, rows)
    assert len(samples) == 30
    assert samples["source"].nunique() == samples["group"].nunique() == 10
    assert samples.groupby("source")["split"].nunique().max() == 1
    assert samples.loc["l4", "group"] == "lesion3"
    split = ["train", "val", "test"]
    rows = [row | {"split": split[number % 3]} for number, row in enumerate(rows)]
    with pytest.raises(DataError, match=r"group lesion0 is in the splits test, train, val"):
        made(tmp_path, rows)


def test_few_groups_are_enough_and_too_few_are_told_of(tmp_path, table):
    rows, _ = table
    three = [row | {"group": f"p{min(number // 14, 2)}"} for number, row in enumerate(rows)]
    samples, _, _ = made(tmp_path, three)
    assert samples.groupby("split")["group"].nunique().to_dict() == {
        "train": 1, "val": 1, "test": 1
    }  # fmt: skip
    two = [row | {"group": f"p{number // 14 % 2}"} for number, row in enumerate(rows)]
    with pytest.raises(DataError, match=r"30 marks in 2 groups leave nothing for val, test\. At"):
        made(tmp_path, two)
    no_test = [row | {"split": "val" if row["group"] == "p3" else "Train"} for row in rows]
    with pytest.raises(DataError, match=r"leave nothing for test\. .* in the column split"):
        made(tmp_path, no_test)


def test_a_split_of_ones_own_is_taken(tmp_path, table):
    rows, _ = table
    own = {row["id"]: ("train", "val", "test")[number // 2 % 3] for number, row in enumerate(rows)}
    rows = [row | {"split": own[row["id"]]} for row in rows]
    samples, _, _ = made(tmp_path, rows)
    assert samples["split"].to_dict() == own
    with pytest.raises(
        DataError, match=r"30 marks cannot be used: line 2 .*0.png is coloured near"
    ):
        made(tmp_path, rows, channel_order="center")
    rows[4] |= {"split": "validation"}
    rows[5] |= {"split": ""}
    with pytest.raises(DataError, match=r"line 6 \(l4\): split is 'validation'.*line 7 \(l5\)"):
        made(tmp_path, rows)
    rows[4] |= {"split": "train"}
    rows[5] |= {"split": "test"}
    with pytest.raises(DataError, match=r"group p2 is in the splits test, train"):
        made(tmp_path, rows)


def test_all_bad_rows_are_told_of_at_once_or_left_out_and_counted(tmp_path, table):
    rows, masks = table
    grey = np.linspace(0, 255, masks["l0"].size).reshape(SHAPE).astype(np.uint8)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    Image.fromarray(masks["l0"][:50]).save(tmp_path / "small.png")
    elsewhere = np.zeros(SHAPE, dtype=bool)
    elsewhere[:4, :4] = True
    Image.fromarray(elsewhere).save(tmp_path / "elsewhere.png")
    bad = {
        1: ({"image": "nowhere.png"}, "nowhere.png does not exist"),
        3: ({"mask": ""}, "the row names no mask"),
        5: ({"mask": "lost.png"}, "lost.png does not exist"),
        7: ({"mask": "grey.png"}, "grey.png has the levels 0, 1, 2, 3, ...: a mask has 0 and one"),
        9: ({"mask": "small.png"}, "small.png has 160x50 px, but its image 160x120"),
        11: ({"mask": "elsewhere.png"}, "its mask does not lie at its mark"),
        13: ({"long_a_x": "left"}, "long_a_x is 'left', which is not a number"),
        15: ({"id": "l0"}, "the id l0 is also that of line 2"),
        17: ({"long_a_x": 400}, "is outside the image of 160x120 px"),
    }
    rows = [row | bad.get(number, ({}, ""))[0] for number, row in enumerate(rows)]
    with pytest.raises(DataError) as error:
        made(tmp_path, rows)
    message = str(error.value)
    assert f"{tmp_path / 'marks.csv'}: 9 marks cannot be used: line 3 (l1): " in message
    for number, (_, cause) in list(bad.items())[: custom.MAX_LISTED]:
        assert cause in message, cause
        assert f"line {number + 2} (" in message
    assert "; and 4 more (all are in the log). Correct the rows" in message
    assert not (tmp_path / "patches/images.npy").exists()
    left_out = dropped(tmp_path, rows)
    samples = pd.read_csv(tmp_path / "patches/samples.csv").set_index("id")
    assert sorted(samples.index) == sorted(f"l{n}" for n in range(30) if n not in bad)
    assert [(entry["line"], entry["id"]) for entry in left_out] == [
        (number + 2, rows[number]["id"]) for number in bad
    ]
    for entry, (_, cause) in zip(left_out, bad.values(), strict=True):
        assert cause in entry["cause"]
    content = told(tmp_path)
    assert content["found"] == content["rows"] == 30
    (counted,) = content["dropped"]
    assert (counted["reason"], counted["count"]) == (custom.LEFT_OUT, 9)
    assert "l0 (line 17)" in counted["ids"]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-a", "@x"])
@pytest.mark.parametrize("column", ["id", "group"])
def test_a_text_that_a_spreadsheet_computes_is_refused(tmp_path, table, column, text):
    rows, _ = table
    rows[3] |= {column: text}
    cause = f"the {column} {text!r} is one that spreadsheets compute: begin it with a letter"
    name = text if column == "id" else "l3"
    with pytest.raises(DataError, match=re.escape(f"line 5 ({name}): {cause}")):
        made(tmp_path, rows)


def test_negative_numbers_and_paths_are_texts_as_any(tmp_path, table):
    """Ids byte for byte; a path that a spreadsheet computes begins with `./`, which it does not."""
    rows, _ = table
    (tmp_path / "@home").mkdir()
    (tmp_path / "3.png").rename(tmp_path / "@home/3.png")
    rows[3] |= {"id": "-7", "group": "-0.5", "image": "@home/3.png"}
    rows[4] |= {"id": "l=4", "group": "p-1"}
    samples, *_ = made(tmp_path, rows)
    assert samples.loc["-7", ["group", "source"]].tolist() == ["-0.5", "./@home/3.png"]
    assert samples.loc["l=4", ["group", "source"]].tolist() == ["p-1", "4.png"]
    assert (tmp_path / samples.loc["-7", "source"]).is_file()


def test_many_bad_rows_are_all_logged(tmp_path, table, caplog):
    rows, _ = table
    rows = [row | {"image": "nowhere.png"} for row in rows]
    with pytest.raises(
        DataError, match=r"30 marks cannot .*; and 25 more \(all are in the log\)\. Correct"
    ):
        made(tmp_path, rows)
    for number in range(30):
        assert f"line {number + 2} (l{number}): the image {tmp_path}" in caplog.text


def test_state_of_the_files_that_a_table_names(tmp_path, table):
    rows, _ = table
    rows[2] |= {"image": "nowhere.png", "mask": "x" * 300}
    rows[3] |= {"image": "gone.png"}
    pd.DataFrame(rows).to_csv(tmp_path / "marks.csv", index=False)

    def state(*columns):
        return state_of_files(tmp_path / "marks.csv", *columns, all_needed=False)

    before, with_masks = state("image"), state("image", "mask")
    assert len({before, with_masks}) == 2
    os.utime(tmp_path / "4-mask.png", (0, 0))
    assert state("image") == before
    assert state("image", "mask") != with_masks
    (tmp_path / "nowhere.png").touch()
    assert state("image") != before
    (tmp_path / "nowhere.png").unlink()
    assert state("image") == before
    with pytest.raises(DataError, match=r"lost.csv: cannot be read as a table"):
        state_of_files(tmp_path / "lost.csv", "image", all_needed=False)
    needed = (
        r"2 of the 30 files that it names do not exist: line 4: nowhere.png; line 5: gone.png\. "
        r"Che.*on_bad_sample: drop"
    )
    with pytest.raises(DataError, match=needed):
        state_of_files(tmp_path / "marks.csv", "image", all_needed=True)
    for path in tmp_path.glob("*.png"):
        path.unlink()
    with pytest.raises(DataError, match=r"30 of the 30 .*; and 20 more\. Check .* folder\.$"):
        state("image")


def test_the_plan_counts_the_rows(tmp_path, table):
    pd.DataFrame(table[0]).to_csv(tmp_path / "marks.csv", index=False)
    own = {"loader": "custom", "marks": str(tmp_path / "marks.csv")}
    assert sum(split_samples({"datasets": {"own": own}}, "own", {}).values()) == 30


@pytest.mark.workflow
def test_the_study_of_own_marks(tmp_path, table):
    """From the table to patches; a changed image makes them again, another file does not."""
    rows, _ = table
    (tmp_path / "data").mkdir()
    for path in tmp_path.glob("*.png"):
        path.rename(tmp_path / "data" / path.name)
    pd.DataFrame(rows).to_csv(tmp_path / "data/marks.csv", index=False)
    study = ("--configfile", ROOT / "workflow/studies/own-marks.yaml")
    study += ("--config", "datasets={own: {marks: data/marks.csv}}")
    jobs = planned(tmp_path, *study)
    assert jobs["make_patches"] == 1
    assert jobs["train_arm"] == 2
    assert "download_file" not in jobs
    patches = "results/own-marks/own/own/patches/samples.csv"
    snakemake(tmp_path, patches, *study)
    assert len(pd.read_csv(tmp_path / patches)) == 30
    shutil.copy(tmp_path / "data/1-mask.png", tmp_path / "data/0-mask.png")  # nothing reads these
    assert planned(tmp_path, patches, *study) == {}
    shutil.copy(tmp_path / "data/1.png", tmp_path / "data/0.png")
    assert planned(tmp_path, patches, *study)["make_patches"] == 1
    (tmp_path / "data/0.png").unlink()  # nothing is lost for that
    missing = snakemake(tmp_path, patches, *study, expect=1)
    assert "1 of the 30 files that it names do not exist: line 2: 0.png" in missing
    assert len(pd.read_csv(tmp_path / patches)) == 30
    (tmp_path / "elsewhere").mkdir()
    wrong = snakemake(tmp_path / "elsewhere", "-n", *study, expect=1)
    assert "datasets.own.marks: there is no file data/marks.csv. Put the table" in wrong


def test_an_inverted_mask_is_refused_by_row(tmp_path, table):
    rows, masks = table
    for number in (3, 8):
        Image.fromarray(~masks[f"l{number}"]).save(tmp_path / f"{number}-mask.png")
    causes = {entry["id"]: entry["cause"] for entry in dropped(tmp_path, rows)}
    assert set(causes) == {"l3", "l8"}
    assert (
        "% of the mark's ellipse, and 100 % of the image around it: is the mask inv" in causes["l3"]
    )


def test_a_mask_that_hardly_touches_its_mark_is_refused_and_half_a_lesion_is_not():
    ellipse = Ellipse(20, 20, 20, 16, 0)
    drawn = draw_ellipse(ellipse, (40, 60))
    half = drawn & (np.arange(60) < 20)
    assert (custom.marked_part(half, ellipse) == half).all()
    edge = np.zeros_like(drawn)
    edge[:, 29:50] = True
    with pytest.raises(BadMarkError, match=r"covers only [1-9] % of the mark's ellipse"):
        custom.marked_part(edge, ellipse)
    everything = np.ones_like(drawn)
    everything[0] = False
    assert (custom.marked_part(everything, ellipse) == everything).all()


@pytest.mark.parametrize(
    "spellings",
    [
        ("P1", "p1"),
        ("P 1", "P  1"),
        ("7", "007"),
        ("7", "7.0"),
        ("P\u00a01", "P 1"),
        ("é", "e\u0301"),
    ],
    ids=str,
)
def test_a_patient_is_one_group_however_the_name_is_spelt(tmp_path, caplog, spellings):
    marks = [
        Mark(n + 2, str(n), tmp_path / f"{n}.png", None, np.zeros((4, 2)), None, group=name)
        for n, name in enumerate([*spellings, "other", "P12"])
    ]
    groups = custom_groups.groups_of(marks, tmp_path)
    assert list(groups.values()) == [spellings[0], spellings[0], "other", "P12"]
    assert f"group: names that barely differ are treated as one: {spellings[1]!r} is" in caplog.text


def test_an_image_under_two_names_is_one_image(tmp_path, caplog):
    for name, content in (("a", b"x" * 9), ("b", b"x" * 9), ("c", b"y" * 9), ("d", b"x" * 8)):
        (tmp_path / name).write_bytes(content)
    marks = [Mark(2, n, tmp_path / n, None, np.zeros((4, 2)), None) for n in "abcde"]
    groups = custom_groups.groups_of(marks, tmp_path)
    assert groups == {"a": "a", "b": "a", "c": "c", "d": "d", "e": "e"}
    assert "one image under several names" in caplog.text
    split = [replace(mark, split="train") for mark in marks]  # splits of one's own: told of only
    assert custom_groups.groups_of(split, tmp_path)["b"] == "b"


def test_lesions_that_share_pixels_are_noted(tmp_path, table):
    rows, _ = table
    for number in (1, 2):  # two marks on the image and mask of lesion 0
        rows[number] |= rows[0] | {"id": f"l{number}"}
    samples, _, _ = made(tmp_path, rows)
    notes = samples["note"].fillna("").to_dict()
    assert notes["l0"] == notes["l3"] == ""
    assert notes["l1"] == notes["l2"] == "its lesion shares pixels with that of another mark"
    (note,) = told(tmp_path)["notes"]
    assert note["count"] == 2


def test_diameters_that_miss_each_other_are_noted(tmp_path, table):
    rows, _ = table
    ends = np.array([rows[2][name] for name in RECIST_COLUMNS]).reshape(4, 2)
    along = ends[1] - ends[0]
    ends[2:] += ends[1] + 0.2 * along - ends[2:].mean(axis=0)  # a fifth beyond the long one's end
    rows[2] |= dict(zip(RECIST_COLUMNS, ends.ravel().tolist(), strict=True))
    samples, _, _ = made(tmp_path, rows)
    notes = samples["note"].fillna("").to_dict()
    assert notes.pop("l2") == (
        "its diameters do not cross: one misses the other by 0.2 of its length. Are their ends"
        " right?"
    )
    assert set(notes.values()) == {""}


def test_a_spacing_in_doubt_is_noted(tmp_path, table):
    rows, _ = table
    rows = [row | {"spacing_x": 0.7, "spacing_y": 0.7} for row in rows]
    rows[4] |= {"spacing_x": 0.0007, "spacing_y": 0.0007}
    samples, _, _ = made(tmp_path, rows)
    notes = samples["note"].fillna("").to_dict()
    assert "mm, which no lesion has: is the spacing right?" in notes.pop("l4")
    assert set(notes.values()) == {""}
