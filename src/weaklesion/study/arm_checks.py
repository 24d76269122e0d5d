"""Checks of the arms of a configuration.

Uses only the standard library, because Snakemake's own interpreter reads it.
"""

from weaklesion.errors import DataError
from weaklesion.networks.names import MULTI_TASK_MODELS, PAIR_MODELS
from weaklesion.study.arms import arm_definition, is_nnunet, is_prompted, is_trained
from weaklesion.study.items import ORIGINS, needed_arms
from weaklesion.study.protocols import Config, check_known

NNUNET_KEYS = ("base", "model", "target", "label", "published")  # all others are of our networks
TARGET_KEYS = (*NNUNET_KEYS, "marks")  # of an arm whose target is the prediction
# Keys of a training, which an arm that predicts with another's network has none of.
TRAINING_KEYS = ("training", "network", "epochs_of", "starts_from", "taught_by", "num_clusters")


def check_arms(config: Config) -> None:
    """Check the arms, whichever of them an item shows.

    Raises:
        DataError: naming the key, its value, and the allowed values or the remedy.
    """
    for arm in config["arms"]:
        _check_mark_keys(config, arm)
        _check_origins(config, arm)
    for arm in config["arms"]:
        _check_circles(config, arm)
        _check_nnunet_keys(config, arm)
        _check_unread_keys(config, arm)


def _check_mark_keys(config: Config, arm: str) -> None:
    """Check the keys of an arm that only a network that sees the mark can have."""
    definition = arm_definition(config, arm)
    sees_mark = is_prompted(config, arm)
    if definition.get("marks") is not None:
        known = [*config["mark_noise"], *config["readers"]]
        check_known(f"arms.{arm}.marks", definition["marks"], known)
        is_mark = definition["model"] is None and definition["target"] in ("ellipse", "ends")
        if not is_mark and not (sees_mark and definition.get("network_of")):
            raise DataError(
                f"config: arms.{arm}.marks: only the shape of the mark itself and a trained network"
                " that sees the mark (`network_of`) can use other marks. Remove the key."
            )
    if definition.get("warp_of") is not None:
        _check_sees_mark(config, f"arms.{arm}.warp_of", definition["warp_of"])
    for key in ("gate", "consistent", "levels", "sized", "warp_of", "taught_by"):
        if definition.get(key) is not None and not sees_mark:
            raise DataError(
                f"config: arms.{arm}.{key}: the arm's network does not see the mark. Remove the"
                " key."
            )
    if definition.get("taught_by") is not None:
        _check_sees_mark(config, f"arms.{arm}.taught_by", definition["taught_by"])
    if sees_mark and definition.get("crf"):
        raise DataError(
            f"config: arms.{arm}.crf: a network that sees the mark has no CRF. Remove the key."
        )


def _check_sees_mark(config: Config, key: str, other: str) -> None:
    """Check the arm whose masks an arm is trained on, or whose warp it takes."""
    check_known(key, other, config["arms"])
    if not is_prompted(config, other):
        raise DataError(
            f"config: {key}: the network of {other} does not see the mark. Name an arm whose"
            " network does."
        )


def _check_origins(config: Config, arm: str) -> None:
    """Check the arms whose network, encoder or number of epochs an arm uses."""
    definition = arm_definition(config, arm)
    if definition.get("weights_of") == "last" and definition.get("network_of") is None:
        raise DataError(
            f"config: arms.{arm}.weights_of: last: this key needs another arm's network. Name that"
            " arm in network_of."
        )
    for key in ORIGINS:
        if definition.get(key) is None:
            continue
        check_known(f"arms.{arm}.{key}", definition[key], config["arms"])
        if not is_trained(config, definition[key]):
            raise DataError(
                f"config: arms.{arm}.{key}: {definition[key]} is not trained itself. Name an arm"
                " that is."
            )
        refuse_nnunet(config, f"arms.{arm}.{key}", definition[key])
    other = definition.get("network_of")
    if other is not None and arm_definition(config, other)["model"] != definition["model"]:
        raise DataError(
            f"config: arms.{arm}.network_of: the model of {other} is"
            f" {arm_definition(config, other)['model']}, and that of {arm} is"
            f" {definition['model']}. Set base: {other}, or the same model."
        )


def _check_circles(config: Config, arm: str) -> None:
    """Check that no run needs itself, by way of the runs that it starts from or is taught by."""
    todo = [[arm]]
    while todo:
        chain = todo.pop()
        for other in needed_arms(config, chain[-1]):
            if other == arm:
                raise DataError(
                    f"config: arms.{arm} needs itself: {' needs '.join([*chain, other])}. Name arms"
                    " that are trained before this one."
                )
            if other not in chain:
                todo.append([*chain, other])


def _check_nnunet_keys(config: Config, arm: str) -> None:
    """Check that an arm with nnU-Net sets nothing that nnU-Net would not read."""
    odd = sorted(arm_definition(config, arm).keys() - set(NNUNET_KEYS))
    if is_nnunet(config, arm) and odd:
        raise DataError(
            f"config: arms.{arm}.{odd[0]}: nnU-Net plans and trains itself and does not read this"
            " key. Remove it; the budget of all nnU-Nets is `nnunet`."
        )


def _check_unread_keys(config: Config, arm: str) -> None:
    """Check that an arm sets nothing that its model, or the network that it uses, would not read.

    A key that comes from the arm's `base` is not the arm's own and may stay.
    """
    own, definition = config["arms"][arm], arm_definition(config, arm)
    model = definition["model"]
    if is_nnunet(config, arm):
        return
    problems: dict[str, str] = {}
    if model is None:
        problems |= dict.fromkeys(own.keys() - set(TARGET_KEYS), "the arm has no network")
    if definition.get("network_of") is not None:
        why = (
            f"the arm is not trained itself, it predicts with {definition['network_of']}'s network"
        )
        problems |= dict.fromkeys(TRAINING_KEYS, why)
    if model not in PAIR_MODELS:
        problems["partner"] = f"{model} takes no pairs of images"
        if model not in MULTI_TASK_MODELS:
            problems["clusters"] = f"{model} has no second task and takes no pairs of images"
    if not definition.get("clusters"):
        problems["num_clusters"] = "the arm has no clusters"
    for key, value in own.items():
        if key in problems and value not in (None, False):
            raise DataError(f"config: arms.{arm}.{key}: {problems[key]}. Remove the key.")


def refuse_nnunet(config: Config, key: str, arm: str) -> None:
    """Check that an arm that another one takes something from is not nnU-Net.

    Raises:
        DataError: naming the key.
    """
    if is_nnunet(config, arm):
        raise DataError(
            f"config: {key}: {arm} is an nnU-Net, whose network, number of epochs and features no"
            " other arm can use. Name another arm."
        )
