"""What the configuration asks for: runs, and the settings of each.

Uses only the standard library, for it is read wherever Snakemake itself runs.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from weaklesion.errors import DataError
from weaklesion.training_settings import MULTI_TASK_MODELS

Config = Mapping[str, Any]


class Run(NamedTuple):
    """One arm with one seed on one dataset under one protocol."""

    dataset: str
    protocol: str
    arm: str
    seed: int


def protocol_settings(config: Config, protocol: str) -> dict[str, Any]:
    """Return a protocol's switches, with those of its `base` where it has none of its own.

    Raises:
        DataError: if the protocol, or a base, is not defined, or bases run in a circle.
    """
    merged: dict[str, Any] = {}
    for name in reversed(_chain(config, "protocols", protocol)):
        layer = config["protocols"][name]
        merged = merge(merged, {key: value for key, value in layer.items() if key != "base"})
    return merged


def arm_definition(config: Config, arm: str) -> dict[str, Any]:
    """Return an arm's definition, with what its `base` says where it says nothing itself.

    Published numbers are those of an arm itself only.

    Raises:
        DataError: if the arm, or a base, is not defined, or bases run in a circle.
    """
    merged: dict[str, Any] = {}
    for name in reversed(_chain(config, "arms", arm)):
        merged.pop("published", None)
        layer = config["arms"][name]
        merged = merge(merged, {key: value for key, value in layer.items() if key != "base"})
    return merged


def _chain(config: Config, kind: str, name: str) -> list[str]:
    """Return the name of a protocol or arm, of its base, and so on."""
    chain: list[str] = []
    following: str | None = name
    while following is not None:
        if following in chain:
            raise DataError(
                f"config: the bases of {kind}.{name} run in a circle: "
                f"{' -> '.join([*chain, following])}."
            )
        _known(f"{kind}.{chain[-1]}.base" if chain else kind, following, config[kind])
        chain.append(following)
        following = config[kind][following].get("base")
    return chain


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested settings in which `above` overrides `below`; lists are replaced whole.

    >>> merge({"a": {"x": 1, "y": 2}}, {"a": {"y": 3}})
    {'a': {'x': 1, 'y': 3}}
    """
    merged = dict(below)
    for key, value in above.items():
        if isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = value
    return merged


def patch_settings(config: Config, dataset: str, protocol: str) -> dict[str, Any]:
    """Return the settings of `make_patches` of a dataset's loader."""
    definition = config["datasets"][dataset]
    loader = definition["loader"]
    switches = protocol_settings(config, protocol)["patches"]
    settings = {key: switches[key] for key in ("side_px", "on_bad_sample")} | switches[loader]
    settings["limit"] = definition["limit"]
    if loader == "ham10k":
        settings["released_ids_sha256"] = definition.get("released_ids_sha256")
    elif loader == "lits":
        settings["published_split"] = definition.get("published_split")
    elif loader == "deeplesion":
        settings["complete"] = "parts" not in definition
    return settings


def check_config(config: Config) -> None:
    """Check what a schema cannot: that every name stands for something.

    Raises:
        DataError: naming the key, the value and what is allowed.
    """
    for name, definition in config["datasets"].items():
        _known(f"datasets.{name}.like", definition.get("like", name), config["datasets"])
    for name in config["protocols"]:
        for exception in protocol_settings(config, name).get("exceptions", []):
            for kind in ("datasets", "arms"):
                for value in exception.get(kind, []):
                    _known(f"protocols.{name}.exceptions.{kind}", value, config[kind])
    _known("statistics.baseline", config["statistics"]["baseline"], config["arms"])
    for name in config["arms"]:
        epochs_of = arm_definition(config, name).get("epochs_of")
        if epochs_of is not None:
            _known(f"arms.{name}.epochs_of", epochs_of, config["arms"])
    for item, experiment in config["experiments"].items():
        runs = runs_of(config, [item])
        ranked_by = config["figures"]["ranked_by"]
        _known("figures.ranked_by", ranked_by, experiment["arms"])
        if not any(is_trained(config, arm) for arm in experiment["arms"]):
            raise DataError(f"config: experiments.{item}.arms: at least one needs a network.")
        for run in runs:
            if is_trained(config, run.arm):
                settings = training_settings(config, run.dataset, run.protocol, run.arm)
                if settings["weights"] == "imagenet":
                    files = config["imagenet_weights"]["files"]
                    _known("encoder (with weights: imagenet)", settings["encoder"], files)


def _known(key: str, value: str, names: Iterable[str]) -> None:
    if value not in names:
        raise DataError(f"config: {key} is {value!r}, which is none of {', '.join(names)}.")


def stage_settings(
    config: Config, dataset: str, protocol: str, stage: str, arm: str | None = None
) -> dict[str, Any]:
    """Return a protocol's switches of one stage for one dataset (and arm).

    Those of the protocol's `exceptions` that name the dataset, or the one that it is `like`, and
    the arm or one of its bases, override the others.
    """
    switches = protocol_settings(config, protocol)
    settings: dict[str, Any] = dict(switches.get(stage, {}))
    published = config["datasets"][dataset].get("like", dataset)
    for exception in switches.get("exceptions", []):
        arms = exception.get("arms")
        of_arm = arms is None or (arm is not None and set(arms) & set(_chain(config, "arms", arm)))
        if published in exception["datasets"] and of_arm:
            settings = merge(settings, exception.get(stage, {}))
    return settings


def training_settings(config: Config, dataset: str, protocol: str, arm: str) -> dict[str, Any]:
    """Return the settings of `weaklesion.training.TrainingSettings` for the runs of an arm.

    Later layers override earlier ones: `training`, the arm's `training`, the protocol's `training`,
    then those of the protocol's `exceptions` whose `dataset` and `arm` are these.
    """
    definition = arm_definition(config, arm)
    settings = merge(config["training"], definition.get("training", {}))
    settings = merge(settings, stage_settings(config, dataset, protocol, "training", arm))
    multi_task = definition["model"] in MULTI_TASK_MODELS
    soft = is_soft(config, dataset, protocol, arm)
    return {
        "model": definition["model"],
        "num_classes": num_clusters(config, dataset, arm) if multi_task else None,
        "soft_targets": soft,
        **settings,
    }


def network_of(config: Config, run: Run) -> str:
    """Return a run's encoder and what it starts from, in words, for tables."""
    if not is_trained(config, run.arm):
        return "no network"
    settings = training_settings(config, run.dataset, run.protocol, run.arm)
    start = {"imagenet": "ImageNet weights", "none": "from scratch"}[settings["weights"]]
    return f"{settings['encoder']}, {start}"


def is_soft(config: Config, dataset: str, protocol: str, arm: str) -> bool:
    """Tell whether an arm is trained on ellipses with soft edges (discrepancy G14)."""
    supervision = stage_settings(config, dataset, protocol, "supervision")
    target = arm_definition(config, arm)["target"]
    trained_on_ellipses = target == "ellipse" and is_trained(config, arm)
    return bool(supervision["soft_edges"]) and trained_on_ellipses


def num_clusters(config: Config, dataset: str, arm: str) -> int | None:
    """Return K of an arm that needs clusters; None for the others."""
    if not arm_definition(config, arm).get("clusters"):
        return None
    return int(config["datasets"][dataset]["num_clusters"])


def runs_of(config: Config, items: Sequence[str]) -> list[Run]:
    """Return the runs that some items of `experiments` need, each once, in a stable order.

    Raises:
        DataError: if an item names a dataset, protocol or arm that is not defined.
    """
    runs: dict[Run, None] = {}
    for item in items:
        experiment = config["experiments"][item]
        for kind in ("datasets", "protocols", "arms"):
            for name in experiment[kind]:
                _known(f"experiments.{item}.{kind}", name, config[kind])
        for dataset in experiment["datasets"]:
            for protocol in experiment["protocols"]:
                for arm in experiment["arms"]:
                    for seed in seeds_of(config, arm):
                        runs[Run(dataset, protocol, arm, seed)] = None
    return list(runs)


def seeds_of(config: Config, arm: str) -> list[int]:
    """Return an arm's seeds; an arm without a network has nothing to seed, and one run."""
    return list(config["seeds"]) if is_trained(config, arm) else [0]


def is_trained(config: Config, arm: str) -> bool:
    """Tell whether an arm has a network, or is a target taken as the prediction."""
    return arm_definition(config, arm)["model"] is not None
