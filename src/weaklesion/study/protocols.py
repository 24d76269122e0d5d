"""Protocols: named sets of switches, with bases, exceptions and flipped switches.

Uses only the standard library, because Snakemake's own interpreter reads it.
"""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from weaklesion.errors import DataError

Config = Mapping[str, Any]
FLIP = "~"  # `corrected~S1` is `corrected` with the switch S1 of the other protocol
DRAWN_MARKS = ("deeplesion", "custom")  # loaders of marks that people drew
FOLD = "@"  # `corrected@2` is the second fold of `corrected`


def protocol_settings(
    config: Config, protocol: str, keys: Iterable[str] | None = None
) -> dict[str, Any]:
    """Return a protocol's switches, completed by those of its bases.

    They do not include a flipped switch, which `stage_settings` adds.

    Args:
        config: the configuration.
        protocol: a protocol or a fold, with or without a flipped switch.
        keys: the only ones to return, of those that are there; all if None.

    Raises:
        DataError: if the protocol or a base is not defined, or bases run in a circle.
    """
    merged: dict[str, Any] = {}
    for name in reversed(bases_of(config, "protocols", whole(protocol).split(FLIP)[0])):
        layer = config["protocols"][name]
        chosen = layer if keys is None else [key for key in keys if key in layer]
        merged = merge(merged, {key: layer[key] for key in chosen if key != "base"})
    return merged


def whole(protocol: str) -> str:
    """Return the protocol that a fold is part of; any other protocol as it is.

    >>> whole("corrected@2"), whole("corrected")
    ('corrected', 'corrected')
    """
    return protocol.split(FOLD)[0]


def unsplit(protocol: str) -> str:
    """Return the name under which the samples of a cross-validated protocol are made.

    >>> unsplit("corrected")
    'corrected@0'
    """
    return f"{protocol}{FOLD}0"


def folds_of(config: Config, protocol: str) -> list[str]:
    """Return the folds of a cross-validated protocol; none for any other, or for a fold.

    Each group of a dataset is tested in one fold, validates in another one, and is trained on in
    the rest.
    """
    if FOLD in protocol:
        return []
    number = protocol_settings(config, protocol, ["folds"]).get("folds") or 0
    return [f"{protocol}{FOLD}{fold}" for fold in range(1, number + 1)]


def trained_protocols(config: Config, protocol: str) -> list[str]:
    """Return the protocols that networks are trained under: the folds, or the protocol itself."""
    return folds_of(config, protocol) or [protocol]


def bases_of(config: Config, kind: str, name: str) -> list[str]:
    """Return the name of a protocol or arm, of its base, of that one's base, and so on.

    A fold has the bases of its protocol.

    Raises:
        DataError: if one of them is not defined, or they run in a circle.
    """
    chain: list[str] = []
    following: str | None = whole(name)
    while following is not None:
        if following in chain:
            raise DataError(
                f"config: the bases of {kind}.{name} run in a circle:"
                f" {' -> '.join([*chain, following])}. Remove one `base`."
            )
        check_known(f"{kind}.{chain[-1]}.base" if chain else kind, following, config[kind])
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
        if isinstance(value, dict) and isinstance(merged.get(key), dict):  # unlike Mapping: fast
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = value
    return merged


def limits_of(config: Config, dataset: str) -> dict[str, int]:
    """Return the largest number of samples of each split that has one."""
    limits = config["datasets"][dataset].get("limit") or {}
    return {split: count for split, count in limits.items() if count is not None}


def patch_settings(config: Config, dataset: str, protocol: str) -> dict[str, Any]:
    """Return the settings of a dataset's loader, as its class `Settings` takes them."""
    definition = config["datasets"][dataset]
    loader = definition["loader"]
    switches = stage_settings(config, dataset, protocol, "patches")
    settings = {key: switches[key] for key in ("side_px", "on_bad_sample")} | switches[loader]
    settings["limit"] = limits_of(config, dataset)
    if loader == "ham10k":
        settings["released_ids_sha256"] = definition.get("released_ids_sha256")
    elif loader == "lits":
        settings["published_split"] = definition.get("published_split")
    elif loader == "custom":
        settings["dense"] = definition["reference"] == "dense"
    elif loader == "deeplesion":
        settings["complete"] = "parts" not in definition
    return settings


def measures_recist(config: Config, dataset: str, protocol: str) -> bool:
    """Return whether a dataset's marks are simulated by RECIST's own definition.

    See `weaklesion.data.simulated_marks`. Drawn marks are not simulated.
    """
    return bool(patch_settings(config, dataset, protocol).get("simulated_marks") == "recist")


def may_miss_patch(config: Config, dataset: str, protocol: str) -> bool:
    """Return whether the ellipse of a mark may lie outside its patch.

    In the released code, marks are not scaled with their image (G7), and diameters that do not
    cross put the centre where the lines through them do (G6).
    """
    scaled = patch_settings(config, dataset, protocol).get("scale_marks", True)
    center = stage_settings(config, dataset, protocol, "supervision")["center"]
    return bool(center == "intersection" or not scaled)


def has_true_ends(config: Config, dataset: str, protocol: str) -> bool:
    """Return whether the ends of a dataset's marks are those of RECIST's diameters.

    They are where marks were drawn, and where they are simulated by RECIST's own definition; the
    ends of a mark that is simulated by the hull's ellipse are those of the ellipse's axes.
    """
    drawn = config["datasets"][dataset]["loader"] in DRAWN_MARKS
    return drawn or measures_recist(config, dataset, protocol)


def check_known(key: str, value: str, names: Iterable[str]) -> None:
    """Check that a value of the configuration is a known name.

    Raises:
        DataError: if it is not; with the key, the value and the known names.
    """
    if value not in names:
        names = list(names)
        close = get_close_matches(value, names, n=1)
        hint = f" Did you mean {close[0]}?" if close else ""
        raise DataError(f"config: {key} is {value!r}, which is none of {', '.join(names)}.{hint}")


def check_protocol(key: str, name: str, config: Config) -> None:
    """Check that a name is that of a protocol or of one of its folds.

    Raises:
        DataError: if it is not; with the key, the name and the known names.
    """
    check_known(key, whole(name), config["protocols"])
    if FOLD in name:
        check_known(key, name, trained_protocols(config, whole(name)))


def stage_settings(
    config: Config, dataset: str, protocol: str, stage: str, arm: str | None = None
) -> dict[str, Any]:
    """Return a protocol's switches of one stage for one dataset (and arm).

    An exception of the protocol overrides the other switches if it names the dataset, or the one
    that the dataset is `like`, and the arm or one of its bases. In a protocol such as
    `corrected~S1` the switch has the value of the other protocol of `attribution`; for a switch of
    training, `weaklesion.study.arms.training_settings` does this.
    """
    switches = protocol_settings(config, protocol, [stage, "exceptions"])
    settings: dict[str, Any] = dict(switches.get(stage, {}))
    names = {dataset, config["datasets"][dataset].get("like", dataset)}
    for exception in switches.get("exceptions", []):
        arms = exception.get("arms")
        holds_for_arm = arms is None or (
            arm is not None and set(arms) & set(bases_of(config, "arms", arm.split(FLIP)[0]))
        )
        if names & set(exception["datasets"]) and holds_for_arm:
            settings = merge(settings, exception.get(stage, {}))
    for path in flipped_paths(config, protocol):
        if path[0] == stage and stage != "training":
            other = other_protocol(config, protocol)
            value = value_at(stage_settings(config, dataset, other, stage, arm), path[1:])
            settings = merge(settings, nested(path[1:], value))
    return settings


def flipped_paths(config: Config, protocol: str) -> list[list[str]]:
    """Return the paths (stage and keys) of a flipped switch; none for a plain protocol."""
    if FLIP not in protocol:
        return []
    switch = whole(protocol).split(FLIP)[1]
    check_known("the switch of a protocol", switch, config["attribution"]["switches"])
    return [path.split(".") for path in config["attribution"]["switches"][switch]]


def other_protocol(config: Config, protocol: str) -> str:
    """Return the protocol that gives a flipped protocol its switch."""
    first, second = config["attribution"]["between"]
    return str(second if protocol.split(FLIP)[0] == first else first)


def value_at(settings: Mapping[str, Any], path: list[str]) -> Any:
    """Return the value at nested keys.

    Raises:
        DataError: if a key is missing.
    """
    value: Any = settings
    for key in path:
        if not isinstance(value, Mapping) or key not in value:
            raise DataError(
                f"config: attribution.switches: there is no {'.'.join(path)}. Correct the path."
            )
        value = value[key]
    return value


def nested(path: list[str], value: Any) -> dict[str, Any]:
    """Return mappings in which a value is at nested keys.

    >>> nested(["a", "b"], 1)
    {'a': {'b': 1}}
    """
    for key in reversed(path[1:]):
        value = {key: value}
    return {path[0]: value}
