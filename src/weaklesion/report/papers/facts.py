"""What is known of the datasets' origin."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from weaklesion.support.yaml_files import read_yaml

Facts = dict[str, str]


def facts_of(
    datasets_yaml: str | Path, origins: Mapping[str, Mapping[str, str]], datasets: Iterable[str]
) -> dict[str, Facts]:
    """Return what is known of each dataset: what the file says, and what the study says of it.

    Args:
        datasets_yaml: facts by key, see `workflow/resources/datasets.yaml`.
        origins: dataset to its `key` in the file, and facts that the study states itself, which
            hold instead of the file's.
        datasets: names of the datasets, which may repeat.
    """
    known = read_yaml(datasets_yaml)
    found: dict[str, Facts] = {}
    for name in dict.fromkeys(datasets):
        stated = dict(origins[name])
        found[name] = {**known.get(stated.pop("key"), {}), **stated}
    return found
