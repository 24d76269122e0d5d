"""Run a rule's function: find the package, open the log, bind arguments, report errors."""

import fcntl
import hashlib
import logging
import os
import site
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any


def own_packages_only(paths: list[str], packages_of_snakemake: str) -> list[str]:
    """Leave out the packages of Snakemake's environment, unless they are this Python's own.

    Snakemake appends them to the path of every script, twice. In a job's conda environment they
    would hide that the environment lacks a package.
    """
    own = [*site.getsitepackages(), site.getusersitepackages()]
    own += os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if packages_of_snakemake in own or paths.count(packages_of_snakemake) > 2:
        return paths
    return [path for path in paths if path != packages_of_snakemake]


if "snakemake" in sys.modules:
    sys.path[:] = own_packages_only(
        sys.path, str(Path(str(sys.modules["snakemake"].__file__)).parents[1])
    )
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))

from weaklesion.errors import DataError
from weaklesion.support.binding import bind
from weaklesion.support.devices import claimed_device
from weaklesion.support.locks import NO_LOCKS
from weaklesion.support.scratch import node_local


def run(
    snakemake: Any, function: Callable[..., Any], copied: str | None = None, **more: Any
) -> None:
    """Call a function with the rule's inputs, outputs, params and wildcards, bound by name.

    A rule that needs a GPU holds one meanwhile, if the machine has any.

    Args:
        snakemake: the object that Snakemake gives its scripts.
        function: what the rule runs; `workers` or `threads` are the rule's threads.
        copied: name of an input that is read from a copy on the node's own disk, where the
            resource `node_local` says so.
        more: arguments that no file, param or wildcard of the rule is.
    """
    rule = (snakemake.wildcards, snakemake.params, snakemake.input, snakemake.output)
    named = {name: value for part in rule for name, value in part.items()}
    named |= {"workers": snakemake.threads, "threads": snakemake.threads} | more
    resources = snakemake.resources
    with ExitStack() as held:
        held.enter_context(logged(snakemake.log[0]))
        if resources.get("gpu"):
            held.enter_context(claimed_device(resources.get("jobs_per_gpu", 1)))
        if copied and resources.get("node_local"):
            named[copied] = held.enter_context(node_local(named[copied], resources.tmpdir))
        function(**bind(function, named))


@contextmanager
def logged(log_path: str) -> Iterator[None]:
    """Send the package's messages to the rule's log and to the terminal.

    One process at a time runs a job, because a Snakemake that was killed may have left the same job
    running, and two of them would write the same files. The later one waits.
    """
    rule = Path(log_path).relative_to(Path(log_path).parents[1]).with_suffix("")
    with ExitStack() as opened:
        jobs = opened.enter_context(open(Path(log_path).with_name(".jobs"), "a+b"))
        _wait_for_lock(jobs, log_path)
        log = opened.enter_context(open(log_path, "w"))  # not before: the other one writes to it
        logging.basicConfig(
            level=logging.INFO,
            format=f"%(asctime)s {rule}: %(message)s",
            datefmt="%H:%M:%S",
            handlers=[logging.StreamHandler(log), logging.StreamHandler()],
        )
        logging.captureWarnings(True)
        try:
            yield
        except DataError as error:
            logging.error("%s", error)
            sys.exit(1)
        except Exception:
            logging.exception("failed")
            sys.exit(1)


def _wait_for_lock(jobs: IO[bytes], log_path: str) -> None:
    """Lock a job's own byte of a file, until the file is closed.

    Where the file system has no locks, only Snakemake's own lock keeps two of them apart.
    """
    byte = int.from_bytes(hashlib.sha256(log_path.encode()).digest()[:7])
    try:
        try:
            fcntl.lockf(jobs, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
        except BlockingIOError:
            waiting = "the same job still runs, left by another Snakemake: waiting for its end"
            print(f"{log_path}: {waiting}", file=sys.stderr, flush=True)
            fcntl.lockf(jobs, fcntl.LOCK_EX, 1, byte)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        lacking = f"no locks on this file system ({error.strerror}): do not start a job twice"
        print(f"{log_path}: {lacking}", file=sys.stderr, flush=True)
