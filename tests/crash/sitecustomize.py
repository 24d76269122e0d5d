"""Loaded by every Python that the crash harness starts: records moments of a job, or ends in one.

A moment is `open` or `rename` (just before it happens) or `done` (just before the next one) and the
file that it is about. Only jobs' own processes are looked at, and only what they write to
`results/` and `resources/`, without logs.
"""

import os
import re
import signal
import sys

RECORD, DONE = os.environ.get("CRASH_RECORD"), os.environ.get("CRASH_DONE")
KIND, MOMENTS = os.environ.get("CRASH_KIND"), set()
if KIND:
    with open(os.environ["CRASH_AT"]) as stream:
        MOMENTS = set(stream.read().splitlines())
SCRIPT = re.search(r"\.snakemake/scripts/tmp\w+\.(\w+)\.py$", sys.argv[0] if sys.argv else "")


def seen(moment, path):
    path = os.path.relpath(os.fspath(path))
    if not path.startswith(("results/", "resources/")) or "/logs/" in path:
        return
    name = f"{SCRIPT[1]} {moment} {path}"
    if RECORD:
        with open(RECORD, "a") as stream:
            stream.write(name + "\n")
    if name in MOMENTS:
        with open(DONE, "a") as stream:
            stream.write(name + "\n")
        if KIND == "all":  # or Snakemake and those who wait for forks, which end with them
            os.killpg(int(os.environ.get("CALLING_GROUP", os.getpgid(0))), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)


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
    if path in (RECORD, DONE):
        return
    if last is not None:
        before, last = last, None
        seen("done", before)
    last = path
    seen(moment, path)


if SCRIPT and (RECORD or KIND):
    sys.addaudithook(hook)
