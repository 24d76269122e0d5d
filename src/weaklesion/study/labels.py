"""What readers call datasets and arms.

Uses only the standard library, because Snakemake's own interpreter reads it.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from weaklesion.study.protocols import FLIP, Config

# `datasets` and `arms`, each from names to labels, and `phantoms`, names of datasets.
Labels = Mapping[str, Any]


ENCODERS = {
    "resnet18": "ResNet-18",
    "resnet34": "ResNet-34",
    "resnet50": "ResNet-50",
    "resnet101": "ResNet-101",
    "timm-tf_efficientnet_lite0": "EfficientNet-Lite0",
    "tu-tf_mobilenetv3_small_minimal_100": "MobileNetV3-Small",
}


def is_phantom(config: Config, dataset: str) -> bool:
    """Return whether the project draws the files that a dataset reads.

    >>> is_phantom({"datasets": {"p": {"phantom": {}}, "parts": {"files_of": "p"}}}, "parts")
    True
    """
    definitions = config["datasets"]
    files_of = definitions.get(dataset, {}).get("files_of", dataset)
    return "phantom" in definitions.get(files_of, {})


def dataset_labels(config: Config) -> dict[str, str]:
    """Return each dataset's label, or its name; a phantom is called after its dataset.

    >>> phantom = {"like": "ham10k", "phantom": {}}
    >>> dataset_labels({"datasets": {"ham10k": {"label": "HAM10000"}, "p": phantom, "own": {}}})
    {'ham10k': 'HAM10000', 'p': 'HAM10000 phantom', 'own': 'own'}
    """
    definitions = config["datasets"]
    labels = {}
    for name, definition in definitions.items():
        original = definitions.get(definition.get("like", name), {})
        label = original.get("label", name)
        labels[name] = f"{label} phantom" if is_phantom(config, name) else label
        labels[name] = definition.get("label", labels[name])
    return labels


def called(labels: Labels | None, kind: str, name: object) -> str:
    """Return what readers call a dataset or an arm; its name where no label is known.

    Args:
        labels: see `labels_of`; None for none.
        kind: `datasets` or `arms`.
        name: the name.
    """
    return str((labels or {}).get(kind, {}).get(str(name), name))


def arm_labels(config: Config) -> dict[str, str]:
    """Return each arm's label, or its name. An arm does not inherit the label of its base."""
    return {name: arm.get("label", name) for name, arm in config["arms"].items()}


def labels_of(config: Config, datasets: Iterable[str], arms: Iterable[str]) -> dict[str, Any]:
    """Return what readers call some datasets and arms, and which of the datasets are phantoms.

    A variant of an arm is called after the arm.

    >>> config = {"datasets": {"p": {"phantom": {}}}, "arms": {"a1l": {"label": "A1+L"}}}
    >>> labels_of(config, ["p"], ["a1l~k20"])
    {'datasets': {'p': 'p phantom'}, 'arms': {'a1l~k20': 'A1+L, k20'}, 'phantoms': ['p']}
    """
    named_datasets, named_arms = dataset_labels(config), arm_labels(config)
    labels = {}
    for arm in dict.fromkeys(arms):
        plain, *variant = arm.split(FLIP)
        labels[arm] = ", ".join([named_arms.get(plain, plain), *variant])
    names = list(dict.fromkeys(datasets))
    return {
        "datasets": {name: named_datasets.get(name, name) for name in names},
        "arms": labels,
        "phantoms": [name for name in names if is_phantom(config, name)],
    }


def network_in_words(network: str) -> str:
    """Return a network as readers know it, from the words of `weaklesion.study.arms`.

    >>> network_in_words("resnet101, ImageNet weights"), network_in_words("no network")
    ('ResNet-101, ImageNet weights', 'no network')
    """
    encoder, comma, start = network.partition(",")
    return ENCODERS.get(encoder, encoder) + comma + start
