"""What `--config key=value` means."""

import math

import pytest

from weaklesion.errors import DataError
from weaklesion.study.overrides import parse_overrides


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("null", None),
        ("~", None),
        ("true", True),
        ("False", False),
        ("3", 3),
        ("-3", -3),
        ("0", 0),
        ("1.5", 1.5),
        ("1e-3", 0.001),
        ("-2.5E+2", -250.0),
        (".inf", math.inf),
        # strings: labels, paths, dates, times, and what YAML 1.1 made numbers and truths of
        ("corrected", "corrected"),
        ("a/b.csv", "a/b.csv"),
        ("2026-11-26", "2026-11-26"),
        ("1:30", "1:30"),
        ("007", "007"),
        ("1_000", "1_000"),
        ("on", "on"),
        ("no", "no"),
        ("1e", "1e"),
        ('"1"', "1"),
        ("'null'", "null"),
    ],
)
def test_a_scalar_is_the_same_however_deep_it_stands(text, value):
    entries = [f"top={text}", f"list=[{text}]", f"nested={{a: {{b: {text}}}}}"]
    parsed = parse_overrides(entries)
    assert parsed == {"top": value, "list": [value], "nested": {"a": {"b": value}}}
    assert type(parsed["top"]) is type(value)


def test_entries_of_one_key_add_up():
    entries = ["datasets={a: {limit: {train: 50}}}", "datasets={b: {source: x}}", "seeds=[2]"]
    assert parse_overrides(entries) == {
        "datasets": {"a": {"limit": {"train": 50}}, "b": {"source": "x"}},
        "seeds": [2],
    }


def test_what_is_no_yaml_is_a_string():
    assert parse_overrides(["title=a: b: c", "x=", "y=p=q"]) == {
        "title": "a: b: c",
        "x": None,
        "y": "p=q",
    }


def test_an_entry_without_a_value():
    with pytest.raises(ValueError, match="'seeds' is not key=value"):
        parse_overrides(["seeds"])


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (["seeds=[1]", "seeds=[1]"], "seeds is given twice"),
        (["seeds=[1]", "title=x", "seeds=[2]"], "seeds is given twice"),
        (["training={epochs: 1}", "training=null"], "training is given twice"),
        (["a={b: {c: 1, d: 2}}", "a={b: {d: 2}}"], "a.b.d is given twice"),
        (["a={b: 1, b: 2}"], "a gives b twice"),
        (["a=[{b: {c: 1, d: 1, c: 1}}]"], "a gives c twice"),
        (["a={'b': 1, b: 2}"], "a gives b twice"),
    ],
)
def test_a_setting_that_is_given_twice_is_refused(entries, message):
    with pytest.raises(DataError, match=f"--config: {message}. Keep one of them."):
        parse_overrides(entries)
