"""What `run.json` says of the sizes of training samples, and of their dataset."""

import pandas as pd
import pytest

from weaklesion.recist import RECIST_COLUMNS
from weaklesion.study.data_facts import data_facts
from weaklesion.study.protocols import merge
from weaklesion.study.trained_on import TrainedOn
from weaklesion.support.yaml_files import read_yaml
from weaklesion.training.seen_samples import describe_sizes


def rows():
    """Three training marks of 10, 20 and 30 px, of 0.5, 1 x 2 and unknown mm; and a test mark."""
    for name, length, mm, split in (
        ("a", 10, (0.5, 0.5), "train"),
        ("b", 20, (1, 2), "train"),
        ("c", 30, ("", ""), "train"),
        ("d", 999, (9, 9), "test"),
    ):
        along = (
            5,
            5,
            5 + length,
            5,
            7,
            3,
            7,
            9,
        )  # long diameter along x, short one of 6 px along y
        crop = {"crop_x0": 0, "crop_y0": 2, "crop_x1": 4 * length, "crop_y1": 42}
        yield {
            "id": name,
            "group": name,
            "split": split,
            **crop,
            "mm_per_px_x": mm[0],
            "mm_per_px_y": mm[1],
            **dict(zip(RECIST_COLUMNS, along, strict=True)),
        }


def test_sizes_are_those_of_the_training_samples(tmp_path):
    pd.DataFrame(rows()).to_csv(tmp_path / "samples.csv", index=False)
    seen = describe_sizes(tmp_path / "samples.csv", ["a", "b", "c"], (96, 96))
    assert seen["image_px"] == [96, 96]
    assert seen["crop_px"] == [40, 120]
    assert seen["spacing_mm"] == [0.5, 2]
    assert seen["long_px"] == pytest.approx({"p0": 10, "p5": 11, "p50": 20, "p95": 29, "p100": 30})
    # b has 20 px of 1 mm along x, and 6 px of 2 mm along y: its long diameter has 20 mm
    assert seen["long_mm"] == pytest.approx(
        {"p0": 5, "p5": 5.75, "p50": 12.5, "p95": 19.25, "p100": 20}
    )
    known = describe_sizes(tmp_path / "samples.csv", ["c"], (96, 96))
    assert known["spacing_mm"] is known["long_mm"] is None


@pytest.mark.parametrize(
    ("dataset", "protocol", "expected"),
    [
        ("ham10k", "corrected", ("dermoscopy", "rgb", None, "hull_ellipse", "CC BY-NC 4.0")),
        ("ham10k", "released", ("dermoscopy", "bgr", None, "hull_ellipse", "CC BY-NC 4.0")),
        ("lits", "released", ("CT", "grey", [0, 255], "hull_ellipse", "CC BY-SA 4.0")),
        ("lits", "recist", ("CT", "grey", [-160, 240], "recist", "CC BY-SA 4.0")),
        ("deeplesion", "corrected", ("CT", "grey", None, "drawn", "NIH")),
        ("liver", "corrected", ("CT", "grey", [-160, 240], "none", "CC BY-SA 4.0")),
        ("own", "own", ("unknown", "rgb", None, "drawn", "unknown")),
        ("own", "grey", ("unknown", "grey", [-160, 240], "drawn", "unknown")),
        ("phantom_lits", "demo", ("CT", "grey", [-160, 240], "hull_ellipse", "Apache-2.0")),
    ],
)
def test_facts_of_a_dataset(root, dataset, protocol, expected):
    config = read_yaml(root / "config.yaml")
    for study in ("own-marks", "demo"):
        config = merge(config, read_yaml(root / f"workflow/studies/{study}.yaml"))
    patches = {"patches": {"custom": {"channel_order": "center"}}}
    config["protocols"]["grey"] = {"base": "own"} | patches
    facts = data_facts(config, dataset, protocol)
    *rest, licence = expected
    assert [facts[key] for key in ("modality", "channels", "window_hu", "marks")] == rest
    assert licence in facts["licence"]
    TrainedOn(**facts)
    config["datasets"][dataset] |= {"modality": "MR", "licence": "mine\n"}
    stated = data_facts(config, dataset, protocol)
    assert stated["modality"] == "MR"
    assert (stated["licence"] == "mine") == ("phantom" not in dataset)
