"""What comes after a study: the commands that turn further marks into masks."""

from pathlib import Path

from weaklesion.study.segment_command import segment_command
from weaklesion.study.study import Study

MOST_SHOWN = 4


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
