"""`tools/carry_marks.py`: marks of a lesion's other slices, for training without masks."""

import math
import sys
from unittest import mock

import carry_marks
import nibabel
import numpy as np
import pandas as pd
import pytest
from lumps import SIZES, image_of, lump, write_cases

from weaklesion.diameters import recist_from_mask
from weaklesion.recist import RECIST_COLUMNS

LESION = lump(waves=0.15)


@pytest.fixture
def cases(tmp_path):
    """Six images of one lesion: five to train and validate on, the last one to test."""
    images = {f"{number}.nii": image_of(LESION) for number in range(6)}
    return write_cases(tmp_path, LESION, images)


def carried(folder, *words):
    command = ["carry_marks.py", str(folder / "cases.csv"), str(folder / "marks.csv"), *words]
    with mock.patch.object(sys, "argv", command):
        carry_marks.main()
    return pd.read_csv(folder / "marks.csv")


def test_marks_are_carried_to_slices_of_the_lesion(cases, capsys):
    marks = carried(cases)
    said = capsys.readouterr().out
    assert "slices left out: a short diameter below 5 px; levels cannot decide on 0 lesions" in said
    places = np.flatnonzero(LESION.any(axis=(0, 1)))
    for name, of_case in marks.groupby("group"):
        if name == "5.nii":
            assert (len(of_case), of_case["split"].tolist()) == (1, ["test"])
            continue
        assert set(of_case["split"]) == {"val" if name == "4.nii" else "train"}
        assert set(of_case["slice"]) <= {*(places[0] - 1 + np.arange(len(places) + 2))}
        assert len(of_case) >= 0.7 * len(places)
    one = marks[marks["group"] == "0.nii"].set_index("slice")
    errors = []
    for place in set(one.index) & set(places.tolist()):
        points = one.loc[place, list(RECIST_COLUMNS)].to_numpy(float).reshape(4, 2)
        true = recist_from_mask(LESION[:, :, place].T)
        errors.append(math.dist(*points[:2]) / math.dist(*true[:2]) - 1)
    assert abs(np.median(errors)) < 0.1


def test_a_lesion_without_levels_keeps_its_own_mark_and_is_counted(cases, capsys):
    dark = np.full(LESION.shape, np.nan, np.float32)
    nibabel.save(nibabel.Nifti1Image(dark, np.diag([*SIZES, 1.0])), cases / "0.nii")
    marks = carried(cases)
    assert (marks["group"] == "0.nii").sum() == 1
    assert "levels cannot decide on 1 lesions" in capsys.readouterr().out


def test_a_given_mark_is_taken_and_no_mask_is_read(cases):
    table = pd.read_csv(cases / "cases.csv")
    own = carried(cases, "--only-marked").set_index("group")
    assert len(own) == 6
    for column in ("slice", *RECIST_COLUMNS):
        table[column] = own[column].to_numpy()
    table.to_csv(cases / "cases.csv", index=False)
    (cases / "mask.nii").unlink()
    again = carried(cases, "--only-marked").set_index("group")
    pd.testing.assert_frame_equal(again, own)
