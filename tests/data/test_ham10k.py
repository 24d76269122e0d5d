import csv
import struct
import zlib

import cv2
import numpy as np
import pandas as pd
import pytest
from conftest import unpack
from PIL import Image

from weaklesion.data.loaders.ham10k import find_samples, read_image, read_mask
from weaklesion.data.phantoms import FILES
from weaklesion.data.phantoms.ham10k import make_phantom
from weaklesion.errors import DataError


@pytest.fixture
def few(tmp_path):
    """Three images with masks and metadata, in a folder of its own."""
    folder = tmp_path / "few"
    folder.mkdir()
    rows = [["image_id", "lesion_id"]]
    for number in range(3):
        name = f"ISIC_{number:07d}"
        cv2.imwrite(str(folder / f"{name}.jpg"), np.full((30, 40, 3), 9 * number, np.uint8))
        cv2.imwrite(str(folder / f"{name}_segmentation.png"), np.zeros((30, 40), np.uint8))
        rows.append([name, f"HAM_{number // 2}"])
    with (tmp_path / "metadata.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    return folder, tmp_path / "metadata.csv"


def test_images_masks_and_lesions_are_joined_by_id(few):
    folder, metadata = few
    found = find_samples([folder], metadata)
    assert list(found["id"]) == ["ISIC_0000000", "ISIC_0000001", "ISIC_0000002"]
    assert list(found["group"]) == ["HAM_0", "HAM_0", "HAM_1"]
    for row in found.itertuples():
        assert row.id in row.image_path
        assert row.id in row.mask_path


def test_macosx_entries_do_no_harm(few):
    folder, metadata = few
    (folder / "__MACOSX").mkdir()
    (folder / "__MACOSX" / "ISIC_0000000_segmentation.png").write_bytes(b"no image")
    (folder / "._ISIC_0000000_segmentation.png").write_bytes(b"no image")
    assert len(find_samples([folder], metadata)) == 3


def test_image_without_mask(few):
    folder, metadata = few
    (folder / "ISIC_0000001_segmentation.png").unlink()
    with pytest.raises(DataError, match=r"no mask for ISIC_0000001\. Unpack"):
        find_samples([folder], metadata)


def test_mask_without_image(few):
    folder, metadata = few
    (folder / "ISIC_0000001.jpg").unlink()
    with pytest.raises(DataError, match=r"a mask without an image: ISIC_0000001\. Unpack"):
        find_samples([folder], metadata)


def test_image_without_metadata_and_doubled_metadata(few):
    folder, metadata = few
    text = metadata.read_text()
    metadata.write_text(text.replace("ISIC_0000002,HAM_1", ""))
    with pytest.raises(DataError, match="no lesion_id for ISIC_0000002"):
        find_samples([folder], metadata)
    metadata.write_text(text + "ISIC_0000002,HAM_1\n")
    with pytest.raises(DataError, match="more than one row for ISIC_0000002"):
        find_samples([folder], metadata)
    metadata.write_text("image_id\n")
    with pytest.raises(DataError, match="column lesion_id is missing"):
        find_samples([folder], metadata)


def test_doubled_image_and_no_image(few, tmp_path):
    folder, metadata = few
    (folder / "again").mkdir()
    (folder / "again" / "ISIC_0000001.jpg").write_bytes(b"")
    with pytest.raises(DataError, match="ISIC_0000001 is also at"):
        find_samples([folder], metadata)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no ISIC"):
        find_samples([tmp_path / "empty"], metadata)


@pytest.mark.parametrize("part", [0.05, 0.5, 0.98])
def test_truncated_jpg_is_never_filled_up(few, part):
    folder, _ = few
    path = folder / "ISIC_0000001.jpg"
    noise = np.random.default_rng(0).integers(0, 255, (90, 120, 3), dtype=np.uint8)
    cv2.imwrite(str(path), noise)
    path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])
    with pytest.raises(DataError, match=r"ISIC_0000001\.jpg: cannot be read"):
        read_image(path)


def test_red_is_first(tmp_path):
    image = np.zeros((16, 16, 3), np.uint8)
    image[:, :, 0] = 200
    Image.fromarray(image).save(tmp_path / "red.jpg", quality=95)
    assert read_image(tmp_path / "red.jpg").mean(axis=(0, 1))[0] > 150


def test_inverted_palette_is_read_by_grey_level(tmp_path):
    # index 0 is shown white, so the lesion is where the indices are 0
    indices = np.ones((8, 10), np.uint8)
    indices[2:5, 3:7] = 0
    image = Image.fromarray(indices).convert("P")
    image.putdata(indices.ravel().tolist())
    image.putpalette([255, 255, 255, 0, 0, 0])
    image.save(tmp_path / "mask.png")
    np.testing.assert_array_equal(np.array(Image.open(tmp_path / "mask.png")), indices)
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png"), indices == 0)


def test_bad_masks(tmp_path):
    path = tmp_path / "mask.png"
    cv2.imwrite(str(path), np.array([[0, 128]], np.uint8))
    with pytest.raises(DataError, match="grey levels"):
        read_mask(path)
    cv2.imwrite(str(path), np.zeros((30, 40), np.uint8))
    assert read_mask(path, (15, 20)).shape == (30, 40)
    with pytest.raises(DataError, match="not the same picture"):
        read_mask(path, (40, 30))
    path.write_bytes(b"\x89PNG")
    with pytest.raises(DataError, match="cannot be read"):
        read_mask(path)


def test_phantom_is_decided_by_its_seed(tmp_path):
    def made(folder, seed):
        make_phantom(folder=folder, num_images=12, seed=seed, width_px=64, height_px=48)
        return [(folder / name).read_bytes() for name in (*FILES["ham10k"], "manifest.csv")]

    assert made(tmp_path / "a", 1) == made(tmp_path / "b", 1)
    assert made(tmp_path / "a", 1) != made(tmp_path / "c", 2)


def test_phantom_has_the_traps_of_the_real_archives(tmp_path):
    make_phantom(folder=tmp_path, num_images=60, seed=1, width_px=64, height_px=48)
    dirs, metadata = unpack(tmp_path / "manifest.csv", tmp_path)
    found = find_samples(dirs, metadata)
    modes = [Image.open(path).mode for path in found["mask_path"]]
    masks = [read_mask(path) for path in found["mask_path"]]
    assert modes.count("P") == 3
    assert sum(mask.all() for mask in masks) == 1
    assert found["group"].nunique() < len(found)
    # a mask read by raw index would cover most of its image
    assert max(mask.mean() for mask in masks if not mask.all()) < 0.75


def test_people_of_the_phantom_are_its_lesions_and_some_values_are_missing(phantom):
    """All images of a lesion show the same person."""
    metadata = pd.read_csv(phantom[1], dtype=str, keep_default_na=False)
    columns = ["age", "sex", "localization"]
    people = metadata[["lesion_id", *columns]].drop_duplicates()
    assert people["lesion_id"].is_unique
    assert {"female", "male", "unknown"} == set(metadata["sex"])
    assert "" in set(metadata["age"])


def test_phantom_refuses_to_be_tiny(tmp_path):
    with pytest.raises(ValueError, match="num_images"):
        make_phantom(folder=tmp_path, num_images=9, seed=1, width_px=64, height_px=48)


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"", "is empty"),
        ("image_id,lesion_id\n1,2\n".encode("utf-16"), "is not in UTF-8"),
        (b'image_id,lesion_id\n"1,2\n', "cannot be read as a table"),
        (b"image_id,lesion_id\n1,2,3,4\n", "line 2: has 4 fields"),
        (b"image_id,lesion_id,lesion_id\n1,2,3\n", "column lesion_id occurs twice"),
    ],
    ids=["empty", "UTF-16", "open quote", "ragged", "twice"],
)
def test_metadata_that_cannot_be_read_is_named(few, content, cause):
    folder, metadata = few
    metadata.write_bytes(content)
    with pytest.raises(DataError, match=rf"metadata\.csv.*{cause}"):
        find_samples([folder], metadata)


def test_a_lesion_is_one_group_however_its_name_is_spelt(few, caplog):
    folder, metadata = few
    metadata.write_text(
        "image_id,lesion_id\nISIC_0000000,HAM_1\nISIC_0000001 ,HAM_1 \nISIC_0000002,ham_1\n,\n"
    )
    assert list(find_samples([folder], metadata)["group"]) == ["HAM_1"] * 3
    said = "lesion_id: names that barely differ are treated as one: 'ham_1' is 'HAM_1'"
    assert said in caplog.text


def test_equal_images_under_two_ids_are_told_of(few, caplog):
    folder, metadata = few
    find_samples([folder], metadata)
    assert not caplog.text
    content = (folder / "ISIC_0000000.jpg").read_bytes()
    (folder / "ISIC_0000002.jpg").write_bytes(content)
    find_samples([folder], metadata)
    assert "equal images under several ids" in caplog.text
    assert "ISIC_0000002.jpg" in caplog.text
    assert "ISIC_0000001.jpg" not in caplog.text


def test_a_bomb_is_refused_by_name(tmp_path):
    header = b"IHDR" + struct.pack(">IIBBBBB", 65535, 65535, 8, 0, 0, 0, 0)
    data = b"IDAT" + zlib.compress(b"x")
    chunks = [struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c))
              for c in (header, data)]  # fmt: skip
    (tmp_path / "m.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    with pytest.raises(DataError, match=r"m\.png: cannot be read as an image \(it has more than"):
        read_mask(tmp_path / "m.png")
