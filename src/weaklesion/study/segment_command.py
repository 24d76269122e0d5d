"""The command that turns further marks into masks, apart from the study that names its network.

Pages show it, and would otherwise be made again after any change of the study's code.
"""

import shlex
from collections.abc import Sequence
from pathlib import Path


def segment_command(model: str | Path, window_hu: Sequence[float] | None) -> str:
    """Return the command that turns further marks into masks with a network.

    Args:
        model: folder of its run.
        window_hu: Hounsfield window of its images; None if they are not grey.

    >>> segment_command("runs/x", (-160, 240))
    'weaklesion segment --model runs/x --window -160 240 --marks TABLE.csv --out FOLDER'
    """
    words = ["weaklesion", "segment", "--model", str(model)]
    if window_hu is not None:
        words += ["--window", *(f"{level:g}" for level in window_hu)]
    return f"{shlex.join(words)} --marks TABLE.csv --out FOLDER"
