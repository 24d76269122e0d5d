"""Checks of the settings that the runs of an item have, after those of the schema.

Uses only the standard library, because Snakemake's own interpreter reads it.
"""

from weaklesion.errors import DataError
from weaklesion.networks.names import NETWORK_MODULES, OWN_ENCODERS
from weaklesion.study.arms import (
    arm_definition,
    chooses_warp,
    has_network,
    is_nnunet,
    num_clusters,
    training_settings,
    warp_arm,
)
from weaklesion.study.items import runs_of, trainings_of
from weaklesion.study.protocols import Config, check_known
from weaklesion.study.settings import TrainingSettings


def check_runs(config: Config, item: str) -> None:
    """Check the training settings of an item's runs and of those that these depend on."""
    runs = [*runs_of(config, [item]), *trainings_of(config, [item])]
    for dataset, protocol, arm in dict.fromkeys(run[:3] for run in runs):  # whatever the seed
        if not has_network(config, arm) or is_nnunet(config, arm):
            continue
        settings = training_settings(config, dataset, protocol, arm)
        try:
            TrainingSettings(**settings)
        except ValueError as error:
            raise DataError(
                f"config: experiments.{item}: arm {arm} on {dataset} under {protocol}: {error}."
                " Change the setting in `training`, in the arm or in the protocol."
            ) from error
        if min(settings["pad_to"]) < settings["input_px"]:
            raise DataError(
                f"config: experiments.{item}: arm {arm} on {dataset} under {protocol}: pad_to:"
                f" {settings['pad_to']} is less than input_px, {settings['input_px']}. Change one"
                " of them in `training`, in the arm or in the protocol."
            )
        _check_presence(config, dataset, arm)
        _check_start(config, dataset, protocol, arm)
        chosen_for = warp_arm(config, dataset, protocol, arm)
        if chosen_for is not None and not chooses_warp(config, chosen_for):
            raise DataError(
                f"config: arms.{arm}.warp_of: a warp is chosen by training runs on an arm's own"
                f" targets, and {chosen_for}, which is taught, has none beforehand. Name an arm"
                " that is not taught."
            )
        if settings["weights"] == "imagenet":
            files = config["imagenet_weights"]["files"]
            check_known("encoder (with weights: imagenet)", settings["encoder"], files)


def _check_presence(config: Config, dataset: str, arm: str) -> None:
    """Check that an arm whose classes are with and without foreground has two of them."""
    number = num_clusters(config, dataset, arm)
    if arm_definition(config, arm).get("clusters") == "presence" and number != 2:
        raise DataError(
            f"config: arms.{arm}.clusters: presence has two classes, and this arm has {number} on"
            f" {dataset}. Set arms.{arm}.num_clusters: 2."
        )


def _check_start(config: Config, dataset: str, protocol: str, arm: str) -> None:
    """Check that an arm has the encoder of the network that it starts from."""
    other = arm_definition(config, arm).get("starts_from")
    if other is None:
        return
    own, theirs = (_encoder(config, dataset, protocol, name) for name in (arm, other))
    if own != theirs:
        raise DataError(
            f"config: arms.{arm}.starts_from: on {dataset} under {protocol} the encoder of {other}"
            f" is {theirs}, and that of {arm} is {own}. Name an arm with the same encoder."
        )


def _encoder(config: Config, dataset: str, protocol: str, arm: str) -> str:
    """Return the encoder of an arm's network; a network with one of its own has its module's."""
    settings = training_settings(config, dataset, protocol, arm)
    model = settings["model"]
    return str(NETWORK_MODULES[model] if model in OWN_ENCODERS else settings["encoder"])
