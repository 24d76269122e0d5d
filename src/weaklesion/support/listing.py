"""Names in a message, of which a message shows only some."""

from collections.abc import Sequence


def listed(
    names: Sequence[str], most: int = 5, *, separator: str = ", ", count: int | None = None
) -> str:
    """Return the first names, and how many more there are.

    Args:
        names: all names, or only the first.
        most: the largest number of names that are shown.
        separator: what stands between two.
        count: how many names there are, if `names` has only the first.

    >>> listed(["a", "b"]), listed(["a", "b", "c", "d"], 2)
    ('a, b', 'a, b and 2 more')
    >>> listed(["line 2: a", "line 5: b"], 1, separator="; ")
    'line 2: a; and 1 more'
    """
    shown = separator.join(names[:most])
    more = (len(names) if count is None else count) - len(names[:most])
    return f"{shown}{separator.strip(', ')} and {more} more" if more else shown
