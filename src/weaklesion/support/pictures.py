"""Open pictures: known formats only, and a PNG only if its checksums hold and no row is missing.

Pillow by itself opens whatever it knows, starts another program for PostScript, does not compare
the checksums of a PNG's pixels, and fills up rows that a PNG lacks.
"""

import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, ImageFile, UnidentifiedImageError

from weaklesion.errors import DataError
from weaklesion.support.reading import PIXELS, limit_of, refusing

# Formats that Pillow itself decodes, by its names.
FORMATS = (
    "PNG", "JPEG", "TIFF", "BMP", "DIB", "GIF", "WEBP", "JPEG2000", "PPM", "TGA", "PCX", "SGI",
    "AVIF",
)  # fmt: skip
PNG_START = b"\x89PNG\r\n\x1a\n"
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by a PNG's type of colour
# First column and row, and steps, of the seven passes of an interlaced PNG.
PASSES = (
    (0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
    (0, 1, 1, 2),
)  # fmt: skip
MOST_AT_ONCE = 1 << 20  # bytes


@contextmanager
def open_picture(
    path: str | Path, refusal: Callable[[str], DataError]
) -> Iterator[ImageFile.ImageFile]:
    """Open a picture; what Pillow raises in the block as well becomes an error of the project.

    Args:
        path: the file, see `opened`.
        refusal: maps the cause, in words, to the error.

    Raises:
        DataError: what `refusal` returns; for a picture above the limit of pixels, before anything
            is decoded.
    """
    limit = limit_of(PIXELS)

    def refuse(cause: str) -> DataError:
        if "DecompressionBombError" in cause:
            cause = (
                f"it has more than {limit} px; if that is right, set the environment variable"
                f" {PIXELS[0]}"
            )
        return refusal(cause)

    with refusing(refuse), _most_pixels(limit), opened(path) as image:
        yield image


@contextmanager
def _most_pixels(limit: int) -> Iterator[None]:
    """Let Pillow refuse pictures of more than `limit` pixels, here and nowhere else."""
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = limit // 2  # Pillow refuses what has more than twice as many
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


@contextmanager
def opened(path: str | Path) -> Iterator[ImageFile.ImageFile]:
    """Open a picture of one of `FORMATS`, as `PIL.Image.open` does.

    Raises:
        OSError: if the file cannot be read, has another format, or is a damaged PNG.
        PIL.Image.DecompressionBombError: if it has more pixels than Pillow decodes.
    """
    Image.init()
    known = [name for name in FORMATS if name in Image.OPEN]  # Pillow may be built without some
    try:
        picture = Image.open(path, formats=known)
    except UnidentifiedImageError as error:
        raise UnidentifiedImageError(f"it is none of {', '.join(known)}") from error
    with picture as image:
        if image.format == "PNG":
            check_png(path)
        yield image


def check_png(path: str | Path) -> None:
    """Check the checksums of a PNG's header, palette and pixels, and that all rows are there.

    Raises:
        OSError: if the file cannot be read or is damaged.
    """
    inflate = zlib.decompressobj()
    needed = None
    size = Path(path).stat().st_size
    with open(path, "rb") as stream:
        if stream.read(len(PNG_START)) != PNG_START:
            raise OSError("it is not a PNG")
        while len(start := stream.read(8)) == 8:
            length, kind = struct.unpack(">I4s", start)
            if kind == b"IEND":
                break
            if kind not in (b"IHDR", b"PLTE", b"IDAT"):
                stream.seek(length + 4, 1)  # Pillow reads these, or needs none of them
                continue
            if length > size:
                raise OSError("one of its lengths is beyond its end: it is damaged")
            content, checksum = stream.read(length), stream.read(4)
            if checksum != zlib.crc32(content, zlib.crc32(kind)).to_bytes(4):
                raise OSError(f"the checksum of its {kind.decode()} differs: it is damaged")
            if kind == b"IHDR":
                needed = _png_bytes(content)
            while kind == b"IDAT" and content and needed:
                try:
                    needed = max(0, needed - len(inflate.decompress(content, MOST_AT_ONCE)))
                except zlib.error as error:
                    raise OSError(f"its pixels cannot be decompressed ({error})") from error
                content = inflate.unconsumed_tail
    if needed != 0:
        raise OSError("it has fewer rows of pixels than its header says: it is truncated")


def _png_bytes(header: bytes) -> int:
    """Return the number of bytes of all rows of a PNG, each with its filter, from its IHDR."""
    try:
        width, height, bits, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header)
        per_pixel = bits * CHANNELS[colour]
    except (struct.error, KeyError) as error:
        raise OSError("its header is not that of a PNG") from error
    total = 0
    for x, y, step_x, step_y in PASSES if interlaced else ((0, 0, 1, 1),):
        columns, rows = -(-(width - x) // step_x), -(-(height - y) // step_y)
        if columns > 0 and rows > 0:
            total += rows * (1 + -(-columns * per_pixel // 8))
    return int(total)
