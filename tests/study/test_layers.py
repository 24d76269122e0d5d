"""The folders of the package: who may import whom."""

import ast
import re
import subprocess
import sys
from collections import defaultdict

import pytest
from conftest import ROOT

from weaklesion.study.code_tracking import PACKAGE, UNTRACKED, module_files

# From the bottom up; a folder imports from those below it only. `library` is the top level with
# `metrics` and `networks`: arrays in, arrays out.
LAYERS = (
    "support",
    "library",
    "study",
    "marks",
    "dicom",
    "data",
    "supervision",
    "training",
    "prediction",
    "nnunet",
    "selection",
    "scoring",
    "report",
    "exporting",
    "volumes",
    "segment",
    "cli",
)
IN_LIBRARY = {"metrics", "networks"}
# Modules of the top level with a layer of their own: the error that every module raises, and the
# faces that users call. The package itself imports the public names for type checkers only.
# `data.raw_files` runs downloads for the workflow.
FACES = {"errors": "support", "manifest": "cli"} | dict.fromkeys(
    ("__init__", "download", "data.raw_files"), "segment"
)
# What a rule's script imports besides the code that its results depend on; `study.data_facts` only
# words what `run.json` says of the data.
OUTSIDE_RESULTS = {"download", "data.raw_files", "study.data_facts"}


def layer_of(module):
    first = module.split(".")[0]
    if module in FACES:
        return FACES[module]
    return first if (PACKAGE / first).is_dir() and first not in IN_LIBRARY else "library"


def imported_by(path):
    """Modules of the package that a file imports, by name inside the package."""
    modules = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("weaklesion"):
            inside = node.module.removeprefix("weaklesion").removeprefix(".")
            modules |= {inside} if inside else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            names = (alias.name for alias in node.names)
            modules |= {name[11:] for name in names if name.startswith("weaklesion.")}
    return modules


def test_every_folder_is_a_layer():
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert folders - IN_LIBRARY == set(LAYERS) - {"library"}


def test_a_folder_imports_from_those_below_it():
    upward = defaultdict(set)
    for path in PACKAGE.rglob("*.py"):
        module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        for other in imported_by(path):
            if LAYERS.index(layer_of(other)) > LAYERS.index(layer_of(module)):
                upward[module].add(other)
    assert not upward


@pytest.mark.parametrize("module", ["study.items", "study.checks", "data.manifest", "marks.files"])
def test_what_snakemake_itself_reads_takes_neither_numpy_nor_torch(module):
    """Where Snakemake runs, with conda, only its own packages need to be."""
    code = f"import sys, weaklesion.{module}; print(*sys.modules)"
    command = [sys.executable, "-c", code]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy", "pandas", "torch", "cv2"} & set(loaded)


def closure(modules):
    return set(module_files(*modules)) if modules else set()


def test_a_script_imports_what_its_rule_tracks_or_what_is_named_untracked():
    outside = closure(OUTSIDE_RESULTS)
    checked = 0
    for path in sorted((ROOT / "workflow/rules").glob("*.smk")):
        for block in re.split(r"\n(?=(?:use )?rule )", path.read_text()):
            script = re.search(r"scripts/(\w+)\.py", block)
            code = re.search(r"code=code_of\w*\(([^)]*)\)", block)
            if not script or not code:  # of `make_patches` and `make_phantom`, by a lambda
                continue
            imports = imported_by(ROOT / f"workflow/scripts/{script[1]}.py") - UNTRACKED
            named, *modules = re.findall(r'"([a-z0-9_.]+)"', code[1])
            assert named == script[1]
            tracked = closure(modules)
            assert closure(imports) - outside <= tracked, script[1]
            checked += 1
    assert checked > 40


def test_no_rule_and_no_other_stage_needs_the_extra_for_dicom():
    for path in PACKAGE.rglob("*.py"):
        module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        by_name = ("segment.of_export", "__init__")  # the second imports at the first use of a name
        if layer_of(module) not in ("dicom", "cli") and module not in by_name:
            assert not [other for other in imported_by(path) if other.startswith("dicom")], module
    for path in (ROOT / "workflow").rglob("*.py"):
        assert not {layer_of(other) for other in imported_by(path)} & {"dicom"}, path


def test_the_package_imports_nothing_for_dicom_before_a_name_is_used():
    code = "import sys, weaklesion; weaklesion.parse_recist; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert not {"pydicom", "highdicom", "weaklesion.dicom"} & set(loaded.stdout.split())


@pytest.mark.workflow
def test_segment_is_imported_without_the_extra_for_dicom():
    absent = "sys.modules['pydicom'] = sys.modules['highdicom'] = None"
    code = f"import sys; {absent}; import weaklesion.cli, weaklesion.segment.run"
    subprocess.run([sys.executable, "-c", code], check=True)
