"""Bind what a rule names to the parameters of the function that its script runs.

A rule names its inputs, outputs and params as the function names its parameters, so that nothing
has to be mapped by hand. Uses only the standard library.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints


def bind(function: Callable[..., Any], named: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a function, taken by name from what a rule names.

    The annotation of a parameter says how its value is converted: a mapping becomes the dataclass
    that is expected, and so do the mappings in it; a dataclass that the rule does not name is made
    of its fields, which the rule names; the text of a wildcard becomes an int where one is
    expected; an empty input becomes None where None is allowed.

    Args:
        function: any function or dataclass; parameters with a default may lack a value.
        named: values by name; names that the function does not have are passed over.

    Raises:
        TypeError: if a parameter without a default has no value, or a dataclass has no such field.
    """
    hints = get_type_hints(function)
    arguments = {}
    for name, parameter in inspect.signature(function).parameters.items():
        expected = _expected(hints.get(name, Any))
        if name in named:
            arguments[name] = _converted(named[name], *expected)
        elif _fields(expected[0]) and parameter.default is parameter.empty:
            arguments[name] = expected[0](**bind(expected[0], named))
        elif parameter.default is parameter.empty:
            raise TypeError(f"{function.__name__}: the rule names no {name}")
    return arguments


def bindable_names(function: Callable[..., Any]) -> set[str]:
    """Return all names that `bind` takes: parameters, and fields of dataclasses made from them."""
    hints = get_type_hints(function)
    names = set(inspect.signature(function).parameters)
    return names.union(*(_fields(_expected(hints.get(name, Any))[0]) for name in names))


def _expected(hint: Any) -> tuple[Any, bool]:
    """Return the type that a parameter expects, and whether it may be None."""
    if get_origin(hint) not in (Union, UnionType):
        return hint, False
    types = [kind for kind in get_args(hint) if kind is not NoneType]
    return (types[0] if len(types) == 1 else Any), NoneType in get_args(hint)


def _converted(value: Any, expected: Any, may_be_none: bool) -> Any:
    if may_be_none and (value is None or (not isinstance(value, str) and value in ([], {}))):
        return None
    if _fields(expected) and isinstance(value, Mapping):
        return expected(**{**value, **bind(expected, value)})
    if expected is int and isinstance(value, str):
        return int(value)
    return value


def _fields(kind: Any) -> set[str]:
    """Return the names of a dataclass's fields; none of any other type."""
    return {field.name for field in fields(kind)} if is_dataclass(kind) else set()
