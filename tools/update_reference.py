"""Make the configuration's schema and its reference page.

    python tools/update_reference.py

makes the last part of workflow/schemas/config.schema.yaml from the settings classes, and
docs/reference/config.md from the schema and from the defaults of config.yaml. Running it again
changes nothing. tests/docs/test_update_reference.py fails until it has run.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from settings_schema import schema_with_settings

from weaklesion.support.yaml_files import read_yaml

ROOT = Path(__file__).resolve().parents[1]
SCHEMA, PAGE = "workflow/schemas/config.schema.yaml", "docs/reference/config.md"
AUDIT, METRICS, RUNNING = "audit.md", "metrics.md", "../how-to/run.md"  # seen from the page
INTRODUCTION = f"""\
# Configuration

<!-- Made by `python tools/update_reference.py` from the schema and config.yaml; do not edit. -->

[`config.yaml`](../../config.yaml) describes the study of the paper. Another study
(`--configfile workflow/studies/NAME.yaml`) changes some of its keys, and `--config 'KEY=VALUE'`
changes them on the command line ([how to run a study]({RUNNING})). The
[schema](../../workflow/schemas/config.schema.yaml) refuses an unknown key and a value outside its
limits before any job. IDs such as G18 are discrepancies between paper and released code
([list]({AUDIT})). Names in angle brackets are yours to choose. The defaults are the values
of `config.yaml`, whose comments say where they are from.
"""
# Mappings with keys of one's own choice: how the page writes the name, and whose values it shows.
CHOSEN_NAMES = {
    "datasets": ("<dataset>", None),
    "imagenet_weights.files": ("<encoder>", None),
    "protocols": ("<protocol>", "corrected"),
    "arms": ("<arm>", None),
    "readers": ("<name>", "reader"),
    "mark_noise": ("<name>", None),
    "experiments": ("<item>", None),
    "attribution.switches": ("<ID>", None),
}
# Definitions that several keys share: the page lists their keys once, here.
HOMES = {
    "training": "training",
    "supervision": "protocols.<protocol>.supervision",
    "clusters": "protocols.<protocol>.clusters",
}
# Definitions that the page names instead of spelling them out.
NAMED = {"name": "name", "path": "path", "metric": f"a [metric]({METRICS})"}
NAMES = {"integer": "integer", "number": "number", "string": "text", "boolean": "true or false"}
BOUNDS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "above {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "below {}",
    "multipleOf": "multiple of {}",
}


NO_DEFAULT = object()


class Row(NamedTuple):
    """One key: its path, its allowed values, its default if it has one, and its meaning."""

    path: str
    values: str
    default: str
    meaning: str


def resolve(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    """Return a schema with the definitions that it refers to; its own entries override them."""
    while "$ref" in schema:
        own = {key: value for key, value in schema.items() if key != "$ref"}
        schema = root["$defs"][schema["$ref"].removeprefix("#/$defs/")] | own
    return schema


def home_of(schema: dict[str, Any], path: str) -> str | None:
    """Return the path under which the page lists the keys of a schema, if it is not this one."""
    name = schema.get("$ref", "").removeprefix("#/$defs/")
    home = HOMES.get(name)
    return None if home == path else home


def value_words(schema: dict[str, Any], root: dict[str, Any]) -> str:
    """Return the values that a schema allows, in words."""
    name = schema.get("$ref", "").removeprefix("#/$defs/")
    if name in NAMED:
        return NAMED[name]
    schema = resolve(schema, root)
    if "oneOf" in schema:
        return "; or ".join(value_words(one, root) for one in schema["oneOf"])
    if "enum" in schema:
        return ", ".join(f"`{'null' if one is None else one}`" for one in schema["enum"])
    kind = schema["type"]
    if isinstance(kind, list):
        first, last = kind
        return f"{value_words(schema | {'type': first}, root)}; or {last}"
    if kind == "array":
        least, most = schema.get("minItems", 0), schema.get("maxItems")
        number = f" of {least}" if least == most else f" of {least} or more" if least else ""
        return f"list{number} ({value_words(schema['items'], root)})"
    if kind in ("null", "object"):
        return {"null": "null", "object": "mapping"}[kind]
    limits = [text.format(schema[key]) for key, text in BOUNDS.items() if key in schema]
    return ", ".join([NAMES[kind], *limits])


def rows(schema: dict[str, Any], root: dict[str, Any], path: str, default: Any) -> Iterator[Row]:
    """Yield the key of a schema and all keys below it.

    Raises:
        ValueError: if a key has no description.
    """
    home, values = home_of(schema, path), value_words(schema, root)
    schema = resolve(schema, root)
    if not schema.get("description"):
        raise ValueError(f"{SCHEMA}: {path} has no description. Write what it decides.")
    meaning = schema["description"]
    options = [resolve(one, root) for one in schema.get("oneOf", [schema])]
    objects = [one for one in options if one.get("type") == "object"]
    if schema.get("type") == "array" and "properties" in schema["items"]:
        objects, path = [schema["items"]], f"{path}[]"
    if home is not None:
        yield Row(path, f"keys of `{home}`", "", meaning)
    elif not objects:
        yield Row(path, values, _shown(default), meaning)
    elif path in CHOSEN_NAMES:
        name, example = CHOSEN_NAMES[path]
        below, value = resolve(objects[0]["additionalProperties"], root), _value(default, example)
        if "properties" in below:
            yield from _rows_below([below], root, f"{path}.{name}", value)
        else:
            yield Row(f"{path}.{name}", value_words(below, root), "", meaning)
    else:
        null = " or null" if len(options) > len(objects) else ""
        yield Row(path, f"mapping{null}", "", meaning)
        yield from _rows_below(objects, root, path, default)


def _rows_below(
    objects: list[dict[str, Any]], root: dict[str, Any], path: str, default: Any
) -> Iterator[Row]:
    """Yield the keys of several mappings; a key of more than one of them once."""
    keys = {key: below for one in objects for key, below in one["properties"].items()}
    for key, below in keys.items():
        yield from rows(below, root, f"{path}.{key}", _value(default, key))


def _value(default: Any, key: str | None) -> Any:
    return default.get(key, NO_DEFAULT) if isinstance(default, dict) else NO_DEFAULT


def _shown(default: Any) -> str:
    return "" if default is NO_DEFAULT else f"`{json.dumps(default, ensure_ascii=False)}`"


def section(key: str, schema: dict[str, Any], config: dict[str, Any]) -> str:
    """Return the part of the page on one key of the configuration's top level."""
    below = schema["properties"][key]
    found = list(rows(below, schema, key, config[key]))
    text = f"\n## `{key}`\n\n{resolve(below, schema)['description']}\n\n"
    if [row.path for row in found] == [key]:
        return f"{text}Values: {found[0].values}. Default: {found[0].default}.\n"
    found = [row for row in found if row.path != key]
    has_default = any(row.default for row in found)
    head = ["Key", "Values", *(["Default"] if has_default else []), "Meaning"]
    lines = [head, ["---"] * len(head)]
    for row in found:
        name = row.path.removeprefix(f"{key}.")
        default = [row.default] if has_default else []
        lines.append([f"`{name}`", row.values, *default, row.meaning])
    return text + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def reference(schema: dict[str, Any], config: dict[str, Any]) -> str:
    """Return the reference page.

    Args:
        schema: the configuration's schema.
        config: config.yaml, whose values are the defaults.

    Raises:
        ValueError: if a key has no description.
    """
    return INTRODUCTION + "".join(section(key, schema, config) for key in schema["properties"])


def generate(root: Path) -> dict[Path, str]:
    """Return the text that each generated file should have, by its path."""
    text = schema_with_settings((root / SCHEMA).read_text(encoding="utf-8"))
    config = read_yaml(root / "config.yaml")
    page = reference(yaml.safe_load(text), config)
    return {root / SCHEMA: text, root / PAGE: page}


def main() -> None:
    """Update."""
    for path, text in generate(ROOT).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
