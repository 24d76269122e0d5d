"""Choice of a GPU that no other job uses, on a machine with several.

Snakemake starts as many jobs as there are GPUs, but does not assign GPUs to jobs. A job locks a
device and computes on that device alone. The lock is the kernel's (flock): it is released when the
process ends, for whatever reason.
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
    """Lock one GPU while the block runs, and make only that GPU visible to CUDA.

    If a scheduler has set CUDA_VISIBLE_DEVICES, the GPU is one of those. Call this before CUDA
    starts.

    Args:
        jobs_per_gpu: number of jobs that may share a device.
        folder: folder of the locks, the same for all jobs of a machine; by default /tmp or TMPDIR.
        wait_s: longest time to wait for a free device, s.

    Yields:
        The device as CUDA_VISIBLE_DEVICES names it; None on a machine without GPUs.

    Raises:
        DataError: if no device became free.
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
    """Return the GPUs that this process may use: name for CUDA to UUID.

    Empty without the NVIDIA driver, or if CUDA_VISIBLE_DEVICES hides all GPUs.
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
    """Return the first free lock and its device; devices with fewer jobs come first."""
    deadline = time.monotonic() + wait_s
    logged = False
    while True:
        for slot in range(jobs_per_gpu):
            for device, uuid in devices.items():
                held = _try_lock(folder / f"weaklesion-{uuid}-{slot}.lock")
                if held is not None:
                    return held, device
        if time.monotonic() > deadline:
            raise DataError(
                f"all GPUs ({', '.join(devices)}) are locked by other jobs, see {folder}. Start as "
                "many jobs as there are GPUs (--resources gpu=N), or allow more jobs per GPU "
                "(jobs_per_gpu)."
            )
        if not logged:
            logger.info("waiting for one of the GPUs %s", ", ".join(devices))
            logged = True
        time.sleep(0.2)


def _try_lock(path: Path) -> IO[bytes] | None:
    """Return an open file that holds the lock; None if another process holds it."""
    try:  # without O_CREAT, with which a file of another user cannot be opened in /tmp
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
