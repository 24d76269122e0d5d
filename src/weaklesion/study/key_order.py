"""The order of a configuration's keys, which must not depend on who wrote them.

Snakemake compares `repr` of a job's params, in which two mappings with the same entries in another
order differ. So the keys of settings get a fixed order before any rule reads them. Names of one's
own choice, such as those of arms, keep the order that the study gives them.

Uses only the standard library, because Snakemake's own interpreter reads it.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from weaklesion.study.protocols import merge

Schema = Mapping[str, Any]


def in_fixed_order(config: Mapping[str, Any], paper: Mapping[str, Any], schema: Schema) -> Any:
    """Return a configuration with its keys in the order of the paper's, then of the schema's.

    Args:
        config: a configuration that keeps the schema.
        paper: the configuration of the paper, config.yaml.
        schema: the schema.
    """
    return _ordered(config, paper, [schema], schema)


def _ordered(value: Any, like: Any, schemas: list[Schema], root: Schema) -> Any:
    """Return a value with the keys in it in order.

    Args:
        value: any part of a configuration.
        like: the same part of the paper's configuration, or anything else where it has none.
        schemas: what the schema says of it, in one or several places.
        root: the whole schema, with its definitions.
    """
    branches = [branch for one in schemas for branch in _branches(one, root)]
    if isinstance(value, list):
        items = [branch["items"] for branch in branches if "items" in branch]
        return [_ordered(entry, None, items, root) for entry in value]
    if not isinstance(value, dict):
        return value
    before: Mapping[str, Any] = like if isinstance(like, dict) else {}
    stated = [branch["properties"] for branch in branches if "properties" in branch]
    stated = [keys for keys in stated if value.keys() <= keys.keys()] or stated
    free = [
        branch["additionalProperties"]
        for branch in branches
        if isinstance(branch.get("additionalProperties"), dict)
    ]
    known = dict.fromkeys(key for keys in ([before, *stated] if stated else []) for key in keys)
    typical: dict[str, Any] = {}  # for a name that the paper does not have, what all others have
    for other in before.values() if free else ():
        typical = merge(typical, other) if isinstance(other, dict) else typical
    return {
        key: _ordered(
            value[key],
            before.get(key, typical),
            [keys[key] for keys in stated if key in keys] or free,
            root,
        )
        for key in {**known, **value}
        if key in value
    }


def _branches(schema: Any, root: Schema) -> Iterator[Schema]:
    """Yield a schema and those that it combines, each with the definition that it refers to."""
    if not isinstance(schema, dict):  # true or false
        return
    while "$ref" in schema:
        definition = root["$defs"][schema["$ref"].removeprefix("#/$defs/")]
        schema = definition | {key: value for key, value in schema.items() if key != "$ref"}
    yield schema
    for combined in ("oneOf", "anyOf", "allOf"):
        for branch in schema.get(combined, []):
            yield from _branches(branch, root)
