"""NIfTI volumes: checksums, limits, headers that lie, and millimetres that nobody gave."""

import gzip
import os
import random
import struct
import zlib
from dataclasses import replace

import nibabel
import numpy as np
import pandas as pd
import pytest
from nibabel import cifti2
from segmenting import lobed, mark_of, run

from weaklesion.errors import DataError
from weaklesion.marks import volumes
from weaklesion.marks.images import read_picture
from weaklesion.marks.masks import read_mask
from weaklesion.marks.table import BadMarkError, Mark, grouped_by_image
from weaklesion.segment.outputs import write_mask

WINDOW = (-160.0, 240.0)
POINTS = np.array([[10.0, 20], [30, 20], [20, 12], [20, 28]])


def mark_on(path, number=0, spacing=None, mask=None):
    return Mark(2, "m", path, number, POINTS, spacing, mask=mask)


def voxels(shape=(50, 40, 4)):
    return np.random.default_rng(0).normal(20, 60, shape).astype(np.int16)


def saved(path, data=None, affine=None):
    affine = np.diag([0.8, 0.8, 3, 1]) if affine is None else affine
    nibabel.save(nibabel.Nifti1Image(voxels() if data is None else data, affine), path)
    return path


def patched(path, *values):
    """Write values into the header of an uncompressed file: format, place and value of each."""
    content = bytearray(path.read_bytes())
    for form, place, value in values:
        struct.pack_into(form, content, place, value)
    path.write_bytes(content)
    return path


def refusal(path, number=0):
    with pytest.raises(BadMarkError) as error:
        read_picture(mark_on(path, number), WINDOW)
    return str(error.value)


def test_a_slice_that_is_not_there_is_counted_as_the_table_counts(tmp_path):
    mark = replace(mark_on(saved(tmp_path / "v.nii.gz"), 4), first_slice=1)
    with pytest.raises(
        BadMarkError, match=r"slice 5 is not in v\.nii\.gz, which has slices 1 to 4"
    ):
        read_picture(mark, WINDOW)


def test_a_flipped_bit_never_gives_other_voxels(tmp_path):
    path = saved(tmp_path / "v.nii.gz")
    content, right = path.read_bytes(), read_picture(mark_on(path, 1), WINDOW).levels
    rng, refused = random.Random(0), 0
    for number in range(60):
        flipped = bytearray(content)
        flipped[rng.randrange(20, len(content) - 8)] ^= 1 << rng.randrange(8)
        other = tmp_path / f"{number}.nii.gz"
        other.write_bytes(flipped)
        try:
            assert (read_picture(mark_on(other, 1), WINDOW).levels == right).all()
        except BadMarkError:
            refused += 1
    assert refused > 55


@pytest.mark.parametrize("cut", [1, 8, 30, 1000])
def test_a_compressed_volume_is_read_to_its_end(tmp_path, cut):
    path = saved(tmp_path / "v.nii.gz")
    path.write_bytes(path.read_bytes()[:-cut])
    assert "is truncated or damaged" in refusal(path)


def test_a_volume_cut_behind_the_slice_is_refused_before_it_is_read(tmp_path):
    path = saved(tmp_path / "v.nii")
    path.write_bytes(path.read_bytes()[:-10])
    assert refusal(path) == (
        "v.nii is truncated or damaged: its header says 16352 bytes, but it has 16342"
    )


@pytest.mark.parametrize(
    ("values", "cause"),
    [
        ([("<f", 108, float("inf"))], "cannot be read as NIfTI"),
        ([("<f", 108, float("nan"))], "cannot be read as NIfTI"),
        ([("<f", 108, 0.0)], "says that its voxels begin at byte 0, inside its header"),
        ([("<f", 108, 100.0)], "cannot be read as NIfTI"),
        ([("<h", 42, -5)], "v.nii"),
        ([("<h", 42, 30000), ("<h", 44, 30000)], "has slices of 30000x30000 px, more than"),
        ([("<h", 46, 30000)], "is truncated or damaged: its header says"),
        ([("<f", 280, 1e-30)], "has an affine that is not invertible"),
        ([("<f", 280, 1e30), ("<f", 300, 1e30)], "has pixels of 1e+30 by 1e+30 mm"),
        ([("<h", 70, 12345)], "cannot be read as NIfTI"),
    ],
    ids=str,
)
def test_headers_that_lie_are_refused(tmp_path, values, cause):
    assert cause in refusal(patched(saved(tmp_path / "v.nii"), *values))


def bomb(path, shape, blocks):
    """A .nii.gz of zeros whose header says `shape`."""
    header = nibabel.Nifti1Header()
    header.set_data_dtype(np.uint8)
    header["magic"], header["vox_offset"] = b"n+1", 352
    header["dim"][:4], header["pixdim"][1:4] = (3, *shape), 1
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    content = packer.compress(header.binaryblock + bytes(4))
    content += b"".join(packer.compress(bytes(1 << 20)) for _ in range(blocks))
    path.write_bytes(content + packer.flush())
    return path


def test_bombs_are_refused_before_anything_is_allocated_and_limits_can_be_raised(
    tmp_path, monkeypatch
):
    path = bomb(tmp_path / "v.nii.gz", (2000, 2000, 2), 8)
    monkeypatch.setenv("WEAKLESION_MAX_PIXELS", "3999999")
    monkeypatch.setattr(volumes, "_uncompressed", None)  # is not reached
    assert "set the environment variable WEAKLESION_MAX_PIXELS" in refusal(path)
    monkeypatch.undo()
    monkeypatch.setenv("WEAKLESION_MAX_VOLUME_BYTES", "8000000")
    assert "set the environment variable WEAKLESION_MAX_VOLUME_BYTES" in refusal(path)
    monkeypatch.setenv("WEAKLESION_MAX_VOLUME_BYTES", "9000000")
    assert read_picture(mark_on(path), WINDOW).levels.shape == (2000, 2000, 3)
    small = bomb(tmp_path / "small.nii.gz", (20, 20, 2), 50)  # more than its header says
    assert "has more than 9000000 bytes uncompressed" in refusal(small)
    monkeypatch.setenv("WEAKLESION_MAX_PIXELS", "many")
    with pytest.raises(DataError, match="WEAKLESION_MAX_PIXELS: needs a whole number above 0"):
        read_picture(mark_on(path), WINDOW)


def test_a_damaged_volume_is_read_once_for_all_its_marks(tmp_path, monkeypatch):
    path = saved(tmp_path / "v.nii.gz")
    path.write_bytes(path.read_bytes()[:-10])
    calls, opened = [], gzip.open
    monkeypatch.setattr(volumes.gzip, "open", lambda *a: calls.append(a) or opened(*a))
    assert len({refusal(path, number) for number in range(4)}) == 1
    assert len(calls) == 1


def test_each_volume_is_read_in_one_pass(grey_model, tmp_path, monkeypatch):
    """Also where marks on two volumes and a third alternate."""
    mask = lobed(np.random.default_rng(7))
    levels = np.repeat(np.where(mask, 100.0, -50.0).T.astype(np.int16)[..., None], 5, axis=2)
    rows = []
    for name in "abc":
        saved(tmp_path / f"{name}.nii.gz", levels)
    for number in range(5):
        for name in "abc":
            row = {"id": f"{name}{number}", "image": f"{name}.nii.gz", "slice": number}
            rows.append(row | mark_of(mask))
    calls, opened = [], volumes._uncompressed
    monkeypatch.setattr(volumes, "_uncompressed", lambda *a: calls.append(a[0]) or opened(*a))
    result, measured = run(grey_model, tmp_path, rows, "--as-given")
    assert result.exit_code == 0, result.output
    assert list(measured.index) == [row["id"] for row in rows]  # in the table's order
    assert len(calls) <= 6  # one pass of three volumes to compare readings, and one to segment


def test_marks_on_one_image_come_together_in_the_order_of_the_table(tmp_path):
    names = ["b", "a", "b", "c", "a"]
    marks = [Mark(n, str(n), tmp_path / name, 0, POINTS, None) for n, name in enumerate(names)]
    assert [mark.row for mark in grouped_by_image(marks)] == [0, 2, 1, 4, 3]


def test_slices_are_the_same_compressed_or_not_scaled_or_not_in_blocks_or_not(
    tmp_path, monkeypatch
):
    image = nibabel.Nifti1Image(voxels(), np.diag([0.8, 0.8, 3, 1]))
    image.header.set_slope_inter(0.5, -20)
    nibabel.save(image, tmp_path / "v.nii")
    nibabel.save(image, tmp_path / "v.nii.gz")
    whole = np.asarray(nibabel.load(tmp_path / "v.nii").dataobj)
    grey = np.clip((whole[..., 2].T + 160) / 400, 0, 1) * 255
    for name in ("v.nii", "v.nii.gz"):
        levels = read_picture(mark_on(tmp_path / name, 2), WINDOW).levels
        assert np.abs(levels[..., 0] - grey).max() <= 0.5 + 1e-4
        monkeypatch.setattr("weaklesion.marks.images.BLOCK_PX", 100)
        assert (read_picture(mark_on(tmp_path / name, 2), WINDOW).levels == levels).all()


def test_the_mask_of_a_volume_is_written_in_niftis_own_order(tmp_path):
    """Byte for byte as before, when the array was in C order."""
    volume = nibabel.load(saved(tmp_path / "v.nii.gz"))
    mask = np.zeros((40, 50), np.uint8)
    mask[5:20, 7:30] = 1
    write_mask(tmp_path / "m.nii.gz", mask, 2, volume)
    whole = np.zeros(volume.shape, np.uint8)
    whole[..., 2] = mask.T
    header = volume.header.copy()
    header.set_data_dtype(np.uint8)
    nibabel.save(nibabel.Nifti1Image(whole, None, header), tmp_path / "c.nii.gz")
    assert (tmp_path / "m.nii.gz").read_bytes() == (tmp_path / "c.nii.gz").read_bytes()


def of_forms(path, qform, sform, codes=(1, 1), unit="mm"):
    image = nibabel.Nifti1Image(voxels(), None)
    image.header.set_qform(qform, codes[0])
    image.header.set_sform(sform, codes[1])
    image.header.set_xyzt_units(unit)
    nibabel.save(nibabel.Nifti1Image(voxels(), None, image.header), path)
    return path


MOVED = np.array([[1.0, 0, 0, -20], [0, 1, 0, 30], [0, 0, 1, 5], [0, 0, 0, 1]])


@pytest.mark.parametrize(
    ("affine", "codes", "unit", "spacing"),
    [
        (np.diag([-1.0, -1, 1, 1]), (1, 1), "mm", None),  # SimpleITK without a geometry
        (np.eye(4), (0, 0), "unknown", None),
        (MOVED, (0, 0), "mm", None),
        (MOVED, (1, 1), "mm", (1.0, 1.0)),  # somebody gave an origin
        (np.diag([-1.0, -1, 3, 1]), (1, 1), "mm", (1.0, 1.0)),
        (np.diag([0.7, 0.7, 3.0, 1]), (0, 0), "mm", (0.7, 0.7)),  # pixdim alone
        (np.diag([-1.0, -1, 1, 1]), (1, 1), "micron", (0.001, 0.001)),
    ],
    ids=str,
)
def test_millimetres_that_nobody_gave_are_unknown(tmp_path, affine, codes, unit, spacing):
    path = of_forms(tmp_path / "v.nii", affine, affine, codes, unit)
    assert read_picture(mark_on(path), WINDOW).spacing == pytest.approx(spacing)
    if spacing is None:
        assert read_picture(mark_on(path, spacing=(0.7, 0.6)), WINDOW).spacing == (0.7, 0.6)


def test_a_spacing_in_doubt_is_told_of_per_mark(grey_model, tmp_path, caplog):
    mask = lobed(np.random.default_rng(7))
    levels = np.where(mask, 100.0, -50.0).T.astype(np.int16)[..., None]
    forms = {
        "sure": (0.8, 0.8, "mm"),
        "two": (0.8, 0.6, "mm"),
        "micron": (0.8, 0.8, "micron"),
        "meter": (0.8, 0.8, "meter"),
    }
    for name, (of_q, of_s, unit) in forms.items():
        header = nibabel.Nifti1Header()
        header.set_data_shape(levels.shape)
        header.set_qform(np.diag([of_q, of_q, 3, 1]), 1)
        header.set_sform(np.diag([of_s, of_s, 3, 1]), 1)
        header.set_xyzt_units(unit)
        nibabel.save(nibabel.Nifti1Image(levels, None, header), tmp_path / f"{name}.nii")
    rows = [{"id": name, "image": f"{name}.nii"} | mark_of(mask) for name in forms]
    _, measured = run(grey_model, tmp_path, rows, "--as-given")
    assert len(measured) == 4
    assert measured.loc["two", "long_mm"] == pytest.approx(0.6 * measured.loc["two", "long_px"])
    assert (
        "line 3, two: two.nii has pixels of 0.6 by 0.6 by its sform, which is used" in caplog.text
    )
    assert "line 4, micron: micron.nii gives its geometry in microns, not in mm" in caplog.text
    assert "line 4, micron: its long diameter is 0.0" in caplog.text
    assert "line 5, meter: its long diameter is 4" in caplog.text
    assert "sure: " not in caplog.text


def test_other_kinds_of_nifti_and_pipes_and_links(tmp_path):
    axes = (
        cifti2.SeriesAxis(0, 1, 3),
        cifti2.BrainModelAxis.from_mask(np.ones((2, 2, 2), bool), affine=np.eye(4)),
    )
    image = cifti2.Cifti2Image(np.zeros((3, 8), np.float32), cifti2.Cifti2Header.from_axes(axes))
    nibabel.save(image, tmp_path / "c.dtseries.nii")
    assert "c.dtseries.nii" in refusal(tmp_path / "c.dtseries.nii")
    os.mkfifo(tmp_path / "pipe.nii")
    assert "is not a file but a device or pipe" in refusal(tmp_path / "pipe.nii")
    saved(tmp_path / "v.nii.gz").rename(tmp_path / "0a1b2c")
    (tmp_path / "link.nii.gz").symlink_to("0a1b2c")
    picture = read_picture(mark_on(tmp_path / "link.nii.gz", 2), WINDOW)
    assert picture.spacing == pytest.approx((0.8, 0.8))


def test_labels_of_a_librarys_scaling_are_whole_numbers(tmp_path):
    image = saved(tmp_path / "v.nii")
    labels = np.zeros((50, 40, 4), np.float32)
    labels[10:30, 15:25] = 0.9999999
    labels[40:] = 1e-7
    mask = saved(tmp_path / "m.nii", labels)
    mark = mark_on(image, 1, mask=mask)
    assert read_mask(mark, read_picture(mark, WINDOW)).sum() == 20 * 10
    labels[0, 0] = 0.5
    mark = mark_on(image, 1, mask=saved(tmp_path / "other.nii", labels))
    with pytest.raises(BadMarkError, match=r"has the levels 0, 0\.5, 1"):
        read_mask(mark, read_picture(mark, WINDOW))


def test_a_full_folder_for_temporary_files_stops_the_call(tmp_path, monkeypatch):
    class Full:
        def write(self, _):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(volumes.tempfile, "TemporaryFile", lambda **_: Full())
    with pytest.raises(DataError, match=r"cannot be written \(No space left.*set TMPDIR") as error:
        read_picture(mark_on(saved(tmp_path / "v.nii.gz")), WINDOW)
    assert not isinstance(error.value, BadMarkError)


def test_a_bad_volume_does_not_stop_the_others(grey_model, tmp_path):
    mask = lobed(np.random.default_rng(7))
    levels = np.where(mask, 100.0, -50.0).T.astype(np.int16)[..., None]
    saved(tmp_path / "good.nii.gz", levels)
    patched(saved(tmp_path / "bad.nii", levels), ("<f", 108, float("inf")))
    (tmp_path / "loop.nii").symlink_to("loop.nii")
    rows = [{"id": n, "image": f"{n}.nii"} | mark_of(mask) for n in ("bad", "loop")]
    result, measured = run(
        grey_model, tmp_path, [*rows, {"id": "good", "image": "good.nii.gz"} | mark_of(mask)]
    )
    assert result.exit_code == 0, result.output
    assert list(measured.index) == ["good"]
    refused = pd.read_csv(tmp_path / "out/refused.csv").set_index("id")["cause"]
    assert "bad.nii cannot be read as NIfTI" in refused["bad"]
    assert "cannot be opened (Too many levels of symbolic links)" in refused["loop"]
