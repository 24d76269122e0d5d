"""Copies of large inputs on a node's own disk, if the shared disk is slow."""

import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from weaklesion.support.files import read_array

logger = logging.getLogger(__name__)


@contextmanager
def node_local(array_npy: str | Path, folder: str | Path | None) -> Iterator[Path]:
    """Yield a copy of an array in a folder of this node, removed at the end.

    Args:
        array_npy: the array; it is verified first.
        folder: folder of the copy; None for no copy, which is also used if it does not fit.

    Raises:
        DataError: if the array differs from its digest.
    """
    array_npy = Path(array_npy)
    read_array(array_npy)
    if not folder:
        yield array_npy
        return
    with tempfile.TemporaryDirectory(prefix="weaklesion-", dir=folder) as private:
        copy = Path(private) / array_npy.name
        try:
            shutil.copyfile(array_npy, copy)
            logger.info("copied %s to %s", array_npy, private)
        except OSError as error:
            logger.warning("%s is read without a copy: %s", array_npy, error)
            copy.unlink(missing_ok=True)
            copy = array_npy
        yield copy
