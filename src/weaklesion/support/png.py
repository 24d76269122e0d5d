"""Write pictures as PNG."""

from pathlib import Path

import cv2
import numpy as np

from weaklesion.support.files import written_whole


def write_png(path: str | Path, picture: np.ndarray) -> None:
    """Write a picture as PNG.

    `cv2.imwrite` is not used: on a full disk it cuts the file short, and returns True.

    Args:
        path: file to write.
        picture: (h, w) or (h, w, 3) uint8, red first.

    Raises:
        OSError: if the file cannot be written. An earlier file of this name is then as it was.
    """
    encoded = cv2.imencode(".png", picture[..., ::-1] if picture.ndim == 3 else picture)[1]
    with written_whole(path) as temporary:
        temporary.write_bytes(encoded.tobytes())
