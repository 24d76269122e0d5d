"""What functions that read an image's levels need of it."""

import numpy as np


def check_levels(image: np.ndarray) -> None:
    """Refuse an image that is not (H, W, 3) uint8, before a library answers or fails.

    Raises:
        ValueError: naming the argument, its shape and its type.
    """
    shape, kind = np.shape(image), np.asarray(image).dtype
    if not isinstance(image, np.ndarray) or len(shape) != 3 or shape[2] != 3 or kind != np.uint8:
        raise ValueError(
            f"image: needs an array of (H, W, 3) uint8, not {shape} {kind}. Map its values to"
            " 0..255, such as Hounsfield units by their window, and repeat a grey image three times"
        )
