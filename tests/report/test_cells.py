import math

import pytest

from weaklesion.report.tables.cells import difference_cells, direction
from weaklesion.scoring.statistics import Comparison

COMPARISON = Comparison(
    difference=0.02,
    ci_low=0.01,
    ci_high=0.03,
    p_value=0.04,
    detectable=0.015,
    unknown="",
    n_seeds=3,
    n_groups=10,
)


def test_differences_of_overlaps_are_in_percent_and_those_of_distances_as_they_are():
    overlap = difference_cells(COMPARISON, "dice")
    assert overlap == {
        "difference": pytest.approx(2.0),
        "ci_low": pytest.approx(1.0),
        "ci_high": pytest.approx(3.0),
        "p_value": 0.04,
        "detectable": pytest.approx(1.5),
        "unknown": "",
    }
    assert difference_cells(COMPARISON, "hausdorff")["difference"] == 0.02


def test_columns_of_a_difference_have_the_names_of_their_table():
    cells = difference_cells(
        COMPARISON, "hausdorff", name="gain", prefix="gain_", omit=("detectable",)
    )
    assert list(cells) == ["gain", "gain_ci_low", "gain_ci_high", "p_value", "gain_unknown"]


def test_without_a_test_no_direction_is_decided():
    assert direction(2.0, "dice", math.nan) == "undecided"
    assert direction(2.0, "dice", 0.05) == "undecided"
    assert direction(2.0, "dice", 0.01) == "better"
    assert direction(2.0, "hausdorff", 0.01) == "worse"
