"""A sample of `make crash-test`: jobs and Snakemake are killed at moments of a study."""

import re

import pytest
import yaml
from crash.harness import STUDY, Tally, choose, record, run_with_crashes

pytestmark = pytest.mark.slow

POINTS, AT_LEAST = 12, 10  # a moment may not come again once its job has been killed by another
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


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Folder of an undisturbed run, the arguments that made it, and its moments."""
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "one.yaml").write_text(yaml.safe_dump(ONE_DATASET))
    arguments = ["table1", "--configfile", *STUDY, folder / "one.yaml"]
    return folder, arguments, record(folder, arguments)


def test_same_seed_gives_the_same_bytes_of_scores(undisturbed, finished):
    scores = sorted(undisturbed[0].rglob("scores.csv"))
    assert len(scores) == 3
    for path in scores:
        run = path.relative_to(undisturbed[0] / "results/crash")
        assert path.read_bytes() == (finished / "results/tiny" / run).read_bytes()


def test_tables_are_the_same_after_crashes(undisturbed, tmp_path):
    reference, arguments, moments = undisturbed
    folder = tmp_path / "crashed"
    folder.mkdir()
    assert len(moments) > 50
    tally = Tally()
    missed = run_with_crashes(folder, reference, arguments, choose(moments, POINTS), tally)
    assert sum(tally.crashes.values()) == POINTS - len(missed) >= AT_LEAST
    assert {kind for _, kind in tally.crashes} == {"job", "all"}
    assert tally.differences == []
    assert tally.leftovers == []
    # what the harness compares is there
    assert re.search("phantom_ham10k", (folder / "results/crash/tables/table1.csv").read_text())
