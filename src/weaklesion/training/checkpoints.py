"""`last.pt`: everything that a killed training needs to go on as if nothing had happened."""

import hashlib
import io
import logging
import pickle
from pathlib import Path
from typing import Any

import torch

from weaklesion.support.files import written_whole

logger = logging.getLogger(__name__)

FORMAT = 5  # version of the file; part of the digest, so that a training resumes from its own only
CHECKSUM_BYTES = 32  # SHA-256 of all bytes before it, at the end of the file


def random_states(generator: torch.Generator) -> dict[str, torch.Tensor]:
    """Return the states of all generators that a training draws from."""
    states = {"order": generator.get_state(), "cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def set_random_states(states: dict[str, torch.Tensor], generator: torch.Generator) -> None:
    """Put generators into the states that `random_states` returned."""
    generator.set_state(states["order"])
    torch.set_rng_state(states["cpu"])
    if torch.cuda.is_available() and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"])


def save_last(path: str | Path, digest: str, state: dict[str, Any]) -> None:
    """Write `last.pt`: tensors, numbers, strings, lists and dictionaries only, and a checksum."""
    saved = io.BytesIO()  # torch's own error on a full disk does not mention the disk
    torch.save({"digest": digest, **state}, saved)
    with written_whole(path) as tmp, tmp.open("wb") as stream:
        stream.write(saved.getbuffer())
        stream.write(hashlib.sha256(saved.getbuffer()).digest())


def load_last(path: str | Path, digest: str) -> dict[str, Any] | None:
    """Read `last.pt`.

    Returns:
        The saved state; None if there is no file or, with the reason in the log, if the file is
        broken or belongs to another training.
    """
    if not Path(path).is_file():
        return None
    saved = Path(path).read_bytes()
    content, checksum = saved[:-CHECKSUM_BYTES], saved[-CHECKSUM_BYTES:]
    if hashlib.sha256(content).digest() != checksum:
        logger.warning(
            "%s is damaged or of another format (its checksum differs): starting afresh", path
        )
        return None
    try:
        state: dict[str, Any] = torch.load(
            io.BytesIO(content), map_location="cpu", weights_only=True
        )
    except (RuntimeError, EOFError, OSError, pickle.UnpicklingError) as error:
        logger.warning("%s cannot be read (%s): starting afresh", path, str(error)[:200])
        return None
    if state["digest"] != digest:
        logger.warning(
            "%s belongs to other code, libraries, settings, data or format: starting afresh", path
        )
        return None
    return state
