"""Settings of a study's training runs that differ from the paper's.

Uses only the standard library, because Snakemake's own interpreter reads it.
"""

from weaklesion.study.arms import training_settings
from weaklesion.study.items import Run
from weaklesion.study.protocols import FLIP, Config, bases_of, limits_of

NOT_IN_PAPER = ("precision", "deterministic")  # neither paper nor code states them


def other_settings(config: Config, paper: Config, run: Run) -> list[str]:
    """Return each setting of a run's training that differs from the paper's, in words.

    Args:
        config: the study's merged configuration.
        paper: `config.yaml` alone: every setting that the paper or its code states.
        run: a training.

    Returns:
        Entries such as `epochs 4 instead of 50`. None if the arm, the dataset or the protocol is
        not the paper's, nor like one.
    """
    dataset = config["datasets"][run.dataset].get("like", run.dataset)
    protocols = bases_of(config, "protocols", run.protocol)
    protocol = next((name for name in protocols if name in paper["protocols"]), None)
    known = dataset in paper["datasets"] and run.arm.split(FLIP)[0] in paper["arms"]
    if not known or protocol is None:
        return []
    ours = training_settings(config, run.dataset, run.protocol, run.arm)
    theirs = training_settings(paper, dataset, protocol, run.arm)
    found = [
        f"{key} {_in_words(ours[key])} instead of {_in_words(value)}"
        for key, value in theirs.items()
        if key not in NOT_IN_PAPER and ours[key] != value
    ]
    if limit := limits_of(config, run.dataset):
        found.append("at most " + ", ".join(f"{limit[key]} {key}" for key in limit) + " samples")
    return found


def _in_words(value: object) -> str:
    if isinstance(value, list):
        return "x".join(map(str, value))
    return "none" if value is None else str(value)
