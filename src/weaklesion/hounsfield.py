"""Hounsfield units as grey levels, and as 16-bit PNG stores them."""

import numpy as np

PNG_OFFSET = 32768  # 16-bit PNG holds Hounsfield units plus this offset, as DeepLesion does


def to_grey(hounsfield: np.ndarray, window_hu: tuple[float, float]) -> np.ndarray:
    """Map a window of Hounsfield units linearly to 0..255; values outside are clipped.

    Args:
        hounsfield: array of any shape.
        window_hu: Hounsfield units that become 0 and 255, the lower first.

    Returns:
        Floats of the same shape, not rounded.

    >>> to_grey(np.array([-1000.0, -160.0, 40.0, 240.0]), (-160.0, 240.0)).tolist()
    [0.0, 0.0, 127.5, 255.0]
    """
    low, high = window_hu
    return np.clip((hounsfield - low) / (high - low), 0, 1) * 255
