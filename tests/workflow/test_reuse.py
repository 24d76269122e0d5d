"""The workflow from a foreign working directory: by its path, and as a module of another one."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import yaml
from conftest import ROOT
from preloaded_python import install, preloaded_python
from running import clone, environment

from weaklesion.study.protocols import merge
from weaklesion.support.yaml_files import read_yaml

pytestmark = pytest.mark.slow

# what snakedeploy 0.17.1 writes for a clone, with the clone's path
DEPLOYED = """
configfile: "config/config.yaml"


module weaklesion:
    snakefile:
        "{clone}/workflow/Snakefile"
    config:
        config


use rule * from weaklesion{names}
"""
STUDY = {
    "study": "foreign",
    "seeds": [1],
    "select": {"items": ["table1"], "datasets": ["phantom_ham10k"]},
}
TABLE = "results/foreign/tables/table1.csv"
RUN = "results/foreign/phantom_ham10k/demo/runs/a1/seed-1"


def study():
    """The demo as the tiny study has it, with one item."""
    files = (ROOT / "workflow/studies/demo.yaml", ROOT / "tests/tiny.yaml")
    demo, tiny = (read_yaml(path) for path in files)
    return merge(merge(demo, tiny), STUDY)


def snakemake(folder, *words, python=None, expect=0):
    """Run in a folder without any package of the repository on Python's path."""
    variables = environment(folder.parent)
    variables.pop("PYTHONPATH", None)
    command = [python or preloaded_python(), "-m", "snakemake", "--cores", "2", *map(str, words)]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=folder, env=variables, check=False
    )
    output = done.stdout + done.stderr
    assert done.returncode == expect, output[-5000:]
    return output


def deploy(folder, code, names=""):
    (folder / "workflow").mkdir(parents=True)
    (folder / "config").mkdir()
    text = DEPLOYED.format(clone=code, names=names)
    (folder / "workflow/Snakefile").write_text(text)
    (folder / "config/config.yaml").write_text(yaml.safe_dump(study()))
    return folder


@pytest.fixture(scope="module")
def code(tmp_path_factory):
    return clone(tmp_path_factory.mktemp("code") / "WeakLesion")


def test_a_module_runs_in_a_foreign_folder(code, tmp_path):
    """All that it makes lies there, and nothing in the clone; a second run has nothing to do."""
    before = {path for path in code.rglob("*") if "__pycache__" not in path.parts}
    folder = deploy(tmp_path / "mine", code, " as wl_*")
    snakemake(folder, "wl_table1")
    assert (folder / TABLE).is_file()
    assert (folder / TABLE).with_suffix(".html").is_file()
    assert (folder / RUN / "run.json").is_file()
    assert (folder / "resources/phantom_ham10k").is_dir()
    assert {path for path in code.rglob("*") if "__pycache__" not in path.parts} == before
    assert "Nothing to be done" in snakemake(folder, "-n", "wl_table1")
    # as in a new clone beside old results: all code is newer, with the same content
    for path in [*code.glob("workflow/scripts/*.py"), *code.glob("src/**/*.py")]:
        path.touch()
    profile = read_yaml(ROOT / "workflow/profiles/default/config.yaml")
    triggers = ("--rerun-triggers", *profile["rerun-triggers"])
    assert "Nothing to be done" in snakemake(folder, "-n", "wl_table1", *triggers)
    assert "Code has changed" in snakemake(folder, "-n", "wl_table1")


UNCHANGED = """
import gc
from snakemake.persistence import ParamsChange

if gc.get_threshold()[0] == 200_000:
    raise WorkflowError("the module changed how Python collects garbage")
if "weaklesion" in getattr(ParamsChange.__str__, "__module__", ""):
    raise WorkflowError("the module changed how Snakemake gives reasons")
"""


def test_a_module_has_the_defaults_that_its_configuration_leaves_out(code, tmp_path):
    """And it changes nothing that the workflow around it shares with it."""
    folder = deploy(tmp_path / "mine", code)
    with (folder / "workflow/Snakefile").open("a") as file:
        file.write(UNCHANGED)
    (folder / "config/config.yaml").write_text((ROOT / "config/config.yaml").read_text())
    select = "select={items: [table1], datasets: [ham10k], protocols: [corrected]}"
    output = snakemake(folder, "-n", "--quiet", "rules", "--config", select, "seeds=[1]")
    assert "train_arm" in output
    assert "\n        all, " in output  # the default target


OUTER = """
configfile: "config/config.yaml"


rule all:
    input:
        "mine.txt",


rule mine:
    output:
        "mine.txt",
    shell:
        "echo {config[samples]} {config[seeds]} > {output}"


"""


def nested(folder, code):
    """A workflow with rules and settings of its own, and WeakLesion's below one of its keys."""
    deploy(folder, code, " as wl_*")
    module = (folder / "workflow/Snakefile").read_text().partition("module")[2]
    module = module.replace("        config\n", '        config["weaklesion"]\n')
    (folder / "workflow/Snakefile").write_text(OUTER + "module" + module)
    settings = {"samples": "samples.tsv", "seeds": ["a"], "weaklesion": study()}
    (folder / "config/config.yaml").write_text(yaml.safe_dump(settings))
    return folder


def test_a_workflow_with_rules_of_its_own_runs_these_by_default(code, tmp_path):
    folder = nested(tmp_path / "mine", code)
    jobs = dict(line.rsplit(maxsplit=1) for line in table_of(snakemake(folder, "-n")))
    assert set(jobs) == {"all", "mine"}


def test_overrides_go_to_the_workflow_or_to_the_module_that_they_name(code, tmp_path):
    folder = nested(tmp_path / "mine", code)
    words = ["-n", "all", "wl_table1", "--config", "samples=other.tsv", "seeds=[3]"]
    output = snakemake(folder, *words, "--printshellcmds")
    assert "echo other.tsv 3 > mine.txt" in output
    assert dict(line.rsplit(maxsplit=1) for line in table_of(output))["wl_train_arm"] == "2"
    words.append("weaklesion={seeds: [1, 2], study: other}")
    output = snakemake(folder, *words)
    assert dict(line.rsplit(maxsplit=1) for line in table_of(output))["wl_train_arm"] == "4"
    assert "results/other/tables/table1.csv" in output


def test_a_module_that_is_given_keys_of_another_workflow_says_so(code, tmp_path):
    folder = deploy(tmp_path / "mine", code)
    own = yaml.safe_dump(study() | {"samples": "samples.tsv"})
    (folder / "config/config.yaml").write_text(own)
    output = snakemake(folder, "-n", expect=1)
    assert "config: samples: there is no such key" in output
    assert 'give the module a part of its configuration:\n`config: config["weaklesion"]`' in output


@pytest.mark.parametrize("snakefile", ["Snakefile", "workflow/Snakefile"])
def test_both_snakefiles_plan_the_same(code, tmp_path, snakefile):
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study()))
    words = ("-n", "--snakefile", code / snakefile, "--configfile", tmp_path / "study.yaml")
    output = snakemake(tmp_path, *words)
    jobs = dict(line.rsplit(maxsplit=1) for line in table_of(output))
    assert jobs["train_arm"] == "2"
    assert jobs["all"] == "1"


def test_a_wheel_has_the_whole_workflow(code, tmp_path):
    """Built, and installed without what it needs, which are the packages of the tests."""
    for name in ("README.md", "LICENSE", "pyproject.toml"):
        shutil.copy(ROOT / name, code)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    build = [*pip, "wheel", "--quiet", "--no-deps", "--no-build-isolation", code, "-w", tmp_path]
    subprocess.run(build, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "env"], check=True)
    python = tmp_path / "env/bin/python"
    into = [*pip, "--python", python, "install", "--quiet", "--no-deps", wheel]
    subprocess.run(into, check=True)
    packages = sysconfig.get_path("purelib", "venv", vars={"base": str(tmp_path / "env")})
    (Path(packages) / "of_the_tests.pth").write_text(sysconfig.get_path("purelib"))
    shared = tmp_path / "env/share/weaklesion"
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study()))
    words = ("table1", "--snakefile", shared / "Snakefile", "--configfile", "study.yaml")
    forks = install(tmp_path / "forks/python", python, sys.executable)
    snakemake(tmp_path, *words, python=forks)
    assert (tmp_path / TABLE).with_suffix(".html").is_file()
    # every file of the workflow, and no path of the clone
    tracked = {path.name for path in (code / "workflow").rglob("*.*") if path.suffix != ".pyc"}
    assert tracked <= {path.name for path in shared.rglob("*.*")}
    log = (tmp_path / "results/foreign/logs/train_arm").glob("*.log")
    assert not any(str(code) in path.read_text() for path in log)
    plan = [tmp_path / "env/bin/weaklesion", "plan", "study.yaml"]
    done = subprocess.run(plan, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert "jobs are left" in done.stdout, done.stderr


SECOND = """

module second:
    snakefile:
        "{clone}/workflow/Snakefile"
    config:
        config | dict(study="second")


use rule * from second exclude make_phantom, download_file, fetch_slices, extract_archive as two_*
"""


def test_two_studies_are_two_modules_that_share_the_raw_files(code, tmp_path):
    folder = deploy(tmp_path / "mine", code, " as one_*")
    with (folder / "workflow/Snakefile").open("a") as file:
        file.write(SECOND.format(clone=code))
    output = snakemake(folder, "-n", "one_table1", "two_table1")
    jobs = dict(line.rsplit(maxsplit=1) for line in table_of(output))
    assert jobs["one_make_phantom"] == "1"
    assert "two_make_phantom" not in jobs
    assert jobs["one_train_arm"] == jobs["two_train_arm"]
    excluded = SECOND.partition("exclude")[2].strip()
    assert (
        f"exclude {excluded}".replace("two_*", "second_*")
        in (ROOT / "docs/how-to/reuse.md").read_text()
    )


def table_of(output):
    lines = output.split("Job stats:\n")[1].split("\ntotal")[0].splitlines()
    return [line for line in lines[2:] if line.strip()]


def test_the_files_of_the_standard_layout_are_there(root):
    for name in ("workflow/Snakefile", "config/config.yaml", "config/README.md", "LICENSE"):
        assert (root / name).is_file(), name
        assert not os.path.islink(root / name)
    paper = read_yaml(root / "config.yaml")
    assert merge(paper, read_yaml(root / "config/config.yaml")) == paper
