"""What Snakemake says of a job whose params changed."""

import pytest

from weaklesion.study.reasons import LONGEST, described, say_what_changed

RUNS = [{"arm": "a1", "seed": seed} for seed in range(5)]
SETTINGS = {"epochs": 50, "augmentation": {"flip": True, "scale": [0.9, 1.1]}, "seed": None}


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        ([SETTINGS], [SETTINGS | {"epochs": 60}], "epochs: 50 -> 60"),
        (
            [SETTINGS],
            [SETTINGS | {"augmentation": {"flip": False, "scale": [0.9, 1.2]}}],
            "augmentation.flip: True -> False; augmentation.scale: [0.9, 1.1] -> [0.9, 1.2]",
        ),
        ([SETTINGS], [SETTINGS | {"new": 1}], "new: nothing -> 1"),
        ([SETTINGS | {"old": 1}], [SETTINGS], "old: 1 -> nothing"),
        ([1], [2], "1 -> 2"),
        ([True, 1], [2], "no longer 1; no longer True; now 2"),
        ([RUNS], [[*RUNS, {"arm": "a1", "seed": 9}]], "a list: 1 new entries, 0 no longer there"),
        ([RUNS], [RUNS[::-1]], "a list: another order"),
        ([SETTINGS, {"a1": "A1"}], [SETTINGS | {"epochs": 9}, {"a1": "A"}],
         "a1: A1 -> A; epochs: 50 -> 9"),
        ([], [3], "now 3"),
        (
            [{"limit": {"train": 20, "val": 5}}],
            [{"limit": {"val": 5, "train": 20}}],
            "the same settings in another order",
        ),
    ],
)  # fmt: skip
def test_only_what_changed_is_named(before, now, said):
    assert described(map(repr, before), map(repr, now)) == said


def test_what_is_no_literal_is_its_text():
    assert described(["range(0, 3)"], ["range(0, 4)"]) == "range(0, 3) -> range(0, 4)"


def test_a_reason_is_short():
    before, now = ({f"key{n}": value * 100 for n in range(40)} for value in "ab")
    said = described([repr(before)], [repr(now)])
    assert said.count(" -> ") == 6
    assert said.endswith("; and 34 more")
    assert len(said) < 8 * (2 * LONGEST + 20)


def test_snakemake_says_it():
    from snakemake.persistence import ParamsChange

    say_what_changed()
    change = ParamsChange(only_old={"{'epochs': 50}"}, only_new={"{'epochs': 60}"}, files={"a"})
    assert str(change) == "epochs: 50 -> 60"
