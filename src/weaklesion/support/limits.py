"""Settings that state their own type, limits and meaning.

A settings class is a frozen dataclass. Each field states everything once:

    epochs: Annotated[int, at_least(1), "Number of epochs at most."]

`CheckedSettings`, its base, checks the values when an object is made. `tools/update_reference.py`
makes the configuration's schema and `docs/reference/config.md` from the same annotations.

Uses only the standard library, because Snakemake's own interpreter reads it.
"""

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cache
from numbers import Integral, Real
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

# A limit's keyword in JSON Schema, how it reads, and when a value keeps it.
RULES: dict[str, tuple[str, Callable[[Any, float], bool]]] = {
    "minimum": ("of at least", operator.ge),
    "exclusiveMinimum": ("above", operator.gt),
    "maximum": ("of at most", operator.le),
    "exclusiveMaximum": ("below", operator.lt),
    "multipleOf": ("divisible by", lambda value, bound: value % bound == 0),
}
KINDS: dict[Any, tuple[str, Any]] = {
    bool: ("true or false", bool),
    int: ("a whole number", Integral),
    float: ("a number", Real),
    str: ("a text", str),
    dict: ("a mapping", Mapping),
}
SEQUENCES = (list, tuple)


def is_finite(value: Any, kinds: tuple[type, ...] = (int, float)) -> bool:
    """Return whether a value is a finite number of one of some types; True and False are none.

    >>> is_finite(2), is_finite(math.inf), is_finite(True), is_finite(2.0, (int,))
    (True, False, False, False)
    """
    is_number = isinstance(value, kinds) and not isinstance(value, bool)
    return is_number and math.isfinite(value)


@dataclass(frozen=True)
class Limit:
    """A bound of a number, or of each number of a list."""

    keyword: str
    bound: float

    def __str__(self) -> str:
        return f"{RULES[self.keyword][0]} {self.bound:g}"


@dataclass(frozen=True)
class MinItems:
    """The smallest number of items of a list."""

    count: int


@dataclass(frozen=True)
class Rising:
    """The first of two numbers is below the second."""


def at_least(bound: float) -> Limit:
    """Return the limit `value >= bound`."""
    return Limit("minimum", bound)


def above(bound: float) -> Limit:
    """Return the limit `value > bound`."""
    return Limit("exclusiveMinimum", bound)


def at_most(bound: float) -> Limit:
    """Return the limit `value <= bound`."""
    return Limit("maximum", bound)


def below(bound: float) -> Limit:
    """Return the limit `value < bound`."""
    return Limit("exclusiveMaximum", bound)


def multiple_of(bound: int) -> Limit:
    """Return the limit `value % bound == 0`."""
    return Limit("multipleOf", bound)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """The annotation of one field.

    Attributes:
        name: name of the field.
        kind: `bool`, `int`, `float`, `str` or `dict`; the kind of each item of a list.
        choices: the only texts that are allowed; empty where any value of the kind is.
        is_list: whether the value is a list.
        length: number of items of a list; None for any.
        min_items: smallest number of items of a list.
        rising: whether the first of two numbers must be below the second.
        nullable: whether None is allowed.
        limits: bounds of the number, or of each item.
        sentence: the meaning; empty where the field states none.
        required: whether the class has no default for it.
    """

    name: str
    kind: type
    choices: tuple[str, ...]
    is_list: bool
    length: int | None
    min_items: int
    rising: bool
    nullable: bool
    limits: tuple[Limit, ...]
    sentence: str
    required: bool

    def needed(self) -> str:
        """Return the allowed values in words."""
        one = f"one of {', '.join(self.choices)}" if self.choices else KINDS[self.kind][0]
        one = " ".join([one, " and ".join(map(str, self.limits))]).strip()
        null = ", or null," if self.nullable else ""
        if not self.is_list:
            return f"{one}{null} is needed"
        count = f"{self.min_items} or more" if self.length is None else str(self.length)
        order = "; the first below the second" if self.rising else ""
        return f"a list of {count}{null} is needed (each {one}{order})"

    def allows(self, value: Any) -> bool:
        """Return whether a value is allowed."""
        if value is None:
            return self.nullable
        if not self.is_list:
            return self._allows_one(value)
        if not isinstance(value, SEQUENCES) or len(value) < self.min_items:
            return False
        if self.length is not None and len(value) != self.length:
            return False
        rises = not self.rising or value[0] < value[1]
        return rises and all(map(self._allows_one, value))

    def _allows_one(self, value: Any) -> bool:
        if self.choices:
            return value in self.choices
        if not isinstance(value, KINDS[self.kind][1]):
            return False
        if self.kind in (int, float) and isinstance(value, bool):
            return False
        return all(RULES[limit.keyword][1](value, limit.bound) for limit in self.limits)


@cache
def settings_of(settings_class: type) -> tuple[Setting, ...]:
    """Return the settings of a settings class, in the order of its fields.

    Raises:
        TypeError: if a field has a type that settings do not have.
    """
    hints = get_type_hints(settings_class, include_extras=True)
    return tuple(
        _setting(field.name, hints[field.name], field.default is MISSING)
        for field in fields(settings_class)
    )


class CheckedSettings:
    """The base of settings classes: every field is checked, and its lists become tuples.

    Raises:
        ValueError: naming the field, the allowed values and its value.
    """

    def __post_init__(self) -> None:
        settings_class: type = type(self)
        for setting in settings_of(settings_class):
            value = getattr(self, setting.name)
            if not setting.allows(value):
                raise ValueError(f"{setting.name}: {setting.needed()}, not {value!r}")
            if isinstance(value, list):
                object.__setattr__(self, setting.name, tuple(value))


def _setting(name: str, hint: Any, required: bool) -> Setting:
    kind, extras = hint, []
    if get_origin(hint) is Annotated:
        kind, *extras = get_args(hint)
    options = [one for one in get_args(kind) if one is not NoneType]
    nullable = NoneType in get_args(kind)
    if nullable and len(options) == 1:
        kind = options[0]
    origin, inner = get_origin(kind) or kind, get_args(kind)
    is_list, length = origin is tuple, None
    if is_list:
        length = None if Ellipsis in inner else len(inner)
        kind = inner[0]
        origin, inner = get_origin(kind) or kind, get_args(kind)
    choices = inner if origin is Literal else ()
    single = str if choices else dict if origin in (dict, Mapping) else origin
    if single not in KINDS:
        raise TypeError(f"{name}: settings are {', '.join(map(str, KINDS))}, not {hint}")
    counts = [extra.count for extra in extras if isinstance(extra, MinItems)]
    return Setting(
        name=name,
        kind=single,
        choices=choices,
        is_list=is_list,
        length=length,
        min_items=max(counts, default=0),
        rising=any(isinstance(extra, Rising) for extra in extras),
        nullable=nullable,
        limits=tuple(extra for extra in extras if isinstance(extra, Limit)),
        sentence=([""] + [extra for extra in extras if isinstance(extra, str)])[-1],
        required=required,
    )
