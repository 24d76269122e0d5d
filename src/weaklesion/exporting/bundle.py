"""A MONAI bundle of a network that reads marks."""

import json
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram

import weaklesion
from weaklesion.networks.prompted import INPUT_CHANNELS, UNET
from weaklesion.study.settings import TrainingSettings
from weaklesion.study.trained_on import TrainedOn
from weaklesion.support.files import write_json

SCHEMA = (
    "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/"
    "meta_schema_20240725.json"
)
SCRIPT = Path(__file__).with_name("bundle_inference.py")


def write_bundle(
    folder: Path,
    program: ExportedProgram,
    weights: dict[str, torch.Tensor],
    settings: TrainingSettings,
    data: TrainedOn,
    papers: dict[str, str],
) -> None:
    """Write a bundle that `python -m monai.bundle run` runs on a table of marks.

    Args:
        folder: the bundle.
        program: the network with all that surrounds it, which `inference.json` runs.
        weights: of the network alone, for `network_def`.
        settings: of its training.
        data: what it was trained on.
        papers: licence, terms and the run's own words.
    """
    for name in ("configs", "models", "docs", "scripts"):
        (folder / name).mkdir(parents=True)
    torch.export.save(program, folder / "models/model.pt2", extra_files=dict(papers))
    torch.save(weights, folder / "models/model.pt")
    write_json(folder / "configs/metadata.json", metadata(settings, data, papers))
    write_json(folder / "configs/inference.json", inference(settings, data))
    (folder / "scripts/__init__.py").write_text('"""What `configs/inference.json` calls."""\n')
    shutil.copyfile(SCRIPT, folder / "scripts/inference.py")
    (folder / "LICENSE").write_text(licence_text(papers))
    (folder / "docs" / "README.md").write_text(readme(settings, data, papers))


def inference(settings: TrainingSettings, data: TrainedOn) -> dict[str, Any]:
    """Return the content of `configs/inference.json`."""
    prompt = dict(settings.prompt or {})
    return {
        "imports": ["$from scripts.inference import segment"],
        "bundle_root": ".",
        "marks": "$@bundle_root + '/marks.csv'",
        "output_dir": "$@bundle_root + '/masks'",
        "network_def": {"_target_": "UNet", **UNET},
        "model": "$@bundle_root + '/models/model.pt2'",
        "shape": prompt.get("shape", "ellipse"),
        "channels": data.channels,
        "window_hu": list(data.window_hu or (-160.0, 240.0)),
        "initialize": [],
        "run": [
            "$segment(@model, @marks, @output_dir, shape=@shape, channels=@channels,"
            " window_hu=@window_hu)"
        ],
        "finalize": [],
    }


def metadata(settings: TrainingSettings, data: TrainedOn, papers: dict[str, str]) -> dict[str, Any]:
    """Return the content of `configs/metadata.json`."""
    side = [settings.input_px, settings.input_px]
    return {
        "schema": SCHEMA,
        "version": weaklesion.__version__,
        "changelog": {weaklesion.__version__: "exported by weaklesion export"},
        "monai_version": version("monai"),
        "pytorch_version": torch.__version__.split("+")[0],
        "numpy_version": version("numpy"),
        "required_packages_version": {
            "nibabel": version("nibabel"),
            "pillow": version("pillow"),
        },
        "name": f"Lesions from RECIST marks, {data.named()}",
        "task": "Segmentation of a lesion whose two diameters are marked",
        "description": f"Given an image and a RECIST mark; trained on {data.named()}.",
        "authors": "the owner of the training run",
        "copyright": papers["terms"],
        "license": papers["licence"],
        "data_source": data.source,
        "data_type": "PNG, JPG, NIfTI",
        "intended_use": papers["terms"],
        "trained_on": data.as_json(),
        "network_data_format": {
            "inputs": {
                "image": {
                    "type": "image",
                    "format": "crop",
                    "modality": data.modality,
                    "num_channels": INPUT_CHANNELS,
                    "spatial_shape": side,
                    "dtype": "float32",
                    "value_range": [],
                    "is_patch_data": True,
                    "channel_def": {
                        "0": "normalised level",
                        "1": "normalised level",
                        "2": "normalised level",
                        "3": "validity",
                        "4": "mark",
                        "5": "discriminant",
                    },
                }
            },
            "outputs": {
                "pred": {
                    "type": "image",
                    "format": "logits",
                    "num_channels": 1,
                    "spatial_shape": side,
                    "dtype": "float32",
                    "value_range": [],
                    "is_patch_data": True,
                    "channel_def": {"0": "lesion where at least 0"},
                }
            },
        },
    }


def licence_text(papers: dict[str, str]) -> str:
    """Return the content of `LICENSE`."""
    return (
        f"Weights (models/)\n\nLicence of the training data: {papers['licence']}\n"
        f"{papers['terms']}\n\nCode (scripts/, configs/)\n\nApache License 2.0,"
        " https://www.apache.org/licenses/LICENSE-2.0\n"
    )


def readme(settings: TrainingSettings, data: TrainedOn, papers: dict[str, str]) -> str:
    """Return the content of the README in `docs/`."""
    told = json.dumps(data.as_json(), indent=2)
    shape = (settings.prompt or {}).get("shape", "ellipse")
    return f"""# Lesions from RECIST marks: {data.named()}

**{papers["terms"]}**

The network is given an image and the two diameters of one lesion, and returns the lesion's mask.

    python -m monai.bundle run --config_file configs/inference.json \\
        --marks marks.csv --output_dir masks

Call it in the bundle's folder. `marks.csv` has one row per mark, with columns separated by commas:
`image`, for volumes `slice` (from 0), and `long_a_x`, `long_a_y`, `long_b_x`, `long_b_y`,
`short_a_x`, `short_a_y`, `short_b_x`, `short_b_y` in px, with (0, 0) in the centre of the first
pixel. Paths are relative to the table. `masks/` gets a PNG of 0 and 255 per mark, in the geometry
of its image or slice. The PNG has the name of the mark's `id`, or without one that of its row:
`mark-00001` is the first.

- `models/model.pt2` is the whole function (`torch.export`): image and mark to logits. The network
  alone is `network_def`, with `models/model.pt`.
- The mark becomes the shape `{shape}`. NIfTI, and 16-bit images of Hounsfield units + 32768, are
  shown through `window_hu`.
- A mask is not compared with its mark, parts beside the mark are not removed, holes are not filled,
  and images much finer than the network's input are not averaged first. `weaklesion segment` does
  all four.
- Table, marks and images are checked before the first mask. Images that are stored rotated (EXIF)
  or have other colours than the network's, files of several images, a slice without a finite value,
  and a `slice` for a file that is not a volume are refused.
- The bundle is not a MONAI inference workflow: `configs/inference.json` calls a function on a
  table, and has no dataset, inferer or evaluator.

Trained on:

```json
{told}
```
"""
