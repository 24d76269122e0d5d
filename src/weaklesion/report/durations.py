"""Times in the unit that they are read in."""

import math

DASH = "\N{EN DASH}"


def duration(hours: float | None) -> str:
    """Return a time as text, two digits or more, in the unit that it is read in.

    >>> duration(3.5 / 3600), duration(0.2), duration(26.5), duration(float("nan")) == DASH
    ('3.5 s', '12 min', '26 h', True)
    """
    if hours is None or not math.isfinite(hours):
        return DASH
    name, factor = time_unit(hours)
    value = hours * factor
    return f"{value:.2g} {name}" if abs(value) < 10 else f"{value:.0f} {name}"


def time_unit(hours: float) -> tuple[str, float]:
    """Return the unit in which a time is read, and how many of it an hour has.

    >>> time_unit(0.001), time_unit(0.5), time_unit(2)
    (('s', 3600.0), ('min', 60.0), ('h', 1.0))
    """
    if not abs(hours) * 60 >= 2:
        return "s", 3600.0
    return ("min", 60.0) if abs(hours) < 2 else ("h", 1.0)
