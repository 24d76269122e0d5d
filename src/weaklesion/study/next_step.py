"""What comes after a study: the commands that turn further marks into masks."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from weaklesion.study.study import Study

MOST_SHOWN = 4


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


def next_step(study: Study) -> str:
    """Return what a finished run tells its user to do next.

    Args:
        study: the study that ran.

    Returns:
        The commands for the trained networks of the study's items that are given the mark, those
        that were trained on perturbed marks first; "" if there is none.
    """
    models = [model for item in study.items() for model in study.models(item)]
    trained = {
        model["model"]: model
        for model in sorted(models, key=lambda model: not model["saw_noise"])
        if (Path(model["model"]) / "model.safetensors").is_file()
    }
    if not trained:
        return ""
    commands = [
        f"    {segment_command(model['model'], model['window_hu'])}"
        + ("  # for hand-drawn marks" if model["saw_noise"] else "")
        for model in list(trained.values())[:MOST_SHOWN]
    ]
    more = len(trained) - len(commands)
    return "\n".join(
        [
            "To turn a table of marks into masks, which takes seconds per hundred marks, run:",
            *commands,
            *([f"    ... or another of {more} networks in the same folders"] if more else []),
            "The table is described in docs/how-to/own-marks.md.",
        ]
    )
