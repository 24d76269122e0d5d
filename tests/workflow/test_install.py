"""What users install suffices: the packages of `segment` alone, without the workflow's."""

import json
import os
import subprocess
import sys
import tomllib

import pandas as pd
import pytest
from conftest import ROOT
from packaging.utils import canonicalize_name
from safetensors.torch import save_file
from segmenting import describe
from test_conda import STAND_IN, environment_file, needed_by

from weaklesion.exporting.export import export_run
from weaklesion.models import build_model
from weaklesion.study import arms
from weaklesion.study.settings import TrainingSettings
from weaklesion.support.yaml_files import read_yaml


def small_run(folder):
    """A run whose network, which sees the mark's ellipse, was never trained."""
    config = read_yaml(ROOT / "config.yaml")
    settings = arms.training_settings(config, "ham10k", "source", "prompted")
    settings |= {"encoder": "resnet18"}
    settings["prompt"] |= {"max_amplitude": 1.0}
    trained = TrainingSettings(**settings)
    network = build_model(
        trained.model,
        num_classes=trained.num_classes,
        encoder=trained.encoder,
        options=trained.network,
    )
    folder.mkdir()
    weights = {name: value.contiguous() for name, value in network.state_dict().items()}
    save_file(weights, folder / "model.safetensors")
    (folder / "run.json").write_text(json.dumps({"settings": settings}))
    describe(folder)
    return folder


def needs(*extras):
    """Names of all packages that are installed with some extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *(project["optional-dependencies"][one] for one in extras)]
    return {name for group in groups for need in group for name in needed_by(need)}


def environment(folder, names):
    """Python of an environment that has some packages, and no other."""
    file = environment_file(folder / "segment.yaml", sorted(names))
    create = [STAND_IN / "conda", "env", "create", "--file", file, "--prefix", folder / "env"]
    subprocess.run([sys.executable, *create], check=True)
    return folder / "env/bin/python"


@pytest.fixture(scope="module")
def with_torch(tmp_path_factory):
    """Python of an environment that has what the extra `torch` installs, and no other package."""
    return environment(tmp_path_factory.mktemp("with_torch"), needs("torch"))


def call(python, *words, expect=0):
    """Call the command; return what it says."""
    code = "from weaklesion.cli import app; app()"
    done = subprocess.run(
        [python, "-c", code, *map(str, words)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        check=False,
    )
    assert done.returncode == expect, done.stdout + done.stderr
    assert str(sys.prefix) not in done.stderr
    return done.stdout + done.stderr


def test_segment_needs_only_what_its_extra_needs(tmp_path, images, with_torch):
    names = needs("torch")
    assert "snakemake" not in names
    assert "matplotlib" not in names
    pd.DataFrame(images[1]).to_csv(tmp_path / "marks.csv", index=False)
    run = small_run(tmp_path / "run")
    words = ["--marks", tmp_path / "marks.csv", "--out", tmp_path / "out"]
    call(with_torch, "segment", "--model", run, *words)
    assert len(pd.read_csv(tmp_path / "out/measurements.csv")) == len(images[1])
    assert "pip install 'weaklesion[workflow]'" in call(with_torch, "plan", expect=1)


def imports(python, extra):
    """Run the imports of continuous integration for an extra; return their error."""
    jobs = read_yaml(ROOT / ".github/workflows/ci.yaml")["jobs"]
    code = {
        each["extra"]: each["imports"] for each in jobs["extras"]["strategy"]["matrix"]["include"]
    }
    done = subprocess.run(
        [python, "-c", code[extra]],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        check=False,
    )
    return done.stderr


def test_the_extra_torch_has_the_whole_library(with_torch):
    """Except for `segment_export` and `ImportSettings`, which need the extra `dicom`."""
    assert imports(with_torch, "torch") == ""


def test_an_exported_network_needs_neither_torch_nor_pandas_nor_scipy(tmp_path, images):
    """The stand-in environment has the pins of requirements-onnx.lock, and nothing else."""
    names = needs("onnx")
    lines = (ROOT / "requirements-onnx.lock").read_text().splitlines()[1:]
    assert {canonicalize_name(line.split("==")[0]) for line in lines} == names
    heavy = {"torch", "torchvision", "monai", "segmentation-models-pytorch", "timm"}
    assert not names & (heavy | {"pandas", "scipy", "scikit-learn", "scikit-image"})
    assert len(names) < 30
    python = environment(tmp_path, names)
    pd.DataFrame(images[1]).to_csv(tmp_path / "marks.csv", index=False)
    assert imports(python, "onnx") == ""
    run, exported = small_run(tmp_path / "run"), tmp_path / "exported"
    export_run(run, exported, ("safetensors", "onnx"))  # without PyTorch the second is taken
    words = ["--marks", tmp_path / "marks.csv", "--gate", "0", "--out"]
    call(sys.executable, "segment", "--model", run, *words, tmp_path / "with-torch")
    call(python, "segment", "--model", exported, *words, tmp_path / "with-onnx")
    for name in ("measurements.csv", "refused.csv", "index.html", "masks/m1.png"):
        expected = (tmp_path / "with-torch" / name).read_bytes()
        assert (tmp_path / "with-onnx" / name).read_bytes() == expected, name
    for options, extra in (([run], "torch"), ([exported, "--volume"], "volume")):
        words = ["--model", *options, "--marks", tmp_path / "marks.csv", "--out", tmp_path / "none"]
        assert f"'weaklesion[{extra}]'" in call(python, "segment", *words, expect=1)
    for words in (["export", run, "--out", tmp_path / "none"], ["describe-run", run]):
        assert "pip install 'weaklesion[torch]'" in call(python, *words, expect=1)
    assert "pip install 'weaklesion[workflow]'" in call(python, "plan", expect=1)
    (tmp_path / "stack").mkdir()
    for words in (
        ["uls23", tmp_path / "stack", "--marks", tmp_path / "marks.csv"],
        ["uls23-masks", tmp_path / "stack", "--masks", tmp_path],
    ):
        said = call(python, *words, "--out", tmp_path / "none", expect=1)
        assert "pip install 'weaklesion[uls23]'" in said
    assert not (tmp_path / "none").exists()
