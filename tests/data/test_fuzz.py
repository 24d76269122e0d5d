"""Every reader on damaged files: a refusal or an answer, and nothing else."""

import subprocess
import sys

import pytest
from conftest import ROOT

pytestmark = [pytest.mark.workflow, pytest.mark.slow]


def test_500_damaged_files_cause_no_fault(tmp_path):
    command = [sys.executable, ROOT / "tools/fuzz.py", "--inputs", "500", "--keep", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1200)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line.rsplit(maxsplit=8) for line in done.stdout.splitlines()[1:]]
    assert len(rows) == 20 + 1  # readers, and all of them together
    numbers = list(map(int, rows[-1][1:]))
    assert sum(numbers) == 500
    assert min(numbers[:3]) > 0  # refused, the same answer, another answer
