"""Check a configuration against the schema, and say in one line per mistake what is wrong.

Uses only packages that Snakemake itself needs, because Snakemake's own interpreter reads it.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match
from jsonschema.validators import extend

from weaklesion.errors import DataError
from weaklesion.support.limits import is_finite
from weaklesion.support.yaml_files import LOADER, key_given_twice, read_yaml

MAX_LISTED = 10


# JSON Schema takes 3.0 for an integer, and infinity for a number; file names and loops do not.
TYPES = Draft202012Validator.TYPE_CHECKER.redefine_many(
    {
        "integer": lambda _, value: is_finite(value, (int,)),
        "number": lambda _, value: is_finite(value),
    }
)


def _rising(_: Any, wanted: bool, pair: Any, __: Any) -> Iterator[ValidationError]:
    """The keyword `rising`: the first of two numbers is below the second."""
    two = wanted and isinstance(pair, list) and len(pair) == 2 and all(map(is_finite, pair))
    if two and not pair[0] < pair[1]:
        yield ValidationError(f"{pair} needs the lower number first")


Validator = extend(Draft202012Validator, {"rising": _rising}, type_checker=TYPES)


def check_schema(config: Mapping[str, Any], schema_yaml: str | Path, hint: str = "") -> None:
    """Check a configuration against the schema.

    Args:
        config: the configuration, with the study's overlay.
        schema_yaml: JSON Schema as YAML.
        hint: a last line for the message.

    Raises:
        DataError: with one line per mistake: the key, the cause and the cure.
    """
    schema = read_yaml(schema_yaml)
    validator = Validator(schema)
    lines = list(dict.fromkeys(_lines(validator.iter_errors(config))))
    if not lines:
        return
    more = len(lines) - MAX_LISTED
    shown = lines[:MAX_LISTED] + ([f"and {more} more mistakes"] if more > 0 else [])
    raise DataError("\n".join(["the configuration cannot be used:", *shown, *filter(None, [hint])]))


def check_keys(paths: Iterable[str | Path]) -> None:
    """Check that no mapping of some configuration files has a key twice, of which one would win.

    Args:
        paths: YAML or JSON files.

    Raises:
        DataError: naming the file, the key and both lines.
    """
    for path in paths:
        try:
            root = yaml.compose(Path(path).read_text(encoding="utf-8"), Loader=LOADER)
        except (OSError, UnicodeDecodeError, yaml.YAMLError):
            continue  # its reader says so
        if root is not None and (twice := key_given_twice(root)):
            key, line, first = twice
            raise DataError(
                f"{path}: line {line} gives {key} again, after line {first}. Keep one of them."
            )


def _lines(errors: Iterable[ValidationError]) -> Iterator[str]:
    """Yield one line per mistake, in the configuration's order of keys."""
    for error in sorted(errors, key=lambda error: [str(key) for key in error.absolute_path]):
        cause = error
        while cause.context:
            cause = _of_best_branch(cause.context)
        yield from _of_error(cause)


def _of_best_branch(context: Sequence[ValidationError]) -> ValidationError:
    """Return why the best of several schemas, none of which fits, does not fit.

    It is one whose type is the value's, and whose constants and choices hold, such as the `kind` of
    an item, if there is any.
    """
    branches: dict[Any, list[ValidationError]] = {}
    for error in context:
        branches.setdefault(error.relative_schema_path[0], []).append(error)
    of_its_type = [
        errors
        for errors in branches.values()
        if not any(error.validator == "type" and not error.relative_path for error in errors)
    ]
    fitting = [
        error
        for errors in of_its_type or branches.values()
        if not any(error.validator in ("const", "enum") for error in errors)
        for error in errors
    ]
    rest = [error for errors in of_its_type for error in errors] or context
    return best_match(fitting or rest) or rest[0]


def _of_error(error: ValidationError) -> Iterator[str]:
    where = ".".join(str(key) for key in error.absolute_path)
    if error.validator == "additionalProperties":
        known = list(error.schema.get("properties", {}))
        for name in error.instance:
            if name not in known:
                key = f"{where}.{name}" if where else str(name)
                yield f"config: {key}: there is no such key. {_instead(str(name), known)}"
    elif error.validator == "enum":
        choices = [str(choice) for choice in error.validator_value if choice is not None]
        yield (
            f"config: {where} is {error.instance!r}, which is none of {', '.join(choices)}."
            f" {_close(str(error.instance), choices)}".rstrip()
        )
    elif error.validator == "required":
        missing = [name for name in error.validator_value if name not in error.instance]
        yield f"config: {where or 'the configuration'}: lacks {', '.join(missing)}. Add it."
    elif error.validator == "oneOf" and not isinstance(error.instance, dict) and not error.context:
        return  # all schemas are about keys: that it has none is an error of its own
    elif error.validator == "oneOf" and (apart := _keys_apart(error)):
        yield (
            f"config: {where}: has {' and '.join(apart)}, which do not go together. Keep one of"
            " them; where config.yaml sets the other, use another name."
        )
    else:
        place = f"{where}: " if where else ""
        yield f"config: {place}{_brief(error.message)}.{_spelling(error)}{_meaning(error)}"


def _keys_apart(error: ValidationError) -> list[str]:
    """Return the keys of a mapping that each fulfil another of the schemas that exclude another."""
    if not isinstance(error.instance, dict):
        return []
    needed = [set(branch.get("required", ())) for branch in error.validator_value]
    fulfilled = [keys for keys in needed if keys and keys <= error.instance.keys()]
    shared = set.intersection(*fulfilled) if fulfilled else set()
    own = [sorted(keys - shared) for keys in fulfilled]
    return [keys[0] for keys in own if keys] if len(own) > 1 else []


def _instead(name: str, known: list[str]) -> str:
    return _close(name, known) or f"Known keys: {', '.join(sorted(known))}."


def _close(name: str, names: list[str]) -> str:
    close = get_close_matches(name, names, n=1, cutoff=0.6)
    return f"Did you mean {close[0]}?" if close else ""


def _brief(message: str, longest: int = 200) -> str:
    return message if len(message) <= longest else f"{message[:longest]}..."


def _spelling(error: ValidationError) -> str:
    """Return how a value is to be written that YAML reads as one of another type."""
    value, wanted = error.instance, error.validator_value
    if error.validator != "type":
        return ""
    if value is None and wanted == "object":
        return " A key with nothing below it is null: remove the key, or write {}."
    if value is not None and wanted == "string" and not isinstance(value, (list, dict)):
        return " YAML took it for a number, a date, or true or false: put it in quotes."
    if not isinstance(value, str):
        return ""
    try:
        number = float(value)
    except ValueError:
        return ""
    written = f"{number:g}" if "e" not in f"{number:g}" else f"{number:.1e}"
    return f" YAML took it for a text: write {written}." if math.isfinite(number) else ""


def _meaning(error: ValidationError) -> str:
    schema = error.schema if isinstance(error.schema, dict) else {}
    meaning = schema.get("description", schema.get("$comment", ""))
    return f" {' '.join(meaning.split())}" if meaning else ""
