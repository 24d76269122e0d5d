"""Parallel work: the order of results, and where the work is done."""

import os

import pytest

from weaklesion.support import parallel
from weaklesion.support.parallel import in_parallel


def where(item):
    return item, os.getpid()


def test_little_work_is_done_in_this_process():
    found = list(in_parallel(where, range(100), 2, "numbers"))
    assert found == [(item, os.getpid()) for item in range(100)]


def test_more_work_is_done_in_others_in_the_same_order(monkeypatch):
    """The first item shows how long one takes."""
    monkeypatch.setattr(parallel, "WORTH_S", 0.0)
    found = list(in_parallel(where, range(2, 50), 2, "numbers"))
    assert [item for item, _ in found] == list(range(2, 50))
    assert [process == os.getpid() for _, process in found] == [True] * 1 + [False] * 47


def test_one_worker_is_this_process(monkeypatch):
    monkeypatch.setattr(parallel, "WORTH_S", 0.0)
    assert {process for _, process in in_parallel(where, range(5), 1, "numbers")} == {os.getpid()}


def test_nothing_to_do():
    assert list(in_parallel(where, [], 2, "numbers")) == []


@pytest.mark.parametrize(
    ("times", "left"),
    [
        ([], 0),
        ([1.5], 0),  # an import, perhaps
        ([3.0], 27),
        ([1.5, 0.01, 0.03], 0.02 * 7),
    ],
)
def test_seconds_left(times, left):
    assert parallel._left_s(times, 10) == pytest.approx(left)
