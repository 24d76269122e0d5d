"""Every rule names its files and params as the function that its script runs names them."""

import ast
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import is_dataclass
from importlib import import_module
from typing import get_args, get_type_hints

import pytest

from weaklesion.support.binding import bind, bindable_names

# Inputs that no function takes: what a job waits for, and what its params name.
ONLY_DEPENDENCIES = {"code", "templates", "files", "more_files"}
MODULES = {  # of the functions that a script chooses by a loader's name
    "make_patches": [
        f"weaklesion.data.loaders.{name}"
        for name in ("ham10k", "lits", "lits_liver", "deeplesion", "custom")
    ],
    "make_phantom": [
        f"weaklesion.data.phantoms.{name}" for name in ("ham10k", "lits", "deeplesion")
    ],
}


def sections(block):
    """Section to its keys, of a rule as snakefmt writes it; keys without a name are absent."""
    found = {}
    for match in re.finditer(r"^    (\w+):\n((?:        .*\n|\n(?=        ))*)", block, re.M):
        found[match[1]] = re.findall(r"^        (\w+)=", match[2], re.M)
    return found


def rules_with_scripts(root):
    """Name, sections, wildcards and script of every rule, with what `use rule` inherits."""
    by_name = {}
    for path in sorted((root / "workflow/rules").glob("*.smk")):
        for block in re.split(r"\n(?=(?:use )?rule )", path.read_text()):
            inherits = re.match(r"use rule (\w+) as (\w+) with:", block)
            name = inherits[2] if inherits else (re.match(r"rule (\w+)", block) or [None] * 2)[1]
            if name is None:
                continue
            own = sections(block)
            script = re.search(r"scripts/(\w+)\.py", block)
            wildcards = set(re.findall(r"\{(\w+)\}", block))
            if inherits:
                base = by_name[inherits[1]]
                params = dict.fromkeys([*base[0].get("params", []), *own.get("params", [])])
                by_name[name] = (
                    base[0] | own | {"params": list(params)},
                    base[1] | wildcards,
                    base[2],
                )
            else:
                by_name[name] = own, wildcards, script and script[1]
    return {name: found for name, found in by_name.items() if found[2]}


def call_of(root, script):
    """Functions that a script may run, keywords that it adds, and what it reads itself."""
    tree = ast.parse((root / "workflow/scripts" / f"{script}.py").read_text())
    (call,) = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "run"
    ]
    reads = set(re.findall(r"snakemake\.\w+\.(\w+)", ast.unparse(tree)))
    added = {keyword.arg for keyword in call.keywords} - {None, "copied"}
    if script in MODULES:
        return [getattr(import_module(module), script) for module in MODULES[script]], added, reads
    function = call.args[1].id
    (module,) = [
        node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and function in [alias.name for alias in node.names]
    ]
    return [getattr(import_module(module), function)], added, reads


def problems(root, found):
    keys, wildcards, script = found
    functions, added, reads = call_of(root, script)
    named = [key for part in ("input", "output", "params") for key in keys.get(part, [])]
    wrong = [f"{name} is named twice" for name in {key for key in named if named.count(key) > 1}]
    folder = any(key.endswith("_dir") or key == "folder" for key in added)
    for function in functions:
        taken = bindable_names(function) | reads | ONLY_DEPENDENCIES
        taken |= set(keys.get("output", []) if folder else [])
        wrong += [f"{function.__name__} has no {name}" for name in named if name not in taken]
        wrong += [f"{function.__name__} has no {name}" for name in added - taken]
        if script == "make_phantom":  # its other parameters are the phantom's settings
            continue
        try:
            bind(function, dict.fromkeys([*named, *wildcards, *added], "1"))
        except TypeError as error:
            wrong.append(str(error))
    return wrong


def test_every_rule_names_what_its_function_takes(root):
    found = rules_with_scripts(root)
    assert len(found) == 77
    assert {name: wrong for name, rule in found.items() if (wrong := problems(root, rule))} == {}


@pytest.mark.parametrize(
    ("written", "instead", "problem"),
    [
        ("clusters_csv=CLUSTERS", "cluster_csv=CLUSTERS", "cluster_lesions has no cluster_csv"),
        ("fit_on=", "fitted_on=", "cluster_lesions has no fitted_on"),
        ("seed=", "k=", "cluster_lesions: the rule names no seed"),
        ("fit_on=", "samples_csv=", "samples_csv is named twice"),
    ],
)
def test_a_misspelt_name_is_found(root, tmp_path, written, instead, problem):
    (tmp_path / "workflow/rules").mkdir(parents=True)
    (tmp_path / "workflow/scripts").symlink_to(root / "workflow/scripts")
    text = (root / "workflow/rules/clusters.smk").read_text()
    assert written in text
    changed = tmp_path / "workflow/rules/clusters.smk"
    changed.write_text(text.replace(written, instead, 1))
    found = rules_with_scripts(tmp_path)["cluster_lesions"]
    assert problem in problems(tmp_path, found)


ALIKE = {bool: "bool", int: "int", Sequence[str]: "list of names"}


def alike_params(root, found):
    """Kinds of value that several params of a rule may have, of those with few values."""
    keys, _, script = found
    kinds = Counter()
    for function in call_of(root, script)[0]:
        hints = get_type_hints(function)
        for kind in [kind for kind in hints.values() if is_dataclass(kind)]:
            hints = get_type_hints(kind) | hints
        allowed = [{hints.get(name), *get_args(hints.get(name))} for name in keys.get("params", [])]
        kinds |= Counter(kind for one in allowed for kind in ALIKE if kind in one)
    return {ALIKE[kind]: number for kind, number in kinds.items() if number > 1}


def test_no_rule_has_two_params_whose_values_may_change_places(root):
    """Snakemake compares a job's params as a set of values, without their names."""
    found = rules_with_scripts(root)
    assert {
        name: alike for name, rule in found.items() if (alike := alike_params(root, rule))
    } == {}


def test_two_switches_of_a_rule_are_found(root):
    _, wildcards, script = rules_with_scripts(root)["predict_arm"]
    apart = {"params": ["sized", "gate", "consistent", "compare_ends"]}
    assert alike_params(root, (apart, wildcards, script)) == {"bool": 3}
