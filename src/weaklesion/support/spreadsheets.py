"""Texts that a spreadsheet would compute instead of showing them, such as `=1+1`.

Tables that nothing reads back show such a text with an apostrophe in front (`plain_rows`). Tables
that are joined by their texts refuse it (`formula_problem`), so that an id is one thing everywhere.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

BEGINNINGS = ("=", "+", "-", "@", "\t", "\r")  # of cells that a spreadsheet computes


def is_computed(text: str) -> bool:
    """Return whether a spreadsheet computes a text; it shows negative numbers as they are.

    >>> [is_computed(text) for text in ("=1+1", "-a", "@x", "-7", "-0.5", "ISIC_1", "a=1")]
    [True, True, True, False, False, False, False]
    """
    return text.startswith(BEGINNINGS) and not re.fullmatch(r"-[0-9]+([.][0-9]+)?", text)


def formula_problem(texts: Mapping[str, str]) -> str | None:
    """Return what is wrong with texts that go into a table, in words; None if nothing is.

    Args:
        texts: the texts, by the names of their columns.

    >>> formula_problem({"id": "a", "group": "=1+1"})
    "the group '=1+1' is one that spreadsheets compute: begin it with a letter or digit"
    """
    for column, text in texts.items():
        if is_computed(text):
            return (
                f"the {column} {text!r} is one that spreadsheets compute: begin it with a letter"
                " or digit"
            )
    return None


def plain_rows(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows of a table, with an apostrophe before each text that a spreadsheet computes.

    >>> plain_rows([{"id": "=1+1", "line": 2}, {"id": "-7", "line": 3}])
    [{'id': "'=1+1", 'line': 2}, {'id': '-7', 'line': 3}]
    """
    return [
        {
            name: f"'{cell}" if isinstance(cell, str) and is_computed(cell) else cell
            for name, cell in row.items()
        }
        for row in rows
    ]
