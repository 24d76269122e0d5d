"""Names in a message, of which a message shows only some."""

from collections.abc import Sequence


def listed(names: Sequence[str], most: int = 5, *, separator: str = ", ") -> str:
    """Return the first names, and how many more there are.

    >>> listed(["a", "b"]), listed(["a", "b", "c", "d"], 2)
    ('a, b', 'a, b and 2 more')
    >>> listed(["line 2: a", "line 5: b"], 1, separator="; ")
    'line 2: a; and 1 more'
    """
    shown = separator.join(names[:most])
    if len(names) <= most:
        return shown
    return f"{shown}{separator.strip(', ')} and {len(names) - most} more"
