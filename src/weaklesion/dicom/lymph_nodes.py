"""Whether a group of a structured report or an annotation of AIM is about a lymph node."""

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from weaklesion.dicom.found import FoundMark
from weaklesion.dicom.headers import code_of

SITES = {("SRT", "G-C0E3"), ("SCT", "363698007")}
FINDINGS = {("DCM", "121071")}
OTHER_NODES = {("SRT", "M-0BB00")}  # beside DICOM's list of lymph nodes, CID 7600
LYMPH_NODE = re.compile(r"(?<!non[ -])lymph[ -]?nod(e|al)|lymphadenopath")
NODE = re.compile(r"(?<![a-z])nod(es?|al)(?![a-z])|lymph[ -]?nod(e|al)|lymphadenopath")
NO_LYMPH_NODE = "not treated as a lymph node, although its group, annotation or row names a node"


def is_lymph_node(item: Any) -> bool:
    """Return whether an item is a finding or its site, and says that it is a lymph node."""
    if code_of(item)[:2] not in SITES | FINDINGS:
        return False
    return is_code_of_lymph_node(*code_of(item, "ConceptCodeSequence"))


@cache
def is_code_of_lymph_node(scheme: str, value: str, meaning: str) -> bool:
    """Return whether a code is one of a lymph node, by CID 7600 or by its meaning (casefolded).

    SRT codes equal the SCT codes of CID 7600.
    """
    scheme = "SRT" if scheme in ("SNM3", "99SDM") else scheme  # other names of it
    listed = codes.CID7600.concepts.values()
    return (
        bool(LYMPH_NODE.search(meaning))
        or (scheme, value) in OTHER_NODES
        or any(Code(value, scheme, "") == each for each in listed)
    )


def texts_of(items: Sequence[Any]) -> list[str]:
    """Return the texts and the meanings of the codes of a report's items, casefolded."""
    return [
        code_of(item, "ConceptCodeSequence")[2] or str(item.get("TextValue") or "").casefold()
        for item in items
    ]


def with_note_of_nodes(marks: Sequence[FoundMark], texts: Sequence[str]) -> list[FoundMark]:
    """Return marks, with a note if a text names a node and the mark is not taken as one."""
    if not any(NODE.search(text) for text in texts):
        return list(marks)
    return [
        mark if mark.node else replace(mark, notes=(*mark.notes, NO_LYMPH_NODE)) for mark in marks
    ]
