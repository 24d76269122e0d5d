"""Tables of marks and the pictures that they lie on: what is read, and what is refused."""

import struct
import unicodedata
import zlib
from pathlib import Path

import cv2
import nibabel
import numpy as np
import pandas as pd
import pytest
from PIL import ExifTags, Image
from segmenting import SHAPE, colored, lobed, mark_of, read_png, run

from weaklesion.data.simulated_marks import simulate_mark
from weaklesion.ellipse import Ellipse, draw_ellipse
from weaklesion.marks.images import read_picture
from weaklesion.marks.table import BadMarkError, Mark, mark_ellipse, outside, read_marks
from weaklesion.metrics import dice
from weaklesion.recist import RECIST_COLUMNS, recist_from_ellipse


def test_diameters_that_are_perpendicular_in_the_patient_are_no_mistake(model, tmp_path):
    """Where a px is 0.5 by 2 mm, they are 28 degrees apart in the image."""
    rng = np.random.default_rng(12)
    points = np.array([[60.0, 52.0], [100.0, 62.0], [90.0, 54.5], [70.0, 59.5]])
    spacing = np.array([0.5, 2.0])
    long, short = (points[1] - points[0]) * spacing, (points[3] - points[2]) * spacing
    assert long @ short == pytest.approx(0, abs=1e-9)
    ellipse = mark_ellipse(points, SHAPE, tuple(spacing))
    in_mm = ellipse.scaled(*spacing)
    lengths = np.hypot(*long), np.hypot(*short)
    assert (in_mm.width, in_mm.height) == pytest.approx((max(lengths), min(lengths)))
    mask = draw_ellipse(ellipse, SHAPE)
    Image.fromarray(colored(mask, rng)).save(tmp_path / "x.png")
    row = {"id": "l", "image": "x.png"} | dict(zip(RECIST_COLUMNS, points.ravel(), strict=True))
    _, measured = run(model, tmp_path, [row | {"spacing_x": 0.5, "spacing_y": 2.0}])
    assert measured.loc["l", "agrees"]
    assert dice(mask, read_png(tmp_path / "out/masks/l.png")) > 0.9
    _, measured = run(model, tmp_path, [row])
    assert len(measured) == 0
    assert "28 degrees apart" in (tmp_path / "out/refused.csv").read_text()
    assert not (tmp_path / "out/masks/l.png").exists()  # of the call before


def test_each_bad_mark_is_refused_with_its_cause_and_the_rest_goes_through(model, tmp_path, images):
    _, rows = images
    good, first = rows[0], rows[1]
    ends = {name: first[name] for name in RECIST_COLUMNS}
    long_as_short = {name: ends[name.replace("short", "long")] for name in RECIST_COLUMNS}
    beside = dict(zip(RECIST_COLUMNS, [30, 60, 90, 60, 135, 40, 135, 80], strict=True))
    slanted = dict(zip(RECIST_COLUMNS, [30, 60, 90, 60, 40, 55, 80, 65], strict=True))
    unit = dict(zip(RECIST_COLUMNS, [0.3, 0.6, 0.9, 0.6, 0.5, 0.4, 0.5, 0.8], strict=True))
    no_length = ends | {"short_b_x": ends["short_a_x"], "short_b_y": ends["short_a_y"]}
    thin = dict(zip(RECIST_COLUMNS, [30, 60, 90, 60, 60, 59.9, 60, 60.1], strict=True))
    one_only = ends | {name: "" for name in RECIST_COLUMNS if name.startswith("short")}
    bad = {
        "outside": (first | {"long_a_x": 400.0}, "outside the image of 160x120 px"),
        "length": (first | no_length, "short diameter has no length"),
        "crossed": (first | beside, "do not cross"),
        "slanted": (first | slanted, "14 degrees apart"),
        "unit": (first | unit, "covers no pixel: are its coordinates px"),
        "parallel": (first | long_as_short, "parallel"),
        "one": (first | one_only, "the short diameter is empty"),
        "none": (first | dict.fromkeys(RECIST_COLUMNS, ""), "both diameters are empty"),
        "half": (first | {"short_b_y": ""}, "short_b_y: empty"),
        "word": (first | {"long_a_y": "left"}, "long_a_y is 'left', which is not a number"),
        "infinite": (first | {"long_a_y": "inf"}, "not finite"),
        "lost": (first | {"image": "nowhere.png"}, "the image .*does not exist"),
        "thin": (first | thin, "short diameter is only 0.2 px long"),
        "blank": (first | {"image": " "}, "image is empty"),
        "long": (first | {"image": "x" * 300}, "cannot be opened"),
        "zero": (first | {"image": "x\0.png"}, "zero byte"),
        "text": (first | {"image": "marks.csv"}, "cannot be read as an image"),
        "volume": (first | {"slice": 3}, "is not a volume"),
        "spacing": (first | {"spacing_x": 1.0}, "one of them is empty"),
        "m0": (first, "the id m0 is also that of line 2"),
        "M0": (first, "the id M0 is also that of line 2"),
        "../up": (first, "cannot name a file"),
        "ö" * 120: (first, "cannot name a file"),
    }
    table = [good, *(row | {"id": name} for name, (row, _) in bad.items())]
    result, measured = run(model, tmp_path, table)
    assert result.exit_code == 0, result.output
    assert (
        "1 marks segmented by the network; 0 fell back to the mark's own shape, because the"
        f" network's mask disagreed with the mark; {len(bad)} refused." in result.output
    )
    assert list(measured.index) == ["m0"]
    refused = pd.read_csv(tmp_path / "out" / "refused.csv")
    assert refused["line"].tolist() == list(range(3, 3 + len(bad)))
    for (_, cause), row in zip(bad.values(), refused.itertuples(), strict=True):
        assert pd.Series([row.cause]).str.contains(cause).all(), (row.id, row.cause)


def test_files_that_cannot_be_used_are_refused(model, tmp_path, images):
    _, rows = images
    volume = nibabel.Nifti1Image(np.zeros((160, 120, 3), np.float32), np.eye(4))
    nibabel.save(volume, tmp_path / "v.nii.gz")
    (tmp_path / "cut.nii.gz").write_bytes((tmp_path / "v.nii.gz").read_bytes()[:60])
    table = [
        rows[0] | {"slice": ""},
        rows[1] | {"image": "v.nii.gz", "slice": 3},
        rows[2] | {"image": "v.nii.gz", "slice": ""},
        rows[3] | {"image": "cut.nii.gz", "slice": 0},
        rows[3] | {"id": "m4", "image": "v.nii.gz", "slice": 1.5},
        rows[3] | {"id": "m5", "image": "flipped.nii.gz", "slice": 2},
        rows[3] | {"id": "m6", "image": "rgb.nii", "slice": 0},
        rows[3] | {"id": "m7", "image": "turned.jpg"},
        rows[3] | {"id": "m8", "image": "float.tif"},
        rows[3] | {"id": "m9", "image": "black.png"},
        rows[3] | {"id": "m10", "image": "odd.nii", "slice": 0},
        rows[3] | {"id": "m11", "image": "nowhere.nii", "slice": 0},
        rows[3] | {"id": "m12", "image": "frames.tif"},
        rows[3] | {"id": "m13", "image": "deep.png"},
        rows[3] | {"id": "m14", "image": "holes.nii", "slice": 0},
        rows[3]
        | {"id": "m15", "image": "scaled.nii", "slice": 0}
        | {"spacing_x": 1.0, "spacing_y": 1.0},
        rows[3] | {"id": "m16", "image": "times.nii", "slice": 0},
    ]
    noise = np.random.default_rng(0).normal(0, 50, (160, 120, 3)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(noise, np.eye(4)), tmp_path / "flipped.nii.gz")
    flipped = bytearray((tmp_path / "flipped.nii.gz").read_bytes())
    flipped[60:100] = b"\xff" * 40  # neither a block of data nor its length
    (tmp_path / "flipped.nii.gz").write_bytes(flipped)
    colors = np.zeros((160, 120, 3), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    nibabel.save(nibabel.Nifti1Image(colors, np.eye(4)), tmp_path / "rgb.nii")
    nibabel.save(nibabel.Nifti1Image(noise, np.eye(4)), tmp_path / "odd.nii")
    odd = bytearray((tmp_path / "odd.nii").read_bytes())
    odd[123] = 5  # xyzt_units
    (tmp_path / "odd.nii").write_bytes(odd)
    nowhere = nibabel.Nifti1Image(noise, np.eye(4))
    nowhere.header.set_sform(np.diag([1.0, 1.0, 0.0, 1.0]), 1)
    nibabel.save(nibabel.Nifti1Image(noise, None, nowhere.header), tmp_path / "nowhere.nii")
    holes = np.where(np.arange(160)[:, None, None] == 80, np.nan, noise).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(holes, np.eye(4)), tmp_path / "holes.nii")
    nibabel.save(nibabel.Nifti1Image(noise, np.diag([0.8, 0.8, 3, 1])), tmp_path / "scaled.nii")
    times = nibabel.Nifti1Image(np.stack([noise, noise], axis=3), np.eye(4))
    nibabel.save(times, tmp_path / "times.nii")
    frames = [Image.new("RGB", (160, 120), color) for color in ("red", "blue")]
    frames[0].save(tmp_path / "frames.tif", save_all=True, append_images=frames[1:])
    deep = np.random.default_rng(0).integers(0, 65536, (120, 160, 3)).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "deep.png"), deep)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.new("RGB", (160, 120)).save(tmp_path / "turned.jpg", exif=exif)
    Image.new("F", (160, 120)).save(tmp_path / "float.tif")
    Image.new("RGB", (160, 120)).save(tmp_path / "black.png")
    run(model, tmp_path, table)
    causes = pd.read_csv(tmp_path / "out" / "refused.csv").set_index("id")["cause"]
    assert "slice 3 is not in v.nii.gz, which has slices 0 to 2" in causes["m1"]
    assert "has 3 slices, but the row has no slice" in causes["m2"]
    assert "cut.nii.gz" in causes["m3"]
    assert "not an index from 0" in causes["m4"]
    assert "flipped.nii.gz cannot be read as NIfTI" in causes["m5"]
    assert "has values of type" in causes["m6"]
    assert causes["m7"].startswith("turned.jpg is stored rotated (EXIF orientation 6)")
    assert causes["m8"].startswith("float.tif has 32-bit float levels, whose scale is unknown")
    assert causes["m9"].endswith(
        "single level near the mark: does the mark belong to another image?"
    )
    assert causes["m10"].startswith("odd.nii has a unit of length that NIfTI does not define")
    assert causes["m11"].startswith("nowhere.nii has an affine that is not invertible")
    assert causes["m12"].startswith("frames.tif contains 2 images")
    assert causes["m13"].startswith("deep.png has 16 bits per colour")
    assert causes["m14"].startswith("holes.nii has values that are not finite near the mark")
    assert "are 1 and 1 mm, but scaled.nii has 0.8 and 0.8" in causes["m15"]
    assert "times.nii has 160 x 120 x 3 x 2 voxels" in causes["m16"]


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "L", "P", "CMYK", "TIFF", "EXIF"])
def test_pictures_of_every_usual_kind(request, tmp_path, mode):
    model = request.getfixturevalue("grey_model" if mode in ("L", "LA") else "model")
    mask = lobed(np.random.default_rng(4))
    picture = Image.fromarray(colored(mask, np.random.default_rng(5)))
    options = {}
    if mode == "EXIF":  # 0 is no orientation, and some cameras write it
        options["exif"] = Image.Exif()
        options["exif"][ExifTags.Base.Orientation] = 0
    elif mode != "TIFF":
        picture = picture.convert(mode)
    name = {"CMYK": "x.jpg", "TIFF": "x.tif"}.get(mode, "x.png")
    picture.save(tmp_path / name, **options)
    row = {"id": "l", "image": f" {name} "} | mark_of(mask)
    _, measured = run(model, tmp_path, [row])
    assert dice(mask, read_png(tmp_path / "out" / measured.loc["l", "mask"])) > 0.95


def test_volumes_with_an_axis_to_spare_and_holes_elsewhere(grey_model, tmp_path):
    mask = lobed(np.random.default_rng(4))
    levels = np.where(mask, 100.0, 0.0).T.astype(np.float32)[..., None, None]
    levels[:5] = np.nan  # padding, as scanners write it
    nibabel.save(nibabel.Nifti1Image(levels, np.diag([0.8, 0.8, 3, 1])), tmp_path / "V.NII.GZ")
    row = {"id": "l", "image": "V.NII.GZ", "slice": 0, "spacing_x": 0.801, "spacing_y": 0.8}
    _, measured = run(grey_model, tmp_path, [row | mark_of(mask)])
    found = nibabel.load(tmp_path / "out" / measured.loc["l", "mask"])
    assert found.shape == levels.shape
    assert dice(mask, found.dataobj[..., 0, 0].T > 0) > 0.95


def test_a_folder_that_cannot_be_read_is_refused_by_row(model, tmp_path, images, monkeypatch):
    _, rows = images
    is_file = Path.is_file

    def locked(path):
        if path.name == "1.jpg":
            raise PermissionError(13, "Permission denied")
        return is_file(path)

    monkeypatch.setattr(Path, "is_file", locked)
    _, measured = run(model, tmp_path, rows)
    assert list(measured.index) == ["m0", "m2", "m3"]
    assert (
        "1.jpg cannot be opened (Permission denied)" in (tmp_path / "out/refused.csv").read_text()
    )


def test_tables_as_spreadsheets_write_them(model, tmp_path, images):
    _, rows = images
    lines = pd.DataFrame(rows[:2]).to_csv(index=False).splitlines()
    head = lines[0].replace("image", " image ")
    text = "\ufeff" + "\r\n".join([head + ",", lines[1] + ",", "", lines[2] + ","]) + "\r\n"
    (tmp_path / "marks.csv").write_text(text, encoding="utf-8", newline="")
    result, measured = run(model, tmp_path, None)
    assert result.exit_code == 0, result.output
    assert measured["line"].to_dict() == {"m0": 2, "m1": 4}


def test_decimal_commas_are_refused_and_the_line_is_named(model, tmp_path, images):
    _, rows = images
    lines = pd.DataFrame(rows[:3]).to_csv(index=False).splitlines()
    lines[2] = lines[2].replace(".", ",").replace(",jpg", ".jpg")
    (tmp_path / "marks.csv").write_text("\n".join(lines) + "\n")
    _, measured = run(model, tmp_path, None)
    assert list(measured.index) == ["m0", "m2"]
    (row,) = pd.read_csv(tmp_path / "out/refused.csv").to_dict("records")
    assert (row["line"], row["id"]) == (3, "m1")
    assert "fields, but the header has 10: decimal commas?" in row["cause"]


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("image\n", "only one column"),
        ("image,slice\n", "lacks the columns long_a_x, long_a_y"),
        (",".join(["image", *RECIST_COLUMNS]) + "\n", "has no row"),
        ("", "is empty"),
        ('image\n"x', "cannot be read as a table"),
        ("image;long_a_x\n", "separated by commas"),
    ],
)
def test_a_table_that_is_none_stops_the_call(model, tmp_path, text, cause):
    (tmp_path / "marks.csv").write_text(text)
    result, _ = run(model, tmp_path, None)
    assert result.exit_code == 1
    assert cause in result.output


def test_the_table_in_the_documentation_is_one(root, tmp_path):
    text = (root / "docs/how-to/own-marks.md").read_text()
    table = text[text.index("    id,image,slice,") :].split("\n\n")[0]
    (tmp_path / "marks.csv").write_text(table.replace("    ", "") + "\n")
    marks, refused = read_marks(tmp_path / "marks.csv")
    assert not refused
    assert [mark.id for mark in marks] == ["mole", "liver-3", "node"]
    for mark in marks:
        mark_ellipse(mark.points, (512, 512), mark.spacing)


def refusal(path, number=None):
    mark = Mark(2, "m", path, number, np.array([[9.0, 9], [20, 9], [15, 5], [15, 13]]), None)
    with pytest.raises(BadMarkError) as error:
        read_picture(mark, (-160.0, 240.0))
    return str(error.value)


def test_what_is_no_picture_is_named_with_the_way_to_convert_it(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (30, 40)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Pair(noise, np.eye(4)), tmp_path / "pair.img")
    for name in ("pair.img", "pair.hdr"):
        assert f"{name} is one of a pair of files" in refusal(tmp_path / name, 0)
    for name in ("ct.nrrd", "CT.MHA"):
        (tmp_path / name).write_bytes(b"NRRD0004\n")
        assert f"{name} is a volume of a kind that is not read" in refusal(tmp_path / name, 0)
    (tmp_path / "series").mkdir()
    assert "is a folder: name one file; DICOM is not read" in refusal(tmp_path / "series")
    (tmp_path / "series/IM0001").write_bytes(bytes(128) + b"DICM" + bytes(100))
    assert "IM0001 is DICOM, which is not read: convert" in refusal(tmp_path / "series/IM0001", 0)


def test_a_16_bit_image_with_another_offset_is_named(tmp_path):
    hounsfield = np.random.default_rng(0).integers(-100, 200, (30, 40))
    for offset, cause in ((1024, "HU + 1024"), (0, "Does this one hold HU")):
        levels = np.clip(hounsfield + offset, 0, 65535).astype(np.uint16)
        Image.fromarray(levels).save(tmp_path / f"{offset}.png")
        assert cause in refusal(tmp_path / f"{offset}.png")
    low, high = hounsfield.min() + 1024, hounsfield.max() + 1024
    assert f"has levels from {low} to {high}" in refusal(tmp_path / "1024.png")


def test_the_photograph_of_a_phone_is_the_first_picture_of_its_jpg(tmp_path):
    first, second = (Image.new("RGB", (40, 30), color) for color in ("red", "blue"))
    first.save(tmp_path / "phone.jpg", format="MPO", save_all=True, append_images=[second])
    mark = Mark(2, "m", tmp_path / "phone.jpg", None, np.zeros((4, 2)), None)
    levels = read_picture(mark, (-160.0, 240.0)).levels
    assert levels.shape == (30, 40, 3)
    assert (levels[..., 0] > 250).all()


def test_names_that_look_like_another_files_are_named(tmp_path):
    (tmp_path / "sub").mkdir()
    for name in ("sub/x.png", unicodedata.normalize("NFD", "mélanome.png")):
        Image.new("RGB", (40, 30)).save(tmp_path / name)
    assert refusal(tmp_path / "sub\\x.png").endswith("write its path with / instead of \\")
    for windows in ("C:\\data\\x.png", "gone\\x.png"):
        cause = refusal(tmp_path / windows)
        assert "its path has \\, as on Windows; write /, and the path from the table's" in cause
    assert "in another form of Unicode" in refusal(tmp_path / "mélanome.png")
    assert refusal(tmp_path / "sub/X.PNG").endswith("this name with other capital letters")
    (tmp_path / "gone.png").symlink_to(tmp_path / "absent.png")
    assert refusal(tmp_path / "gone.png").endswith("gone.png does not exist")


def test_pictures_that_raise_anything_else_are_refused_by_row(model, tmp_path, images, monkeypatch):
    """`struct.error` from EXIF, a bomb, a loop of links; the rest is answered."""
    _, rows = images
    Image.open(tmp_path / rows[0]["image"]).save(tmp_path / "plain.png")
    content = (tmp_path / "plain.png").read_bytes()
    exif = b"eXIf" + b"MM\0*"
    chunk = struct.pack(">I", 4) + exif + struct.pack(">I", zlib.crc32(exif))
    (tmp_path / "exif.png").write_bytes(content[:33] + chunk + content[33:])
    header = b"IHDR" + struct.pack(">IIBBBBB", 65535, 65535, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    (tmp_path / "bomb.png").write_bytes(content[:8] + chunk + content[33:])
    (tmp_path / "loop.png").symlink_to("loop.png")
    bad = [rows[1] | {"id": name, "image": f"{name}.png"} for name in ("exif", "bomb", "loop")]
    result, measured = run(model, tmp_path, [*bad, rows[0]])
    assert result.exit_code == 0, result.output
    assert list(measured.index) == [rows[0]["id"]]
    causes = pd.read_csv(tmp_path / "out/refused.csv").set_index("id")["cause"]
    assert causes["exif"].startswith("exif.png cannot be read as an image (error: unpack requires")
    assert (
        "more than 178956970 px; if that is right, set the environment variable" in causes["bomb"]
    )
    assert "Too many levels of symbolic links" in causes["loop"]
    monkeypatch.setenv("WEAKLESION_MAX_PIXELS", "100")
    assert "it has more than 100 px" in refusal(tmp_path / "plain.png")
    assert Image.MAX_IMAGE_PIXELS > 100  # the limit is not one of the whole process


CUT = [(0, 0), (10, 60), (0, 60), (-15, 60), (5, 5), (155, 110), (159, 119), (80, 130), (175, 60)]


@pytest.mark.parametrize("centre", CUT)
def test_a_mark_by_recist_of_a_lesion_that_the_border_cuts_is_taken(centre):
    """Discs of radius 30 whose masks touch the border of an image of 160x120 px."""
    yy, xx = np.mgrid[:120, :160]
    mask = np.hypot(xx - centre[0], yy - centre[1]) < 30
    assert mask[[0, -1]].any() or mask[:, [0, -1]].any()
    points = simulate_mark(mask, "recist").points(mask.shape, mask.shape)
    assert not outside(points, mask.shape).any()
    assert dice(draw_ellipse(mark_ellipse(points, mask.shape), mask.shape), mask) > 0.5


def test_an_end_beyond_the_border_is_refused_with_a_cure_that_fits():
    """The axes of the ellipse of a whole lesion may leave the image; another image's mark does."""
    whole = recist_from_ellipse(Ellipse(10.0, 60.0, 60.0, 50.0, 0.0))
    with pytest.raises(BadMarkError, match="where the image cuts the lesion, end the diameters"):
        mark_ellipse(whole, (120, 160))
    with pytest.raises(BadMarkError, match="does the mark belong to another image"):
        mark_ellipse(whole + np.array([200, 0]), (120, 160))
    for y, otherwise in ((110, "where the image cuts"), (125, "does the mark belong to another")):
        exchanged = whole[:, ::-1] + np.array([20, y - 10])
        with pytest.raises(BadMarkError, match=f"are x and y exchanged. If not, {otherwise}"):
            mark_ellipse(exchanged, (120, 160))
        assert not outside(exchanged[:, ::-1], (120, 160)).any()
    ends = np.array([[-0.5, 60.0], [59.5, 60.0], [30.0, 40.0], [30.0, 80.0]])
    mark_ellipse(ends, (120, 160))
    mark_ellipse(ends - np.array([0.0009, 0]), (120, 160))
    with pytest.raises(
        BadMarkError, match=r"long a at \(-0.502, 60\) is outside the image of 160x"
    ):
        mark_ellipse(ends - np.array([0.002, 0]), (120, 160))
