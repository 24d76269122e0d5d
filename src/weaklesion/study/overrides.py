"""Settings of the command line, `--config key=value`, parsed as YAML at every level.

Snakemake itself reads the numbers of a nested value as strings: in `--config 'seeds=[3]'` the seed
would be '3'. Scalars are those of YAML's core schema: null, true and false, integers, and decimals
such as 0.5 or 1e-3. Anything else is a string (paths, dates, `on`, 007), and so is a quoted value.

Uses only packages that Snakemake itself needs, because Snakemake's own interpreter reads it.
"""

import re
from collections.abc import Iterable
from typing import Any

import yaml

from weaklesion.study.protocols import merge

SCALARS = {
    "null": r"~|null|Null|NULL|",
    "bool": r"true|True|TRUE|false|False|FALSE",
    "int": r"[-+]?(0|[1-9][0-9]*)",
    "float": r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+"
    r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
}


class _CoreLoader(yaml.SafeLoader):
    """Loader of YAML with the scalars above."""


_CoreLoader.yaml_implicit_resolvers = {}
for _kind, _pattern in SCALARS.items():
    _CoreLoader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_kind}", re.compile(f"(?:{_pattern})$"), None
    )


def parse_overrides(entries: Iterable[str]) -> dict[str, Any]:
    """Parse the entries of `--config`.

    Args:
        entries: each `key=value`, with the value in YAML; later entries are merged into earlier
            ones of the same key.

    Returns:
        Nested settings. A value that is not valid YAML is a string.

    Raises:
        ValueError: if an entry has no `=`.

    >>> parse_overrides(["seeds=[3]", "select={items: [table1], protocols: null}"])
    {'seeds': [3], 'select': {'items': ['table1'], 'protocols': None}}
    """
    settings: dict[str, Any] = {}
    for entry in entries:
        key, found, value = entry.partition("=")
        if not found:
            raise ValueError(f"--config: {entry!r} is not key=value. Write it as 'seeds=[1]'")
        settings = merge(settings, {key: _parse(value)})
    return settings


def _parse(text: str) -> Any:
    try:
        return yaml.load(text, Loader=_CoreLoader)
    except yaml.YAMLError:
        return text
