"""A sample of `make crash-test`: jobs and Snakemake are killed at ten moments of a study."""

import re

import pytest
import yaml
from crash.harness import STUDY, Tally, choose, record, run_with_crashes

POINTS = 10
ONE_DATASET = {
    "study": "crash",
    "seeds": [1],
    "select": {"items": ["table1"], "datasets": ["phantom_ham10k"]},
}


def test_moments_are_spread_over_rules_and_over_their_course():
    moments = [f"{rule} open {number}" for rule in "ab" for number in range(8)] + ["c open 0"]
    chosen = choose(moments, 7)
    assert chosen == sorted(chosen)
    numbers = {rule: [int(m[-1]) for m in chosen if m[0] == rule] for rule in "abc"}
    assert numbers == {"a": [1, 4, 6], "b": [1, 4, 6], "c": [0]}
    assert choose(moments, 100) == sorted(moments)


@pytest.mark.timeout(900)
def test_tables_are_the_same_after_crashes(tmp_path):
    (tmp_path / "one.yaml").write_text(yaml.safe_dump(ONE_DATASET))
    arguments = ["table1", "--configfile", *STUDY, tmp_path / "one.yaml"]
    reference, folder = tmp_path / "undisturbed", tmp_path / "crashed"
    reference.mkdir()
    folder.mkdir()
    moments = record(reference, arguments)
    assert len(moments) > 50
    tally = Tally()
    missed = run_with_crashes(folder, reference, arguments, choose(moments, POINTS), tally)
    assert sum(tally.crashes.values()) == POINTS - len(missed)
    assert len(missed) <= 2
    assert {kind for _, kind in tally.crashes} == {"job", "all"}
    assert tally.differences == []
    assert tally.leftovers == []
    # what the harness compares is there
    assert re.search("phantom_ham10k", (folder / "results/crash/tables/table1.csv").read_text())
