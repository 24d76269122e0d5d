"""Checks of the items of a configuration: tables, charts and what they are made from.

Uses only the standard library, because Snakemake's own interpreter reads it.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

from weaklesion.errors import DataError
from weaklesion.study.arms import (
    arm_definition,
    has_network,
    is_nnunet,
    is_prompted,
    training_settings,
)
from weaklesion.study.items import (
    drawn_arms,
    item_definition,
    main_item_of,
    needed_arms,
)
from weaklesion.study.layout import FIGURE_NAMES
from weaklesion.study.protocols import (
    Config,
    check_known,
    folds_of,
    limits_of,
    protocol_settings,
    stage_settings,
    value_at,
    whole,
)
from weaklesion.study.run_checks import check_runs
from weaklesion.study.sweeps import check_sweep
from weaklesion.support.listing import listed

COMPLETE = "corrected"  # protocol that has every switch
UNSCORED_KINDS = ("parameters", "accuracy", "mark_agreement")
# validation curves; switches flipped one by one; test volumes of one split
UNFOLDED_KINDS = ("sweep", "attribution", "volumes")
VOLUME_LOADERS = ("lits",)  # read whole volumes with masks of lesions
# Keys that only items of some kinds read. One of scores without dense masks becomes one of
# `mark_agreement` by its kind alone, so that what it compares may stay.
READ_BY = {
    "baseline": ("scores", "mark_agreement", "policies", "attribution"),
    "columns": ("scores", "mark_agreement"),
    "contours": ("scores", "mark_agreement"),
    "unit": ("scores", "answers"),  # count samples or groups
    "over": ("sweep",),
    "values": ("sweep",),
    "against": ("gap",),
    "pairs": ("answers",),
}
# Keys that items of all kinds but one read, by that kind.
NOT_READ_BY = {
    "attribution": ("protocols",),  # those of `attribution.between`
    "answers": ("datasets", "protocols", "arms"),  # those of its pairs
    "volumes": ("arms", "seeds", "primary"),  # it has no runs
}
# Kinds of items that no arm with nnU-Net can be in, and why.
WITHOUT_NNUNET = {
    "accuracy": "it has no second task",
    "sweep": "its settings are not those that a sweep varies",
    "attribution": "it has none of the settings of the released code",
}


def check_item_names(config: Config, rule_files: Iterable[Path]) -> None:
    """Check that no item has the name of a rule, because items are targets of Snakemake too.

    Args:
        config: the configuration.
        rule_files: files with the workflow's rules.

    Raises:
        DataError: naming the item.
    """
    texts = [path.read_text(encoding="utf-8") for path in rule_files]
    rule = re.compile(r"^(?:rule|use rule \w+ as) (\w+)", re.MULTILINE)
    taken = {name for text in texts for name in rule.findall(text)}
    for item in config["experiments"]:
        if item in taken:
            raise DataError(
                f"config: experiments.{item}: the workflow has a rule of this name. Give the item"
                " another name."
            )


def check_item(config: Config, item: str) -> None:
    """Check an item of the study, and all runs that it needs.

    Raises:
        DataError: naming the key, its value, and the allowed values or the remedy.
    """
    _check_switches(config, item)
    if config["experiments"][item]["kind"] == "volumes":
        _check_volumes(config, item)
    else:
        _check_arms(config, item)
    _check_nnunet_item(config, item)
    if config["experiments"][item]["kind"] == "attribution":
        _check_paths(config, item)
    if config["experiments"][item]["kind"] == "sweep":
        check_sweep(config, item)
    _check_references(config, item)
    _check_folds(config, item)
    _check_drawn_arms(config, item)
    check_runs(config, item)
    _check_keys(config, item)


def _check_keys(config: Config, item: str) -> None:
    """Check that an item sets nothing that its kind would not read."""
    definition = config["experiments"][item]
    kind = definition["kind"]
    if kind == "mark_agreement" and item in FIGURE_NAMES:
        raise DataError(
            f"config: experiments.{item}: the figures of this item would have the names of the"
            f" study's own figures {item}. Give the item another name."
        )
    for key in definition:
        readers = READ_BY.get(key, (kind,))
        if kind in readers and key not in NOT_READ_BY.get(kind, ()):
            continue
        others = f", only one of kind {' or '.join(readers)} does" if key in READ_BY else ""
        raise DataError(
            f"config: experiments.{item}.{key}: an item of kind {kind} does not read this key"
            f"{others}. Remove it, or, where a study gives an item another kind, name a new item."
        )


def _check_switches(config: Config, item: str) -> None:
    """Check that the protocols of an item have all switches, which one without `base` may lack."""
    definition = item_definition(config, item)
    loaders = {config["datasets"][name]["loader"] for name in definition["datasets"]}
    needed = [
        path
        for path in _switches(protocol_settings(config, COMPLETE))
        if path[0] != "patches" or len(path) == 2 or path[1] in loaders
    ]
    for protocol in dict.fromkeys(map(whole, definition["protocols"])):
        found = set(_switches(protocol_settings(config, protocol)))
        missing = [".".join(path) for path in needed if path not in found]
        if missing:
            raise DataError(
                f"config: protocols.{protocol}: lacks {listed(missing, 3)}. Name in `base` a"
                f" protocol that has all switches, such as {COMPLETE}."
            )


def _switches(settings: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Yield the path of each switch of a protocol, which has exceptions or none."""
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from ((key, *path) for path in _switches(value))
        elif key != "exceptions":
            yield (key,)


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
    for pair in config["experiments"][item].get("pairs", []):
        if pair["arm"] == pair["baseline"]:
            raise DataError(
                f"config: experiments.{item}.pairs: {pair['arm']} against itself is no comparison."
                " Name another baseline."
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
            f"config: experiments.{item}.arms: no arm has a network, which every item needs, except"
            " a table of scores without contours. Add one that has."
        )


def _check_paths(config: Config, item: str) -> None:
    """Check that the paths of the switches that an attribution flips lead to settings."""
    definition = item_definition(config, item)
    for switch, paths in config["attribution"]["switches"].items():
        for path, place in product(
            paths, product(definition["datasets"], definition["protocols"], definition["arms"])
        ):
            stage, *keys = path.split(".")
            dataset, protocol, arm = place
            settings = (
                training_settings(config, *place)
                if stage == "training"
                else stage_settings(config, dataset, protocol, stage, arm)
            )
            try:
                value_at(settings, keys)
            except DataError:
                raise DataError(
                    f"config: attribution.switches.{switch}: there is no switch {path} of {arm} on"
                    f" {dataset} under {protocol}. Correct the path."
                ) from None


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
        if kind == "sizes" and not dense:
            raise DataError(
                f"config: experiments.{item}: {name} has no dense masks (reference: grabcut) whose"
                " sizes could be compared. Name another dataset, or set kind: scores."
            )
        for arm in definition["arms"]:
            marks = arm_definition(config, arm).get("marks")
            if marks in config["readers"] and not dense:
                raise DataError(
                    f"config: experiments.{item}.arms: {arm} gets the marks of a simulated reader,"
                    f" who marks dense masks, and {name} has none. Name a `mark_noise` in `marks`."
                )
        if dense and kind == "mark_agreement":
            raise DataError(
                f"config: experiments.{item}: {name} has dense masks (reference: dense). Set kind:"
                " scores, which compares with them."
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
            if limits_of(config, dataset):
                raise DataError(
                    f"config: datasets.{dataset}.limit: {protocol} is cross-validated, and a fold"
                    " has no number of samples per split. Remove the limit, or the folds of the"
                    " protocol."
                )


def _check_drawn_arms(config: Config, item: str) -> None:
    """Check the arms of an item whose contours are drawn over test images."""
    definition = item_definition(config, item)
    if not definition.get("contours", False):
        return
    drawn = drawn_arms(config, item)
    for arm in drawn:
        check_known(f"experiments.{item}.contours", arm, definition["arms"])
    if not any(has_network(config, arm) for arm in drawn):
        raise DataError(
            f"config: experiments.{item}.contours: no arm has a network, and a network chooses"
            " the test images. Add an arm that has one."
        )
