"""Changes of areas, and the least error that pixels allow, worked by hand."""

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from documented_columns import documented

from weaklesion.dicom.area_changes import COLUMNS, EMPTY, write_areas
from weaklesion.dicom.areas import Area, area_of, change, sum_of
from weaklesion.dicom.timeline import NO_SCALE, Course, Measured


def square(side):
    mask = np.zeros((20, 20), bool)
    mask[3 : 3 + side, 4 : 4 + side] = True
    return mask


@pytest.mark.parametrize("later", [10, 12, 40])
def test_errors_by_chance_exceed_the_detectable_change_in_at_most_5_percent(later):
    """Borders displaced as the assumption says; at 40 px most of the error is one visit's."""
    rng = np.random.default_rng(0)
    drawn = [rng.uniform(-0.5, 0.5, 100_000) * 4 * side * 0.25 for side in (10, later)]
    areas = [Area(0.25 * side**2, 4 * side * 0.25 / 12**0.5) for side in (10, later)]
    by_chance = np.abs(drawn[1] - drawn[0]) > change(*areas).detectable_mm2
    assert by_chance.mean() < 0.05


def test_two_squares_by_hand():
    """10x10 and 12x12 px of 0.5 mm; 40 and 48 sides."""
    small, large = (area_of(square(side), (0.5, 0.5), "network") for side in (10, 12))
    assert (small.mm2, large.mm2) == (25.0, 36.0)
    assert small.sd_mm2 == pytest.approx(40 * 0.25 / 12**0.5)  # 2.887
    assert large.sd_mm2 == pytest.approx(48 * 0.25 / 12**0.5)  # 3.464
    found = change(small, large)
    assert (found.mm2, found.pct) == (11.0, 44.0)
    assert found.detectable_mm2 == pytest.approx(1.96 * (100 / 12 + 144 / 12) ** 0.5)  # 8.838
    assert found.detected
    assert not change(small, area_of(square(11), (0.5, 0.5), "network")).detected  # 5.25 mm2
    assert change(large, small).mm2 == -11.0
    assert change(large, small).detected


def test_the_deviation_is_that_of_a_border_displaced_at_random():
    """Squares of 16 px whose border is displaced by -0.5 to 0.5 px, in steps."""
    displaced_px = np.linspace(-0.5, 0.5, 1001)
    areas_mm2 = (16 + 2 * displaced_px) ** 2 * 0.5 * 0.8
    assert area_of(square(16), (0.5, 0.8), "network").sd_mm2 == pytest.approx(
        areas_mm2.std(), rel=0.01
    )


def test_sides_of_holes_and_at_the_edge_of_the_image_count():
    mask = np.ones((3, 3), bool)
    mask[1, 1] = False
    area = area_of(mask, (1, 2), "network")
    assert area.mm2 == 16.0
    assert area.sd_mm2 == pytest.approx((12 + 4) * 2 / 12**0.5)


def test_an_empty_mask_has_no_area_and_no_error():
    assert area_of(np.zeros((4, 4), bool), (1, 1), "empty") == Area(0.0, 0.0, ("empty",))


def test_parts_of_a_lesion_add_up():
    both = sum_of([Area(4.0, 1.0, ("network",)), Area(9.0, 2.0, ("ellipse",))])
    assert both == Area(13.0, 3.0, ("network", "ellipse"))


def measured(mm2, sd_mm2=1.0, answer="network"):
    return Measured((5.0,), (4.0,), Area(mm2, sd_mm2, (answer,)), (f"m{mm2:g}",))


def written(folder, lesions):
    course = Course("P01", (1, 30, 61), lesions, frozenset())
    write_areas([course], folder)
    return pd.read_csv(folder / "areas.csv")


def test_changes_since_the_baseline_and_the_preceding_visit(tmp_path):
    lesions = {"T01": {0: measured(20.0, 3.0), 1: measured(10.0, 4.0), 2: measured(12.0, 3.0)}}
    table = written(tmp_path, lesions)
    assert tuple(table.columns) == COLUMNS
    assert table["visit"].tolist() == [1, 2, 3]
    assert table["day"].tolist() == [1, 30, 61]
    assert table["marks"].tolist() == ["m20", "m10", "m12"]
    columns = ["baseline_change_mm2", "baseline_change_pct", "baseline_detectable_mm2"]
    assert table[columns].iloc[1:].to_numpy().tolist() == [[-10, -50, 9.8], [-8, -40, 8.32]]
    assert table["baseline_detected"].tolist()[1:] == [True, False]
    columns = ["preceding_visit", "preceding_change_mm2", "preceding_change_pct"]
    assert table[columns].iloc[1:].to_numpy().tolist() == [[1, -10, -50], [2, 2, 20]]
    assert table.iloc[0][["baseline_change_mm2", "preceding_visit"]].isna().all()


def test_visits_without_an_area_are_told_and_skipped(tmp_path):
    lesions = {
        "T01": {0: measured(20.0), 1: measured(0.0, 0.0, "empty"), 2: measured(30.0)},
        "T02": {0: Measured(marks=("a", "b"), cause=NO_SCALE), 1: measured(5.0), 2: measured(6.0)},
        "N01": {2: measured(7.0)},
    }
    table = written(tmp_path, lesions).set_index(["lesion", "visit"])
    assert table.loc[("T01", 2), "cause"] == EMPTY
    assert np.isnan(table.loc[("T01", 2), "baseline_change_mm2"])
    assert table.loc[("T01", 3), "preceding_visit"] == 1
    assert table.loc[("T02", 1), "cause"] == NO_SCALE
    assert np.isnan(table.loc[("T02", 3), "baseline_change_mm2"])
    assert table.loc[("T02", 3), "preceding_change_mm2"] == 1.0
    assert table.loc[("N01", 3), ["baseline_change_mm2", "preceding_visit"]].isna().all()


def test_the_columns_are_documented():
    page = (ROOT / "docs/reference/outputs.md").read_text(encoding="utf-8")
    assert documented(page)["`areas.csv`"].in_order == COLUMNS
