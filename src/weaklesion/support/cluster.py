"""What a Slurm cluster cannot do, said when a run starts, and why a job will never start.

Snakemake's Slurm plugin waits in silence for a job whose end it cannot learn, and for one that no
node can run. Uses only the standard library, because Snakemake's own interpreter reads it.
"""

import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weaklesion.errors import DataError

# Reasons of squeue that last until someone changes the job or the cluster.
NEVER_ENDING = re.compile(
    r"BadConstraints|PartitionConfig|PartitionNodeLimit|PartitionTimeLimit|InvalidAccount|InvalidQOS"
    r"|AccountNotAllowed|QOSNotAllowed|DependencyNeverSatisfied|JobHeld\w+|MaxMemPerLimit"
    r"|(QOS|Assoc)Max\w*Per(Job\w*|Node\w*|Limit)"
)
FIELDS = "%i|%r|%k|%P|%C|%m|%l|%b|%Z"


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The profile's limits of one job, each None if it has none.

    Args:
        cores: threads of a job, or of the jobs of a group that run at once.
        mem_mb: memory of the same, in MB.
        runtime: time of a job, in minutes.
    """

    cores: int | None = None
    mem_mb: int | None = None
    runtime: int | None = None


def never_ended(status_command: str, first_check_s: int) -> str | None:
    """Return why the plugin would never learn that a job has ended; None if it does.

    Args:
        status_command: `sacct` or `squeue`, the setting `slurm-status-command`.
        first_check_s: the setting `slurm-init-seconds-before-status-checks`. The plugin uses
            `sacct` if Slurm forgets ended jobs before three times this time.
    """
    said = _said("scontrol", "show", "config")
    accounting = re.search(r"^AccountingStorageType\s*=\s*(\S+)", said, re.M)
    age = re.search(r"^MinJobAge\s*=\s*(\d+) sec", said, re.M)
    if accounting is None or not accounting[1].endswith("none"):
        return None
    kept_s = int(age[1]) if age else 0
    if status_command == "sacct":
        return (
            "Slurm has no accounting here, so `sacct` never says that a job has ended. Set"
            " `slurm-status-command: squeue` in the profile."
        )
    if shutil.which("sacct") and kept_s < 3 * first_check_s:
        return (
            f"Slurm has no accounting here and forgets a job {kept_s} s after its end, so the"
            " plugin uses `sacct`, which never says that a job has ended. Set"
            f" `slurm-init-seconds-before-status-checks: {max(kept_s // 3, 1)}` in the profile."
        )
    return None


def too_large(limits: Limits, partitions: Iterable[str]) -> list[str]:
    """Return how the limits exceed what partitions have; a job beyond that waits for ever.

    Args:
        limits: the profile's limits.
        partitions: names of partitions; if there are none, Slurm's default one counts.
    """
    names = {name for named in partitions for name in str(named).split(",")}
    found = []
    for name, cores, mem_mb, minutes in _partitions():
        if name.removesuffix("*") not in names and not (not names and name.endswith("*")):
            continue
        for key, value, most in (
            ("cores", limits.cores, cores),
            ("mem_mb", limits.mem_mb, mem_mb),
            ("runtime", limits.runtime, minutes),
        ):
            if most is not None and (value is None or value > most):
                stated = "no limit" if value is None else value
                found.append(
                    f"partition {name.removesuffix('*')} allows a job {key}={most}; the profile has"
                    f" {stated}. A job that needs more waits for ever: set `{key}: {most}`."
                )
    return found


def never_starting(folder: Path) -> dict[str, str]:
    """Return the waiting jobs of a working directory that will never start, with the reason.

    Args:
        folder: the working directory from which jobs were submitted.
    """
    found = {}
    waiting = _said("squeue", "--me", "--noheader", "--states=PD", f"--format={FIELDS}")
    for line in waiting.splitlines():
        fields = line.split("|", FIELDS.count("|"))
        if len(fields) <= FIELDS.count("|"):  # part of a comment of several lines
            continue
        job, reason, comment, partition, cores, memory, time, gres, where = fields
        if NEVER_ENDING.match(reason) and Path(where).resolve() == folder.resolve():
            found[job] = (
                f"job {job} ({comment}) will never start: {reason}. It needs {cores} CPUs,"
                f" {memory} of memory, {time} of time and {gres} in partition {partition}. Stop"
                " with Ctrl-C, lower `cores`, `mem_mb` or `runtime` in the profile or name another"
                " partition, and run again."
            )
    return found


def watch(
    folder: Path, say: Callable[[str], None], *, first_s: float, then_s: float
) -> threading.Event:
    """Say of each job that will never start why, once, until the process ends.

    Args:
        folder: the working directory from which jobs were submitted.
        say: what takes the text.
        first_s: seconds until the first look.
        then_s: seconds between two looks.

    Returns:
        What ends it earlier, once it is set.
    """
    stop = threading.Event()

    def look() -> None:
        said: set[str] = set()
        seconds = first_s
        while not stop.wait(seconds):
            for job, text in never_starting(folder).items():
                if job not in said:
                    say(text)
                    said.add(job)
            seconds = then_s

    threading.Thread(target=look, daemon=True, name="weaklesion-slurm").start()
    return stop


def check_at_start(executor: Any, resources: Any, limits: Mapping[str, Any]) -> threading.Event:
    """Check the cluster when a run starts, and watch its queue meanwhile.

    Does nothing for runs that do not use Slurm.

    Args:
        executor: the executor's settings, as Snakemake has them.
        resources: the settings of resources, likewise: `cores`, and what names partitions.
        limits: the limits by name, `mem_mb` and `runtime` among them.

    Returns:
        See `watch`.

    Raises:
        DataError: if Snakemake would never learn that a job has ended.
    """
    if not hasattr(executor, "status_command"):
        return threading.Event()
    if problem := never_ended(executor.status_command, executor.init_seconds_before_status_checks):
        raise DataError(problem)
    values = {name: getattr(limit, "value", limit) for name, limit in limits.items()}
    stated = Limits(
        cores=resources.cores, mem_mb=values.get("mem_mb"), runtime=values.get("runtime")
    )
    named = (
        mapping["slurm_partition"]
        for mapping in (resources.default_resources, *resources.overwrite_resources.values())
        if mapping and "slurm_partition" in mapping
    )
    for text in too_large(stated, [getattr(name, "value", name) for name in named]):
        _warn(text)
    return watch(Path.cwd(), _warn, first_s=20, then_s=60)


def _warn(text: str) -> None:
    """Print a warning."""
    print(f"Slurm: {text}", file=sys.stderr, flush=True)


def _partitions() -> list[tuple[str, int, int, int | None]]:
    """Return each partition's name, CPUs and MB of its largest node, and minutes of a job."""
    found: dict[str, tuple[int, int, int | None]] = {}
    for line in _said("sinfo", "--noheader", "--exact", "--format=%P|%c|%m|%l").splitlines():
        name, cores, mem_mb, time = line.split("|")
        before = found.get(name, (0, 0, None))
        found[name] = (
            max(before[0], _number(cores)),
            max(before[1], _number(mem_mb)),
            _minutes(time),
        )
    return [(name, *values) for name, values in found.items()]


def _number(text: str) -> int:
    """Return a number of sinfo, which may end in `+`."""
    return int(text.rstrip("+"))


def _minutes(text: str) -> int | None:
    """Return the minutes of a time as sinfo writes it ([days-]hours:minutes:seconds)."""
    match = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)", text)
    if match is None:
        return None
    days, hours, minutes, _ = (int(part or 0) for part in match.groups())
    return (days * 24 + hours) * 60 + minutes


def _said(*command: str) -> str:
    """Return what a command of Slurm prints; empty if it fails or does not answer."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout
