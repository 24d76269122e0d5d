"""Every reader on damaged files: a refusal or an answer, and nothing else."""

import pytest
from fuzz import FAULTS, trials

pytestmark = pytest.mark.workflow


def test_500_damaged_files_cause_no_fault(tmp_path):
    told = list(trials(500, 1, tmp_path))
    assert [(name, kind, text) for name, kind, text, _ in told if kind in FAULTS] == []
    assert len({name for name, *_ in told}) == 18
    assert {"refused", "same", "other"} == {kind for _, kind, _, _ in told}
