"""`tools/measure_volumes.py`: summaries that are worked by hand, and one lesion."""

import sys
from unittest import mock

import measure_volumes
import nibabel
import numpy as np
import pandas as pd
import pytest
from lumps import SIZES, image_of, lump


def row(name, method, dice, error, low=np.nan, high=np.nan, undecided=np.nan):
    scores = {"dice": dice, "nsd_2mm": 50.0, "asd_mm": 1.0, "hd95_mm": 2.0}
    about = {"id": name, "dataset": "d", "role": "tested", "method": method}
    about |= {"volume_error_percent": error, "reference_mm3": 100.0, "seconds": 1.0}
    return about | scores | {"low_mm3": low, "high_mm3": high, "undecided": undecided}


def test_gains_and_intervals_are_counted_over_lesions():
    rows = [row("a", "ellipsoid", 70.0, -10.0), row("b", "ellipsoid", 80.0, 10.0)]
    rows += [row("a", "levels", 76.0, -4.0, 90.0, 110.0, False)]
    rows += [row("b", "levels", 77.0, 2.0, 101.0, 120.0, True)]  # misses the true 100
    found = measure_volumes.summarised(pd.DataFrame(rows)).set_index("method")
    levels = found.loc["levels"]
    assert levels[["lesions", "dice", "gain", "worst_gain"]].tolist() == [2, 76.5, 1.5, -3.0]
    assert levels[["below_minus_2", "in_interval_percent", "undecided"]].tolist() == [1, 50.0, 1]
    spread = 1.96 * np.std([-4.0, 2.0], ddof=1)
    assert levels[["error_low", "error_high"]].tolist() == pytest.approx([-1 - spread, -1 + spread])
    assert found.loc["ellipsoid", "gain"] == 0
    assert np.isnan(found.loc["ellipsoid", "in_interval_percent"])


def test_a_lesion_without_levels_is_the_ellipsoids_and_counted(tmp_path):
    mask = lump(waves=0.15)
    affine = np.diag([*SIZES, 1.0])
    for name, values in (("seen", image_of(mask)), ("dark", np.full(mask.shape, np.nan))):
        nibabel.save(
            nibabel.Nifti1Image(values.astype(np.float32), affine), tmp_path / f"{name}.nii"
        )
    nibabel.save(nibabel.Nifti1Image(mask.astype(np.uint8), affine), tmp_path / "mask.nii")
    cases = [
        {"id": name, "dataset": "d", "role": "tested", "image": f"{name}.nii", "mask": "mask.nii",
         "label": 1}
        for name in ("seen", "dark")
    ]  # fmt: skip
    pd.DataFrame(cases).to_csv(tmp_path / "cases.csv", index=False)
    words = ["measure_volumes.py", str(tmp_path / "cases.csv"), str(tmp_path / "out")]
    with mock.patch.object(sys, "argv", words):
        measure_volumes.main()
    lesions = pd.read_csv(tmp_path / "out/lesions.csv").set_index(["id", "method"])
    dice = lesions["dice"]
    assert dice["seen", "levels"] > dice["seen", "ellipsoid"] + 3
    assert dice["dark", "levels"] == dice["dark", "ellipsoid"]
    assert lesions["reference_mm3"].unique() == pytest.approx(mask.sum() * np.prod(SIZES), rel=1e-4)
    summary = pd.read_csv(tmp_path / "out/summary.csv").set_index("method")
    assert summary.loc["levels", "undecided"] == 1


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ([{"label": 2}], r"mask\.nii \(a\): has no voxel of the label 2"),
        ([{"mask": "half.nii"}], r"half\.nii \(a\): is .* voxels large, its image"),
        ([{}, {"dataset": "e"}], r"cases\.csv: a occurs twice"),
    ],
)
def test_cases_that_would_be_scored_wrongly_are_refused(tmp_path, changed, why):
    mask = lump(waves=0.15)
    affine = np.diag([*SIZES, 1.0])
    arrays = {"seen": image_of(mask).astype(np.float32), "mask": mask.astype(np.uint8)}
    for name, values in (arrays | {"half": arrays["mask"][:, :, :25]}).items():
        nibabel.save(nibabel.Nifti1Image(values, affine), tmp_path / f"{name}.nii")
    case = {"id": "a", "dataset": "d", "role": "tested", "image": "seen.nii", "mask": "mask.nii",
            "label": 1}  # fmt: skip
    pd.DataFrame([case | each for each in changed]).to_csv(tmp_path / "cases.csv", index=False)
    words = ["measure_volumes.py", str(tmp_path / "cases.csv"), str(tmp_path / "out")]
    with mock.patch.object(sys, "argv", words), pytest.raises(SystemExit, match=why):
        measure_volumes.main()
