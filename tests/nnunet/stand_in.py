"""A stand-in for nnU-Net's command line: it checks what it is given and learns nothing.

It lists cases in reversed order. Its prediction is where the first channel is above 127.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np
from PIL import Image

DATASET = "Dataset001_patches"
MODEL = f"{DATASET}/WeakLesionTrainer__nnUNetPlans__2d"


def folder(name):
    return Path(os.environ[f"nnUNet_{name}"])


def option(name):
    return sys.argv[sys.argv.index(name) + 1]


def nnUNetv2_plan_and_preprocess():  # noqa: N802
    raw, made = folder("raw") / DATASET, folder("preprocessed") / DATASET
    described = json.loads((raw / "dataset.json").read_text())
    images = {path.name.removesuffix("_0000.png") for path in (raw / "imagesTr").iterdir()}
    assert images == {path.stem for path in (raw / "labelsTr").iterdir()}
    assert len(images) == described["numTraining"]
    made.mkdir(parents=True)
    (made / "dataset.json").write_text(json.dumps(described))
    (made / "nnUNetPlans.json").write_text("{}")


def nnUNetv2_train():  # noqa: N802
    if os.environ.get("STAND_IN_FAILS"):
        print("out of memory", flush=True)
        sys.exit(3)
    budget = json.loads(os.environ["WEAKLESION_NNUNET_BUDGET"])
    assert list(folder("extTrainer").glob("*.py"))
    (split,) = json.loads((folder("preprocessed") / DATASET / "splits_final.json").read_text())
    fold = folder("results") / MODEL / "fold_0"
    fold.mkdir(parents=True, exist_ok=True)
    for name in ("plans.json", "dataset_fingerprint.json"):
        (fold.parent / name).write_text("{}")
    described = (folder("preprocessed") / DATASET / "dataset.json").read_text()
    (fold.parent / "dataset.json").write_text(described)
    (fold / "checkpoint_final.pth").write_text(json.dumps({"budget": budget, "split": split}))
    epochs = [
        {"epoch": epoch, "train_loss": 1.0, "val_loss": -0.5, "val_dice": 0.1 * epoch}
        | {"learning_rate": 0.01, "started": 10.0 * epoch, "ended": 10.0 * epoch + 4}
        for epoch in range(budget["epochs"])
    ]
    about = {"num_parameters": 7, "device": "cpu", "peak_memory_bytes": 1, "versions": {}}
    about |= {"planned": {"batch_size": budget["batch_size"] or 9, "patch_px": [64, 64]}}
    about |= {"peak_gpu_memory_bytes": None, "epochs": epochs[::-1]}
    (fold / "history.json").write_text(json.dumps(about))
    print(f"weaklesion: {len(epochs)} epochs", flush=True)


def nnUNetv2_predict():  # noqa: N802
    assert (folder("results") / MODEL / "fold_0/checkpoint_final.pth").is_file()
    out = Path(option("-o"))
    out.mkdir()
    for path in sorted(Path(option("-i")).iterdir(), reverse=True):
        image = np.asarray(Image.open(path))
        mask = (image if image.ndim == 2 else image[..., 0]) > 127
        Image.fromarray(mask.astype(np.uint8)).save(out / path.name.replace("_0000", ""))
    (out / "arguments.json").write_text(json.dumps(sys.argv[1:]))


if __name__ == "__main__":
    globals()[sys.argv.pop(1)]()
