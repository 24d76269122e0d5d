"""What readers call datasets and arms.

Uses only the standard library, because Snakemake's own interpreter reads it.
"""

from weaklesion.study.protocols import Config


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
        labels[name] = f"{label} phantom" if "phantom" in definition else label
        labels[name] = definition.get("label", labels[name])
    return labels


def arm_labels(config: Config) -> dict[str, str]:
    """Return each arm's label, or its name. An arm does not inherit the label of its base."""
    return {name: arm.get("label", name) for name, arm in config["arms"].items()}
