"""What every script does first: find the package, open the log, and tell errors in one message."""

import fcntl
import hashlib
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))

from weaklesion.errors import DataError


@contextmanager
def logged(log_path: str) -> Iterator[None]:
    """Send the package's messages to the rule's log and to the terminal.

    One process at a time runs a job: a Snakemake that was killed may have left the same job
    running, and two of them would write the same files. The later one waits.
    """
    rule = Path(log_path).relative_to(Path(log_path).parents[1]).with_suffix("")
    with open(Path(log_path).with_name(".jobs"), "a+b") as jobs, open(log_path, "w") as log:
        # a byte of this file a job
        byte = int.from_bytes(hashlib.sha256(log_path.encode()).digest()[:7])
        try:
            fcntl.lockf(jobs, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
        except BlockingIOError:
            waiting = "the same job still runs, left by another Snakemake: waiting for its end"
            print(f"{log_path}: {waiting}", file=sys.stderr, flush=True)
            fcntl.lockf(jobs, fcntl.LOCK_EX, 1, byte)
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
