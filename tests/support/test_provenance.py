"""What a run records of the packages with which it was made."""

import json
import subprocess
import sys

import numpy

from weaklesion.support.provenance import git_state, package_versions


def test_versions_are_those_of_the_running_python_only(tmp_path, monkeypatch):
    """In a conda environment, Snakemake appends the packages of its own environment."""
    own = package_versions()
    assert own["numpy"] == numpy.__version__
    for name in ("numpy-0.1", "opencv_python_headless-0.1"):
        (tmp_path / f"{name}.dist-info").mkdir()
        package, version = name.split("-")
        metadata = f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n"
        (tmp_path / f"{name}.dist-info/METADATA").write_text(metadata)
    for place in (0, len(sys.path)):
        monkeypatch.setattr(sys, "path", [*sys.path[:place], str(tmp_path), *sys.path[place:]])
        assert package_versions() == own


def test_an_environment_without_packages_records_none(root, tmp_path):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "env"], check=True)
    packages = next(path for path in sys.path if path.endswith("site-packages"))
    code = (
        f"import json, sys; sys.path += [{str(root / 'src')!r}, {packages!r}];"
        "from weaklesion.support.provenance import package_versions;"
        "print(json.dumps(package_versions()))"
    )
    command = [tmp_path / "env/bin/python", "-c", code]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert set(json.loads(said)) == {"python"}


def test_of_two_versions_that_which_python_imports_counts(tmp_path, monkeypatch):
    """A user's own packages come before the environment's."""
    for folder, version in (("users", "2.0"), ("environments", "1.0")):
        written = tmp_path / folder / f"numpy-{version}.dist-info/METADATA"
        written.parent.mkdir(parents=True)
        written.write_text(f"Metadata-Version: 2.1\nName: numpy\nVersion: {version}\n")
    monkeypatch.setattr("site.getsitepackages", lambda: [str(tmp_path / "environments")])
    monkeypatch.setattr("site.getusersitepackages", lambda: str(tmp_path / "users"))
    for allowed, version in ((True, "2.0"), (False, "1.0")):
        monkeypatch.setattr("site.ENABLE_USER_SITE", allowed)
        assert package_versions()["numpy"] == version


def test_files_that_a_user_writes_beside_the_code_are_no_changes_of_it(tmp_path):
    def git(*arguments):
        who = ("-c", "user.name=a", "-c", "user.email=a@b")
        subprocess.run(["git", "-C", tmp_path, *who, *arguments], check=True, capture_output=True)

    git("init")
    for name in ("src/a.py", "README.md", "requirements.lock"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("1")
    git("add", "--all")
    git("commit", "--message", "first")
    assert git_state(tmp_path)["dirty"] is False
    (tmp_path / "my-masks").mkdir()
    for name in ("my-masks/1.png", "README.md"):
        (tmp_path / name).write_text("2")
        assert git_state(tmp_path)["dirty"] is False
    for name in ("src/b.py", "requirements.lock", "src/a.py"):
        (tmp_path / name).write_text("2")
        assert git_state(tmp_path)["dirty"] is True
        git("add", "--all")
        git("commit", "--message", name)
        assert git_state(tmp_path)["dirty"] is False
