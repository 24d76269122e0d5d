"""What every script does first: find the package, open the log, and tell errors in one message."""

import fcntl
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

    The log is locked while the job runs: a Snakemake that was killed may have left the same job
    running, and two of them would write the same files. The later one waits.
    """
    rule = Path(log_path).relative_to(Path(log_path).parents[1]).with_suffix("")
    with open(log_path, "a") as log:
        try:
            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting = "the same job still runs, left by another Snakemake: waiting for its end"
            print(f"{log_path}: {waiting}", file=sys.stderr, flush=True)
            fcntl.flock(log, fcntl.LOCK_EX)
        log.truncate(0)
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
