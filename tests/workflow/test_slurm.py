"""The Slurm profile on a real Slurm: one node with one GPU, see `.ci/slurm`."""

import os
import re
import shutil
import subprocess
import sys
import time

import pandas as pd
import pytest
from conftest import ROOT
from preloaded_python import preloaded_python
from running import TINY, snakemake

from weaklesion.support.cluster import never_starting
from weaklesion.support.yaml_files import read_yaml

pytestmark = pytest.mark.slow

PROFILE = ROOT / "workflow/profiles/slurm"
RUNS = "results/slurm/phantom_ham10k/demo/runs"


@pytest.fixture(scope="module")
def cluster():
    """A Slurm that answers, which CI must have."""
    if shutil.which("sinfo") is not None and subprocess.run(["sinfo"], check=False).returncode == 0:
        return
    if os.environ.get("CI"):
        pytest.fail("Slurm is missing; CI starts one")
    pytest.skip("no Slurm answers")


def queue(*states):
    """Jobs with a GPU: number, and what they are for."""
    fields = "JobID:20,tres-per-job:40,comment:200"
    command = ["squeue", "-h", "-t", ",".join(states), "-O", fields]
    listed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout
    jobs = (line.split() for line in listed.splitlines())
    return [(job[0], job[2]) for job in jobs if "gpu" in job[1]]


def test_names_of_a_cluster_are_in_the_profile_only(cluster, finished, tmp_path):
    profile = tmp_path / "profile"
    profile.mkdir()
    text = (PROFILE / "config.yaml").read_text()
    names = (
        "slurm_partition: cpu",
        "slurm_account: lab",
        "slurm_partition: gpu",
        "gpu_model: a100",
        "qos: normal",
        "constraint: avx2",
    )
    for name in names:
        assert f"# {name}" in text
        text = text.replace(f"# {name}", name)
    (profile / "config.yaml").write_text(text)
    output = snakemake(finished, "-n", "--forceall", "table1", *TINY, "--profile", profile)
    resources = dict(re.findall(r"^rule (\w+):.*?resources: (.*?)$", output, re.M | re.S))
    for rule in ("train_arm", "predict_arm"):
        assert "gpu=1, " in resources[rule]
        assert "gpu_model=a100" in resources[rule]
        assert "slurm_partition=gpu" in resources[rule]
    for rule in ("make_patches", "tabulate_scores"):
        assert "slurm_partition=cpu, slurm_account=lab" in resources[rule]
        assert "qos=normal, constraint=avx2" in resources[rule]
        assert "gpu_model" not in resources[rule]


def test_no_job_has_more_than_the_profiles_limits(cluster, finished):
    """Whatever a rule or a third attempt wants; see also tests/support/test_slurm.py."""
    cores = str(read_yaml(PROFILE / "config.yaml")["cores"])
    limits = ("--cores", "2", "--resources", "mem_mb=3000", "runtime=45", "downloads=4")
    words = ("-n", "--forceall", "table1", *TINY, "--profile", PROFILE)
    plain, limited = (snakemake(finished, *words, *more) for more in (["--cores", cores], limits))
    for said, threads, memory, minutes in ((plain, 4, 8000, 720), (limited, 2, 3000, 45)):
        jobs = said.split("\nrule ")
        assert max(int(n) for n in re.findall(r"^    threads: (\d+)", said, re.M)) == threads
        (training,) = {
            re.search(r"mem_mb=(\d+).*runtime=(\d+)", job)[0]
            for job in jobs
            if job.startswith("train_arm:")
        }
        assert f"mem_mb={memory}," in training
        assert training.endswith(f"runtime={minutes}")


def test_a_cluster_that_takes_gres_only(cluster, finished, tmp_path):
    text = (PROFILE / "config.yaml").read_text()
    text = text.replace("    gpu: 1\n", "").replace("# gpu: 0", "gpu: 0")
    (tmp_path / "config.yaml").write_text(text.replace("# gres: gpu:1", "gres: gpu:1"))
    output = snakemake(finished, "-n", "--forceall", "table1", *TINY, "--profile", tmp_path)
    resources = dict(re.findall(r"^rule (\w+):.*?resources: (.*?)$", output, re.M | re.S))
    assert "gpu=0, " in resources["train_arm"]
    assert "gres=gpu:1" in resources["train_arm"]
    command = ["sbatch", "--test-only", "--gres=gpu:1", "--wrap", "true"]
    subprocess.run(command, check=True, timeout=30, capture_output=True, cwd=tmp_path)


def test_a_cluster_without_accounting_needs_squeue(cluster, tmp_path):
    """With `sacct`, Snakemake would wait for ever for the end of its first job."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile"]
    command += ["--directory", tmp_path, *TINY, "--profile", PROFILE]
    command += ["--slurm-status-command", "sacct", "downloads"]
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 1
    assert "Set `slurm-status-command: squeue`" in done.stderr
    assert "Traceback" not in done.stderr
    assert "submitted" not in done.stderr


def test_a_job_that_no_node_can_run_is_named(cluster, tmp_path):
    command = ["sbatch", "--parsable", "--cpus-per-task", "999", "--comment", "rule_draw_grabcut"]
    command += ["--output", "/dev/null", "--wrap", "true"]
    done = subprocess.run(
        command, check=True, timeout=30, capture_output=True, text=True, cwd=tmp_path
    )
    job = done.stdout.strip()
    try:
        found = {}
        for _ in range(30):
            found = never_starting(tmp_path)
            if found:
                break
            time.sleep(1)
    finally:
        subprocess.run(["scancel", job], check=True, timeout=30)
    assert set(found) == {job}
    assert "(rule_draw_grabcut) will never start: Partition" in found[job]
    assert "999 CPUs" in found[job]


def test_the_demo_through_slurm(cluster, finished, tmp_path):
    """One GPU job at a time; a job that is cancelled or hangs is tried again, and goes on.

    Its groups, and its rules with a GPU, are those of the demo, which test_commands.py plans in
    whole with this profile; jobs are as few as that takes.
    """
    (tmp_path / "resources").symlink_to(finished / "resources")
    command = [
        *(preloaded_python(), "-m", "snakemake", "table1", "table8", "prompted"),
        *("--snakefile", ROOT / "Snakefile", "--directory", tmp_path),
        *("--configfile", ROOT / "workflow/studies/demo.yaml", ROOT / "tests/tiny.yaml"),
        ROOT / "tests/slurm.yaml",
        *("--profile", PROFILE),
        *("--slurm-init-seconds-before-status-checks", "5"),  # no later look is as soon
        *("--seconds-between-status-checks", "5", "--latency-wait", "20"),
        *("--cores", str(len(os.sched_getaffinity(0)))),  # else four threads wait for ever
        *("--set-resources", "train_arm:runtime=attempt", "train_arm:mem_mb=4000"),
    ]
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    environment["REAL_PYTHON_FOR"] = "--target-jobs train_arm:"  # Slurm stops no fork
    most_at_once, waited, meddled = 0, False, {}
    with (tmp_path / "output").open("w") as output:
        running = subprocess.Popen(
            [str(word) for word in command],
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=tmp_path,
            env=environment,
        )
        try:
            while running.poll() is None:
                on_gpu = queue("R")
                most_at_once = max(most_at_once, len(on_gpu))
                waited |= bool(on_gpu and queue("PD"))
                for arm, how in (("a1", []), ("a1l", ["--signal=STOP"])):
                    begun = (tmp_path / RUNS / arm / "seed-1/last.pt").exists()
                    jobs = [job for job, what in on_gpu if what.endswith(f"_{arm}_1")]
                    if begun and jobs and arm not in meddled:
                        meddled[arm] = jobs[0]
                        subprocess.run(["scancel", *how, jobs[0]], check=True, timeout=30)
                time.sleep(0.5)
        finally:
            running.kill()
    told = (tmp_path / "output").read_text()
    assert running.returncode == 0, told[-6000:]
    assert set(meddled) == {"a1", "a1l"}
    assert most_at_once == 1
    assert waited  # one training was ready and the GPU was held by the other
    logs = tmp_path / "results/slurm/logs/train_arm"
    for arm in ("a1", "a1l"):
        log = (logs / f"phantom_ham10k-demo-{arm}-1.log").read_text()
        assert "resuming after epoch" in log, log[-2000:]
        assert not (tmp_path / RUNS / arm / "seed-1/last.pt").exists()
    for state in ("CANCELLED", "TIMEOUT"):
        assert f"SLURM status is: '{state}'" in told
    table = pd.read_csv(tmp_path / "results/slurm/tables/table1.csv")
    assert set(table["arm"]) == {"fixed_ellipse", "ellipse", "a1", "a1l"}
    assert set(table["dataset"]) == {"phantom_ham10k"}
    assert (tmp_path / "results/slurm/phantom_ham10k/demo_source/targets/shrunken.npy").is_file()
    # small jobs went together, and their logs are kept
    for group in ("shapes", "scores"):
        assert f"Group job {group}" in told, group
    logged = {path.name for path in (tmp_path / "results/slurm/logs").iterdir()}
    profile = read_yaml(PROFILE / "config.yaml")
    of_others = {
        "train_arm_keeping_last",
        "embed_lesions",
        "predict_arm_with_crf",
        "teach_arm",
        "shuffle_clusters",
        "perturb_marks",
        "simulate_readers",
        "draw_ends",
        "train_nnunet",
        "predict_nnunet",
    }
    assert {*profile["set-resources"], *profile["groups"]} - of_others <= logged
    assert list((tmp_path / ".snakemake/slurm_logs").rglob("*.log"))
