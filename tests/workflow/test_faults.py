"""What goes wrong on machines: after each fault the next run ends with the same tables."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from running import RUNS, TINY, command, environment, overlay, snakemake

from weaklesion.errors import DataError
from weaklesion.support.files import read_array, written_whole
from weaklesion.support.parallel import in_parallel

pytestmark = pytest.mark.slow

ONE_DATASET = {"select": {"items": ["table1"], "datasets": ["phantom_ham10k"]}}
TABLE = "results/tiny/tables/table1.csv"
RUN = f"{RUNS}/a1/seed-1"


@pytest.fixture(scope="module")
def undisturbed(finished, tmp_path_factory):
    """Folder with Table 1 of one dataset; tests must not change it."""
    folder = shutil.copytree(finished, tmp_path_factory.mktemp("undisturbed") / "copy")
    snakemake(folder, "table1", *overlay(folder, ONE_DATASET))
    return folder


@pytest.fixture
def study(undisturbed, tmp_path):
    """A copy of it, with its configuration, without one arm's run and without the table."""
    folder = shutil.copytree(undisturbed, tmp_path / "copy")
    shutil.rmtree(folder / RUN)
    (folder / TABLE).unlink()
    yield folder, ("table1", "--rerun-incomplete", *TINY, folder / "change.yaml")
    for process in processes(folder, "train_arm"):
        os.kill(process, signal.SIGKILL)


def start(folder, *arguments, python=None):
    """Start Snakemake in a session of its own; its jobs can be found, stopped and killed."""
    return subprocess.Popen(
        command(folder, *arguments, python=python),
        stdout=(folder / "output").open("w"),
        stderr=subprocess.STDOUT,
        cwd=folder,
        env=environment(folder) | {"REAL_PYTHON_FOR": ".train_arm.py"},
        start_new_session=True,
    )


def wait_for(condition, timeout_s=600):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def processes(folder, script):
    """Process ids of a script that Snakemake runs in a folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().decode().split("\0")
        except OSError:
            continue
        if words[0].endswith("python") and any(
            str(folder) in word and word.endswith(f"{script}.py") for word in words[1:]
        ):
            found.append(int(entry.name))
    return found


def same_table(folder, undisturbed):
    assert (folder / TABLE).read_bytes() == (undisturbed / TABLE).read_bytes()
    scores = f"{RUN}/scores.csv"
    assert (folder / scores).read_bytes() == (undisturbed / scores).read_bytes()
    assert not list((folder / "results").rglob(".part.*"))


def test_a_killed_training(study, undisturbed):
    folder, arguments = study
    running = start(folder, *arguments)
    wait_for((folder / RUN / "last.pt").exists)
    for process in processes(folder, "train_arm"):
        os.kill(process, signal.SIGKILL)
    assert running.wait(timeout=600) == 1
    assert not (folder / RUN / "model.safetensors").exists()
    snakemake(folder, *arguments)
    log = next((folder / "results/tiny/logs/train_arm").glob("phantom_ham10k-demo-a1-1.log"))
    assert "resuming after epoch" in log.read_text()
    same_table(folder, undisturbed)


def test_a_killed_snakemake_and_the_job_that_it_leaves(study, undisturbed):
    """The lock is told of; a job that still runs is waited for, not run twice at once."""
    folder, arguments = study
    running = start(folder, *arguments, python=sys.executable)  # a fork's jobs end with it
    wait_for((folder / RUN / "last.pt").exists)
    left = processes(folder, "train_arm")
    os.kill(left[0], signal.SIGSTOP)  # so that it is still there when the next one begins
    running.kill()
    running.wait(timeout=60)
    refused = snakemake(folder, *arguments, expect=1)
    assert "--unlock" in refused
    snakemake(folder, "--unlock", *arguments)
    again = start(folder, *arguments)
    wait_for(lambda: "the same job still runs" in (folder / "output").read_text())
    os.kill(left[0], signal.SIGCONT)
    assert again.wait(timeout=600) == 0, (folder / "output").read_text()
    same_table(folder, undisturbed)


def test_two_snakemakes_on_one_folder(study, undisturbed):
    folder, arguments = study
    first = start(folder, *arguments)
    wait_for((folder / RUN / "last.pt").exists)
    refused = snakemake(folder, *arguments, expect=1)
    assert "cannot be locked" in refused
    assert first.wait(timeout=600) == 0
    same_table(folder, undisturbed)


def test_a_truncated_array_is_found_and_made_again(study, undisturbed):
    folder, arguments = study
    images = folder / "results/tiny/phantom_ham10k/demo/patches/images.npy"
    before, times = images.read_bytes(), images.stat()
    images.write_bytes(before[:-1000])
    os.utime(images, ns=(times.st_atime_ns, times.st_mtime_ns))
    output = snakemake(folder, *arguments, expect=1)
    assert "images.npy: its bytes differ from those that were written" in output
    assert not images.exists()
    snakemake(folder, *arguments)
    assert images.read_bytes() == before
    same_table(folder, undisturbed)


@pytest.fixture
def small_disk(tmp_path):
    """A disk of its own, of 1 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("no disk can be mounted here (not root)")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def remount(folder, options):
    subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)


def on_disk(folder, disk):
    """Put a study's runs on that disk, but for the one that is missing."""
    runs = folder / RUNS
    remount(disk, "size=2g")
    shutil.copytree(runs, disk / "runs")
    shutil.rmtree(runs)
    runs.symlink_to(disk / "runs")


def test_a_full_disk(study, undisturbed, small_disk):
    folder, arguments = study
    on_disk(folder, small_disk)
    used = sum(path.stat().st_size for path in small_disk.rglob("*"))
    remount(small_disk, f"size={used // 1024 + 2000}k")
    output = snakemake(folder, *arguments, expect=1)
    assert "No space left on device" in output
    assert "Check permissions and space" in output
    assert "Traceback" not in output
    assert not (folder / RUN / "model.safetensors").exists()
    remount(small_disk, "size=2g")
    snakemake(folder, *arguments)
    same_table(folder, undisturbed)


def test_a_folder_that_becomes_read_only(study, undisturbed, small_disk):
    folder, arguments = study
    on_disk(folder, small_disk)
    running = start(folder, *arguments)
    wait_for((folder / RUN / "last.pt").exists)
    for process in processes(folder, "train_arm"):
        os.kill(process, signal.SIGSTOP)
    remount(small_disk, "ro")
    for process in processes(folder, "train_arm"):
        os.kill(process, signal.SIGCONT)
    assert running.wait(timeout=600) == 1
    assert "Read-only file system" in (folder / "output").read_text()
    remount(small_disk, "rw")
    snakemake(folder, *arguments)
    same_table(folder, undisturbed)


def test_a_killed_worker_of_a_pool(tmp_path, monkeypatch):
    """As the kernel kills one when memory runs out: an error with the cure, nothing half made."""
    monkeypatch.setattr("weaklesion.support.parallel.WORTH_S", 0.0)
    here = os.getpid()

    def double(item):
        if item == 7 and not (tmp_path / "second").exists():
            assert os.getpid() != here
            os.kill(os.getpid(), signal.SIGKILL)
        return 2 * item

    def make():
        with written_whole(tmp_path / "doubled.npy") as beside:
            np.save(beside, np.array(list(in_parallel(double, range(40), 2, "numbers"))))

    with pytest.raises(DataError, match=r"numbers.*killed.*memory.*Run again"):
        make()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "second").touch()
    make()
    assert read_array(tmp_path / "doubled.npy").tolist() == [2 * item for item in range(40)]
