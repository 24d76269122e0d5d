import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from weaklesion.ellipse import Ellipse
from weaklesion.recist import ellipse_from_recist, parse_recist, recist_from_ellipse

# long diameter along x through (10, 20), short one along y
CROSS = np.array([[0.0, 20], [20, 20], [10, 15], [10, 25]])
marks = st.lists(st.floats(-100, 100), min_size=8, max_size=8).map(
    lambda values: np.array(values).reshape(4, 2)
)


def shape(ellipse):
    return np.array([ellipse.cx, ellipse.cy, *ellipse.shape_matrix().ravel()])


def usable(points):
    a, b = points[1] - points[0], points[3] - points[2]
    lengths = np.hypot(*a), np.hypot(*b)
    assume(min(lengths) > 1)
    assume(abs(a[0] * b[1] - a[1] * b[0]) > 0.2 * lengths[0] * lengths[1])
    # where both diameters pull equally hard in opposite directions the axes are arbitrary
    assume(abs(lengths[0] - lengths[1]) > 1)
    return points


@pytest.mark.parametrize("center", ["midpoint", "intersection"])
def test_by_hand(center):
    assert ellipse_from_recist(CROSS, center=center) == Ellipse(10, 20, 20, 10, 0)


def test_centres_differ_where_the_diameters_do_not_halve_each_other():
    points = CROSS + np.array([[0, 0], [0, 0], [6, 0], [6, 0]])
    assert ellipse_from_recist(points).cx == 13
    assert ellipse_from_recist(points, center="intersection").cx == 16


@given(marks)
def test_click_order_changes_nothing(points):
    points = usable(points)
    expected = shape(ellipse_from_recist(points))
    for order in ([1, 0, 2, 3], [0, 1, 3, 2], [2, 3, 0, 1], [3, 2, 1, 0]):
        np.testing.assert_allclose(shape(ellipse_from_recist(points[order])), expected, atol=1e-6)


@given(marks)
def test_turning_and_mirroring_the_mark_turns_and_mirrors_the_ellipse(points):
    points = usable(points)
    ellipse = ellipse_from_recist(points)
    for matrix in (np.array([[0.0, -1], [1, 0]]), np.array([[-1.0, 0], [0, 1]])):
        moved = ellipse_from_recist(points @ matrix.T)
        np.testing.assert_allclose(
            [moved.cx, moved.cy], matrix @ [ellipse.cx, ellipse.cy], atol=1e-6
        )
        np.testing.assert_allclose(
            moved.shape_matrix(), matrix @ ellipse.shape_matrix() @ matrix.T, atol=1e-5
        )


@given(st.floats(-50, 50), st.floats(5, 90), st.floats(0.1, 0.9), st.floats(0, 179))
def test_mark_of_an_ellipse_gives_it_back(cx, width, ratio, angle):
    ellipse = Ellipse(cx, 7, width, width * ratio, angle)
    np.testing.assert_allclose(
        shape(ellipse_from_recist(recist_from_ellipse(ellipse))), shape(ellipse), atol=1e-6
    )


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (np.zeros((4, 2)), "no length"),
        (np.array([[0, 0], [4, 0], [1, 1], [3, 1.0]]), "parallel"),
        (np.full((4, 2), np.nan), "finite"),
        (np.zeros((3, 2)), "finite"),
    ],
)
def test_degenerate_marks(points, message):
    with pytest.raises(ValueError, match=message):
        ellipse_from_recist(points)


def test_unknown_center():
    with pytest.raises(ValueError, match="center"):
        ellipse_from_recist(CROSS, center="middle")


def test_parse():
    assert parse_recist("0, 20, 20, 20, 10, 15, 10, 25").tolist() == CROSS.tolist()


@pytest.mark.parametrize("text", ["1,2,3,4,5,6,7", "1,2,3,4,5,6,7,nan", "1,2,3,4,5,6,7,x", ""])
def test_parse_refuses(text):
    with pytest.raises(ValueError, match="RECIST mark"):
        parse_recist(text)
