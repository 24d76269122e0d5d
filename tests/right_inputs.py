"""Right inputs of every kind, made by seed, and what the readers answer, as digests.

    python tests/right_inputs.py    # writes tests/right_inputs.csv, after a change that is meant

Answers are whole numbers, texts, and decimals that are rounded, so that they are the same on every
machine; pixels of lossy pictures are rounded to sixteenths.
"""

import csv
import hashlib
import io
import json
import random
import tarfile
import tempfile
import zipfile
from pathlib import Path

import nibabel
import numpy as np
from PIL import Image

from weaklesion.data.archives import extract
from weaklesion.data.loaders.deeplesion_table import parse_row, read_table
from weaklesion.data.manifest import read_manifest
from weaklesion.marks.images import read_picture
from weaklesion.marks.table import Mark, read_marks
from weaklesion.recist import RECIST_COLUMNS
from weaklesion.study.overrides import parse_overrides

GOLDEN = Path(__file__).with_name("right_inputs.csv")
OF_EACH = 25
WINDOW = (-160.0, 240.0)
POINTS = np.array([[4.0, 6.0], [20.0, 6.0], [12.0, 3.0], [12.0, 9.0]])
LOSSLESS = {
    "png": {}, "tif": {}, "tif lzw": {"compression": "tiff_lzw"}, "bmp": {}, "ppm": {}, "tga": {},
    "pcx": {}, "webp": {"lossless": True}, "png small": {"optimize": True},
    "tif deflate": {"compression": "tiff_adobe_deflate"},
}  # fmt: skip


def plain(value):
    """A value as JSON has it, with decimals rounded."""
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(inner) for inner in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return f"{value:.4f}"
    return value if isinstance(value, int | str | None) else repr(value)


def picture(path, number=None, step=1):
    """The levels and spacing that a mark on an image gets."""
    read = read_picture(Mark(2, "m", path, number, POINTS, None), WINDOW)
    levels = np.rint(read.levels / step).astype(int)
    return [levels.tolist(), read.spacing]


def off_ties(units):
    """Hounsfield units, none of which lies in the middle between two levels."""
    return units + ((units - WINDOW[0]) % 80 == 40)


def lossless(rng, folder):
    name = rng.choice(list(LOSSLESS))
    height, width = rng.randrange(12, 40), rng.randrange(24, 60)
    shape = (height, width, 3) if rng.randrange(2) else (height, width)
    levels = np.frombuffer(rng.randbytes(int(np.prod(shape))), np.uint8).reshape(shape)
    path = folder / f"x.{name.split()[0]}"
    Image.fromarray(levels).save(path, **LOSSLESS[name])
    return picture(path)


def lossy_or_deep(rng, folder):
    """JPEG of flat blocks, or 16-bit PNG of Hounsfield units."""
    blocks = np.frombuffer(rng.randbytes(12), np.uint8).reshape(2, 3, 2)
    if rng.randrange(2):
        levels = np.kron(blocks[..., 0] // 32 * 32 + 16, np.ones((16, 16))).astype(np.uint8)
        Image.fromarray(levels).save(folder / "x.jpg", quality=95)
        return picture(folder / "x.jpg", step=16)
    units = np.kron(off_ties(blocks[..., 0].astype(int) - 100), np.ones((10, 12))).astype(int)
    stored = (units + 32768).astype(np.uint16)
    Image.fromarray(stored).save(folder / "x.png")
    return picture(folder / "x.png")


def volume(rng, folder):
    width, height, depth = rng.randrange(24, 40), rng.randrange(12, 30), rng.randrange(1, 5)
    kind = rng.choice(["i2", "i4", "f4", "u1", "f8", ">i2"])
    values = np.frombuffer(rng.randbytes(width * height * depth), np.uint8).astype(int)
    values = off_ties(values if kind == "u1" else values - 120)
    voxels = values.reshape(width, height, depth).astype(kind)
    spacing = [rng.choice([0.5, 0.7421875, 1.25, 3.0]) for _ in range(3)]
    signs = [rng.choice([1, -1]) for _ in range(3)]
    affine = np.diag([*(size * sign for size, sign in zip(spacing, signs, strict=True)), 1.0])
    affine[:3, 3] = [rng.randrange(-200, 200) for _ in range(3)]
    form = rng.choice([nibabel.Nifti1Image, nibabel.Nifti2Image])
    header = form.header_class(endianness=rng.choice("<>"))
    header.set_data_dtype(voxels.dtype.newbyteorder("="))
    image = form(voxels, affine, header)
    image.header.set_xyzt_units("mm")
    path = folder / rng.choice(["x.nii", "x.nii.gz"])
    nibabel.save(image, path)
    return picture(path, rng.randrange(depth))


def number_text(rng, comma):
    value = rng.choice([rng.randrange(400), rng.randrange(4000) / 8])
    return f"{value:g}".replace(".", "," if comma else ".")


def marks(rng, folder):
    separator = rng.choice(",;\t")
    comma = separator != "," and rng.randrange(2) == 1
    names = ["image", *RECIST_COLUMNS]
    names += rng.sample(["id", "slice", "group", "split", "comment"], rng.randrange(6))
    rng.shuffle(names)
    texts = {
        "id": lambda row: rng.choice([f"m{row}", f"00{row}", f"-{row}", f"läsion {row}"]),
        "image": lambda row: rng.choice([f"{row}.png", f"a/b c/{row}.nii.gz"]),
        "slice": lambda _: rng.choice(["", "0", "7", "12.0" if not comma else "12"]),
        "group": lambda _: rng.choice(["", "P1", "p 2", "NA"]),
        "split": lambda _: rng.choice(["train", "Val", "test"]),
        "comment": lambda _: rng.choice(["", "=1+1", 'a "quoted" one', f"a{separator}b"]),
    }
    rows = [
        [texts[name](row) if name in texts else number_text(rng, comma) for name in names]
        for row in range(rng.randrange(1, 8))
    ]
    text = io.StringIO()
    end = rng.choice(["\n", "\r\n"])
    writer = csv.writer(text, delimiter=separator, lineterminator=end)
    writer.writerows([names, *rows])
    start = f"sep={separator}{end}" if rng.randrange(4) == 0 else ""
    encoding = rng.choice(["utf-8", "utf-8-sig"])
    (folder / "marks.csv").write_bytes((start + text.getvalue()).encode(encoding))
    taken, refused = read_marks(folder / "marks.csv")
    assert not refused
    found = [vars(mark) | {"image": str(mark.image.relative_to(folder))} for mark in taken]
    assert {mark.pop("lesion") for mark in found} == {""}  # a later column, without any here
    assert {mark.pop("lymph_node") for mark in found} == {None}  # likewise
    assert {mark.pop("first_slice") for mark in found} == {0}
    return found


def archive(rng, folder):
    files = {
        rng.choice(["", "a/", "a/b c/"]) + f"f{number}.bin": rng.randbytes(rng.randrange(3000))
        for number in range(rng.randrange(1, 6))
    }
    name = rng.choice(["x.zip", "x.tar", "x.tar.gz", "x.tgz"])
    if name == "x.zip":
        method = rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
        with zipfile.ZipFile(folder / name, "w", method) as stream:
            for inner, content in files.items():
                stream.writestr(inner, content)
    else:
        form = rng.choice([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
        mode = "w" if name == "x.tar" else "w:gz"
        with tarfile.open(folder / name, mode, format=form) as stream:
            for inner, content in files.items():
                told = tarfile.TarInfo(inner)
                told.size = len(content)
                stream.addfile(told, io.BytesIO(content))
    extract(folder / name, folder / "out")
    found = sorted(path for path in (folder / "out").rglob("*") if path.is_file())
    return [
        [str(path.relative_to(folder)), hashlib.sha256(path.read_bytes()).hexdigest()]
        for path in found
    ]


def manifest(rng, folder):
    rows = []
    for number in range(rng.randrange(1, 6)):
        digits = rng.randbytes(32).hex()
        urls = rng.choice(["x.zip", "https://a.b/c", "x.zip http://a.b/c?d=e", "/abs/x.zip"])
        size = rng.choice(["", str(rng.randrange(10**9))])
        md5, sha256 = rng.choice([(digits[:32], ""), ("", digits), (digits[:8], digits)])
        rows.append([f"f{number}.zip", urls, size, md5, sha256])
    end = rng.choice(["\n", "\r\n"])
    lines = [",".join(row) for row in [["name", "url", "bytes", "md5", "sha256"], *rows]]
    (folder / "manifest.csv").write_bytes((end.join(lines) + end).encode())
    told = read_manifest(folder / "manifest.csv")
    return json.loads(json.dumps(told).replace(str(folder.resolve()), "FOLDER"))


def lesions(rng, folder):
    header = (
        "File_name,Patient_index,Study_index,Series_ID,Key_slice_index,Measurement_coordinates,"
        "Bounding_boxes,Lesion_diameters_Pixel_,Normalized_lesion_location,Coarse_lesion_type,"
        "Possibly_noisy,Slice_range,Spacing_mm_px_,Image_size,DICOM_windows,Patient_gender,"
        "Patient_age,Train_Val_Test"
    )
    rows = []
    for number in range(rng.randrange(1, 5)):
        x, y, reach = rng.randrange(60, 400), rng.randrange(60, 400), rng.randrange(5, 30)
        ends = [x - reach, y, x + reach, y, x + 0.25, y - reach / 2, x + 0.25, y + reach / 2]
        box = [x - reach - 5, y - reach - 5, x + reach + 5, y + reach + 5]
        texts = [", ".join(f"{value:g}" for value in values) for values in (ends, box)]
        key = rng.randrange(5, 300)
        spacing = rng.choice(["0.488281, 0.488281, 5", "0.8, 0.8, 1", "0.7, 0.7, -2.5"])
        window = rng.choice(["-175, 275", "-1500, 500", "-160,240"])
        rows.append(
            f'00000{number}_01_01_{key:03d}.png,{number},1,1,{key},"{texts[0]}","{texts[1]}",'
            f'"{2 * reach}, {reach}","0.4, 0.3, 0.5",3,0,"{key - 3}, {key + 3}","{spacing}",'
            f'"512, 512","{window}",F,62,{rng.randrange(1, 4)}'
        )
    (folder / "DL_info.csv").write_text("\n".join([header, *rows]) + "\n")
    table = folder / "DL_info.csv"
    return [vars(parse_row(row, table)) for row in read_table(table)]


def override(rng, _):
    values = ["1", "1e-3", "on", "007", "null", "[1, a, 2.5]", "{b: {c: [1]}, d: null}", "x: y: z"]
    values += ["2026-11-27", "'1'", "~", "1_0", "", "{b: {c: true}}"]
    return parse_overrides(
        f"k{number}={rng.choice(values)}" for number in range(rng.randrange(1, 6))
    )


KINDS = (lossless, lossy_or_deep, volume, marks, archive, manifest, lesions, override)


def answers(kinds=KINDS):
    """The digest of the answer to each input, by kind and number."""
    found = {}
    for kind in kinds:
        for number in range(OF_EACH):
            rng = random.Random(f"{kind.__name__} {number}")
            with tempfile.TemporaryDirectory() as folder:
                text = json.dumps(plain(kind(rng, Path(folder).resolve())), sort_keys=True)
            digest = hashlib.sha256(text.encode()).hexdigest()[:12]
            found[f"{kind.__name__} {number}"] = digest
    return found


def golden():
    """The digests that are kept."""
    return dict(line.split(",") for line in GOLDEN.read_text().splitlines())


if __name__ == "__main__":
    GOLDEN.write_text("".join(f"{name},{digest}\n" for name, digest in answers().items()))
