"""`tools/mark_masks.py`: a table of marks and masks for every slice of lesions with masks."""

import math
import sys
from unittest import mock

import mark_masks
import numpy as np
import pandas as pd
import pytest
from lumps import image_of, lump, write_cases
from scipy import ndimage

from weaklesion.diameters import recist_from_mask
from weaklesion.marks.images import read_picture
from weaklesion.marks.masks import read_mask
from weaklesion.marks.table import read_marks
from weaklesion.recist import RECIST_COLUMNS

LARGE, SMALL = (
    lump(center=(60.0, 30.0, 20.0)),
    lump(center=(20.0, 60.0, 22.0), axes_mm=(14.0, 10.0, 12.0)),
)


@pytest.fixture
def cases(tmp_path):
    """Six patients with two lesions each: five to train and validate on, one to test."""
    images = {f"{number}.nii": image_of(LARGE | SMALL, seed=number) for number in range(6)}
    return write_cases(tmp_path, np.where(LARGE | SMALL, 2, 1), images, label=2)


def marked(folder):
    command = ["mark_masks.py", str(folder / "cases.csv"), str(folder / "out")]
    with mock.patch.object(sys, "argv", command):
        mark_masks.main()
    return pd.read_csv(folder / "out/marks.csv")


def parts_by_hand():
    """Slice, area and mark of each part, found with another library."""
    for place in range(LARGE.shape[2]):
        plane = (LARGE | SMALL)[:, :, place].T
        labels, count = ndimage.label(plane, np.ones((3, 3)))
        for label in range(1, count + 1):
            yield place, (labels == label).sum(), recist_from_mask(labels == label)


def test_every_part_of_every_slice_is_marked_and_small_ones_are_counted(cases, capsys):
    table = marked(cases)
    every = list(parts_by_hand())
    kept = [part for part in every if math.dist(*part[2][2:]) >= 5]
    assert 0 < len(kept) < len(every)
    assert f"{6 * (len(every) - len(kept))} parts left out" in capsys.readouterr().out
    assert table.groupby("group").size().tolist() == [len(kept)] * 6
    splits = table.groupby("group")["split"].unique().str.join(" ").to_dict()
    trained = {f"{number}.nii": "train" for number in range(4)}
    assert splits == {**trained, "4.nii": "val", "5.nii": "test"}
    of_one = table[table["group"] == "0.nii"]
    by_hand = sorted((place, *np.round(points.ravel(), 3)) for place, _, points in kept)
    found = sorted(map(tuple, of_one[["slice", *RECIST_COLUMNS]].round(3).to_numpy()))
    np.testing.assert_allclose(found, by_hand, atol=0.002)


def test_each_mark_has_the_mask_of_its_own_part(cases):
    marked(cases)
    marks, refused = read_marks(cases / "out/marks.csv")
    assert marks
    assert not refused
    areas = {(place, area) for place, area, _ in parts_by_hand()}
    for mark in marks:
        mask = read_mask(mark, read_picture(mark, (-40, 160)))
        assert (mark.slice, mask.sum()) in areas
        np.testing.assert_allclose(recist_from_mask(mask), mark.points, atol=0.002)
