"""What the configuration asks for: items, and the runs that each needs.

Uses only the standard library, for it is read wherever Snakemake itself runs.
"""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from weaklesion.errors import DataError
from weaklesion.networks.names import OWN_ENCODERS
from weaklesion.study.arms import (
    arm_definition,
    flips_of,
    has_network,
    is_trained,
    own_value,
    protocol_with_runs,
    swept_arm,
    training_settings,
    warp_arm,
)
from weaklesion.study.protocols import (
    FLIP,
    Config,
    check_known,
    stage_settings,
)

KINDS = (
    "scores",
    "cost",
    "parameters",
    "accuracy",
    "sweep",
    "attribution",
    "gap",
    "policies",
    "answers",
    "mark_agreement",
)
DIGITS = "0123456789."  # of the value that ends a variant's name
ORIGINS = ("network_of", "starts_from", "epochs_of")  # keys of an arm that name another


class Run(NamedTuple):
    """One arm with one seed on one dataset under one protocol."""

    dataset: str
    protocol: str
    arm: str
    seed: int


def network_of(config: Config, run: Run) -> str:
    """Return a run's encoder and what it starts from, in words, for tables."""
    if not has_network(config, run.arm):
        return "no network"
    settings = training_settings(config, run.dataset, run.protocol, run.arm)
    start = {"imagenet": "ImageNet weights", "none": "from scratch"}[settings["weights"]]
    pretrained = arm_definition(config, run.arm).get("starts_from")
    if pretrained:
        start = f"encoder of {pretrained}"
    own = settings["model"] in OWN_ENCODERS
    return f"{'U-Net' if own else settings['encoder']}, {start}"


def runs_of(config: Config, items: Sequence[str]) -> list[Run]:
    """Return the runs that some items of `experiments` need, each once, in a stable order.

    Raises:
        DataError: if an item names a dataset, protocol or arm that is not defined.
    """
    runs: dict[Run, None] = {}
    for item in items:
        experiment = experiment_of(config, item)
        for dataset in experiment["datasets"]:
            for protocol, arm in cells_of(config, item, dataset):
                for seed in seeds_of(config, item, arm):
                    runs[Run(dataset, protocol, arm, seed)] = None
    return list(runs)


def runs_of_arms(runs: Sequence[Run], arms: Collection[str]) -> list[Run]:
    """Return those of some runs whose arm is named.

    A name such as `a1l~k` stands for all variants of the arm `a1l` with another number of clusters,
    `a1l~alpha` for those with another weight of the segmentation loss.

    >>> runs_of_arms([Run("d", "p", "a1l~k20", 1), Run("d", "p", "a1l~alpha5", 1)], {"a1l~k"})
    [Run(dataset='d', protocol='p', arm='a1l~k20', seed=1)]
    """
    return [
        run
        for run in runs
        if run.arm in arms or (FLIP in run.arm and run.arm.rstrip(DIGITS) in arms)
    ]


def trainings_of(config: Config, items: Sequence[str]) -> list[Run]:
    """Return the trainings that some items need, with those that their runs start from.

    A run may predict with another's network (`network_of`), start from its encoder (`starts_from`),
    take as many epochs (`epochs_of`), or draw pairs from clusters of its features.
    """
    found: dict[Run, None] = {}
    todo = list(reversed(runs_of(config, items)))
    while todo:
        run = todo.pop()
        if run in found or not has_network(config, run.arm):
            continue
        definition = arm_definition(config, run.arm)
        if is_trained(config, run.arm):
            found[run] = None
        for key in ORIGINS:
            if definition.get(key) is not None:
                todo.append(run._replace(arm=definition[key]))
        if definition.get("clusters") == "embedding":
            settings = stage_settings(config, run.dataset, run.protocol, "clusters")
            todo.append(run._replace(arm=settings["embedding_of"], seed=config["seeds"][0]))
    return list(found)


def experiment_of(config: Config, item: str) -> dict[str, Any]:
    """Return an item's definition, on the datasets and protocols that the study selects.

    Of `select`, `datasets` stand for those that they are or are `like`, and `protocols` for all
    protocols but those of the items in `own_protocols`; null changes nothing. An attribution is
    between its own two protocols, both ways.

    Raises:
        DataError: if a dataset, protocol or arm is not defined.
    """
    experiment = dict(config["experiments"][item])
    select = config["select"]
    if experiment["kind"] == "answers":
        pairs = experiment["pairs"]
        experiment["datasets"] = list(dict.fromkeys(pair["dataset"] for pair in pairs))
        experiment["protocols"] = list(dict.fromkeys(pair["protocol"] for pair in pairs))
        experiment["arms"] = list(
            dict.fromkeys(pair[role] for pair in pairs for role in ("arm", "baseline"))
        )
    if select["datasets"] is not None:
        for name in select["datasets"]:
            check_known("select.datasets", name, config["datasets"])
        experiment["datasets"] = [
            name
            for name in select["datasets"]
            if {name, config["datasets"][name].get("like")} & set(experiment["datasets"])
        ]
    if experiment["kind"] == "attribution":
        experiment["protocols"] = config["attribution"]["between"]
    elif (
        select["protocols"] is not None
        and experiment["kind"] != "answers"
        and item not in select.get("own_protocols", ())
    ):
        experiment["protocols"] = select["protocols"]
    if experiment["kind"] == "gap":  # whose runs it needs as well
        experiment["arms"] = list(dict.fromkeys([*experiment["arms"], *experiment["against"]]))
    for kind in ("datasets", "protocols", "arms"):
        for name in experiment[kind]:
            check_known(f"experiments.{item}.{kind}", name, config[kind])
    return experiment


def drawn_arms(config: Config, item: str) -> list[str]:
    """Return the arms of an item whose contours are drawn over test images.

    Those that the item lists in `contours`; with `contours: true` all of its arms but the fixed
    ellipse, which is the same on every image; none without.
    """
    experiment = experiment_of(config, item)
    chosen = experiment.get("contours", False)
    if isinstance(chosen, list):
        return list(chosen)
    return [
        arm
        for arm in experiment["arms"]
        if chosen and arm_definition(config, arm)["target"] != "fixed_ellipse"
    ]


def recoveries_of_item(config: Config, item: str) -> list[dict[str, Any]]:
    """Return which constants of an item's arms are chosen by recovery.

    See `weaklesion.selection.recovery`.

    Returns:
        dataset, protocol, `of`: `pseudo-masks`, or the arm whose warp is chosen; `constant`, its
        name; and `used_by`, the arms that take the choice, or whose networks the item's arms use.
    """
    used_by: dict[tuple[str, str, str, str], dict[str, None]] = {}
    for dataset in experiment_of(config, item)["datasets"]:
        for protocol, arm in cells_of(config, item, dataset):
            name = arm_definition(config, arm).get("network_of") or arm
            if arm_definition(config, name)["target"] == "refined":
                place = dataset, protocol, "pseudo-masks", "prior_weight"
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
    """Return the items of some kinds that the study selects and has datasets for."""
    chosen = config["select"]["items"]
    for name in chosen or []:
        check_known("select.items", name, config["experiments"])
    return [
        item
        for item, experiment in config["experiments"].items()
        if experiment["kind"] in kinds
        and (chosen is None or item in chosen)
        and experiment_of(config, item)["datasets"]
    ]


def main_item_of(config: Config) -> str:
    """Return the item with `role: main`, whose runs a study's overview and figures show.

    Raises:
        DataError: if none has it, or several have.
    """
    found = [name for name, item in config["experiments"].items() if item.get("role") == "main"]
    if len(found) != 1:
        raise DataError(
            f"config: experiments: one item needs `role: main`, and {len(found)} have it"
            f"{': ' if found else ''}{', '.join(found)}. Set `role: null` for the others."
        )
    if config["experiments"][found[0]]["kind"] != "scores":
        raise DataError(f"config: experiments.{found[0]}.role: main is for an item of kind scores.")
    return found[0]


def cells_of(config: Config, item: str, dataset: str) -> list[tuple[str, str]]:
    """Return the protocols and arms of an item on one dataset.

    A sweep has a variant of each arm for every value; an attribution each switch flipped alone,
    for the arms that it changes.
    """
    experiment = experiment_of(config, item)
    cells = []
    if experiment["kind"] == "answers":
        return [
            (pair["protocol"], pair[role])
            for pair in answered_pairs(config, item)
            if pair["dataset"] == dataset
            for role in ("arm", "baseline")
        ]
    for protocol in experiment["protocols"]:
        for arm in experiment["arms"]:
            if experiment["kind"] == "sweep":
                for value in sweep_values(config, item, dataset):
                    swept = swept_arm(config, dataset, protocol, arm, experiment["over"], value)
                    cells.append((protocol, swept))
                continue
            cells.append((protocol, arm))
            if experiment["kind"] == "attribution":
                cells += [
                    (protocol_with_runs(config, dataset, flipped, arm), arm)
                    for flipped in flips_of(config, protocol)
                ]
    return cells


def answered_pairs(config: Config, item: str) -> list[dict[str, Any]]:
    """Return the comparisons of `answers`, on the datasets that the study selects."""
    selected = experiment_of(config, item)["datasets"]
    stands_for = {name: config["datasets"][name].get("like", name) for name in selected}
    return [
        pair | {"dataset": name}
        for pair in config["experiments"][item]["pairs"]
        for name in selected
        if pair["dataset"] in (name, stands_for[name])
    ]


def sweep_values(config: Config, item: str, dataset: str) -> list[float]:
    """Return the values of a sweep: its own, or the dataset's numbers of clusters."""
    return list(config["experiments"][item].get("values") or config["datasets"][dataset]["k_sweep"])


def sweep_points(config: Config, item: str) -> list[dict[str, Any]]:
    """Return the points of a sweep: dataset, protocol, arm and value."""
    experiment = experiment_of(config, item)
    return [
        {
            "dataset": dataset,
            "protocol": protocol,
            "arm": swept_arm(config, dataset, protocol, arm, experiment["over"], value),
            "value": value,
        }
        for dataset in experiment["datasets"]
        for protocol in experiment["protocols"]
        for arm in experiment["arms"]
        for value in sweep_values(config, item, dataset)
    ]


def own_values(config: Config, item: str) -> dict[str, dict[str, float]]:
    """Return for each dataset and protocol the value that the arm of a sweep has elsewhere."""
    experiment = experiment_of(config, item)
    arm, over = experiment["arms"][0], experiment["over"]
    return {
        dataset: {
            protocol: own_value(config, dataset, protocol, arm, over)
            for protocol in experiment["protocols"]
        }
        for dataset in experiment["datasets"]
    }


def flips_of_item(config: Config, item: str) -> list[dict[str, Any]]:
    """Return each switch that changes a dataset's runs, with the protocol that each arm then has.

    An arm that a switch does not change keeps the runs of the base; where nothing but the switch
    is between the two protocols, flipping it gives those of the other.
    """
    experiment = experiment_of(config, item)
    flips = []
    for dataset in experiment["datasets"]:
        for base in experiment["protocols"]:
            for flipped in flips_of(config, base):
                runs = {
                    arm: protocol_with_runs(config, dataset, flipped, arm)
                    for arm in experiment["arms"]
                }
                if set(runs.values()) != {base}:
                    flips.append(
                        {"dataset": dataset, "base": base, "switch": flipped.split(FLIP)[1]} | runs
                    )
    return flips


def seeds_of(config: Config, item: str, arm: str) -> list[int]:
    """Return an arm's seeds: the item's own, or those of the study.

    Of the study's, a primary item has all and every other item the first `secondary_seeds`. An arm
    without a network has nothing to seed, and one run.
    """
    if not has_network(config, arm):
        return [0]
    experiment = config["experiments"][item]
    of_study = config["seeds"]
    if not experiment.get("primary", False):
        of_study = of_study[: config["secondary_seeds"]]
    return list(experiment.get("seeds", of_study))
