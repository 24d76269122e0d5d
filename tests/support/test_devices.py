"""Locks of GPUs, with an nvidia-smi that the test makes: what a job sees, and who waits."""

import errno
import os
import signal
import subprocess
import sys
import time

import pytest

from weaklesion.errors import DataError
from weaklesion.support.devices import claimed_device, visible_devices

HOLDER = """
import sys, time
from weaklesion.support.devices import claimed_device
with claimed_device(int(sys.argv[2]), folder=sys.argv[1]) as device:
    print(device, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def three_gpus(tmp_path, monkeypatch):
    """A machine with three GPUs; returns the folder of the locks."""
    program = tmp_path / "bin/nvidia-smi"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nprintf '0, GPU-a\\n1, GPU-b\\n2, GPU-c\\n'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    locks = tmp_path / "locks"
    locks.mkdir()
    return locks


@pytest.fixture
def hold(three_gpus):
    """Start a process that holds a device; returns it and, when it has one, the device."""
    started = []

    def start(jobs_per_gpu=1):
        command = [sys.executable, "-c", HOLDER, three_gpus, str(jobs_per_gpu)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def device_of(process):
    return process.stdout.readline().strip()


@pytest.mark.workflow
def test_jobs_take_different_gpus_and_one_too_many_waits_for_a_killed_one(hold):
    holders = [hold() for _ in range(3)]
    devices = [device_of(process) for process in holders]
    assert sorted(devices) == ["0", "1", "2"]
    waiting = hold()
    os.set_blocking(waiting.stdout.fileno(), False)
    time.sleep(1.5)
    assert device_of(waiting) == ""
    os.set_blocking(waiting.stdout.fileno(), True)
    os.kill(holders[1].pid, signal.SIGKILL)
    assert device_of(waiting) == devices[1]


def test_two_on_a_gpu_only_when_asked(hold):
    devices = [device_of(hold(jobs_per_gpu=2)) for _ in range(6)]
    assert sorted(devices[:3]) == ["0", "1", "2"]  # an empty one before a second on one
    assert sorted(devices) == ["0", "0", "1", "1", "2", "2"]


def test_only_the_claimed_device_is_visible_to_the_job(three_gpus, monkeypatch):
    with claimed_device(folder=three_gpus) as device:
        assert os.environ["CUDA_VISIBLE_DEVICES"] == device == "0"
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2")
    with claimed_device(folder=three_gpus) as device:
        assert device == "2"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "2"


@pytest.mark.parametrize(
    ("allowed", "devices"),
    [
        ("1,2", {"1": "GPU-b", "2": "GPU-c"}),
        ("GPU-b", {"GPU-b": "GPU-b"}),
        ("MIG-5", {"MIG-5": "MIG-5"}),
        ("", {}),
        ("-1", {}),
    ],
)
@pytest.mark.usefixtures("three_gpus")
def test_a_scheduler_says_which_gpus_there_are(monkeypatch, allowed, devices):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", allowed)
    assert visible_devices() == devices


def test_the_same_gpu_by_number_and_by_uuid_is_one(three_gpus, monkeypatch):
    with claimed_device(folder=three_gpus):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a")
        with (
            pytest.raises(DataError, match=r"locked by other jobs.*jobs_per_gpu"),
            claimed_device(folder=three_gpus, wait_s=0),
        ):
            pass


@pytest.mark.parametrize("number", [0, -1])
def test_no_jobs_on_a_gpu_are_refused_at_once(three_gpus, number):
    with (
        pytest.raises(DataError, match=rf"jobs_per_gpu={number}: .* at least 1"),
        claimed_device(number, folder=three_gpus, wait_s=0),
    ):
        pass


def test_a_machine_without_gpus(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with claimed_device(folder=tmp_path) as device:
        assert device is None
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_is_a_link_or_a_fifo_is_refused(three_gpus, tmp_path):
    name = three_gpus / "weaklesion-GPU-a-0.lock"
    name.symlink_to(tmp_path / "made")
    with pytest.raises(DataError, match="cannot be a lock"), claimed_device(folder=three_gpus):
        pass
    assert not (tmp_path / "made").exists()
    name.unlink()
    os.mkfifo(name)
    with pytest.raises(DataError, match="is not a file"), claimed_device(folder=three_gpus):
        pass


def refusing(number):
    """A kernel whose lock fails with an error."""

    def flock(*_):
        raise OSError(number, os.strerror(number))

    return flock


@pytest.mark.parametrize("name", ["ENOSYS", "ENOLCK", "EOPNOTSUPP"])
def test_without_locks_a_job_runs_and_says_so(three_gpus, monkeypatch, caplog, name):
    monkeypatch.setattr("fcntl.flock", refusing(getattr(errno, name)))
    with claimed_device(folder=three_gpus, wait_s=0) as device:
        assert device == "0"
    (said,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "weaklesion-GPU-a-0.lock: no locks on this file system (" in said
    assert said.endswith("jobs may share a GPU; set TMPDIR to a local folder")


def test_a_lock_that_fails_otherwise_is_refused_and_closed(three_gpus, monkeypatch):
    before = set(os.listdir("/dev/fd"))
    monkeypatch.setattr("fcntl.flock", refusing(errno.EIO))
    with (
        pytest.raises(DataError, match=r"GPU-a-0\.lock: cannot be locked \(.*another disk"),
        claimed_device(folder=three_gpus, wait_s=0),
    ):
        pass
    assert set(os.listdir("/dev/fd")) == before
