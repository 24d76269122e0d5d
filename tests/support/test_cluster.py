"""What is said of a Slurm cluster, from what its commands print; stand-ins print it here."""

import threading
import time
from types import SimpleNamespace

import pytest

from weaklesion.errors import DataError
from weaklesion.support.cluster import (
    Limits,
    check_at_start,
    never_ended,
    never_starting,
    too_large,
    watch,
)
from weaklesion.support.yaml_files import read_yaml

NODES = (
    "cpu*|16|64000|1-00:00:00\ncpu*|32|128000+|1-00:00:00\ngpu|8|32000|2:30:00\nall|8|9|infinite\n"
)


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Make commands that print a text; no other command of Slurm is found."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def prints(command, text):
        (folder / command).write_text(f"#!/bin/sh\nprintf '%s' '{text}'\n")
        (folder / command).chmod(0o755)

    return prints


@pytest.mark.parametrize(
    ("storage", "age", "command", "cure"),
    [
        ("none", 300, "squeue", None),
        ("none", 300, "sacct", "slurm-status-command: squeue"),
        ("none", 60, "squeue", "slurm-init-seconds-before-status-checks: 20"),
        ("none", 120, "squeue", None),
        ("slurmdbd", 300, "sacct", None),
        ("slurmdbd", 60, "squeue", None),  # Snakemake uses sacct, which knows
    ],
)
def test_a_way_in_which_no_end_is_learned_is_named(slurm, storage, age, command, cure):
    slurm("sacct", "")
    kinds = f"AccountingStorageType   = accounting_storage/{storage}"
    slurm("scontrol", f"{kinds}\nMinJobAge               = {age} sec\n")
    said = never_ended(command, 40)
    assert (said is None) if cure is None else cure in said


def test_without_slurm_nothing_is_said(slurm):
    assert never_ended("squeue", 40) is None
    assert too_large(Limits(cores=1000), []) == []


def test_limits_are_compared_with_the_partitions_that_are_used(slurm):
    slurm("sinfo", NODES)
    assert too_large(Limits(cores=32, mem_mb=128000, runtime=1440), []) == []
    assert too_large(Limits(cores=4, mem_mb=16000, runtime=150), ["gpu"]) == []
    (text,) = too_large(Limits(cores=4, mem_mb=16000, runtime=1440), ["gpu", "cpu"])
    assert text.startswith("partition gpu allows a job runtime=150; the profile has 1440.")
    assert text.endswith("set `runtime: 150`.")
    assert too_large(Limits(cores=4, mem_mb=16000, runtime=1440), ["gpu,cpu"]) == [text]
    said = too_large(Limits(), ["all"])
    assert [line.split("; ")[0] for line in said] == [
        "partition all allows a job cores=8",
        "partition all allows a job mem_mb=9",
    ]


def test_jobs_whose_reason_never_ends_are_named(slurm, tmp_path):
    reasons = ("Priority", "PartitionTimeLimit", "Resources", "QOSMaxCpuPerJobLimit",
               "AssocMaxWallDurationPerJobLimit", "AssocGrpCpuLimit")  # fmt: skip
    lines = [f"{n}|{why}|rule_x|p|4|3000M|36:00:00|N/A|{tmp_path}" for n, why in enumerate(reasons)]
    lines.append("9|BadConstraints|rule_x|p|4|3000M|1:00:00|N/A|/elsewhere")
    lines.append(
        f"8|BadConstraints|of two|p|4|3000M|1:00:00|N/A|{tmp_path}".replace("two|", "two\n|")
    )
    slurm("squeue", "\n".join(lines))
    found = never_starting(tmp_path)
    assert set(found) == {"1", "3", "4"}
    assert "job 1 (rule_x) will never start: PartitionTimeLimit" in found["1"]
    assert "36:00:00 of time" in found["1"]


def test_the_queue_is_watched_and_each_job_named_once(slurm, tmp_path):
    slurm("squeue", f"1|BadConstraints|rule_x|p|4|3000M|1:00:00|N/A|{tmp_path}")
    said, told = [], threading.Event()

    def say(text):
        said.append(text)
        told.set()

    stop = watch(tmp_path, say, first_s=0.01, then_s=0.01)
    assert told.wait(20)
    time.sleep(0.2)
    stop.set()
    assert len(said) == 1


def test_a_run_that_would_never_end_does_not_start(slurm, capsys):
    slurm("scontrol", "AccountingStorageType = accounting_storage/none\nMinJobAge = 300 sec\n")
    slurm("sinfo", NODES)
    resources = SimpleNamespace(
        cores=64,
        default_resources={"slurm_partition": SimpleNamespace(value="cpu")},
        overwrite_resources={"train_arm": {"gpu": 1}},
    )
    words = (resources, {"gpu": 1, "runtime": 60})
    executor = {"init_seconds_before_status_checks": 40}
    with pytest.raises(DataError, match="slurm-status-command: squeue"):
        check_at_start(SimpleNamespace(status_command="sacct", **executor), *words)
    check_at_start(SimpleNamespace(status_command="squeue", **executor), *words).set()
    said = capsys.readouterr().err
    assert "Slurm: partition cpu allows a job cores=32; the profile has 64." in said
    assert "mem_mb=128000; the profile has no limit" in said
    assert "runtime" not in said
    check_at_start(None, *words)
    assert capsys.readouterr().err == ""


def test_groups_end_within_the_profiles_time(root):
    """Even with one core, where a group's jobs run one after another; 60 minutes is the longest."""
    profile = read_yaml(root / "workflow/profiles/slurm/config.yaml")
    assert max(profile["group-components"].values()) * 60 <= profile["resources"]["runtime"]
