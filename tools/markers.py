"""Parts of a page that a script writes: between `<!-- begin NAME -->` and `<!-- end NAME -->`."""

import re


def _pattern(name: str) -> re.Pattern[str]:
    begin, end = f"<!-- begin {name} -->\n", f"<!-- end {name} -->"
    return re.compile(f"({re.escape(begin)}).*?({re.escape(end)})", re.DOTALL)


def has_markers(page: str, name: str) -> bool:
    """Return whether a page has a part of this name."""
    return _pattern(name).search(page) is not None


def replace_between(page: str, name: str, text: str) -> str:
    """Return a page with the part of this name replaced."""
    return _pattern(name).sub(lambda found: found[1] + text + found[2], page)
