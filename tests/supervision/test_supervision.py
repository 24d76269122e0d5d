import pandas as pd
import pytest

from weaklesion.data.ellipse_table import read_ellipses
from weaklesion.data.samples import read_samples
from weaklesion.ellipse import draw_ellipse
from weaklesion.errors import DataError
from weaklesion.supervision.ellipses import draw_ellipses
from weaklesion.support.files import read_array


def draw(samples_csv, images_npy, folder):
    draw_ellipses(
        samples_csv=samples_csv,
        images_npy=images_npy,
        ellipses_csv=folder / "ellipses.csv",
        target_npy=folder / "ellipse.npy",
        center="midpoint",
        outline_px=0.0,
    )


def test_targets_are_the_drawn_ellipses(patches, tmp_path):
    draw(patches / "samples.csv", patches / "images.npy", tmp_path)
    ellipses = read_ellipses(tmp_path / "ellipses.csv")
    target = read_array(tmp_path / "ellipse.npy")
    ids = list(read_samples(patches / "samples.csv").index)
    assert list(ellipses) == ids
    for row, sample_id in enumerate(ids):
        assert (target[row] == draw_ellipse(ellipses[sample_id], (64, 64))).all()


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [("long_b_x", float("nan"), "finite"), ("long_a_x", 5000.0, "covers no pixel")],
)
def test_bad_mark_names_the_file_and_the_sample(patches, tmp_path, column, value, message):
    table = pd.read_csv(patches / "samples.csv")
    table.loc[4, column] = value
    if value == value:
        for name in [c for c in table if (c.endswith("_x") and "_a_" in c) or "_b_x" in c]:
            table.loc[4, name] += 5000.0
    table.to_csv(tmp_path / "samples.csv", index=False)
    with pytest.raises(DataError, match=rf"samples\.csv: sample {table['id'][4]}: .*{message}"):
        draw(tmp_path / "samples.csv", patches / "images.npy", tmp_path)
    assert not (tmp_path / "ellipse.npy").exists()
