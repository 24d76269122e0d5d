"""Where nnU-Net's command line is, and how it is run."""

import logging
import os
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Mapping
from pathlib import Path

from weaklesion.errors import DataError

logger = logging.getLogger(__name__)

VARIABLE = "WEAKLESION_NNUNET"  # the Python of an environment that has nnU-Net
CHECKOUT = Path(__file__).resolve().parents[3]
SHOWN_LINES = 25  # of what a command printed before it failed
REPORT = "weaklesion: "  # starts the lines that our trainer prints for the log


def find_program(name: str) -> str:
    """Return the path of a command of nnU-Net, such as `nnUNetv2_train`.

    The folders searched are, in this order: that of the Python that `WEAKLESION_NNUNET` names; that
    of the running Python, which is the job's conda environment; `.nnunet/bin` of the working
    directory and of the checkout (`make nnunet`).

    Raises:
        DataError: if none of them has it.
    """
    named = os.environ.get(VARIABLE)
    folders = [Path(named).parent] if named else []
    folders += [
        Path(sys.executable).parent,
        Path(".nnunet/bin").resolve(),
        CHECKOUT / ".nnunet/bin",
    ]
    found = shutil.which(name, path=os.pathsep.join(map(str, folders)))
    if found is None:
        raise DataError(
            f"nnU-Net is not installed: {name} is in none of {', '.join(map(str, folders))}, and"
            " arms with nnU-Net need it. Run `make nnunet`; or run Snakemake with --sdm conda; or"
            f" name the Python of its environment in {VARIABLE}."
        )
    return found


def run_program(
    name: str,
    *words: str,
    folders: Mapping[str, Path],
    variables: Mapping[str, str] | None = None,
    threads: int = 1,
) -> None:
    """Run a command of nnU-Net, which ends with this process because its output is read here.

    Args:
        name: the command.
        words: its arguments.
        folders: nnU-Net's folders by its own names: `raw`, `preprocessed`, `results`, `extTrainer`.
        variables: further environment variables.
        threads: threads and processes that it may use.

    Raises:
        DataError: if the command is not installed or fails, with the end of what it printed.
    """
    command = [find_program(name), *words]
    set_here = {f"nnUNet_{key}": str(path.resolve()) for key, path in folders.items()}
    set_here |= {"nnUNet_def_n_proc": str(threads), "nnUNet_n_proc_DA": str(threads)}
    set_here |= {"PYTHONUNBUFFERED": "1", **(variables or {})}
    last: deque[str] = deque(maxlen=SHOWN_LINES)
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=_other_environment() | set_here,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            last.append(line.rstrip())
            if line.startswith(REPORT):
                logger.info("%s", line.removeprefix(REPORT).rstrip())
    if process.returncode:
        raise DataError(
            f"{name}: failed with {process.returncode}. If memory does not suffice, lower"
            f" nnunet.batch_size. The last lines that it printed:\n{chr(10).join(last)}"
        )


def _other_environment() -> dict[str, str]:
    """Return this process's variables without those that lead to this Python's own packages."""
    ours = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    return {key: value for key, value in os.environ.items() if key not in ours}
