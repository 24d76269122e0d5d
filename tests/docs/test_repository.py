"""What stands around the code names commands, files and versions that exist."""

import os
import re
import subprocess
import sys
import textwrap
import tomllib

from conftest import ROOT
from typer.testing import CliRunner

import weaklesion
from weaklesion.cli import app
from weaklesion.support.yaml_files import read_yaml

IMAGES = ("Dockerfile", "Apptainer.def")


def actions(name="ci"):
    return read_yaml(ROOT / f".github/workflows/{name}.yaml")


def test_continuous_integration_runs_targets_of_the_makefile_on_the_stated_pythons():
    jobs = actions()["jobs"]
    assert set(jobs) == {"lint", "test", "demo", "extras"}
    makefile = (ROOT / "Makefile").read_text()
    for name, job in jobs.items():
        runs = [step["run"] for step in job["steps"] if "run" in step]
        if name == "extras":
            assert runs == [
                "pip install '.[${{ matrix.extra }}]'",
                "python -c '${{ matrix.imports }}'",
            ]
            continue
        assert len(runs) == 1, name
        target = re.fullmatch(r"make CPU=1 ([a-z-]+)", runs[0])
        assert target, runs
        assert f"\n{target[1]}: " in makefile
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    stated = [line.rsplit(" ", 1)[1] for line in project["classifiers"] if ":: 3." in line]
    assert jobs["test"]["strategy"]["matrix"]["python"] == stated
    kept = jobs["demo"]["steps"][-1]["with"]["path"].split()
    assert kept == ["results/demo/index.html", "results/demo/report.html"]


def test_continuous_integration_runs_on_the_stated_systems_with_single_extras_and_limits():
    jobs = actions()["jobs"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    systems = [line for line in project["classifiers"] if line.startswith("Operating System")]
    runners = {"ubuntu-latest": "Linux", "macos-latest": "MacOS"}
    tried = jobs["demo"]["strategy"]["matrix"]["system"]
    assert {runners[each] for each in tried} == {line.split(" :: ")[-1] for line in systems}
    alone = {each["extra"] for each in jobs["extras"]["strategy"]["matrix"]["include"]}
    assert alone == {"torch", "onnx"} < set(project["optional-dependencies"])
    for job in [*jobs.values(), *actions("site")["jobs"].values()]:
        assert 0 < job["timeout-minutes"] <= 60


def test_the_version_is_said_once_and_read_without_an_import():
    code = """
        import sys
        from setuptools.config.pyprojecttoml import read_configuration
        project = read_configuration("pyproject.toml")["project"]
        print(project["version"], "weaklesion" in sys.modules)
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment,
        check=True,
    )
    assert done.stdout == f"{weaklesion.__version__} False\n"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "version" not in project
    assert str(read_yaml(ROOT / "CITATION.cff")["version"]) == weaklesion.__version__


def test_a_citation_has_the_keywords_of_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert read_yaml(ROOT / "CITATION.cff")["keywords"] == project["keywords"]


def test_the_site_that_is_published_is_what_make_docs_builds():
    steps = actions("site")["jobs"]["site"]["steps"]
    assert [step["run"] for step in steps if "run" in step] == ["make CPU=1 docs"]
    (folder,) = [step["with"]["path"] for step in steps if "pages-artifact" in step.get("uses", "")]
    target = re.search(
        r"^docs: .*\n\t.*sphinx-build .* (\S+)$", (ROOT / "Makefile").read_text(), re.M
    )
    assert target[1] == folder
    assert f"/{folder}/" in (ROOT / ".gitignore").read_text().split()


def test_what_pip_leaves_in_a_clone_is_not_taken_for_a_change_of_the_code():
    """`pip install .` writes `build/`, and `pip wheel --wheel-dir dist .` both."""
    ignored = (ROOT / ".gitignore").read_text().split()
    assert {"/build/", "/dist/"} <= set(ignored)


def test_extras_are_added_to_the_environment_of_make_without_replacing_its_link_to_the_clone():
    for page in ("export", "own-marks"):
        text = (ROOT / f"docs/how-to/{page}.md").read_text()
        assert re.search(r"pip install --editable '\.\[(export|uls23)\]'", text)
        assert not re.search(r"pip install '\.\[(export|uls23)\]'", text)


def test_the_command_that_a_container_needs_has_all_its_options(tmp_path):
    (words,) = re.findall(r"`weaklesion (.*?)`", (ROOT / "containers/Dockerfile").read_text())
    given = words.replace("RUN", str(tmp_path)).replace("EXPORTED", str(tmp_path / "out"))
    result = CliRunner().invoke(app, given.split())
    assert result.exit_code == 1  # 2 is a wrong call
    assert "has no model.safetensors" in result.output


def test_images_have_the_versions_of_the_lock_file_and_no_others():
    texts = {name: (ROOT / name).read_text() for name in IMAGES}
    for name, text in texts.items():
        installs = re.findall(r"pip install (.*)", text)
        assert installs == [
            "--no-cache-dir --requirement requirements.lock",
            "--no-cache-dir --no-deps --editable .",
        ], name
        assert "==" not in text
    bases = {re.search(r"^(?:FROM|From:) (\S+)$", text, re.M)[1] for text in texts.values()}
    python = read_yaml(ROOT / "envs/train.yaml")["dependencies"][0]
    assert bases == {f"{python.replace('=', ':')}-slim"}
    copied = re.findall(r"^    (\S+) /opt/weaklesion/(\S+)$", texts["Apptainer.def"], re.M)
    assert all(source == target and (ROOT / source).exists() for source, target in copied)
    needed = {"Snakefile", "config.yaml", "config", "envs", "src", "workflow", "pyproject.toml"}
    assert needed <= {source for source, _ in copied}


def test_no_image_takes_what_belongs_to_this_machine():
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert {".git", ".venv", ".snakemake", "results", "resources"} <= set(ignored)
    assert not {"src", "workflow", "envs", "config.yaml", "Snakefile"} & set(ignored)


def test_templates_and_updates_are_readable():
    for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"):
        form = read_yaml(path)
        assert {"name", "description", "body"} == set(form), path
    updates = read_yaml(ROOT / ".github/dependabot.yml")
    assert updates["version"] == 2


def test_a_contributor_is_told_targets_that_exist():
    makefile = (ROOT / "Makefile").read_text()
    for name in ("CONTRIBUTING.md", "docs/how-to/release.md", "README.md"):
        text = (ROOT / name).read_text()
        for target in re.findall(r"(?:^    |`)make (?:CPU=1 )?([a-z-]+)", text, re.M):
            assert f"\n{target}: " in makefile or f" {target} " in makefile, (name, target)
