"""What every script does first: find the package, open the log, and tell errors in one message."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))

from weaklesion.errors import DataError


@contextmanager
def logged(log_path: str) -> Iterator[None]:
    """Send the package's messages to the rule's log and to the terminal."""
    rule = Path(log_path).relative_to(Path(log_path).parents[1]).with_suffix("")
    logging.basicConfig(
        level=logging.INFO,
        format=f"%(asctime)s {rule}: %(message)s",
        datefmt="%H:%M:%S",
        handlers=[logging.FileHandler(log_path, mode="w"), logging.StreamHandler()],
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
