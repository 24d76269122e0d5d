"""What `tools/carry_marks.py` and `tools/mark_masks.py` make alike of a table of cases."""

import sys
from unittest import mock

import carry_marks
import mark_masks
import nibabel
import numpy as np
import pandas as pd
import pytest
from lumps import SIZES, image_of, lump, write_cases

LESION = lump()


@pytest.fixture
def cases(tmp_path):
    """Six patients with an image of the same name each, of whom the last is tested."""
    images = {f"P{number}/ct.nii": image_of(LESION, number) for number in range(6)}
    return write_cases(tmp_path, LESION, images)


def marks_of(tool, folder):
    """Return the marks that a tool writes."""
    out = folder / ("marks.csv" if tool is carry_marks else "out")
    command = [f"{tool.__name__}.py", str(folder / "cases.csv"), str(out)]
    with mock.patch.object(sys, "argv", command):
        tool.main()
    return pd.read_csv(out if tool is carry_marks else out / "marks.csv")


@pytest.mark.parametrize("tool", [carry_marks, mark_masks])
def test_images_of_one_name_are_patients_of_their_own(cases, tool):
    splits = marks_of(tool, cases).groupby("group")["split"].unique().str.join(" ")
    assert splits.tolist() == [*["train"] * 4, "val", "test"]


@pytest.mark.parametrize("tool", [carry_marks, mark_masks])
def test_pixels_that_are_not_square_are_refused(cases, tool):
    path = cases / "P0/ct.nii"
    wide = np.diag([2 * SIZES[0], *SIZES[1:], 1.0])
    nibabel.save(nibabel.Nifti1Image(nibabel.load(path).get_fdata(), wide), path)
    with pytest.raises(SystemExit, match=r"P0/ct\.nii: its pixels are not square"):
        marks_of(tool, cases)


@pytest.mark.parametrize("tool", [carry_marks, mark_masks])
def test_volumes_of_four_dimensions_are_refused(cases, tool):
    for path in (cases / "P0/ct.nii", *cases.glob("*.nii")):
        image = nibabel.load(path)
        nibabel.save(nibabel.Nifti1Image(image.get_fdata()[..., None], image.affine), path)
    with pytest.raises(SystemExit, match=r"P0/ct\.nii: has .* x 1 voxels, not three dimensions"):
        marks_of(tool, cases)
