"""A group's own table of marks: from PNG, JPG and NIfTI to patches, and through the workflow."""

import json
import os
import shutil

import nibabel
import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from PIL import Image
from segmenting import SHAPE, colored, lobed, mark_of

from weaklesion.datasets import custom
from weaklesion.ellipse import draw_ellipse, fit_ellipse
from weaklesion.errors import DataError
from weaklesion.mark_table import state_of_files
from weaklesion.metrics import dice
from weaklesion.plan import num_samples
from weaklesion.recist import ellipse_from_recist
from weaklesion.samples import RECIST_COLUMNS
from workflow import planned, snakemake

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


def marked(samples, name):
    """The ellipse of a sample's mark, drawn in its patch."""
    return ellipse_from_recist(samples.loc[name, RECIST_COLUMNS].to_numpy(float).reshape(4, 2))


def agreement(mask, ellipse):
    return dice(mask, draw_ellipse(ellipse, mask.shape))


def agreement_in_source(mask):
    """Dice of a lesion with its mark's ellipse: what it must be in the patch, too."""
    return agreement(mask, fit_ellipse(mask))


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
    with pytest.raises(DataError, match=r"ct0.nii.gz is grey, .* set .*channel_order to center"):
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
        assert agreement(reference, marked(samples, name)) == pytest.approx(expected, abs=0.01)
        assert images[name][reference].mean() == pytest.approx(255 * 280 / 400, abs=8)
    # without a group, the slices of a volume are in one split
    assert samples.groupby("source")["split"].nunique().max() == 1
    rows[5] |= {"mask": "seg0.nii.gz"}
    nibabel.save(
        nibabel.Nifti1Image(masks.astype(np.uint8), np.eye(4)), tmp_path / "elsewhere.nii.gz"
    )
    rows[7] |= {"mask": "elsewhere.nii.gz"}
    nibabel.save(
        nibabel.Nifti1Image(masks[..., :2].astype(np.uint8), affine), tmp_path / "short.nii.gz"
    )
    rows[8] |= {"mask": "short.nii.gz"}
    with pytest.raises(DataError, match=r"2 marks cannot be used: line 9 .*elsewhere.*line 10"):
        made(tmp_path, rows, **grey)


def test_a_split_of_ones_own_is_taken(tmp_path, table):
    rows, _ = table
    own = {row["id"]: ("train", "val", "test")[number // 2 % 3] for number, row in enumerate(rows)}
    rows = [row | {"split": own[row["id"]]} for row in rows]
    samples, _, _ = made(tmp_path, rows)
    assert samples["split"].to_dict() == own
    with pytest.raises(DataError, match=r"30 marks cannot be used: line 2 .*0.png is coloured"):
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
        1: ({"image": "nowhere.png"}, "there is no image"),
        3: ({"mask": ""}, "no mask is given"),
        5: ({"mask": "lost.png"}, "there is no mask"),
        7: ({"mask": "grey.png"}, "grey.png has the levels 0, 1, 2, 3, ...: a mask has 0 and one"),
        9: ({"mask": "small.png"}, "small.png is 160x50 px, and its image 160x120"),
        11: ({"mask": "elsewhere.png"}, "its mask lies elsewhere than its mark"),
        13: ({"long_a_x": "left"}, "long_a_x is 'left', which is no number"),
        15: ({"id": "l0"}, "the id l0 is that of line 2, too"),
        17: ({"long_a_x": 400}, "is outside the image of 160x120 px"),
    }
    rows = [row | bad.get(number, ({}, ""))[0] for number, row in enumerate(rows)]
    with pytest.raises(DataError) as error:
        made(tmp_path, rows)
    message = str(error.value)
    assert f"{tmp_path / 'marks.csv'}: 9 marks cannot be used: line 3 (l1): " in message
    for number, (_, cause) in bad.items():
        assert cause in message, cause
        assert f"line {number + 2} (" in message
    assert not (tmp_path / "patches/images.npy").exists()
    samples, _, _ = made(tmp_path, rows, on_bad_sample="drop")
    assert sorted(samples.index) == sorted(f"l{n}" for n in range(30) if n not in bad)
    content = told(tmp_path)
    assert content["found"] == content["rows"] == 30
    (dropped,) = content["dropped"]
    assert (dropped["reason"], dropped["count"]) == (custom.LEFT_OUT, 9)
    assert "l0 (line 17)" in dropped["ids"]


def test_state_of_the_files_that_a_table_names(tmp_path, table):
    rows, _ = table
    rows[2] |= {"image": "nowhere.png", "mask": "x" * 300}
    pd.DataFrame(rows).to_csv(tmp_path / "marks.csv", index=False)

    def state(*columns):
        return state_of_files(tmp_path / "marks.csv", *columns)

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
        state_of_files(tmp_path / "lost.csv", "image")


def test_the_plan_counts_the_rows(tmp_path, table):
    pd.DataFrame(table[0]).to_csv(tmp_path / "marks.csv", index=False)
    own = {"loader": "custom", "marks": str(tmp_path / "marks.csv")}
    assert num_samples({"datasets": {"own": own}}, "own", {}) == 30


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
    assert planned(tmp_path, patches, *study) == {}
    shutil.copy(tmp_path / "data/1-mask.png", tmp_path / "data/0-mask.png")  # nothing reads these
    assert planned(tmp_path, patches, *study) == {}
    shutil.copy(tmp_path / "data/1.png", tmp_path / "data/0.png")
    assert planned(tmp_path, patches, *study)["make_patches"] == 1
    (tmp_path / "elsewhere").mkdir()
    wrong = snakemake(tmp_path / "elsewhere", "-n", *study, expect=1)
    assert "datasets.own.marks: there is no file data/marks.csv. Put the table" in wrong
