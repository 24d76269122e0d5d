"""Checks of the configuration that a schema cannot make: that every name stands for something.

Uses only the standard library, for it is read wherever Snakemake itself runs.
"""

from weaklesion.errors import DataError
from weaklesion.study.arms import (
    arm_definition,
    has_network,
    is_prompted,
    is_trained,
    training_settings,
)
from weaklesion.study.items import (
    KINDS,
    ORIGINS,
    drawn_arms,
    experiment_of,
    items_of,
    main_item_of,
    runs_of,
    trainings_of,
)
from weaklesion.study.protocols import Config, check_known, protocol_settings
from weaklesion.study.settings import TrainingSettings

SCORED_KINDS = tuple(
    kind for kind in KINDS if kind not in ("parameters", "accuracy", "mark_agreement")
)
DRAWN_KINDS = ("scores", "mark_agreement")


def check_config(config: Config) -> None:
    """Check what a schema cannot: that every name stands for something.

    Raises:
        DataError: naming the key, the value and what is allowed.
    """
    for name, definition in config["datasets"].items():
        check_known(f"datasets.{name}.like", definition.get("like", name), config["datasets"])
        files_of = definition.get("files_of")
        if files_of is None:
            continue
        check_known(f"datasets.{name}.files_of", files_of, config["datasets"])
        if not {"manifest", "phantom"} & set(config["datasets"][files_of]):
            raise DataError(
                f"config: datasets.{name}.files_of: {files_of} has no files of its own. Name a"
                " dataset with a manifest or a phantom."
            )
    for name in config["protocols"]:
        embedding_of = protocol_settings(config, name).get("clusters", {}).get("embedding_of")
        if embedding_of is not None:
            check_known(f"protocols.{name}.clusters.embedding_of", embedding_of, config["arms"])
        for exception in protocol_settings(config, name).get("exceptions", []):
            for kind in ("datasets", "arms"):
                for value in exception.get(kind, []):
                    check_known(f"protocols.{name}.exceptions.{kind}", value, config[kind])
    for name in config["arms"]:
        definition = arm_definition(config, name)
        _check_mark_keys(config, name)
        if definition.get("weights_of") == "last" and definition.get("network_of") is None:
            raise DataError(
                f"config: arms.{name}.weights_of: last: for an arm that predicts with another's"
                " network. Name that arm in network_of."
            )
        for key in ORIGINS:
            if definition.get(key) is None:
                continue
            check_known(f"arms.{name}.{key}", definition[key], config["arms"])
            if not is_trained(config, definition[key]):
                raise DataError(
                    f"config: arms.{name}.{key}: {definition[key]} is not trained itself. Name an"
                    " arm that is."
                )
    if not items_of(config, *KINDS):
        raise DataError(
            f"config: select.datasets: no item is about {config['select']['datasets']}. Say in "
            "`like` which dataset of `experiments` each of them stands for."
        )
    for item in config["select"].get("own_protocols", []):
        check_known("select.own_protocols", item, config["experiments"])
    for item in items_of(config, *KINDS):
        experiment = experiment_of(config, item)
        runs = [*runs_of(config, [item]), *trainings_of(config, [item])]
        if item == main_item_of(config):
            ranked_by = config["figures"]["ranked_by"]
            check_known("figures.ranked_by", ranked_by, experiment["arms"])
        if experiment["kind"] in ("scores", "policies", "attribution"):
            check_known(f"experiments.{item}.baseline", experiment["baseline"], experiment["arms"])
        _check_references(config, item)
        _check_drawn_arms(config, item)
        if experiment["kind"] == "gap":
            own = config["experiments"][item]
            if set(own["arms"]) == set(own["against"]) and len(own["arms"]) == 1:
                raise DataError(
                    f"config: experiments.{item}: {own['arms'][0]} against itself has no gap. Name"
                    " another arm in `against`."
                )
        sees_mark = {
            is_prompted(config, arm) for arm in experiment["arms"] if has_network(config, arm)
        }
        if len(sees_mark) == 2:
            raise DataError(
                f"config: experiments.{item}.arms: networks that are given the mark, and others"
                " that are not: two tasks. Give each an item of its own."
            )
        if not any(has_network(config, arm) for arm in experiment["arms"]):
            raise DataError(f"config: experiments.{item}.arms: at least one needs a network.")
        for run in runs:
            if has_network(config, run.arm):
                settings = training_settings(config, run.dataset, run.protocol, run.arm)
                try:
                    TrainingSettings(**settings)
                except ValueError as error:
                    raise DataError(f"config: experiments.{item}, {run}: {error}.") from error
                if settings["weights"] == "imagenet":
                    files = config["imagenet_weights"]["files"]
                    check_known("encoder (with weights: imagenet)", settings["encoder"], files)


def _check_references(config: Config, item: str) -> None:
    """Check that a group's own masks are compared with dense masks, or with marks and named so."""
    experiment = experiment_of(config, item)
    kind = experiment["kind"]
    for name in experiment["datasets"]:
        dataset = config["datasets"][name]
        dense = dataset["reference"] == "dense"
        if dataset["loader"] == "custom" and not dense and kind in SCORED_KINDS:
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
    """Check which arms of an item are drawn over test images."""
    experiment = experiment_of(config, item)
    if not experiment.get("contours", False):
        return
    if experiment["kind"] not in DRAWN_KINDS:
        raise DataError(
            f"config: experiments.{item}.contours: for items of kind {' or '.join(DRAWN_KINDS)},"
            f" not {experiment['kind']}. Leave it out."
        )
    drawn = drawn_arms(config, item)
    for arm in drawn:
        check_known(f"experiments.{item}.contours", arm, experiment["arms"])
    if not any(has_network(config, arm) for arm in drawn):
        raise DataError(
            f"config: experiments.{item}.contours: at least one arm needs a network, because test"
            " images are chosen by it."
        )


def _check_mark_keys(config: Config, arm: str) -> None:
    """Check what an arm says of the mark that its network is given, or of its gate."""
    definition = arm_definition(config, arm)
    sees_mark = is_prompted(config, arm)
    if definition.get("marks") is not None:
        check_known(f"arms.{arm}.marks", definition["marks"], config["mark_noise"])
        is_ellipse = definition["model"] is None and definition["target"] == "ellipse"
        if not is_ellipse and not (sees_mark and definition.get("network_of")):
            raise DataError(
                f"config: arms.{arm}.marks: for a trained network that sees the mark"
                " (`network_of`), and for the ellipse itself."
            )
    if definition.get("warp_of") is not None:
        check_known(f"arms.{arm}.warp_of", definition["warp_of"], config["arms"])
    for key in ("gate", "consistent", "warp_of"):
        if definition.get(key) is not None and not sees_mark:
            raise DataError(f"config: arms.{arm}.{key}: its network does not see the mark.")
    if sees_mark and definition.get("crf"):
        raise DataError(f"config: arms.{arm}.crf: not for a network that sees the mark.")
