"""The log and the lock of a rule's script, workflow/scripts/job.py."""

import subprocess
import sys

import pytest

STAND_IN = """
import errno, fcntl, sys
sys.path.insert(0, {scripts!r})
import job
if {error!r}:
    def refuse(*_):
        raise OSError(getattr(errno, {error!r}), "refused")
    fcntl.lockf = refuse
with job.logged(sys.argv[1]):
    print("entered", flush=True)
    if {wait!r}:
        sys.stdin.read()
"""


@pytest.fixture
def start(root, tmp_path):
    """Start a process that holds the log of the same job; returns it and the log."""
    log = tmp_path / "logs/train_arm/a1.log"
    log.parent.mkdir(parents=True)
    started = []

    def run(error="", wait=False):
        code = STAND_IN.format(scripts=str(root / "workflow/scripts"), error=error, wait=wait)
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        process = subprocess.Popen([sys.executable, "-c", code, log], text=True, **pipes)
        started.append(process)
        return process, log

    yield run
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.parametrize("error", ["ENOSYS", "ENOLCK", "EOPNOTSUPP"])
def test_a_file_system_without_locks_is_told_of_once_and_the_job_runs(start, error):
    process, log = start(error)
    output, errors = process.communicate()
    assert process.returncode == 0
    assert output == "entered\n"
    assert errors.count(f"{log}: no locks on this file system (refused)") == 1


def test_any_other_failure_of_a_lock_stops_the_job(start):
    process, _ = start("EIO")
    assert "entered" not in process.communicate()[0]
    assert process.returncode != 0


def test_a_job_that_waits_for_its_like_leaves_the_log_of_that_one(start):
    first, log = start(wait=True)
    assert first.stdout.readline() == "entered\n"
    log.write_text("of the first\n")
    second, _ = start()
    assert "the same job still runs" in second.stderr.readline()
    assert log.read_text() == "of the first\n"
    first.stdin.close()
    assert second.communicate()[0] == "entered\n"
    assert log.read_text() == ""
