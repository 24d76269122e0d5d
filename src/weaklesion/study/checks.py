"""Checks of the configuration that the schema cannot make.

Uses only the standard library, because Snakemake's own interpreter reads it.
"""

from collections.abc import Mapping
from typing import Any

from weaklesion.errors import DataError
from weaklesion.study.arms import (
    arm_definition,
    chooses_warp,
    has_network,
    is_nnunet,
    is_prompted,
    is_trained,
    training_settings,
    warp_arm,
)
from weaklesion.study.items import (
    ORIGINS,
    drawn_arms,
    item_definition,
    items_of,
    main_item_of,
    needed_arms,
    runs_of,
    trainings_of,
)
from weaklesion.study.protocols import (
    Config,
    check_known,
    folds_of,
    protocol_settings,
    whole,
)
from weaklesion.study.settings import TrainingSettings

UNSCORED_KINDS = ("parameters", "accuracy", "mark_agreement")
# validation curves; switches flipped one by one; test volumes of one split
UNFOLDED_KINDS = ("sweep", "attribution", "volumes")
VOLUME_LOADERS = ("lits",)  # read whole volumes with masks of lesions
DRAWN_KINDS = ("scores", "mark_agreement")
NNUNET_KEYS = ("base", "model", "target", "label", "published")  # all others are of our networks
# Kinds of items that no arm with nnU-Net can be in, and why.
WITHOUT_NNUNET = {
    "accuracy": "it has no second task",
    "sweep": "its settings are not those that a sweep varies",
    "attribution": "it has none of the settings of the released code",
}


def check_config(config: Config) -> None:
    """Check that every name stands for something, and that all settings go together.

    Raises:
        DataError: naming the key, its value, and the allowed values or the remedy.
    """
    _check_datasets(config)
    _check_protocols(config)
    for arm in config["arms"]:
        _check_mark_keys(config, arm)
        _check_origins(config, arm)
    for arm in config["arms"]:
        _check_circles(config, arm)
        _check_nnunet_keys(config, arm)
    if not items_of(config):
        raise DataError(
            f"config: select.datasets: no item is about {config['select']['datasets']}. Name in"
            " `like` the dataset of `experiments` that each of them stands for."
        )
    for item in config["select"].get("own_protocols", []):
        check_known("select.own_protocols", item, config["experiments"])
    for item in items_of(config):
        if config["experiments"][item]["kind"] == "volumes":
            _check_volumes(config, item)
        else:
            _check_arms(config, item)
        _check_nnunet_item(config, item)
        _check_references(config, item)
        _check_folds(config, item)
        _check_drawn_arms(config, item)
        _check_runs(config, item)


def _check_datasets(config: Config) -> None:
    """Check the datasets that datasets name."""
    datasets = config["datasets"]
    for name, definition in datasets.items():
        check_known(f"datasets.{name}.like", definition.get("like", name), datasets)
        files_of = definition.get("files_of", name)
        check_known(f"datasets.{name}.files_of", files_of, datasets)
        if "files_of" in definition and not {"manifest", "phantom"} & set(datasets[files_of]):
            raise DataError(
                f"config: datasets.{name}.files_of: {files_of} has no files of its own. Name a"
                " dataset with a manifest or a phantom."
            )


def _check_protocols(config: Config) -> None:
    """Check the arms and datasets that protocols name."""
    for name in config["protocols"]:
        settings = protocol_settings(config, name)
        embedding_of = settings.get("clusters", {}).get("embedding_of")
        if embedding_of is not None:
            key = f"protocols.{name}.clusters.embedding_of"
            check_known(key, embedding_of, config["arms"])
            _refuse_nnunet(config, key, embedding_of)
        for exception in settings.get("exceptions", []):
            for kind in ("datasets", "arms"):
                for value in exception.get(kind, []):
                    check_known(f"protocols.{name}.exceptions.{kind}", value, config[kind])


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
        _refuse_nnunet(config, f"arms.{arm}.{key}", definition[key])


def _refuse_nnunet(config: Config, key: str, arm: str) -> None:
    """Check that an arm that another one takes something from is not nnU-Net."""
    if is_nnunet(config, arm):
        raise DataError(
            f"config: {key}: {arm} is an nnU-Net, whose network, number of epochs and features no"
            " other arm can use. Name another arm."
        )


def _check_nnunet_keys(config: Config, arm: str) -> None:
    """Check that an arm with nnU-Net sets nothing that nnU-Net would not read."""
    odd = sorted(arm_definition(config, arm).keys() - set(NNUNET_KEYS))
    if is_nnunet(config, arm) and odd:
        raise DataError(
            f"config: arms.{arm}.{odd[0]}: nnU-Net plans and trains itself and does not read this"
            " key. Remove it; the budget of all nnU-Nets is `nnunet`."
        )


def _check_nnunet_item(config: Config, item: str) -> None:
    """Check that an item with nnU-Net shows nothing that only our networks have."""
    definition = item_definition(config, item)
    found = [arm for arm in definition["arms"] if is_nnunet(config, arm)]
    why = WITHOUT_NNUNET.get(definition["kind"])
    if item == main_item_of(config):
        why = "the figures of the main item show losses that it does not have"
    if found and why:
        raise DataError(
            f"config: experiments.{item}.arms: {found[0]} is an nnU-Net, and {why}. Name it in"
            " another item of kind scores, cost or parameters."
        )


def _check_arms(config: Config, item: str) -> None:
    """Check the arms that an item names or compares."""
    definition = item_definition(config, item)
    if definition.get("over") == "samples":
        for arm in definition["arms"]:
            others = needed_arms(config, arm)
            if others:
                raise DataError(
                    f"config: experiments.{item}.arms: {arm} needs {others[0]}, which is trained on"
                    " all samples, and a curve over samples would not show that. Name an arm that"
                    " needs no other."
                )
    arms = definition["arms"]
    if item == main_item_of(config):
        check_known("figures.ranked_by", config["figures"]["ranked_by"], arms)
    if definition["kind"] in ("scores", "policies", "attribution"):
        check_known(f"experiments.{item}.baseline", definition["baseline"], arms)
    if definition["kind"] == "gap":
        own = config["experiments"][item]
        if set(own["arms"]) == set(own["against"]) and len(own["arms"]) == 1:
            raise DataError(
                f"config: experiments.{item}: {own['arms'][0]} against itself has no gap. Name"
                " another arm in `against`."
            )
    sees_mark = {is_prompted(config, arm) for arm in arms if has_network(config, arm)}
    if len(sees_mark) == 2:
        raise DataError(
            f"config: experiments.{item}.arms: some networks see the mark and others do not, and"
            " these are two tasks. Give each task an item of its own."
        )
    only_scored = definition["kind"] == "scores" and not definition.get("contours", False)
    if not sees_mark and not (only_scored and item != main_item_of(config)):
        raise DataError(
            f"config: experiments.{item}.arms: no arm has a network, which every item needs but a"
            " table of scores without contours. Add one that has."
        )


def _check_volumes(config: Config, item: str) -> None:
    """Check that an item of volumes is about datasets that have them."""
    for name in item_definition(config, item)["datasets"]:
        loader = config["datasets"][name]["loader"]
        if loader not in VOLUME_LOADERS:
            raise DataError(
                f"config: experiments.{item}.datasets: {name} has the loader {loader}, which reads"
                " no volumes with masks of lesions. Name a dataset with the loader"
                f" {' or '.join(VOLUME_LOADERS)}."
            )


def _check_folds(config: Config, item: str) -> None:
    """Check that the kind and the datasets of a cross-validated item allow folds."""
    definition = item_definition(config, item)
    for protocol in definition["protocols"]:
        if not folds_of(config, whole(protocol)):
            continue
        if definition["kind"] in UNFOLDED_KINDS:
            raise DataError(
                f"config: experiments.{item}: {protocol} is cross-validated, and an item of kind"
                f" {definition['kind']} needs one split. Name a protocol without folds."
            )
        for dataset in definition["datasets"]:
            if config["datasets"][dataset]["limit"]:
                raise DataError(
                    f"config: datasets.{dataset}.limit: {protocol} is cross-validated, and a fold"
                    " has no number of samples per split. Remove the limit, or the folds of the"
                    " protocol."
                )


def _check_runs(config: Config, item: str) -> None:
    """Check the training settings of an item's runs and of the trainings that these depend on."""
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
        chosen_for = warp_arm(config, dataset, protocol, arm)
        if chosen_for is not None and not chooses_warp(config, chosen_for):
            raise DataError(
                f"config: arms.{arm}.warp_of: a warp is chosen by trainings on an arm's own"
                f" targets, and {chosen_for}, which is taught, has none beforehand. Name an arm"
                " that is not taught."
            )
        if settings["weights"] == "imagenet":
            files = config["imagenet_weights"]["files"]
            check_known("encoder (with weights: imagenet)", settings["encoder"], files)


def _check_references(config: Config, item: str) -> None:
    """Check that an item scores against dense masks, and `mark_agreement` against marks."""
    definition = item_definition(config, item)
    kind = definition["kind"]
    for name in definition["datasets"]:
        dataset = config["datasets"][name]
        dense = dataset["reference"] == "dense"
        if dataset["loader"] == "custom" and not dense and kind not in UNSCORED_KINDS:
            raise DataError(
                f"config: experiments.{item}: {name} has no dense masks (reference: grabcut), and"
                f" an item of kind {kind} would rank its arms by a mask that is made from the"
                " mark. Set kind: mark_agreement; or, where the table of marks has a column mask,"
                f" datasets.{name}.reference: dense."
            )
        if dense and kind == "mark_agreement":
            raise DataError(
                f"config: experiments.{item}: {name} has dense masks (reference: dense). Set kind:"
                " scores, which compares with them."
            )


def _check_drawn_arms(config: Config, item: str) -> None:
    """Check the arms of an item whose contours are drawn over test images."""
    definition = item_definition(config, item)
    if not definition.get("contours", False):
        return
    if definition["kind"] not in DRAWN_KINDS:
        raise DataError(
            f"config: experiments.{item}.contours: only items of kind {' or '.join(DRAWN_KINDS)}"
            f" draw contours, not {definition['kind']}. Remove the key."
        )
    drawn = drawn_arms(config, item)
    for arm in drawn:
        check_known(f"experiments.{item}.contours", arm, definition["arms"])
    if not any(has_network(config, arm) for arm in drawn):
        raise DataError(
            f"config: experiments.{item}.contours: no arm has a network, and a network chooses"
            " the test images. Add an arm that has one."
        )


def _check_teacher(config: Config, arm: str, definition: Mapping[str, Any]) -> None:
    """Check the arm whose masks an arm is trained on."""
    key, teacher = f"arms.{arm}.taught_by", definition["taught_by"]
    check_known(key, teacher, config["arms"])
    if not is_prompted(config, teacher):
        raise DataError(
            f"config: {key}: the network of {teacher} does not see the mark. Name an arm whose"
            " network does."
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


def _check_mark_keys(config: Config, arm: str) -> None:
    """Check the keys of an arm that only a network that sees the mark can have."""
    definition = arm_definition(config, arm)
    sees_mark = is_prompted(config, arm)
    if definition.get("marks") is not None:
        check_known(f"arms.{arm}.marks", definition["marks"], config["mark_noise"])
        is_mark = definition["model"] is None and definition["target"] in ("ellipse", "ends")
        if not is_mark and not (sees_mark and definition.get("network_of")):
            raise DataError(
                f"config: arms.{arm}.marks: only the shape of the mark itself and a trained network"
                " that sees the mark (`network_of`) can use other marks. Remove the key."
            )
    if definition.get("warp_of") is not None:
        check_known(f"arms.{arm}.warp_of", definition["warp_of"], config["arms"])
    for key in ("gate", "consistent", "levels", "sized", "warp_of", "taught_by"):
        if definition.get(key) is not None and not sees_mark:
            raise DataError(
                f"config: arms.{arm}.{key}: the arm's network does not see the mark. Remove the"
                " key."
            )
    if definition.get("taught_by") is not None:
        _check_teacher(config, arm, definition)
    if sees_mark and definition.get("crf"):
        raise DataError(
            f"config: arms.{arm}.crf: a network that sees the mark has no CRF. Remove the key."
        )
