"""Choice of a GPU that no other job uses, on a machine with several.

Snakemake starts as many jobs as there are GPUs, but does not assign GPUs to jobs. A job locks a
device and computes on that device alone. The lock is the kernel's (flock): it is released when the
process ends, for whatever reason. On a file system without locks, a job takes the first device and
logs a warning.
"""

import logging
import math
import os
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from weaklesion.errors import DataError
from weaklesion.support.locks import try_lock

logger = logging.getLogger(__name__)

QUERY = ("nvidia-smi", "--query-gpu=index,uuid", "--format=csv,noheader")


@contextmanager
def claimed_device(
    jobs_per_gpu: int = 1, *, folder: str | Path | None = None, wait_s: float = math.inf
) -> Iterator[str | None]:
    """Lock one GPU while the block runs, and make only that GPU visible to CUDA.

    If a scheduler has set CUDA_VISIBLE_DEVICES, the GPU is one of those. Call this before CUDA
    starts.

    Args:
        jobs_per_gpu: number of jobs that may share a device.
        folder: folder of the locks, the same for all jobs of a machine; by default
            `weaklesion-<user's number>` in /tmp or TMPDIR, for the user alone.
        wait_s: longest time to wait for a free device, s; without end by default, because a lock
            vanishes with its process.

    Yields:
        The device as CUDA_VISIBLE_DEVICES names it; None on a machine without GPUs.

    Raises:
        DataError: if no job may run on a device, no device became free, or a lock or its folder is
            no file or folder of the user's own.
    """
    if jobs_per_gpu < 1:
        raise DataError(
            f"jobs_per_gpu={jobs_per_gpu}: a GPU takes at least 1 job. Give the resource another"
            " number: --default-resources jobs_per_gpu=1."
        )
    devices = visible_devices()
    if not devices:
        yield None
        return
    locks = Path(folder) if folder else _own_folder()
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
            logger.info(
                "waiting for one of the GPUs %s. Snakemake's --resources gpu=%d starts no more jobs"
                " than can run at once",
                ", ".join(devices),
                len(devices) * jobs_per_gpu,
            )
            logged = True
        time.sleep(0.2)


def _try_lock(path: Path) -> IO[bytes] | None:
    """Return an open file that holds the lock; None if another process holds it."""
    # without O_NOFOLLOW a link would be followed; without O_NONBLOCK a FIFO would block
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o600)
    except OSError as error:
        raise DataError(f"{path}: cannot be a lock ({error.strerror}). Remove it.") from error
    stream = os.fdopen(descriptor, "rb", buffering=0)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        stream.close()
        raise DataError(f"{path}: is not a file, so it cannot be a lock. Remove it.")
    held = False
    try:
        held = try_lock(descriptor, path, "jobs may share a GPU; set TMPDIR to a local folder")
    finally:
        if not held:
            stream.close()
    return stream if held else None


def _own_folder() -> Path:
    """Make the user's own folder of locks, if needed, and return it."""
    folder = Path(tempfile.gettempdir()) / f"weaklesion-{os.getuid()}"
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise DataError(
            f"{folder}: is not a folder of this user's own, so others could change its locks."
            " Remove it, or set TMPDIR to another folder."
        )
    return folder
