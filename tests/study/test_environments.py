"""The conda environments, the lock file and the rules fit together."""

import ast
import re
import sys
import tomllib
from functools import cache
from importlib.metadata import distribution
from pathlib import Path
from typing import get_args

import pytest
from conftest import ROOT
from packaging.specifiers import SpecifierSet

from weaklesion.networks.names import NETWORK_MODULES
from weaklesion.study.code_tracking import module_files
from weaklesion.study.settings import TaskName
from weaklesion.support.extras import EXTRAS
from weaklesion.support.yaml_files import read_yaml

# names under which packages are imported, where they differ from their own
IMPORTED_AS = {
    "cv2": "opencv-python-headless",
    "PIL": "pillow",
    "google": "protobuf",
    "pydensecrf": "pydensecrf2",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
    "segmentation_models_pytorch": "segmentation-models-pytorch",
}
LOADERS = {
    "phantoms": ("ham10k", "lits", "deeplesion"),
    "loaders": ("ham10k", "lits", "lits_liver", "deeplesion", "custom"),
}
STANDARD = {*sys.stdlib_module_names}
COMPILED = "pydensecrf2"  # takes a compiler: in an environment of its own, and in no lock file


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(lines):
    return {canonical(line.split("==")[0]): line for line in lines if "==" in line}


def environment(root, name):
    content = read_yaml(root / "envs" / f"{name}.yaml")
    return pins(content["dependencies"][-1]["pip"])


def rules(root):
    """Rule, environment and script of every rule with a script."""
    for path in sorted((root / "workflow/rules").glob("*.smk")):
        for block in re.split(r"\n(?=rule )", path.read_text()):
            name, script = re.match(r"rule (\w+)", block), re.search(r"scripts/(\w+)\.py", block)
            if name and script:
                yield name[1], re.search(r"envs/(\w+)\.yaml", block), script[1], block


def run_beside(files):
    """What runs when modules are imported, though they read none of it: their packages."""
    source = ROOT / "src/weaklesion"
    packages = {Path(file).resolve().relative_to(source).parent for file in files} - {Path()}
    return {file for package in packages for file in module_files(".".join(package.parts))}


def lock(root, name=""):
    return pins((root / f"requirements{name}.lock").read_text().splitlines())


@cache
def imported_by(path):
    """Names of the modules that a file imports from other packages, at any place."""
    names = set()
    for node in ast.walk(ast.parse(Path(path).read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    # pydensecrf is imported for arms with a CRF only, whose rule has envs/crf.yaml; nnunetv2 by
    # nnU-Net's own process, in envs/nnunet.yaml or .nnunet/
    packages = {name.split(".")[0] for name in names} - STANDARD
    return packages - {"weaklesion", "pydensecrf", "nnunetv2"}


def needs(root, *extras):
    """Names of what pyproject.toml needs, with the extras that extras name."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    found = project["dependencies"] + [
        need for extra in extras for need in project["optional-dependencies"][extra]
    ]
    others = [re.fullmatch(r"weaklesion\[(.+)\]", need) for need in found]
    more = [extra for other in others if other for extra in other[1].split(",")]
    names = {canonical(re.split(r"[^\w.-]", need)[0]) for need in found} - {"weaklesion"}
    return names | (needs(root, *more) if more else set())


def test_users_and_developers_have_lock_files_of_their_own(root):
    users, developers = lock(root), lock(root, "-dev")
    assert not set(users) & set(developers)
    assert needs(root, "workflow") <= set(users)
    assert needs(root, "dev") <= set(users) | set(developers)
    for tool in ("pytest", "mypy", "ruff", "snakefmt", "hypothesis", "playwright"):
        assert tool in developers


def test_the_lock_file_for_cpus_is_the_users_without_cuda(root):
    """PyTorch's build for CPUs is version+cpu on Linux, which no other index has."""
    users, cpu = lock(root), (root / "requirements-cpu.lock").read_text().splitlines()[1:]
    cuda = {name for name in users if name.startswith(("cuda-", "nvidia-", "triton"))}
    assert len(cuda) > 15
    assert set(pins(cpu)) == set(users) - cuda
    for name in ("torch", "torchvision"):
        assert [line for line in cpu if line.startswith(f"{name}==")] == [
            f'{users[name]}+cpu ; sys_platform == "linux"',
            f'{users[name]} ; sys_platform != "linux"',
        ]
    rest = [line for line in cpu if not line.startswith(("torch==", "torchvision=="))]
    assert set(rest) <= set(users.values())


def test_every_pin_runs_on_the_first_python_that_the_readme_allows(root):
    """Debian 12 has Python 3.11.2."""
    assert ">=3.11" in (root / "pyproject.toml").read_text()
    for name in ("", "-dev", "-onnx"):
        for package in lock(root, name):
            needed = distribution(package).metadata.get("Requires-Python")
            assert "3.11.0" in SpecifierSet(needed or ""), (package, needed)


def test_segment_imports_no_package_of_the_workflow(root):
    """So that `pip install '.[torch,onnx]'` suffices for it."""
    files = set(module_files("segment.run", *(f"networks.{n}" for n in NETWORK_MODULES.values())))
    files |= {*(root / "src/weaklesion/cli").glob("*.py"), *run_beside(files)}
    have = needs(root, "torch", "onnx")
    for path in files:
        for module in imported_by(path):
            assert canonical(IMPORTED_AS.get(module, module)) in have, (path, module)


def test_the_extra_of_a_missing_package_has_it(root):
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    assert set(EXTRAS.values()) < set(project["optional-dependencies"])
    for package, extra in EXTRAS.items():
        assert canonical(IMPORTED_AS.get(package, package)) in needs(root, extra), package
        assert canonical(IMPORTED_AS.get(package, package)) not in needs(root), package


def test_each_package_of_an_extra_has_its_extra_named(root):
    """So that a command which lacks one prints the extra instead of a traceback."""
    imported = {name for path in (root / "src").rglob("*.py") for name in imported_by(path)}
    always = needs(root)
    of_extras = {name for name in imported if canonical(IMPORTED_AS.get(name, name)) not in always}
    assert of_extras == set(EXTRAS) - {"pydensecrf", "onnxscript"}  # both by other ways


def test_the_extra_for_dicom_has_all_that_its_modules_import(root):
    package = root / "src/weaklesion"
    files = [*(package / "dicom").glob("*.py"), package / "segment/of_export.py"]
    imported = {name for path in files for name in imported_by(path)}
    assert {"pydicom", "highdicom", "matplotlib", "skimage"} <= imported
    assert {canonical(IMPORTED_AS.get(name, name)) for name in imported} <= needs(root, "dicom")


def test_commands_import_inside_what_prints_errors(root):
    """Except for `--dicom`, which names its extra itself."""
    for path in (root / "src/weaklesion/cli").glob("*.py"):
        tree = ast.parse(path.read_text())
        printed = {
            inner
            for block in ast.walk(tree)
            if isinstance(block, ast.Try)
            or (isinstance(block, ast.With) and "refusals()" in ast.unparse(block.items[0]))
            for inner in ast.walk(block)
        }
        for function in ast.walk(tree):
            if isinstance(function, ast.FunctionDef):
                for node in ast.walk(function):
                    if isinstance(node, ast.Import | ast.ImportFrom):
                        assert node in printed, f"{path.name}:{node.lineno}"


def test_the_extra_workflow_has_the_whole_library(root):
    assert needs(root, "torch") < needs(root, "workflow")


def test_the_lock_file_of_the_small_install_is_what_it_needs(root):
    own, users = lock(root, "-onnx"), lock(root) | lock(root, "-dev")
    assert needs(root, "onnx") <= set(own)
    assert not {"torch", "pandas", "scipy", "scikit-learn", "monai"} & set(own)
    assert {name: users[name] for name in own} == own


def test_environment_pins_are_those_of_the_lock_file(root):
    locked = pins((root / "requirements.lock").read_text().splitlines())
    found = sorted((root / "envs").glob("*.yaml"))
    assert len(found) == 5
    for path in found:
        own = lock(root, "-nnunet") if path.stem == "nnunet" else {}
        for name, pin in environment(root, path.stem).items():
            if name != COMPILED:
                assert (locked | own)[name] == pin
    made = environment(root, "crf")
    assert set(made) - set(environment(root, "train")) == {COMPILED}
    project = (root / "pyproject.toml").read_text()
    assert f'crf = ["{made[COMPILED]}"]' in project
    assert made[COMPILED] in (root / "Makefile").read_text()


def test_nnunet_has_a_lock_file_of_what_the_users_lock_lacks(root):
    users, own, made = lock(root), lock(root, "-nnunet"), environment(root, "nnunet")
    assert set(made) >= {"nnunetv2", "torch", "timm", *own}
    assert {name: pin for name, pin in made.items() if users.get(name) != pin} == own
    assert own["timm"] != users["timm"]  # why it has an environment of its own
    assert own["nnunetv2"] in (root / "tools/lock.py").read_text()


def test_environments_name_the_one_channel_that_every_conda_takes(root):
    """`nodefaults` is refused by conda 26.7.1 and later; pin files would leave pip's part out."""
    for path in (root / "envs").glob("*.yaml"):
        assert read_yaml(path)["channels"] == ["conda-forge"], path
    assert not list((root / "envs").glob("*.pin.txt"))


def test_every_rule_names_its_environment_log_script_and_benchmark(root):
    found = list(rules(root))
    assert len(found) == 71
    for name, env, script, block in found:
        assert env, name
        assert script == name
        assert (root / "workflow/scripts" / f"{name}.py").is_file()
        for directive in ("log:", "benchmark:", "resources:", '    """'):
            assert directive in block, (name, directive)


@pytest.mark.parametrize("name", ["data", "train", "report", "nnunet"])
def test_no_rule_imports_what_its_environment_lacks(root, name):
    have = set(environment(root, name))
    for rule, env, script, _ in rules(root):
        if env[1] != name:
            continue
        tree = ast.parse((root / "workflow/scripts" / f"{script}.py").read_text())
        modules = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        package = [module for module in modules if module.startswith("weaklesion.")]
        if script in ("make_phantom", "make_patches"):  # they import the module of the loader
            kind = "phantoms" if script == "make_phantom" else "loaders"
            package = [f"weaklesion.data.{kind}.{name}" for name in LOADERS[kind]]
        if script in (
            "train_arm",
            "predict_arm",
            "measure_accuracy",
            "choose_warp",
        ):  # and those of the network and of its task
            package += [f"weaklesion.networks.{name}" for name in set(NETWORK_MODULES.values())]
            package += [
                f"weaklesion.{stage}.tasks.{name}"
                for stage in ("training", "prediction")
                for name in get_args(TaskName)
            ]
        assert package, rule
        files = {
            path for module in package for path in module_files(module.removeprefix("weaklesion."))
        }
        untracked = ("files", "progress", "provenance")
        files |= {str(root / f"src/weaklesion/support/{module}.py") for module in untracked}
        for path in files | run_beside(files):
            for imported in imported_by(path):
                assert canonical(IMPORTED_AS.get(imported, imported)) in have, (rule, imported)


def test_scripts_are_thin(root):
    for path in (root / "workflow/scripts").glob("*.py"):
        if path.stem != "job":
            text = path.read_text()
            assert len(text.splitlines()) <= 40, path
            assert not re.search(r"^\s*(if|for|while) ", text, re.MULTILINE), path


def test_package_never_imports_snakemake(root):
    for path in (root / "src").rglob("*.py"):
        assert not re.search(r"^\s*(import|from) snakemake", path.read_text(), re.MULTILINE), path
