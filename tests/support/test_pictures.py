"""Pictures are opened in known formats, and a damaged PNG is refused."""

import random
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from weaklesion.support.pictures import opened

LEVELS = np.random.default_rng(5).integers(0, 256, (11, 13, 3), dtype=np.uint8)


def chunk(kind, content):
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum


def test_a_flipped_bit_of_a_png_is_refused_or_changes_no_pixel(tmp_path):
    whole, path, refused = tmp_path / "whole.png", tmp_path / "x.png", 0
    Image.fromarray(LEVELS).save(whole)
    content, draw = whole.read_bytes(), random.Random(2)
    for _ in range(200):
        flipped = bytearray(content)
        flipped[draw.randrange(8, len(content))] ^= 1 << draw.randrange(8)
        path.write_bytes(flipped)
        try:
            with opened(path) as image:
                assert np.array_equal(np.asarray(image), LEVELS)
        except (OSError, SyntaxError):
            refused += 1
    assert refused > 150


@pytest.mark.parametrize("interlaced", [0, 1])
def test_a_png_with_fewer_rows_than_its_header_says_is_refused(tmp_path, interlaced):
    rows = b"".join(b"\0" + row.tobytes() for row in LEVELS)
    header = struct.pack(">IIBBBBB", 13, 22, 8, 2, 0, 0, interlaced)
    content = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    (tmp_path / "x.png").write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    with pytest.raises(OSError, match="fewer rows"), opened(tmp_path / "x.png"):
        pass


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_whole_pngs_of_every_kind_are_opened(tmp_path, mode):
    Image.fromarray(LEVELS).convert(mode).save(tmp_path / "x.png")
    with opened(tmp_path / "x.png") as image:
        assert image.size == (13, 11)


def test_postscript_is_not_opened(tmp_path):
    Image.fromarray(LEVELS).save(tmp_path / "x.eps")
    with pytest.raises(OSError, match="none of PNG, JPEG"), opened(tmp_path / "x.eps"):
        pass
