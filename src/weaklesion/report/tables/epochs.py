"""How long the arms of a table were trained, and which of them that makes incomparable."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from weaklesion.networks.names import NNUNET
from weaklesion.study.labels import Labels, called
from weaklesion.support.files import read_json

Block = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Epochs:
    """Epochs of an arm's training runs.

    Attributes:
        planned: epochs of its settings.
        iterations: steps per epoch of its settings; None for one pass over the samples.
        fewest: fewest epochs that one of its training runs ran.
        most: most epochs that one of them ran.
        may_stop: whether a training may stop before the planned epochs.
        own_budget: whether it is an nnU-Net, whose batches and epochs are its own plan's.
    """

    planned: int
    iterations: int | None = None
    fewest: int
    most: int
    may_stop: bool
    own_budget: bool = False

    def __str__(self) -> str:
        """Return the epochs in words, such as `6` or `12 to 18`."""
        return f"{self.most}" if self.fewest == self.most else f"{self.fewest} to {self.most}"


def epochs_by_block(trained: Sequence[Mapping[str, Any]]) -> dict[Block, dict[str, Epochs]]:
    """Return the epochs of each arm, by dataset and protocol.

    Args:
        trained: dataset, protocol, arm, and the path `run` of each training.
    """
    infos: dict[Block, dict[str, list[dict[str, Any]]]] = {}
    for run in trained:
        info = read_json(run["run"])
        of_block = infos.setdefault((run["dataset"], run["protocol"]), {})
        of_block.setdefault(run["arm"], []).append(info)
    return {
        block: {arm: epochs_of(of_arm) for arm, of_arm in arms.items()}
        for block, arms in infos.items()
    }


def epochs_of(infos: Sequence[Mapping[str, Any]]) -> Epochs:
    """Return the epochs of an arm from the content of the `run.json` of its training runs."""
    settings = infos[0]["settings"]
    ran = [fold["epochs_run"] for info in infos for fold in info.get("folds", [info])]
    return Epochs(
        planned=settings["epochs"],
        iterations=settings.get("iterations"),
        fewest=min(ran),
        most=max(ran),
        may_stop=settings.get("patience") is not None,
        own_budget=settings.get("model") == NNUNET,
    )


def comparable(arm: Epochs | None, baseline: Epochs | None) -> bool:
    """Return whether two arms were to be trained equally long, or may stop on their own.

    An arm without training, None, is comparable with any, and so is an nnU-Net, whose budget the
    table names.

    >>> short = Epochs(planned=2, iterations=500, fewest=2, most=2, may_stop=False)
    >>> long = Epochs(planned=24, iterations=500, fewest=24, most=24, may_stop=False)
    >>> comparable(short, long), comparable(short, short), comparable(short, None)
    (False, True, True)
    """
    if arm is None or baseline is None or arm.own_budget or baseline.own_budget:
        return True
    same = (arm.planned, arm.iterations) == (baseline.planned, baseline.iterations)
    return same or arm.may_stop or baseline.may_stop


def epochs_in_words(
    epochs: Mapping[str, Epochs], baseline: str, labels: Labels | None = None
) -> str:
    """Return how long a block's arms were trained, and which of them the baseline cannot match.

    >>> six, two = (Epochs(planned=n, fewest=n, most=n, may_stop=False) for n in (6, 2))
    >>> epochs_in_words({"a1": six, "a1l": six}, "a1")
    'Every network was trained for 6 epochs.'
    >>> epochs_in_words({"a1": six, "dense": two}, "a1")
    'Epochs of training: a1 6; dense 2. Not comparable with a1, so without a difference: dense.'
    """
    if not epochs:
        return ""
    alike = {(str(of_arm), of_arm.iterations) for of_arm in epochs.values()}
    if len(alike) == 1:
        number = str(next(iter(epochs.values())))
        return f"Every network was trained for {number} {'epoch' if number == '1' else 'epochs'}."
    listed = "; ".join(f"{called(labels, 'arms', arm)} {value}" for arm, value in epochs.items())
    unlike = [
        called(labels, "arms", arm)
        for arm, value in epochs.items()
        if not comparable(value, epochs.get(baseline))
    ]
    text = f"Epochs of training: {listed}."
    if unlike:
        base = called(labels, "arms", baseline)
        text += f" Not comparable with {base}, so without a difference: {', '.join(unlike)}."
    elif any(value.may_stop for value in epochs.values()):
        text += " Training runs stop when validation no longer improves."
    if any(value.own_budget for value in epochs.values()):
        text += " nnU-Net counts epochs of its own batches, which its network's name states."
    return text
