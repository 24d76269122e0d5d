"""Why a job runs again, in words: the settings that changed instead of all of its settings.

Snakemake prints the whole value of each changed param, before and now, and a job's settings are
one param with dozens of entries. One param per setting would be short too, but all finished results
would be made again once, because their recorded params would differ, and Snakemake compares values
of params without their names. So the params stay, and only the text is made here.
"""

import ast
import sys
from collections.abc import Iterable
from typing import Any

LONGEST = 60  # characters of one value
MOST = 6  # changes that are named


def say_what_changed() -> None:
    """Let Snakemake name the changed settings where it gives the reason of a job.

    The package does not import Snakemake, which has loaded its own module when it reads the
    Snakefile. Its own text stays in versions that keep params in another way.
    """
    change = getattr(sys.modules.get("snakemake.persistence"), "ParamsChange", None)
    if change is not None:
        change.__str__ = lambda self: described(self.only_old, self.only_new)


def described(before: Iterable[str], now: Iterable[str]) -> str:
    """Return what differs between the params that only the old or only the new job has.

    Args:
        before: `repr` of each param that the job has no longer.
        now: `repr` of each param that it did not have.

    >>> described(["{'epochs': 50, 'seed': 1}"], ["{'epochs': 60, 'seed': 1}"])
    'epochs: 50 -> 60'
    """
    old, new = ([_value(text) for text in sorted(texts)] for texts in (before, now))
    changes = []
    for value in list(old):
        match = _closest(value, new)
        if match is not None:
            old.remove(value)
            new.remove(match)
            changes += _changes("", value, match) or ["the same settings in another order"]
    if len(old) == len(new) == 1:
        changes.append(f"{_short(old[0])} -> {_short(new[0])}")
    else:
        changes += [f"no longer {_short(value)}" for value in old]
        changes += [f"now {_short(value)}" for value in new]
    more = len(changes) - MOST
    return "; ".join([*changes[:MOST], *([f"and {more} more"] if more > 0 else [])])


def _value(text: str) -> Any:
    """Return the value of a `repr`, or the text itself if it is not a literal."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _closest(value: Any, others: list[Any]) -> Any:
    """Return the mapping or list that a mapping or list became; None without one."""
    if isinstance(value, dict):
        shared = [
            (len(value.keys() & other.keys()), -place)
            for place, other in enumerate(others)
            if isinstance(other, dict)
        ]
        most, place = max(shared, default=(0, 0))
        return others[-place] if most else None
    if isinstance(value, list | tuple):
        return next((other for other in others if type(other) is type(value)), None)
    return None


def _changes(name: str, before: Any, now: Any) -> list[str]:
    """Return how a value, or each entry of nested values, changed, with its name."""
    if isinstance(before, dict) and isinstance(now, dict):
        keys = [key for key in {**before, **now} if before.get(key) != now.get(key)]
        return [
            change
            for key in keys
            for change in _changes(
                f"{name}.{key}" if name else str(key),
                before.get(key, "nothing"),
                now.get(key, "nothing"),
            )
        ]
    lists = isinstance(before, list | tuple) and isinstance(now, list | tuple)
    if lists and len(before) + len(now) > MOST:
        old, new = ({repr(entry) for entry in entries} for entries in (before, now))
        differs = f"{len(new - old)} new entries, {len(old - new)} no longer there"
        return [f"{name or 'a list'}: {differs if old != new else 'another order'}"]
    return [f"{name or 'a list'}: {_short(before)} -> {_short(now)}"]


def _short(value: Any) -> str:
    """Return a value as text of limited length."""
    text = str(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."
