"""Loaded by every Python that the crash harness starts: records, or ends in, a moment of a job.

A moment is `open` or `rename` (just before it happens) or `done` (just before the next one) and the
file that it is about. Only jobs' own processes are looked at, and only what they write to
`results/` and `resources/`, without logs.
"""

import os
import re
import signal
import sys

RECORD, CRASH_AT = os.environ.get("CRASH_RECORD"), os.environ.get("CRASH_AT")
SCRIPT = re.search(r"\.snakemake/scripts/tmp\w+\.(\w+)\.py$", sys.argv[0] if sys.argv else "")


def seen(moment, path):
    path = os.path.relpath(os.fspath(path))
    if not path.startswith(("results/", "resources/")) or "/logs/" in path:
        return
    name = f"{SCRIPT[1]} {moment} {path}"
    if RECORD:
        with open(RECORD, "a") as stream:
            stream.write(name + "\n")
    if CRASH_AT and name == CRASH_AT.split(" ", 1)[1]:
        with open(os.environ["CRASH_DONE"], "w") as stream:
            stream.write(name)
        everything = CRASH_AT.startswith("all ")
        os.killpg(os.getpgid(0), signal.SIGKILL) if everything else os.kill(
            os.getpid(), signal.SIGKILL
        )


last = None


def hook(event, arguments):
    global last
    if event == "open":
        path, _, flags = arguments
        writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR)
        if not writes or not isinstance(path, str | bytes | os.PathLike):
            return
        moment, path = "open", os.fspath(path)
    elif event == "os.rename":
        moment, path = "rename", os.fspath(arguments[1])
    else:
        return
    if isinstance(path, bytes):
        path = path.decode()
    if path in (RECORD, os.environ.get("CRASH_DONE")):
        return
    if last is not None:
        before, last = last, None
        seen("done", before)
    last = path
    seen(moment, path)


if SCRIPT and (RECORD or CRASH_AT):
    sys.addaudithook(hook)
