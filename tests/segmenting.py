"""What the tests of `weaklesion segment` share: lesions, their marks, and a known network."""

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch
from PIL import Image
from typer.testing import CliRunner

from weaklesion.cli import app
from weaklesion.ellipse import fit_ellipse
from weaklesion.recist import RECIST_COLUMNS, recist_from_ellipse
from weaklesion.study import arms
from weaklesion.support.yaml_files import read_yaml

ROOT = Path(__file__).resolve().parents[1]

SHAPE = (120, 160)
INSIDE_HU, AROUND_HU = 120.0, -60.0


def lobed(rng, shape=SHAPE, size=1.0):
    """A lesion that is no ellipse: (H, W) bool."""
    yy, xx = np.mgrid[: shape[0], : shape[1]]
    cy, cx = shape[0] / 2 + size * rng.uniform(-8, 8), shape[1] / 2 + size * rng.uniform(-12, 12)
    waves = 1 + 0.22 * np.cos(3 * np.arctan2(yy - cy, xx - cx) + rng.uniform(0, 6))
    return np.hypot(yy - cy, (xx - cx) * rng.uniform(0.9, 1.3)) < size * rng.uniform(24, 32) * waves


def colored(mask, rng):
    """An image of a lesion, (H, W, 3) uint8."""
    levels = np.where(mask[..., None], (150, 90, 80), (205, 160, 140)) + rng.normal(
        0, 9, (*mask.shape, 3)
    )
    return cv2.GaussianBlur(levels, (0, 0), 1.0).clip(0, 255).round().astype(np.uint8)


def mark_of(mask):
    return dict(zip(RECIST_COLUMNS, recist_from_ellipse(fit_ellipse(mask)).ravel(), strict=True))


def describe(folder, **values):
    """Say in a run's `run.json` what its network was trained on: dermoscopy in colours."""
    data = {"licence": "CC0-1.0", "modality": "dermoscopy", "channels": "rgb", "marks": "drawn"}
    path = folder / "run.json"
    told = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps(told | {"data": told.get("data", data) | values}))


def add_settings(folder, arm):
    """Say in a run's `run.json` how the network of an arm is trained, which an export reads."""
    config = read_yaml(Path(__file__).resolve().parents[1] / "config.yaml")
    settings = arms.training_settings(config, "ham10k", "source", arm)
    settings["prompt"] |= {"max_amplitude": 1.0}  # which short training runs choose
    path = folder / "run.json"
    told = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps(told | {"settings": settings}))


class Discriminating(torch.nn.Module):
    """A network whose answer is known: where the discriminant says inside."""

    def forward(self, inputs):
        return 8 * inputs[:, 5:6]


def run(model, folder, rows, *options):
    """Write marks, call the command, and return its result and its measurements by id."""
    table = folder / "marks.csv"
    if rows is not None:
        pd.DataFrame(rows).to_csv(table, index=False)
    call = ["segment", "--model", model, "--marks", table, "--out", folder / "out", *options]
    result = CliRunner().invoke(app, [str(part) for part in call])
    path = folder / "out" / "measurements.csv"
    return result, pd.read_csv(path).set_index("id") if path.is_file() else None


def read_png(path):
    return np.asarray(Image.open(path)) > 0


def calls_of_script(name, folder, *words):
    """Return the calls of `weaklesion` of a script of containers/, without the program's name.

    Args:
        name: the script.
        folder: for a program in the place of `weaklesion`, and for the script's temporary files.
        words: of the script.
    """
    told = folder / "calls"
    done = _run_script(
        name, folder, words, f"print(json.dumps(sys.argv[1:]), file=open({str(told)!r}, 'a'))"
    )
    done.check_returncode()
    return [json.loads(line) for line in told.read_text().splitlines()]


def run_script(name, folder, *words):
    """Run a script of containers/ with the real `weaklesion`; return its completed process."""
    return _run_script(
        name, folder, words, f"sys.path[:0] = {sys.path}; from weaklesion.cli import app; app()"
    )


def _run_script(name, folder, words, program):
    """Run a script of containers/ with some lines of Python in the place of `weaklesion`."""
    (folder / "weaklesion").write_text(f"#!{sys.executable}\nimport json, sys\n{program}\n")
    (folder / "weaklesion").chmod(0o755)
    path = os.pathsep.join([str(folder), os.path.dirname(sys.executable), os.environ["PATH"]])
    command = ["sh", ROOT / "containers" / name, *words]
    environment = os.environ | {"PATH": path, "TMPDIR": str(folder)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
