"""`tools/measure_windows.py`: what the window of Hounsfield units does to pseudo-masks."""

import sys
from unittest import mock

import measure_windows
import nibabel
import numpy as np
import pandas as pd
import pytest

from weaklesion.data.loaders import custom
from weaklesion.diameters import recist_from_mask
from weaklesion.ellipse import Ellipse, draw_ellipse
from weaklesion.four_ends import FourEnds
from weaklesion.marks.table import read_marks
from weaklesion.metrics import dice
from weaklesion.pseudo_masks import RefinedSettings, pseudo_mask
from weaklesion.recist import RECIST_COLUMNS
from weaklesion.support.yaml_files import read_yaml


@pytest.fixture
def marks(tmp_path):
    """Six lesions, of which the last lies where the image has the level of air."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(6):
        lesion = draw_ellipse(Ellipse(40.0 + number, 36.0, 34.0, 24.0, 20.0 * number), (70, 90))
        image = np.where(lesion, 80, 20) + rng.normal(0, 12, lesion.shape)
        if number == 5:
            image[:] = -1000
        for name, array in (("image", image.astype(np.float32)), ("mask", lesion.astype(np.uint8))):
            path = tmp_path / f"{number}-{name}.nii"
            nibabel.save(nibabel.Nifti1Image(array.T[:, :, None], np.diag([0.8, 0.8, 2, 1])), path)
        rows.append(
            {"id": f"m{number}", "image": f"{number}-image.nii", "slice": 0, "group": f"p{number}"}
            | dict(zip(RECIST_COLUMNS, recist_from_mask(lesion).ravel(), strict=True))
            | {"mask": f"{number}-mask.nii"}
        )
    rows.append(rows[0] | {"id": "outside", "long_a_x": "?"})
    pd.DataFrame(rows).to_csv(tmp_path / "marks.csv", index=False)
    return tmp_path / "marks.csv"


def measured(marks, *windows):
    out = marks.parent / "windows.csv"
    words = [str(word) for window in windows for word in ("--window", *window)]
    with mock.patch.object(sys, "argv", ["measure_windows.py", str(marks), str(out), *words]):
        measure_windows.main()
    return pd.read_csv(out)


def test_each_window_is_scored_with_the_weight_that_recovers_best(marks, root, capsys):
    table = measured(marks, (-160, 240), (0, 100))
    assert "1 of 6 drawn marks left out\n1 rows of the table refused" in capsys.readouterr().out
    assert table[["low_hu", "high_hu"]].to_numpy().tolist() == [[-160, 240], [0, 100]]
    assert table["marks"].tolist() == [5, 5]
    config = read_yaml(root / "config.yaml")["protocols"]["corrected"]
    scores = []
    for mark in read_marks(marks)[0][:5]:
        settings = config["patches"]["custom"] | {"side_px": 120, "on_bad_sample": "drop"}
        settings |= {"dense": True, "limit": {}, "frame": "source", "channel_order": "center"}
        settings["window_hu"] = (0.0, 100.0)
        sample = custom.read_sample(mark, "", "g", custom.Settings(**settings))
        true = FourEnds(sample.recist, config["supervision"]["ends_exponent"])
        constants = config["supervision"]["refined"]
        constants |= {"prior_weight": table["prior_weight"][1]}
        drawn = pseudo_mask(sample.image, true, RefinedSettings(**constants), ct=True)
        scores.append(100 * dice(sample.reference > 0, drawn))
    assert table["dice"][1] == pytest.approx(np.mean(scores), rel=1e-5)
    assert table["dice"].min() > 90


def test_no_mark_in_a_window_is_said(marks, capsys):
    with pytest.raises(SystemExit):
        measured(marks, (-160, 240), (5000, 6000))
    assert "marks.csv: no mark can be used in all of these windows" in capsys.readouterr().err


def test_a_window_that_is_given_twice_counts_its_marks_once(marks, capsys):
    once = measured(marks, (0, 200))
    said = capsys.readouterr().out
    pd.testing.assert_frame_equal(measured(marks, (0, 200), (0, 200)), once)
    assert capsys.readouterr().out == said


def test_a_window_whose_values_are_exchanged_is_refused(marks, capsys):
    with pytest.raises(SystemExit):
        measured(marks, (-160, 240), (100, 0))
    assert "--window 100 0: give the lower value first" in capsys.readouterr().err
