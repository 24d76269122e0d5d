"""Parallel work in several processes; results keep the order."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from statistics import fmean
from typing import TypeVar

from joblib import Parallel, delayed

from weaklesion.errors import DataError
from weaklesion.support.progress import progress

S = TypeVar("S")
T = TypeVar("T")

WORTH_S = 2.0  # of work: less is done before a process has started


def in_parallel(
    work: Callable[[S], T], items: Sequence[S], workers: int, what: str, *, chunk: int = 16
) -> Iterator[T]:
    """Map `work` over `items`, in processes if that is faster; results come in the items' order.

    Raises:
        DataError: if a process was killed.
    """
    try:
        yield from progress(_results(work, items, workers, chunk), total=len(items), what=what)
    except BrokenProcessPool as error:
        raise DataError(
            f"{what}: one of {workers} processes was killed, usually because memory ran out. "
            "Run again, with fewer threads (--set-threads) or more memory."
        ) from error


def _results(work: Callable[[S], T], items: Sequence[S], workers: int, chunk: int) -> Iterator[T]:
    """Do items in this process until those that are left are worth the start of others."""
    times: list[float] = []
    for item in items:
        if workers > 1 and _left_s(times, len(items)) > WORTH_S:
            break
        started = time.perf_counter()
        result = work(item)
        times.append(time.perf_counter() - started)
        yield result
    left = items[len(times) :]
    if left:
        pool = Parallel(n_jobs=workers, batch_size=chunk, return_as="generator")
        yield from pool(delayed(work)(item) for item in left)


def _left_s(times: list[float], total: int) -> float:
    """Return the seconds that the items left will take, from those of the items that are done."""
    if not times or (len(times) == 1 and times[0] < WORTH_S):
        return 0.0  # the first may have waited for an import
    return fmean(times[1:] or times) * (total - len(times))
