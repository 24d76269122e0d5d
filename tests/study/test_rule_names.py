"""Every name that the rules use is defined, also in functions that only a report calls."""

import re
import subprocess
import sys
from types import SimpleNamespace

from conftest import ROOT
from snakemake.parser import parse

SNAKEMAKES = {"Path", "config", "directory", "re", "report", "rules", "script", "temp", "workflow"}
BEFORE_THE_RULES = {"IS_MODULE"}  # what the Snakefile defines before it includes them


def as_python(paths):
    """What Snakemake makes of its files, one after the other."""
    opened = SimpleNamespace(sourcecache=SimpleNamespace(open=lambda source: source.path.open()))
    text, count = "", 0
    for path in paths:
        source = SimpleNamespace(path=path, get_path_or_uri=lambda secret_free: "")
        compiled, count = parse(source, opened, {}, rulecount=count)
        text += compiled + "\n"
    return text


def undefined_names(text):
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F821", "-"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    return set(re.findall(r"Undefined name `(\w+)`", done.stdout))


def test_every_name_of_the_rules_is_defined():
    others = sorted((ROOT / "workflow/rules").glob("*.smk"))
    first = [path for path in others if path.stem in ("common", "shown")]
    text = as_python([*first, *(path for path in others if path not in first), ROOT / "Snakefile"])
    assert undefined_names(text) == SNAKEMAKES | BEFORE_THE_RULES
    assert "of_no_one" in undefined_names(text + "def later():\n    return of_no_one\n")
