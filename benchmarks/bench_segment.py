"""Measure `weaklesion segment` against its network alone; print marks per second and the ratio."""

import json
import logging
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from safetensors.torch import save_file

from weaklesion.data.manifest import is_archive, read_manifest
from weaklesion.data.phantoms.ham10k import make_phantom
from weaklesion.download import extract, fetch
from weaklesion.ellipse import fit_ellipse
from weaklesion.models import build_model
from weaklesion.prediction.tasks.prompted import crop_logits
from weaklesion.recist import RECIST_COLUMNS, recist_from_ellipse
from weaklesion.segment.run import segment_marks
from weaklesion.segment.settings import SegmentSettings
from weaklesion.study.arms import training_settings
from weaklesion.study.settings import TrainingSettings
from weaklesion.support.yaml_files import read_yaml

ROOT = Path(__file__).resolve().parents[1]
MARKS, WIDTH_PX, HEIGHT_PX = 160, 600, 450
THREADS = 2
LEAST_MARKS_A_SECOND = 20.0
BATCH = 16


def write_marks(folder: Path) -> Path:
    """Make a phantom as large as HAM10000's images, and a table of its marks."""
    made = folder / "made"
    make_phantom(folder=made, num_images=MARKS + 1, seed=0, width_px=WIDTH_PX, height_px=HEIGHT_PX)
    for name, row in read_manifest(made / "manifest.csv").items():
        if is_archive(name):
            fetch(row, folder / "archives" / name)
            extract(folder / "archives" / name, folder / name)
    rows = []
    for path in sorted(folder.glob("*segmentations*/**/*.png")):
        name = path.stem.removesuffix("_segmentation")
        with Image.open(path) as opened:
            mask = np.asarray(opened.convert("L")) > 0
        if mask.all():
            continue  # the one that covers its image has no mark
        ends = recist_from_ellipse(fit_ellipse(mask)).ravel()
        (image,) = folder.glob(f"HAM10000_images*/**/{name}.jpg")
        rows.append({"id": name, "image": image, **dict(zip(RECIST_COLUMNS, ends, strict=True))})
    pd.DataFrame(rows).to_csv(folder / "marks.csv", index=False)
    return folder / "marks.csv"


def write_network(folder: Path) -> TrainingSettings:
    """Write a network of the arm `prompted_refined`, as slow as a trained one.

    Its last layer says "lesion" everywhere: of noise, masks would be as nobody's are.
    """
    config = read_yaml(ROOT / "config.yaml")
    settings = training_settings(config, "ham10k", "source", "prompted_refined")
    settings["prompt"]["max_amplitude"] = 1.0
    trained = TrainingSettings(**settings)
    torch.manual_seed(0)
    model = build_model("prompted")
    last = [module for module in model.modules() if isinstance(module, torch.nn.Conv2d)][-1]
    torch.nn.init.zeros_(last.weight)
    assert last.bias is not None
    torch.nn.init.ones_(last.bias)
    weights = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(weights, folder / "model.safetensors")
    (folder / "run.json").write_text(json.dumps({"settings": asdict(trained)}))
    return trained


def network_alone(trained: TrainingSettings, count: int) -> float:
    """Return the seconds that the network takes for all views of so many marks."""
    model = build_model("prompted").eval()
    inputs = torch.rand(BATCH, 6, trained.input_px, trained.input_px)
    started = time.perf_counter()
    with torch.inference_mode():
        for _ in range(-(-count // BATCH)):
            crop_logits(model, inputs, trained)
    return time.perf_counter() - started


def main() -> int:
    """Print the rate and the ratio; return 1 if the rate is below the bound."""
    logging.disable()
    torch.set_num_threads(THREADS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        marks = write_marks(folder)
        trained = write_network(folder)
        network_alone(trained, BATCH)
        started = time.perf_counter()
        counts = segment_marks(
            model_dir=folder,
            marks_csv=marks,
            out_dir=folder / "out",
            settings=SegmentSettings(
                gate=0.0, consistent=False, window_hu=(-160.0, 240.0), threads=THREADS
            ),
        )
        whole, done = time.perf_counter() - started, counts["network"] + counts["ellipse"]
        alone = network_alone(trained, done)
    rate = done / whole
    print("\n## Marks on your own images\n")
    print(f"`weaklesion segment` on {done} marks, one phantom of {WIDTH_PX}x{HEIGHT_PX} px each,")
    print(f"{THREADS} threads; reading, eight views, masks, overlays and measurements.\n")
    print("| what | measured | bound |\n|---|---|---|")
    print(f"| marks per second | {rate:.0f} | {LEAST_MARKS_A_SECOND:g} |")
    print(f"| time of everything over that of the network alone | {whole / alone:.2f} | |")
    met = rate >= LEAST_MARKS_A_SECOND
    print(f"\n{'met' if met else 'NOT MET'}: at least {LEAST_MARKS_A_SECOND:g} marks per second.")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
