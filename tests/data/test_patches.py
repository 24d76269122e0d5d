import json
import shutil
from dataclasses import replace

import cv2
import numpy as np
import pandas as pd
import pytest
from conftest import HAM10K, make_ham10k, real, unpack

from weaklesion.data.crops import resized
from weaklesion.data.loaders.ham10k import Settings, make_patches, read_image, read_mask
from weaklesion.data.patches import LeftOut, Sample, write_patches
from weaklesion.data.samples import read_rows, read_samples
from weaklesion.diameters import recist_from_mask
from weaklesion.ellipse import draw_ellipse, ellipse_iou
from weaklesion.errors import DataError
from weaklesion.metrics import dice
from weaklesion.recist import RECIST_COLUMNS, ellipse_from_recist
from weaklesion.support.files import file_digest, read_array
from weaklesion.support.yaml_files import read_yaml


def make(phantom, folder, **changes):
    make_ham10k(phantom, folder, **changes)
    return json.loads((folder / "patches.json").read_text())


def by_id(dirs, pattern):
    return {
        path.name.split(".")[0].removesuffix("_segmentation"): path
        for folder in dirs
        for path in folder.rglob(pattern)
    }


@pytest.mark.parametrize("shape_hw", [(100, 200), (120, 200), (300, 200)])
def test_an_axis_that_shrinks_does_so_by_area_whatever_the_other_does(shape_hw):
    stripes = np.zeros(shape_hw, np.uint8)
    stripes[:, ::2] = 255
    patch, turned = resized(stripes, 120), resized(stripes.T, 120)
    assert patch.std() < 50  # mostly grey: 81 where columns are not averaged
    assert np.abs(patch.astype(int) - turned.T).max() <= 1  # rounded between the axes


def test_every_patch_is_its_own_image_and_mask(phantom, patches):
    dirs, _ = phantom
    images, masks = by_id(dirs, "*.jpg"), by_id(dirs, "*_segmentation.png")
    samples = read_samples(patches / "samples.csv")
    arrays = read_array(patches / "images.npy"), read_array(patches / "reference.npy")
    assert len(arrays[0]) == len(arrays[1]) == len(samples) == 59
    for sample in samples.itertuples():
        image = cv2.resize(read_image(images[sample.Index]), (64, 64), interpolation=cv2.INTER_AREA)
        np.testing.assert_array_equal(arrays[0][sample.row], image)
        mask = read_mask(masks[sample.Index]).astype(np.uint8)
        small = cv2.resize(mask, (64, 64), interpolation=cv2.INTER_NEAREST_EXACT)
        np.testing.assert_array_equal(arrays[1][sample.row], small)


def test_marks_are_those_of_the_reference(patches):
    samples = read_samples(patches / "samples.csv")
    reference = read_array(patches / "reference.npy")
    for sample_id, row in samples.iterrows():
        points = row[RECIST_COLUMNS].to_numpy(dtype=float).reshape(4, 2)
        mask = draw_ellipse(ellipse_from_recist(points), (64, 64))
        assert dice(reference[row["row"]].astype(bool), mask) > 0.75, sample_id


def test_what_is_left_out_is_counted_with_its_reason(patches):
    report = json.loads((patches / "patches.json").read_text())
    assert report["found"] == 60
    assert sum(report["kept"].values()) == 59
    (dropped,) = report["dropped"]
    assert dropped["count"] == len(dropped["ids"]) == 1
    assert "hull" in dropped["reason"]
    for name, digest in report["sha256"].items():
        assert file_digest(patches / name) == digest


def test_no_lesion_is_in_two_splits(patches):
    samples = read_samples(patches / "samples.csv")
    assert (samples.groupby("group")["split"].agg(set).map(len) == 1).all()
    assert set(samples["split"]) == {"train", "val", "test"}


def test_in_the_source_frame_images_are_as_they_are(phantom, patches, tmp_path):
    report = make(phantom, tmp_path, frame="source")
    assert report["found"] == 60
    images = by_id(phantom[0], "*.jpg")
    samples, squashed = (read_samples(folder / "samples.csv") for folder in (tmp_path, patches))
    arrays = read_array(tmp_path / "images.npy"), read_array(tmp_path / "reference.npy")
    assert arrays[0].shape[1:] == (90, 120, 3)
    for name, row in samples.iterrows():
        np.testing.assert_array_equal(arrays[0][row["row"]], read_image(images[name]))
        ellipse = ellipse_from_recist(row[RECIST_COLUMNS].to_numpy(float).reshape(4, 2))
        drawn = draw_ellipse(ellipse, (90, 120))
        assert dice(arrays[1][row["row"]], drawn) > 0.75
        other = ellipse_from_recist(
            squashed.loc[name, RECIST_COLUMNS].to_numpy(float).reshape(4, 2)
        )
        assert ellipse_iou(ellipse.resized((90, 120), (64, 64)), other) > 0.99
    pd.testing.assert_series_equal(samples["split"], squashed["split"])


@pytest.mark.parametrize("frame", ["source", "squashed"])
def test_marks_by_recists_definition_are_the_diameters_of_the_mask(
    phantom, patches, tmp_path, frame
):
    """They are measured in the image as it is, and their ends mapped to the patch."""
    report = make(phantom, tmp_path, frame=frame, simulated_marks="recist")
    assert report["settings"]["simulated_marks"] == "recist"
    samples, others = (read_samples(folder / "samples.csv") for folder in (tmp_path, patches))
    marks = samples[RECIST_COLUMNS].to_numpy(float).reshape(-1, 4, 2)
    scale = (64 / 120, 64 / 90) if frame == "squashed" else (1, 1)
    masks = by_id(phantom[0], "*_segmentation.png")
    for name, points in zip(samples.index, marks, strict=True):
        expected = (recist_from_mask(read_mask(masks[name])) + 0.5) * scale - 0.5
        np.testing.assert_allclose(points, expected, atol=1e-6)
    assert len(samples) == 59
    pd.testing.assert_series_equal(samples["split"], others["split"])
    if frame == "squashed":
        for array in ("images", "reference"):
            digests = (file_digest(folder / f"{array}.npy") for folder in (tmp_path, patches))
            assert len(set(digests)) == 1
        assert not np.isclose(marks, others[RECIST_COLUMNS].to_numpy().reshape(-1, 4, 2)).all()


def test_in_the_source_frame_all_images_must_have_one_size(tmp_path):
    other = replace(made_up("d", "4"), image=np.zeros((20, 16, 3), np.uint8))
    with pytest.raises(
        DataError, match=r"sample d is \(20, 16\) px, but the samples before it are \(16, 16\)"
    ):
        write(tmp_path, [*THREE, other], APART)


def test_switches(phantom, tmp_path):
    make(phantom, tmp_path / "rgb", side_px=32)
    make(phantom, tmp_path / "bgr", side_px=32, channel_order="bgr")
    make(phantom, tmp_path / "bilinear", side_px=32, image_resize="bilinear")
    rgb, bgr, bilinear = (
        read_array(tmp_path / name / "images.npy") for name in ("rgb", "bgr", "bilinear")
    )
    np.testing.assert_array_equal(rgb, bgr[..., ::-1])
    assert not np.array_equal(rgb, bilinear)
    report = make(phantom, tmp_path / "image", side_px=32, split="image")
    assert report["kept"] == {"test": 7, "train": 41, "val": 11}
    assert report["split_order_sha256"] is not None


@pytest.mark.workflow
def test_result_does_not_depend_on_the_number_of_workers(phantom, patches, tmp_path):
    dirs, metadata = phantom
    make_patches(
        folders=dirs,
        table_csv=metadata,
        patches_dir=tmp_path,
        workers=2,
        settings=Settings(**HAM10K),
    )
    for name in ("images.npy", "reference.npy", "samples.csv", "patches.json"):
        assert (tmp_path / name).read_bytes() == (patches / name).read_bytes()


def test_limit_keeps_the_first_and_counts_the_others(phantom, patches, tmp_path):
    report = make(phantom, tmp_path, side_px=32, limit={"train": 10})
    assert report["kept"]["train"] == 10
    reasons = {entry["reason"]: entry["count"] for entry in report["dropped"]}
    assert reasons["beyond the study's limit for its split"] == 31
    full = read_samples(patches / "samples.csv")
    few = read_samples(tmp_path / "samples.csv")
    assert (full.loc[few.index, "split"] == few["split"]).all()


def test_released_split_stops_on_other_images(phantom, tmp_path):
    with pytest.raises(DataError, match="needs exactly the images"):
        make(phantom, tmp_path, split="image", released_ids_sha256="2" * 64)
    assert list(tmp_path.iterdir()) == []


def test_unreadable_image_stops_and_leaves_nothing(phantom, tmp_path):
    dirs, metadata = phantom
    shutil.copytree(dirs[0].parent, tmp_path / "copy")
    broken = sorted((tmp_path / "copy").rglob("*.jpg"))[7]
    broken.write_bytes(broken.read_bytes()[:50])
    with pytest.raises(DataError, match=rf"{broken.name}: cannot be read"):
        make_patches(
            folders=[tmp_path / "copy"],
            table_csv=metadata,
            patches_dir=tmp_path / "out",
            settings=Settings(**HAM10K),
        )
    assert list((tmp_path / "out").iterdir()) == []


def test_bad_images_are_left_out_when_asked_and_counted(phantom, tmp_path):
    dirs, metadata = phantom
    shutil.copytree(dirs[0].parent, tmp_path / "copy")
    image = sorted((tmp_path / "copy").rglob("*.jpg"))[7]
    image.write_bytes(image.read_bytes()[:500])
    broken = sorted((tmp_path / "copy").rglob("*.png"))[9]
    broken.write_bytes(b"no image")
    make_ham10k(([tmp_path / "copy"], metadata), tmp_path / "out", on_bad_sample="drop")
    report = json.loads((tmp_path / "out" / "patches.json").read_text())
    reasons = {entry["reason"]: entry["ids"] for entry in report["dropped"]}
    assert reasons["its image or mask cannot be used"] == [image.stem]
    assert reasons["its mask cannot be used"] == [broken.stem.removesuffix("_segmentation")]
    assert report["found"] == 60 == sum(report["kept"].values()) + 3


def made_up(name, group="g"):
    return Sample(
        id=name,
        group=group,
        image=np.full((16, 16, 3), 7, np.uint8),
        reference=None,
        recist=np.arange(8.0).reshape(4, 2),
        source="s",
        crop=(0, 0, 16, 16),
        mm_per_px=(0.5, 0.7),
    )


def write(folder, found, split, **changes):
    options = {"groups_apart": True, "limit": {}, "report": {}} | changes
    write_patches(folder, found, assign_splits=lambda _: split, **options)


THREE = [made_up("a", "1"), made_up("b", "2"), made_up("c", "3")]
APART = {"train": ["c"], "val": ["b"], "test": ["a"]}


@pytest.mark.parametrize("column", ["id", "group", "source"])
def test_a_text_that_a_spreadsheet_computes_is_refused_whatever_the_dataset(tmp_path, column):
    bad = replace(THREE[0], **{column: "=1+1"})
    with pytest.raises(DataError, match=r"sample .*: the \w+ '=1\+1' is one that spreadsheets"):
        write(tmp_path, [bad, *THREE[1:]], APART | {"test": [bad.id]})
    assert list(tmp_path.iterdir()) == []


def test_physical_scale_and_missing_reference_are_kept(tmp_path):
    write(tmp_path, [*THREE, LeftOut("d", "too dark")], APART)
    samples = read_samples(tmp_path / "samples.csv")
    assert samples.loc["b", ["mm_per_px_x", "mm_per_px_y"]].tolist() == [0.5, 0.7]
    report = json.loads((tmp_path / "patches.json").read_text())
    assert report["dense_reference"] is False
    assert report["dropped"] == [{"reason": "too dark", "count": 1, "ids": ["d"]}]
    assert not read_array(tmp_path / "reference.npy").any()


@pytest.mark.parametrize(
    ("found", "split", "message"),
    [
        ([*THREE, made_up("a", "4")], APART, "sample a occurs twice"),
        ([*THREE, made_up("d", "1")], {**APART, "train": ["c", "d"]}, "group 1 is in the splits"),
        (THREE, {**APART, "val": []}, "leave nothing for val"),
        ([LeftOut("a", "too dark")], APART, "no sample is left; 1 x too dark"),
    ],
)
def test_bad_sets_of_samples_leave_nothing(tmp_path, found, split, message):
    with pytest.raises(DataError, match=message):
        write(tmp_path, found, split)
    assert list(tmp_path.iterdir()) == []


def test_rows_are_found_by_id_in_any_order(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[0], [1], [2]]))
    pd.DataFrame({"id": ["c", "a", "b"]}).to_csv(tmp_path / "ids.csv", index=False)
    rows = read_rows(tmp_path / "a.npy", tmp_path / "ids.csv", ["a", "b", "c"])
    assert rows.ravel().tolist() == [1, 2, 0]
    with pytest.raises(DataError, match="sample z is not in it"):
        read_rows(tmp_path / "a.npy", tmp_path / "ids.csv", ["a", "z"])
    pd.DataFrame({"id": ["c", "a"]}).to_csv(tmp_path / "ids.csv", index=False)
    with pytest.raises(DataError, match="has 3 rows"):
        read_rows(tmp_path / "a.npy", tmp_path / "ids.csv", ["a"])
    pd.DataFrame({"id": ["c", "a", "a"]}).to_csv(tmp_path / "ids.csv", index=False)
    with pytest.raises(DataError, match="a occurs twice"):
        read_rows(tmp_path / "a.npy", tmp_path / "ids.csv", ["a"])


def test_bad_sample_tables(tmp_path):
    path = tmp_path / "samples.csv"
    path.write_text("id,group,split\na,g,train\na,g,train\n")
    with pytest.raises(DataError, match="sample a occurs twice"):
        read_samples(path)
    path.write_text("id,group,split\na,g,training\n")
    with pytest.raises(DataError, match="splits are"):
        read_samples(path)


@pytest.mark.slow
@pytest.mark.workflow
def test_real_ham10k_as_a_whole(root, tmp_path):
    dirs, metadata = unpack(real("ham10000") / "manifest.csv", tmp_path)
    config = read_yaml(root / "config.yaml")
    settings = Settings(
        **HAM10K | {"side_px": 120, "split": "image"},
        released_ids_sha256=config["datasets"]["ham10k"]["released_ids_sha256"],
    )
    make_patches(
        folders=dirs,
        table_csv=metadata,
        patches_dir=tmp_path / "patches",
        workers=2,
        settings=settings,
    )
    report = json.loads((tmp_path / "patches" / "patches.json").read_text())
    assert report["split_order_sha256"] == (
        "22faa57888e2d96e656bda849273876025727c05171827313a5b31ae83f1b312"
    )
    assert report["kept"] == {"test": 1002, "train": 7008, "val": 2002}
    (dropped,) = report["dropped"]
    assert dropped["ids"] == ["ISIC_0026042", "ISIC_0028231", "ISIC_0029819"]

    samples = read_samples(tmp_path / "patches" / "samples.csv")
    reference = read_array(tmp_path / "patches" / "reference.npy")
    scores = []
    for row, points in enumerate(samples[RECIST_COLUMNS].to_numpy().reshape(-1, 4, 2)):
        mask = draw_ellipse(ellipse_from_recist(points), (120, 120))
        scores.append(dice(reference[row].astype(bool), mask))
    # an inverted or a foreign mask would show as an ellipse that misses its reference
    assert min(scores) > 0.3
    assert np.mean(scores) == pytest.approx(0.9305, abs=0.003)

    masks = by_id(dirs, "*_segmentation.png")
    for sample_id in samples.index[::100]:
        mask = read_mask(masks[sample_id]).astype(np.uint8)
        small = cv2.resize(mask, (120, 120), interpolation=cv2.INTER_NEAREST_EXACT)
        np.testing.assert_array_equal(reference[samples.loc[sample_id, "row"]], small)
