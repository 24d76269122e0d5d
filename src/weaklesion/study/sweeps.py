"""Points of sweeps and flipped switches: what their tables and figures compare.

Uses only the standard library, because Snakemake's own interpreter reads it.
"""

from typing import Any

from weaklesion.study.arms import flipped_protocols, own_value, protocol_with_runs, swept_arm
from weaklesion.study.items import item_definition, sweep_values
from weaklesion.study.protocols import FLIP, Config


def sweep_points(config: Config, item: str) -> list[dict[str, Any]]:
    """Return the points of a sweep, each with `dataset`, `protocol`, `arm` and `value`."""
    definition = item_definition(config, item)
    return [
        {
            "dataset": dataset,
            "protocol": protocol,
            "arm": swept_arm(config, dataset, protocol, arm, definition["over"], value),
            "value": value,
        }
        for dataset in definition["datasets"]
        for protocol in definition["protocols"]
        for arm in definition["arms"]
        for value in sweep_values(config, item, dataset)
    ]


def own_values(config: Config, item: str) -> dict[str, dict[str, float]]:
    """Return the value that the arm of a sweep has elsewhere, by dataset and protocol."""
    definition = item_definition(config, item)
    arm, over = definition["arms"][0], definition["over"]
    return {
        dataset: {
            protocol: own_value(config, dataset, protocol, arm, over)
            for protocol in definition["protocols"]
        }
        for dataset in definition["datasets"]
    }


def flips_of_item(config: Config, item: str) -> list[dict[str, Any]]:
    """Return each switch that changes a dataset's runs when it is flipped alone.

    An arm that the switch does not change keeps the runs of the base. If the two protocols differ
    in this switch only, flipping it gives the runs of the other protocol.

    Returns:
        One mapping per dataset, base and switch: `dataset`, `base`, `switch`, and for each arm the
        protocol whose runs it has.
    """
    definition = item_definition(config, item)
    flips = []
    for dataset in definition["datasets"]:
        for base in definition["protocols"]:
            for flipped in flipped_protocols(config, base):
                runs = {
                    arm: protocol_with_runs(config, dataset, flipped, arm)
                    for arm in definition["arms"]
                }
                if set(runs.values()) != {base}:
                    flips.append(
                        {"dataset": dataset, "base": base, "switch": flipped.split(FLIP)[1]} | runs
                    )
    return flips
