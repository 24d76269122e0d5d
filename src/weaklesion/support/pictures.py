"""Open pictures with Pillow: errors of the project instead of Pillow's, and a limit of pixels."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, ImageFile

from weaklesion.errors import DataError
from weaklesion.support.reading import PIXELS, limit_of, refusing


@contextmanager
def open_picture(
    path: str | Path, refusal: Callable[[str], DataError]
) -> Iterator[ImageFile.ImageFile]:
    """Open a picture; what Pillow raises in the block as well becomes an error of the project.

    Args:
        path: the file.
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

    Image.MAX_IMAGE_PIXELS = limit // 2  # Pillow refuses pictures of more than twice as many
    with refusing(refuse), Image.open(path) as image:
        yield image
