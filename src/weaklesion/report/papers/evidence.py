"""What shows an item of a checklist: rules that look at a study's files.

A rule is a mapping whose first key is its kind, such as `{table: main, columns: [ci_low]}` or
`{run: versions.torch}`; `RULES` has all kinds. Nothing is taken on trust: a rule holds if a file
exists, or a field, a column or a section of a page is filled.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from weaklesion.report.papers.study_files import StudyFiles

REPOSITORY = "repository/"  # before paths of files that are the repository's, not the study's


@dataclass(frozen=True)
class Finding:
    """What a rule found.

    Attributes:
        evidence: paths of the files that show it, relative to the study's folder, or after
            `REPOSITORY` to the repository's; with the anchor of a section where there is one.
        lacking: what is missing, or "" if the rule holds.
    """

    evidence: list[str] = field(default_factory=list)
    lacking: str = ""


def check_item(rules: Sequence[Mapping[str, Any]], files: StudyFiles) -> Finding:
    """Check all rules of one item; an item without rules is one that no file can show.

    Raises:
        ValueError: if a kind of rule is unknown.
    """
    if not rules:
        return Finding(lacking="nothing in a study shows it")
    findings = []
    for rule in rules:
        kind, value = next(iter(rule.items()))
        if kind not in RULES:
            raise ValueError(f"checklist: there is no rule of kind {kind}, only {', '.join(RULES)}")
        findings.append(RULES[kind](files, value, rule))
    evidence = dict.fromkeys(path for finding in findings for path in finding.evidence)
    lacking = dict.fromkeys(finding.lacking for finding in findings if finding.lacking)
    return Finding(list(evidence), "; ".join(lacking))


def _file(files: StudyFiles, path: str, _: Mapping[str, Any]) -> Finding:
    """A file of the study exists."""
    if (files.results / path).is_file():
        return Finding([path])
    return Finding(lacking=f"the study has no {path}")


def _code(files: StudyFiles, path: str, _: Mapping[str, Any]) -> Finding:
    """A file of the repository exists."""
    if (files.clone / path).is_file():
        return Finding([REPOSITORY + path])
    return Finding(lacking=f"the repository has no {path}")


def _doc(files: StudyFiles, place: str, __: Mapping[str, Any]) -> Finding:
    """A page of the documentation has a heading."""
    path, _, anchor = place.partition("#")
    page = files.clone / path
    text = page.read_text(encoding="utf-8") if page.is_file() else ""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    if anchor in [anchor_of(heading) for heading in headings]:
        return Finding([REPOSITORY + place])
    return Finding(lacking=f"{path} has no section {anchor}")


def anchor_of(heading: str) -> str:
    """Return the anchor that GitHub gives a heading.

    >>> anchor_of("The paper's `run.json`, in full")
    'the-papers-runjson-in-full'
    """
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def _table(files: StudyFiles, name: str, rule: Mapping[str, Any]) -> Finding:
    """A table has columns with at least one value."""
    name = files.main_table if name == "main" else name
    path = f"tables/{name}.csv"
    if not name or not (files.results / path).is_file():
        return Finding(lacking="the study has no main table" if not name else f"no {path}")
    table = pd.read_csv(files.results / path)
    empty = [
        column
        for column in rule["columns"]
        if column not in table or not table[column].notna().any()
    ]
    if empty:
        return Finding(lacking=f"{path} has no value of {', '.join(empty)}")
    return Finding([path])


def _run(files: StudyFiles, key: str, _: Mapping[str, Any]) -> Finding:
    """A field of every `run.json` is filled."""
    return _json_field(files, key, "run", files.runs, files.run_infos)


def _patches(files: StudyFiles, key: str, _: Mapping[str, Any]) -> Finding:
    """A field of every `patches.json` is there; an empty list says that there was none."""
    return _json_field(files, key, "patches", files.blocks, files.accounts)


def _json_field(
    files: StudyFiles,
    key: str,
    column: str,
    rows: Sequence[Mapping[str, Any]],
    contents: Sequence[Mapping[str, Any]],
) -> Finding:
    if not rows:
        return Finding(lacking="the study trains no network")
    paths = [files.inside(row[column]) for row in rows]
    values = [value_at(content, key) for content in contents]
    without = [path for path, value in zip(paths, values, strict=True) if value is None]
    if without:
        return Finding(lacking=f"{_and_more(without)} without {key}")
    return Finding(paths[:1])


def value_at(content: Mapping[str, Any], key: str) -> Any:
    """Return a value of nested mappings by its dotted key; None where there is none.

    >>> value_at({"a": {"b": 0}}, "a.b"), value_at({"a": {"b": 0}}, "a.c.d")
    (0, None)
    """
    value: Any = content
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _samples(files: StudyFiles, column: str, _: Mapping[str, Any]) -> Finding:
    """A column of every block's samples has values."""
    paths = [files.inside(row["samples"]) for row in files.blocks]
    without = [
        path
        for path, table in zip(paths, files.samples, strict=True)
        if column not in table or not table[column].notna().any()
    ]
    if without:
        return Finding(lacking=f"{_and_more(without)} without {column}")
    return Finding(paths[:1])


def _apart(files: StudyFiles, _: str, __: Mapping[str, Any]) -> Finding:
    """No group (lesion, volume or patient) is in two splits."""
    paths = [files.inside(row["samples"]) for row in files.blocks]
    mixed = [
        path
        for path, table in zip(paths, files.samples, strict=True)
        if table[["group", "split"]].drop_duplicates()["group"].duplicated().any()
    ]
    if mixed:
        return Finding(lacking=f"{_and_more(mixed)}: a group is in several splits")
    return Finding(paths[:1])


def _dataset(files: StudyFiles, fact: str, _: Mapping[str, Any]) -> Finding:
    """A fact is known of every dataset."""
    without = [name for name, facts in files.facts.items() if not facts.get(fact)]
    if without:
        return Finding(lacking=f"{fact} unknown of {', '.join(without)}")
    return Finding(["papers/data_sheet.html#origin"])


def _statement(files: StudyFiles, topic: str, _: Mapping[str, Any]) -> Finding:
    """The authors say something in the configuration."""
    if files.statements.get(topic, "").strip():
        return Finding([f"papers/model_card.html#statement-{topic}"])
    return Finding(lacking=f"no statements.{topic} in the configuration")


def _card(files: StudyFiles, section: str, _: Mapping[str, Any]) -> Finding:
    """The model card has a section."""
    return _section(files, "papers/model_card.html", section)


def _data_sheet(files: StudyFiles, section: str, _: Mapping[str, Any]) -> Finding:
    """The data sheet has a section."""
    return _section(files, "papers/data_sheet.html", section)


def _section(files: StudyFiles, path: str, section: str) -> Finding:
    page = files.results / path
    if page.is_file() and f'id="{section}"' in page.read_text(encoding="utf-8"):
        return Finding([f"{path}#{section}"])
    return Finding(lacking=f"{path} has no section {section.replace('_', ' ')}")


def _models(files: StudyFiles, _: str, __: Mapping[str, Any]) -> Finding:
    """The weights of every training are there."""
    weights = [Path(path) for run in files.runs for path in run["weights"]]
    without = [files.inside(path) for path in weights if not path.is_file()]
    if without or not weights:
        return Finding(lacking=f"no {_and_more(without)}" if without else "no network is trained")
    return Finding([files.inside(weights[0])])


def _seeds(files: StudyFiles, number: int, _: Mapping[str, Any]) -> Finding:
    """Every arm was trained with several seeds."""
    seeds: dict[tuple[str, ...], int] = {}
    for run in files.runs:
        key = run["dataset"], run["protocol"], run["arm"]
        seeds[key] = seeds.get(key, 0) + 1
    few = [" ".join(key) for key, count in seeds.items() if count < number]
    if few or not seeds:
        return Finding(lacking=f"fewer than {number} seeds: {_and_more(few) or 'no training'}")
    return Finding(["papers/model_card.html#models"])


def _kind(files: StudyFiles, kinds: Sequence[str], _: Mapping[str, Any]) -> Finding:
    """The study has an item of one of these kinds."""
    found = [item for kind in kinds for item in files.items.get(kind, ())]
    if found:
        return Finding([f"tables/{item}.csv" for item in found])
    return Finding(lacking=f"the study has no item of kind {', '.join(kinds)}")


def _failures(files: StudyFiles, _: str, __: Mapping[str, Any]) -> Finding:
    """The worst test images are listed."""
    path = "papers/failures.csv"
    if (files.results / path).is_file() and len(pd.read_csv(files.results / path)):
        return Finding([path, "papers/model_card.html#failures"])
    return Finding(lacking=f"{path} lists none")


def _subgroups(files: StudyFiles, attributes: Sequence[str], _: Mapping[str, Any]) -> Finding:
    """Scores by subgroup have intervals for at least one of these attributes of each dataset."""
    path = "papers/subgroups.csv"
    table = pd.read_csv(files.results / path) if (files.results / path).is_file() else None
    if table is None or not len(table):
        return Finding(lacking=f"{path} has no subgroup")
    known = table[table["attribute"].isin(attributes) & table["ci_low"].notna()]
    without = sorted(set(table["dataset"]) - set(known["dataset"]))
    if without:
        words = ", ".join(attributes)
        return Finding(lacking=f"no interval by {words} for {', '.join(without)}")
    return Finding([path, "papers/model_card.html#subgroups"])


def _and_more(names: Iterable[str]) -> str:
    first, *others = [*names, ""]
    count = len([name for name in others if name])
    return f"{first} and {count} more" if count else first


RULES: dict[str, Callable[[StudyFiles, Any, Mapping[str, Any]], Finding]] = {
    "file": _file,
    "code": _code,
    "doc": _doc,
    "table": _table,
    "run": _run,
    "patches": _patches,
    "samples": _samples,
    "apart": _apart,
    "dataset": _dataset,
    "statement": _statement,
    "card": _card,
    "data_sheet": _data_sheet,
    "models": _models,
    "seeds": _seeds,
    "kind": _kind,
    "failures": _failures,
    "subgroups": _subgroups,
}
