"""Arms of the configuration: their definitions, training runs, variants and networks.

Uses only the standard library, because Snakemake's own interpreter reads it.
"""

import math
import re
from typing import Any

from weaklesion.errors import DataError
from weaklesion.networks.names import (
    MULTI_TASK_MODELS,
    NNUNET,
    OWN_ENCODERS,
    PROMPTED_MODELS,
)
from weaklesion.study.protocols import (
    FLIP,
    Config,
    bases_of,
    flipped_paths,
    merge,
    nested,
    other_protocol,
    patch_settings,
    stage_settings,
    value_at,
)

NOT_INHERITED = ("published", "label")  # names of one arm alone
# What nnU-Net decides itself or does not have, of the settings of all other training runs.
OF_NNUNET = {
    "num_classes": None,
    "soft_targets": False,
    "prompt": None,
    "weights": "none",
    "train_samples": None,
    "patience": None,
}
VARIANT = r"(k|alpha|samples)([0-9.]+)"


def arm_definition(config: Config, arm: str) -> dict[str, Any]:
    """Return an arm's definition, completed by the definitions of its bases.

    `published` and `label` never come from a base. A variant such as `a1l~k20`, `a1l~alpha10` or
    `a1l~samples500` is the arm with another number of clusters, another weight of the segmentation
    loss, or another number of training samples.

    Raises:
        DataError: if the arm or a base is not defined, bases run in a circle, or the variant is
            none of these.
    """
    merged: dict[str, Any] = {}
    plain, *variant = arm.split(FLIP)
    for name in reversed(bases_of(config, "arms", plain)):
        merged = _inherited(merged)
        layer = config["arms"][name]
        merged = merge(merged, {key: value for key, value in layer.items() if key != "base"})
    if variant:
        merged = merge(_inherited(merged), _variant_changes(arm, variant[0]))
    return merged


def _inherited(definition: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in definition.items() if key not in NOT_INHERITED}


def _variant_changes(arm: str, variant: str) -> dict[str, Any]:
    """Return the keys of the arm that a variant changes."""
    match = re.fullmatch(VARIANT, variant)
    if match is None:
        raise DataError(
            f"config: arm {arm!r}: a variant is {VARIANT}, not {variant!r}. Name one such as"
            " a1l~k20."
        )
    kind, value = match[1], float(match[2])
    if kind == "k":
        return {"num_clusters": int(value)}
    if kind == "alpha":
        return {"training": {"segmentation_weight": value}}
    return {"training": {"train_samples": int(value)}}


def training_settings(config: Config, dataset: str, protocol: str, arm: str) -> dict[str, Any]:
    """Return the settings of `weaklesion.study.settings.TrainingSettings` for an arm's runs.

    Later layers override earlier ones: `training`; the arm's `training`; the protocol's `training`;
    the `training` of those of the protocol's `exceptions` that name the dataset and the arm; the
    switch that is flipped; the change of a variant such as `a1l~alpha10`. A network that is shown
    the four ends of a mark gets the exponent of the protocol's targets, `ends_exponent`. An arm
    with nnU-Net has the settings of `weaklesion.nnunet.settings.NNUNetSettings` instead.
    """
    definition = arm_definition(config, arm)
    if definition["model"] == NNUNET:
        return {"model": NNUNET, **OF_NNUNET, **config["nnunet"]}
    settings = merge(config["training"], definition.get("training", {}))
    settings = merge(settings, stage_settings(config, dataset, protocol, "training", arm))
    for stage, *keys in flipped_paths(config, protocol):
        if stage == "training":
            other = training_settings(config, dataset, other_protocol(config, protocol), arm)
            settings = merge(settings, nested(keys, value_at(other, keys)))
    if FLIP in arm:
        variant = _variant_changes(arm, arm.split(FLIP)[1])
        settings = merge(settings, variant.get("training", {}))
    prompt = settings["prompt"]
    if prompt is not None and prompt.get("shape") == "ends":  # as the targets are drawn
        exponent = stage_settings(config, dataset, protocol, "supervision")["ends_exponent"]
        settings["prompt"] = prompt | {"exponent": exponent}
    multi_task = definition["model"] in MULTI_TASK_MODELS
    soft = is_soft(config, dataset, protocol, arm)
    return {
        "model": definition["model"],
        "network": definition.get("network", {}),
        "num_classes": num_clusters(config, dataset, arm) if multi_task else None,
        "soft_targets": soft,
        **settings,
    }


def describe_network(config: Config, dataset: str, protocol: str, arm: str) -> str:
    """Return an arm's encoder and its initial weights in words, for tables."""
    if not has_network(config, arm):
        return "no network"
    settings = training_settings(config, dataset, protocol, arm)
    if is_nnunet(config, arm):
        size = f" of {settings['batch_size']}" if settings["batch_size"] else ""
        budget = f"{settings['epochs']} epochs of {settings['iterations']} batches{size}"
        return f"nnU-Net's own 2-D plan, from scratch, {budget}"
    start = {"imagenet": "ImageNet weights", "none": "from scratch"}[settings["weights"]]
    pretrained = arm_definition(config, arm).get("starts_from")
    if pretrained:
        start = f"encoder of {pretrained}"
    encoder = "U-Net" if settings["model"] in OWN_ENCODERS else settings["encoder"]
    return f"{encoder}, {start}"


def warp_arm(config: Config, dataset: str, protocol: str, arm: str) -> str | None:
    """Return the arm whose choice of a warp an arm uses: its own or another arm's.

    None where no warp is chosen, because the arm's network does not see the mark or because its
    settings state the warp.
    """
    prompt = training_settings(config, dataset, protocol, arm)["prompt"]
    if prompt is None or prompt["max_amplitude"] is not None:
        return None
    plain: str = arm_definition(config, arm).get("warp_of", arm.split(FLIP)[0])
    return plain


def is_soft(config: Config, dataset: str, protocol: str, arm: str) -> bool:
    """Return whether an arm is trained on ellipses with soft edges (discrepancy G14).

    Networks that see the mark never are, because their training softens the edges of warped masks;
    nnU-Net never is, because it learns masks only.
    """
    supervision = stage_settings(config, dataset, protocol, "supervision")
    definition = arm_definition(config, arm)
    trained_on_ellipses = (
        definition["target"] == "ellipse"
        and definition["model"] is not None
        and not is_prompted(config, arm)
        and not is_nnunet(config, arm)
    )
    return bool(supervision["soft_edges"]) and trained_on_ellipses


def num_clusters(config: Config, dataset: str, arm: str) -> int | None:
    """Return K of an arm that needs clusters; None for all other arms."""
    definition = arm_definition(config, arm)
    if not definition.get("clusters"):
        return None
    return int(definition.get("num_clusters", config["datasets"][dataset]["num_clusters"]))


def own_value(config: Config, dataset: str, protocol: str, arm: str, over: str) -> float:
    """Return the value that an arm itself has of the setting that is swept.

    `over` is `k`, the number of clusters; `alpha`, the weight of the segmentation loss; or
    `samples`, the number of training samples, which is infinite where an arm trains on all of them.
    An arm without clusters has no number of them: nan.
    """
    if over == "k":
        return float(num_clusters(config, dataset, arm) or math.nan)
    settings = training_settings(config, dataset, protocol, arm)
    if over == "samples":
        return float(settings["train_samples"] or math.inf)
    return float(settings["segmentation_weight"])


def swept_arm(
    config: Config, dataset: str, protocol: str, arm: str, over: str, value: float
) -> str:
    """Return the name of an arm's variant, or the arm's own name where the value is its own."""
    own = own_value(config, dataset, protocol, arm, over)
    return arm if value == own else f"{arm}{FLIP}{over}{value:g}"


def flipped_protocols(config: Config, protocol: str) -> list[str]:
    """Return the names of a protocol with each switch of `attribution` flipped alone."""
    return [f"{protocol}{FLIP}{switch}" for switch in config["attribution"]["switches"]]


def protocol_with_runs(config: Config, dataset: str, flipped: str, arm: str) -> str:
    """Return the protocol whose runs a flipped one has: its base, the other one, or its own."""
    base = flipped.split(FLIP)[0]
    for plain in (base, other_protocol(config, flipped)):
        if not runs_differ(config, dataset, flipped, plain, arm):
            return plain
    return flipped


def runs_differ(config: Config, dataset: str, first: str, second: str, arm: str) -> bool:
    """Return whether two protocols give an arm different runs on a dataset."""
    definition = arm_definition(config, arm)

    def deciding_settings(protocol: str) -> list[Any]:
        stages = ["supervision", *(["clusters"] if definition.get("clusters") else [])]
        settings = [stage_settings(config, dataset, protocol, stage) for stage in stages]
        settings.append(patch_settings(config, dataset, protocol))
        if definition["model"] is not None:
            settings.append(training_settings(config, dataset, protocol, arm))
        return settings

    return deciding_settings(first) != deciding_settings(second)


def has_network(config: Config, arm: str) -> bool:
    """Return whether an arm has a network; without one, its target is the prediction."""
    return arm_definition(config, arm)["model"] is not None


def network_arm(config: Config, arm: str) -> str:
    """Return the arm whose network an arm predicts with: itself, or that of `network_of`."""
    return str(arm_definition(config, arm).get("network_of") or arm)


def is_prompted(config: Config, arm: str) -> bool:
    """Return whether an arm's network sees the mark."""
    return arm_definition(config, arm)["model"] in PROMPTED_MODELS


def is_nnunet(config: Config, arm: str) -> bool:
    """Return whether an arm's network is planned and trained by nnU-Net's own command line."""
    return bool(arm_definition(config, arm)["model"] == NNUNET)


def keeps_last(config: Config, arm: str) -> bool:
    """Return whether another arm predicts with the last weights of an arm's training."""
    definitions = (
        arm_definition(config, name)
        for name in config["arms"]
        if any(
            config["arms"][base].get("network_of") == arm for base in bases_of(config, "arms", name)
        )
    )
    return is_trained(config, arm) and any(
        other.get("network_of") == arm and other.get("weights_of") == "last"
        for other in definitions
    )


def is_teacher(config: Config, arm: str) -> bool:
    """Return whether another arm is trained on an arm's masks."""
    return any(own.get("taught_by") == arm for own in config["arms"].values())


def chooses_warp(config: Config, arm: str) -> bool:
    """Return whether a warp can be chosen by short training runs on an arm's own targets."""
    return is_prompted(config, arm) and arm_definition(config, arm).get("taught_by") is None


def has_crf(config: Config, arm: str) -> bool:
    """Return whether an arm's predictions go through the CRF."""
    return bool(arm_definition(config, arm).get("crf"))


def is_trained(config: Config, arm: str) -> bool:
    """Return whether an arm is trained itself instead of using another arm's network."""
    return has_network(config, arm) and arm_definition(config, arm).get("network_of") is None
