"""Parallel work in several processes; results keep the order."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from joblib import Parallel, delayed

from weaklesion.errors import DataError
from weaklesion.support.progress import progress

S = TypeVar("S")
T = TypeVar("T")


def in_parallel(
    work: Callable[[S], T], items: Sequence[S], workers: int, what: str, *, chunk: int = 16
) -> Iterator[T]:
    """Map `work` over `items` in processes; results come in the items' order.

    Raises:
        DataError: if a process was killed.
    """
    pool = Parallel(n_jobs=workers, batch_size=chunk, return_as="generator")
    results = pool(delayed(work)(item) for item in items)
    try:
        yield from progress(results, total=len(items), what=what)
    except BrokenProcessPool as error:
        raise DataError(
            f"{what}: one of {workers} processes was killed, usually because memory ran out. "
            "Run again, with fewer threads (--set-threads) or more memory."
        ) from error
