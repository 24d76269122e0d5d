"""Items of the configuration, and the runs that each needs.

Uses only the standard library, because Snakemake's own interpreter reads it.
"""

from collections.abc import Collection, Sequence
from itertools import product
from typing import Any, NamedTuple

from weaklesion.errors import DataError
from weaklesion.study.arms import (
    arm_definition,
    flipped_protocols,
    has_network,
    is_trained,
    network_arm,
    protocol_with_runs,
    swept_arm,
    warp_arm,
)
from weaklesion.study.protocols import (
    FLIP,
    Config,
    check_known,
    check_protocol,
    folds_of,
    stage_settings,
    trained_protocols,
)

DIGITS = "0123456789."  # characters of the value at the end of a variant's name
ORIGINS = ("network_of", "starts_from", "epochs_of")  # keys that name an arm that is trained


class Run(NamedTuple):
    """One arm with one seed on one dataset under one protocol."""

    dataset: str
    protocol: str
    arm: str
    seed: int


# Targets that `choose_prior_weight` chooses a constant for, and how the pages call them.
PSEUDO_MASKS = {"refined": "pseudo-masks", "refined_ends": "pseudo-masks from four ends"}
PSEUDO_MASK_TARGETS = {name: target for target, name in PSEUDO_MASKS.items()}


def runs_of(config: Config, items: Sequence[str]) -> list[Run]:
    """Return the runs that the items need, each once, in a stable order.

    Raises:
        DataError: if an item names an undefined dataset, protocol or arm.
    """
    runs: dict[Run, None] = {}
    for item in items:
        definition = item_definition(config, item)
        for dataset in definition["datasets"]:
            for protocol, arm in cells_of(config, item, dataset):
                for seed in seeds_of(config, item, arm):
                    runs[Run(dataset, protocol, arm, seed)] = None
    return list(runs)


def places_of(config: Config, items: Sequence[str]) -> list[tuple[str, str]]:
    """Return the pairs of dataset and protocol of the items, each once, with runs or without."""
    places: dict[tuple[str, str], None] = {}
    for item in items:
        definition = item_definition(config, item)
        if definition["kind"] == "volumes":
            found = list(product(definition["datasets"], definition["protocols"]))
        else:
            found = [(run.dataset, run.protocol) for run in runs_of(config, [item])]
        places |= dict.fromkeys(found)
    return list(places)


def runs_of_arms(runs: Sequence[Run], arms: Collection[str]) -> list[Run]:
    """Return the runs whose arm is in a collection of names.

    The name `a1l~k` stands for all variants of the arm `a1l` with another number of clusters,
    `a1l~alpha` for all variants with another weight of the segmentation loss.

    >>> runs_of_arms([Run("d", "p", "a1l~k20", 1), Run("d", "p", "a1l~alpha5", 1)], {"a1l~k"})
    [Run(dataset='d', protocol='p', arm='a1l~k20', seed=1)]
    """
    return [
        run
        for run in runs
        if run.arm in arms or (FLIP in run.arm and run.arm.rstrip(DIGITS) in arms)
    ]


def needed_arms(config: Config, arm: str) -> list[str]:
    """Return the arms whose runs an arm's own runs need: one that it predicts with, or others."""
    definition = arm_definition(config, arm)
    keys = (*ORIGINS, "taught_by") if is_trained(config, arm) else ("network_of",)
    return [definition[key] for key in keys if definition.get(key) is not None]


def trainings_of(config: Config, items: Sequence[str]) -> list[Run]:
    """Return the training runs that the items need, and those that these depend on.

    An arm may predict with another arm's network (`network_of`), start from its encoder
    (`starts_from`), train for as many epochs (`epochs_of`) or on its masks (`taught_by`), or draw
    pairs from clusters of its features (`clusters: embedding`). A cross-validated protocol has one
    training per fold.
    """
    found: dict[Run, None] = {}
    todo = list(reversed(runs_of(config, items)))
    while todo:
        run = todo.pop()
        if run in found or not has_network(config, run.arm):
            continue
        if folds_of(config, run.protocol):
            todo += reversed(runs_of_folds(config, [run]))
            continue
        definition = arm_definition(config, run.arm)
        if is_trained(config, run.arm):
            found[run] = None
        todo += [run._replace(arm=arm) for arm in needed_arms(config, run.arm)]
        if definition.get("clusters") == "embedding":
            settings = stage_settings(config, run.dataset, run.protocol, "clusters")
            arm, seed = settings["embedding_of"], settings["embedding_seed"]
            todo.append(run._replace(arm=arm, seed=seed))
    return list(found)


def item_definition(config: Config, item: str) -> dict[str, Any]:
    """Return an item's definition, on the datasets and protocols that the study selects.

    Each dataset of `select.datasets` replaces itself and the dataset that it is `like`. The
    protocols of `select.protocols` replace those of every item that is not in
    `select.own_protocols`. Null changes nothing. An attribution has its own two protocols.

    Raises:
        DataError: if a dataset, protocol or arm is not defined.
    """
    definition = dict(config["experiments"][item])
    kind, select = definition["kind"], config["select"]
    if kind == "answers":
        definition |= _places_of_pairs(definition["pairs"])
    if kind == "volumes":
        definition["arms"] = []  # no run: its methods are not arms
    for name in definition["datasets"]:
        check_known(f"experiments.{item}.datasets", name, config["datasets"])
    if select["datasets"] is not None:
        for name in select["datasets"]:
            check_known("select.datasets", name, config["datasets"])
        definition["datasets"] = [
            name
            for name in select["datasets"]
            if {name, config["datasets"][name].get("like")} & set(definition["datasets"])
        ]
    if kind == "attribution":
        definition["protocols"] = config["attribution"]["between"]
    elif (
        select["protocols"] is not None
        and kind != "answers"
        and item not in select.get("own_protocols", ())
    ):
        definition["protocols"] = select["protocols"]
        for name in select["protocols"]:
            check_known("select.protocols", name, config["protocols"])
    if kind == "gap":
        definition["arms"] = list(dict.fromkeys([*definition["arms"], *definition["against"]]))
    for name in definition["arms"]:
        check_known(f"experiments.{item}.arms", name, config["arms"])
    key = "attribution.between" if kind == "attribution" else f"experiments.{item}.protocols"
    for name in definition["protocols"]:
        check_protocol(key, name, config)
    return definition


def _places_of_pairs(pairs: Sequence[dict[str, Any]]) -> dict[str, list[str]]:
    """Return the datasets, protocols and arms of the pairs of `answers`, each once."""
    return {
        "datasets": list(dict.fromkeys(pair["dataset"] for pair in pairs)),
        "protocols": list(dict.fromkeys(pair["protocol"] for pair in pairs)),
        "arms": list(dict.fromkeys(pair[role] for pair in pairs for role in ("arm", "baseline"))),
    }


def runs_of_folds(config: Config, runs: Sequence[Run]) -> list[Run]:
    """Return the runs with those of a cross-validated protocol replaced by those of its folds."""
    return [
        run._replace(protocol=protocol)
        for run in runs
        for protocol in trained_protocols(config, run.protocol)
    ]


def drawn_arms(config: Config, item: str) -> list[str]:
    """Return the arms of an item whose contours are drawn over test images.

    `contours` lists them. `contours: true` draws all arms of the item but the fixed ellipse, which
    is the same on every image. Without `contours` no arm is drawn.
    """
    definition = item_definition(config, item)
    chosen = definition.get("contours", False)
    if isinstance(chosen, list):
        return list(chosen)
    return [
        arm
        for arm in definition["arms"]
        if chosen and arm_definition(config, arm)["target"] != "fixed_ellipse"
    ]


def _first_target(config: Config, arm: str) -> str:
    """Return the target of an arm, or of the first of the networks that taught it."""
    definition = arm_definition(config, arm)
    while definition.get("taught_by") is not None:
        teacher = definition["taught_by"]
        definition = arm_definition(config, teacher)
        definition = arm_definition(config, definition.get("network_of") or teacher)
    return str(definition["target"])


def recoveries_of_item(config: Config, item: str) -> list[dict[str, Any]]:
    """Return which constants of an item's arms recovery chooses.

    See `weaklesion.selection.recovery`.

    Returns:
        One mapping per constant: `dataset`; `protocol`; `of`, which is a kind of pseudo-masks or
            the arm whose warp is chosen; `constant`, the name of the constant; and `used_by`, the
            arms that use the choice themselves or with their network.
    """
    used_by: dict[tuple[str, str, str, str], dict[str, None]] = {}
    for dataset in item_definition(config, item)["datasets"]:
        cells = [
            (fold, arm)
            for protocol, arm in cells_of(config, item, dataset)
            for fold in trained_protocols(config, protocol)
        ]
        for protocol, arm in cells:
            name = network_arm(config, arm)
            target = _first_target(config, name)
            if target in PSEUDO_MASKS:
                place = dataset, protocol, PSEUDO_MASKS[target], "prior_weight"
                used_by.setdefault(place, {})[name] = None
            warped = (
                warp_arm(config, dataset, protocol, name) if has_network(config, name) else None
            )
            if warped is not None:
                used_by.setdefault((dataset, protocol, warped, "max_amplitude"), {})[name] = None
    keys = ("dataset", "protocol", "of", "constant")
    return [
        dict(zip(keys, place, strict=True)) | {"used_by": list(names)}
        for place, names in used_by.items()
    ]


def items_of(config: Config, *kinds: str) -> list[str]:
    """Return the items of some kinds, or of all, that the study selects and has datasets for."""
    chosen = config["select"]["items"]
    for name in chosen or []:
        check_known("select.items", name, config["experiments"])
    return [
        item
        for item, definition in config["experiments"].items()
        if (not kinds or definition["kind"] in kinds)
        and (chosen is None or item in chosen)
        and item_definition(config, item)["datasets"]
    ]


def main_item_of(config: Config) -> str:
    """Return the item with `role: main`, whose runs a study's overview and figures show.

    Raises:
        DataError: if no item or several items have it, or it is not of kind `scores`.
    """
    found = [name for name, item in config["experiments"].items() if item.get("role") == "main"]
    if len(found) != 1:
        raise DataError(
            f"config: experiments: one item needs `role: main`, and {len(found)} have it"
            f"{': ' if found else ''}{', '.join(found)}. Set `role: main` for one item and"
            " `role: null` for all others."
        )
    if config["experiments"][found[0]]["kind"] != "scores":
        raise DataError(
            f"config: experiments.{found[0]}.role: main is for an item of kind scores, and this one"
            f" is of kind {config['experiments'][found[0]]['kind']}. Give the role to another item."
        )
    return found[0]


def cells_of(config: Config, item: str, dataset: str) -> list[tuple[str, str]]:
    """Return the pairs of protocol and arm of an item on one dataset.

    A sweep has one variant of each arm per value. An attribution has each protocol as it is and
    with each switch flipped alone, for the arms that the switch changes.
    """
    definition = item_definition(config, item)
    cells = []
    if definition["kind"] == "answers":
        return [
            (pair["protocol"], pair[role])
            for pair in answered_pairs(config, item)
            if pair["dataset"] == dataset
            for role in ("arm", "baseline")
        ]
    for protocol in definition["protocols"]:
        for arm in definition["arms"]:
            if definition["kind"] == "sweep":
                for value in sweep_values(config, item, dataset):
                    swept = swept_arm(config, dataset, protocol, arm, definition["over"], value)
                    cells.append((protocol, swept))
                continue
            cells.append((protocol, arm))
            if definition["kind"] == "attribution":
                cells += [
                    (protocol_with_runs(config, dataset, flipped, arm), arm)
                    for flipped in flipped_protocols(config, protocol)
                ]
    return cells


def answered_pairs(config: Config, item: str) -> list[dict[str, Any]]:
    """Return the comparisons of an item of `answers`, on the datasets that the study selects."""
    selected = item_definition(config, item)["datasets"]
    stands_for = {name: config["datasets"][name].get("like", name) for name in selected}
    return [
        pair | {"dataset": name}
        for pair in config["experiments"][item]["pairs"]
        for name in selected
        if pair["dataset"] in (name, stands_for[name])
    ]


def sweep_values(config: Config, item: str, dataset: str) -> list[float]:
    """Return the values of a sweep: those of the item, or the dataset's `k_sweep`."""
    return list(config["experiments"][item].get("values") or config["datasets"][dataset]["k_sweep"])


def seeds_of(config: Config, item: str, arm: str) -> list[int]:
    """Return the seeds of an arm in an item: those of the item, or those of the study.

    A primary item runs all seeds of the study, every other item the first `secondary_seeds`. An arm
    without a network has one run, with the seed 0.
    """
    if not has_network(config, arm):
        return [0]
    definition = config["experiments"][item]
    study_seeds = config["seeds"]
    if not definition.get("primary", False):
        study_seeds = study_seeds[: config["secondary_seeds"]]
    return list(definition.get("seeds", study_seeds))
