"""Which GPU a job takes, on a machine with several: one that no other job holds.

Snakemake starts as many jobs as there are GPUs and tells none of them which. A job takes a lock of
a device and computes on that device alone. The lock is the kernel's (flock): it ends with the
process, however that ends.
"""

import fcntl
import logging
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from weaklesion.errors import DataError

logger = logging.getLogger(__name__)

QUERY = ("nvidia-smi", "--query-gpu=index,uuid", "--format=csv,noheader")


@contextmanager
def claimed_device(
    jobs_per_gpu: int = 1, *, folder: str | Path | None = None, wait_s: float = 24 * 3600
) -> Iterator[str | None]:
    """Hold one GPU for as long as the block lasts; only it is visible to CUDA.

    Where a scheduler has set CUDA_VISIBLE_DEVICES, one of those is taken. Call it before CUDA
    starts.

    Args:
        jobs_per_gpu: how many jobs may hold the same device.
        folder: where the locks are, the same for all jobs of a machine; by default /tmp or TMPDIR.
        wait_s: for how long to wait until a device is free.

    Yields:
        The device as CUDA_VISIBLE_DEVICES names it; None on a machine without GPUs.

    Raises:
        DataError: if none became free.
    """
    devices = visible_devices()
    if not devices:
        yield None
        return
    locks = Path(folder or tempfile.gettempdir())
    held, device = _wait_for_one(devices, jobs_per_gpu, locks, wait_s)
    before = os.environ.get("CUDA_VISIBLE_DEVICES")
    os.environ["CUDA_VISIBLE_DEVICES"] = device
    logger.info("on GPU %s", device)
    try:
        yield device
    finally:
        held.close()
        if before is None:
            del os.environ["CUDA_VISIBLE_DEVICES"]
        else:
            os.environ["CUDA_VISIBLE_DEVICES"] = before


def visible_devices() -> dict[str, str]:
    """Return the GPUs that this process may use: its name for CUDA to its UUID.

    Empty without the NVIDIA driver, or where CUDA_VISIBLE_DEVICES hides all of them.
    """
    try:
        listed = subprocess.run(QUERY, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return {}
    uuids = dict(line.replace(" ", "").split(",", 1) for line in listed.splitlines() if "," in line)
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is None:
        return uuids
    # an index, or a UUID (of a GPU or of a part of one), as CUDA allows
    names = [name.strip() for name in allowed.split(",") if name.strip() not in ("", "-1")]
    return {name: uuids.get(name, name) for name in names}


def _wait_for_one(
    devices: dict[str, str], jobs_per_gpu: int, folder: Path, wait_s: float
) -> tuple[IO[bytes], str]:
    """Return the first lock that is free, with its device; the emptiest devices first."""
    deadline = time.monotonic() + wait_s
    told = False
    while True:
        for slot in range(jobs_per_gpu):
            for device, uuid in devices.items():
                held = _try_lock(folder / f"weaklesion-{uuid}-{slot}.lock")
                if held is not None:
                    return held, device
        if time.monotonic() > deadline:
            raise DataError(
                f"all GPUs ({', '.join(devices)}) are held by other jobs, see {folder}. Start as "
                "many jobs as there are GPUs (--resources gpu=N), or allow more on one "
                "(jobs_per_gpu)."
            )
        if not told:
            logger.info("waiting for one of the GPUs %s", ", ".join(devices))
            told = True
        time.sleep(0.2)


def _try_lock(path: Path) -> IO[bytes] | None:
    """Return an open file that holds the lock, or None where another process holds it."""
    try:  # that of another user cannot be opened with O_CREAT in /tmp
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    stream = os.fdopen(descriptor, "rb")
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        stream.close()
        return None
    return stream
