"""What users install suffices: the packages of `segment` alone, without the workflow's."""

import json
import os
import subprocess
import sys
import tomllib

import pandas as pd
from conftest import ROOT
from safetensors.torch import save_file
from segmenting import describe
from test_conda import STAND_IN, environment_file, needed_by

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


def test_segment_needs_only_what_the_package_itself_needs(tmp_path, images):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {name for need in project["dependencies"] for name in needed_by(need)}
    assert "snakemake" not in names
    assert "matplotlib" not in names
    file = environment_file(tmp_path / "segment.yaml", sorted(names))
    create = [
        sys.executable,
        STAND_IN / "conda",
        "env",
        "create",
        "--file",
        file,
        "--prefix",
        tmp_path / "env",
    ]
    subprocess.run(create, check=True)
    pd.DataFrame(images[1]).to_csv(tmp_path / "marks.csv", index=False)
    code = "from weaklesion.cli import app; app()"
    words = ["segment", "--model", small_run(tmp_path / "run"), "--marks", tmp_path / "marks.csv"]
    done = subprocess.run(
        [tmp_path / "env/bin/python", "-c", code, *words, "--out", tmp_path / "out"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(pd.read_csv(tmp_path / "out/measurements.csv")) == len(images[1])
    assert str(sys.prefix) not in done.stderr
