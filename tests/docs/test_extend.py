"""The worked examples of docs/how-to/extend.md, applied to a clone as they stand there, and run."""

import os
import re
import subprocess
import sys
import zipfile

import cv2
import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import ROOT
from running import clone, snakemake

from weaklesion.support.yaml_files import read_yaml

pytestmark = pytest.mark.slow

PAGE = ROOT / "docs/how-to/extend.md"
SMALL = {
    "seeds": [1],
    "protocols": {
        "corrected": {
            "patches": {"side_px": 64},
            "training": {"encoder": "resnet18", "weights": "none", "input_px": 32}
            | {"pad_to": [32, 32], "epochs": 1, "batch_size": 8, "precision": "float32"},
            "scoring": {"published_as": {"Recall": "overlap_coefficient"}},
        }
    },
    "experiments": {"table1": {"columns": ["Dice", "Recall"]}},
}


def examples(text):
    """New files, by path, and diffs, in the order of the page."""
    for match in re.finditer(r"(?:`([\w/.]+)`[^`\n]*:\n\n)?```(\w+)\n(.*?)```", text, re.DOTALL):
        path, language, content = match.groups()
        if language == "diff":
            yield None, content
        elif path:
            yield path, content


def apply(folder):
    for path, content in examples(PAGE.read_text()):
        if path:
            (folder / path).write_text(content)
        else:
            subprocess.run(["git", "apply", "-"], input=content, text=True, cwd=folder, check=True)


def busi(folder):
    """Write an archive with images as BUSI has them, two of them without a lesion."""
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(folder / "busi.zip", "w") as archive:
        for number in range(1, 21):
            kind = "normal" if number > 18 else "benign"
            mask = np.zeros((60, 80), np.uint8)
            if kind == "benign":
                axes = (int(rng.integers(10, 20)), int(rng.integers(8, 15)))
                cv2.ellipse(mask, (40, 30), axes, float(rng.uniform(0, 180)), 0, 360, 255, -1)
            image = np.where(mask > 0, 60, 160) + rng.integers(0, 20, mask.shape)
            name = f"BUSI/{kind}/{kind} ({number})"
            for suffix, picture in (("", image.astype(np.uint8)), ("_mask", mask)):
                archive.writestr(f"{name}{suffix}.png", cv2.imencode(".png", picture)[1].tobytes())


def python(folder, *words):
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_page_has_an_example_of_each():
    new = [path for path, _ in examples(PAGE.read_text()) if path]
    assert len(new) == 6
    assert len([path for path, _ in examples(PAGE.read_text()) if not path]) == 11
    assert not [path for path in new if (ROOT / path).exists()]


@pytest.mark.workflow
def test_the_examples_work_as_they_stand(tmp_path):
    folder = clone(tmp_path / "clone")
    apply(folder)
    python(folder, "tools/update_reference.py")
    (folder / "busi").mkdir()
    busi(folder / "busi")
    python(folder, "-m", "weaklesion.manifest", "busi")
    small = folder / "small.yaml"
    small.write_text(yaml.safe_dump(SMALL))
    study = ("--configfile", folder / "workflow/studies/mine.yaml", small)
    snakemake(folder, "--snakefile", folder / "Snakefile", "table1", "failures", *study)
    tables = folder / "results/mine/tables"
    failures = pd.read_csv(tables / "failures.csv")
    arms = ["ellipse", "a1", "a1l", "a1l_focal", "attention_unet"]
    assert failures["arm"].tolist() == arms
    assert (failures["failed"] <= failures["images"]).all()
    assert failures.set_index("arm")["failed"]["ellipse"] == 0
    assert "Dice is below 0.5" in (tables / "failures.html").read_text()
    assert "Overlap coefficient" in (tables / "table1.html").read_text()
    runs = folder / "results/mine/busi/corrected/runs"
    scores = pd.read_csv(runs / "ellipse/seed-0/scores.csv")
    values = scores.loc[scores["metric"] == "overlap_coefficient", "value"]
    assert values.between(0.9, 1).all()
    patches = read_yaml(runs.parent / "patches/patches.json")
    assert patches["dropped"] == [
        {"reason": "no lesion", "count": 2, "ids": ["normal (19)", "normal (20)"]}
    ]
