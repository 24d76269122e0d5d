"""Lines of a log that say how far a loop is."""

import re

import pytest

from weaklesion.support.progress import progress


@pytest.mark.parametrize(
    ("items", "total", "done", "lines"),
    [
        ("abc", 3, 0, ["e, steps: 1/3", "e, steps: 2/3", "e, steps: 3/3"]),
        ("yz", 26, 24, ["e, steps: 24/26", "e, steps: 25/26", "e, steps: 26/26"]),
    ],
)
def test_a_loop_counts_from_what_was_done_before(caplog, items, total, done, lines):
    with caplog.at_level("INFO"):
        walked = list(progress(items, total=total, what="e, steps", done=done, every_s=0))
    assert walked == list(items)
    said = [re.match(r"e, steps: \d+/\d+", message)[0] for message in caplog.messages]
    assert list(dict.fromkeys(said)) == lines
