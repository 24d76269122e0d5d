"""Relative links of the README, the changelog and docs/ lead to pages and headings that exist."""

import re
from functools import cache
from pathlib import Path

import pytest
from conftest import ROOT

PAGES = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")]
PAGES += [ROOT / "results/README.md", ROOT / "config/README.md"]
PAGES += sorted((ROOT / "docs").rglob("*.md"))
# Paths of documents as the code, comments and messages name them.
NAMED = re.compile(r"\bdocs/[\w./-]+\.(?:md|png|csv)\b")
SOURCES = ("src", "workflow", "tests", "tools", "benchmarks")
FILES = ("Makefile", "config.yaml", "Snakefile")
TEXTS = (".py", ".smk", ".yaml", ".md", ".html", ".rst", "")


def prose(page: Path) -> str:
    """The page without its code, in which brackets are no links."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)
    text = re.sub(r"^ {4,}.*$", "", text, flags=re.M)
    return re.sub(r"`[^`\n]*`", lambda code: "x" * len(code[0]), text)


@cache
def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    found: set[str] = set()
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)
    for heading in re.findall(r"^#+ +(.+?) *$", text, re.M):
        words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
        anchor = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        number = 0
        while (name := anchor if not number else f"{anchor}-{number}") in found:
            number += 1
        found.add(name)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    broken = []
    for target in re.findall(r"\]\(\s*([^)\s]+)\s*\)", prose(page)):
        if re.match(r"https?:|mailto:", target):
            continue
        path, _, anchor = target.partition("#")
        aim = (page.parent / path).resolve() if path else page
        if not aim.exists() or (anchor and anchor not in anchors(aim)):
            broken.append(target)
    assert broken == []


def test_documents_that_are_named_in_text_exist():
    files = [file for name in SOURCES for file in sorted((ROOT / name).rglob("*"))]
    files += [ROOT / name for name in FILES]
    files += [page for page in PAGES if page.name != "CHANGELOG.md" and page.parent != ROOT]
    missing = []
    for file in files:
        if file.name != "PKG-INFO" and file.suffix in TEXTS and file.is_file():
            text = file.read_text(errors="ignore")
            named = [name for name in NAMED.findall(text) if "/STUDY/" not in name]
            missing += [f"{file.name}: {name}" for name in named if not (ROOT / name).is_file()]
    assert missing == []


def test_messages_in_the_table_of_failures_are_those_of_the_code():
    of_others = {"FileNotFoundError", "cannot be locked", "No space left on device"}
    folders = ROOT / "src", ROOT / "workflow/scripts"
    texts = (file.read_text() for folder in folders for file in folder.rglob("*.py"))
    code = "\n".join(re.sub(r'"\s*\n\s*f?"', "", text) for text in texts)  # joined literals
    table = (ROOT / "docs/how-to/run.md").read_text().split("| Message | Cause | Remedy |")[1]
    quoted = re.findall(r"^\| `([^`]+)`", table.split("\n\n")[0], re.M)
    assert len(quoted) > 8
    for message in set(quoted) - of_others:
        # N and the value after "is" are computed
        pattern = re.escape(message).replace(r"\ N\ ", r"\ \{[^}]+\}\ ")
        assert re.search(pattern.replace(r"\ nan", r"\ "), code), message
