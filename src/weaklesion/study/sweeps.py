"""Points of sweeps and flipped switches: what their tables and figures compare.

Uses only the standard library, because Snakemake's own interpreter reads it.
"""

from typing import Any

from weaklesion.errors import DataError
from weaklesion.study.arms import (
    flipped_protocols,
    is_trained,
    num_clusters,
    own_value,
    protocol_with_runs,
    swept_arm,
)
from weaklesion.study.items import DIGITS, item_definition, sweep_values
from weaklesion.study.protocols import FLIP, Config


def check_sweep(config: Config, item: str) -> None:
    """Check that an item of kind `sweep` has one arm, and values that this arm can have.

    Raises:
        DataError: naming the key, its value, and the remedy.
    """
    definition = item_definition(config, item)
    over, (arm, *others), key = definition["over"], definition["arms"], f"experiments.{item}"
    if others:
        raise DataError(
            f"config: {key}.arms: a sweep is a curve of one arm, not of {', '.join([arm, *others])}"
            " together. Give each arm an item of its own."
        )
    if not is_trained(config, arm):
        raise DataError(
            f"config: {key}.arms: {arm} is not trained itself, so that all values would have the"
            " same network. Name an arm that is."
        )
    if over != "k" and "values" not in definition:
        raise DataError(f"config: {key}.values: a sweep over {over} needs its values. Add them.")
    for dataset in definition["datasets"]:
        if over == "k" and num_clusters(config, dataset, arm) is None:
            raise DataError(
                f"config: {key}.arms: {arm} has no clusters whose number could be swept. Name an"
                " arm with `clusters`."
            )
        values = sweep_values(config, item, dataset)
        for value in values:
            _check_value(f"{key}.values", over, value, values)


def _check_value(key: str, over: str, value: float, values: list[float]) -> None:
    """Check a value of a sweep, which is a part of the names of its arm's variant and files."""
    if values.count(value) > 1:
        raise DataError(f"config: {key}: {value} is given twice. Keep one of them.")
    if over != "alpha" and value != int(value):
        raise DataError(f"config: {key}: a sweep over {over} needs whole numbers, not {value}.")
    text = f"{value:g}"
    if set(text) - set(DIGITS) or float(text) != value:
        raise DataError(
            f"config: {key}: {value} does not fit into a name. Write at most six digits, and at"
            " least 0.0001."
        )


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
    """Return the value that the arm of a sweep has in other items, by dataset and protocol."""
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
