"""Progress of long loops as lines of a log, with an estimate of the time left."""

import logging
from collections.abc import Iterable
from typing import Any, TypeVar

from tqdm import tqdm

T = TypeVar("T")
logger = logging.getLogger(__name__)


class _LoggedBar(tqdm):
    """A tqdm bar that writes lines to the log, which batch jobs keep, instead of a terminal."""

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        if self.n:
            logger.info("%s", msg or str(self))

    def moveto(self, n: int) -> None:  # no cursor in a log
        pass

    def clear(self, nolock: bool = False) -> None:
        pass


def progress(
    items: Iterable[T], *, total: int, what: str, done: int = 0, every_s: float = 10.0
) -> Iterable[T]:
    """Iterate over `items`, and log the progress about every `every_s` seconds.

    Args:
        items: what is left to iterate over.
        total: number of items, with those that were done before.
        what: name of the loop.
        done: number of items that were done before.
        every_s: seconds between lines.
    """
    options: dict[str, Any] = {"mininterval": every_s, "miniters": 1, "maxinterval": every_s}
    return _LoggedBar(
        items,
        total=total,
        initial=done,
        desc=what,
        bar_format="{desc}: {n_fmt}/{total_fmt}, {elapsed} passed, {remaining} left, {rate_fmt}",
        leave=False,
        **options,
    )
