"""What libraries raise about files, numbers in tables, and limits."""

import struct
import zlib

import pytest

from weaklesion.errors import DataError
from weaklesion.support.reading import LONGEST_CAUSE, index_in, limit_of, number_in, refusing


@pytest.mark.parametrize(
    "error",
    [
        struct.error("short"),
        zlib.error("bad"),
        RuntimeError("loop"),
        AttributeError("affine"),
        OverflowError("inf"),
        KeyError(3),
        AssertionError(),
        MemoryError(),
        RecursionError(),
        OSError("no errno"),
        PermissionError(13, "Permission denied"),
    ],
    ids=repr,
)
def test_whatever_a_library_raises_becomes_one_error_with_its_cause(error):
    with (
        pytest.raises(DataError, match=r"^x\.png: \S.*") as raised,
        refusing(lambda cause: DataError(f"x.png: {cause}")),
    ):
        raise error
    assert raised.value.__cause__ is error


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left"), KeyboardInterrupt(), DataError("y")]
)
def test_errors_of_the_machine_the_user_and_the_project_pass(error):
    with pytest.raises(type(error)) as raised, refusing(lambda cause: DataError("x")):
        raise error
    assert raised.value is error


def test_a_cause_is_one_short_line():
    with pytest.raises(DataError) as raised, refusing(DataError):
        raise ValueError("a\n" * 500)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) <= LONGEST_CAUSE + 3


@pytest.mark.parametrize("text", ["1_0", "\u0661", "", "1e", "0x1", ".", "1.2.3", "e5", "1 0"])
def test_texts_that_are_no_numbers(text):
    with pytest.raises(ValueError, match="is not a number"):
        number_in(text)


def test_numbers_and_indices():
    assert [number_in(text) for text in ("1.", ".5", "-2", " 3e2 ")] == [1, 0.5, -2, 300]
    texts = ("012", "1234567890", "\u00b2", "-1", "")
    assert [index_in(text) for text in texts] == [12, None, None, None, None]


@pytest.mark.parametrize("text", ["0", "-1", "many", "1_0", "1e9"])
def test_a_limit_is_a_whole_number(monkeypatch, text):
    assert limit_of(("A_LIMIT", 5)) == 5
    monkeypatch.setenv("A_LIMIT", "7")
    assert limit_of(("A_LIMIT", 5)) == 7
    monkeypatch.setenv("A_LIMIT", text)
    with pytest.raises(DataError, match="A_LIMIT: needs a whole number above 0"):
        limit_of(("A_LIMIT", 5))
