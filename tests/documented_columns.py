"""Compare the CSV files of a study with docs/reference/outputs.md, column by column."""

import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from conftest import ROOT

PAGE = ROOT / "docs/reference/outputs.md"
# Which column tells the kinds of `tables/<item>.csv` apart.
KIND_OF_COLUMN = {
    "mark_noise": "mark_agreement",
    "hours": "cost",
    "parameters": "parameters",
    "majority": "accuracy",
    "paper_value": "sweep",
    "switch": "attribution",
    "share_of_gap": "gap",
    "policy": "policies",
    "n_undecided": "volumes",
    "n_no_reference": "sizes",
    "answer": "answers",
    "undefined_policy": "scores",
}


@dataclass(frozen=True)
class Documented:
    """A section of the page: columns that are always there, and those that may be."""

    always: frozenset[str]
    sometimes: frozenset[str]
    in_order: tuple[str, ...]


def documented(page: str) -> dict[str, Documented]:
    """Every section of the page that is about a CSV file, by its heading up to the colon."""
    sections = {}
    for section in re.split(r"^##+ ", page, flags=re.M)[1:]:
        heading, _, body = section.partition("\n")
        if ".csv`" not in heading:
            continue
        rows = re.findall(r"^\| (`[^|]+`) \| (.*) \|$", body, re.M)
        names = [(name, text) for cell, text in rows for name in re.findall(r"`([^`]+)`", cell)]
        sometimes = frozenset(name for name, text in names if text.startswith("Only "))
        in_order = tuple(name for name, _ in names)
        sections[heading.split(": ")[0].split(", and ")[0]] = Documented(
            frozenset(in_order) - sometimes, sometimes, in_order
        )
    return sections


def section_of(path: Path, columns: set[str]) -> str:
    """The heading under which a file of `results/<study>/` is described."""
    place, name = path.parent.parts[-1] if path.parent.parts else "", path.name
    if place == "tables":
        if name in ("definitions.csv", "verdicts.csv", "agreement.csv"):
            return f"`tables/{name}`"
        for ending, kind in (("samples", "gap"), ("masks", "mark_agreement"),
                             ("recovery", "mark_agreement"),
                             ("left_out", "volumes")):  # fmt: skip
            if name.endswith(f".{ending}.csv"):
                return f"`tables/<item>.{ending}.csv`, kind `{kind}`"
        (kind,) = (kind for column, kind in KIND_OF_COLUMN.items() if column in columns)
        return f"`tables/<item>.csv`, kind `{kind}`"
    if place == "papers":
        return f"`papers/{name}`"
    if name == "history.csv" and "val_loss" in columns:
        return "`runs/<arm>/seed-<s>/history.csv` of nnU-Net"
    if place.startswith("seed-"):
        return f"`runs/<arm>/seed-<s>/{name}`"
    if place == "clusters":
        return "`clusters/k<K>.csv`"
    if place == "warps":
        return "`warps/<arm>_recovery.csv`"
    if name == "refined_ends_recovery.csv":
        return "`targets/refined_recovery.csv`"
    if name.startswith("ellipses_"):
        return "`targets/ellipses_<noise>.csv`"
    of_stage = ("traits.csv", "volumes.csv", "volumes_left_out.csv")
    return f"`{name}`" if name in of_stage else f"`{place}/{name}`"


def assert_documented(results: Path) -> set[str]:
    """Check every CSV file of a study; return the headings of those that it has."""
    sections = documented(PAGE.read_text())
    found: dict[str, set[str]] = {}
    for path in sorted(results.rglob("*.csv")):
        columns = set(pd.read_csv(path, nrows=0).columns)
        heading = section_of(path.relative_to(results), columns)
        assert heading in sections, f"{path}: outputs.md has no section {heading}"
        section = sections[heading]
        assert section.always <= columns, (path, section.always - columns)
        assert columns <= section.always | section.sometimes, (path, columns - section.always)
        found.setdefault(heading, set()).update(columns)
    assert found
    return set(found)
