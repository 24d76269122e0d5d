"""How far a lesion reaches across slices, on ratios whose best extent is known by hand."""

import math

import numpy as np
import pytest

from weaklesion.ellipse import Ellipse
from weaklesion.volumes.across import LEAST_RATIO, best_across
from weaklesion.volumes.ellipsoid import Ellipsoid
from weaklesion.volumes.region import Region

SIDE, SLICES, STEP_MM, ACROSS_MM = 41, 601, 0.1, 20.0
ELLIPSOID = Ellipsoid(Ellipse(20.0, 20.0, 36.0, 30.0, 25.0), ACROSS_MM, SLICES // 2)


def deviation(ratio, *, spread, weight):
    """Logarithm of the extent that is found, over that of the mark."""
    frame = np.diag([1.0, 1.0, STEP_MM])
    box = (slice(0, SIDE), slice(0, SIDE), slice(0, SLICES))
    values = np.full((SIDE, SIDE, SLICES), ratio, dtype=np.float32)
    region = Region(values, box, values.shape, frame)
    found = best_across(values, region.axes(), region, ELLIPSOID, spread=spread, weight=weight)
    assert (found.ellipse, found.index) == (ELLIPSOID.ellipse, ELLIPSOID.index)
    return math.log(found.across_mm / ACROSS_MM)


@pytest.mark.parametrize("best", [0.16, 0.24, 0.4])
def test_support_and_prior_balance_where_their_slopes_do(best):
    """A ratio of 2 everywhere: an extent of exp(d) times the mark's has support 2/3 exp(d)."""
    spread = 0.2
    weight = best / spread**2 / (2 / 3 * math.exp(best))
    assert deviation(2.0, spread=spread, weight=weight) == pytest.approx(best, abs=1e-6)


def test_a_ratio_of_a_third_of_the_least_counts_a_third():
    weight = 0.4 / 0.2**2 / (2 / 3 * math.exp(0.4))
    faint = deviation(LEAST_RATIO / 3, spread=0.2, weight=weight)
    assert faint == deviation(2.0, spread=0.2, weight=weight / 3) < 0.4


def test_with_a_prior_that_allows_nothing_else_the_extent_stays_that_of_the_mark():
    assert deviation(2.0, spread=1e-3, weight=10.0) == pytest.approx(0, abs=1e-6)


def test_the_extent_ends_where_the_ratio_turns_negative():
    above_mm = np.abs(np.arange(SLICES) - SLICES // 2) * STEP_MM
    ratio = np.where(above_mm <= 14.0, 1.0, -20.0)
    assert deviation(ratio, spread=1e3, weight=1.0) == pytest.approx(math.log(1.4), abs=0.08)
