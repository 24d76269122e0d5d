"""Settings of the command line, `--config key=value`, parsed as YAML at every level.

Snakemake itself reads the numbers of a nested value as strings: in `--config 'seeds=[3]'` the seed
would be '3'. Scalars are those of YAML's core schema: null, true and false, integers, and decimals
such as 0.5 or 1e-3. Anything else is a string (paths, dates, `on`, 007), and so is a quoted value.

Uses only packages that Snakemake itself needs, because Snakemake's own interpreter reads it.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from weaklesion.errors import DataError
from weaklesion.study.protocols import merge
from weaklesion.support.yaml_files import key_given_twice

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
            ones of the same key, as far as they give other settings.

    Returns:
        Nested settings. A value that is not valid YAML is a string.

    Raises:
        ValueError: if an entry has no `=`.
        DataError: if a setting is given twice, of which one would win.

    >>> parse_overrides(["seeds=[3]", "select={items: [table1], protocols: null}"])
    {'seeds': [3], 'select': {'items': ['table1'], 'protocols': None}}
    """
    settings: dict[str, Any] = {}
    for entry in entries:
        key, found, value = entry.partition("=")
        if not found:
            raise ValueError(f"--config: {entry!r} is not key=value. Write it as 'seeds=[1]'")
        given = {key: _parse(key, value)}
        if twice := _setting_in_both(settings, given):
            raise DataError(f"--config: {twice} is given twice. Keep one of them.")
        settings = merge(settings, given)
    return settings


def overrides_of(
    config: Mapping[str, Any], given: Mapping[str, Any], as_parsed: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the overrides that are about a module.

    Its configuration is that of the workflow that loads it, or the part under one of its keys, in
    which Snakemake has set what `--config` gives for it. Other overrides are the workflow's own.

    Args:
        config: the module's configuration.
        given: the overrides as `parse_overrides` returns them.
        as_parsed: the overrides as Snakemake parses them.

    >>> given = {"seeds": [3], "weaklesion": {"study": "mine", "seeds": [1]}}
    >>> as_parsed = {"seeds": ["3"], "weaklesion": {"study": "mine", "seeds": ["1"]}}
    >>> overrides_of({"study": "mine", "seeds": ["1"]}, given, as_parsed)
    {'study': 'mine', 'seeds': [1]}
    """
    own: dict[str, Any] = {}
    for key, value in given.items():
        if _holds(config, {key: as_parsed[key]}):
            own = merge(own, {key: value})
        elif isinstance(value, Mapping) and _holds(config, as_parsed[key]):
            own = merge(own, value)
    return own


def _holds(whole: Any, part: Any) -> bool:
    """Return whether settings have all that others say."""
    if not isinstance(part, Mapping):
        return bool(whole == part)
    return isinstance(whole, Mapping) and all(
        key in whole and _holds(whole[key], value) for key, value in part.items()
    )


def _parse(key: str, text: str) -> Any:
    try:
        value = yaml.load(text, Loader=_CoreLoader)
        root = yaml.compose(text, Loader=_CoreLoader)
    except yaml.YAMLError:
        return text
    if root is not None and (twice := key_given_twice(root)):
        raise DataError(f"--config: {key} gives {twice[0]} twice. Keep one of them.")
    return value


def _setting_in_both(first: Mapping[str, Any], second: Mapping[str, Any]) -> str | None:
    """Return the path of a setting that two mappings give; None if they only add up.

    >>> _setting_in_both({"a": {"b": 1}}, {"a": {"c": 1}})
    >>> _setting_in_both({"a": {"b": 1}}, {"a": {"b": 2}})
    'a.b'
    """
    for key in first.keys() & second.keys():
        if not (isinstance(first[key], Mapping) and isinstance(second[key], Mapping)):
            return str(key)
        if inner := _setting_in_both(first[key], second[key]):
            return f"{key}.{inner}"
    return None
