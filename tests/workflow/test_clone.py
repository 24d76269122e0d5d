"""A clone, used as the documents say: fetch first, stop with Ctrl-C, go on, move."""

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import yaml
from conftest import ROOT
from preloaded_python import preloaded_python
from running import clone, environment

pytestmark = pytest.mark.slow

STUDY = {
    "study": "moved",
    "seeds": [1],
    "protocols": {"demo": {"exceptions": [{"datasets": ["ham10k"], "training": {"epochs": 10}}]}},
    "select": {"items": ["table1"], "datasets": ["phantom_ham10k"]},
}
FILES = ("--configfile", "workflow/studies/demo.yaml", "tiny.yaml")
COMMAND = ("table1", *FILES, "study.yaml")
RUN = "results/moved/phantom_ham10k/demo/runs/a1/seed-1"


def snakemake(folder, *words, expect=0):
    """Run in a clone as a user does, with what its default profile says."""
    done = subprocess.run(
        [preloaded_python(), "-m", "snakemake", *words],
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment(folder.parent),
        timeout=1500,
        check=False,
    )
    output = done.stdout + done.stderr
    assert done.returncode == expect, output[-6000:]
    return output


@pytest.fixture(scope="module")
def cloned(tmp_path_factory):
    """A clone with the settings of the tiny study, and of one that is small and can be stopped."""
    folder = clone(tmp_path_factory.mktemp("clone") / "here")
    shutil.copy(ROOT / "tests/tiny.yaml", folder)
    (folder / "study.yaml").write_text(yaml.safe_dump(STUDY))
    return folder


def test_what_is_fetched_first_is_not_fetched_again(cloned):
    """On a login node, say: archives, tables, and the slices of DeepLesion."""
    snakemake(cloned, "downloads", *FILES)
    raw = {
        dataset: {path.name for path in (cloned / f"resources/{dataset}/tiny/{kind}").iterdir()}
        for dataset, kind in (
            ("phantom_ham10k", "archives"),
            ("phantom_lits", "archives"),
            ("phantom_deeplesion", "extracted"),
        )
    }
    assert raw["phantom_ham10k"] == {
        "HAM10000_images_part_1.zip",
        "HAM10000_images_part_2.zip",
        "HAM10000_segmentations_lesion_tschandl.zip",
        "HAM10000_metadata.csv",
    }
    assert raw["phantom_lits"] == {"lits_phantom.zip"}
    assert {"Images_png_01.zip", "Images_png_02.zip"} <= raw["phantom_deeplesion"]
    assert not (cloned / "results/tiny/phantom_ham10k").exists()
    plan = snakemake(cloned, *FILES, "-n", "--quiet", "rules")
    assert "train_arm" in plan
    assert "download_file" not in plan
    assert "fetch_slices" not in plan


def interrupt(folder, command, watched):
    """Start Snakemake, and press Ctrl-C as soon as there is a file."""
    output = folder / "output"
    with output.open("w") as stream:
        running = subprocess.Popen(
            [sys.executable, "-m", "snakemake", *command],
            stdout=stream,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=environment(folder.parent),
            start_new_session=True,
            # a shell's background jobs ignore Ctrl-C, and so would this if the tests are one
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        try:
            deadline = time.monotonic() + 600
            while not watched.exists():
                assert running.poll() is None, output.read_text()[-6000:]
                assert time.monotonic() < deadline
                time.sleep(0.002)
            os.killpg(running.pid, signal.SIGINT)  # as a terminal does, to all processes
            running.wait(timeout=120)
        finally:
            running.kill()
    assert running.returncode != 0


@pytest.fixture(scope="module")
def interrupted(cloned):
    """The clone, in which a study was stopped by Ctrl-C twice, and run again to its end."""
    patches = cloned / "results/moved/phantom_ham10k/demo/patches/images.npy"
    interrupt(cloned, COMMAND, patches)
    # without the default profile Snakemake would stop here
    plain = ("--workflow-profile", "none", "--cores", "1")
    assert "IncompleteFilesException" in snakemake(cloned, *COMMAND, *plain, expect=1)
    interrupt(cloned, COMMAND, cloned / RUN / "last.pt")
    assert not (cloned / RUN / "run.json").exists()
    snakemake(cloned, *COMMAND)
    return cloned


def test_after_ctrl_c_the_same_command_goes_on(interrupted):
    assert (interrupted / "results/moved/tables/table1.csv").is_file()
    log = interrupted / "results/moved/logs/train_arm/phantom_ham10k-demo-a1-1.log"
    assert "resuming after epoch" in log.read_text()


def test_in_a_clone_that_was_moved_nothing_runs_again(interrupted):
    """Nor in a copy with its times and hidden files; with another file of code all of it does."""
    moved = interrupted.parent / "elsewhere/deeper/there"
    shutil.copytree(interrupted, moved, symlinks=True)
    assert "Nothing to be done" in snakemake(moved, "-n", *COMMAND)
    code = moved / "src/weaklesion/recist.py"
    code.write_text(code.read_text() + "\n# changed\n")
    assert "make_patches" in snakemake(moved, *COMMAND, "-n", "--quiet", "rules")
