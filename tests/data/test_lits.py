import gzip
import json
import shutil

import nibabel
import numpy as np
import pandas as pd
import pytest
from conftest import LITS, make_lits, real, unpack
from skimage.measure import label, regionprops

from weaklesion.data.loaders import lits_files as reading
from weaklesion.data.loaders.lits import Settings, read_slice, read_volume
from weaklesion.data.loaders.lits_files import find_volumes
from weaklesion.data.patches import LeftOut, Sample
from weaklesion.data.phantoms.lits import make_phantom
from weaklesion.data.samples import read_samples
from weaklesion.diameters import recist_from_mask
from weaklesion.ellipse import draw_ellipse
from weaklesion.errors import DataError
from weaklesion.metrics import dice
from weaklesion.recist import RECIST_COLUMNS, ellipse_from_recist
from weaklesion.support.files import read_array


@pytest.fixture(scope="module")
def made(lits_files, tmp_path_factory):
    folder = tmp_path_factory.mktemp("patches")
    make_lits(lits_files, folder)
    return folder


def report_of(folder):
    return json.loads((folder / "patches.json").read_text())


def test_volumes_are_paired_by_number(lits_files):
    pairs = find_volumes(lits_files)
    assert [number for number, _, _ in pairs] == list(range(6))
    for number, volume, segmentation in pairs:
        assert f"volume-{number}." in volume
        assert f"segmentation-{number}." in segmentation


def test_every_part_of_tumour_is_a_sample(lits_files, made):
    counted = 0
    for _, _, path in find_volumes(lits_files):
        segmentation = np.asanyarray(nibabel.load(path).dataobj)
        for z in range(segmentation.shape[2]):
            counted += label(segmentation[..., z] == 2, connectivity=2).max()
    report = report_of(made)
    reasons = {entry["reason"]: entry["count"] for entry in report["dropped"]}
    too_small = reasons.get("hull with fewer than five vertices: no ellipse", 0)
    assert sum(report["kept"].values()) + too_small == counted > 30
    assert reasons["volume without tumour"] == 1


def test_patch_is_the_windowed_slice_and_its_own_part(lits_files, made):
    volumes = {
        n: (np.asanyarray(nibabel.load(v).dataobj), np.asanyarray(nibabel.load(s).dataobj))
        for n, v, s in find_volumes(lits_files)
    }
    samples = read_samples(made / "samples.csv")
    images, references = read_array(made / "images.npy"), read_array(made / "reference.npy")
    for sample_id, sample in samples.iterrows():
        number, z, _ = (int(part) for part in sample_id.split("_"))
        volume, segmentation = volumes[number]
        x0, y0, x1, y1 = (int(sample[f"crop_{key}"]) for key in ("x0", "y0", "x1", "y1"))
        assert x1 - x0 == y1 - y0
        image, reference = images[sample["row"]], references[sample["row"]]
        assert (image[..., :1] == image).all()
        # the patch's mean colour in the lesion against HU, computed directly
        inside = np.zeros(segmentation.shape[:2], bool)
        inside[max(x0, 0) : x1, max(y0, 0) : y1] = True
        tumour = inside & (segmentation[..., z] == 2)
        expected = np.clip((volume[..., z][tumour] + 160) / 400, 0, 1).mean() * 255
        part = label(segmentation[..., z] == 2, connectivity=2)
        if len(np.unique(part[tumour])) == 1:
            assert image[reference == 1].mean() == pytest.approx(expected, abs=4)
            area = reference.sum() * ((x1 - x0) / 120) ** 2
            assert area == pytest.approx(tumour.sum(), rel=0.1)
        points = sample[RECIST_COLUMNS].to_numpy(dtype=float).reshape(4, 2)
        drawn = draw_ellipse(ellipse_from_recist(points), (120, 120))
        assert dice(reference.astype(bool), drawn) > 0.6, sample_id


def test_no_volume_is_in_two_splits(made):
    samples = read_samples(made / "samples.csv")
    assert (samples.groupby("group")["split"].agg(set).map(len) == 1).all()


def test_scale_is_known_where_the_file_knows_it(lits_files, made):
    samples = read_samples(made / "samples.csv")
    scales = samples.groupby("group")["mm_per_px_x"].first()
    assert np.isnan(scales["volume-1"])  # identity affine
    zoom = nibabel.load(find_volumes(lits_files)[0][1]).header.get_zooms()[0]
    first = samples[samples["group"] == "volume-0"].iloc[0]
    width = first["crop_x1"] - first["crop_x0"]
    assert first["mm_per_px_x"] == pytest.approx(zoom * width / 120)


def one_slice(tumour, **changes):
    hounsfield = np.where(tumour, 100.0, 0.0).astype(np.float32)
    settings = Settings(**LITS | changes)
    return list(read_slice(3, 9, hounsfield, tumour, (0.5, 2.0), settings))


def disc(shape, x, y, radius):
    rows, columns = np.indices(shape)
    return (columns - x) ** 2 + (rows - y) ** 2 <= radius**2


def test_window_by_hand():
    # a disc of radius 10 about (50, 40): box 40..60 x 30..50, 21 px; side 21 + 2 * 20
    (sample,) = one_slice(disc((100, 120), 50, 40, 10))
    assert sample.id == "003_0009_01"
    assert sample.crop[2] - sample.crop[0] == 61
    assert sample.crop == (20, 10, 81, 71)
    assert sample.mm_per_px == (0.5 * 61 / 120, 2.0 * 61 / 120)
    assert sample.recist.mean(axis=0) == pytest.approx([59.5, 59.5], abs=0.3)


def test_in_the_source_frame_a_window_of_the_slices_own_pixels_is_cut():
    tumour = disc((100, 80), 30, 40, 6)
    (sample,) = one_slice(tumour, frame="source", side_px=32)
    x0, y0, x1, y1 = sample.crop
    assert (x1 - x0, y1 - y0) == (32, 32)
    np.testing.assert_array_equal(sample.reference, tumour[y0:y1, x0:x1])
    assert sample.mm_per_px == (0.5, 2.0)
    (left_out,) = one_slice(disc((100, 80), 40, 50, 20), frame="source", side_px=32)
    assert left_out.reason == "larger than the window of 32 px"


@pytest.mark.parametrize("border", ["replicate", "clip"])
def test_marks_by_recists_definition_are_the_diameters_of_the_part(border):
    tumour = disc((100, 120), 5, 40, 10) & ~disc((100, 120), 12, 33, 5)
    tumour |= disc((100, 120), 60, 40, 6)
    first, _ = one_slice(tumour, simulated_marks="recist", border=border)
    mark = recist_from_mask(disc((100, 120), 5, 40, 10) & ~disc((100, 120), 12, 33, 5))
    x0, y0, x1, y1 = first.crop
    assert (x1 - x0 == y1 - y0) == (border == "replicate")
    scale = (120 / (x1 - x0), 120 / (y1 - y0))
    np.testing.assert_allclose(first.recist, (mark - (x0, y0) + 0.5) * scale - 0.5)
    (left_out,) = one_slice(disc((100, 120), 50, 40, 0), simulated_marks="recist")
    assert "hull with fewer than five vertices" in left_out.reason


def test_other_parts_are_background_and_at_the_border_pixels_are_replicated():
    tumour = disc((100, 120), 5, 40, 10) | disc((100, 120), 40, 40, 6)
    first, second = one_slice(tumour)
    assert first.crop[0] < 0
    assert first.reference.sum() < 120 * 120 / 4
    assert (first.reference[:, :5] == 0).all()  # outside the slice
    bright = first.image[..., 0] > 140
    assert bright.sum() > first.reference.sum() * 1.2  # the other part is in the image
    assert second.reference[60, 60] == 1


def test_released_window_is_clipped_and_squeezed():
    (sample,) = one_slice(disc((100, 120), 5, 40, 10), border="clip", margin_px=18)
    x0, y0, x1, y1 = sample.crop
    assert (x0, x1 - x0 < y1 - y0) == (0, True)
    drawn = draw_ellipse(ellipse_from_recist(sample.recist), (120, 120))
    assert dice(sample.reference.astype(bool), drawn) > 0.9


def test_window_hu():
    (sample,) = one_slice(disc((100, 120), 50, 40, 10), window_hu=(0, 255))
    assert sample.image[60, 60, 0] == 100
    assert sample.image[0, 0, 0] == 0


def test_released_filter_leaves_out_what_is_no_ellipse():
    ring = disc((100, 120), 50, 40, 20) & ~disc((100, 120), 50, 40, 18)
    assert isinstance(one_slice(ring)[0], Sample)
    (left_out,) = one_slice(ring, min_ellipse_iou=0.4)
    assert "(G11)" in left_out.reason


def test_part_of_one_pixel_has_no_ellipse():
    tumour = np.zeros((50, 50), bool)
    tumour[20, 20] = True
    assert isinstance(one_slice(tumour)[0], LeftOut)


@pytest.fixture
def copied(lits_files, tmp_path):
    """A copy of the files, to spoil one."""
    folder = shutil.copytree(lits_files[0], tmp_path / "copy")
    return folder, {path.name: path for path in folder.rglob("*.nii*")}


def save(path, data, affine=None):
    nibabel.save(
        nibabel.Nifti1Image(data, np.diag([1, 1, 2, 1]) if affine is None else affine), path
    )


def spoil_shape(paths):
    save(paths["segmentation-0.nii"], np.full((96, 96, 4), 2, np.uint8))


def spoil_label(paths):
    labels = np.asanyarray(nibabel.load(paths["segmentation-0.nii"]).dataobj).copy()
    labels[0, 0, 0] = 7
    save(paths["segmentation-0.nii"], labels)


def spoil_bytes(paths):
    content = paths["volume-0.nii"].read_bytes()
    paths["volume-0.nii"].write_bytes(content[: len(content) // 2])


def spoil_gzip(paths):
    content = paths["volume-2.nii.gz"].read_bytes()
    paths["volume-2.nii.gz"].write_bytes(content[: len(content) // 2])


def spoil_dimensions(paths):
    save(paths["volume-0.nii"], np.zeros((96, 96, 5, 2), np.int16))


def spoil_format(paths):
    paths["volume-0.nii"].write_bytes(b"<html>" * 100)


@pytest.mark.parametrize(
    ("spoil", "message", "reason"),
    [
        (spoil_shape, r"segmentation-0\.nii: has the shape", "differ in shape"),
        (spoil_label, r"segmentation-0\.nii: has the labels \[7\]", "other labels"),
        (spoil_bytes, r"volume-0\.nii: is truncated", "cannot be read"),
        (spoil_gzip, r"volume-2\.nii\.gz: (is truncated|cannot be read)", "cannot be read"),
        (spoil_dimensions, r"volume-0\.nii: has 4 dimensions", "three dimensions"),
        (spoil_format, r"volume-0\.nii: cannot be read as NIfTI", "cannot be read"),
    ],
)
def test_bad_volumes_stop_or_are_left_out_and_counted(copied, tmp_path, spoil, message, reason):
    folder, paths = copied
    spoil(paths)
    with pytest.raises(DataError, match=message):
        make_lits([folder], tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
    make_lits([folder], tmp_path / "out", on_bad_sample="drop")
    (counted,) = [e for e in report_of(tmp_path / "out")["dropped"] if reason in e["reason"]]
    assert counted["count"] == 1


def test_slice_with_nan_stops_or_is_left_out(copied, tmp_path):
    _, paths = copied
    volume = np.asanyarray(nibabel.load(paths["volume-0.nii"]).dataobj).astype(np.float32)
    volume[3, 3] = np.nan
    save(paths["volume-0.nii"], volume)
    item = (0, str(paths["volume-0.nii"]), str(paths["segmentation-0.nii"]))
    with pytest.raises(DataError, match=r"volume-0\.nii: slice \d+ has values"):
        read_volume(item, settings=Settings(**LITS))
    left = read_volume(item, settings=Settings(**LITS | {"on_bad_sample": "drop"}))
    assert all(isinstance(entry, LeftOut) for entry in left)


def test_empty_segmentation_is_a_volume_without_tumour(copied, tmp_path):
    folder, paths = copied
    save(paths["segmentation-0.nii"], np.zeros((96, 96, 5), np.uint8))
    make_lits([folder], tmp_path / "out")
    reasons = {e["reason"]: e["ids"] for e in report_of(tmp_path / "out")["dropped"]}
    assert reasons["volume without tumour"] == ["volume-0", "volume-5"]


def test_missing_and_doubled_files(copied, tmp_path):
    folder, paths = copied
    (tmp_path / "more").mkdir()
    shutil.copy(paths["volume-0.nii"], tmp_path / "more")
    with pytest.raises(DataError, match="case 0 is also at"):
        find_volumes([folder, tmp_path / "more"])
    paths["segmentation-3.nii"].unlink()
    with pytest.raises(DataError, match="no segmentation for 3"):
        find_volumes([folder])
    with pytest.raises(DataError, match="no volume-N"):
        find_volumes([tmp_path / "more" / "nothing"])


def test_decathlon_names_and_single_files(tmp_path):
    for part in ("imagesTr", "labelsTr"):
        (tmp_path / part).mkdir()
        content = nibabel.Nifti1Image(np.zeros((4, 4, 4), np.int16), np.eye(4)).to_bytes()
        (tmp_path / part / "liver_12.nii.gz").write_bytes(gzip.compress(content))
        (tmp_path / part / "._liver_12.nii.gz").write_bytes(b"no volume")
    ((number, volume, segmentation),) = find_volumes([tmp_path])
    assert (number, "imagesTr" in volume, "labelsTr" in segmentation) == (12, True, True)
    assert find_volumes([volume, segmentation]) == [(12, volume, segmentation)]


def test_published_index_files_need_their_number_of_samples(lits_files, tmp_path):
    files = {split: str(tmp_path / f"{split}.npy") for split in ("train", "val", "test")}
    for path in files.values():
        np.save(path, np.arange(3))
    with pytest.raises(DataError, match="exactly 16462 samples"):
        make_lits(lits_files, tmp_path / "out", split="published", published_split=files)
    with pytest.raises(ValueError, match="published_split"):
        Settings(**LITS | {"split": "published"})


def test_impossible_window():
    with pytest.raises(ValueError, match="window_hu"):
        Settings(**LITS | {"window_hu": (240, -160)})


def slices_by_volume(cases_csv):
    """Slices with tumour of each volume, as the table beside the files counts them."""
    cases = pd.read_csv(cases_csv)
    return dict(zip(cases["volume"], cases["slices"], strict=True))


@pytest.mark.parametrize(
    ("name", "window_hu"),
    [("lits", (-160, 240)), pytest.param("lits_slices", (-40, 160), marks=pytest.mark.workflow)],
)
def test_real_volumes_against_an_independent_count(tmp_path, name, window_hu):
    settings = Settings(**LITS | {"window_hu": window_hu})
    folders, _ = unpack(real(name) / "manifest.csv", tmp_path)
    slices = {"lits": {28: 36, 44: 36}}.get(name) or slices_by_volume(real(name) / "cases.csv")
    assert {number for number, _, _ in find_volumes(folders)} == set(slices)
    for number, volume, segmentation in find_volumes(folders):
        labels = np.asanyarray(nibabel.load(segmentation).dataobj)
        found = read_volume((number, volume, segmentation), settings=settings)
        by_slice = {}
        for item in found:
            name = item.id if isinstance(item, Sample) else item.sample_id
            z = int(name.split("_")[1])
            by_slice[z] = by_slice.get(z, 0) + 1
        expected = {
            z: len(regionprops(label(labels[..., z] == 2, connectivity=2)))
            for z in range(labels.shape[2])
            if (labels[..., z] == 2).any()
        }
        assert by_slice == expected
        assert len(expected) == slices[number]
        # each part is paired with its own mask, which its own mark resembles
        ellipses = [
            dice(
                item.reference.astype(bool),
                draw_ellipse(ellipse_from_recist(item.recist), (120, 120)),
            )
            for item in found
            if isinstance(item, Sample)
        ]
        assert np.mean(ellipses) > 0.8
        assert np.min(ellipses) > 0  # 0.07 for a thin ring


def test_each_volume_is_decoded_once(lits_files, monkeypatch):
    decoded = []
    original = reading._read_data

    def counted(image, path, name):
        decoded.append(path)
        return original(image, path, name)

    monkeypatch.setattr(reading, "_read_data", counted)
    for item in find_volumes(lits_files):
        read_volume(item, settings=Settings(**LITS))
    # the volume without tumour is not decoded at all
    assert len(decoded) == len(set(decoded)) == 11


def test_phantom_is_decided_by_its_seed_and_has_its_traps(tmp_path):
    def made(name, seed):
        folder = tmp_path / name
        make_phantom(folder=folder, num_volumes=4, num_slices=4, side_px=64, seed=seed)
        return (folder / "lits_phantom.zip").read_bytes()

    assert made("a", 1) == made("b", 1) != made("c", 2)
    folders, _ = unpack(tmp_path / "a" / "manifest.csv", tmp_path / "unpacked")
    images = [nibabel.load(path) for _, path, _ in find_volumes(folders)]
    assert len({image.get_data_dtype() for image in images}) == 3
    assert [np.array_equal(image.affine, np.eye(4)) for image in images] == [
        False, True, False, False]  # fmt: skip
    with pytest.raises(ValueError, match="num_volumes"):
        make_phantom(folder=tmp_path, num_volumes=3, num_slices=4, side_px=64, seed=1)


def spoil_crc(paths):
    """One bit of the checksum: all voxels are right, but nothing vouches for them."""
    content = bytearray(paths["volume-2.nii.gz"].read_bytes())
    content[-6] ^= 1
    paths["volume-2.nii.gz"].write_bytes(content)


def spoil_inside(paths):
    content = bytearray(paths["volume-2.nii.gz"].read_bytes())
    middle = len(content) // 2
    content[middle : middle + 20] = bytes(20)
    paths["volume-2.nii.gz"].write_bytes(content)


def spoil_unit(paths):
    content = bytearray(paths["volume-0.nii"].read_bytes())
    content[123] = 5
    paths["volume-0.nii"].write_bytes(content)


def spoil_offset(paths):
    content = bytearray(paths["volume-0.nii"].read_bytes())
    content[108:112] = np.float32(np.inf).tobytes()
    paths["volume-0.nii"].write_bytes(content)


@pytest.mark.parametrize("spoil", [spoil_crc, spoil_inside, spoil_unit, spoil_offset])
def test_whatever_a_library_raises_of_a_volume_is_a_bad_sample(copied, tmp_path, spoil):
    folder, paths = copied
    spoil(paths)
    with pytest.raises(DataError, match=r"volume-[02]\.nii(\.gz)?: .*Unpack it again"):
        make_lits([folder], tmp_path / "out")
    make_lits([folder], tmp_path / "out", on_bad_sample="drop")
    reasons = [entry["reason"] for entry in report_of(tmp_path / "out")["dropped"]]
    assert "file that cannot be read" in reasons


def test_labels_of_a_librarys_scaling_are_whole_numbers(tmp_path):
    labels = np.zeros((8, 9, 2), np.float32)
    labels[2:5, 3:6], labels[6, 6, 1] = 0.9999999, 1.9999998
    save(tmp_path / "s.nii", labels)
    read = reading.read_labels(str(tmp_path / "s.nii"), "s")
    assert read.dtype == np.uint8
    assert read.tolist() == np.rint(labels).astype(int).tolist()
    labels[0, 0, 1] = 0.5
    save(tmp_path / "s.nii", labels)
    with pytest.raises(DataError, match=r"has the labels \[0\.5\] in slice 1"):
        reading.read_labels(str(tmp_path / "s.nii"), "s")


def test_a_scale_that_nobody_gave_is_unknown(tmp_path):
    for affine, spacing in (
        (np.diag([-1.0, -1, 1, 1]), None),
        (np.diag([-0.7, -0.7, 1, 1]), (0.7, 0.7)),
    ):
        save(tmp_path / "v.nii", np.zeros((8, 9, 2), np.int16), affine)
        assert reading.read_hounsfield(str(tmp_path / "v.nii"), "v")[1] == pytest.approx(spacing)


def test_affines_that_differ_are_told_of(copied, tmp_path, caplog):
    _, paths = copied
    labels = np.asanyarray(nibabel.load(paths["segmentation-0.nii"]).dataobj).copy()
    affine = nibabel.load(paths["volume-0.nii"]).affine.copy()
    save(paths["segmentation-0.nii"], labels, affine)
    item = 0, str(paths["volume-0.nii"]), str(paths["segmentation-0.nii"])
    right = read_volume(item, settings=Settings(**LITS))
    assert "affine" not in caplog.text
    affine[0] *= -1
    save(paths["segmentation-0.nii"], labels, affine)
    told = read_volume(item, settings=Settings(**LITS))
    assert [sample.id for sample in told if isinstance(sample, Sample)] == [
        sample.id for sample in right if isinstance(sample, Sample)
    ]
    assert "volume-0.nii: its affine differs from that of its segmentation" in caplog.text


def test_equal_volumes_under_two_numbers_are_told_of(copied, caplog):
    folder, paths = copied
    find_volumes([folder])
    assert "equal" not in caplog.text
    shutil.copy(paths["volume-0.nii"], folder / "volume-90.nii")
    shutil.copy(paths["segmentation-0.nii"], folder / "segmentation-90.nii")
    find_volumes([folder])
    assert "equal volumes under several numbers" in caplog.text
    assert "volume-90.nii" in caplog.text
