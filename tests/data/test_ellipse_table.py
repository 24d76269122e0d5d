"""`ellipses.csv`: marks are read as ellipses, or as the shape through their four ends."""

import numpy as np
import pandas as pd
import pytest

from weaklesion.data.ellipse_table import read_ellipses, read_ends, read_mark_shapes, write_marks
from weaklesion.ellipse import Ellipse
from weaklesion.four_ends import FourEnds
from weaklesion.recist import ellipse_from_recist, recist_from_ellipse

MARK = np.array([[40.0, 60.0], [150.0, 90.0], [100.0, 40.0], [80.0, 110.0]])
PARALLEL = np.array([[0.0, 0.0], [50.0, 0.0], [10.0, 5.0], [40.0, 7.0]])


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "ellipses.csv"
    marks = [("007", MARK), ("b", PARALLEL)]
    write_marks(path, [(name, ellipse_from_recist(points), points) for name, points in marks])
    return path


def test_marks_come_back_as_they_were_written(table):
    assert read_ellipses(table)["007"] == ellipse_from_recist(MARK)
    assert read_mark_shapes(table, "ellipse") == read_ellipses(table)
    found = read_mark_shapes(table, "ends", 1.6)["007"]
    assert isinstance(found, FourEnds)
    assert (found.points == MARK).all()
    assert found.exponent == 1.6


def test_where_ends_define_no_shape_the_ellipse_does_and_the_log_says_so(table, caplog):
    found = read_ends(table, 1.6)["b"]
    assert found.points == pytest.approx(recist_from_ellipse(ellipse_from_recist(PARALLEL)))
    assert "b: the axes of its ellipse are taken, because the diameters are nearly" in caplog.text
    assert "007" not in caplog.text


def test_a_table_full_of_such_marks_does_not_flood_the_log(tmp_path, caplog):
    rows = [(str(n), ellipse_from_recist(PARALLEL), PARALLEL) for n in range(9)]
    write_marks(tmp_path / "many.csv", rows)
    assert len(read_ends(tmp_path / "many.csv", 2.0)) == 9
    assert len(caplog.records) == 6
    assert "and those of 4 more marks" in caplog.text


def test_an_ellipse_alone_is_read_from_a_table_without_ends(tmp_path):
    """Tables that an earlier version wrote."""
    row = {"id": "a", "cx": 5.0, "cy": 6.0, "width": 8.0, "height": 4.0, "angle_deg": 0.0}
    pd.DataFrame([row]).to_csv(tmp_path / "old.csv", index=False)
    assert read_ellipses(tmp_path / "old.csv") == {"a": Ellipse(5.0, 6.0, 8.0, 4.0, 0.0)}
